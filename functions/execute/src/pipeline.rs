//! The task `preview`: a router result and an intent preview for one trade action. Nothing is sent.
//!
//! In a fake pipeline both are read off the envelope's digest. In a real one the router names the order and the
//! preview sizes the intent under the caps, unless the stage's own fake flag is on.
//!
//! Input: `{"task":"preview","envelope":{…},"brain_decision":{…},"trade_action":{…},"fake":bool,"flags":{…},
//! "max_position_usd":"50000","max_order_usd":"10000"}`, of which `flags` (booleans by name, absent: off) and the
//! caps may be left out. Output: `{"router_result":{…},"intent_preview":{…} or null,"metrics":[{"name","labels"}]}`,
//! and `preview_error` with a text when the preview failed; the router's result stands all the same.

use bulkhead_kernel::trace::Digest;
use serde_json::{Value, json};

pub mod preview;
pub mod router;

pub use preview::Caps;

/// Counts the stages of the pipeline that were run.
const REQUESTS_METRIC: &str = "pipeline_requests_total";
/// Counts the stages of the pipeline that failed.
const FAILURES_METRIC: &str = "pipeline_failures_total";

/// The fields of the task's input.
const FIELDS: [&str; 8] = [
    "task",
    "envelope",
    "brain_decision",
    "trade_action",
    "fake",
    "flags",
    "max_position_usd",
    "max_order_usd",
];

/// How the trade action is routed and previewed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The whole pipeline is fake: everything comes from the envelope's digest.
    pub fake: bool,
    /// The router stage of a real pipeline is fake.
    pub runtime_router_fake_mode: bool,
    /// The preview stage of a real pipeline is fake.
    pub intent_preview_fake_mode: bool,
    /// There is a preview stage.
    pub intent_preview_enabled: bool,
    /// The caps as they are configured. None: the defaults.
    pub max_position_usd: Option<String>,
    /// See `max_position_usd`.
    pub max_order_usd: Option<String>,
}

/// What was decided upstream.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The envelope that the pipeline was started with.
    pub envelope: &'a Value,
    /// The brain's decision.
    pub brain_decision: &'a Value,
    /// The trade engine's action.
    pub trade_action: &'a Value,
}

/// Runs the task on its JSON input.
///
/// # Errors
/// The text says what is wrong with the input; `runtime_router: ` stands in front when it is the trade action.
pub fn run_task(input: &Value) -> Result<Value, String> {
    let fields = input.as_object().ok_or("the input must be an object")?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!(
            "unknown field `{unknown}`: the task takes {}",
            FIELDS.join(", ")
        ));
    }
    let field = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let decided = Decided {
        envelope: field("envelope"),
        brain_decision: field("brain_decision"),
        trade_action: field("trade_action"),
    };
    if !decided.envelope.is_object() {
        return Err("invalid_envelope: `envelope` must be an object".to_owned());
    }
    if !decided.trade_action.is_object() {
        return Err("runtime_router: `trade_action` must be an object".to_owned());
    }
    let options = Options {
        fake: boolean(input, "/fake")?,
        runtime_router_fake_mode: boolean(input, "/flags/runtime_router_fake_mode")?,
        intent_preview_fake_mode: boolean(input, "/flags/intent_preview_fake_mode")?,
        intent_preview_enabled: boolean(input, "/flags/intent_preview_enabled")?,
        max_position_usd: text(field("max_position_usd"), "max_position_usd")?,
        max_order_usd: text(field("max_order_usd"), "max_order_usd")?,
    };
    Ok(route_and_preview(decided, &options))
}

/// Routes a trade action and previews its intent.
#[must_use]
pub fn route_and_preview(decided: Decided<'_>, options: &Options) -> Value {
    let digest = options.fake.then(|| Digest::of(decided.envelope));
    let router_result = match &digest {
        Some(digest) => router::of_digest(digest),
        None if options.runtime_router_fake_mode => router::fake(decided.trade_action),
        None => router::route(decided.trade_action),
    };
    let mut metrics = vec![request_metric("runtime_router", "success")];
    let mut output = json!({ "router_result": router_result, "intent_preview": null });
    if options.intent_preview_enabled {
        match preview(decided, options, digest.as_ref()) {
            Ok(preview) => {
                output["intent_preview"] = preview;
                metrics.push(request_metric("intent_preview", "success"));
            }
            Err(error) => {
                output["preview_error"] = json!(error);
                metrics.push(json!({
                    "name": FAILURES_METRIC,
                    "labels": { "stage": "intent_preview", "reason": "exception" },
                }));
                metrics.push(request_metric("intent_preview", "fail"));
            }
        }
    }
    output["metrics"] = json!(metrics);
    output
}

