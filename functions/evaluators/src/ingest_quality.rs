//! Ingest quality: a score from 0 to 1 of how complete and how fresh each dimension is.

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use bulkhead_kernel::timeframe::Timeframe;
use serde_json::{Value, json};

use crate::anomalies::{self, Anomaly, TickSeries};
use crate::dimension::{
    Dimension, MacroSlice, PerDimension, Plan, SliceResult, result_of, seen_or_planned,
};
use crate::findings::Findings;
use crate::limit::{above, below, round};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.quality";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";
/// How many decimals the report's score has.
const SCORE_DECIMALS: i32 = 4;

/// How scores are made and graded.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Below this score: warn.
    pub warn_below: f64,
    /// Below this score: error.
    pub error_below: f64,
    /// The highest score while freshness is unknown.
    pub unknown_freshness_score: f64,
    /// Above this age of the newest row, in seconds, the score falls; at twice this age it is 0.
    pub freshness_limit_seconds: PerDimension<f64>,
    /// How many minutes a trading day has: how many one-minute bars are expected of it.
    pub session_minutes: u64,
    /// How many one-hour bars are expected of a trading day.
    pub session_hours: u64,
    /// From where on a feed is anomalous.
    pub anomalies: anomalies::Policy,
}

impl Default for Policy {
    /// Warn below 0.85, error below 0.60, 0.75 at most while freshness is unknown; the freshness limits of ingest health; a
    /// trading day of 390 minutes or 7 hours.
    fn default() -> Self {
        Self {
            warn_below: 0.85,
            error_below: 0.60,
            unknown_freshness_score: 0.75,
            freshness_limit_seconds: PerDimension {
                daily_bars: 86_400.0,
                intraday_trades: 900.0,
                macro_events: 604_800.0,
            },
            session_minutes: 390,
            session_hours: 7,
            anomalies: anomalies::Policy::default(),
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// What came of it. Of several results of a dimension the last counts.
    pub results: &'a [SliceResult],
    /// Prices to look for false ticks in.
    pub ticks: &'a [TickSeries],
}

/// The quality of one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionQuality {
    /// The dimension.
    pub dimension: Dimension,
    /// How good it is.
    pub severity: Severity,
    /// From 0 to 1.
    pub score: f64,
    /// Rows divided by expected rows, at most 1. None: how many to expect is unknown, or there are none.
    pub coverage: Option<f64>,
    /// How many rows were to be expected.
    pub expected_rows: Option<u64>,
    /// Why.
    pub message: String,
    /// What else is strange about it.
    pub anomalies: Vec<Anomaly>,
}

/// The quality of an ingest run.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityReport {
    /// As every evaluator answers.
    pub assessment: Assessment,
    /// The lowest score, to four decimals. None: there is no dimension.
    pub score: Option<f64>,
    /// Each dimension, by name.
    pub dimensions: Vec<DimensionQuality>,
}

impl QualityReport {
    /// The quality of a dimension.
    #[must_use]
    pub fn of(&self, dimension: Dimension) -> Option<&DimensionQuality> {
        self.dimensions
            .iter()
            .find(|quality| quality.dimension == dimension)
    }
}

/// Scores each dimension that was planned or brought in; the worst counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> QualityReport {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_ERROR, now_ms);
    let mut dimensions: Vec<DimensionQuality> = vec![];
    for dimension in seen_or_planned(inputs.plan, inputs.results) {
        let empty = SliceResult::empty(dimension);
        let result = result_of(inputs.results, dimension).unwrap_or(&empty);
        let (scored, findings) = dimension_quality(
            result,
            expected_rows(inputs.plan, dimension, policy),
            policy,
        );
        let anomalies = dimension_anomalies(result, inputs.ticks, &policy.anomalies, now_ms);
        let quality = with_anomalies(scored, anomalies);
        assessment.check(check(&quality, result));
        findings.raise_in(&mut assessment, dimension.as_str());
        for anomaly in &quality.anomalies {
            assessment.remark(anomaly.to_issue());
        }
        assessment.measure(format!("{dimension}.score"), quality.score);
        dimensions.push(quality);
    }
    let scores = dimensions.iter().map(|quality| quality.score);
    let score = scores
        .reduce(f64::min)
        .map(|score| round(score, SCORE_DECIMALS));
    if let Some(score) = score {
        assessment.measure("score", score);
    }
    QualityReport {
        assessment,
        score,
        dimensions,
    }
}

