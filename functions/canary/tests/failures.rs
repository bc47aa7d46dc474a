//! The canary when a deployed stage fails, and in a real pipeline.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests and their helpers")]

mod deployed;

use canary::checks;
use canary::run::Evidence;
use canary::settings::Settings;
use canary::stages::Stage;
use canary::telemetry::Metric;
use deployed::{all_but, run, run_with, settings};
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn failure(stage: &str, reason: &str) -> [Metric; 2] {
    [
        Metric::new(
            "pipeline_failures_total",
            &[("stage", stage), ("reason", reason)],
        ),
        Metric::new(
            "pipeline_requests_total",
            &[("stage", stage), ("outcome", "fail")],
        ),
    ]
}

/// Runs the canary with one stage's answer replaced.
fn run_replacing(settings: &Settings, replaced: Stage, answer: &Result<Value, String>) -> Evidence {
    run_with(settings, &mut |stage, _| {
        (stage == replaced).then(|| answer.clone())
    })
}

/// The response is the hold shape with this reason, rationale and meta; the last counters are these.
fn check_hold(
    evidence: &Evidence,
    reason: &str,
    rationale: &str,
    meta: Value,
    last_metrics: &[Metric],
) {
    assert_eq!(
        evidence.response,
        json!({
            "status": "hold", "reason": reason, "rationale": [rationale], "brain_decision": null,
            "trade_action": null, "router_result": null, "intent_preview": null, "meta": meta,
        })
    );
    let from = evidence.metrics.len() - last_metrics.len();
    assert_eq!(&evidence.metrics[from..], last_metrics);
    assert_eq!(evidence.hold_reason(), Some(reason));
    assert_eq!(
        checks::console(&evidence.response).unwrap_err(),
        "canary failed: status=hold"
    );
}

#[test]
fn a_stage_that_fails_makes_the_canary_hold_by_an_exception_at_that_stage() {
    let trap = |text: &str| Err(text.to_owned());
    for (replaced, text, stage) in [
        (Stage::Ingest, "trapped: unreachable", "ingest"),
        (
            Stage::GenerateTradingSignal,
            "trapped: out of memory",
            "brain",
        ),
        (
            Stage::GenerateTradingSignal,
            "trade_engine: no context",
            "trade_engine",
        ),
        (Stage::Execute, "deadline exceeded", "runtime_router"),
    ] {
        let evidence = run_replacing(&all_but(&[]), replaced, &trap(text));
        check_hold(
            &evidence,
            "exception",
            "exception",
            json!({}),
            &failure(stage, "exception"),
        );
        let said = &evidence
            .checks
            .iter()
            .find(|check| !check.passed)
            .unwrap()
            .detail;
        assert!(said.ends_with(text), "{said}");
    }
    let evidence = run_replacing(
        &settings(&["signals_mock_feed_enabled"]),
        Stage::Ingest,
        &trap("trap"),
    );
    check_hold(
        &evidence,
        "exception",
        "exception",
        json!({}),
        &failure("mock_feed", "exception"),
    );
}

#[test]
fn a_failed_trade_engine_is_counted_after_the_brains_success() {
    let answer = Err("trade_engine: no context".to_owned());
    let evidence = run_replacing(&settings(&[]), Stage::GenerateTradingSignal, &answer);
    let mut expected = vec![Metric::new(
        "pipeline_requests_total",
        &[("stage", "brain"), ("outcome", "success")],
    )];
    expected.extend(failure("trade_engine", "exception"));
    assert_eq!(evidence.metrics, expected);
}

