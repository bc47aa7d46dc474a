//! HTTP: one route a stage.
//!
//! `POST` with a JSON body runs the stage with that input, `{}` where the body is empty; `?fake_mode=1` runs it in fake
//! mode. No other method runs anything. The answer is `200` with `{"run_id","outcome","reason","output","attempts"}`, or a problem of RFC 9457
//! (`application/problem+json`) whose `type` is `urn:bulkhead:problem:` and the stable reason, and whose `instance`
//! is the run id where there was a run. `GET /health` and `GET /healthz` answer `{"status":"ok"}`, or what a [`Health`]
//! reports, with 503 where all is not well. `GET /events` is a stream
//! of server-sent events: `id` and `data` are those of one CloudEvent, `?topic=telemetry.ingest` asks for that topic and
//! those below it, and an event of the type `lagged` says how many were lost because the client was too slow.
//!
//! A client that hangs up does not stop the run that it started: a run that trades must not be cut short by a
//! connection. A request that a browser sends from a page of another site is refused, because a request alone
//! starts a run; and where the listener is on loopback, so is one whose `Host` is no name of loopback.

mod answer;
mod events;
mod host;
mod problem;
mod request;
mod route;
mod server;

pub use events::MAX_EVENT_STREAMS;
pub use route::{Route, RouteError};
pub use server::{
    Beside, Bounds, Health, HealthReport, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_HEADER_BYTES,
    MAX_HEADERS, serve, serve_within,
};
