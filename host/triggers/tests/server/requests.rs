//! Requests and their answers.

use bulkhead_stage::{Failure, Limit, Outcome, Report, StageError, TriggerKind};
use bulkhead_triggers::http::{Bounds, MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS};

use crate::site::{NOW_MS, open, open_at, open_with};
use crate::support::{AnswerRunner, policy, success};

#[tokio::test]
async fn a_post_runs_the_stage_with_its_body_and_answers_with_the_report() {
    let site = open(|_| success(r#"{"bars": 2,"price":"46319.50"}"#)).await;
    let answer = site.post(r#"{"frames":[]}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let run_id = site.runner.seen()[0].run_id.clone();
    assert_eq!(
        answer.body,
        format!(
            r#"{{"run_id":"{run_id}","outcome":"success","reason":null,"output":{{"bars": 2,"price":"46319.50"}},"attempts":1}}"#
        )
    );
    let seen = &site.runner.seen()[0];
    assert_eq!(seen.input, r#"{"frames":[]}"#);
    assert_eq!(seen.trigger, TriggerKind::Http);
    assert_eq!(seen.scheduled_at_ms, NOW_MS);
    assert!(!seen.fake_mode);
    site.close().await;
}

#[tokio::test]
async fn an_empty_post_runs_the_stage_with_an_empty_object() {
    let site = open(|_| success("{}")).await;
    site.post("").await;
    assert_eq!(site.runner.seen()[0].input, "{}");
}

#[tokio::test]
async fn a_hold_is_an_answer_and_not_a_problem() {
    let site = open(|_| {
        success("{}").map(|report| Report {
            outcome: Outcome::Hold,
            reason: Some("kill \"switch\"".to_owned()),
            ..report
        })
    })
    .await;
    let answer = site.post("").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["outcome"], "hold");
    assert_eq!(answer.json()["reason"], "kill \"switch\"");
}

#[tokio::test]
async fn fake_mode_is_asked_for_in_the_query() {
    let site = open(|_| success("{}")).await;
    for (query, expect) in [
        ("?fake_mode=1", true),
        ("?a=b&fake_mode=true", true),
        ("?fake_mode=0", false),
        ("?xfake_mode=1", false),
    ] {
        let answer = site.ask("POST", &format!("/pulse{query}"), "", "").await;
        assert_eq!(answer.status, 200);
        let fake_mode = site.runner.seen().pop().map(|seen| seen.fake_mode);
        assert_eq!(fake_mode, Some(expect), "{query}");
    }
    let answer = site.ask("POST", "/pulse?fake_mode=perhaps", "", "").await;
    answer.problem(400, "invalid-query");
}

#[tokio::test]
async fn a_trace_context_is_passed_on_when_it_is_one() {
    let site = open(|_| success("{}")).await;
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (header, expect) in [(valid, Some(valid)), ("00-zz-1-01", None)] {
        let headers = format!("traceparent: {header}\r\n");
        site.ask("POST", "/pulse", &headers, "").await;
        let passed = site.runner.seen().pop().and_then(|seen| seen.traceparent);
        assert_eq!(passed.as_deref(), expect);
    }
}

#[tokio::test]
async fn a_wildcard_route_takes_the_paths_below_it() {
    let site = open(|_| success("{}")).await;
    assert_eq!(site.ask("POST", "/x/y/z", "", "").await.status, 200);
    let problem = site.ask("POST", "/y", "", "").await;
    assert_eq!(
        problem.problem(404, "unknown-route")["detail"],
        "no stage is served at `/y`"
    );
}

#[tokio::test]
async fn no_method_but_post_runs_a_stage() {
    let site = open(|_| success("{}")).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = site.ask(method, "/pulse", "", "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let problem = site.ask("GET", "/pulse", "", "").await;
    assert_eq!(
        problem.problem(405, "method-not-allowed")["detail"],
        "GET is not answered here; what is: POST"
    );
    assert!(site.runner.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_json_is_named_with_its_place_and_runs_nothing() {
    let site = open(|_| success("{}")).await;
    let problem = site.post("{\n  \"a\": nope\n}").await;
    let detail = problem.problem(400, "invalid-json")["detail"].clone();
    assert_eq!(
        detail,
        "the body is not JSON: expected ident at line 2 column 9"
    );
    let bytes =
        b"POST /pulse HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n\"\xff";
    site.raw(bytes).await.problem(400, "invalid-json");
    assert!(site.runner.seen().is_empty());
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let site = open(|_| success("{}")).await;
    for (kind, status) in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
    ] {
        let headers = format!("Content-Type: {kind}\r\n");
        let answer = site.ask("POST", "/pulse", &headers, "{}").await;
        assert_eq!(answer.status, status, "{kind}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_start_a_run() {
    let site = open(|_| success("{}")).await;
    for from in ["cross-site", "same-site"] {
        let headers = format!("Sec-Fetch-Site: {from}\r\n");
        let answer = site.ask("POST", "/pulse", &headers, "").await;
        answer.problem(403, "cross-site-request");
    }
    assert!(site.runner.seen().is_empty());
    let headers = "Sec-Fetch-Site: same-origin\r\n";
    assert_eq!(site.ask("POST", "/pulse", headers, "").await.status, 200);
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_to_loopback_cannot_start_a_run() {
    let site = open(|_| success("{}")).await;
    let port = site.address.port();
    let post = |target: &str, hosts: &str| {
        format!(
            "POST {target} HTTP/1.1\r\n{hosts}Sec-Fetch-Site: same-origin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for (target, hosts) in [
        ("/pulse", format!("Host: evil.example:{port}\r\n")),
        ("/pulse", "Host: 10.0.0.1\r\n".to_owned()),
        (
            "/pulse",
            "Host: localhost\r\nHost: evil.example\r\n".to_owned(),
        ),
        ("/pulse", String::new()),
        (
            "http://evil.example/pulse",
            "Host: localhost\r\n".to_owned(),
        ),
        ("/health", "Host: evil.example\r\n".to_owned()),
    ] {
        let answer = site.raw(post(target, &hosts).as_bytes()).await;
        let problem = answer.problem(421, "host-not-loopback");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("`localhost`, `127.0.0.1` or `[::1]`"));
    }
    assert!(site.runner.seen().is_empty());
    for host in ["localhost", "127.0.0.1:3000", "[::1]:3000"] {
        let answer = site
            .raw(post("/pulse", &format!("Host: {host}\r\n")).as_bytes())
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_listener_that_other_machines_reach_answers_to_any_host() {
    let site = open_at(
        ([0, 0, 0, 0], 0).into(),
        AnswerRunner::new(|_| success("{}")),
    )
    .await;
    let bytes = b"POST /pulse HTTP/1.1\r\nHost: bulkhead.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(site.raw(bytes).await.status, 200);
}

#[tokio::test]
async fn a_body_at_the_bound_is_read_and_one_beyond_it_refused() {
    let site = open(|_| success("{}")).await;
    let at_bound = format!("\"{}\"", "a".repeat(MAX_BODY_BYTES - 2));
    assert_eq!(site.post(&at_bound).await.status, 200);
    let seen = site.runner.seen().pop().map(|seen| seen.input.len());
    assert_eq!(seen, Some(MAX_BODY_BYTES));
    let declared = format!(
        "POST /pulse HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        MAX_BODY_BYTES + 1
    );
    site.raw(declared.as_bytes())
        .await
        .problem(413, "body-too-large");
}

#[tokio::test]
async fn a_chunked_body_beyond_the_bound_is_refused_though_it_declares_no_length() {
    let bounds = Bounds {
        body_bytes: 8,
        ..Bounds::default()
    };
    let runner = AnswerRunner::new(|_| success("{}"));
    let site = open_with(runner, policy(), bounds).await;
    let chunks = b"POST /pulse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2,\r\n5\r\n3,45]\r\n0\r\n\r\n";
    site.raw(chunks).await.problem(413, "body-too-large");
}

#[tokio::test]
async fn headers_beyond_the_bounds_are_refused() {
    let site = open(|_| success("{}")).await;
    let many = "X-A: b\r\n".repeat(MAX_HEADERS + 1);
    assert_eq!(site.ask("POST", "/pulse", &many, "").await.status, 431);
    let large = format!("X-A: {}\r\n", "b".repeat(MAX_HEADER_BYTES));
    // The connection is closed with part of the request unread, which may take the answer with it.
    let status = site.ask("POST", "/pulse", &large, "").await.status;
    assert!(status == 431 || status == 0, "{status}");
    assert!(site.runner.seen().is_empty());
}

#[tokio::test]
async fn each_failure_has_its_own_status() {
    let text = || "why".to_owned();
    let limit = |limit| Failure::Limit {
        limit,
        detail: text(),
    };
    let cases: [(Failure, u16); 11] = [
        (Failure::Stage(StageError::InvalidInput(text())), 422),
        (Failure::Stage(StageError::Denied(text())), 403),
        (Failure::Stage(StageError::Conflict(text())), 409),
        (Failure::Stage(StageError::Unavailable(text())), 503),
        (Failure::Stage(StageError::Internal(text())), 500),
        (Failure::Stage(StageError::Other(text())), 500),
        (limit(Limit::ConcurrentRuns), 429),
        (limit(Limit::Deadline), 504),
        (limit(Limit::Memory), 500),
        (Failure::Trapped { detail: text() }, 500),
        (Failure::Host { detail: text() }, 500),
    ];
    for (failure, status) in cases {
        let answered = failure.clone();
        let site = open(move |_| Err(answered.clone())).await;
        let answer = site.post("").await;
        let problem = answer.problem(status, failure.reason());
        assert_eq!(problem["detail"], failure.to_string());
        assert_eq!(problem["instance"], site.runner.seen()[0].run_id);
        let retry_after = (status == 429).then_some("1");
        assert_eq!(answer.header("retry-after"), retry_after);
    }
}

#[tokio::test]
async fn an_output_that_is_not_json_does_not_break_out_of_the_answer() {
    let site = open(|_| success(r#"1,"outcome":"success""#)).await;
    site.post("").await.problem(500, "invalid-output");
}