#[test]
fn a_frame_that_ingest_refuses_makes_the_canary_hold_without_a_counter() {
    for (frame, reason, message) in [
        (
            json!({}),
            "missing_instrument",
            "instrument/symbol is required",
        ),
        (
            json!({ "instrument": "  " }),
            "missing_instrument",
            "instrument/symbol is required",
        ),
        (json!([]), "invalid_frame", "frame must be a dict"),
    ] {
        let evidence = run_with(
            &settings(&["signals_ingest_enabled"]),
            &mut |stage, input| {
                if stage == Stage::Ingest {
                    input["frame"] = frame.clone();
                }
                None
            },
        );
        let refused =
            json!({ "status": "error", "reason": reason, "details": { "message": message } });
        let meta = json!({ "ingest": refused, "pipeline_fake_mode": true });
        check_hold(&evidence, "ingest_failed", "ingest_error", meta, &[]);
        assert!(evidence.metrics.is_empty());
    }
}

#[test]
fn an_input_that_ingest_does_not_understand_is_an_exception() {
    let evidence = run_with(
        &settings(&["signals_ingest_enabled"]),
        &mut |stage, input| {
            if stage == Stage::Ingest {
                input["path"] = json!("elsewhere");
            }
            None
        },
    );
    check_hold(
        &evidence,
        "exception",
        "exception",
        json!({}),
        &failure("ingest", "exception"),
    );
}

#[test]
fn an_ingest_status_that_is_no_success_is_named_in_the_rationale() {
    for (answer, rationale) in [
        (json!({ "status": "error", "reason": "x" }), "ingest_error"),
        (json!({ "status": "held" }), "ingest_held"),
        (json!({}), "ingest_unknown"),
    ] {
        let evidence = run_replacing(
            &settings(&["signals_ingest_enabled"]),
            Stage::Ingest,
            &Ok(answer.clone()),
        );
        check_hold(
            &evidence,
            "ingest_failed",
            rationale,
            json!({ "ingest": answer, "pipeline_fake_mode": true }),
            &[],
        );
        assert!(evidence.metrics.is_empty());
    }
}

#[test]
fn a_seed_whose_instrument_is_no_text_makes_the_mock_feed_fail() {
    let settings = Settings {
        mock_feed_seed: Some(json!({ "instrument": 5 })),
        ..settings(&["signals_mock_feed_enabled"])
    };
    let refused = json!({
        "status": "error", "reason": "missing_instrument",
        "details": { "message": "instrument/symbol is required" },
    });
    check_hold(
        &run(&settings),
        "mock_feed_failed",
        "mock_feed_error",
        json!({ "mock_feed": refused, "pipeline_fake_mode": true }),
        &[Metric::new(
            "signals_mock_feed_runs_total",
            &[("outcome", "error")],
        )],
    );
}

#[test]
fn a_mock_feed_whose_pipeline_holds_makes_the_canary_hold() {
    let answer = Err("trap".to_owned());
    let evidence = run_replacing(
        &settings(&["signals_mock_feed_enabled"]),
        Stage::Execute,
        &answer,
    );
    assert_eq!(evidence.response["reason"], "mock_feed_failed");
    assert_eq!(evidence.response["rationale"], json!(["mock_feed_hold"]));
    assert_eq!(
        evidence.response["meta"]["mock_feed"]["reason"],
        "exception"
    );
}

#[test]
fn a_mock_feed_that_fails_beside_ingest_fails_the_check_on_it() {
    let evidence = run_with(&all_but(&[]), &mut |stage, input| {
        (stage == Stage::Ingest && input["path"] == "consume_signal")
            .then(|| Err("trap".to_owned()))
    });
    assert_eq!(evidence.response["status"], "success");
    assert_eq!(evidence.response["meta"]["trace_id"], "602734a1559a62c1");
    assert_eq!(failed_checks(&evidence), ["mock_feed_success"]);
    assert_eq!(evidence.hold_reason(), Some("canary_check_failed"));
}

