//! Ingest observability: health, numbers, failover and recovery of a run on one page.

use bulkhead_kernel::assessment::{Assessment, Check, Severity};
use serde_json::json;

use crate::dimension::{Dimension, SliceResult};
use crate::failover::Decision;
use crate::findings::listed;
use crate::ingest_health::{DimensionHealth, HealthReport};
use crate::ingest_metrics::MetricsReport;
use crate::recovery::Recovery;

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.observability";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// What is put together.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The run's health.
    pub health: &'a HealthReport,
    /// Its numbers, if there are any.
    pub metrics: Option<&'a MetricsReport>,
    /// Whether it fell over, if that was decided.
    pub failover: Option<&'a Decision>,
    /// What was asked for again, if anything was.
    pub recovery: Option<&'a Recovery>,
}

/// Puts health and numbers together by dimension. The severity is that of the health; where both know a value, the numbers' counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, now_ms: i64) -> Assessment {
    let report = &inputs.health.assessment;
    let mut assessment = Assessment::new(TOPIC, SOURCE, report.ladder, now_ms);
    assessment.severity = report.severity;
    assessment.metadata = report.metadata.clone();
    if let Some(metrics) = inputs.metrics {
        assessment
            .metadata
            .extend(metrics.assessment.metadata.clone());
    }
    let mut total_rows = 0_u64;
    let mut dimensions = vec![];
    let mut degraded = vec![];
    for dimension in Dimension::ALL {
        let health = inputs.health.of(dimension);
        let metrics = inputs.metrics.and_then(|metrics| metrics.of(dimension));
        let Some(row) = Row::joined(dimension, health, metrics) else {
            continue;
        };
        total_rows = total_rows.saturating_add(row.rows);
        dimensions.push(dimension);
        if row.severity > Severity::Ok {
            degraded.push(dimension);
        }
        assessment.inform(row.check());
    }
    assessment.measure("total_rows", total_rows as f64);
    assessment.annotate("total_rows", total_rows);
    assessment.annotate("dimensions", dimensions);
    assessment.annotate("degraded_dimensions", degraded);
    if let Some(failover) = inputs.failover {
        assessment.annotate("failover", json!(failover.assessment.metadata));
    }
    if let Some(recovery) = inputs.recovery.filter(|recovery| recovery.attempts() > 0) {
        assessment.annotate("recovery", recovery.metadata());
    }
    assessment
}

/// What is known of a dimension.
#[derive(Debug, Default)]
struct Row {
    name: &'static str,
    severity: Severity,
    message: String,
    rows: u64,
    freshness_seconds: Option<f64>,
    ingest_duration_seconds: Option<f64>,
    symbols: Vec<String>,
    missing_symbols: Vec<String>,
    source: Option<String>,
}

impl Row {
    fn joined(
        dimension: Dimension,
        health: Option<&DimensionHealth>,
        metrics: Option<&SliceResult>,
    ) -> Option<Self> {
        let name = dimension.as_str();
        let mut row = match (health, metrics) {
            (None, None) => return None,
            (None, Some(_)) => Self {
                name,
                message: "without a health check".to_owned(),
                ..Self::default()
            },
            (Some(health), _) => Self {
                name,
                severity: health.severity,
                message: health.message.clone(),
                rows: health.rows_written,
                freshness_seconds: health.freshness_seconds,
                ingest_duration_seconds: health.ingest_duration_seconds,
                symbols: health.observed_symbols.clone(),
                missing_symbols: health.missing_symbols.clone(),
                source: health.source.clone(),
            },
        };
        if let Some(metrics) = metrics {
            row.rows = metrics.rows_written;
            row.freshness_seconds = metrics.freshness_seconds.or(row.freshness_seconds);
            row.ingest_duration_seconds = metrics
                .ingest_duration_seconds
                .or(row.ingest_duration_seconds);
            row.symbols = metrics.symbols.clone();
            row.source = metrics.source.clone().or(row.source);
        }
        Some(row)
    }

    fn check(self) -> Check {
        let freshness = match self.freshness_seconds {
            Some(seconds) => format!("{seconds:.0} s old"),
            None => "of unknown age".to_owned(),
        };
        let mut summary = format!("{} rows, {freshness}", self.rows);
        if let Some(source) = &self.source {
            summary = format!("{summary}, from {source}");
        }
        if !self.missing_symbols.is_empty() {
            summary = format!("{summary}, missing {}", listed(&self.missing_symbols));
        }
        Check::new(
            self.name,
            self.severity,
            format!("{summary}: {}", self.message),
        )
        .with("rows", self.rows)
        .with("freshness_seconds", self.freshness_seconds)
        .with("ingest_duration_seconds", self.ingest_duration_seconds)
        .with("symbols", self.symbols)
        .with("missing_symbols", self.missing_symbols)
        .with_some("source", self.source)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::dimension::Plan;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, daily_plan, health, result};
    use crate::{failover, ingest_metrics, recovery};

