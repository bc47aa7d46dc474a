//! What is ingested: dimensions, what is planned of each, and what came of it.

use std::collections::BTreeSet;
use std::fmt;

use bulkhead_kernel::timeframe::Timeframe;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A kind of data. Ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// A bar a day.
    DailyBars,
    /// Bars within the day.
    IntradayTrades,
    /// Dated events of the economy.
    MacroEvents,
}

impl Dimension {
    /// All of them, by name.
    pub const ALL: [Self; 3] = [Self::DailyBars, Self::IntradayTrades, Self::MacroEvents];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DailyBars => "daily_bars",
            Self::IntradayTrades => "intraday_trades",
            Self::MacroEvents => "macro_events",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Dimension> for Value {
    fn from(dimension: Dimension) -> Self {
        Self::from(dimension.as_str())
    }
}

/// A value for each dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerDimension<T> {
    /// For daily bars.
    pub daily_bars: T,
    /// For intraday trades.
    pub intraday_trades: T,
    /// For macro events.
    pub macro_events: T,
}

impl<T> PerDimension<T> {
    /// The value for a dimension.
    pub fn of(&self, dimension: Dimension) -> &T {
        match dimension {
            Dimension::DailyBars => &self.daily_bars,
            Dimension::IntradayTrades => &self.intraday_trades,
            Dimension::MacroEvents => &self.macro_events,
        }
    }
}

/// The daily bars that are planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailySlice {
    /// Of which instruments.
    pub symbols: Vec<String>,
    /// How many days back.
    pub lookback_days: u32,
}

/// The intraday bars that are planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntradaySlice {
    /// Of which instruments.
    pub symbols: Vec<String>,
    /// How many days back.
    pub lookback_days: u32,
    /// The bars' length.
    pub interval: Timeframe,
}

/// The macro events that are planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacroSlice {
    /// These events, by name.
    Events(Vec<String>),
    /// Whatever happens in a window.
    Window {
        /// From this instant, in Unix milliseconds.
        start_ms: i64,
        /// Up to this instant, in Unix milliseconds.
        end_ms: i64,
    },
}

/// What an ingest run is to bring in. None: the dimension is not planned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Daily bars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_bars: Option<DailySlice>,
    /// Intraday bars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intraday_trades: Option<IntradaySlice>,
    /// Macro events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_events: Option<MacroSlice>,
}

impl Plan {
    /// Whether the dimension is planned.
    #[must_use]
    pub fn contains(&self, dimension: Dimension) -> bool {
        match dimension {
            Dimension::DailyBars => self.daily_bars.is_some(),
            Dimension::IntradayTrades => self.intraday_trades.is_some(),
            Dimension::MacroEvents => self.macro_events.is_some(),
        }
    }

    /// The planned dimensions, by name.
    #[must_use]
    pub fn dimensions(&self) -> Vec<Dimension> {
        Dimension::ALL
            .into_iter()
            .filter(|dimension| self.contains(*dimension))
            .collect()
    }

    /// Whether nothing is planned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dimensions().is_empty()
    }

    /// The symbols that are expected of a dimension: of macro events, the names of the planned events. Empty: unknown.
    #[must_use]
    pub fn expected_symbols(&self, dimension: Dimension) -> &[String] {
        let symbols = match dimension {
            Dimension::DailyBars => self.daily_bars.as_ref().map(|slice| &slice.symbols),
            Dimension::IntradayTrades => self.intraday_trades.as_ref().map(|slice| &slice.symbols),
            Dimension::MacroEvents => match &self.macro_events {
                Some(MacroSlice::Events(events)) => Some(events),
                Some(MacroSlice::Window { .. }) | None => None,
            },
        };
        symbols.map_or(&[], Vec::as_slice)
    }

    /// What is planned of a dimension, as JSON. Null: nothing.
    #[must_use]
    pub fn slice_json(&self, dimension: Dimension) -> Value {
        match dimension {
            Dimension::DailyBars => json!(self.daily_bars),
            Dimension::IntradayTrades => json!(self.intraday_trades),
            Dimension::MacroEvents => json!(self.macro_events),
        }
    }
}

/// What came of one dimension in an ingest run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceResult {
    /// The dimension.
    pub dimension: Dimension,
    /// Rows that were stored.
    pub rows_written: u64,
    /// Symbols that rows came in for.
    pub symbols: Vec<String>,
    /// The first row's instant, in Unix milliseconds.
    pub start_ms: Option<i64>,
    /// The last row's instant, in Unix milliseconds.
    pub end_ms: Option<i64>,
    /// How long it took, in seconds.
    pub ingest_duration_seconds: Option<f64>,
    /// The age of the newest row, in seconds. None: unknown.
    pub freshness_seconds: Option<f64>,
    /// Where the rows came from.
    pub source: Option<String>,
}

