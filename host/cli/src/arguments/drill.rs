//! What can be typed after `bulkhead drill`.

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

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if f64::is_finite(seconds) && seconds > 0.0 => Ok(seconds),
        _ => Err("expected a number of seconds above zero".into()),
    }
}
