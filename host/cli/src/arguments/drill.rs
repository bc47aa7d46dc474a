//! What can be typed after `bulkhead drill`.

use std::str::FromStr;

use bulkhead_evaluators::dimension;
use clap::{Args, Subcommand};

use super::bars::{FileFormat, Selection};

#[derive(Debug, Args)]
pub struct Drill {
    #[command(subcommand)]
    pub action: DrillAction,
}

#[derive(Debug, Subcommand)]
pub enum DrillAction {
    /// Export the stored bars, verify the export and compare it with the store, again and again. Exit status 1 when a
    /// cycle fails.
    ExportStress(ExportStress),
    /// Take the last results of dimensions away and see whether ingest would fall over; if so, run it over a copy in which the
    /// first source is out of reach, so that the next one has to answer. Nothing stored is changed. Exit status 1 when it does not.
    Failover(Failover),
}

#[derive(Debug, Args)]
pub struct ExportStress {
    /// How many times.
    #[arg(long, default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(bulkhead_bars::MAX_CYCLES)))]
    pub cycles: u32,
    #[command(flatten)]
    pub selection: Selection,
    /// The form of the files.
    #[arg(long, value_enum, default_value = "parquet")]
    pub format: FileFormat,
    /// From so many seconds on an export warns.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub warn_after: Option<f64>,
    /// From so many seconds on an export fails.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub fail_after: Option<f64>,
}

#[derive(Debug, Args)]
pub struct Failover {
    /// The dimensions that bring in nothing, parted by commas: `daily_bars`, `intraday_trades`, `macro_events`. Without it, those of
    /// bars that are planned.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub dimensions: Vec<Dimension>,
    /// Keep the result as the document `assessments/telemetry.ingest.failover_drill`, which ingest reads.
    #[arg(long)]
    pub record: bool,
}

/// A dimension by its name.
#[derive(Debug, Clone, Copy)]
pub struct Dimension(pub dimension::Dimension);

impl FromStr for Dimension {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = dimension::Dimension::ALL;
        let found = all.into_iter().find(|dimension| dimension.as_str() == text);
        let names = all.map(dimension::Dimension::as_str).join(", ");
        found
            .map(Self)
            .ok_or_else(|| format!("expected one of {names}"))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if f64::is_finite(seconds) && seconds > 0.0 => Ok(seconds),
        _ => Err("expected a number of seconds above zero".into()),
    }
}
