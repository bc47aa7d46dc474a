//! The promotion validator: whether an artifact may be promoted to production.

use serde::Serialize;
use serde_json::Value;

/// Stands before a [`PromotionError`] on the console.
pub const FAILED_PREFIX: &str = "promotion validation failed: ";
/// The console line of a success; the [`Summary`] follows on a line of its own.
pub const SUCCESS_LINE: &str = "promotion validation: success";
/// What telemetry must have.
const TELEMETRY_KEYS: [&str; 3] = ["spans", "metrics", "trace_id"];

/// Why an artifact may not be promoted, in the order of the checks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromotionError {
    /// There is no file.
    #[error("artifact not found at {0}")]
    NotFound(String),
    /// The file does not hold JSON.
    #[error("invalid JSON ({0})")]
    InvalidJson(String),
    /// The run was no success.
    #[error("top-level status must be success")]
    NotSuccess,
    /// The router's result names no trace.
    #[error("router_result.meta.trace_id missing")]
    RouterTraceMissing,
    /// The router's trace is not the response's.
    #[error("trace_id mismatch between router_result.meta and meta")]
    RouterTraceMismatch,
    /// The ingest stage's trace is not the router's.
    #[error("trace_id mismatch between ingest and router")]
    IngestTraceMismatch,
    /// Telemetry lacks a key.
    #[error("telemetry missing {0}")]
    TelemetryMissing(&'static str),
    /// Telemetry has no span.
    #[error("telemetry spans empty")]
    SpansEmpty,
    /// Telemetry has no metric.
    #[error("telemetry metrics empty")]
    MetricsEmpty,
}

/// What a promotable artifact holds. Its fields stand in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The ingest stage ran.
    pub has_ingest: bool,
    /// The ingest stage gave telemetry.
    pub has_telemetry: bool,
    /// How many metrics it has.
    pub metric_count: usize,
    /// How many spans it has.
    pub span_count: usize,
    /// The run's trace.
    pub trace_id: String,
}

/// Validates the artifact at a path. None: there is no file.
///
/// # Errors
/// The first check that the artifact does not stand up to.
pub fn validate(path: &str, artifact: Option<&[u8]>) -> Result<Summary, PromotionError> {
    let bytes = artifact.ok_or_else(|| PromotionError::NotFound(path.to_owned()))?;
    let artifact: Value = serde_json::from_slice(bytes)
        .map_err(|error| PromotionError::InvalidJson(error.to_string()))?;
    if artifact["status"] != "success" {
        return Err(PromotionError::NotSuccess);
    }
    let trace_id = text(&artifact["router_result"]["meta"]["trace_id"])
        .ok_or(PromotionError::RouterTraceMissing)?;
    if artifact["meta"]["trace_id"] != trace_id {
        return Err(PromotionError::RouterTraceMismatch);
    }
    let ingest = &artifact["meta"]["ingest"];
    let telemetry = &ingest["telemetry"];
    let ingest_trace = text(&ingest["trace_id"]).or_else(|| text(&telemetry["trace_id"]));
    if ingest_trace.is_some_and(|ingest_trace| ingest_trace != trace_id) {
        return Err(PromotionError::IngestTraceMismatch);
    }
    let has_telemetry = telemetry
        .as_object()
        .is_some_and(|telemetry| !telemetry.is_empty());
    if has_telemetry {
        if let Some(missing) = TELEMETRY_KEYS
            .into_iter()
            .find(|key| telemetry.get(key).is_none())
        {
            return Err(PromotionError::TelemetryMissing(missing));
        }
        if count(&telemetry["spans"]) == 0 {
            return Err(PromotionError::SpansEmpty);
        }
        if count(&telemetry["metrics"]) == 0 {
            return Err(PromotionError::MetricsEmpty);
        }
    }
    Ok(Summary {
        has_ingest: ingest.as_object().is_some_and(|ingest| !ingest.is_empty()),
        has_telemetry,
        metric_count: count(&telemetry["metrics"]),
        span_count: count(&telemetry["spans"]),
        trace_id: trace_id.to_owned(),
    })
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}
