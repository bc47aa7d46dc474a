//! Ingest health: did each planned dimension bring in what was planned, and is it fresh?

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use serde_json::{Value, json};

use crate::dimension::{Dimension, PerDimension, Plan, SliceResult, result_of, seen_or_planned};
use crate::findings::{Findings, listed};
use crate::limit::above;

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.health";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// What is asked of one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Above this age of the newest row, in seconds, the dimension warns.
    pub freshness_limit_seconds: f64,
    /// Below so many rows, but above none, the dimension warns.
    pub minimum_rows: u64,
}

/// What is asked of each dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// By dimension.
    pub limits: PerDimension<Limits>,
}

impl Default for Policy {
    /// Daily bars a day old at most, intraday trades 15 minutes, macro events a week; a row each, of macro events none.
    fn default() -> Self {
        let limits = |freshness_limit_seconds, minimum_rows| Limits {
            freshness_limit_seconds,
            minimum_rows,
        };
        Self {
            limits: PerDimension {
                daily_bars: limits(86_400.0, 1),
                intraday_trades: limits(900.0, 1),
                macro_events: limits(604_800.0, 0),
            },
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
}

/// The health of one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionHealth {
    /// The dimension.
    pub dimension: Dimension,
    /// How it is.
    pub severity: Severity,
    /// Why.
    pub message: String,
    /// Rows that were stored.
    pub rows_written: u64,
    /// The age of the newest row, in seconds. None: unknown.
    pub freshness_seconds: Option<f64>,
    /// Above this age the dimension warns, in seconds.
    pub freshness_limit_seconds: f64,
    /// Below so many rows the dimension warns.
    pub minimum_rows: u64,
    /// Symbols that rows came in for.
    pub observed_symbols: Vec<String>,
    /// Symbols that were planned. Empty: unknown.
    pub expected_symbols: Vec<String>,
    /// Symbols that were planned and for which nothing came in.
    pub missing_symbols: Vec<String>,
    /// How long the ingest took, in seconds.
    pub ingest_duration_seconds: Option<f64>,
    /// Where the rows came from.
    pub source: Option<String>,
}

impl DimensionHealth {
    fn check(&self) -> Check {
        let some = |symbols: &Vec<String>| (!symbols.is_empty()).then(|| json!(symbols));
        Check::new(self.dimension.as_str(), self.severity, &self.message)
            .with("rows_written", self.rows_written)
            .with("freshness_seconds", self.freshness_seconds)
            .with("observed_symbols", json!(self.observed_symbols))
            .with_some("expected_symbols", some(&self.expected_symbols))
            .with_some("missing_symbols", some(&self.missing_symbols))
            .with_some("ingest_duration_seconds", self.ingest_duration_seconds)
            .with("freshness_sla_seconds", self.freshness_limit_seconds)
            .with_some(
                "min_rows_required",
                (self.minimum_rows > 0).then_some(self.minimum_rows),
            )
            .with_some("source", self.source.clone())
    }
}

/// The health of an ingest run.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthReport {
    /// As every evaluator answers.
    pub assessment: Assessment,
    /// Each dimension, by name.
    pub dimensions: Vec<DimensionHealth>,
}

impl HealthReport {
    /// The health of a dimension. None: it was neither planned nor brought in.
    #[must_use]
    pub fn of(&self, dimension: Dimension) -> Option<&DimensionHealth> {
        self.dimensions
            .iter()
            .find(|health| health.dimension == dimension)
    }
}

/// Grades each dimension that was planned or brought in; the worst counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> HealthReport {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_ERROR, now_ms);
    let mut dimensions = vec![];
    for dimension in seen_or_planned(inputs.plan, inputs.results) {
        let (health, findings) = dimension_health(dimension, inputs, policy.limits.of(dimension));
        assessment.check(health.check());
        findings.raise_in(&mut assessment, dimension.as_str());
        dimensions.push(health);
    }
    let names = |dimensions: Vec<Dimension>| Value::from(dimensions);
    assessment.annotate("planned_dimensions", names(inputs.plan.dimensions()));
    let observed = |dimension: &Dimension| result_of(inputs.results, *dimension).is_some();
    let observed = Dimension::ALL.into_iter().filter(observed).collect();
    assessment.annotate("observed_dimensions", names(observed));
    HealthReport {
        assessment,
        dimensions,
    }
}

