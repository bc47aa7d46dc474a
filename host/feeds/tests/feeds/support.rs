//! A deployment around one feed: a venue that the test plays, a stage that ends when the test says so, and a clock that
//! moves by hand.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulkhead_feeds::{Board, FeedPlan, Feeds, Host, StopSummary, Timer};
use bulkhead_grants::dial::{Connector, Dialer};
use bulkhead_grants::egress::{
    BoxFuture, EgressClass, EgressGrant, EgressRule, RuleHeaders, StaticResolver,
};
use bulkhead_manifest::App;
use bulkhead_stage::{
    Failure, Finished, Invocation, ManualClock, Outcome, Report, Runner, StageError, TriggerKind,
    Usage,
};
use bulkhead_store::{Key, MemoryStore, Store};
use bulkhead_supervisor::{
    Entropy, Journal, JournalEntry, JournalError, Overlap, Retries, RunPolicy, Supervisor,
};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub const START_MS: i64 = 1_767_225_600_000;
pub const WINDOW: Duration = Duration::from_secs(1);

/// Time that moves by hand, and knows who waits for how long.
#[derive(Default)]
pub struct ManualTimer {
    state: Mutex<TimerState>,
    registered: Notify,
}

#[derive(Default)]
struct TimerState {
    now: Duration,
    sleepers: Vec<Sleeper>,
}

struct Sleeper {
    duration: Duration,
    due: Duration,
    wake: oneshot::Sender<()>,
}

impl ManualTimer {
    /// Returns once somebody waits for exactly so long.
    pub async fn slept_for(&self, duration: Duration) {
        loop {
            let registered = self.registered.notified();
            if self.sleeps(duration) {
                return;
            }
            registered.await;
        }
    }

    /// Whether somebody waits for exactly so long.
    pub fn sleeps(&self, duration: Duration) -> bool {
        let mut state = self.state();
        state.sleepers.retain(|sleeper| !sleeper.wake.is_closed());
        state
            .sleepers
            .iter()
            .any(|sleeper| sleeper.duration == duration)
    }

    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now += duration;
        let now = state.now;
        let (due, left) = std::mem::take(&mut state.sleepers)
            .into_iter()
            .partition(|sleeper| sleeper.due <= now);
        state.sleepers = left;
        drop(state);
        for sleeper in due {
            // Whoever waited may have gone.
            let _ = sleeper.wake.send(());
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, TimerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer for ManualTimer {
    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut state = self.state();
        let due = state.now.saturating_add(duration);
        state.sleepers.push(Sleeper {
            duration,
            due,
            wake,
        });
        drop(state);
        self.registered.notify_waiters();
        async move {
            let _ = woken.await;
        }
        .boxed()
    }
}

/// The longest pause each time.
struct Longest;

impl Entropy for Longest {
    fn next_u64(&self) -> u64 {
        u64::MAX
    }
}

/// A run that has reached the stage.
pub struct Run {
    pub invocation: Invocation,
    end: oneshot::Sender<Finished>,
}

impl Run {
    pub fn input(&self) -> Value {
        serde_json::from_str(&self.invocation.input).unwrap()
    }

    /// The raw texts of its frames.
    pub fn frames(&self) -> Vec<String> {
        let input = self.input();
        assert_eq!(input["task"], "frames");
        let frames = input["frames"].as_array().unwrap();
        frames
            .iter()
            .map(|frame| frame.as_str().unwrap().to_owned())
            .collect()
    }

    pub fn succeed(self) {
        self.end_with(Outcome::Success);
    }

    pub fn end_with(self, outcome: Outcome) {
        let report = Report {
            outcome,
            reason: Some("because".to_owned()),
            output: "{}".to_owned(),
            events: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
        };
        self.end(Ok(report));
    }

    pub fn fail(self, why: &str) {
        self.end(Err(Failure::Stage(StageError::Internal(why.to_owned()))));
    }

    fn end(self, result: Result<Report, Failure>) {
        let usage = Usage::default();
        let _ = self.end.send(Finished { result, usage });
    }
}

struct StepRunner(mpsc::UnboundedSender<Run>);

impl Runner for StepRunner {
    fn run<'a>(
        &'a self,
        component: &'a str,
        invocation: Invocation,
    ) -> futures::future::BoxFuture<'a, Finished> {
        async move {
            assert_eq!(component, "ingest");
            assert_eq!(invocation.trigger, TriggerKind::Feed);
            let (end, ended) = oneshot::channel();
            self.0.send(Run { invocation, end }).unwrap();
            ended.await.unwrap()
        }
        .boxed()
    }
}

