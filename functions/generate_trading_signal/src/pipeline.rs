//! The task `decide`: a brain decision and a trade action for one envelope.
//!
//! In a fake pipeline both are read off the envelope's digest. In a real one the brain fuses the envelope's
//! signals and the trade engine applies its rules, unless the stage's own fake flag is on.
//!
//! Input: `{"task":"decide","envelope":{…},"fake":bool,"flags":{…},"context":{…}}`, of which `flags` (booleans by
//! name, absent: off) and `context` (see [`TradeContext`]) may be left out.
//! Output: `{"brain_decision":{…},"trade_action":{…},"trace_id":text or null,"metrics":[{"name","labels"}]}`.

use bulkhead_kernel::trace::Digest;
use serde_json::{Value, json};

pub mod brain;
pub mod trade_engine;

pub use trade_engine::TradeContext;

/// Counts the stages of the pipeline that were run.
const REQUESTS_METRIC: &str = "pipeline_requests_total";

/// The fields of the task's input.
const FIELDS: [&str; 5] = ["task", "envelope", "fake", "flags", "context"];

/// How the envelope is decided upon.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The whole pipeline is fake: everything comes from the envelope's digest.
    pub fake: bool,
    /// The brain stage of a real pipeline is fake.
    pub brain_fake_mode: bool,
    /// The trade engine of a real pipeline is fake.
    pub trade_engine_fake_mode: bool,
    /// What the trade engine of a real pipeline knows of the account.
    pub context: TradeContext,
}

/// Runs the task on its JSON input.
///
/// # Errors
/// The text says what is wrong with the input; `trade_engine: ` stands in front when only the trade engine's part is wrong.
pub fn run_task(input: &Value) -> Result<Value, String> {
    let fields = input.as_object().ok_or("the input must be an object")?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!(
            "unknown field `{unknown}`: the task takes {}",
            FIELDS.join(", ")
        ));
    }
    let envelope = fields.get("envelope").unwrap_or(&Value::Null);
    if !envelope.is_object() {
        return Err("invalid_envelope: `envelope` must be an object".to_owned());
    }
    let context = match fields.get("context") {
        None | Some(Value::Null) => TradeContext::default(),
        Some(context) => {
            TradeContext::read(context).map_err(|error| format!("trade_engine: {error}"))?
        }
    };
    let options = Options {
        fake: boolean(input, "/fake")?,
        brain_fake_mode: boolean(input, "/flags/brain_fake_mode")?,
        trade_engine_fake_mode: boolean(input, "/flags/trade_engine_fake_mode")?,
        context,
    };
    Ok(decide(envelope, &options))
}

/// Decides upon one envelope.
#[must_use]
pub fn decide(envelope: &Value, options: &Options) -> Value {
    if options.fake {
        return fake_decision(envelope);
    }
    let brain_decision = if options.brain_fake_mode {
        brain::fake()
    } else {
        brain::fuse(&envelope["signals"])
    };
    let mut metrics = vec![request_metric("brain")];
    let trade_action = if options.trade_engine_fake_mode {
        trade_engine::fake()
    } else {
        let answer = trade_engine::act(&brain_decision, &options.context);
        metrics.extend(answer.metrics);
        answer.trade_action
    };
    metrics.push(request_metric("trade_engine"));
    json!({
        "brain_decision": brain_decision,
        "trade_action": trade_action,
        "trace_id": null,
        "metrics": metrics,
    })
}

fn fake_decision(envelope: &Value) -> Value {
    let digest = Digest::of(envelope);
    let action = digest.action().as_str();
    let meta = json!({ "fake": true, "trace_id": digest.trace_id() });
    json!({
        "brain_decision": {
            "action": action,
            "confidence": digest.confidence(),
            "rationale": ["fake_brain"],
            "meta": meta,
        },
        "trade_action": {
            "action": action,
            "envelope": { "action": action, "meta": meta },
            "reason": "fake_mode",
        },
        "trace_id": digest.trace_id(),
        "metrics": [request_metric("brain"), request_metric("trade_engine")],
    })
}

