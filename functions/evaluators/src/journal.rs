//! The ingest journal: a record of each dimension of each run.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dimension::{Dimension, Plan, SliceResult, result_of, seen_or_planned};
use crate::ingest_health::HealthReport;
use crate::ingest_quality::QualityReport;

/// How many records are shown unless another number is asked for.
pub const RECENT_RECORDS: usize = 20;

/// What one dimension of one run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRecord {
    /// The run's identity.
    pub run_id: String,
    /// The dimension.
    pub dimension: Dimension,
    /// A word of ingest health (`ok`, `warn`, `error`), or `skipped`.
    pub status: String,
    /// Rows that were stored.
    pub rows_written: u64,
    /// The age of the newest row, in seconds. None: unknown.
    pub freshness_seconds: Option<f64>,
    /// How long the ingest took, in seconds.
    pub ingest_duration_seconds: Option<f64>,
    /// When the run was, in Unix milliseconds.
    pub executed_at_ms: i64,
    /// Where the rows came from.
    pub source: Option<String>,
    /// Symbols that rows came in for.
    pub symbols: Vec<String>,
    /// What else is known of it.
    pub metadata: Map<String, Value>,
}

/// What a run's records are made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The run's identity.
    pub run_id: &'a str,
    /// What was planned.
    pub plan: &'a Plan,
    /// What came of it. Of several results of a dimension the last counts.
    pub results: &'a [SliceResult],
    /// Its health. None: it was not looked at.
    pub health: Option<&'a HealthReport>,
    /// Its quality. None: it was not looked at.
    pub quality: Option<&'a QualityReport>,
    /// How often missing slices were asked for again.
    pub recovery_attempts: u32,
}

/// A record for each dimension that was planned or brought in, by name.
///
/// A dimension whose health was not looked at is `ok` with rows and `skipped` without.
#[must_use]
pub fn records(inputs: &Inputs<'_>, executed_at_ms: i64) -> Vec<JournalRecord> {
    seen_or_planned(inputs.plan, inputs.results)
        .into_iter()
        .map(|dimension| record(dimension, inputs, executed_at_ms))
        .collect()
}

fn record(dimension: Dimension, inputs: &Inputs<'_>, executed_at_ms: i64) -> JournalRecord {
    let result = result_of(inputs.results, dimension)
        .cloned()
        .unwrap_or_else(|| SliceResult::empty(dimension));
    let status = match inputs
        .health
        .and_then(|health| Some((health, health.of(dimension)?)))
    {
        Some((report, health)) => report.assessment.ladder.word(health.severity),
        None if result.rows_written > 0 => "ok",
        None => "skipped",
    };
    JournalRecord {
        run_id: inputs.run_id.to_owned(),
        dimension,
        status: status.to_owned(),
        rows_written: result.rows_written,
        freshness_seconds: result.freshness_seconds,
        ingest_duration_seconds: result.ingest_duration_seconds,
        executed_at_ms,
        source: result.source,
        symbols: result.symbols,
        metadata: metadata(dimension, inputs),
    }
}