fn dimension_health(
    dimension: Dimension,
    inputs: &Inputs<'_>,
    limits: &Limits,
) -> (DimensionHealth, Findings) {
    let result = result_of(inputs.results, dimension)
        .cloned()
        .unwrap_or_else(|| SliceResult::empty(dimension));
    let expected = inputs.plan.expected_symbols(dimension);
    let missing: Vec<String> = expected
        .iter()
        .filter(|symbol| !result.symbols.contains(symbol))
        .cloned()
        .collect();
    let planned = inputs.plan.contains(dimension);
    let mut findings = Findings::default();
    rows(&mut findings, &result, planned, expected, limits);
    symbols(&mut findings, expected, &missing);
    freshness(&mut findings, &result, planned, limits);
    let health = DimensionHealth {
        dimension,
        severity: findings.severity(),
        message: findings.summary("healthy"),
        rows_written: result.rows_written,
        freshness_seconds: result.freshness_seconds,
        freshness_limit_seconds: limits.freshness_limit_seconds,
        minimum_rows: limits.minimum_rows,
        observed_symbols: result.symbols,
        expected_symbols: expected.to_vec(),
        missing_symbols: missing,
        ingest_duration_seconds: result.ingest_duration_seconds,
        source: result.source,
    };
    (health, findings)
}

fn rows(
    findings: &mut Findings,
    result: &SliceResult,
    planned: bool,
    expected: &[String],
    limits: &Limits,
) {
    let rows = result.rows_written;
    if rows == 0 && planned {
        let severity = if expected.is_empty() {
            Severity::Warn
        } else {
            Severity::Fail
        };
        findings.add("no_rows", severity, "no rows came in for what was planned");
    }
    if rows > 0 && rows < limits.minimum_rows {
        let minimum = limits.minimum_rows;
        let message = format!("{rows} rows, fewer than the minimum of {minimum}");
        findings.add("few_rows", Severity::Warn, message);
    }
}

fn symbols(findings: &mut Findings, expected: &[String], missing: &[String]) {
    if missing.is_empty() {
        return;
    }
    let (severity, which) = if missing.len() == expected.len() {
        (Severity::Fail, "every symbol is missing")
    } else {
        (Severity::Warn, "symbols are missing")
    };
    let message = format!("{which}: {}", listed(missing));
    findings.add("missing_symbols", severity, message);
}