impl SliceResult {
    /// The result of a dimension for which nothing came in.
    #[must_use]
    pub fn empty(dimension: Dimension) -> Self {
        Self {
            dimension,
            rows_written: 0,
            symbols: vec![],
            start_ms: None,
            end_ms: None,
            ingest_duration_seconds: None,
            freshness_seconds: None,
            source: None,
        }
    }

    /// Adds what a recovery of the same dimension brought in: rows and durations add up, symbols unite, the range widens,
    /// the freshest row counts.
    pub fn merge(&mut self, recovered: Self) {
        self.rows_written = self.rows_written.saturating_add(recovered.rows_written);
        for symbol in recovered.symbols {
            if !self.symbols.contains(&symbol) {
                self.symbols.push(symbol);
            }
        }
        self.start_ms = united(self.start_ms, recovered.start_ms, i64::min);
        self.end_ms = united(self.end_ms, recovered.end_ms, i64::max);
        self.ingest_duration_seconds = united(
            self.ingest_duration_seconds,
            recovered.ingest_duration_seconds,
            |one, other| one + other,
        );
        self.freshness_seconds = united(
            self.freshness_seconds,
            recovered.freshness_seconds,
            f64::min,
        );
        self.source = self.source.take().or(recovered.source);
    }
}

fn united<T>(one: Option<T>, other: Option<T>, unite: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(unite(one, other)),
        (one, other) => one.or(other),
    }
}

/// The result of a dimension: the last of them, should there be several.
pub(crate) fn result_of(results: &[SliceResult], dimension: Dimension) -> Option<&SliceResult> {
    results.iter().rfind(|result| result.dimension == dimension)
}

/// The dimensions of the results and of the plan, by name.
pub(crate) fn seen_or_planned(plan: &Plan, results: &[SliceResult]) -> BTreeSet<Dimension> {
    let seen = results.iter().map(|result| result.dimension);
    seen.chain(plan.dimensions()).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::fixture::{intraday, symbols};

    #[test]
    fn dimensions_are_ordered_by_their_names() {
        let names = Dimension::ALL.map(Dimension::as_str);
        assert!(names.is_sorted());
        assert!(Dimension::ALL.is_sorted());
    }

    #[test]
    fn a_plan_travels_through_json_without_what_is_not_planned() {
        let plan = Plan {
            intraday_trades: Some(intraday(&["SPY"], 2, "1m")),
            macro_events: Some(MacroSlice::Events(symbols(&["CPI"]))),
            ..Plan::default()
        };
        let text = json!(plan);
        assert_eq!(
            text,
            json!({
                "intraday_trades": {"symbols": ["SPY"], "lookback_days": 2, "interval": "1m"},
                "macro_events": {"events": ["CPI"]},
            })
        );
        assert_eq!(serde_json::from_value::<Plan>(text).unwrap(), plan);
    }

    #[test]
    fn macro_events_are_expected_by_name_and_a_window_expects_none() {
        let mut plan = Plan::default();
        assert!(plan.expected_symbols(Dimension::MacroEvents).is_empty());
        plan.macro_events = Some(MacroSlice::Window {
            start_ms: 0,
            end_ms: 1,
        });
        assert!(plan.expected_symbols(Dimension::MacroEvents).is_empty());
        plan.macro_events = Some(MacroSlice::Events(symbols(&["CPI"])));
        assert_eq!(plan.expected_symbols(Dimension::MacroEvents), ["CPI"]);
    }

    #[test]
    fn a_recovery_adds_rows_and_durations_unites_symbols_and_keeps_the_freshest() {
        let mut result = SliceResult {
            rows_written: 3,
            symbols: symbols(&["SPY"]),
            start_ms: Some(10),
            end_ms: Some(20),
            ingest_duration_seconds: Some(1.5),
            freshness_seconds: Some(90.0),
            source: Some("alpaca".to_owned()),
            ..SliceResult::empty(Dimension::DailyBars)
        };
        result.merge(SliceResult {
            rows_written: 4,
            symbols: symbols(&["SPY", "QQQ"]),
            start_ms: Some(5),
            end_ms: Some(15),
            ingest_duration_seconds: Some(2.0),
            freshness_seconds: Some(60.0),
            source: Some("binance".to_owned()),
            ..SliceResult::empty(Dimension::DailyBars)
        });
        assert_eq!(result.rows_written, 7);
        assert_eq!(result.symbols, ["SPY", "QQQ"]);
        assert_eq!((result.start_ms, result.end_ms), (Some(5), Some(20)));
        assert_eq!(result.ingest_duration_seconds, Some(3.5));
        assert_eq!(result.freshness_seconds, Some(60.0));
        assert_eq!(result.source.as_deref(), Some("alpaca"));
    }

    #[test]
    fn a_recovery_of_nothing_changes_nothing() {
        let mut result = SliceResult {
            rows_written: 3,
            freshness_seconds: Some(90.0),
            ..SliceResult::empty(Dimension::DailyBars)
        };
        let before = result.clone();
        result.merge(SliceResult::empty(Dimension::DailyBars));
        assert_eq!(result, before);
    }
}