#[test]
fn an_envelope_without_an_instrument_is_invalid() {
    for envelope in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "symbol": "BTC-USD" }),
        json!({ "instrument": "" }),
        json!({ "instrument": null }),
        json!({ "instrument": 0 }),
        json!({ "instrument": false }),
        json!({ "instrument": {} }),
    ] {
        let answer = Ok(json!({ "status": "success", "envelope": envelope, "telemetry": null }));
        let evidence = run_replacing(
            &settings(&["signals_ingest_enabled"]),
            Stage::Ingest,
            &answer,
        );
        check_hold(
            &evidence,
            "invalid_envelope",
            "invalid_envelope",
            json!({}),
            &failure("validate", "invalid_envelope"),
        );
    }
}

#[test]
fn a_stage_that_answers_nonsense_makes_the_canary_hold() {
    let meta = json!({ "trace_id": "62d1840b72ce48b2" });
    for (replaced, answer, stage, reason) in [
        (
            Stage::GenerateTradingSignal,
            json!([]),
            "brain",
            "invalid_brain_response",
        ),
        (
            Stage::GenerateTradingSignal,
            json!({ "brain_decision": "buy" }),
            "brain",
            "invalid_brain_response",
        ),
        (
            Stage::GenerateTradingSignal,
            json!({ "brain_decision": {}, "trade_action": {}, "metrics": "many" }),
            "brain",
            "invalid_brain_response",
        ),
        (
            Stage::GenerateTradingSignal,
            json!({ "brain_decision": {} }),
            "trade_engine",
            "invalid_trade_response",
        ),
        (
            Stage::Execute,
            json!("ok"),
            "runtime_router",
            "invalid_router_response",
        ),
        (
            Stage::Execute,
            json!({ "router_result": {} }),
            "runtime_router",
            "invalid_router_response",
        ),
    ] {
        let evidence = run_replacing(&settings(&[]), replaced, &Ok(answer));
        check_hold(
            &evidence,
            reason,
            reason,
            meta.clone(),
            &failure(stage, reason),
        );
    }
}

#[test]
fn a_preview_that_fails_is_named_in_the_rationale_and_leaves_the_run_a_success() {
    let evidence = run_with(
        &settings(&["intent_preview_enabled"]),
        &mut |stage, input| {
            if stage == Stage::Execute {
                // A real preview, under a cap that is no amount.
                input["fake"] = json!(false);
                input["max_order_usd"] = json!("a lot");
            }
            None
        },
    );
    assert_eq!(evidence.response["status"], "success");
    assert_eq!(evidence.response["reason"], Value::Null);
    assert_eq!(
        evidence.response["rationale"],
        json!(["fake_mode", "intent_preview_failed"])
    );
    assert_eq!(evidence.response["intent_preview"], Value::Null);
    let from = evidence.metrics.len() - 2;
    assert_eq!(
        evidence.metrics[from..],
        failure("intent_preview", "exception")
    );
}

fn failed_checks(evidence: &Evidence) -> Vec<&str> {
    evidence
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| check.name)
        .collect()
}

/// What a stage answers itself.
fn answer(stage: Stage, input: &Value) -> Result<Value, String> {
    match stage {
        Stage::Ingest => ingest::normalise::run_task(input, 0.0, || 0.25)
            .map(|answer| serde_json::to_value(answer).unwrap()),
        Stage::GenerateTradingSignal => generate_trading_signal::pipeline::run_task(input),
        Stage::Execute => execute::pipeline::run_task(input),
    }
}

/// Runs the eight-flag canary with one value of a stage's output changed.
fn run_tampering(stage: Stage, pointer: &str, value: Value) -> Evidence {
    run_with(
        &all_but(&["signals_mock_feed_enabled"]),
        &mut |invoked, input| {
            (invoked == stage).then(|| {
                let mut output = answer(stage, input)?;
                *output.pointer_mut(pointer).unwrap() = value.clone();
                Ok(output)
            })
        },
    )
}

