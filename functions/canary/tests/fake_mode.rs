//! The canary of a fake pipeline, through the real cores of the stages: each row of expected values.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests and their helpers")]

mod deployed;

use bulkhead_kernel::trace::Digest;
use canary::run::Evidence;
use canary::settings::{Flags, Settings};
use canary::stages::Stage;
use canary::telemetry::Metric;
use canary::{artifact, checks, promotion};
use deployed::{DURATION_MS, all_but, run, run_with, settings};
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// What is expected of a fake response.
struct Row {
    sha1: &'static str,
    action: &'static str,
    confidence: f64,
    /// None: the preview stage is off.
    size: Option<f64>,
}

const CANARY: Row = Row {
    sha1: "602734a1559a62c1b31db64e93f324a839157508",
    action: "buy",
    confidence: 0.39,
    size: Some(34.73),
};
const REAL_NORMALISATION: Row = Row {
    sha1: "fc03a4ad5304087924f8e30742435aacde85785d",
    action: "buy",
    confidence: 0.03,
    size: None,
};
const BASELINE: Row = Row {
    sha1: "62d1840b72ce48b2a2b08a7e4f11b0c7dbf055d3",
    action: "hold",
    confidence: 0.09,
    size: None,
};
const MOCK: Row = Row {
    sha1: "9c2cd069b9ed60b099b8d9ca14064ef0386bfbb8",
    action: "buy",
    confidence: 0.44,
    size: None,
};
const FAKE_MOCK: Row = Row {
    sha1: "91fa6ae2deae7b382a7b2de9fc508307de81cbf9",
    action: "sell",
    confidence: 0.5,
    size: None,
};

/// The run's output as its reader sees it.
fn output(evidence: &Evidence) -> Value {
    serde_json::from_str(&evidence.output()).unwrap()
}

/// Runs the canary and notes the SHA-1 of every envelope that the deployed brain was given.
fn run_digesting(settings: &Settings) -> (Evidence, Vec<String>) {
    let mut digests = Vec::new();
    let evidence = run_with(settings, &mut |stage, input| {
        if stage == Stage::GenerateTradingSignal {
            digests.push(Digest::of(&input["envelope"]).hex());
        }
        None
    });
    (evidence, digests)
}

fn check_response(response: &Value, row: &Row) {
    let (trace_id, order_id) = (&row.sha1[..16], &row.sha1[..12]);
    let meta = json!({ "fake": true, "trace_id": trace_id });
    assert_eq!(response["status"], "success");
    assert_eq!(response["reason"], Value::Null);
    assert_eq!(response["rationale"], json!(["fake_mode"]));
    assert_eq!(
        response["brain_decision"],
        json!({
            "action": row.action, "confidence": row.confidence, "rationale": ["fake_brain"], "meta": meta,
        })
    );
    assert_eq!(
        response["trade_action"],
        json!({
            "action": row.action, "envelope": { "action": row.action, "meta": meta }, "reason": "fake_mode",
        })
    );
    assert_eq!(
        response["router_result"],
        json!({ "status": "success", "order_id": order_id, "reason": "fake_mode", "meta": meta })
    );
    let preview = row.size.map(|size| {
        json!({
            "action": row.action, "size": size, "confidence": row.confidence, "rationale": ["fake_mode"],
            "risk_notes": ["fake_mode"], "meta": meta,
        })
    });
    assert_eq!(response["intent_preview"], json!(preview));
    assert_eq!(response["meta"]["pipeline_fake_mode"], true);
    assert_eq!(
        response["meta"]["intent_preview_enabled"],
        row.size.is_some()
    );
    assert_eq!(response["meta"]["trace_id"], trace_id);
    assert_eq!(response.as_object().unwrap().len(), 8);
}

/// Runs the canary under some flags and checks the response, what stands in its meta beyond the pipeline's own, the
/// digested envelopes, and that every item of the checklist passes.
fn check(settings: &Settings, row: &Row, meta_extra: &[&str], digested: &[&str]) -> Evidence {
    let (evidence, digests) = run_digesting(settings);
    check_response(&evidence.response, row);
    assert_eq!(digests, digested);
    let extra: Vec<&String> = evidence.response["meta"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| {
            !["pipeline_fake_mode", "intent_preview_enabled", "trace_id"].contains(&key.as_str())
        })
        .collect();
    assert_eq!(extra, meta_extra);
    let failed: Vec<_> = evidence
        .checks
        .iter()
        .filter(|check| !check.passed)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(evidence.hold_reason(), None);
    evidence
}

fn with_preview(row: &Row, size: f64) -> Row {
    Row {
        size: Some(size),
        ..*row
    }
}