fn request_metric(stage: &str) -> Value {
    json!({ "name": REQUESTS_METRIC, "labels": { "stage": stage, "outcome": "success" } })
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

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn baseline() -> Value {
        json!({ "instrument": "BTC-USD", "snapshot": {}, "signals": {} })
    }

    fn task(fields: Value) -> Value {
        let mut input = json!({ "task": "decide", "envelope": baseline() });
        for (key, value) in fields.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    }

    #[test]
    fn a_fake_pipeline_answers_from_the_digest_alone() {
        let flags = json!({ "brain_fake_mode": true, "trade_engine_fake_mode": true });
        let meta = json!({ "fake": true, "trace_id": "62d1840b72ce48b2" });
        assert_eq!(
            run_task(&task(json!({ "fake": true, "flags": flags }))).unwrap(),
            json!({
                "brain_decision": {
                    "action": "hold", "confidence": 0.09, "rationale": ["fake_brain"], "meta": meta,
                },
                "trade_action": {
                    "action": "hold", "envelope": { "action": "hold", "meta": meta }, "reason": "fake_mode",
                },
                "trace_id": "62d1840b72ce48b2",
                "metrics": [request_metric("brain"), request_metric("trade_engine")],
            })
        );
    }

    #[test]
    fn a_real_pipeline_without_signals_holds_and_trades_nothing() {
        let output = run_task(&task(json!({ "fake": false }))).unwrap();
        assert_eq!(
            output["brain_decision"],
            json!({ "action": "hold", "confidence": 0.0, "rationale": [], "meta": { "signals_used": [] } })
        );
        assert_eq!(
            output["trade_action"],
            json!({
                "action": "hold",
                "envelope": {
                    "action": "hold", "amount": 0.0, "confidence": 0.0, "instrument": "unknown",
                    "metadata": { "risk_flags": [] }, "reason": "unsupported_instrument",
                },
                "reason": "unsupported_instrument",
            })
        );
        assert_eq!(output["trace_id"], Value::Null);
    }

    #[test]
    fn the_trade_engines_counters_stand_between_those_of_the_brain_and_its_own_request() {
        let output = run_task(&task(json!({ "fake": false }))).unwrap();
        let names: Vec<_> = output["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "pipeline_requests_total",
                "engine_decisions_total",
                "engine_failures_total",
                "trade_engine_requests_total",
                "trade_engine_actions_total",
                "pipeline_requests_total",
            ]
        );
    }

    #[test]
    fn stage_flags_make_the_stages_of_a_real_pipeline_fake() {
        let flags = json!({ "brain_fake_mode": true, "trade_engine_fake_mode": true });
        let output = run_task(&task(json!({ "fake": false, "flags": flags }))).unwrap();
        assert_eq!(
            output["brain_decision"],
            json!({
                "action": "hold", "confidence": 0.5, "rationale": ["fake_mode enabled"],
                "meta": { "source": "fake" },
            })
        );
        assert_eq!(output["trade_action"]["reason"], "fake_mode");
        // The published order id of the router's fake is the digest of this very trade action.
        assert_eq!(
            Digest::of(&output["trade_action"]).order_id(),
            "2135dc2726f1"
        );
    }

    #[test]
    fn an_input_that_is_no_task_is_refused_with_the_place() {
        let refusal = |input: Value| run_task(&input).unwrap_err();
        assert_eq!(refusal(json!([])), "the input must be an object");
        assert!(refusal(task(json!({ "contxt": {} }))).starts_with("unknown field `contxt`"));
        assert_eq!(
            refusal(json!({ "task": "decide", "envelope": "x" })),
            "invalid_envelope: `envelope` must be an object"
        );
        assert_eq!(
            refusal(task(json!({ "fake": 1 }))),
            "`fake` must be true or false"
        );
        assert_eq!(
            refusal(task(json!({ "flags": { "brain_fake_mode": "1" } }))),
            "`flags.brain_fake_mode` must be true or false"
        );
        assert!(
            refusal(task(json!({ "context": { "amount": "x" } })))
                .starts_with("trade_engine: `context`")
        );
    }
}
