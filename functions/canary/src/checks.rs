//! What a canary looks for in the response.

use bulkhead_kernel::trace::Action;
use serde::Serialize;
use serde_json::Value;

use crate::settings::Flags;
use crate::telemetry::{INGEST_METRIC, Metric, Span};

/// One item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The item's stable name.
    pub name: &'static str,
    /// Whether the response stands up to it. An item that the flags make meaningless passes.
    pub passed: bool,
    /// What was found, or why the item does not apply.
    pub detail: String,
}

/// The console line of a success, `CANARY status=success trace_id=<id>`.
///
/// # Errors
/// The fatal text: the status, a missing router trace id, or a mismatch between it and the response's own.
pub fn console(response: &Value) -> Result<String, String> {
    status(response)?;
    let trace_id = router_trace(response)?;
    Ok(format!("CANARY status=success trace_id={trace_id}"))
}

/// Goes through the checklist.
#[must_use]
pub fn check(response: &Value, flags: &Flags) -> Vec<Check> {
    let meta = &response["meta"];
    let brain_action = &response["brain_decision"]["action"];
    let router_status = &response["router_result"]["status"];
    vec![
        item("status_success", status(response)),
        item(
            "router_trace_is_meta_trace",
            router_trace(response).map(|id| format!("trace_id={id}")),
        ),
        equals(
            "pipeline_fake_mode",
            &meta["pipeline_fake_mode"],
            &Value::Bool(true),
        ),
        equals("router_success", router_status, &"success".into()),
        when(
            flags.signals_ingest_enabled,
            "signals_ingest_enabled",
            || {
                equals(
                    "ingest_success",
                    &meta["ingest"]["status"],
                    &"success".into(),
                )
            },
        )
        .unwrap_or_else(|off| item("ingest_success", Ok(off))),
        when(
            flags.signals_mock_feed_enabled,
            "signals_mock_feed_enabled",
            || {
                equals(
                    "mock_feed_success",
                    &meta["mock_feed"]["status"],
                    &"success".into(),
                )
            },
        )
        .unwrap_or_else(|off| item("mock_feed_success", Ok(off))),
        item("brain_action_known", known_action(brain_action)),
        equals(
            "trade_action_is_brain_action",
            &response["trade_action"]["action"],
            brain_action,
        ),
        when(
            flags.intent_preview_enabled,
            "intent_preview_enabled",
            || {
                equals(
                    "preview_action_is_brain_action",
                    &response["intent_preview"]["action"],
                    brain_action,
                )
            },
        )
        .unwrap_or_else(|off| item("preview_action_is_brain_action", Ok(off))),
        when(
            flags.signals_ingest_enabled,
            "signals_ingest_enabled",
            || {
                item(
                    "ingest_telemetry",
                    ingest_telemetry(&meta["ingest"]["telemetry"]),
                )
            },
        )
        .unwrap_or_else(|off| item("ingest_telemetry", Ok(off))),
        item("stages_share_the_trace", shared_trace(response, flags)),
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

fn equals(name: &'static str, found: &Value, expected: &Value) -> Check {
    let outcome = if found == expected && !found.is_null() {
        Ok(found.to_string())
    } else {
        Err(format!("expected {expected}, found {found}"))
    };
    item(name, outcome)
}

fn when(on: bool, flag: &str, check: impl FnOnce() -> Check) -> Result<Check, String> {
    if on {
        Ok(check())
    } else {
        Err(format!("does not apply: {flag} is off"))
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

fn router_trace(response: &Value) -> Result<&str, String> {
    let trace_id = response["router_result"]["meta"]["trace_id"]
        .as_str()
        .filter(|trace_id| !trace_id.is_empty())
        .ok_or("canary missing router trace id")?;
    if response["meta"]["trace_id"].as_str() != Some(trace_id) {
        return Err("canary trace mismatch between router and meta".to_owned());
    }
    Ok(trace_id)
}

fn known_action(action: &Value) -> Result<String, String> {
    action
        .as_str()
        .and_then(Action::from_word)
        .map(|action| action.to_string())
        .ok_or_else(|| format!("expected buy, sell or hold, found {action}"))
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

/// Every stage digested the envelope that was sent, not another one.
fn shared_trace(response: &Value, flags: &Flags) -> Result<String, String> {
    let expected = &response["meta"]["trace_id"];
    let mut places = vec![
        "/brain_decision/meta",
        "/trade_action/envelope/meta",
        "/router_result/meta",
    ];
    if flags.intent_preview_enabled {
        places.push("/intent_preview/meta");
    }
    for place in places {
        let found = response
            .pointer(place)
            .map_or(&Value::Null, |meta| &meta["trace_id"]);
        if found.is_null() || found != expected {
            return Err(format!(
                "{place} has the trace {found}, the response {expected}"
            ));
        }
    }
    Ok(expected.to_string())
}
