//! `bulkhead bars list`.

use std::process::ExitCode;

use bulkhead_bars::{SeriesOverview, overview};
use bulkhead_stage::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{Calendars, NO_BARS_HINT};
use crate::arguments::{Global, List};
use crate::deployment;
use crate::output;

pub async fn run(global: &Global, command: List) -> anyhow::Result<ExitCode> {
    let store = deployment::existing_store(global)?;
    let calendars = Calendars::of(global);
    let calendar_of = |instrument: &str| calendars.calendar(instrument);
    let all = overview(&store, calendar_of, SystemClock.now_ms()).await?;
    let chosen: Vec<&SeriesOverview> = all
        .iter()
        .filter(|one| command.selection.admits(&one.summary.series))
        .collect();
    if global.json {
        let chosen: Vec<Value> = chosen.into_iter().map(as_json).collect();
        output::json(&chosen)?;
        return Ok(ExitCode::SUCCESS);
    }
    if chosen.is_empty() {
        output::talk(format!("no bars: {NO_BARS_HINT}"));
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "{:<16} {:<5} {:>10}  {:<24} {:<24} {:>10} {:>6}  FRESHNESS",
        "INSTRUMENT", "BARS", "COUNT", "FIRST", "LAST", "MISSING", "GAPS"
    ))?;
    for one in chosen {
        output::line(row(one))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(one: &SeriesOverview) -> String {
    let summary = &one.summary;
    let known =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    format!(
        "{:<16} {:<5} {:>10}  {:<24} {:<24} {:>10} {:>6}  {}",
        summary.series.instrument,
        summary.series.timeframe,
        summary.count,
        output::instant(summary.first_ms),
        output::instant(summary.last_ms),
        known(one.missing_bars),
        known(one.gaps),
        one.freshness.map_or_else(
            || "-".to_owned(),
            |freshness| {
                let word = if freshness.is_stale { "stale" } else { "fresh" };
                format!("{word}, {} old", age(freshness.age_ms))
            }
        ),
    )
}

/// A duration as a person says it: its largest unit alone.
pub fn age(age_ms: i64) -> String {
    let seconds = age_ms / 1_000;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60)] {
        if seconds >= length {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{seconds} s")
}

fn as_json(one: &SeriesOverview) -> Value {
    let summary = &one.summary;
    json!({
        "instrument": summary.series.instrument,
        "timeframe": summary.series.timeframe,
        "bars": summary.count,
        "first": output::instant(summary.first_ms),
        "last": output::instant(summary.last_ms),
        "missing_bars": one.missing_bars,
        "gaps": one.gaps,
        "freshness_seconds": one.freshness.map(|freshness| freshness.age_ms as f64 / 1e3),
        "is_stale": one.freshness.map(|freshness| freshness.is_stale),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_largest_unit() {
        for (age_ms, expect) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (7_199_999, "1 h"),
            (86_400_000, "1 d"),
            (864_000_000_000, "10000 d"),
        ] {
            assert_eq!(age(age_ms), expect);
        }
    }
}
