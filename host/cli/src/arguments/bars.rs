//! What can be typed after `bulkhead bars`.

use std::path::PathBuf;

use bulkhead_kernel::timeframe::Timeframe;
use clap::{Args, Subcommand, ValueEnum};

use super::instant::{instant, instrument, timeframe};

#[derive(Debug, Args)]
pub struct Bars {
    #[command(subcommand)]
    pub action: BarsAction,
}

#[derive(Debug, Subcommand)]
pub enum BarsAction {
    /// Store the bars of CSV and Parquet files, or of a folder that `export` made.
    Import(Import),
    /// Write bars as files, a folder for each symbol, timeframe and date, with a manifest that `import` checks.
    Export(Export),
    /// List the series: how many bars, from when to when, what is missing, how fresh.
    List(List),
    /// List the bars that are missing.
    Gaps(Gaps),
    /// Run the stage `ingest` until a series is no longer behind, or has been asked for a range again.
    Backfill(Backfill),
    /// Delete the bars that are older than they are kept.
    Prune(Prune),
}

/// Which series.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only this instrument, for example `BTC-USDT`.
    #[arg(long, value_parser = instrument)]
    pub instrument: Option<String>,
    /// Only this length of a bar: `1m`, `5m`, `1h`, `1d`.
    #[arg(long)]
    pub timeframe: Option<String>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Files, and folders that `export` made. A folder is checked against its manifest first and read back afterwards.
    #[arg(required = true, value_name = "FILE|ROOT")]
    pub sources: Vec<PathBuf>,
    /// Whose bars the files hold, for example `BTC-USDT`. A folder says so itself.
    #[arg(long, value_parser = instrument)]
    pub instrument: Option<String>,
    /// The length of the files' bars: `1m`, `5m`, `1h`, `1d`. A folder says so itself.
    #[arg(long, value_parser = timeframe)]
    pub timeframe: Option<Timeframe>,
    /// The form of the files. Without it, what the ending of the name says.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// Round prices and volumes half to even to so many digits after the decimal point. Without it they are exact, and a
    /// file that cannot be is refused.
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(0..=12))]
    pub round_to: Option<u8>,
    /// Leave out rows that cannot be right, each with its reason, instead of refusing the file.
    #[arg(long)]
    pub quarantine: bool,
    /// The largest factor from one bar's last price to the next bar's first that can be right.
    #[arg(long, value_name = "FACTOR", default_value_t = bulkhead_bars::DEFAULT_MAX_JUMP,
        value_parser = clap::value_parser!(u32).range(2..))]
    pub max_jump: u32,
    /// Take any jump of prices.
    #[arg(long, conflicts_with = "max_jump")]
    pub any_jump: bool,
}

/// The form of a bar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    Csv,
    Parquet,
}

impl From<FileFormat> for bulkhead_bars::Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Csv => Self::Csv,
            FileFormat::Parquet => Self::Parquet,
        }
    }
}

#[derive(Debug, Args)]
pub struct Export {
    /// The folder to make. It must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub selection: Selection,
    /// The form of the files.
    #[arg(long, value_enum, default_value = "parquet")]
    pub format: FileFormat,
    /// Only bars that open then or later: a date, or an RFC 3339 instant.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub from: Option<i64>,
    /// Only bars that open earlier.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub to: Option<i64>,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub selection: Selection,
}

#[derive(Debug, Args)]
pub struct Gaps {
    #[command(flatten)]
    pub selection: Selection,
    /// Look from then on: a date, or an RFC 3339 instant. Without it, from the first bar.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub from: Option<i64>,
    /// Look until then. Without it, to the last bar.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub to: Option<i64>,
    /// Bars that would open on a Saturday or a Sunday (UTC) are not missing.
    #[arg(long)]
    pub weekdays: bool,
}

#[derive(Debug, Args)]
pub struct Backfill {
    /// Whose bars, for example `BTC-USDT`. Without it, those that the manifest says.
    #[arg(long, value_parser = instrument)]
    pub instrument: Option<String>,
    /// The length of a bar. Without it, what the manifest says.
    #[arg(long, value_parser = timeframe)]
    pub timeframe: Option<Timeframe>,
    /// Ask again for the bars from then on, whatever is stored: a date, or an RFC 3339 instant. Without it, from the newest
    /// stored bar.
    #[arg(long, value_name = "INSTANT", value_parser = instant, requires = "instrument")]
    pub from: Option<i64>,
    /// Ask until then. Without it, to the newest bar of the venue.
    #[arg(long, value_name = "INSTANT", value_parser = instant, requires = "from")]
    pub to: Option<i64>,
}

#[derive(Debug, Args)]
pub struct Prune {
    #[command(flatten)]
    pub selection: Selection,
    /// For how many days bars of a day or longer are kept, or `forever`.
    #[arg(long, value_name = "DAYS", default_value_t = KeepDays(bulkhead_store::Keep::Days(bulkhead_store::DEFAULT_DAILY_DAYS)))]
    pub daily: KeepDays,
    /// For how many days shorter bars are kept, or `forever`.
    #[arg(long, value_name = "DAYS", default_value_t = KeepDays(bulkhead_store::Keep::Days(bulkhead_store::DEFAULT_INTRADAY_DAYS)))]
    pub intraday: KeepDays,
    /// For how many days the bars of one timeframe are kept: `5m=90`, `1d=forever`. Can be given several times.
    #[arg(long, value_name = "TIMEFRAME=DAYS", value_parser = keep)]
    pub keep: Vec<(String, KeepDays)>,
    /// Count the days back from then, not from now: a date, or an RFC 3339 instant, which is past.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<i64>,
    /// Say what would go, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// For how long bars are kept, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepDays(pub bulkhead_store::Keep);

impl std::str::FromStr for KeepDays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use bulkhead_store::{Keep, MAX_KEEP_DAYS};
        if text == "forever" {
            return Ok(Self(Keep::Forever));
        }
        match text.parse() {
            Ok(days) if (1..=MAX_KEEP_DAYS).contains(&days) => Ok(Self(Keep::Days(days))),
            _ => Err(format!("expected 1 to {MAX_KEEP_DAYS} days, or `forever`")),
        }
    }
}

impl std::fmt::Display for KeepDays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bulkhead_store::Keep::Days(days) => write!(f, "{days}"),
            bulkhead_store::Keep::Forever => f.write_str("forever"),
        }
    }
}

fn keep(text: &str) -> Result<(String, KeepDays), String> {
    let (timeframe, days) = text
        .split_once('=')
        .ok_or("expected TIMEFRAME=DAYS, for example `5m=90`")?;
    Ok((timeframe.to_owned(), days.parse()?))
}
