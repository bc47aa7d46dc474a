//! The composed stages at work under the interfaces that Spin supplies: over HTTP, over `spin:sqlite`, and, for the
//! canary, over service chaining.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

mod deployed;

use bulkhead_kernel::trace::Digest;
use serde_json::{Value, json};

use deployed::Deployed;

/// Polls until nothing is new; more means that ingest does not get ahead.
const MAX_POLLS: usize = 20;

#[tokio::test]
async fn a_frame_that_is_posted_to_ingest_comes_back_normalised() {
    let deployed = Deployed::new(&[]);
    let input = json!({
        "task": "normalise",
        "path": "consume_signal",
        "frame": { "pair": "BTC/USD", "price": 42 },
    });
    let answer = deployed.post("/ingest", &input).await;
    assert_eq!(answer["outcome"], "success");
    assert_eq!(answer["attempts"], 1);
    assert!(answer["output"]["envelope"].is_object(), "{answer}");
    assert!(answer["run_id"].as_str().is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_answered_as_a_problem() {
    let deployed = Deployed::new(&[]);
    for (method, uri, body, status, reason) in [
        ("POST", "/ingest", "{", 400, "invalid-json"),
        (
            "POST",
            "/ingest",
            r#"{"task":"sing"}"#,
            422,
            "invalid-input",
        ),
        ("GET", "/ingest", "", 405, "method-not-allowed"),
        ("DELETE", "/ingest", "", 405, "method-not-allowed"),
        ("POST", "/pulse?fake_mode=maybe", "", 400, "invalid-query"),
    ] {
        let (answered, content_type, problem) = deployed.send(method, uri, body).await;
        assert_eq!(answered, status, "{method} {uri}: {problem}");
        assert_eq!(content_type, "application/problem+json");
        assert_eq!(
            problem["type"],
            format!("urn:bulkhead:problem:{reason}"),
            "{problem}"
        );
        assert_eq!(problem["status"], status);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let deployed = Deployed::new(&[]);
    let body = format!(r#"{{"task":"{}"}}"#, "x".repeat(1 << 20));
    let (status, _, problem) = deployed.send("POST", "/ingest", &body).await;
    assert_eq!(status, 413, "{problem}");
    assert_eq!(problem["type"], "urn:bulkhead:problem:body-too-large");
}

#[tokio::test]
async fn the_pipeline_runs_over_the_bars_that_ingest_stored() {
    let venue = deployed::venue().await;
    let deployed = Deployed::new(&[("market_data_url", &venue.url)]);
    let mut inserted = 0;
    for _ in 0..MAX_POLLS {
        let answer = deployed.post("/ingest", &json!({})).await;
        if answer["outcome"] == "skipped" {
            break;
        }
        assert_eq!(answer["outcome"], "success", "{answer}");
        inserted += answer["output"]["symbols"][0]["inserted"].as_u64().unwrap();
    }
    assert_eq!(inserted, bulkhead_paper::demo::BARS as u64);
    assert_eq!(deployed.count("bars"), inserted);

    let answer = deployed.post("/pulse", &json!({})).await;
    assert_eq!(answer["outcome"], "success", "{answer}");
    let risk = deployed.document("systemStatus", "risk_management");
    assert_eq!(risk.unwrap()["trading_enabled"], true);

    let answer = deployed.post("/generate-trading-signal", &json!({})).await;
    assert_eq!(answer["outcome"], "success", "{answer}");
    assert!(deployed.documents("signals") > 0, "{answer}");

    // Nobody has turned the kill switch off yet: missing, it counts as on.
    let answer = deployed.post("/execute", &json!({})).await;
    assert_eq!(answer["outcome"], "hold", "{answer}");
    assert_eq!(answer["reason"], "execution_kill_switch", "{answer}");
    assert_eq!(deployed.documents("orders"), 0);

    deployed.turn_the_kill_switch_off();
    let answer = deployed.post("/execute", &json!({})).await;
    assert_eq!(answer["outcome"], "success", "{answer}");
    let dry_run = answer["output"]["dry_run"].as_u64().unwrap();
    assert!(dry_run > 0, "{answer}");
    assert!(deployed.documents("orders") >= dry_run);
}

#[tokio::test]
async fn a_run_in_fake_mode_leaves_no_document() {
    let deployed = Deployed::new(&[]);
    for stage in [
        "ingest",
        "generate-trading-signal",
        "execute",
        "pulse",
        "canary",
    ] {
        let (status, _, answer) = deployed
            .send("POST", &format!("/{stage}?fake_mode=1"), "{}")
            .await;
        assert_eq!(status, 200, "{stage}: {answer}");
    }
    assert_eq!(deployed.count("documents"), 0);
    assert_eq!(deployed.count("bars"), 0);
}

#[tokio::test]
async fn the_canary_runs_the_deployed_pipeline_through_service_chaining() {
    let flags = [
        "signals_ingest_enabled",
        "signals_mock_feed_enabled",
        "signals_fake_mode",
        "brain_fake_mode",
        "trade_engine_fake_mode",
        "runtime_router_fake_mode",
        "intent_preview_fake_mode",
        "intent_preview_enabled",
    ];
    let deployed = Deployed::new(&flags.map(|flag| (flag, "1")));
    let answer = deployed.post("/canary", &json!({})).await;
    assert_eq!(answer["outcome"], "success", "{answer}");
    let output = &answer["output"];
    let envelope = &output["response"]["meta"]["ingest"]["envelope"];
    assert!(envelope.is_object(), "{output}");
    assert_eq!(output["trace_id"], Digest::of(envelope).trace_id());
    let is_passed = |check: &Value| check["passed"] == true;
    let checks = output["checks"].as_array().unwrap();
    assert!(
        !checks.is_empty() && checks.iter().all(is_passed),
        "{output}"
    );
    let artifact = deployed.document("canary", "staging_canary");
    assert_eq!(artifact.as_ref(), Some(&output["response"]));
}

#[tokio::test]
async fn a_canary_that_may_not_reach_the_stages_holds() {
    let deployed = Deployed::with_manifest(&[("signals_ingest_enabled", "1")], |manifest| {
        manifest.replace(r#"["http://*.spin.internal"]"#, "[]")
    });
    let answer = deployed.post("/canary", &json!({})).await;
    assert_eq!(answer["outcome"], "hold", "{answer}");
}

#[tokio::test]
async fn a_component_without_the_database_is_told_so() {
    let deployed = Deployed::with_manifest(&[], |manifest| {
        manifest.replace(r#"sqlite_databases = ["default"]"#, "")
    });
    let (status, _, problem) = deployed.send("POST", "/pulse", "{}").await;
    assert_eq!(status, 503, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("sqlite_databases"), "{detail}");
}
