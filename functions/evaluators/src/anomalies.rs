//! Feed anomalies: breaks, staleness and false ticks. They are told next to ingest quality and do not change its grade.
//!
//! Prices are `f64` here: they are only compared, never booked.

use bulkhead_kernel::assessment::{Issue, Severity};
use serde_json::{Value, json};

use crate::dimension::{Dimension, PerDimension, SliceResult};
use crate::limit::{above, at_or_above, seconds_between};

/// Scales the median absolute deviation to a standard deviation of normally distributed values: the 0.75 quantile of
/// the standard normal distribution.
const MAD_TO_SIGMA: f64 = 0.674_489_75;
/// The most false ticks of a series that are told one by one.
pub const MAX_FALSE_TICKS_TOLD: usize = 20;

/// From where on a feed is anomalous.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Above this age a feed is stale, in seconds.
    pub age_limit_seconds: PerDimension<f64>,
    /// Above so many times the age limit staleness is critical.
    pub stale_critical_multiplier: f64,
    /// With fewer rows a feed is broken.
    pub minimum_rows: u64,
    /// How many ticks before a tick it is compared with, at most.
    pub window_ticks: usize,
    /// With fewer ticks before it than this, or than half the window, a tick is not judged.
    pub minimum_history_ticks: usize,
    /// From this robust z-score on a tick may be false.
    pub z_score_warn: f64,
    /// From this robust z-score on a false tick is critical.
    pub z_score_critical: f64,
    /// From this distance on a tick may be false, as a fraction of the median before it.
    pub jump_warn: f64,
    /// From this distance on a false tick is critical.
    pub jump_critical: f64,
}

impl Default for Policy {
    /// Ages of 6 hours, 15 minutes and a day, critical at twice that; a row; ticks at 6 and 9 robust standard deviations
    /// and 2 % and 6 % from the median of the 20 before.
    fn default() -> Self {
        Self {
            age_limit_seconds: PerDimension {
                daily_bars: 21_600.0,
                intraday_trades: 900.0,
                macro_events: 86_400.0,
            },
            stale_critical_multiplier: 2.0,
            minimum_rows: 1,
            window_ticks: 20,
            minimum_history_ticks: 5,
            z_score_warn: 6.0,
            z_score_critical: 9.0,
            jump_warn: 0.02,
            jump_critical: 0.06,
        }
    }
}

/// What kind of anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Too few rows.
    FeedBreak,
    /// Neither an age nor a last instant is known.
    MissingFreshness,
    /// The newest row is too old.
    StaleFeed,
    /// A price that the ones before do not support.
    FalseTick,
}

impl Code {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FeedBreak => "feed_break",
            Self::MissingFreshness => "missing_freshness",
            Self::StaleFeed => "stale_feed",
            Self::FalseTick => "false_tick",
        }
    }
}

/// An anomaly.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Where.
    pub dimension: Dimension,
    /// What kind.
    pub code: Code,
    /// `Warn`, or `Fail` for critical.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
}

impl Anomaly {
    /// As metadata; the severity as an alert's.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code.as_str(),
            "severity": self.severity.alert_level().as_str(),
            "message": self.message,
        })
    }

    /// As an issue of an assessment.
    #[must_use]
    pub fn to_issue(&self) -> Issue {
        let message = format!("{}: {}", self.dimension, self.message);
        Issue::new(self.code.as_str(), self.severity, message)
    }
}

/// The anomalies of one dimension's result: a break, an unknown age, staleness.
///
/// The age is the result's freshness, or else the time since its last row.
#[must_use]
pub fn of_result(result: &SliceResult, policy: &Policy, now_ms: i64) -> Vec<Anomaly> {
    let dimension = result.dimension;
    let anomaly = |code, severity, message| Anomaly {
        dimension,
        code,
        severity,
        message,
    };
    let mut anomalies = vec![];
    if result.rows_written < policy.minimum_rows {
        let (rows, minimum) = (result.rows_written, policy.minimum_rows);
        let message = format!("the feed broke: {rows} rows, fewer than {minimum}");
        anomalies.push(anomaly(Code::FeedBreak, Severity::Fail, message));
    }
    let since_end = result.end_ms.map(|end_ms| seconds_between(end_ms, now_ms));
    let limit = *policy.age_limit_seconds.of(dimension);
    match result.freshness_seconds.or(since_end) {
        None => {
            let message = "neither the age nor the last instant is known".to_owned();
            anomalies.push(anomaly(Code::MissingFreshness, Severity::Warn, message));
        }
        Some(age) if above(age, limit) => {
            let severity = if above(age, policy.stale_critical_multiplier * limit) {
                Severity::Fail
            } else {
                Severity::Warn
            };
            let message = format!("the feed is stale: {age:.0} s old, older than {limit:.0} s");
            anomalies.push(anomaly(Code::StaleFeed, severity, message));
        }
        Some(_) => {}
    }
    anomalies
}