#[test]
fn with_all_eight_flags_the_canary_has_its_published_trace() {
    let evidence = check(
        &all_but(&[]),
        &CANARY,
        &["ingest", "mock_feed"],
        &[CANARY.sha1, FAKE_MOCK.sha1],
    );
    let frame = json!({
        "instrument": "BTC-USD", "timestamp": 1_700_000_000, "features": { "price": 10000.0 },
        "raw": { "source": "ingest_canary" },
    });
    let snapshot = json!({
        "instrument": "BTC-USD", "timestamp": 1_700_000_000,
        "features": { "price": 10000.0, "signal_strength": 0.75 }, "raw": frame,
    });
    assert_eq!(
        evidence.response["meta"]["ingest"],
        json!({
            "status": "success",
            "envelope": {
                "instrument": "BTC-USD", "signals": { "raw": frame, "normalized": snapshot },
                "snapshot": snapshot, "fake_mode": true,
            },
            "telemetry": {
                "spans": [{ "name": "ingest_frame", "duration_ms": DURATION_MS }],
                "metrics": [{
                    "name": "signals.ingest.invocations_total",
                    "labels": { "outcome": "success", "path": "ingest_frame" },
                }],
                "trace_id": "602734a1559a62c1",
            },
        })
    );
    check_response(
        &evidence.response["meta"]["mock_feed"],
        &with_preview(&FAKE_MOCK, 73.62),
    );
    assert_eq!(
        checks::console(&evidence.response).unwrap(),
        "CANARY status=success trace_id=602734a1559a62c1"
    );
    assert_eq!(output(&evidence)["trace_id"], "602734a1559a62c1");
}

#[test]
fn without_the_preview_flag_there_is_no_preview_and_the_same_trace() {
    check(
        &all_but(&["intent_preview_enabled"]),
        &Row {
            size: None,
            ..CANARY
        },
        &["ingest", "mock_feed"],
        &[CANARY.sha1, FAKE_MOCK.sha1],
    );
}

#[test]
fn ingest_with_either_fake_flag_digests_the_canary_envelope() {
    for fake in ["signals_fake_mode", "brain_fake_mode"] {
        check(
            &settings(&["signals_ingest_enabled", fake, "intent_preview_enabled"]),
            &CANARY,
            &["ingest"],
            &[CANARY.sha1],
        );
    }
}

#[test]
fn ingest_alone_digests_the_really_normalised_frame() {
    let ingest = "signals_ingest_enabled";
    check(
        &settings(&[ingest]),
        &REAL_NORMALISATION,
        &["ingest"],
        &[REAL_NORMALISATION.sha1],
    );
    check(
        &settings(&[ingest, "intent_preview_enabled"]),
        &with_preview(&REAL_NORMALISATION, 21.57),
        &["ingest"],
        &[REAL_NORMALISATION.sha1],
    );
}

#[test]
fn without_ingest_and_mock_feed_the_baseline_is_digested() {
    check(&settings(&[]), &BASELINE, &[], &[BASELINE.sha1]);
    check(
        &settings(&["intent_preview_enabled"]),
        &with_preview(&BASELINE, 38.03),
        &[],
        &[BASELINE.sha1],
    );
    let stage_flags = [
        "brain_fake_mode",
        "trade_engine_fake_mode",
        "runtime_router_fake_mode",
        "intent_preview_fake_mode",
    ];
    check(&settings(&stage_flags), &BASELINE, &[], &[BASELINE.sha1]);
}

fn check_mock_feed(flags: &[&str], inner: &Row, inner_size: f64) {
    let evidence = check(
        &settings(flags),
        &BASELINE,
        &["mock_feed"],
        &[inner.sha1, BASELINE.sha1],
    );
    check_response(&evidence.response["meta"]["mock_feed"], inner);
    let mut flags = flags.to_vec();
    flags.push("intent_preview_enabled");
    let outer = with_preview(&BASELINE, 38.03);
    let evidence = check(
        &settings(&flags),
        &outer,
        &["mock_feed"],
        &[inner.sha1, BASELINE.sha1],
    );
    check_response(
        &evidence.response["meta"]["mock_feed"],
        &with_preview(inner, inner_size),
    );
}

#[test]
fn the_mock_feed_alone_has_a_trace_of_its_own_beside_the_baselines() {
    check_mock_feed(&["signals_mock_feed_enabled"], &MOCK, 33.53);
}

#[test]
fn the_mock_feed_with_a_fake_normaliser_digests_the_fake_snapshot() {
    check_mock_feed(&["signals_fake_mode"], &FAKE_MOCK, 73.62);
    check_mock_feed(
        &["signals_mock_feed_enabled", "signals_fake_mode"],
        &FAKE_MOCK,
        73.62,
    );
    check_mock_feed(
        &["signals_mock_feed_enabled", "brain_fake_mode"],
        &FAKE_MOCK,
        73.62,
    );
}

