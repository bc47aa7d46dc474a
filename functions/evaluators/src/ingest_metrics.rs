//! Ingest metrics: rows, symbols, durations and freshness of each dimension. They are not graded.

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use serde_json::json;

use crate::dimension::{Dimension, SliceResult, result_of};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.metrics";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What came in. Of several results of a dimension the last counts.
    pub results: &'a [SliceResult],
}

/// The numbers of an ingest run.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsReport {
    /// As every evaluator answers; always ok.
    pub assessment: Assessment,
    /// Each dimension, by name.
    pub dimensions: Vec<SliceResult>,
    /// Rows of all dimensions.
    pub total_rows: u64,
    /// Dimensions that rows came in for.
    pub active_dimensions: Vec<Dimension>,
}

impl MetricsReport {
    /// The numbers of a dimension.
    #[must_use]
    pub fn of(&self, dimension: Dimension) -> Option<&SliceResult> {
        result_of(&self.dimensions, dimension)
    }
}

/// Adds up the results. None: there are none, and nothing is published.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, now_ms: i64) -> Option<MetricsReport> {
    let dimensions: Vec<SliceResult> = Dimension::ALL
        .into_iter()
        .filter_map(|dimension| result_of(inputs.results, dimension).cloned())
        .collect();
    if dimensions.is_empty() {
        return None;
    }
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    for result in &dimensions {
        assessment.check(check(result));
    }
    let total_rows = dimensions.iter().fold(0_u64, |rows, result| {
        rows.saturating_add(result.rows_written)
    });
    let active_dimensions: Vec<Dimension> = dimensions
        .iter()
        .filter(|result| result.rows_written > 0)
        .map(|result| result.dimension)
        .collect();
    assessment.measure("total_rows", total_rows as f64);
    assessment.annotate("total_rows", total_rows);
    assessment.annotate("active_dimensions", active_dimensions.clone());
    Some(MetricsReport {
        assessment,
        dimensions,
        total_rows,
        active_dimensions,
    })
}

fn check(result: &SliceResult) -> Check {
    let rows = result.rows_written;
    let summary = format!("{rows} rows of {} symbols", result.symbols.len());
    Check::new(result.dimension.as_str(), Severity::Ok, summary)
        .with("rows", rows)
        .with("symbols", json!(result.symbols))
        .with("ingest_duration_seconds", result.ingest_duration_seconds)
        .with("freshness_seconds", result.freshness_seconds)
        .with("source", result.source.clone())
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::fixture::{NOW_MS, OK, result};

    #[test]
    fn without_a_dimension_there_is_nothing_to_publish() {
        assert_eq!(assess(&Inputs { results: &[] }, NOW_MS), None);
    }

    #[test]
    fn rows_add_up_and_a_dimension_is_active_when_it_has_any() {
        let results = [
            result(MacroEvents, 0, &[], None),
            result(DailyBars, 1, &["SPY"], Some(60.0)),
        ];
        let report = assess(&Inputs { results: &results }, NOW_MS).unwrap();
        assert_eq!(report.total_rows, 1);
        assert_eq!(report.active_dimensions, [DailyBars]);
        assert_eq!(report.assessment.severity, OK);
        let json = report.assessment.to_json();
        assert_eq!(json["checks"][0]["name"], "daily_bars");
        assert_eq!(
            json["checks"][0]["metadata"],
            json!({
                "rows": 1,
                "symbols": ["SPY"],
                "ingest_duration_seconds": 1.0,
                "freshness_seconds": 60.0,
                "source": "alpaca",
            })
        );
        assert_eq!(json["checks"][1]["name"], "macro_events");
        assert_eq!(json["metadata"]["active_dimensions"], json!(["daily_bars"]));
    }

    #[test]
    fn a_sum_of_rows_does_not_overflow() {
        let results = [
            result(DailyBars, u64::MAX, &[], None),
            result(MacroEvents, 1, &[], None),
        ];
        let report = assess(&Inputs { results: &results }, NOW_MS).unwrap();
        assert_eq!(report.total_rows, u64::MAX);
    }
}
