//! A run's series in the evaluators' words.

use std::collections::BTreeSet;

use bulkhead_evaluators::dimension::{Dimension, SliceResult};
use bulkhead_evaluators::retention::{Found, Held};

use crate::macro_events::Calendar;
use crate::pass::{Progress, SeriesRun};
use crate::state::MacroState;

/// The most sources that a dimension names.
const MAX_SOURCES_NAMED: usize = 3;

/// Whether no source gave what was asked for: it has no bar, it failed, or the venue's budget kept it from being asked for so long
/// that it is older than `freshness_limit_seconds`.
pub fn is_missing(series: &SeriesRun, freshness_limit_seconds: f64, now_ms: i64) -> bool {
    let age = series.known.age_seconds(&series.shape, now_ms);
    match series.progress {
        Progress::Failed(_) | Progress::Waiting(_) => true,
        Progress::RateLimited => age.is_none_or(|age| age > freshness_limit_seconds),
        Progress::Idle | Progress::Wanted | Progress::Done | Progress::Left => age.is_none(),
    }
}

/// What came of each planned dimension. Its rows are those that the lookback holds, however many runs they came in: a poll
/// that had nothing new lost nothing. Symbols of which `is_missing` says so are left out.
pub fn slice_results(
    series: &[&SeriesRun],
    macro_events: Option<&MacroState>,
    duration_seconds: f64,
    is_missing: impl Fn(&SeriesRun) -> bool,
    now_ms: i64,
) -> Vec<SliceResult> {
    let mut results = vec![];
    for dimension in [Dimension::DailyBars, Dimension::IntradayTrades] {
        let of_dimension = series
            .iter()
            .copied()
            .filter(|series| series.dimension == dimension);
        if of_dimension.clone().next().is_none() {
            continue;
        }
        let mut result = SliceResult {
            ingest_duration_seconds: Some(duration_seconds),
            ..SliceResult::empty(dimension)
        };
        let mut sources = BTreeSet::new();
        for series in of_dimension {
            let Some(age) = series.known.age_seconds(&series.shape, now_ms) else {
                continue;
            };
            let known = &series.known;
            let held = known.held_bars(&series.shape);
            result.rows_written = result.rows_written.saturating_add(held);
            result.freshness_seconds = Some(
                result
                    .freshness_seconds
                    .map_or(age, |so_far: f64| so_far.max(age)),
            );
            result.start_ms = earliest(result.start_ms, known.first_open_time_ms);
            result.end_ms = result.end_ms.max(known.newest_open_time_ms);
            sources.extend(known.source.as_deref());
            if !is_missing(series) {
                result.symbols.push(series.instrument.to_string());
            }
        }
        let named: Vec<&str> = sources.into_iter().take(MAX_SOURCES_NAMED).collect();
        result.source = (!named.is_empty()).then(|| named.join(", "));
        results.push(result);
    }
    results.extend(macro_events.map(|known| {
        SliceResult {
            rows_written: known.events,
            freshness_seconds: known
                .answered_at_ms
                .map(|at| now_ms.saturating_sub(at).max(0) as f64 / 1_000.0),
            ..SliceResult::empty(Dimension::MacroEvents)
        }
    }));
    results
}

fn earliest(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What the store holds of each planned dimension. The rows of bars are those of the lookback: the store is not counted.
/// `macro_events`: as they are stored, if they are; none if they are not planned.
pub fn held(series: &[&SeriesRun], macro_events: Option<Option<&Calendar>>) -> Vec<Found> {
    let mut found = vec![];
    for dimension in [Dimension::DailyBars, Dimension::IntradayTrades] {
        let of_dimension = series
            .iter()
            .copied()
            .filter(|series| series.dimension == dimension);
        let mut table = None;
        let mut held: Option<Held> = None;
        for series in of_dimension {
            table.get_or_insert_with(|| format!("bars {}", series.shape.timeframe));
            let known = &series.known;
            let earliest = known.earliest_open_time_ms.or(known.first_open_time_ms);
            let Some((earliest_ms, latest_ms)) = earliest.zip(known.newest_open_time_ms) else {
                continue;
            };
            let rowcount = known.held_bars(&series.shape);
            held = Some(match held {
                None => Held {
                    rowcount,
                    earliest_ms,
                    latest_ms,
                },
                Some(held) => Held {
                    rowcount: held.rowcount.saturating_add(rowcount),
                    earliest_ms: held.earliest_ms.min(earliest_ms),
                    latest_ms: held.latest_ms.max(latest_ms),
                },
            });
        }
        found.extend(table.map(|table| Found {
            dimension,
            table,
            held: Ok(held),
        }));
    }
    found.extend(macro_events.map(|stored| {
        let events = stored.map_or(&[][..], |calendar| &calendar.events);
        let ends = events.first().zip(events.last());
        Found {
            dimension: Dimension::MacroEvents,
            table: "document macro_events/current".to_owned(),
            held: Ok(ends.map(|(first, last)| Held {
                rowcount: events.len() as u64,
                earliest_ms: first.time_ms,
                latest_ms: last.time_ms,
            })),
        }
    }));
    found
}
