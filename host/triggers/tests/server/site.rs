//! A server, and requests to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bulkhead_stage::{Failure, Invocation, ManualClock, Report};
use bulkhead_supervisor::{RunPolicy, Supervisor};
use bulkhead_telemetry::Bus;
use bulkhead_triggers::http::{Beside, Bounds, Health, HealthReport, Route, serve_within};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::support::{AnswerRunner, COMPONENT, MemoryJournal, policy, success, supervisor};

pub const NOW_MS: i64 = 1_767_225_600_000;

pub struct Site {
    pub address: SocketAddr,
    pub runner: Arc<AnswerRunner>,
    pub supervisor: Arc<Supervisor>,
    pub journal: Arc<MemoryJournal>,
    pub bus: Arc<Bus>,
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<()>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Checks that this is a problem of RFC 9457 of that type.
    pub fn problem(&self, status: u16, reason: &str) -> Value {
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

pub async fn open_with(runner: AnswerRunner, policy: RunPolicy, bounds: Bounds) -> Site {
    open_within(([127, 0, 0, 1], 0).into(), runner, policy, bounds, None).await
}

pub async fn open_at(address: SocketAddr, runner: AnswerRunner) -> Site {
    open_within(address, runner, policy(), Bounds::default(), None).await
}

pub async fn open_reporting(report: HealthReport) -> Site {
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

pub async fn open_within(
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

pub async fn open(
    answer: impl Fn(&Invocation) -> Result<Report, Failure> + Send + Sync + 'static,
) -> Site {
    open_with(AnswerRunner::new(answer), policy(), Bounds::default()).await
}

/// A site whose runs wait until they are let go.
pub async fn open_held(policy: RunPolicy, bounds: Bounds) -> (Site, Arc<Semaphore>) {
    let held = Arc::new(Semaphore::new(0));
    let mut runner = AnswerRunner::new(|_| success("{}"));
    runner.held = Some(Arc::clone(&held));
    (open_with(runner, policy, bounds).await, held)
}

impl Site {
    pub async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("loopback");
        // A server that has answered early may have closed its side already.
        let _ = stream.write_all(bytes).await;
        stream
    }

    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        read(self.send(bytes).await).await
    }

    pub async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        self.raw(request(method, target, headers, body).as_bytes())
            .await
    }

    pub async fn post(&self, body: &str) -> Answer {
        self.ask("POST", "/pulse", "", body).await
    }

    pub async fn until_begun(&self, runs: usize) {
        while self.runner.begun.load(Ordering::SeqCst) < runs {
            tokio::task::yield_now().await;
        }
    }

    pub async fn close(self) {
        self.stop.send(()).expect("the server runs");
        self.task.await.expect("the server does not panic");
    }
}

pub fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

pub async fn read(mut stream: TcpStream) -> Answer {
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
