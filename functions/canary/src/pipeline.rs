//! One run of the pipeline on an envelope: brain, trade engine, router, intent preview, through the deployed stages.

use bulkhead_kernel::trace::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::{Flags, Settings};
use crate::stages::{Failure, Stage, Stages};
use crate::telemetry::{Metric, REQUESTS_METRIC};

/// A response and the counters raised on the way to it.
#[derive(Clone, Debug)]
pub struct Run {
    /// `{status, reason, rationale, brain_decision, trade_action, router_result, intent_preview, meta}`.
    pub response: Value,
    /// In the order they were raised.
    pub metrics: Vec<Metric>,
    /// What the stage said that failed by an exception.
    pub cause: Option<Failure>,
}

/// Runs the pipeline. Whatever fails is in the response: its status is then `hold`.
pub async fn run(stages: &mut impl Stages, envelope: &Value, settings: &Settings) -> Run {
    let mut metrics = Vec::new();
    match respond(stages, envelope, settings, &mut metrics).await {
        Ok(response) => Run {
            response,
            metrics,
            cause: None,
        },
        Err(stop) => {
            metrics.extend(Metric::failure(stop.stage, stop.reason));
            Run {
                response: hold(stop.reason, stop.reason, stop.meta),
                metrics,
                cause: stop.cause,
            }
        }
    }
}

/// The response of a run that may not go on: every stage's field is null.
#[must_use]
pub fn hold(reason: &str, rationale: &str, meta: Value) -> Value {
    json!({
        "status": "hold",
        "reason": reason,
        "rationale": [rationale],
        "brain_decision": null,
        "trade_action": null,
        "router_result": null,
        "intent_preview": null,
        "meta": meta,
    })
}

/// The response and the counters when a stage failed by an exception.
#[must_use]
pub fn exception(stage: &'static str, cause: Failure) -> Run {
    let stop = Stop::exception(stage, cause);
    Run {
        response: hold(stop.reason, stop.reason, stop.meta),
        metrics: Metric::failure(stop.stage, stop.reason).into(),
        cause: stop.cause,
    }
}

/// Why a run may not go on, and at which of the pipeline's own stages.
struct Stop {
    stage: &'static str,
    reason: &'static str,
    meta: Value,
    cause: Option<Failure>,
}

impl Stop {
    fn exception(stage: &'static str, cause: Failure) -> Self {
        Self {
            stage,
            reason: "exception",
            meta: json!({}),
            cause: Some(cause),
        }
    }
}

/// The signal stage's task.
#[derive(Serialize)]
struct Decide<'a> {
    task: &'static str,
    envelope: &'a Value,
    fake: bool,
    flags: &'a Flags,
}

/// The execution stage's task.
#[derive(Serialize)]
struct Preview<'a> {
    task: &'static str,
    envelope: &'a Value,
    brain_decision: &'a Value,
    trade_action: &'a Value,
    fake: bool,
    flags: &'a Flags,
    max_position_usd: Option<&'a str>,
    max_order_usd: Option<&'a str>,
}

async fn respond(
    stages: &mut impl Stages,
    envelope: &Value,
    settings: &Settings,
    metrics: &mut Vec<Metric>,
) -> Result<Value, Stop> {
    if !is_valid(envelope) {
        return Err(Stop {
            stage: "validate",
            reason: "invalid_envelope",
            meta: json!({}),
            cause: None,
        });
    }
    let trace_id = settings.fake_mode.then(|| Digest::of(envelope).trace_id());
    let invalid = |stage, reason| Stop {
        stage,
        reason,
        meta: json!({ "trace_id": trace_id }),
        cause: None,
    };
    let task = Decide {
        task: "decide",
        envelope,
        fake: settings.fake_mode,
        flags: &settings.flags,
    };
    let mut decided = match stages.invoke(Stage::GenerateTradingSignal, &task).await {
        Ok(decided) => decided,
        Err(failure) if failed_at(&failure, "trade_engine") => {
            metrics.push(Metric::new(
                REQUESTS_METRIC,
                &[("stage", "brain"), ("outcome", "success")],
            ));
            return Err(Stop::exception("trade_engine", failure));
        }
        Err(failure) => return Err(Stop::exception("brain", failure)),
    };
    if !decided["brain_decision"].is_object() {
        return Err(invalid("brain", "invalid_brain_response"));
    }
    if !decided["trade_action"].is_object() {
        return Err(invalid("trade_engine", "invalid_trade_response"));
    }
    metrics.extend(
        Metric::read_list(&decided["metrics"])
            .ok_or_else(|| invalid("brain", "invalid_brain_response"))?,
    );

    let task = Preview {
        task: "preview",
        envelope,
        brain_decision: &decided["brain_decision"],
        trade_action: &decided["trade_action"],
        fake: settings.fake_mode,
        flags: &settings.flags,
        max_position_usd: settings.max_position_usd.as_deref(),
        max_order_usd: settings.max_order_usd.as_deref(),
    };
    let mut executed = stages
        .invoke(Stage::Execute, &task)
        .await
        .map_err(|failure| Stop::exception("runtime_router", failure))?;
    if !executed["router_result"].is_object() {
        return Err(invalid("runtime_router", "invalid_router_response"));
    }
    metrics.extend(
        Metric::read_list(&executed["metrics"])
            .ok_or_else(|| invalid("runtime_router", "invalid_router_response"))?,
    );

    let mut rationale = if settings.fake_mode {
        vec!["fake_mode"]
    } else {
        Vec::new()
    };
    if !executed["preview_error"].is_null() {
        rationale.push("intent_preview_failed");
    }
    Ok(json!({
        "status": "success",
        "reason": null,
        "rationale": rationale,
        "brain_decision": taken(&mut decided, "brain_decision"),
        "trade_action": taken(&mut decided, "trade_action"),
        "router_result": taken(&mut executed, "router_result"),
        "intent_preview": taken(&mut executed, "intent_preview"),
        "meta": {
            "pipeline_fake_mode": settings.fake_mode,
            "intent_preview_enabled": settings.flags.intent_preview_enabled,
            "trace_id": trace_id,
        },
    }))
}

/// What stands in a field, without a copy; null where the field is missing.
fn taken(output: &mut Value, field: &str) -> Value {
    output.get_mut(field).map(Value::take).unwrap_or_default()
}

/// An envelope is a mapping with an instrument that is not null, false, zero or empty. A `symbol` alone is not enough.
fn is_valid(envelope: &Value) -> bool {
    match envelope.get("instrument") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(entries)) => !entries.is_empty(),
    }
}

/// A deployed stage holds two of the pipeline's; its text names the second one when that is the one that failed.
fn failed_at(failure: &Failure, stage: &str) -> bool {
    failure
        .text()
        .strip_prefix(stage)
        .is_some_and(|rest| rest.starts_with(':'))
}