struct NoJournal;

impl Journal for NoJournal {
    fn record(
        &self,
        _: Vec<JournalEntry>,
    ) -> futures::future::BoxFuture<'_, Result<(), JournalError>> {
        async { Ok(()) }.boxed()
    }
}

/// Connects, and counts.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Connector for Counting {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(TcpStream::connect(address))
    }
}

/// What a test's feed departs in from the usual one.
pub struct Given {
    pub venue: &'static str,
    pub path: &'static str,
    pub batch_frames: usize,
    pub queue_frames: usize,
    /// The host that the feed is to connect to; the port is the venue's.
    pub host: &'static str,
    /// The paths that are granted.
    pub granted: &'static str,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            venue: "binance",
            path: "/stream",
            batch_frames: 1,
            queue_frames: 100,
            host: "127.0.0.1",
            granted: "/**",
        }
    }
}

/// The deployment.
pub struct House {
    pub timer: Arc<ManualTimer>,
    pub clock: ManualClock,
    pub store: Arc<MemoryStore>,
    pub supervisor: Arc<Supervisor>,
    pub board: Arc<Board>,
    feeds: Option<Feeds>,
    listener: TcpListener,
    connector: Arc<Counting>,
    runs: mpsc::UnboundedReceiver<Run>,
}

impl House {
    pub async fn with(given: Given) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, runs) = mpsc::unbounded_channel();
        let timer = Arc::new(ManualTimer::default());
        let clock = ManualClock::at(START_MS);
        let store = Arc::new(MemoryStore::new(START_MS));
        let supervisor = Arc::new(Supervisor::new(
            Arc::new(StepRunner(sender)),
            Arc::new(NoJournal),
            Arc::new(clock.clone()),
            Arc::new(Longest),
            [("ingest".to_owned(), policy())],
        ));
        let connector = Arc::new(Counting::default());
        let dialer = Dialer::with(
            Arc::clone(&connector) as Arc<dyn Connector>,
            rustls::RootCertStore::empty(),
        )
        .unwrap();
        let host = Host {
            dialer,
            resolver: Arc::new(StaticResolver::new()),
            supervisor: Arc::clone(&supervisor),
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::new(clock.clone()),
            timer: Arc::clone(&timer) as Arc<dyn Timer>,
            entropy: Arc::new(Longest),
        };
        let feeds = Feeds::start(vec![plan(&given, port)], host);
        Self {
            timer,
            clock,
            store,
            supervisor,
            board: feeds.board(),
            feeds: Some(feeds),
            listener,
            connector,
            runs,
        }
    }

    /// The next connection, as the venue sees it, and the path and query that it asked for.
    pub async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut asked = String::new();
        #[allow(
            clippy::result_large_err,
            reason = "the callback's type is the library's"
        )]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            asked = request.uri().to_string();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, callback).await.unwrap();
        Peer { socket, asked }
    }

    /// The next connection, before any handshake.
    pub async fn accept_raw(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// How often a connection was opened.
    pub fn connections(&self) -> usize {
        self.connector.0.load(Ordering::SeqCst)
    }

    /// The next run with a batch. Polls on the way succeed.
    pub async fn batch(&mut self) -> Run {
        loop {
            let run = self.runs.recv().await.unwrap();
            if run.input()["task"] != "poll" {
                return run;
            }
            run.succeed();
        }
    }

    /// The next run of a poll.
    pub async fn poll(&mut self) -> Run {
        let run = self.runs.recv().await.unwrap();
        assert_eq!(run.input(), serde_json::json!({"task": "poll"}));
        run
    }

    /// Returns once the health says so. Every task gets its turn meanwhile.
    pub async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let health = self.health();
            if is_so(&health) {
                return health;
            }
            tokio::task::yield_now().await;
        }
    }

    pub fn health(&self) -> Value {
        serde_json::from_str(&self.board.health().body).unwrap()
    }

    pub fn is_healthy(&self) -> bool {
        self.board.health().is_healthy
    }

    pub async fn heartbeat(&self) -> Option<Value> {
        let key = Key::new("ops", "market_ingest").unwrap();
        let document = self.store.get(&key).await.unwrap()?;
        Some(serde_json::from_str(&document.body).unwrap())
    }

    /// Begins the stop.
    pub fn stop(&mut self, deadline: Duration) -> tokio::task::JoinHandle<StopSummary> {
        let feeds = self.feeds.take().unwrap();
        tokio::spawn(feeds.stop(deadline))
    }
}

