//! What the HTTP server answers, over loopback.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bulkhead_stage::{
    Failure, Invocation, Limit, ManualClock, Outcome, Report, StageError, TriggerKind,
};
use bulkhead_supervisor::{RunPolicy, Supervisor};
use bulkhead_telemetry::{Bus, CloudEvent, Draft};
use bulkhead_triggers::http::{
    Beside, Bounds, Health, HealthReport, MAX_BODY_BYTES, MAX_EVENT_STREAMS, MAX_HEADER_BYTES,
    MAX_HEADERS, Route, serve_within,
};
use serde_json::{Value, json};
use support::{AnswerRunner, COMPONENT, MemoryJournal, policy, success, supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

const NOW_MS: i64 = 1_767_225_600_000;

struct Site {
    address: SocketAddr,
    runner: Arc<AnswerRunner>,
    supervisor: Arc<Supervisor>,
    journal: Arc<MemoryJournal>,
    bus: Arc<Bus>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Checks that this is a problem of RFC 9457 of that type.
    fn problem(&self, status: u16, reason: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let body = self.json();
        assert_eq!(body["type"], format!("urn:bulkhead:problem:{reason}"));
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string());
        body
    }
}

async fn open_with(runner: AnswerRunner, policy: RunPolicy, bounds: Bounds) -> Site {
    open_within(([127, 0, 0, 1], 0).into(), runner, policy, bounds, None).await
}

async fn open_at(address: SocketAddr, runner: AnswerRunner) -> Site {
    open_within(address, runner, policy(), Bounds::default(), None).await
}

async fn open_reporting(report: HealthReport) -> Site {
    struct Fixed(HealthReport);
    impl Health for Fixed {
        fn report(&self) -> HealthReport {
            self.0.clone()
        }
    }
    let address = ([127, 0, 0, 1], 0).into();
    let runner = AnswerRunner::new(|_| success("{}"));
    let health = Arc::new(Fixed(report));
    open_within(address, runner, policy(), Bounds::default(), Some(health)).await
}

async fn open_within(
    address: SocketAddr,
    runner: AnswerRunner,
    policy: RunPolicy,
    bounds: Bounds,
    health: Option<Arc<dyn Health>>,
) -> Site {
    let runner = Arc::new(runner);
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let (supervisor, journal) = supervisor(Arc::clone(&runner) as _, clock, policy);
    let listener = TcpListener::bind(address).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let routes = ["/pulse", "/x/..."]
        .map(|route| (Route::parse(route).expect("a route"), COMPONENT.to_owned()))
        .to_vec();
    let (stop, stopped) = oneshot::channel::<()>();
    let bus = Arc::new(Bus::start("app", Arc::new(ManualClock::at(NOW_MS))));
    let events = Some(Arc::clone(&bus));
    let serving = serve_within(
        bounds,
        listener,
        routes,
        Arc::clone(&supervisor),
        Beside { events, health },
        async {
            let _ = stopped.await;
        },
    );
    let task = tokio::spawn(async { serving.await.expect("the routes differ") });
    Site {
        address,
        runner,
        supervisor,
        journal,
        bus,
        stop,
        task,
    }
}

async fn open(
    answer: impl Fn(&Invocation) -> Result<Report, Failure> + Send + Sync + 'static,
) -> Site {
    open_with(AnswerRunner::new(answer), policy(), Bounds::default()).await
}

/// A site whose runs wait until they are let go.
async fn open_held(policy: RunPolicy, bounds: Bounds) -> (Site, Arc<Semaphore>) {
    let held = Arc::new(Semaphore::new(0));
    let mut runner = AnswerRunner::new(|_| success("{}"));
    runner.held = Some(Arc::clone(&held));
    (open_with(runner, policy, bounds).await, held)
}

