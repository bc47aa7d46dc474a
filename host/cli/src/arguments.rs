//! What can be typed.

mod bars;
mod drill;
mod instant;
mod replayed;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bulkhead_paper::Faults;
use bulkhead_telemetry::TopicPrefix;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use bars::{Backfill, Bars, BarsAction, Export, Gaps, Import, List, Prune, Selection};
pub use drill::{Drill, DrillAction, ExportStress, Failover};
pub use replayed::ReplayedFile;

/// Runs an automated trading pipeline as a bundle of sandboxed WebAssembly functions.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Where a deployment is, and how to speak of it.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The manifest.
    #[arg(
        short = 'f',
        long,
        global = true,
        value_name = "FILE",
        default_value = "spin.toml",
        env = "BULKHEAD_MANIFEST"
    )]
    pub manifest: PathBuf,
    /// The folder of the database and of compiled code. `up`, `invoke`, `bars import` and `bars backfill` make it when
    /// it is not there.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".bulkhead",
        env = "BULKHEAD_DATA_DIR"
    )]
    pub data_dir: PathBuf,
    /// A value for a variable of the manifest. Wins over SPIN_VARIABLE_NAME and NAME in the environment.
    #[arg(long = "variable", global = true, value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on stderr. Twice: still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pipeline: schedules, HTTP routes, and the built-in market-data server.
    Up(Up),
    /// Run the deployed pipeline end to end in fake mode and check its evidence.
    Canary(Canary),
    /// Run one stage once.
    Invoke(Invoke),
    /// Say how the deployment stands: switches, risk, bars, signals, runs.
    Status(Status),
    /// List the journal of runs.
    Runs(Runs),
    /// Bring bars in and out, list them, look for gaps, fill them, and let old ones go.
    Bars(Bars),
    /// Rehearse what must not be tried first when it is needed.
    Drill(Drill),
    /// List what stages and the host reported, the newest last.
    Events(Events),
    /// Stop order entry, allow it again, or say how the switches stand.
    Kill(Kill),
    /// Look for what would keep the deployment from running.
    Doctor(Doctor),
    /// Check the manifest.
    Check(Check),
    /// Print a completion script for a shell.
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct Up {
    /// Where HTTP is served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// A CSV or Parquet (`.parquet`) file of bars for the built-in market-data server, and whose bars of which length it holds: `ETH-USDT=eth.csv`,
    /// `ETH-USDT:5m=eth.csv`. Without a name, the one instrument and the timeframe of the manifest. Once for each file. Without
    /// it, the demo's.
    #[arg(long, value_name = "[INSTRUMENT[:TIMEFRAME]=]FILE")]
    pub bars: Vec<ReplayedFile>,
    /// What the built-in market-data server does wrong, on purpose, as KIND@TARGET:WHICH: `429@klines:3,cut@stream:100`. Can be given
    /// several times.
    #[arg(long, value_name = "PLAN")]
    pub fault: Vec<Faults>,
    /// A JSON or CSV file of dated events that the built-in market-data server serves.
    #[arg(long, value_name = "FILE")]
    pub macro_events: Option<PathBuf>,
    /// How many times faster than the market the bars are replayed; `max`: all at once.
    #[arg(long, value_name = "TIMES|max", default_value = "3600", value_parser = speed)]
    pub speed: Speed,
    /// Where the built-in market-data server listens. It is started when the variable `market_data_url` names this
    /// address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    pub paper: SocketAddr,
    /// End once every replayed bar has gone through the pipeline. For the built-in market-data server alone.
    #[arg(long)]
    pub exit_when_replayed: bool,
    /// How long runs may take to finish after SIGINT or SIGTERM, in seconds. A second signal ends them at once.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub shutdown_deadline: Duration,
    /// Delete bars that have been closed for longer than they are kept (365 days, 30 for bars shorter than a day), at the
    /// start and every hour. Not together with a replay.
    #[arg(long)]
    pub retention: bool,
}

/// How fast bars are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// All bars have opened from the start.
    Max,
    /// So many times faster than the market.
    Times(NonZeroU32),
}

#[derive(Debug, Args)]
pub struct Canary {
    /// Where the artifact is written.
    #[arg(long, value_name = "FILE", default_value = canary::artifact::FILE_NAME)]
    pub output: PathBuf,
    /// Let the stages decide for real, still without any effect (`fake_mode` false).
    #[arg(long)]
    pub real: bool,
    /// Instead of a run: check that the artifact in FILE may be promoted to production.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["real", "output"])]
    pub promote: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Invoke {
    /// The component's name in the manifest.
    pub stage: String,
    /// A file with the input, or `-` for standard input. Without it, `{}`.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Keep the run from having any effect: no document written, no request sent.
    #[arg(long)]
    pub fake: bool,
}

#[derive(Debug, Args)]
pub struct Status {}

#[derive(Debug, Args)]
pub struct Runs {
    /// Only runs of this component.
    #[arg(long)]
    pub component: Option<String>,
    /// Only runs that ended so.
    #[arg(long, value_enum)]
    pub status: Option<RunStatus>,
    /// At most so many, the newest first.
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct Events {
    /// Only events of this topic and of those below it, such as `telemetry.ingest`.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub topic: TopicPrefix,
    /// At most so many of the newest.
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Go on with those that come, until interrupted.
    #[arg(long)]
    pub follow: bool,
}

/// The words of the journal.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RunStatus {
    Success,
    Hold,
    Skipped,
    Failed,
    Missed,
}

impl RunStatus {
    /// As the journal has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Hold => "hold",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Missed => "missed",
        }
    }
}

#[derive(Debug, Args)]
pub struct Kill {
    #[command(subcommand)]
    pub action: KillAction,
}

#[derive(Debug, Subcommand)]
pub enum KillAction {
    /// Stop order entry. Cancels stay possible.
    On {
        /// Why.
        #[arg(long, default_value = "set by hand")]
        reason: String,
        /// Make the database where there is none yet, so that the switch is on when `bulkhead up` starts.
        #[arg(long)]
        create: bool,
    },
    /// Allow order entry again, as far as this switch is concerned.
    Off {
        /// Why.
        #[arg(long, default_value = "set by hand")]
        reason: String,
        /// Also turn `trading_enabled` on again after a drawdown turned it off.
        #[arg(long)]
        enable_trading: bool,
        /// Accept the loss: the high-water mark becomes the current equity, and drawdowns count from there.
        #[arg(long, requires = "enable_trading")]
        reset_high_water_mark: bool,
    },
    /// Say how each switch stands. Exit status 1 while any of them stops order entry.
    Status,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Where `bulkhead up` would serve HTTP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub struct Check {}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    text.parse()
        .map(Speed::Times)
        .map_err(|_| "expected a whole number from 1, or `max`".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| "expected a whole number of seconds".into())
}
