//! The promotion validator: every failure text, in the order of the checks.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests and their helpers")]

use canary::promotion::{Summary, validate};
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn artifact() -> Value {
    json!({
        "status": "success",
        "router_result": { "meta": { "trace_id": "a" } },
        "meta": {
            "trace_id": "a",
            "ingest": {
                "telemetry": {
                    "spans": [{ "name": "ingest_frame", "duration_ms": 0.1 }],
                    "metrics": [{ "name": "m", "labels": {} }, { "name": "n", "labels": {} }],
                    "trace_id": "a",
                },
            },
        },
    })
}

fn check(pointer: &str, value: Value, text: &str) {
    let mut artifact = artifact();
    *artifact.pointer_mut(pointer).unwrap() = value;
    let failure = validate("a.json", Some(artifact.to_string().as_bytes())).unwrap_err();
    assert_eq!(failure.to_string(), text, "{pointer}");
}

#[test]
fn a_complete_artifact_is_summed_up() {
    let summary = validate("a.json", Some(artifact().to_string().as_bytes())).unwrap();
    assert_eq!(
        summary,
        Summary {
            has_ingest: true,
            has_telemetry: true,
            metric_count: 2,
            span_count: 1,
            trace_id: "a".into()
        }
    );
}

#[test]
fn a_missing_file_and_broken_json_are_named() {
    assert_eq!(
        validate("x/a.json", None).unwrap_err().to_string(),
        "artifact not found at x/a.json"
    );
    let broken = validate("a.json", Some(b"{")).unwrap_err().to_string();
    assert!(
        broken.starts_with("invalid JSON (") && broken.ends_with(')'),
        "{broken}"
    );
}

#[test]
fn each_check_has_its_own_text() {
    check("", json!([]), "top-level status must be success");
    check("/status", json!("hold"), "top-level status must be success");
    check(
        "/router_result/meta/trace_id",
        json!(null),
        "router_result.meta.trace_id missing",
    );
    check(
        "/router_result",
        json!(null),
        "router_result.meta.trace_id missing",
    );
    check(
        "/meta/trace_id",
        json!("b"),
        "trace_id mismatch between router_result.meta and meta",
    );
    check(
        "/meta/ingest/telemetry/trace_id",
        json!("b"),
        "trace_id mismatch between ingest and router",
    );
    check(
        "/meta/ingest",
        json!({ "trace_id": "b", "telemetry": { "trace_id": "a" } }),
        "trace_id mismatch between ingest and router",
    );
    check(
        "/meta/ingest/telemetry",
        json!({ "metrics": [1] }),
        "telemetry missing spans",
    );
    check(
        "/meta/ingest/telemetry",
        json!({ "spans": [1] }),
        "telemetry missing metrics",
    );
    check(
        "/meta/ingest/telemetry",
        json!({ "spans": [1], "metrics": [1] }),
        "telemetry missing trace_id",
    );
    check(
        "/meta/ingest/telemetry/spans",
        json!([]),
        "telemetry spans empty",
    );
    check(
        "/meta/ingest/telemetry/metrics",
        json!([]),
        "telemetry metrics empty",
    );
}

#[test]
fn an_artifact_without_ingest_may_be_promoted() {
    let mut artifact = artifact();
    artifact["meta"] = json!({ "trace_id": "a", "mock_feed": {} });
    let summary = validate("a.json", Some(artifact.to_string().as_bytes())).unwrap();
    assert!(!summary.has_ingest && !summary.has_telemetry);
}
