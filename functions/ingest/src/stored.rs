//! What the stage's documents say of the plan and of what came of it, for whoever looks from outside of a run. Pure.

use bulkhead_evaluators::dimension::{self, Dimension, SliceResult};
use bulkhead_evaluators::ingest_health;

use crate::assess::{health_policy, is_missing, slice_results};
use crate::journal::State;
use crate::pass::{Progress, SeriesRun};
use crate::plan::{Bars, Plan, calendar};
use crate::poll::Tally;
use crate::series::{Ledger, Shape};
use crate::settings::Settings;

/// The bodies of the documents. None: there is no such document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bodies<'a> {
    /// `ingest_plan/current`.
    pub plan: Option<&'a str>,
    /// `ingest/state`.
    pub state: Option<&'a str>,
    /// `ingest/series/daily_bars`.
    pub daily_bars: Option<&'a str>,
    /// `ingest/series/intraday_trades`.
    pub intraday_trades: Option<&'a str>,
}

/// What they say.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What is planned.
    pub plan: Plan,
    /// The same in the evaluators' words.
    pub planned: dimension::Plan,
    /// What came of each planned dimension, without the symbols that no source gave.
    pub results: Vec<SliceResult>,
    /// How the health of it is graded.
    pub health: ingest_health::Policy,
}

/// Reads them, as of `now_ms`.
///
/// # Errors
/// A document cannot be read; the text names it.
pub fn read(settings: &Settings, bodies: &Bodies<'_>, now_ms: i64) -> Result<Stored, String> {
    let plan = Plan::read(settings, bodies.plan)?;
    let state: Option<State> = parse("ingest/state", bodies.state)?;
    let intraday = plan.intraday_trades.as_ref().map(|bars| bars.timeframe);
    let health = health_policy(intraday);
    let mut series = vec![];
    for (dimension, body) in [
        (Dimension::DailyBars, bodies.daily_bars),
        (Dimension::IntradayTrades, bodies.intraday_trades),
    ] {
        let ledger = parse(&format!("ingest/series/{dimension}"), body)?;
        if let Some(bars) = plan.bars(dimension) {
            series.extend(found(settings, dimension, bars, ledger.as_ref()));
        }
    }
    let macro_events = state
        .as_ref()
        .map(|state| state.memory.macro_events.clone())
        .unwrap_or_default();
    let duration_ms = state.as_ref().map_or(0.0, |state| state.last.duration_ms);
    let series: Vec<&SeriesRun> = series.iter().collect();
    let results = slice_results(
        &series,
        plan.macro_events.then_some(&macro_events),
        duration_ms / 1_000.0,
        |series| {
            let limits = health.limits.of(series.dimension);
            is_missing(series, limits.freshness_limit_seconds, now_ms)
        },
        now_ms,
    );
    Ok(Stored {
        planned: plan.for_evaluators(settings, now_ms),
        plan,
        results,
        health,
    })
}

fn parse<T: serde::de::DeserializeOwned>(
    name: &str,
    body: Option<&str>,
) -> Result<Option<T>, String> {
    body.map(serde_json::from_str)
        .transpose()
        .map_err(|error| format!("read the document `{name}`: {error}"))
}

/// The planned series of a dimension as the last run left them.
fn found(
    settings: &Settings,
    dimension: Dimension,
    bars: &Bars,
    ledger: Option<&Ledger>,
) -> Vec<SeriesRun> {
    let ledger = ledger.filter(|ledger| ledger.timeframe == bars.timeframe);
    let series = bars.symbols.iter().map(|instrument| {
        let known = ledger.and_then(|ledger| ledger.symbols.get(instrument.as_str()));
        let known = known.cloned().unwrap_or_default();
        SeriesRun {
            dimension,
            instrument: instrument.clone(),
            shape: Shape {
                timeframe: bars.timeframe,
                calendar: calendar(instrument, settings),
                lookback_days: bars.lookback_days,
            },
            progress: match &known.error {
                Some(error) => Progress::Waiting(error.clone()),
                None => Progress::Idle,
            },
            known,
            tally: Tally::default(),
            served_by: None,
            quarantined: vec![],
            has_older_bars: false,
        }
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::world::{FIRST_MS, MINUTE_MS, World};

    const TWO: (&str, &str) = ("instruments", "BTC-USDT,ETH-USDT");

    fn stored(world: &World, now_ms: i64) -> Result<Stored, String> {
        let body = |collection: &str, id: &str| {
            let body = world.body(collection, id);
            (!body.is_null()).then(|| body.to_string())
        };
        let (plan, state) = (body("ingest_plan", "current"), body("ingest", "state"));
        let intraday = body("ingest/series", "intraday_trades");
        let bodies = Bodies {
            plan: plan.as_deref(),
            state: state.as_deref(),
            daily_bars: None,
            intraday_trades: intraday.as_deref(),
        };
        read(&world.settings(), &bodies, now_ms)
    }

    #[test]
    fn what_a_run_left_is_read_as_what_came_of_each_dimension() {
        let world = World::with_bars(0..3).with(TWO.0, TWO.1);
        world.unknown.borrow_mut().insert("ETHUSDT".to_owned());
        let now_ms = FIRST_MS + 3 * MINUTE_MS;
        world.poll_at(now_ms, "r1").unwrap();
        let stored = stored(&world, now_ms).unwrap();
        assert_eq!(
            stored.planned.expected_symbols(Dimension::IntradayTrades),
            ["BTC-USDT", "ETH-USDT"]
        );
        let [result] = <[SliceResult; 1]>::try_from(stored.results).unwrap();
        assert_eq!(result.symbols, ["BTC-USDT"], "no source gave the other");
        assert_eq!(
            (result.rows_written, result.freshness_seconds),
            (3, Some(0.0))
        );
    }

    #[test]
    fn before_the_first_run_nothing_came_of_what_is_planned() {
        let stored = stored(&World::default(), FIRST_MS).unwrap();
        assert_eq!(stored.results[0].rows_written, 0);
        assert!(stored.results[0].symbols.is_empty());
    }

    #[test]
    fn a_document_that_cannot_be_read_is_named() {
        let world = World::default();
        world.put("ingest/series", "intraday_trades", "[]");
        let error = stored(&world, FIRST_MS).unwrap_err();
        assert!(error.contains("`ingest/series/intraday_trades`"), "{error}");
    }
}