/// A connection, from the venue's side.
pub struct Peer {
    pub socket: WebSocketStream<TcpStream>,
    pub asked: String,
}

impl Peer {
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next text that came.
    pub async fn hear(&mut self) -> Value {
        let message = self.socket.next().await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// Returns once all that was said before has been read and put into the queue: a ping is answered in its turn.
    pub async fn is_read(&mut self) {
        self.socket
            .send(Message::Ping("read".into()))
            .await
            .unwrap();
        loop {
            let message = self.socket.next().await.unwrap().unwrap();
            if message == Message::Pong("read".into()) {
                return;
            }
        }
    }

    /// Greets as Alpaca does, until the subscription stands. Gives what was subscribed.
    pub async fn greet(&mut self) -> Value {
        self.say(r#"[{"T":"success","msg":"connected"}]"#).await;
        let auth = self.hear().await;
        assert_eq!(
            auth,
            serde_json::json!({"action": "auth", "key": "PK1", "secret": "hunter2"})
        );
        self.say(r#"[{"T":"success","msg":"authenticated"}]"#).await;
        let subscription = self.hear().await;
        self.say(r#"[{"T":"subscription","trades":["SPY"],"quotes":["SPY"],"bars":["SPY"]}]"#)
            .await;
        subscription
    }
}

pub fn trade(id: u32) -> String {
    format!(
        r#"{{"e":"trade","s":"BTCUSDT","t":{id},"p":"100.5","q":"1","T":1767225600000,"m":false}}"#
    )
}

pub fn quote(symbol: &str, id: u32) -> String {
    format!(r#"{{"u":{id},"s":"{symbol}","b":"1.0","B":"2.0","a":"1.1","A":"3.0"}}"#)
}

pub fn bar(minute: i64) -> String {
    let open_ms = START_MS + minute * 60_000;
    format!(
        r#"{{"e":"kline","s":"BTCUSDT","k":{{"t":{open_ms},"i":"1m","o":"1","h":"2","l":"1","c":"2","v":"3","x":true}}}}"#
    )
}

fn plan(given: &Given, port: u16) -> FeedPlan {
    let Given {
        venue,
        path,
        batch_frames,
        queue_frames,
        host,
        granted,
    } = given;
    let (instrument, key) = match *venue {
        "alpaca" => ("SPY", "key_id = \"PK1\"\nsecret_key = \"{{ secret }}\""),
        _ => ("BTC-USDT", ""),
    };
    let text = format!(
        r#"spin_manifest_version = 2
[application]
name = "test"
[variables]
secret = {{ default = "hunter2", secret = true }}
[component.ingest]
source = "ingest.wasm"
allowed_outbound_hosts = ["ws://{host}:{port}"]
[component.ingest.variables]
instruments = "{instrument}"
timeframe = "1m"
[component.ingest.tool.bulkhead]
stage = "ingest"
[[component.ingest.tool.bulkhead.egress]]
host = "ws://{host}:{port}"
class = "market-data"
methods = ["GET"]
paths = ["/**"]
[[component.ingest.tool.bulkhead.feed]]
name = "primary"
venue = "{venue}"
url = "ws://{host}:{port}{path}"
batch_frames = {batch_frames}
queue_frames = {queue_frames}
batch_window = "1s"
{key}
"#
    );
    let app = App::check("spin.toml", &text, &Default::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let ingest = &app.components["ingest"];
    let grant = EgressGrant {
        component: "ingest".to_owned(),
        component_line: 1,
        rules: vec![EgressRule {
            host: format!("http://{host}:{port}").parse().unwrap(),
            class: EgressClass::MarketData,
            methods: vec![Method::GET],
            paths: vec![granted.parse().unwrap()],
            headers: RuleHeaders::default(),
            manifest_line: 14,
        }],
    };
    FeedPlan::new(ingest, &ingest.feeds[0], grant).unwrap()
}

fn policy() -> RunPolicy {
    RunPolicy {
        stage: "ingest".to_owned(),
        overlap: Overlap::Forbid,
        retries: Retries::NONE,
        concurrent_runs: 64,
        deadline_ms: 3_600_000,
    }
}