/// The prices of one series, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct TickSeries {
    /// The dimension that they belong to.
    pub dimension: Dimension,
    /// The instrument.
    pub symbol: String,
    /// Prices.
    pub prices: Vec<f64>,
}

/// A price that the ones before do not support.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseTick {
    /// Which of the prices.
    pub index: usize,
    /// The price.
    pub price: f64,
    /// Its distance from the median before it in robust standard deviations. Infinite when the prices before did not move.
    pub z_score: f64,
    /// Its distance from the median before it, as a fraction of the median.
    pub jump: f64,
    /// `Warn`, or `Fail` for critical.
    pub severity: Severity,
}

/// The false ticks among prices, oldest first.
///
/// A price that is no positive number is a critical one, and no price is compared with it.
#[must_use]
pub fn false_ticks(prices: &[f64], policy: &Policy) -> Vec<FalseTick> {
    let enough = policy.minimum_history_ticks.max(policy.window_ticks / 2);
    let mut history: Vec<f64> = vec![];
    let mut found = vec![];
    for (index, &price) in prices.iter().enumerate() {
        let window = &history[history.len().saturating_sub(policy.window_ticks)..];
        let (z_score, jump) = if !(price.is_finite() && price > 0.0) {
            (f64::INFINITY, f64::INFINITY)
        } else if window.len() < enough {
            (0.0, 0.0)
        } else {
            distance(price, window)
        };
        if let Some(severity) = grade_tick(z_score, jump, policy) {
            found.push(FalseTick {
                index,
                price,
                z_score,
                jump,
                severity,
            });
        }
        if price.is_finite() && price > 0.0 {
            history.push(price);
        }
    }
    found
}

/// The anomalies of a series of prices: its first [`MAX_FALSE_TICKS_TOLD`] false ticks.
#[must_use]
pub fn of_ticks(series: &TickSeries, policy: &Policy) -> Vec<Anomaly> {
    let ticks = false_ticks(&series.prices, policy).into_iter();
    ticks
        .take(MAX_FALSE_TICKS_TOLD)
        .map(|tick| Anomaly {
            dimension: series.dimension,
            code: Code::FalseTick,
            severity: tick.severity,
            message: format!(
                "{} tick {} at {} is {:.2} % off the median before it",
                series.symbol,
                tick.index,
                tick.price,
                tick.jump * 100.0
            ),
        })
        .collect()
}

/// How bad a tick is. None: it is not false.
fn grade_tick(z_score: f64, jump: f64, policy: &Policy) -> Option<Severity> {
    let z_score = z_score.abs();
    if !(at_or_above(z_score, policy.z_score_warn) && at_or_above(jump, policy.jump_warn)) {
        return None;
    }
    if at_or_above(z_score, policy.z_score_critical) || at_or_above(jump, policy.jump_critical) {
        return Some(Severity::Fail);
    }
    Some(Severity::Warn)
}

/// The robust z-score of a price and its relative distance from the median. `window` holds a positive price at least.
fn distance(price: f64, window: &[f64]) -> (f64, f64) {
    let center = median(window.to_vec());
    let deviation = median(window.iter().map(|other| (other - center).abs()).collect());
    let off = price - center;
    let z_score = if off == 0.0 {
        0.0
    } else {
        MAD_TO_SIGMA * off / deviation
    };
    (z_score, off.abs() / center)
}