fn preview(
    decided: Decided<'_>,
    options: &Options,
    digest: Option<&Digest>,
) -> Result<Value, String> {
    let snapshot = &decided.envelope["snapshot"];
    match digest {
        Some(digest) => Ok(preview::of_digest(digest)),
        None if options.intent_preview_fake_mode => {
            Ok(preview::fake(decided.brain_decision, snapshot))
        }
        None => {
            let caps = Caps::read(
                options.max_position_usd.as_deref(),
                options.max_order_usd.as_deref(),
            )?;
            Ok(preview::preview(
                decided.brain_decision,
                decided.envelope,
                &caps,
            ))
        }
    }
}

fn request_metric(stage: &str, outcome: &str) -> Value {
    json!({ "name": REQUESTS_METRIC, "labels": { "stage": stage, "outcome": outcome } })
}

fn boolean(input: &Value, pointer: &str) -> Result<bool, String> {
    match input.pointer(pointer) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(format!(
            "`{}` must be true or false",
            pointer.trim_start_matches('/').replace('/', ".")
        )),
    }
}

fn text(value: &Value, name: &str) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(format!("`{name}` must be a text")),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn task(fields: Value) -> Value {
        let mut input = json!({
            "task": "preview",
            "envelope": { "instrument": "BTC-USD", "snapshot": {}, "signals": {} },
            "brain_decision": { "action": "hold", "confidence": 0.0, "rationale": [], "meta": {} },
            "trade_action": { "action": "hold", "envelope": {}, "reason": "accepted" },
        });
        for (key, value) in fields.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    }

    #[test]
    fn a_fake_pipeline_answers_from_the_digest_alone() {
        let flags = json!({ "intent_preview_enabled": true, "runtime_router_fake_mode": true });
        let meta = json!({ "fake": true, "trace_id": "62d1840b72ce48b2" });
        assert_eq!(
            run_task(&task(
                json!({ "fake": true, "flags": flags, "max_order_usd": "not read" })
            ))
            .unwrap(),
            json!({
                "router_result": {
                    "status": "success", "order_id": "62d1840b72ce", "reason": "fake_mode", "meta": meta,
                },
                "intent_preview": {
                    "action": "hold", "size": 38.03, "confidence": 0.09, "rationale": ["fake_mode"],
                    "risk_notes": ["fake_mode"], "meta": meta,
                },
                "metrics": [
                    request_metric("runtime_router", "success"),
                    request_metric("intent_preview", "success"),
                ],
            })
        );
    }

    #[test]
    fn without_the_preview_stage_the_preview_is_null_and_not_counted() {
        for fake in [true, false] {
            let output = run_task(&task(json!({ "fake": fake }))).unwrap();
            assert_eq!(output["intent_preview"], Value::Null);
            assert_eq!(
                output["metrics"],
                json!([request_metric("runtime_router", "success")])
            );
        }
    }

    #[test]
    fn a_preview_that_fails_leaves_the_routers_result_standing() {
        let flags = json!({ "intent_preview_enabled": true });
        let output = run_task(&task(json!({ "flags": flags, "max_order_usd": "a lot" }))).unwrap();
        assert_eq!(output["router_result"]["order_id"], "router-ok");
        assert_eq!(output["intent_preview"], Value::Null);
        assert_eq!(
            output["preview_error"],
            "`max_order_usd` is not an amount: `a lot`"
        );
        assert_eq!(
            output["metrics"],
            json!([
                request_metric("runtime_router", "success"),
                {
                    "name": "pipeline_failures_total",
                    "labels": { "stage": "intent_preview", "reason": "exception" },
                },
                request_metric("intent_preview", "fail"),
            ])
        );
    }

    #[test]
    fn an_input_that_is_no_task_is_refused_with_the_place() {
        let refusal = |input: Value| run_task(&input).unwrap_err();
        assert_eq!(refusal(json!(1)), "the input must be an object");
        assert!(
            refusal(task(json!({ "max_order": "1" }))).starts_with("unknown field `max_order`")
        );
        assert_eq!(
            refusal(task(json!({ "envelope": [] }))),
            "invalid_envelope: `envelope` must be an object"
        );
        assert_eq!(
            refusal(task(json!({ "trade_action": null }))),
            "runtime_router: `trade_action` must be an object"
        );
        assert_eq!(
            refusal(task(json!({ "fake": "yes" }))),
            "`fake` must be true or false"
        );
        assert_eq!(
            refusal(task(json!({ "max_order_usd": 1 }))),
            "`max_order_usd` must be a text"
        );
    }
}
