//! What a canary looks for in the response.
//!
//! A fake pipeline digests its envelope, and every stage must name that trace. A real one has no trace: its stages must
//! name none, and its trade engine and its preview's own fake may depart from the brain's action.

use bulkhead_kernel::trace::Action;
use serde::Serialize;
use serde_json::Value;

use crate::settings::Settings;
use crate::telemetry::{INGEST_METRIC, Metric, Span};

/// One item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The item's stable name.
    pub name: &'static str,
    /// Whether the response stands up to it. An item that the settings make meaningless passes.
    pub passed: bool,
    /// What was found, or why the item does not apply.
    pub detail: String,
}

/// The console line of a success: `CANARY status=success trace_id=<id>`, of a real pipeline
/// `CANARY status=success pipeline_fake_mode=false`.
///
/// # Errors
/// The fatal text: the status, a missing router trace id, or a mismatch between it and the response's own.
pub fn console(response: &Value) -> Result<String, String> {
    status(response)?;
    let fake_mode = response["meta"]["pipeline_fake_mode"] != false;
    let trace = router_trace(response, fake_mode)?;
    Ok(format!("CANARY status=success {trace}"))
}

/// Goes through the checklist, as the settings make it apply.
#[must_use]
pub fn check(response: &Value, settings: &Settings) -> Vec<Check> {
    let Settings {
        flags, fake_mode, ..
    } = settings;
    let meta = &response["meta"];
    let brain_action = &response["brain_decision"]["action"];
    let ingest = when(
        flags.signals_ingest_enabled,
        "signals_ingest_enabled is off",
    );
    let mock_feed = when(
        flags.signals_mock_feed_enabled,
        "signals_mock_feed_enabled is off",
    );
    let preview = when(
        flags.intent_preview_enabled,
        "intent_preview_enabled is off",
    )
    .and(when(
        *fake_mode || !flags.intent_preview_fake_mode,
        "the preview's own fake decides for itself",
    ));
    vec![
        item("status_success", status(response)),
        item(
            "router_trace_is_meta_trace",
            router_trace(response, *fake_mode),
        ),
        item(
            "pipeline_fake_mode",
            equals(&meta["pipeline_fake_mode"], &Value::Bool(*fake_mode)),
        ),
        item(
            "router_success",
            equals(&response["router_result"]["status"], &"success".into()),
        ),
        applying("ingest_success", ingest, || {
            equals(&meta["ingest"]["status"], &"success".into())
        }),
        applying("mock_feed_success", mock_feed, || {
            equals(&meta["mock_feed"]["status"], &"success".into())
        }),
        item("brain_action_known", known_action(brain_action)),
        item(
            "trade_action_is_brain_action",
            traded(
                &response["trade_action"]["action"],
                brain_action,
                *fake_mode,
            ),
        ),
        applying("preview_action_is_brain_action", preview, || {
            equals(&response["intent_preview"]["action"], brain_action)
        }),
        applying("ingest_telemetry", ingest, || {
            ingest_telemetry(&meta["ingest"]["telemetry"])
        }),
        item(
            "stages_share_the_trace",
            shared_trace(response, flags.intent_preview_enabled, *fake_mode),
        ),
    ]
}

fn item(name: &'static str, outcome: Result<String, String>) -> Check {
    let passed = outcome.is_ok();
    Check {
        name,
        passed,
        detail: outcome.unwrap_or_else(|failure| failure),
    }
}

/// An item that applies under a condition: an error says which one is not met.
fn applying(
    name: &'static str,
    condition: Result<(), &str>,
    check: impl FnOnce() -> Result<String, String>,
) -> Check {
    match condition {
        Ok(()) => item(name, check()),
        Err(unmet) => item(name, Ok(format!("does not apply: {unmet}"))),
    }
}

fn when(condition: bool, unmet: &str) -> Result<(), &str> {
    if condition { Ok(()) } else { Err(unmet) }
}

fn equals(found: &Value, expected: &Value) -> Result<String, String> {
    if found == expected && !found.is_null() {
        Ok(found.to_string())
    } else {
        Err(format!("expected {expected}, found {found}"))
    }
}

fn status(response: &Value) -> Result<String, String> {
    match response["status"].as_str() {
        Some("success") => Ok("status=success".to_owned()),
        status => Err(format!(
            "canary failed: status={}",
            status.unwrap_or("None")
        )),
    }
}

fn router_trace(response: &Value, fake_mode: bool) -> Result<String, String> {
    let router_trace = &response["router_result"]["meta"]["trace_id"];
    let meta_trace = &response["meta"]["trace_id"];
    if !fake_mode {
        return if router_trace.is_null() && meta_trace.is_null() {
            Ok("pipeline_fake_mode=false".to_owned())
        } else {
            Err("canary trace in a real pipeline".to_owned())
        };
    }
    let trace_id = router_trace
        .as_str()
        .filter(|trace_id| !trace_id.is_empty())
        .ok_or("canary missing router trace id")?;
    if meta_trace.as_str() != Some(trace_id) {
        return Err("canary trace mismatch between router and meta".to_owned());
    }
    Ok(format!("trace_id={trace_id}"))
}

fn known_action(action: &Value) -> Result<String, String> {
    action
        .as_str()
        .and_then(Action::from_word)
        .map(|action| action.to_string())
        .ok_or_else(|| format!("expected buy, sell or hold, found {action}"))
}

/// A real trade engine may hold what the brain decided, and never does another thing.
fn traded(action: &Value, brain_action: &Value, fake_mode: bool) -> Result<String, String> {
    if !fake_mode && *action == Action::Hold.as_str() {
        return Ok(action.to_string());
    }
    equals(action, brain_action)
}

fn ingest_telemetry(telemetry: &Value) -> Result<String, String> {
    let spans = Span::read_list(&telemetry["spans"]).ok_or("the spans cannot be read")?;
    let span = spans
        .iter()
        .find(|span| span.name == "ingest_frame")
        .ok_or("there is no span `ingest_frame`")?;
    if span.duration_ms.is_nan() || span.duration_ms <= 0.0 {
        return Err(format!(
            "the span's duration is not positive: {} ms",
            span.duration_ms
        ));
    }
    let metrics = Metric::read_list(&telemetry["metrics"]).ok_or("the metrics cannot be read")?;
    if !metrics.contains(&Metric::new(
        INGEST_METRIC,
        &[("outcome", "success"), ("path", "ingest_frame")],
    )) {
        return Err(format!("there is no success of `{INGEST_METRIC}`"));
    }
    Ok(format!("ingest_frame took {} ms", span.duration_ms))
}

/// Every stage digested the envelope that was sent, not another one. In a real pipeline none digested any.
fn shared_trace(
    response: &Value,
    preview_enabled: bool,
    fake_mode: bool,
) -> Result<String, String> {
    let expected = &response["meta"]["trace_id"];
    let mut places = vec![
        "/brain_decision/meta",
        "/trade_action/envelope/meta",
        "/router_result/meta",
    ];
    if preview_enabled {
        places.push("/intent_preview/meta");
    }
    for place in places {
        let found = response
            .pointer(place)
            .map_or(&Value::Null, |meta| &meta["trace_id"]);
        if found.is_null() == fake_mode || found != expected {
            return Err(format!(
                "{place} has the trace {found}, the response {expected}"
            ));
        }
    }
    Ok(expected.to_string())
}
