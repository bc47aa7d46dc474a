//! `bulkhead canary`: the expected values come out of the deployed components.

use std::process::Output;

use serde_json::{Value, json};

use crate::{Deployment, FLAGS, stderr, stdout};

fn canary(deployment: &Deployment, flags: &[&str]) -> Output {
    let mut command = deployment.command(&["canary"]);
    for flag in flags {
        command.env(flag, "1");
    }
    command.output().unwrap()
}

fn artifact(deployment: &Deployment) -> Value {
    let text = std::fs::read_to_string(deployment.path("staging_canary.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn with_all_eight_flags_it_prints_the_canonical_trace_and_writes_every_expected_value() {
    let deployment = Deployment::new();
    let output = canary(&deployment, &FLAGS);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "CANARY status=success trace_id=602734a1559a62c1\n"
    );
    let response = artifact(&deployment);
    let trace = "602734a1559a62c1";
    let fake = json!({"fake": true, "trace_id": trace});
    assert_eq!(response["status"], "success");
    assert_eq!(response["reason"], Value::Null);
    assert_eq!(response["rationale"], json!(["fake_mode"]));
    assert_eq!(
        response["brain_decision"],
        json!({"action": "buy", "confidence": 0.39, "rationale": ["fake_brain"], "meta": fake})
    );
    assert_eq!(
        response["trade_action"],
        json!({"action": "buy", "envelope": {"action": "buy", "meta": fake}, "reason": "fake_mode"})
    );
    assert_eq!(
        response["router_result"],
        json!({"status": "success", "order_id": "602734a1559a", "reason": "fake_mode", "meta": fake})
    );
    assert_eq!(
        response["intent_preview"],
        json!({
            "action": "buy", "size": 34.73, "confidence": 0.39,
            "rationale": ["fake_mode"], "risk_notes": ["fake_mode"], "meta": fake,
        })
    );
    let meta = &response["meta"];
    assert_eq!(meta["pipeline_fake_mode"], true);
    assert_eq!(meta["intent_preview_enabled"], true);
    assert_eq!(meta["trace_id"], trace);
    assert_eq!(meta["ingest"]["status"], "success");
    assert_eq!(meta["mock_feed"]["status"], "success");
    let span = &meta["ingest"]["telemetry"]["spans"][0];
    assert_eq!(span["name"], "ingest_frame");
    assert!(span["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        meta["ingest"]["telemetry"]["metrics"][0],
        json!({"name": "signals.ingest.invocations_total", "labels": {"outcome": "success", "path": "ingest_frame"}})
    );
}

#[test]
fn other_flags_give_the_rows_of_their_own() {
    let rows: [(&[&str], &str, &str, f64); 4] = [
        (&[], "62d1840b72ce48b2", "hold", 0.09),
        (
            &["INTENT_PREVIEW_ENABLED"],
            "62d1840b72ce48b2",
            "hold",
            0.09,
        ),
        (&["SIGNALS_INGEST_ENABLED"], "fc03a4ad53040879", "buy", 0.03),
        (
            &["SIGNALS_INGEST_ENABLED", "BRAIN_FAKE_MODE"],
            "602734a1559a62c1",
            "buy",
            0.39,
        ),
    ];
    for (flags, trace, action, confidence) in rows {
        let deployment = Deployment::new();
        let output = canary(&deployment, flags);
        assert_eq!(
            stdout(&output),
            format!("CANARY status=success trace_id={trace}\n"),
            "{flags:?}"
        );
        let response = artifact(&deployment);
        assert_eq!(response["brain_decision"]["action"], action, "{flags:?}");
        assert_eq!(
            response["brain_decision"]["confidence"], confidence,
            "{flags:?}"
        );
        let preview = flags.contains(&"INTENT_PREVIEW_ENABLED");
        assert_eq!(response["intent_preview"].is_object(), preview, "{flags:?}");
    }
}

#[test]
fn a_stage_that_fails_gives_a_hold_and_exit_status_1() {
    let deployment = Deployment::changed(
        "source = \"target/components/ingest.wasm\"",
        "source = \"target/components/guests.wasm\"",
    );
    let output = canary(&deployment, &FLAGS);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("canary failed: status=hold"),
        "{}",
        stderr(&output)
    );
    assert_eq!(artifact(&deployment)["status"], "hold");
}

#[test]
fn a_canary_that_fails_itself_leaves_no_older_success_to_promote() {
    let limits = "concurrent_runs = 64\n\n# --- strategies";
    let deployment = Deployment::changed(limits, &limits.replace("64", "64\nhost_calls = 1"));
    std::fs::write(
        deployment.path("staging_canary.json"),
        r#"{"status":"success"}"#,
    )
    .unwrap();
    let output = canary(&deployment, &FLAGS);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("host-call-limit-exceeded"), "{said}");
    assert_eq!(artifact(&deployment)["status"], "hold");
}

#[test]
fn its_artifact_may_be_promoted_and_a_tampered_one_may_not() {
    let deployment = Deployment::new();
    canary(&deployment, &FLAGS);
    let output = deployment.run(&["canary", "--promote", "staging_canary.json"]);
    assert!(stdout(&output).starts_with("promotion validation: success\n"));
    let promoted = deployment.json(&["canary", "--promote", "staging_canary.json", "--json"]);
    assert_eq!(promoted["promotable"], true);
    assert!(promoted["summary"].is_object(), "{promoted}");
    let mut response = artifact(&deployment);
    response["router_result"]["meta"]["trace_id"] = "0000000000000000".into();
    std::fs::write(deployment.path("tampered.json"), response.to_string()).unwrap();
    let output = deployment.run(&["canary", "--promote", "tampered.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "promotion validation failed: trace_id mismatch between router_result.meta and meta\n"
    );
    let output = deployment.run(&["canary", "--promote", "tampered.json", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let refused: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(refused["promotable"], false);
}
