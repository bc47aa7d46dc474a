//! `bulkhead bars`: the stored bars, and bars in files.

mod backfill;
mod calendars;
mod export;
mod gaps;
mod import;
mod list;
mod progress;
mod prune;
mod repoll;

use std::process::ExitCode;

use anyhow::bail;
use bulkhead_store::{Series, Store};

use crate::arguments::{Bars, BarsAction, Global, Selection};

use calendars::Calendars;
pub use list::age;
pub use progress::Progress;

pub async fn run(global: &Global, command: Bars) -> anyhow::Result<ExitCode> {
    match command.action {
        BarsAction::Import(command) => import::run(global, command).await,
        BarsAction::Export(command) => export::run(global, command).await,
        BarsAction::List(command) => list::run(global, command).await,
        BarsAction::Gaps(command) => gaps::run(global, command).await,
        BarsAction::Backfill(command) => backfill::run(global, command).await,
        BarsAction::Prune(command) => prune::run(global, command).await,
    }
}

/// What to do where there are no bars.
const NO_BARS_HINT: &str =
    "`bulkhead bars import` brings some in, and `bulkhead up` polls for them";

impl Selection {
    /// Whether a series is asked for.
    pub fn admits(&self, series: &Series) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is(&self.instrument, &series.instrument) && is(&self.timeframe, &series.timeframe)
    }

    /// The stored series that are asked for.
    ///
    /// # Errors
    /// There is none; the error names those that there are.
    pub async fn of<S: Store>(&self, store: &S) -> anyhow::Result<Vec<Series>> {
        let stored = store.series().await?;
        let stored: Vec<Series> = stored.into_iter().map(|summary| summary.series).collect();
        let chosen: Vec<Series> = stored
            .iter()
            .filter(|series| self.admits(series))
            .cloned()
            .collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        if stored.is_empty() {
            bail!("no bars are stored\n\nhint: {NO_BARS_HINT}");
        }
        bail!(
            "no such series is stored\n\nhint: there are {}",
            some_of(&stored)
        );
    }
}

/// Names of series, as many as are of use to a reader.
fn some_of(series: &[Series]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = series.iter().take(SHOWN).map(name).collect();
    if series.len() > SHOWN {
        names.push(format!("{} more", series.len() - SHOWN));
    }
    names.join(", ")
}

/// A series as it is shown: `BTC-USDT 1m`.
pub fn name(series: &Series) -> String {
    format!("{} {}", series.instrument, series.timeframe)
}