fn freshness(findings: &mut Findings, result: &SliceResult, planned: bool, limits: &Limits) {
    let limit = limits.freshness_limit_seconds;
    match result.freshness_seconds {
        None if planned => findings.add(
            "unknown_freshness",
            Severity::Warn,
            "how fresh the data is, is unknown",
        ),
        Some(age) if above(age, limit) => findings.add(
            "stale",
            Severity::Warn,
            format!("the newest row is {age:.0} s old, older than {limit:.0} s"),
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::dimension::MacroSlice;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, daily_plan, every, health, plan_of, result};

    fn check(plan: &Plan, results: &[SliceResult], expect: (Severity, &str)) {
        let report = health(plan, results);
        assert_eq!(report.assessment.severity, expect.0, "{report:?}");
        let messages: Vec<&str> = report
            .dimensions
            .iter()
            .map(|dimension| dimension.message.as_str())
            .collect();
        assert!(
            messages.iter().any(|message| message.contains(expect.1)),
            "{messages:?}"
        );
    }

    #[test]
    fn a_planned_slice_that_came_in_whole_and_fresh_is_healthy() {
        let results = [result(DailyBars, 1, &["SPY"], Some(60.0))];
        check(&daily_plan(&["SPY"]), &results, (OK, "healthy"));
    }

    #[test]
    fn no_rows_are_an_error_where_symbols_are_expected_and_a_warning_where_not() {
        let expected = result(MacroEvents, 0, &["CPI"], Some(60.0));
        check(
            &plan_of(MacroEvents, &["CPI"]),
            &[expected],
            (FAIL, "no rows"),
        );
        let window = Plan {
            macro_events: Some(MacroSlice::Window {
                start_ms: 0,
                end_ms: 1,
            }),
            ..Plan::default()
        };
        check(
            &window,
            &[result(MacroEvents, 0, &[], Some(60.0))],
            (WARN, "no rows"),
        );
        check(
            &daily_plan(&[]),
            &[result(DailyBars, 0, &[], Some(60.0))],
            (WARN, "no rows"),
        );
    }

    #[test]
    fn a_planned_dimension_without_a_result_is_an_error() {
        check(&daily_plan(&["SPY"]), &[], (FAIL, "no rows"));
    }

    #[test]
    fn no_rows_of_what_was_not_planned_are_no_matter() {
        check(
            &Plan::default(),
            &[SliceResult::empty(DailyBars)],
            (OK, "healthy"),
        );
    }

    #[test]
    fn fewer_rows_than_the_minimum_warn() {
        let policy = Policy {
            limits: every(Limits {
                freshness_limit_seconds: 100.0,
                minimum_rows: 5,
            }),
        };
        for (rows, expect) in [(1, WARN), (4, WARN), (5, OK), (6, OK)] {
            let results = [result(DailyBars, rows, &["SPY"], Some(1.0))];
            let plan = daily_plan(&["SPY"]);
            let inputs = Inputs {
                plan: &plan,
                results: &results,
            };
            assert_eq!(
                assess(&inputs, &policy, NOW_MS).assessment.severity,
                expect,
                "{rows}"
            );
        }
    }

    #[test]
    fn some_missing_symbols_warn_and_all_of_them_are_an_error() {
        let plan = daily_plan(&["SPY", "QQQ"]);
        for (observed, expect) in [
            (&["SPY", "QQQ", "IWM"][..], (OK, "healthy")),
            (&["SPY"], (WARN, "QQQ")),
            (&["IWM"], (FAIL, "SPY, QQQ")),
            (&[], (FAIL, "SPY, QQQ")),
        ] {
            check(&plan, &[result(DailyBars, 2, observed, Some(1.0))], expect);
        }
    }

    #[test]
    fn unknown_freshness_warns_only_where_something_is_planned() {
        let results = [result(DailyBars, 2, &["SPY"], None)];
        check(&daily_plan(&["SPY"]), &results, (WARN, "unknown"));
        check(&Plan::default(), &results, (OK, "healthy"));
    }

    #[test]
    fn data_older_than_its_dimensions_limit_warns() {
        for (dimension, limit) in [
            (DailyBars, 86_400.0),
            (IntradayTrades, 900.0),
            (MacroEvents, 604_800.0),
        ] {
            for (age, expect) in [
                (limit - 1.0, (OK, "healthy")),
                (limit, (OK, "healthy")),
                (limit + 0.001, (WARN, "old")),
                (f64::INFINITY, (WARN, "old")),
                (f64::NAN, (WARN, "old")),
            ] {
                let results = [result(dimension, 1, &["X"], Some(age))];
                check(&plan_of(dimension, &["X"]), &results, expect);
                check(&Plan::default(), &results, expect);
            }
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_and_the_worst_counts() {
        let results = [result(DailyBars, 1, &["SPY"], None)];
        let report = health(&daily_plan(&["SPY", "QQQ"]), &results);
        assert_eq!(
            report.dimensions[0].message,
            "symbols are missing: QQQ; how fresh the data is, is unknown"
        );
        assert_eq!(report.assessment.issues.len(), 2);
    }

    #[test]
    fn nothing_planned_and_nothing_brought_in_is_ok() {
        assert_eq!(health(&Plan::default(), &[]).assessment.severity, OK);
    }

    #[test]
    fn the_report_names_what_was_planned_and_what_was_observed() {
        let results = [result(IntradayTrades, 1, &["SPY"], Some(1.0))];
        let json = health(&daily_plan(&["SPY"]), &results).assessment.to_json();
        assert_eq!(json["topic"], "telemetry.ingest.health");
        assert_eq!(json["status"], "error");
        assert_eq!(
            json["metadata"]["planned_dimensions"],
            json!(["daily_bars"])
        );
        assert_eq!(
            json["metadata"]["observed_dimensions"],
            json!(["intraday_trades"])
        );
        assert_eq!(
            json["checks"][0]["metadata"],
            json!({
                "rows_written": 0,
                "freshness_seconds": null,
                "observed_symbols": [],
                "expected_symbols": ["SPY"],
                "missing_symbols": ["SPY"],
                "freshness_sla_seconds": 86_400.0,
                "min_rows_required": 1,
            })
        );
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn only_rows_of_a_known_and_allowed_age_are_healthy(rows in 0_u64..3, age in any::<Option<f64>>()) {
                let report = health(&daily_plan(&["SPY"]), &[result(DailyBars, rows, &["SPY"], age)]);
                let well = rows > 0 && age.is_some_and(|age| age <= 86_400.0);
                prop_assert_eq!(report.assessment.severity == OK, well);
            }
        }
    }
}
