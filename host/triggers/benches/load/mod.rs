//! A load generator: keep-alive connections over loopback, one request at a time on each.
//!
//! Another bench takes it up with `#[path = ".../load/mod.rs"] mod load;`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What to ask, and how often.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Path and query of each request.
    pub path: String,
    /// JSON body of each request, which is a `POST`.
    pub body: Bytes,
    /// Connections at once.
    pub connections: usize,
    /// How long requests are made and not measured.
    pub warm_up: Duration,
    /// How long requests are made and measured.
    pub measured: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Connections at once.
    pub connections: usize,
    /// Answers in a second.
    pub requests_per_second: f64,
    /// Half of the answers took no longer.
    pub p50: Duration,
    /// 99 of 100 answers took no longer.
    pub p99: Duration,
    /// Answers of another status than 200.
    pub failed: usize,
}

impl Measured {
    /// The head of the table that [`Measured::row`] fills.
    pub const HEAD: &'static str =
        "| connections | requests/s | p50 ms | p99 ms | failed |\n|---:|---:|---:|---:|---:|";

    /// A row of a Markdown table.
    pub fn row(&self) -> String {
        format!(
            "| {} | {:.0} | {:.3} | {:.3} | {} |",
            self.connections,
            self.requests_per_second,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
            self.failed
        )
    }
}

/// Why the load could not be put on.
pub type LoadError = Box<dyn std::error::Error + Send + Sync>;

/// Puts the load on.
pub async fn put_on(load: &Load) -> Result<Measured, LoadError> {
    let mut tasks = JoinSet::new();
    for _ in 0..load.connections {
        tasks.spawn(one_connection(load.clone()));
    }
    let mut latencies = Vec::new();
    let mut failed = 0;
    while let Some(done) = tasks.join_next().await {
        let (of_one, failed_of_one) = done??;
        latencies.extend(of_one);
        failed += failed_of_one;
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        let last = latencies.len().saturating_sub(1);
        latencies.get(index.min(last)).copied().unwrap_or_default()
    };
    Ok(Measured {
        connections: load.connections,
        requests_per_second: latencies.len() as f64 / load.measured.as_secs_f64(),
        p50: at(0.50),
        p99: at(0.99),
        failed,
    })
}

async fn one_connection(load: Load) -> Result<(Vec<Duration>, usize), LoadError> {
    let stream = TcpStream::connect(load.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let begin = Instant::now() + load.warm_up;
    let end = begin + load.measured;
    let host = load.address.to_string();
    let mut latencies = Vec::new();
    let mut failed = 0;
    loop {
        let request = Request::post(load.path.as_str())
            .header(HOST, host.as_str())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(load.body.clone()))?;
        sender.ready().await?;
        let sent = Instant::now();
        let response = sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        let received = Instant::now();
        if received >= end {
            break;
        }
        if sent >= begin {
            latencies.push(received - sent);
            failed += usize::from(status != StatusCode::OK);
        }
    }
    drop(sender);
    connection.await??;
    Ok((latencies, failed))
}
