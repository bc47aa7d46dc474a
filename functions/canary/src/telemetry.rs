//! Counters and spans, as the stages write them in JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Counts the stages of a pipeline run, by `stage` and `outcome`.
pub const REQUESTS_METRIC: &str = "pipeline_requests_total";
/// Counts the stages of a pipeline run that failed, by `stage` and `reason`.
pub const FAILURES_METRIC: &str = "pipeline_failures_total";
/// Counts the runs of the mock feed, by `outcome`.
pub const MOCK_FEED_METRIC: &str = "signals_mock_feed_runs_total";
/// Counts the invocations of the normaliser, by `outcome` and `path`.
pub const INGEST_METRIC: &str = "signals.ingest.invocations_total";

/// A counter raised by one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Metric {
    /// The counter's name.
    pub name: String,
    /// Label names and values.
    pub labels: BTreeMap<String, String>,
}

impl Metric {
    /// A counter with its labels.
    #[must_use]
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// The two counters of a stage that failed.
    #[must_use]
    pub fn failure(stage: &str, reason: &str) -> [Self; 2] {
        [
            Self::new(FAILURES_METRIC, &[("stage", stage), ("reason", reason)]),
            Self::new(REQUESTS_METRIC, &[("stage", stage), ("outcome", "fail")]),
        ]
    }

    /// Reads a JSON list of counters. None: it is no such list.
    #[must_use]
    pub fn read_list(metrics: &Value) -> Option<Vec<Self>> {
        Vec::deserialize(metrics).ok()
    }
}

/// A timed piece of work.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Span {
    /// The span's name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

impl Span {
    /// Reads a JSON list of spans. None: it is no such list.
    #[must_use]
    pub fn read_list(spans: &Value) -> Option<Vec<Self>> {
        Vec::deserialize(spans).ok()
    }
}