#[test]
fn the_mock_feed_beside_ingest_leaves_the_digested_envelope_as_it_is() {
    let flags = ["signals_ingest_enabled", "signals_mock_feed_enabled"];
    let evidence = check(
        &settings(&flags),
        &REAL_NORMALISATION,
        &["ingest", "mock_feed"],
        &[REAL_NORMALISATION.sha1, MOCK.sha1],
    );
    check_response(&evidence.response["meta"]["mock_feed"], &MOCK);
}

#[test]
fn a_seed_changes_the_mock_feeds_trace_alone() {
    let seeded = Settings {
        mock_feed_seed: Some(json!({ "symbol": "ETH-USD", "price": 5 })),
        ..settings(&["signals_mock_feed_enabled"])
    };
    let evidence = run(&seeded);
    check_response(&evidence.response, &BASELINE);
    assert_ne!(
        evidence.response["meta"]["mock_feed"]["meta"]["trace_id"],
        MOCK.sha1[..16]
    );
}

fn requests(stages: &[&str]) -> Vec<Metric> {
    stages
        .iter()
        .map(|stage| {
            Metric::new(
                "pipeline_requests_total",
                &[("stage", stage), ("outcome", "success")],
            )
        })
        .collect()
}

#[test]
fn counters_are_raised_in_the_order_of_the_stages() {
    let stages = ["brain", "trade_engine", "runtime_router", "intent_preview"];
    let ingest = Metric::new(
        "signals.ingest.invocations_total",
        &[("outcome", "success"), ("path", "ingest_frame")],
    );
    let mock = Metric::new("signals_mock_feed_runs_total", &[("outcome", "success")]);

    let evidence = run(&all_but(&["signals_mock_feed_enabled"]));
    let mut expected = vec![ingest.clone()];
    expected.extend(requests(&stages));
    assert_eq!(evidence.metrics, expected);
    assert_eq!(evidence.spans.len(), 1);

    // The mock feed beside ingest comes after it all.
    expected.extend(requests(&stages));
    expected.push(mock.clone());
    assert_eq!(run(&all_but(&[])).metrics, expected);

    let mut expected = requests(&stages[..3]);
    expected.push(mock);
    expected.extend(requests(&stages[..3]));
    assert_eq!(
        run(&settings(&["signals_mock_feed_enabled"])).metrics,
        expected
    );
}

#[test]
fn only_the_duration_differs_between_two_runs() {
    let mut one = run(&all_but(&[])).response;
    let other = run_with(&all_but(&[]), &mut |stage, input| {
        (stage == Stage::Ingest && input["path"] == "ingest_frame").then(|| {
            ingest::normalise::run_task(input, 1.0, || 7.5)
                .map(|answer| serde_json::to_value(answer).unwrap())
        })
    })
    .response;
    assert_ne!(one, other);
    one["meta"]["ingest"]["telemetry"]["spans"][0]["duration_ms"] = json!(7.5);
    assert_eq!(one, other);
}

#[test]
fn the_artifact_of_every_variant_with_a_trace_may_be_promoted() {
    let summary = |settings: &Settings| {
        let artifact = artifact::render(&run(settings).response);
        promotion::validate(artifact::FILE_NAME, Some(artifact.as_bytes())).unwrap()
    };
    assert_eq!(
        serde_json::to_string(&summary(&all_but(&[]))).unwrap(),
        r#"{"has_ingest":true,"has_telemetry":true,"metric_count":1,"span_count":1,"trace_id":"602734a1559a62c1"}"#
    );
    assert!(!summary(&settings(&["signals_mock_feed_enabled"])).has_ingest);
    for bits in 0..1_u32 << Flags::NAMES.len() {
        let mut settings = Settings::default();
        for (index, name) in Flags::NAMES.iter().enumerate() {
            settings.flags.set(name, bits & (1 << index) != 0);
        }
        let evidence = run(&settings);
        assert_eq!(evidence.hold_reason(), None, "{:?}", settings.flags);
        summary(&settings);
    }
}

#[test]
fn the_output_has_the_fields_that_its_schema_requires_and_no_others() {
    fn check(value: &Value, schema: &Value) {
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(json!(keys), schema["required"]);
        assert_eq!(schema["additionalProperties"], false);
    }
    let schema = canary::schema::output();
    let held = run_with(&settings(&[]), &mut |_, _| Some(Err("trap".to_owned())));
    for output in [output(&run(&all_but(&[]))), output(&held)] {
        check(&output, &schema);
        check(&output["response"], &schema["properties"]["response"]);
        for item in output["checks"].as_array().unwrap() {
            check(item, &schema["properties"]["checks"]["items"]);
        }
    }
}