impl Site {
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("loopback");
        // A server that has answered early may have closed its side already.
        let _ = stream.write_all(bytes).await;
        stream
    }

    async fn raw(&self, bytes: &[u8]) -> Answer {
        read(self.send(bytes).await).await
    }

    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        self.raw(request(method, target, headers, body).as_bytes())
            .await
    }

    async fn post(&self, body: &str) -> Answer {
        self.ask("POST", "/pulse", "", body).await
    }

    async fn until_begun(&self, runs: usize) {
        while self.runner.begun.load(Ordering::SeqCst) < runs {
            tokio::task::yield_now().await;
        }
    }

    async fn close(self) {
        self.stop.send(()).expect("the server runs");
        self.task.await.expect("the server does not panic");
    }
}

fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is no matter: what came before it is the answer.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_default(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

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

/// Publishes an event of a topic once somebody is there to get it.
async fn publish(site: &Site, id: &str, topic: &str) {
    let event = CloudEvent::new(&Draft {
        id,
        application: "app",
        component: COMPONENT,
        topic,
        subject: None,
        time_ms: NOW_MS,
        data: "{}",
    });
    site.bus.publish(event.expect("an event")).expect("it runs");
}

async fn until_streams(site: &Site, count: usize) {
    while site.bus.statistics().subscriber_count != count {
        tokio::task::yield_now().await;
    }
}

/// Reads until the text has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.expect("the stream goes on"));
    }
    String::from_utf8(text).expect("UTF-8")
}

#[tokio::test]
async fn the_events_of_a_topic_come_as_a_stream_until_the_server_stops() {
    let site = open(|_| success("{}")).await;
    let asked = request("GET", "/events?topic=telemetry.ingest", "", "");
    let mut stream = site.send(asked.as_bytes()).await;
    let head = read_until(&mut stream, "retry: 3000\n\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    publish(&site, "1", "telemetry.execute").await;
    publish(&site, "2", "telemetry.ingest.health").await;
    let event = read_until(&mut stream, "}\n\n").await;
    assert!(
        event.contains("id: 2\ndata: {\"specversion\":\"1.0\""),
        "{event}"
    );
    assert!(!event.contains("telemetry.execute"), "{event}");
    site.close().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("its end");
    assert!(!rest.contains("data:"), "{rest}");
}

#[tokio::test]
async fn streams_of_events_are_bounded_and_one_that_ends_leaves_its_place() {
    let site = open(|_| success("{}")).await;
    let asked = request("GET", "/events", "", "");
    let mut streams = Vec::new();
    for _ in 0..MAX_EVENT_STREAMS {
        streams.push(site.send(asked.as_bytes()).await);
    }
    until_streams(&site, MAX_EVENT_STREAMS).await;
    let answer = site.ask("GET", "/events", "", "").await;
    answer.problem(429, "too-many-streams");
    assert_eq!(answer.header("retry-after"), Some("1"));
    streams.pop();
    until_streams(&site, MAX_EVENT_STREAMS - 1).await;
    let mut again = site.send(asked.as_bytes()).await;
    let head = read_until(&mut again, "\r\n").await;
    assert_eq!(head, "HTTP/1.1 200 OK\r\n");
    site.close().await;
}

#[tokio::test]
async fn events_are_for_get_alone_with_a_topic_that_is_one() {
    let site = open(|_| success("{}")).await;
    let answer = site.ask("POST", "/events", "", "{}").await;
    answer.problem(405, "method-not-allowed");
    for query in ["topic=a..b", "topic=%61", "topic=a&topic=b"] {
        let answer = site.ask("GET", &format!("/events?{query}"), "", "").await;
        answer.problem(400, "invalid-query");
    }
    site.close().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_read_events() {
    let site = open(|_| success("{}")).await;
    let cross = "Sec-Fetch-Site: cross-site\r\n";
    let answer = site.ask("GET", "/events", cross, "").await;
    answer.problem(403, "cross-site-request");
    let rebound = "GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let answer = site.raw(rebound.as_bytes()).await;
    answer.problem(421, "host-not-loopback");
    assert_eq!(site.bus.statistics().subscriber_count, 0);
    site.close().await;
}

#[tokio::test]
async fn a_bus_that_is_stopped_has_no_stream() {
    let site = open(|_| success("{}")).await;
    site.bus.stop().await;
    let answer = site.ask("GET", "/events", "", "").await;
    answer.problem(503, "shutting-down");
    site.close().await;
}