#[test]
fn evidence_that_was_tampered_with_fails_its_check() {
    use Stage::{Execute, GenerateTradingSignal, Ingest};
    for (stage, pointer, value, failed) in [
        (
            Execute,
            "/router_result/meta/trace_id",
            json!("f00"),
            &["router_trace_is_meta_trace", "stages_share_the_trace"][..],
        ),
        (
            Execute,
            "/router_result/meta/trace_id",
            json!(null),
            &["router_trace_is_meta_trace", "stages_share_the_trace"],
        ),
        (
            Execute,
            "/router_result/status",
            json!("fail"),
            &["router_success"],
        ),
        (
            GenerateTradingSignal,
            "/trade_action/action",
            json!("sell"),
            &["trade_action_is_brain_action"],
        ),
        (
            Execute,
            "/intent_preview/action",
            json!("sell"),
            &["preview_action_is_brain_action"],
        ),
        (
            GenerateTradingSignal,
            "/brain_decision/action",
            json!("short"),
            &[
                "brain_action_known",
                "trade_action_is_brain_action",
                "preview_action_is_brain_action",
            ],
        ),
        (
            GenerateTradingSignal,
            "/brain_decision/meta/trace_id",
            json!("f00"),
            &["stages_share_the_trace"],
        ),
        (
            Ingest,
            "/telemetry/spans/0/duration_ms",
            json!(0.0),
            &["ingest_telemetry"],
        ),
        (
            Ingest,
            "/telemetry/spans/0/name",
            json!("other"),
            &["ingest_telemetry"],
        ),
        (
            Ingest,
            "/telemetry/metrics/0/labels/outcome",
            json!("error"),
            &["ingest_telemetry"],
        ),
        (Ingest, "/telemetry", json!(null), &["ingest_telemetry"]),
    ] {
        let evidence = run_tampering(stage, pointer, value);
        assert_eq!(failed_checks(&evidence), failed, "{pointer}");
        assert_eq!(evidence.hold_reason(), Some("canary_check_failed"));
    }
}

#[test]
fn a_missing_router_trace_and_a_mismatch_have_their_own_fatal_texts() {
    let console = |value: Value| {
        checks::console(
            &run_tampering(Stage::Execute, "/router_result/meta/trace_id", value).response,
        )
        .unwrap_err()
    };
    assert_eq!(console(json!(null)), "canary missing router trace id");
    assert_eq!(
        console(json!("f00")),
        "canary trace mismatch between router and meta"
    );
}

#[test]
fn a_real_pipeline_without_flags_holds_at_every_stage_and_has_no_trace() {
    let evidence = run(&Settings {
        fake_mode: false,
        ..Settings::default()
    });
    assert_eq!(
        evidence.response,
        json!({
            "status": "success", "reason": null, "rationale": [],
            "brain_decision": {
                "action": "hold", "confidence": 0.0, "rationale": [], "meta": { "signals_used": [] },
            },
            "trade_action": {
                "action": "hold",
                "envelope": {
                    "action": "hold", "amount": 0.0, "confidence": 0.0, "instrument": "unknown",
                    "metadata": { "risk_flags": [] }, "reason": "unsupported_instrument",
                },
                "reason": "unsupported_instrument",
            },
            "router_result": {
                "status": "success", "order_id": "router-ok", "reason": null,
                "meta": { "routed": true, "action": "hold" },
            },
            "intent_preview": null,
            "meta": { "pipeline_fake_mode": false, "intent_preview_enabled": false, "trace_id": null },
        })
    );
    check_real_success(&evidence);
}