/// The middle value, or the mean of the two in the middle; not a number when there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), middle.checked_sub(1)) {
        (Some(upper), Some(below)) if values.len().is_multiple_of(2) => {
            values[below] / 2.0 + upper / 2.0
        }
        (Some(value), _) => *value,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, WARN, result};

    fn check(result: &SliceResult, expect: &[(&str, Severity)]) {
        let found: Vec<(&str, Severity)> = of_result(result, &Policy::default(), NOW_MS)
            .iter()
            .map(|anomaly| (anomaly.code.as_str(), anomaly.severity))
            .collect();
        assert_eq!(found, expect, "{result:?}");
    }

    #[test]
    fn a_feed_without_rows_is_broken() {
        check(
            &result(DailyBars, 0, &[], Some(1.0)),
            &[("feed_break", FAIL)],
        );
        check(&result(DailyBars, 1, &[], Some(1.0)), &[]);
    }

    #[test]
    fn a_feed_without_age_and_last_instant_warns() {
        check(
            &result(DailyBars, 1, &[], None),
            &[("missing_freshness", WARN)],
        );
    }

    #[test]
    fn a_feed_is_stale_above_its_limit_and_critically_above_twice_that() {
        for (dimension, limit) in [
            (DailyBars, 21_600.0),
            (IntradayTrades, 900.0),
            (MacroEvents, 86_400.0),
        ] {
            for (age, expect) in [
                (limit - 1.0, None),
                (limit, None),
                (limit + 0.001, Some(WARN)),
                (2.0 * limit, Some(WARN)),
                (2.0 * limit + 0.001, Some(FAIL)),
                (f64::NAN, Some(FAIL)),
            ] {
                let expect: Vec<_> = expect
                    .map(|severity| ("stale_feed", severity))
                    .into_iter()
                    .collect();
                check(&result(dimension, 1, &[], Some(age)), &expect);
            }
        }
    }

    #[test]
    fn without_an_age_the_time_since_the_last_row_counts() {
        for (seconds, expect) in [(900, None), (901, Some(WARN)), (1_801, Some(FAIL))] {
            let mut result = result(IntradayTrades, 1, &[], None);
            result.end_ms = Some(NOW_MS - seconds * 1_000);
            let expect: Vec<_> = expect
                .map(|severity| ("stale_feed", severity))
                .into_iter()
                .collect();
            check(&result, &expect);
        }
    }

    #[test]
    fn a_tick_is_graded_by_its_z_score_and_its_jump() {
        for (z_score, jump, expect) in [
            (5.999, 0.05, None),
            (6.0, 0.019_999, None),
            (6.0, 0.02, Some(WARN)),
            (-6.0, 0.02, Some(WARN)),
            (8.999, 0.059_999, Some(WARN)),
            (9.0, 0.02, Some(FAIL)),
            (-9.0, 0.02, Some(FAIL)),
            (6.0, 0.06, Some(FAIL)),
            (f64::NAN, 0.02, Some(FAIL)),
            (6.0, f64::NAN, Some(FAIL)),
        ] {
            assert_eq!(
                grade_tick(z_score, jump, &Policy::default()),
                expect,
                "{z_score} {jump}"
            );
        }
    }

    /// So many prices around their median of 100, with a median absolute deviation of 1.
    fn prices(count: usize) -> Vec<f64> {
        [99.0, 100.0, 101.0]
            .into_iter()
            .cycle()
            .take(count)
            .collect()
    }

    #[test]
    fn a_tick_is_judged_only_after_ten_others() {
        for (history, expect) in [(9, 0), (10, 1), (30, 1)] {
            let mut prices = prices(history);
            prices.push(150.0);
            let found = false_ticks(&prices, &Policy::default());
            assert_eq!(found.len(), expect, "after {history}");
        }
    }

    #[test]
    fn a_false_tick_is_told_with_its_distance_from_the_median() {
        let mut prices = prices(10);
        prices.push(110.0);
        let found = false_ticks(&prices, &Policy::default());
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].index, found[0].price, found[0].jump),
            (10, 110.0, 0.1)
        );
        assert!((found[0].z_score - 6.744_897_5).abs() < 1e-9);
        assert_eq!(found[0].severity, FAIL);
    }

    #[test]
    fn after_prices_that_did_not_move_the_jump_alone_decides() {
        for (price, expect) in [
            (100.0, None),
            (101.9, None),
            (102.0, Some(FAIL)),
            (98.0, Some(FAIL)),
        ] {
            let mut prices = vec![100.0; 10];
            prices.push(price);
            let found = false_ticks(&prices, &Policy::default());
            assert_eq!(found.first().map(|tick| tick.severity), expect, "{price}");
        }
    }

    #[test]
    fn a_price_that_is_no_positive_number_is_a_critical_false_tick_and_spoils_no_other() {
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            let mut prices = prices(20);
            prices.push(bad);
            prices.push(100.0);
            let found = false_ticks(&prices, &Policy::default());
            assert_eq!(found.len(), 1, "{bad}");
            assert_eq!((found[0].index, found[0].severity), (20, FAIL), "{bad}");
        }
    }

    #[test]
    fn the_false_ticks_told_of_a_series_are_bounded() {
        let series = TickSeries {
            dimension: DailyBars,
            symbol: "SPY".to_owned(),
            prices: vec![-1.0; 100],
        };
        let anomalies = of_ticks(&series, &Policy::default());
        assert_eq!(anomalies.len(), MAX_FALSE_TICKS_TOLD);
        assert_eq!(anomalies[0].code, Code::FalseTick);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn any_prices_are_judged(prices in prop::collection::vec(any::<f64>(), 0..60)) {
                let found = false_ticks(&prices, &Policy::default());
                let bad = prices.iter().filter(|price| !(price.is_finite() && **price > 0.0));
                prop_assert!(found.len() >= bad.count());
            }
        }
    }
}