/// How many rows are to be expected of a dimension. None: unknown.
#[must_use]
pub fn expected_rows(plan: &Plan, dimension: Dimension, policy: &Policy) -> Option<u64> {
    match dimension {
        Dimension::DailyBars => {
            let slice = plan.daily_bars.as_ref()?;
            symbol_days(&slice.symbols, slice.lookback_days)
        }
        Dimension::IntradayTrades => {
            let slice = plan.intraday_trades.as_ref()?;
            let samples = samples_per_day(slice.interval, policy);
            Some(symbol_days(&slice.symbols, slice.lookback_days)?.saturating_mul(samples))
        }
        Dimension::MacroEvents => match plan.macro_events.as_ref()? {
            MacroSlice::Events(events) => Some(events.len() as u64).filter(|count| *count > 0),
            MacroSlice::Window { .. } => Some(1),
        },
    }
}

fn symbol_days(symbols: &[String], lookback_days: u32) -> Option<u64> {
    Some(symbols.len() as u64 * u64::from(lookback_days)).filter(|count| *count > 0)
}

/// How many bars of a length a trading day has: one at least. Hours are counted by the hour, since a session does not begin
/// on one: `60m` and `1h` differ.
fn samples_per_day(interval: Timeframe, policy: &Policy) -> u64 {
    const MINUTE_MS: u64 = 60_000;
    const HOUR_MS: u64 = 60 * MINUTE_MS;
    let interval_ms = interval.millis().unsigned_abs().max(1);
    let samples = if interval.to_string().ends_with('h') {
        policy.session_hours.saturating_mul(HOUR_MS) / interval_ms
    } else {
        policy.session_minutes.saturating_mul(MINUTE_MS) / interval_ms
    };
    samples.max(1)
}

/// How good rows are, whoever they belong to: a dimension, or one symbol of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// From 0 to 1.
    pub score: f64,
    /// How good that is.
    pub severity: Severity,
    /// Rows divided by expected rows, at most 1. None: how many to expect is unknown, or there are none.
    pub coverage: Option<f64>,
    /// What took from the score; empty when nothing did.
    pub reasons: String,
}

/// Scores rows: their coverage, or less when the newest is too old; 0 without rows.
#[must_use]
pub fn score(
    rows: u64,
    expected_rows: Option<u64>,
    freshness_seconds: Option<f64>,
    freshness_limit_seconds: f64,
    policy: &Policy,
) -> Score {
    let limit = freshness_limit_seconds;
    let coverage = expected_rows
        .filter(|expected| rows > 0 && *expected > 0)
        .map(|expected| (rows as f64 / expected as f64).clamp(0.0, 1.0));
    let mut score: f64 = if rows == 0 {
        0.0
    } else {
        coverage.unwrap_or(1.0)
    };
    match freshness_seconds {
        None => score = score.min(policy.unknown_freshness_score),
        Some(age) if above(age, limit) => {
            score = score.min((1.0 - (age - limit) / limit.max(1.0)).max(0.0));
        }
        Some(_) => {}
    }
    let severity = if below(score, policy.error_below) {
        Severity::Fail
    } else if below(score, policy.warn_below) {
        Severity::Warn
    } else {
        Severity::Ok
    };
    Score {
        score,
        severity,
        coverage,
        reasons: reasons(rows, coverage, freshness_seconds, limit),
    }
}

fn dimension_quality(
    result: &SliceResult,
    expected_rows: Option<u64>,
    policy: &Policy,
) -> (DimensionQuality, Findings) {
    let Score {
        score,
        severity,
        coverage,
        reasons,
    } = score(
        result.rows_written,
        expected_rows,
        result.freshness_seconds,
        *policy.freshness_limit_seconds.of(result.dimension),
        policy,
    );
    let mut findings = Findings::default();
    if severity > Severity::Ok {
        findings.add("quality", severity, format!("score {score:.4}: {reasons}"));
    }
    let quality = DimensionQuality {
        dimension: result.dimension,
        severity,
        score,
        coverage,
        expected_rows,
        message: findings.summary(&format!("score {score:.4}")),
        anomalies: vec![],
    };
    (quality, findings)
}

fn reasons(rows: u64, coverage: Option<f64>, freshness_seconds: Option<f64>, limit: f64) -> String {
    let mut reasons = vec![];
    if rows == 0 {
        reasons.push("no rows".to_owned());
    }
    if let Some(coverage) = coverage.filter(|coverage| *coverage < 1.0) {
        reasons.push(format!("{:.1} % of the expected rows", coverage * 100.0));
    }
    match freshness_seconds {
        None => reasons.push("how fresh the data is, is unknown".to_owned()),
        Some(age) if above(age, limit) => {
            reasons.push(format!(
                "the newest row is {age:.0} s old, older than {limit:.0} s"
            ));
        }
        Some(_) => {}
    }
    reasons.join(", ")
}

