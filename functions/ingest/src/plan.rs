//! The ingest plan: what is to be brought in, by dimension. It comes from the manifest's variables; the document
//! `ingest_plan/current`, which only an operator writes, puts dimensions of its own in the place of theirs.
//!
//! The document is an object of `enabled` (false: nothing is ingested), `reason` (why), and the dimensions `daily_bars`
//! (`symbols`, `lookback_days`), `intraday_trades` (the same, and `interval`) and `macro_events` (`enabled`). A dimension that is not
//! there stays as the variables have it; one that is null is not planned. Any other field is an error.

use bulkhead_evaluators::dimension::{self, DailySlice, Dimension, IntradaySlice, MacroSlice};
use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::Key;
use bulkhead_kernel::timeframe::Timeframe;

use crate::settings::{MAX_SYMBOLS, Settings};

mod document;

/// The collection of the plan.
pub const COLLECTION: &str = "ingest_plan";
/// The id of the plan.
pub const ID: &str = "current";
/// How many days of daily bars are looked at, unless the document says otherwise.
pub const DAILY_LOOKBACK_DAYS: u32 = 60;
/// How many days of bars within the day are looked at, unless the document says otherwise.
pub const INTRADAY_LOOKBACK_DAYS: u32 = 2;
/// The most days that a plan may look back.
pub const MAX_LOOKBACK_DAYS: u32 = 3_650;
/// How far around the run macro events are planned, in days.
const MACRO_WINDOW_DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

/// Bars of one length, of several instruments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    /// Their length.
    pub timeframe: Timeframe,
    /// Of which instruments: 1 to [`MAX_SYMBOLS`].
    pub symbols: Vec<Instrument>,
    /// How many days back they are to be complete.
    pub lookback_days: u32,
}

/// What is to be brought in. None: the dimension is not planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Daily bars.
    pub daily_bars: Option<Bars>,
    /// Bars within the day.
    pub intraday_trades: Option<Bars>,
    /// Whether macro events are.
    pub macro_events: bool,
    /// Why nothing is to run, if so.
    pub halted: Option<String>,
}

/// The address of the document.
pub fn key() -> Key {
    Key::new(COLLECTION, ID)
}

impl Plan {
    /// What the variables say.
    pub fn of(settings: &Settings) -> Self {
        let bars = |symbols: &[Instrument], timeframe, lookback_days| {
            (!symbols.is_empty()).then(|| Bars {
                timeframe,
                symbols: symbols.to_vec(),
                lookback_days,
            })
        };
        Self {
            daily_bars: bars(&settings.daily_bars, Timeframe::DAY, DAILY_LOOKBACK_DAYS),
            intraday_trades: bars(
                &settings.instruments,
                settings.timeframe,
                INTRADAY_LOOKBACK_DAYS,
            ),
            macro_events: settings.macro_events.is_some(),
            halted: None,
        }
    }

    /// What the variables say, and the document's body over it.
    ///
    /// # Errors
    /// The text names the document, the field, and what is wrong with it.
    pub fn read(settings: &Settings, body: Option<&str>) -> Result<Self, String> {
        let mut plan = Self::of(settings);
        if let Some(body) = body {
            let named = |error: String| format!("read the document `{COLLECTION}/{ID}`: {error}");
            plan = document::read(plan, body).map_err(named)?;
            if plan.macro_events && settings.macro_events.is_none() {
                return Err(named(
                    "`macro_events.enabled` asks for what the variable `macro_events_enabled` turns off"
                        .to_owned(),
                ));
            }
        }
        if let (Some(daily), Some(intraday)) = (&plan.daily_bars, &plan.intraday_trades)
            && daily.timeframe.millis() == intraday.timeframe.millis()
        {
            return Err(
                "`daily_bars` and `intraday_trades` have bars of the same length, `1d`".to_owned(),
            );
        }
        Ok(plan)
    }

    /// The bars of a dimension.
    pub fn bars(&self, dimension: Dimension) -> Option<&Bars> {
        match dimension {
            Dimension::DailyBars => self.daily_bars.as_ref(),
            Dimension::IntradayTrades => self.intraday_trades.as_ref(),
            Dimension::MacroEvents => None,
        }
    }

    /// The plan in the evaluators' words. Days on which no market of a dimension trades are not among its days.
    pub fn for_evaluators(&self, settings: &Settings, now_ms: i64) -> dimension::Plan {
        let names = |bars: &Bars| bars.symbols.iter().map(ToString::to_string).collect();
        let days = |bars: &Bars| {
            let calendars = bars
                .symbols
                .iter()
                .map(|symbol| calendar(symbol, settings))
                .map(|calendar| calendar.trading_days(bars.lookback_days, now_ms));
            calendars.min().unwrap_or(bars.lookback_days)
        };
        let window = MACRO_WINDOW_DAYS * DAY_MS;
        dimension::Plan {
            daily_bars: self.daily_bars.as_ref().map(|bars| DailySlice {
                symbols: names(bars),
                lookback_days: days(bars),
            }),
            intraday_trades: self.intraday_trades.as_ref().map(|bars| IntradaySlice {
                symbols: names(bars),
                lookback_days: days(bars),
                interval: bars.timeframe,
            }),
            macro_events: self.macro_events.then(|| MacroSlice::Window {
                start_ms: now_ms.saturating_sub(window),
                end_ms: now_ms.saturating_add(window),
            }),
        }
    }
}