fn metadata(dimension: Dimension, inputs: &Inputs<'_>) -> Map<String, Value> {
    let mut metadata = Map::new();
    let mut put = |key: &str, value: Value| {
        if !is_empty(&value) {
            metadata.insert(key.to_owned(), value);
        }
    };
    if let Some(report) = inputs.health {
        if let Some(health) = report.of(dimension) {
            put("message", json!(health.message));
            put("expected_symbols", json!(health.expected_symbols));
            put("missing_symbols", json!(health.missing_symbols));
            put("observed_symbols", json!(health.observed_symbols));
        }
        put("overall_status", json!(report.assessment.status()));
        put("health_metadata", json!(report.assessment.metadata));
    }
    if let Some(report) = inputs.quality
        && let Some(quality) = report.of(dimension)
    {
        let status = report.assessment.ladder.word(quality.severity);
        put("quality_status", json!(status));
        put("quality_score", json!(quality.score));
    }
    put("plan", inputs.plan.slice_json(dimension));
    if inputs.recovery_attempts > 0 {
        put("recovery_attempts", json!(inputs.recovery_attempts));
    }
    metadata
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The records of a dimension, newest first; of those of one instant, the greater run id first.
#[must_use]
pub fn newest_first(records: &[JournalRecord], dimension: Dimension) -> Vec<&JournalRecord> {
    let mut of_dimension: Vec<&JournalRecord> = records
        .iter()
        .filter(|record| record.dimension == dimension)
        .collect();
    of_dimension.sort_by_key(|record| Reverse((record.executed_at_ms, &record.run_id)));
    of_dimension
}

/// The newest record of each dimension, by name.
#[must_use]
pub fn latest_by_dimension(records: &[JournalRecord]) -> Vec<&JournalRecord> {
    Dimension::ALL
        .into_iter()
        .filter_map(|dimension| newest_first(records, dimension).first().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::fixture::{NOW_MS, daily_plan, health, result};
    use crate::ingest_quality;

    fn inputs<'a>(plan: &'a Plan, results: &'a [SliceResult]) -> Inputs<'a> {
        Inputs {
            run_id: "run-1",
            plan,
            results,
            health: None,
            quality: None,
            recovery_attempts: 0,
        }
    }

    #[test]
    fn a_result_that_was_not_looked_at_is_ok_with_rows_and_skipped_without() {
        for (rows, expect) in [(0, "skipped"), (1, "ok")] {
            let results = [result(DailyBars, rows, &["SPY"], Some(1.0))];
            let records = records(&inputs(&Plan::default(), &results), NOW_MS);
            assert_eq!(records[0].status, expect);
            assert!(records[0].metadata.is_empty(), "{records:?}");
        }
    }

    #[test]
    fn a_record_tells_health_quality_and_plan_and_leaves_out_what_is_empty() {
        let plan = daily_plan(&["SPY"]);
        let results = [result(DailyBars, 60, &["SPY"], Some(60.0))];
        let health = health(&plan, &results);
        let quality = ingest_quality::assess(
            &ingest_quality::Inputs {
                plan: &plan,
                results: &results,
                ticks: &[],
            },
            &ingest_quality::Policy::default(),
            NOW_MS,
        );
        let inputs = Inputs {
            health: Some(&health),
            quality: Some(&quality),
            recovery_attempts: 1,
            ..inputs(&plan, &results)
        };
        let records = records(&inputs, NOW_MS);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].status, "ok");
        assert_eq!(
            json!(records[0]),
            json!({
                "run_id": "run-1",
                "dimension": "daily_bars",
                "status": "ok",
                "rows_written": 60,
                "freshness_seconds": 60.0,
                "ingest_duration_seconds": 1.0,
                "executed_at_ms": NOW_MS,
                "source": "alpaca",
                "symbols": ["SPY"],
                "metadata": {
                    "message": "healthy",
                    "expected_symbols": ["SPY"],
                    "observed_symbols": ["SPY"],
                    "overall_status": "ok",
                    "health_metadata": {
                        "planned_dimensions": ["daily_bars"],
                        "observed_dimensions": ["daily_bars"],
                    },
                    "quality_status": "ok",
                    "quality_score": 1.0,
                    "plan": {"symbols": ["SPY"], "lookback_days": 60},
                    "recovery_attempts": 1,
                },
            })
        );
    }

    #[test]
    fn a_planned_dimension_for_which_nothing_came_in_has_a_record() {
        let plan = daily_plan(&["SPY"]);
        let health = health(&plan, &[]);
        let inputs = Inputs {
            health: Some(&health),
            ..inputs(&plan, &[])
        };
        let records = records(&inputs, NOW_MS);
        assert_eq!(
            (records[0].dimension, records[0].status.as_str()),
            (DailyBars, "error")
        );
    }

    #[test]
    fn the_latest_record_of_one_instant_is_that_of_the_greater_run_id() {
        let record = |dimension, run_id: &str, executed_at_ms| JournalRecord {
            run_id: run_id.to_owned(),
            executed_at_ms,
            ..record(dimension, &inputs(&Plan::default(), &[]), 0)
        };
        let records = [
            record(MacroEvents, "c", 1),
            record(DailyBars, "a", 2),
            record(DailyBars, "b", 2),
            record(DailyBars, "z", 1),
        ];
        let latest: Vec<&str> = latest_by_dimension(&records)
            .iter()
            .map(|record| record.run_id.as_str())
            .collect();
        assert_eq!(latest, ["b", "c"]);
    }
}
