use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bulkhead_stage::TriggerKind;
use bulkhead_supervisor::{Completed, RunRequest, Supervisor};
use bulkhead_telemetry::Bus;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::events::{Events, StreamedBody};
use super::host::HostRule;
use super::problem::Problem;
use super::request::BodyBounds;
use super::route::{EVENTS, HEALTH, Route, RouteError, Routes};
use super::{answer, request};

/// Longest body of a request: what `limits.output_bytes` allows a stage to answer by default.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Connections at once. More wait in the listener's backlog.
pub const MAX_CONNECTIONS: usize = 1_024;

/// Header lines of one request.
pub const MAX_HEADERS: usize = 64;

/// Bytes of a request's line and headers together.
pub const MAX_HEADER_BYTES: usize = 16 << 10;

/// Bytes of a connection's read buffer, and of what is kept to be written: room for a request's headers and the
/// beginning of its body.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// How long a request's headers may take, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// How long requests in flight may take once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after the listener could not accept, for example because there was no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

const STAGE_METHODS: &str = "POST";
const HEALTH_METHODS: &str = "GET, HEAD";
const EVENT_METHODS: &str = "GET";

/// What a server puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a request's headers may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long requests in flight may take once the server is told to stop.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            body_bytes: MAX_BODY_BYTES,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// What a server tells of, beside the routes.
#[derive(Default)]
pub struct Beside {
    /// Where `/events` comes from. None: there is no such route.
    pub events: Option<Arc<Bus>>,
    /// What else `/health` tells of. None: it answers that the host is there.
    pub health: Option<Arc<dyn Health>>,
}

/// What else `/health` tells of.
pub trait Health: Send + Sync + 'static {
    /// How it is now. Must not wait.
    fn report(&self) -> HealthReport;
}

/// The answer of `/health` while the host is not stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// True: the status is 200. False: 503.
    pub is_healthy: bool,
    /// JSON.
    pub body: String,
}

/// Serves the routes, and what is beside them, until `shutdown` is ready, then stops accepting, ends the streams of
/// events, lets the requests in flight finish, and returns. A listener on loopback answers only requests whose `Host` is a
/// name of loopback.
///
/// # Errors
///
/// When two routes are the same.
pub async fn serve(
    listener: TcpListener,
    routes: Vec<(Route, String)>,
    supervisor: Arc<Supervisor>,
    beside: Beside,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RouteError> {
    let bounds = Bounds::default();
    serve_within(bounds, listener, routes, supervisor, beside, shutdown).await
}

/// As [`serve`], within other bounds than the default ones.
///
/// # Errors
///
/// When two routes are the same.
pub async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    routes: Vec<(Route, String)>,
    supervisor: Arc<Supervisor>,
    beside: Beside,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RouteError> {
    let (stop_streams, stopping) = watch::channel(false);
    let server = Arc::new(Server {
        events: beside.events.map(|bus| Events::new(bus, stopping)),
        hosts: HostRule::of_listener(listener.local_addr().ok()),
        routes: Routes::new(routes)?,
        supervisor,
        health: beside.health,
        body: BodyBounds {
            bytes: bounds.body_bytes,
            timeout: bounds.body_timeout,
        },
    });
    let http = http(&bounds);
    let places = Arc::new(Semaphore::new(
        bounds.connections.min(Semaphore::MAX_PERMITS),
    ));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(ACCEPT_RETRY) => continue,
            }
        };
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    stop_streams.send_replace(true);
    if tokio::time::timeout(bounds.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections cut at the deadline"
        );
    }
    connections.shutdown().await;
    Ok(())
}

fn http(bounds: &Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .keep_alive(true)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    http
}

/// The next connection, with its place. None: the listener failed, which is logged.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Without this, an answer waits for the acknowledgement of the one before.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "set TCP_NODELAY");
            }
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "accept a connection");
            None
        }
    }
}

/// What the server answers with.
type Answer = Response<Either<Full<Bytes>, StreamedBody>>;

struct Server {
    events: Option<Events>,
    hosts: HostRule,
    routes: Routes,
    supervisor: Arc<Supervisor>,
    health: Option<Arc<dyn Health>>,
    body: BodyBounds,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match self.find(request).await {
            Ok(response) => response,
            Err(problem) => problem.response().map(Either::Left),
        }
    }

    /// Answers with what stands at the path.
    async fn find(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        self.hosts.check(request.uri(), request.headers())?;
        match (request.uri().path(), &self.events) {
            (EVENTS, Some(events)) => {
                if *request.method() != Method::GET {
                    return Err(Problem::method_not_allowed(request.method(), EVENT_METHODS));
                }
                request::refuse_other_sites(request.headers())?;
                let query = request.uri().query().unwrap_or_default();
                Ok(events.stream(query)?.map(Either::Right))
            }
            (path, _) if HEALTH.contains(&path) => {
                Ok(self.health(request.method())?.map(Either::Left))
            }
            _ => Ok(self.run(request).await?.map(Either::Left)),
        }
    }

    async fn run(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        let path = request.uri().path();
        let Some(component) = self.routes.find(path) else {
            let detail = format!("no stage is served at `{path}`");
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-route", detail));
        };
        if *request.method() != Method::POST {
            return Err(Problem::method_not_allowed(request.method(), STAGE_METHODS));
        }
        if self.supervisor.is_shutting_down() {
            return Err(Problem::shutting_down());
        }
        let asked = request::read(request, self.body).await?;
        let run = RunRequest {
            component: component.to_owned(),
            trigger: TriggerKind::Http,
            scheduled_at_ms: self.supervisor.now_ms(),
            input: asked.input,
            traceparent: asked.traceparent,
            fake_mode: asked.fake_mode,
        };
        let supervisor = Arc::clone(&self.supervisor);
        let run = Box::pin(async move { supervisor.run(run).await });
        Ok(answer::of_run(ToTheEnd(Some(run)).await))
    }

    fn health(&self, method: &Method) -> Result<Response<Full<Bytes>>, Problem> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed(method, HEALTH_METHODS));
        }
        if self.supervisor.is_shutting_down() {
            return Err(Problem::shutting_down());
        }
        let Some(health) = &self.health else {
            return Ok(answer::json(r#"{"status":"ok"}"#));
        };
        let report = health.report();
        let mut response = answer::json(report.body);
        if !report.is_healthy {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(response)
    }
}

/// A run that goes on in a task of its own when nobody waits for it any more: when the client hangs up.
struct ToTheEnd(Option<BoxFuture<'static, Completed>>);

impl Future for ToTheEnd {
    type Output = Completed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Completed> {
        let Some(run) = &mut self.0 else {
            return Poll::Pending;
        };
        let polled = run.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for ToTheEnd {
    fn drop(&mut self) {
        if let Some(run) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(run);
        }
    }
}
