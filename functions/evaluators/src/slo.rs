//! Service level objectives of ingest: a record for the whole and one for each dimension, with who is told.

use std::collections::BTreeMap;

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use serde_json::{Map, Value, json};

use crate::dimension::Dimension;
use crate::ingest_health::{DimensionHealth, HealthReport};

/// The topic.
pub const TOPIC: &str = "telemetry.operational.slos";
/// The source label.
pub const SOURCE: &str = "operations.timescale_ingest";
/// The record of the whole. Those of the dimensions are below it: `timescale_ingest.daily_bars`.
pub const SUMMARY: &str = "timescale_ingest";

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// By record. A record without a route has that of the record above it.
    pub alert_routes: BTreeMap<String, String>,
}

impl Default for Policy {
    /// The whole pages, a dimension goes to the channel of those who look after it.
    fn default() -> Self {
        let dimensions = Dimension::ALL
            .into_iter()
            .map(|dimension| (name(dimension), "slack:#ops-timescale".to_owned()));
        let summary = (SUMMARY.to_owned(), "pagerduty:data-backbone".to_owned());
        Self {
            alert_routes: dimensions.chain([summary]).collect(),
        }
    }
}

impl Policy {
    /// Puts other routes over the present ones.
    #[must_use]
    pub fn with_routes(mut self, routes: BTreeMap<String, String>) -> Self {
        self.alert_routes.extend(routes);
        self
    }

    /// The route of a record, or else of the record above it.
    #[must_use]
    pub fn route(&self, record: &str) -> Option<&str> {
        let mut name = record;
        loop {
            if let Some(route) = self.alert_routes.get(name) {
                return Some(route);
            }
            (name, _) = name.rsplit_once('.')?;
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The run's health.
    pub health: &'a HealthReport,
}

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Met, at risk or breached.
    pub severity: Severity,
    /// Why.
    pub message: String,
    /// What is aimed at.
    pub target: Map<String, Value>,
    /// What was found.
    pub observed: Map<String, Value>,
    /// Who is told.
    pub alert_route: Option<String>,
}

impl Record {
    fn check(&self) -> Check {
        Check::new(&self.name, self.severity, &self.message)
            .with("target", self.target.clone())
            .with("observed", self.observed.clone())
            .with_some("alert_route", self.alert_route.clone())
    }
}

/// The objectives of an ingest run.
#[derive(Debug, Clone, PartialEq)]
pub struct SloReport {
    /// As every evaluator answers: the severity is that of the whole.
    pub assessment: Assessment,
    /// The whole, then each dimension by name.
    pub records: Vec<Record>,
}

/// Turns the health of a run into objectives.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> SloReport {
    let health = inputs.health;
    let mut records = vec![summary(health, policy)];
    records.extend(
        health
            .dimensions
            .iter()
            .map(|health| record(health, policy)),
    );
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::MET_AT_RISK_BREACHED, now_ms);
    assessment.severity = health.assessment.severity;
    for record in &records {
        assessment.inform(record.check());
    }
    let counts = counts(health).map(|(severity, count)| {
        let word = assessment.ladder.word(severity).to_owned();
        (word, json!(count))
    });
    let counts: Map<String, Value> = counts.into_iter().collect();
    assessment.annotate("status_counts", counts);
    SloReport {
        assessment,
        records,
    }
}

fn name(dimension: Dimension) -> String {
    format!("{SUMMARY}.{dimension}")
}

/// How many dimensions have each severity.
fn counts(health: &HealthReport) -> [(Severity, usize); 3] {
    Severity::ALL.map(|severity| {
        let alike = health
            .dimensions
            .iter()
            .filter(|dimension| dimension.severity == severity);
        (severity, alike.count())
    })
}

fn summary(health: &HealthReport, policy: &Policy) -> Record {
    let [(_, met), (_, at_risk), (_, breached)] = counts(health);
    let message = match (breached, at_risk, met) {
        (0, 0, 0) => "no checks".to_owned(),
        (0, 0, _) => "all met".to_owned(),
        (0, at_risk, _) => format!("{at_risk} at risk"),
        (breached, 0, _) => format!("{breached} breached"),
        (breached, at_risk, _) => format!("{breached} breached, {at_risk} at risk"),
    };
    Record {
        name: SUMMARY.to_owned(),
        severity: health.assessment.severity,
        message,
        target: object(json!({"status": health.assessment.ladder.word(Severity::Ok)})),
        observed: object(json!({"status": health.assessment.status()})),
        alert_route: policy.route(SUMMARY).map(str::to_owned),
    }
}

