//! Too many, too slow, and the stop.

use std::time::Duration;

use bulkhead_supervisor::RunPolicy;
use bulkhead_triggers::http::{Bounds, HealthReport};
use serde_json::json;
use tokio::net::TcpStream;

use crate::site::{open, open_held, open_reporting, open_with, read, request};
use crate::support::{AnswerRunner, policy, success};

#[tokio::test]
async fn too_many_runs_at_once_are_refused_with_a_time_to_come_back() {
    let policy = RunPolicy {
        concurrent_runs: 1,
        ..policy()
    };
    let (site, held) = open_held(policy, Bounds::default()).await;
    let first = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    let second = site.post("").await;
    second.problem(429, "concurrent-run-limit-exceeded");
    assert_eq!(second.header("retry-after"), Some("1"));
    held.add_permits(1);
    assert_eq!(read(first).await.status, 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_run() {
    let (site, held) = open_held(policy(), Bounds::default()).await;
    let client = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    drop(client);
    // The answer to another request shows that the server goes on.
    assert_eq!(site.ask("GET", "/health", "", "").await.status, 200);
    held.add_permits(1);
    site.supervisor.idle().await;
    site.supervisor.flush().await;
    let entries = site.journal.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].status.as_str(), "success");
}

#[tokio::test]
async fn health_is_what_is_reported_and_503_where_all_is_not_well() {
    for (is_healthy, status) in [(true, 200), (false, 503)] {
        let body = format!(r#"{{"status":"{status}","feeds":[]}}"#);
        let report = HealthReport { is_healthy, body };
        let site = open_reporting(report.clone()).await;
        for path in ["/health", "/healthz"] {
            let answer = site.ask("GET", path, "", "").await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.body, report.body, "{path}");
        }
        assert_eq!(site.ask("POST", "/health", "", "").await.status, 405);
    }
}

#[tokio::test]
async fn health_is_ok_until_the_host_stops() {
    let site = open(|_| success("{}")).await;
    for path in ["/health", "/healthz"] {
        let answer = site.ask("GET", path, "", "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), json!({"status": "ok"}));
    }
    let answer = site.ask("POST", "/health", "", "").await;
    answer.problem(405, "method-not-allowed");
    site.supervisor.shutdown(Duration::ZERO).await;
    let answer = site.ask("GET", "/health", "", "").await;
    answer.problem(503, "shutting-down");
    let answer = site.post("").await;
    answer.problem(503, "shutting-down");
}

#[tokio::test]
async fn a_stop_lets_the_request_in_flight_finish_and_accepts_no_other() {
    let (site, held) = open_held(policy(), Bounds::default()).await;
    let flying = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    site.stop.send(()).expect("the server runs");
    while TcpStream::connect(site.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    held.add_permits(1);
    assert_eq!(read(flying).await.status, 200);
    site.task.await.expect("the server does not panic");
}

#[tokio::test]
async fn a_request_beyond_the_drain_deadline_is_cut_and_its_run_left_to_the_supervisor() {
    let bounds = Bounds {
        drain_timeout: Duration::ZERO,
        ..Bounds::default()
    };
    let (site, held) = open_held(policy(), bounds).await;
    let flying = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    site.stop.send(()).expect("the server runs");
    site.task.await.expect("the server does not panic");
    assert_eq!(read(flying).await.status, 0);
    held.add_permits(1);
    site.supervisor.idle().await;
    assert_eq!(site.supervisor.stats().total().success, 1);
}

#[tokio::test]
async fn a_run_cancelled_by_the_shutdown_is_answered_with_503() {
    let (site, _held) = open_held(policy(), Bounds::default()).await;
    let flying = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    site.supervisor.shutdown(Duration::ZERO).await;
    read(flying).await.problem(503, "shutting-down");
}

#[tokio::test]
async fn a_slow_header_is_given_up() {
    let bounds = Bounds {
        header_timeout: Duration::from_millis(1),
        ..Bounds::default()
    };
    let runner = AnswerRunner::new(|_| success("{}"));
    let site = open_with(runner, policy(), bounds).await;
    let stream = site.send(b"POST /pulse HTTP/1.1\r\nHost: ").await;
    // The test ends only because the server closes the connection.
    assert_eq!(read(stream).await.status, 0);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let bounds = Bounds {
        body_timeout: Duration::from_millis(1),
        ..Bounds::default()
    };
    let runner = AnswerRunner::new(|_| success("{}"));
    let site = open_with(runner, policy(), bounds).await;
    let bytes = b"POST /pulse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    site.raw(bytes).await.problem(408, "request-timeout");
    assert!(site.runner.seen().is_empty());
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_one_to_end() {
    let bounds = Bounds {
        connections: 1,
        ..Bounds::default()
    };
    let (site, held) = open_held(policy(), bounds).await;
    let first = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    site.until_begun(1).await;
    let second = site
        .send(request("POST", "/pulse", "", "").as_bytes())
        .await;
    held.add_permits(1);
    assert_eq!(read(first).await.status, 200);
    site.until_begun(2).await;
    held.add_permits(1);
    assert_eq!(read(second).await.status, 200);
}

#[tokio::test]
async fn many_requests_go_over_one_connection() {
    let site = open(|_| success("{}")).await;
    let one = "POST /pulse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let bytes = format!("{}{}", one.repeat(9), request("POST", "/pulse", "", "{}"));
    let answer = site.raw(bytes.as_bytes()).await;
    let all = format!("{}\r\n\r\n{}", answer.head, answer.body);
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 10);
    assert_eq!(site.runner.seen().len(), 10);
}
