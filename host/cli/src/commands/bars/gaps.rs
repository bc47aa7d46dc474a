//! `bulkhead bars gaps`.

use std::process::ExitCode;

use bulkhead_bars::{Gap, Gaps as Found, GapsQuery, gaps};
use bulkhead_store::Series;
use serde_json::{Value, json};

use super::{Calendars, Progress, name};
use crate::arguments::{Gaps, Global};
use crate::deployment;
use crate::output;

const DAY_MS: i64 = 86_400_000;
/// The day of the week of 1970-01-01, counted from Monday: a Thursday.
const EPOCH_WEEKDAY: i64 = 3;
const SATURDAY: i64 = 5;

pub async fn run(global: &Global, command: Gaps) -> anyhow::Result<ExitCode> {
    let store = deployment::existing_store(global)?;
    let chosen = command.selection.of(&store).await?;
    let calendars = Calendars::of(global);
    let progress = Progress::new("series")?;
    let mut all: Vec<(Series, Found)> = Vec::new();
    for (done, series) in (0_u64..).zip(&chosen) {
        progress.at(done, Some(chosen.len() as u64));
        progress.says(name(series));
        let Ok(timeframe) = series.timeframe.parse() else {
            output::talk(format!(
                "{}: its bars have no one length, so that none can be missing",
                name(series)
            ));
            continue;
        };
        let query = GapsQuery {
            series: series.clone(),
            timeframe,
            calendar: calendars.calendar(&series.instrument),
            start_ms: command.from,
            end_ms: command.to,
        };
        let is_session = |at| !command.weekdays || is_weekday(at);
        all.push((series.clone(), gaps(&store, &query, is_session).await?));
    }
    drop(progress);
    if global.json {
        let all: Vec<Value> = all.iter().map(as_json).collect();
        output::json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (series, found) in &all {
        say(series, found)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether an instant is on a day from Monday to Friday, in UTC.
fn is_weekday(unix_ms: i64) -> bool {
    (unix_ms.div_euclid(DAY_MS) + EPOCH_WEEKDAY).rem_euclid(7) < SATURDAY
}

fn say(series: &Series, found: &Found) -> anyhow::Result<()> {
    for Gap {
        first_ms,
        last_ms,
        bars,
    } in &found.listed
    {
        output::line(format!(
            "{}  {} to {}  {bars} missing",
            name(series),
            output::instant(*first_ms),
            output::instant(*last_ms),
        ))?;
    }
    let unlisted = found.count - found.listed.len() as u64;
    if unlisted > 0 {
        output::line(format!("{}  {unlisted} more gaps", name(series)))?;
    }
    output::talk(format!(
        "{}: {} bars, {} missing in {} gaps",
        name(series),
        found.present_bars,
        found.missing_bars,
        found.count,
    ));
    Ok(())
}

fn as_json((series, found): &(Series, Found)) -> Value {
    let listed: Vec<Value> = found
        .listed
        .iter()
        .map(|gap| {
            json!({
                "first": output::instant(gap.first_ms),
                "last": output::instant(gap.last_ms),
                "bars": gap.bars,
            })
        })
        .collect();
    json!({
        "instrument": series.instrument,
        "timeframe": series.timeframe,
        "bars": found.present_bars,
        "missing_bars": found.missing_bars,
        "gaps": found.count,
        "listed": listed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_five_weekdays() {
        // 1970-01-01 was a Thursday.
        let week: Vec<bool> = (-3..4).map(|day| is_weekday(day * DAY_MS)).collect();
        assert_eq!(week, [true, true, true, true, true, false, false]);
        assert!(!is_weekday(4 * DAY_MS - 1));
        assert!(is_weekday(4 * DAY_MS));
    }
}