fn dimension_anomalies(
    result: &SliceResult,
    ticks: &[TickSeries],
    policy: &anomalies::Policy,
    now_ms: i64,
) -> Vec<Anomaly> {
    let mut found = anomalies::of_result(result, policy, now_ms);
    for series in ticks
        .iter()
        .filter(|series| series.dimension == result.dimension)
    {
        found.extend(anomalies::of_ticks(series, policy));
    }
    found
}

fn with_anomalies(mut quality: DimensionQuality, anomalies: Vec<Anomaly>) -> DimensionQuality {
    for anomaly in &anomalies {
        quality.message.push_str("; ");
        quality.message.push_str(&anomaly.message);
    }
    DimensionQuality {
        anomalies,
        ..quality
    }
}

fn check(quality: &DimensionQuality, result: &SliceResult) -> Check {
    let anomalies: Vec<Value> = quality.anomalies.iter().map(Anomaly::to_json).collect();
    Check::new(
        quality.dimension.as_str(),
        quality.severity,
        &quality.message,
    )
    .with("score", quality.score)
    .with("rows_written", result.rows_written)
    .with("freshness_seconds", result.freshness_seconds)
    .with_some("expected_rows", quality.expected_rows)
    .with_some("coverage", quality.coverage)
    .with_some(
        "feed_anomalies",
        (!anomalies.is_empty()).then(|| json!(anomalies)),
    )
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, daily, intraday, plan_of, result, symbols};

    fn quality(plan: &Plan, results: &[SliceResult]) -> QualityReport {
        let inputs = Inputs {
            plan,
            results,
            ticks: &[],
        };
        assess(&inputs, &Policy::default(), NOW_MS)
    }

    fn daily_plan(names: &[&str], lookback_days: u32) -> Plan {
        Plan {
            daily_bars: Some(daily(names, lookback_days)),
            ..Plan::default()
        }
    }

    #[test]
    fn every_expected_row_gives_full_coverage() {
        let report = quality(
            &daily_plan(&["SPY", "QQQ"], 1),
            &[result(DailyBars, 2, &[], Some(60.0))],
        );
        assert_eq!(report.dimensions[0].coverage, Some(1.0));
        assert_eq!((report.score, report.assessment.severity), (Some(1.0), OK));
    }

    #[test]
    fn three_of_four_rows_warn() {
        let report = quality(
            &daily_plan(&["SPY", "QQQ"], 2),
            &[result(DailyBars, 3, &[], Some(60.0))],
        );
        assert_eq!(
            (report.score, report.assessment.severity),
            (Some(0.75), WARN)
        );
    }

    #[test]
    fn no_rows_score_zero_and_are_an_error() {
        for results in [vec![result(DailyBars, 0, &[], Some(60.0))], vec![]] {
            let report = quality(&daily_plan(&["SPY"], 1), &results);
            assert_eq!(
                (report.score, report.assessment.severity),
                (Some(0.0), FAIL)
            );
        }
    }

    #[test]
    fn a_score_is_graded_at_its_thresholds() {
        for (rows, expect) in [
            (100, OK),
            (150, OK),
            (86, OK),
            (85, OK),
            (84, WARN),
            (61, WARN),
            (60, WARN),
            (59, FAIL),
            (1, FAIL),
        ] {
            let results = [result(DailyBars, rows, &[], Some(60.0))];
            let report = quality(&daily_plan(&["SPY"], 100), &results);
            assert_eq!(report.assessment.severity, expect, "{rows} of 100");
            assert_eq!(report.score, Some((rows as f64 / 100.0).min(1.0)));
        }
    }

    #[test]
    fn the_reports_score_has_four_decimals() {
        let report = quality(
            &daily_plan(&["SPY"], 3),
            &[result(DailyBars, 2, &[], Some(1.0))],
        );
        assert_eq!(report.score, Some(0.6667));
    }

    #[test]
    fn unknown_freshness_caps_the_score_at_three_quarters() {
        let report = quality(&daily_plan(&["SPY"], 1), &[result(DailyBars, 1, &[], None)]);
        assert_eq!(
            (report.score, report.assessment.severity),
            (Some(0.75), WARN)
        );
        let report = quality(&daily_plan(&["SPY"], 2), &[result(DailyBars, 1, &[], None)]);
        assert_eq!(report.score, Some(0.5));
    }

    #[test]
    fn the_score_falls_from_the_freshness_limit_to_zero_at_twice_the_limit() {
        for (age, score, expect) in [
            (900.0, 1.0, OK),
            (909.0, 0.99, OK),
            (1_035.0, 0.85, OK),
            (1_036.0, 0.8489, WARN),
            (1_260.0, 0.6, WARN),
            (1_261.0, 0.5989, FAIL),
            (1_800.0, 0.0, FAIL),
            (9_999.0, 0.0, FAIL),
            (f64::INFINITY, 0.0, FAIL),
            (f64::NAN, 0.0, FAIL),
        ] {
            let results = [result(IntradayTrades, 1, &[], Some(age))];
            let report = quality(&Plan::default(), &results);
            assert_eq!(
                (report.score, report.assessment.severity),
                (Some(score), expect),
                "{age}"
            );
        }
    }

    #[test]
    fn the_freshness_limits_are_those_of_ingest_health() {
        let (health, quality) = (crate::ingest_health::Policy::default(), Policy::default());
        for dimension in Dimension::ALL {
            assert_eq!(
                health.limits.of(dimension).freshness_limit_seconds,
                *quality.freshness_limit_seconds.of(dimension)
            );
        }
    }

    #[test]
    fn intraday_rows_are_expected_by_the_interval() {
        for (interval, expect) in [
            ("1s", 23_400),
            ("30s", 780),
            ("1m", 390),
            ("5m", 78),
            ("7m", 55),
            ("60m", 6),
            ("390m", 1),
            ("391m", 1),
            ("1h", 7),
            ("2h", 3),
            ("7h", 1),
            ("8h", 1),
            ("24h", 1),
            ("1d", 1),
            ("1w", 1),
        ] {
            let plan = Plan {
                intraday_trades: Some(intraday(&["SPY", "QQQ"], 3, interval)),
                ..Plan::default()
            };
            let rows = expected_rows(&plan, IntradayTrades, &Policy::default());
            assert_eq!(rows, Some(2 * 3 * expect), "{interval}");
        }
    }

    #[test]
    fn macro_rows_are_expected_by_event_and_one_of_a_window() {
        let plan = plan_of(MacroEvents, &["CPI", "NFP"]);
        assert_eq!(
            expected_rows(&plan, MacroEvents, &Policy::default()),
            Some(2)
        );
        let plan = Plan {
            macro_events: Some(MacroSlice::Window {
                start_ms: 0,
                end_ms: 1,
            }),
            ..Plan::default()
        };
        assert_eq!(
            expected_rows(&plan, MacroEvents, &Policy::default()),
            Some(1)
        );
    }

    #[test]
    fn without_symbols_or_days_how_many_rows_to_expect_is_unknown() {
        for plan in [
            daily_plan(&[], 5),
            daily_plan(&["SPY"], 0),
            Plan::default(),
            Plan {
                macro_events: Some(MacroSlice::Events(symbols(&[]))),
                ..Plan::default()
            },
        ] {
            for dimension in Dimension::ALL {
                assert_eq!(
                    expected_rows(&plan, dimension, &Policy::default()),
                    None,
                    "{plan:?}"
                );
            }
        }
    }

    #[test]
    fn anomalies_are_told_and_do_not_change_the_grade() {
        let inputs = Inputs {
            plan: &Plan::default(),
            results: &[result(DailyBars, 1, &["SPY"], Some(50_000.0))],
            ticks: &[TickSeries {
                dimension: DailyBars,
                symbol: "SPY".to_owned(),
                prices: vec![-1.0],
            }],
        };
        let report = assess(&inputs, &Policy::default(), NOW_MS);
        assert_eq!(report.assessment.severity, OK);
        let json = report.assessment.to_json();
        let codes: Vec<&Value> = json["checks"][0]["metadata"]["feed_anomalies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|anomaly| &anomaly["code"])
            .collect();
        assert_eq!(codes, ["stale_feed", "false_tick"]);
        let summary = json["checks"][0]["summary"].as_str().unwrap();
        assert!(summary.contains("the feed is stale"), "{summary}");
        assert_eq!(json["metadata"]["highest_issue_severity"], "error");
    }

    #[test]
    fn the_worst_dimension_gives_the_score() {
        let results = [
            result(DailyBars, 1, &[], Some(1.0)),
            result(IntradayTrades, 1, &[], None),
        ];
        let report = quality(&Plan::default(), &results);
        assert_eq!(
            (report.score, report.assessment.severity),
            (Some(0.75), WARN)
        );
    }

    #[test]
    fn without_a_dimension_there_is_no_score() {
        let report = quality(&Plan::default(), &[]);
        assert_eq!((report.score, report.assessment.severity), (None, OK));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn a_score_is_between_zero_and_one(rows in any::<u64>(), days in any::<u32>(), age in any::<Option<f64>>()) {
                let report = quality(&daily_plan(&["SPY"], days), &[result(DailyBars, rows, &[], age)]);
                let score = report.score.unwrap();
                prop_assert!((0.0..=1.0).contains(&score), "{}", score);
            }
        }
    }
}