fn record(health: &DimensionHealth, policy: &Policy) -> Record {
    let name = name(health.dimension);
    Record {
        severity: health.severity,
        message: health.message.clone(),
        target: object(json!({
            "freshness_seconds": health.freshness_limit_seconds,
            "rows_written": health.minimum_rows,
        })),
        observed: object(json!({
            "freshness_seconds": health.freshness_seconds,
            "rows_written": health.rows_written,
        })),
        alert_route: policy.route(&name).map(str::to_owned),
        name,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades};
    use crate::dimension::{Plan, SliceResult};
    use crate::fixture::{NOW_MS, daily, health, intraday, result};

    fn slos(results: &[SliceResult]) -> SloReport {
        let plan = Plan {
            daily_bars: Some(daily(&["SPY"], 1)),
            intraday_trades: Some(intraday(&["SPY"], 1, "1m")),
            macro_events: None,
        };
        let health = health(&plan, results);
        assess(&Inputs { health: &health }, &Policy::default(), NOW_MS)
    }

    #[test]
    fn the_whole_is_met_at_risk_or_breached_as_ingest_is_well_or_not() {
        let daily = result(DailyBars, 1, &["SPY"], Some(1.0));
        let well = result(IntradayTrades, 1, &["SPY"], Some(900.0));
        let late = result(IntradayTrades, 1, &["SPY"], Some(901.0));
        let late_daily = result(DailyBars, 1, &["SPY"], None);
        for (results, status, message) in [
            (vec![daily.clone(), well], "met", "all met"),
            (vec![daily.clone(), late.clone()], "at_risk", "1 at risk"),
            (vec![late_daily.clone(), late], "at_risk", "2 at risk"),
            (vec![daily], "breached", "1 breached"),
            (vec![late_daily], "breached", "1 breached, 1 at risk"),
            (vec![], "breached", "2 breached"),
        ] {
            let report = slos(&results);
            assert_eq!(report.assessment.status(), status);
            assert_eq!(report.records[0].message, message);
        }
    }

    #[test]
    fn without_a_dimension_there_are_no_checks() {
        let health = health(&Plan::default(), &[]);
        let report = assess(&Inputs { health: &health }, &Policy::default(), NOW_MS);
        assert_eq!(report.assessment.status(), "met");
        assert_eq!(report.records[0].message, "no checks");
    }

    #[test]
    fn a_record_tells_what_is_aimed_at_what_was_found_and_who_is_told() {
        let json = slos(&[result(DailyBars, 1, &["SPY"], Some(5.0))])
            .assessment
            .to_json();
        assert_eq!(json["checks"][0]["name"], "timescale_ingest");
        assert_eq!(
            json["checks"][0]["metadata"]["alert_route"],
            "pagerduty:data-backbone"
        );
        assert_eq!(
            json["checks"][1],
            json!({
                "name": "timescale_ingest.daily_bars",
                "status": "met",
                "summary": "healthy",
                "metadata": {
                    "target": {"freshness_seconds": 86_400.0, "rows_written": 1},
                    "observed": {"freshness_seconds": 5.0, "rows_written": 1},
                    "alert_route": "slack:#ops-timescale",
                },
            })
        );
        assert_eq!(
            json["checks"][2]["name"],
            "timescale_ingest.intraday_trades"
        );
        assert_eq!(
            json["metadata"]["status_counts"],
            json!({"met": 1, "at_risk": 0, "breached": 1})
        );
    }

    #[test]
    fn a_record_without_a_route_has_that_of_the_record_above() {
        let routes = |routes: &[(&str, &str)]| Policy {
            alert_routes: routes
                .iter()
                .map(|(name, route)| ((*name).to_owned(), (*route).to_owned()))
                .collect(),
        };
        let policy = routes(&[("timescale_ingest", "above")]);
        assert_eq!(policy.route("timescale_ingest.daily_bars"), Some("above"));
        assert_eq!(
            policy.route("timescale_ingest.daily_bars.SPY"),
            Some("above")
        );
        assert_eq!(policy.route("other"), None);
        let overrides = routes(&[("timescale_ingest.daily_bars", "other")]);
        let policy = Policy::default().with_routes(overrides.alert_routes);
        assert_eq!(policy.route("timescale_ingest.daily_bars"), Some("other"));
        assert_eq!(
            policy.route("timescale_ingest"),
            Some("pagerduty:data-backbone")
        );
    }
}