#[test]
fn a_real_pipeline_with_every_stage_fake_answers_from_the_stages_own_fakes() {
    let evidence = run(&Settings {
        fake_mode: false,
        ..all_but(&[])
    });
    let mut response = evidence.response.clone();
    let meta = response.as_object_mut().unwrap().remove("meta").unwrap();
    assert_eq!(
        response,
        json!({
            "status": "success", "reason": null, "rationale": [],
            "brain_decision": {
                "action": "hold", "confidence": 0.5, "rationale": ["fake_mode enabled"],
                "meta": { "source": "fake" },
            },
            "trade_action": {
                "action": "hold",
                "envelope": {
                    "action": "hold", "amount": 0.0, "confidence": 0.0, "instrument": "unknown",
                    "metadata": { "risk_flags": ["fake_mode"], "fake": true }, "reason": "fake_mode",
                },
                "reason": "fake_mode",
            },
            "router_result": {
                "status": "success", "order_id": "2135dc2726f1", "reason": "fake_mode",
                "meta": { "fake": true, "action": "hold" },
            },
            "intent_preview": {
                "action": "sell", "size": 71.35, "confidence": 0.88, "rationale": ["fake_mode"],
                "risk_notes": ["fake_mode"], "meta": { "fake": true },
            },
        })
    );
    assert_eq!(
        (
            &meta["pipeline_fake_mode"],
            &meta["intent_preview_enabled"],
            &meta["trace_id"]
        ),
        (&json!(false), &json!(true), &Value::Null)
    );
    assert_eq!(meta["ingest"]["status"], "success");
    assert_eq!(meta["ingest"]["telemetry"].get("trace_id"), None);
    assert_eq!(meta["mock_feed"]["status"], "success");
    check_real_success(&evidence);
}

fn check_real_success(evidence: &Evidence) {
    assert_eq!(failed_checks(evidence), Vec::<&str>::new());
    assert_eq!(evidence.hold_reason(), None);
    assert_eq!(
        checks::console(&evidence.response).unwrap(),
        "CANARY status=success pipeline_fake_mode=false"
    );
}

#[test]
fn a_real_pipeline_fails_the_check_on_what_a_fake_or_a_tampered_one_would_answer() {
    let real = Settings {
        fake_mode: false,
        ..settings(&["intent_preview_enabled"])
    };
    for (stage, pointer, value, failed) in [
        (
            Stage::Execute,
            "/router_result/meta/trace_id",
            json!("f00"),
            &["router_trace_is_meta_trace", "stages_share_the_trace"][..],
        ),
        (
            Stage::GenerateTradingSignal,
            "/brain_decision/meta/trace_id",
            json!("f00"),
            &["stages_share_the_trace"],
        ),
        (
            Stage::GenerateTradingSignal,
            "/trade_action/action",
            json!("buy"),
            &["trade_action_is_brain_action"],
        ),
        (
            Stage::Execute,
            "/intent_preview/action",
            json!("buy"),
            &["preview_action_is_brain_action"],
        ),
    ] {
        let evidence = run_with(&real, &mut |invoked, input| {
            (invoked == stage).then(|| {
                let mut output = answer(invoked, input)?;
                let (place, field) = pointer.rsplit_once('/').unwrap();
                output.pointer_mut(place).unwrap()[field] = value.clone();
                Ok(output)
            })
        });
        assert_eq!(failed_checks(&evidence), failed, "{pointer}");
        assert_eq!(evidence.hold_reason(), Some("canary_check_failed"));
    }
    let fake = run(&Settings::default()).response;
    let failed: Vec<_> = checks::check(&fake, &real)
        .into_iter()
        .filter(|check| !check.passed)
        .map(|check| check.name)
        .collect();
    assert!(failed.contains(&"pipeline_fake_mode"), "{failed:?}");
}

#[test]
fn a_real_trade_engine_may_hold_what_the_brain_decided() {
    let real = Settings {
        fake_mode: false,
        ..Settings::default()
    };
    let decided_to_buy = |settings: &Settings| {
        run_with(settings, &mut |stage, input| {
            (stage == Stage::GenerateTradingSignal).then(|| {
                let mut output = answer(stage, input)?;
                output["brain_decision"]["action"] = json!("buy");
                Ok(output)
            })
        })
    };
    assert_eq!(failed_checks(&decided_to_buy(&real)), Vec::<&str>::new());
    // A fake one answers from the same digest as the brain.
    assert_eq!(
        failed_checks(&decided_to_buy(&Settings::default())),
        ["trade_action_is_brain_action"]
    );
}
