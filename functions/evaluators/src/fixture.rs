//! Plans, results and health reports for tests.

use bulkhead_kernel::assessment::Severity;

use crate::dimension::{
    DailySlice, Dimension, IntradaySlice, MacroSlice, PerDimension, Plan, SliceResult,
};
use crate::ingest_health::{self, HealthReport};

pub(crate) const OK: Severity = Severity::Ok;
pub(crate) const WARN: Severity = Severity::Warn;
pub(crate) const FAIL: Severity = Severity::Fail;
/// The instant of an assessment: 2022-01-01.
pub(crate) const NOW_MS: i64 = 1_640_995_200_000;

pub(crate) fn symbols(symbols: &[&str]) -> Vec<String> {
    symbols.iter().map(|symbol| (*symbol).to_owned()).collect()
}

pub(crate) fn daily(names: &[&str], lookback_days: u32) -> DailySlice {
    DailySlice {
        symbols: symbols(names),
        lookback_days,
    }
}

pub(crate) fn intraday(names: &[&str], lookback_days: u32, interval: &str) -> IntradaySlice {
    IntradaySlice {
        symbols: symbols(names),
        lookback_days,
        interval: interval.parse().unwrap(),
    }
}

/// A plan of daily bars.
pub(crate) fn daily_plan(names: &[&str]) -> Plan {
    Plan {
        daily_bars: Some(daily(names, 60)),
        ..Plan::default()
    }
}

/// A plan of one dimension, of which these symbols or events are expected.
pub(crate) fn plan_of(dimension: Dimension, names: &[&str]) -> Plan {
    let mut plan = Plan::default();
    match dimension {
        Dimension::DailyBars => plan.daily_bars = Some(daily(names, 1)),
        Dimension::IntradayTrades => plan.intraday_trades = Some(intraday(names, 1, "1m")),
        Dimension::MacroEvents => plan.macro_events = Some(MacroSlice::Events(symbols(names))),
    }
    plan
}

pub(crate) fn result(
    dimension: Dimension,
    rows_written: u64,
    names: &[&str],
    freshness_seconds: Option<f64>,
) -> SliceResult {
    SliceResult {
        rows_written,
        symbols: symbols(names),
        ingest_duration_seconds: Some(1.0),
        freshness_seconds,
        source: Some("alpaca".to_owned()),
        ..SliceResult::empty(dimension)
    }
}

pub(crate) fn health(plan: &Plan, results: &[SliceResult]) -> HealthReport {
    let inputs = ingest_health::Inputs { plan, results };
    ingest_health::assess(&inputs, &ingest_health::Policy::default(), NOW_MS)
}

pub(crate) fn every<T: Copy>(value: T) -> PerDimension<T> {
    PerDimension {
        daily_bars: value,
        intraday_trades: value,
        macro_events: value,
    }
}
