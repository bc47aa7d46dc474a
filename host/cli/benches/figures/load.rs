//! A load generator: keep-alive connections over loopback, one request at a time on each, on a thread of its own.
//!
//! It writes the same bytes again and again and looks at no more of an answer than its status and its length, so that what
//! it costs is small beside what it measures.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What to ask, and how often.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Path of each request.
    pub path: &'static str,
    /// JSON body of each request, which is a `POST`.
    pub body: &'static str,
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

/// Why the load could not be put on.
pub type LoadError = Box<dyn std::error::Error + Send + Sync>;

/// Puts the load on, from a thread of its own.
pub async fn put_on(load: Load) -> Result<Measured, LoadError> {
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(all_connections(&load))
    })
    .await?
}

async fn all_connections(load: &Load) -> Result<Measured, LoadError> {
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
    let mut stream = TcpStream::connect(load.address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        load.path,
        load.address,
        load.body.len(),
        load.body
    );
    let begin = Instant::now() + load.warm_up;
    let end = begin + load.measured;
    let mut latencies = Vec::new();
    let mut failed = 0;
    let mut buffer = Vec::with_capacity(64 << 10);
    loop {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let is_ok = read_answer(&mut stream, &mut buffer).await?;
        let received = Instant::now();
        if received >= end {
            return Ok((latencies, failed));
        }
        if sent >= begin {
            latencies.push(received - sent);
            failed += usize::from(!is_ok);
        }
    }
}

/// Reads one answer to its end. True: its status is 200.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<bool, LoadError> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server hung up".into());
        }
        if let Some(length) = whole_length(buffer)
            && buffer.len() >= length
        {
            return Ok(buffer.starts_with(b"HTTP/1.1 200 "));
        }
    }
}

/// How many bytes the answer that begins `buffer` has, once its head is there.
fn whole_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(head + length)
}