    fn alone(health: &HealthReport) -> Inputs<'_> {
        Inputs {
            health,
            metrics: None,
            failover: None,
            recovery: None,
        }
    }

    #[test]
    fn the_severity_is_that_of_the_health() {
        let plan = daily_plan(&["SPY"]);
        for (results, expect) in [
            (vec![result(DailyBars, 1, &["SPY"], Some(1.0))], OK),
            (vec![result(DailyBars, 1, &["SPY"], None)], WARN),
            (vec![], FAIL),
        ] {
            let health = health(&plan, &results);
            assert_eq!(assess(&alone(&health), NOW_MS).severity, expect);
        }
    }

    #[test]
    fn where_health_and_numbers_differ_the_numbers_count() {
        let plan = daily_plan(&["SPY", "QQQ"]);
        let health = health(&plan, &[result(DailyBars, 1, &["SPY"], Some(9.0))]);
        let mut newer = result(DailyBars, 5, &["SPY", "QQQ"], Some(2.0));
        newer.source = Some("binance".to_owned());
        newer.ingest_duration_seconds = None;
        let metrics = ingest_metrics::assess(&ingest_metrics::Inputs { results: &[newer] }, NOW_MS);
        let inputs = Inputs {
            metrics: metrics.as_ref(),
            ..alone(&health)
        };
        let json = assess(&inputs, NOW_MS).to_json();
        assert_eq!(
            json["checks"][0],
            json!({
                "name": "daily_bars",
                "status": "warn",
                "summary": "5 rows, 2 s old, from binance, missing QQQ: symbols are missing: QQQ",
                "metadata": {
                    "rows": 5,
                    "freshness_seconds": 2.0,
                    "ingest_duration_seconds": 1.0,
                    "symbols": ["SPY", "QQQ"],
                    "missing_symbols": ["QQQ"],
                    "source": "binance",
                },
            })
        );
        assert_eq!(json["metadata"]["total_rows"], 5);
        assert_eq!(
            json["metadata"]["degraded_dimensions"],
            json!(["daily_bars"])
        );
        assert_eq!(json["metadata"]["active_dimensions"], json!(["daily_bars"]));
        assert_eq!(
            json["metadata"]["planned_dimensions"],
            json!(["daily_bars"])
        );
    }

    #[test]
    fn numbers_without_a_health_check_are_ok_and_say_so() {
        let health = health(&Plan::default(), &[]);
        let results = [result(MacroEvents, 3, &[], None)];
        let metrics = ingest_metrics::assess(&ingest_metrics::Inputs { results: &results }, NOW_MS);
        let inputs = Inputs {
            metrics: metrics.as_ref(),
            ..alone(&health)
        };
        let assessment = assess(&inputs, NOW_MS);
        assert_eq!(
            (assessment.severity, assessment.checks[0].severity),
            (OK, OK)
        );
        assert!(
            assessment.checks[0]
                .summary
                .contains("without a health check")
        );
    }

    #[test]
    fn failover_is_told_and_recovery_only_when_something_was_asked_for() {
        let plan = daily_plan(&["SPY"]);
        let health = health(&plan, &[]);
        let inputs = failover::Inputs {
            plan: &plan,
            health: &health,
        };
        let decision = failover::assess(&inputs, &failover::Policy::default());
        let policy = recovery::Policy {
            enabled: true,
            ..recovery::Policy::default()
        };
        let inputs = recovery::Inputs {
            plan: &plan,
            health: &health,
            attempts_made: 0,
        };
        let mut recovery = Recovery::default();
        let observe = |recovery: &Recovery| {
            let inputs = Inputs {
                failover: Some(&decision),
                recovery: Some(recovery),
                ..alone(&health)
            };
            assess(&inputs, NOW_MS).metadata
        };
        assert_eq!(observe(&recovery)["failover"]["should_failover"], true);
        assert_eq!(observe(&recovery).get("recovery"), None);
        recovery.steps.extend(recovery::next_step(&inputs, &policy));
        assert_eq!(observe(&recovery)["recovery"]["attempts"], 1);
    }
}