/// When an instrument trades: base and quote (`BTC-USDT`) around the clock; a single ticker as US stocks do, where a source
/// is Alpaca, and around the clock where all are Binance's.
pub fn calendar(instrument: &Instrument, settings: &Settings) -> Calendar {
    if is_pair(instrument) || !settings.knows_stocks() {
        Calendar::AroundTheClock
    } else {
        Calendar::UsEquities
    }
}

/// Whether an instrument is named by base and quote.
pub fn is_pair(instrument: &Instrument) -> bool {
    instrument.as_str().contains(['-', '/'])
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::settings::tests::read as settings;

    fn plan(body: &str) -> Result<Plan, String> {
        Plan::read(&settings(&[]).unwrap(), Some(body))
    }

    #[test]
    fn without_a_document_the_variables_are_the_plan() {
        let settings = settings(&[("daily_bars", Some("SPY"))]).unwrap();
        let plan = Plan::read(&settings, None).unwrap();
        assert_eq!(plan.intraday_trades.unwrap().symbols, settings.instruments);
        let daily = plan.daily_bars.unwrap();
        assert_eq!(
            (daily.timeframe.to_string(), daily.lookback_days),
            ("1d".to_owned(), 60)
        );
        assert!(!plan.macro_events);
    }

    #[test]
    fn a_dimension_of_the_document_takes_the_place_of_the_variables() {
        let plan = plan(
            r#"{"intraday_trades": {"symbols": ["sol-usdt"], "interval": "5m", "lookback_days": 3},
                "daily_bars": {"symbols": ["BTC-USDT"]}}"#,
        )
        .unwrap();
        let intraday = plan.intraday_trades.unwrap();
        assert_eq!(intraday.symbols[0].as_str(), "SOL-USDT");
        assert_eq!(
            (intraday.timeframe.to_string(), intraday.lookback_days),
            ("5m".to_owned(), 3)
        );
        assert_eq!(plan.daily_bars.unwrap().lookback_days, DAILY_LOOKBACK_DAYS);
    }

    #[test]
    fn a_dimension_that_is_null_is_not_planned() {
        let plan = plan(r#"{"intraday_trades": null}"#).unwrap();
        assert_eq!(plan.intraday_trades, None);
    }

    #[test]
    fn a_plan_that_is_not_enabled_says_why() {
        let plan = plan(r#"{"enabled": false, "reason": "the venue moves house"}"#).unwrap();
        assert_eq!(plan.halted.as_deref(), Some("the venue moves house"));
    }

    #[test]
    fn a_document_that_is_not_a_plan_is_refused_and_the_field_named() {
        let many: Vec<String> = (0..=MAX_SYMBOLS).map(|n| format!("\"A{n}-B\"")).collect();
        let many = format!(r#"{{"daily_bars": {{"symbols": [{}]}}}}"#, many.join(","));
        for (body, field) in [
            ("[]", "object"),
            ("{", "JSON"),
            (r#"{"intraday": {}}"#, "`intraday`"),
            (r#"{"enabled": "no"}"#, "`enabled`"),
            (r#"{"reason": 1}"#, "`reason`"),
            (r#"{"daily_bars": []}"#, "`daily_bars`"),
            (r#"{"daily_bars": {}}"#, "`daily_bars.symbols`"),
            (r#"{"daily_bars": {"symbols": []}}"#, "`daily_bars.symbols`"),
            (
                r#"{"daily_bars": {"symbols": ["A B"]}}"#,
                "`daily_bars.symbols`",
            ),
            (
                r#"{"daily_bars": {"symbols": ["A"], "interval": "1d"}}"#,
                "`daily_bars.interval`",
            ),
            (
                r#"{"daily_bars": {"symbols": ["A"], "lookback_days": 0}}"#,
                "`daily_bars.lookback_days`",
            ),
            (
                r#"{"daily_bars": {"symbols": ["A"], "lookback_days": 3651}}"#,
                "`daily_bars.lookback_days`",
            ),
            (
                r#"{"intraday_trades": {"symbols": ["A"], "interval": "1x"}}"#,
                "`intraday_trades.interval`",
            ),
            (
                r#"{"macro_events": {"enabled": true}}"#,
                "`macro_events.enabled`",
            ),
            (r#"{"macro_events": {"url": "x"}}"#, "`macro_events.url`"),
            (&many, "`daily_bars.symbols`"),
        ] {
            let error = plan(body).unwrap_err();
            assert!(
                error.contains(field) && error.contains("ingest_plan/current"),
                "{body}: {error}"
            );
        }
    }

    #[test]
    fn a_single_ticker_is_a_stock_only_where_a_source_serves_stocks() {
        let spy = "SPY".parse().unwrap();
        let binance = settings(&[]).unwrap();
        let alpaca = settings(&[("market_data_venue", Some("alpaca"))]).unwrap();
        assert_eq!(calendar(&spy, &binance), Calendar::AroundTheClock);
        assert_eq!(calendar(&spy, &alpaca), Calendar::UsEquities);
        assert_eq!(
            calendar(&"BTC-USD".parse().unwrap(), &alpaca),
            Calendar::AroundTheClock
        );
    }
}
