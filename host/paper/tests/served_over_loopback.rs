//! The paper venue over a real socket.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers may fail the test where they stand"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use bulkhead_paper::{BarFile, Replay, VirtualClock, demo, serve};
use bulkhead_venues::HttpResponse;
use bulkhead_venues::binance::klines;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Venue {
    address: SocketAddr,
    replay: Arc<Replay>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Venue {
    let bars = BarFile::parse(demo::FILE.as_bytes()).unwrap().bars;
    let timeframe = "1m".parse().unwrap();
    let replay = Replay::new(&bars, "BTC-USDT", timeframe, VirtualClock::immediate()).unwrap();
    let replay = Arc::new(replay);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, Arc::clone(&replay), async {
        let _ = stopped.await;
    }));
    Venue {
        address,
        replay,
        stop,
        task,
    }
}

/// A connection, and the task that ends when the connection does.
async fn connect(address: SocketAddr) -> (SendRequest<Empty<Bytes>>, JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(async move { connection.await.unwrap() });
    (sender, ended)
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> (StatusCode, Bytes) {
    sender.ready().await.unwrap();
    let request = Request::get(path)
        .header("host", "paper")
        .body(Empty::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn response(status: StatusCode, body: &[u8]) -> HttpResponse<'_> {
    HttpResponse {
        status: status.as_u16(),
        headers: &[],
        body,
    }
}

#[tokio::test]
async fn every_bar_of_the_demo_comes_back_exactly_through_pages_of_klines() {
    let venue = start().await;
    let (mut sender, _connection) = connect(venue.address).await;
    let mut received = Vec::new();
    while !venue.replay.is_finished() {
        let request = klines::Request {
            symbol: "BTCUSDT".to_owned(),
            interval: "1m".parse().unwrap(),
            start_time_ms: Some(
                received
                    .last()
                    .map_or(0, |bar: &bulkhead_kernel::bar::Bar| bar.open_time_ms + 1),
            ),
            end_time_ms: None,
            limit: 1_000,
        };
        let (status, body) = get(&mut sender, &request.to_http().path_and_query).await;
        received.extend(klines::parse(&response(status, &body), 1_000).unwrap());
    }
    assert!(received == BarFile::parse(demo::FILE.as_bytes()).unwrap().bars);
    assert_eq!(venue.replay.remaining(), 0);
}

#[tokio::test]
async fn a_refusal_reads_as_the_venues_refusal() {
    let venue = start().await;
    let (mut sender, _connection) = connect(venue.address).await;
    let (status, body) = get(&mut sender, "/api/v3/klines?symbol=NONE&interval=1m").await;
    let error = klines::parse(&response(status, &body), 1_000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused by the venue (HTTP 400, code -1121): Invalid symbol."
    );
    assert_eq!(
        get(&mut sender, "/elsewhere").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_request_with_too_many_headers_is_refused() {
    let venue = start().await;
    let (mut sender, _connection) = connect(venue.address).await;
    let mut request = Request::get("/api/v3/ping").header("host", "paper");
    for index in 0..40 {
        request = request.header(format!("x-{index}"), "1");
    }
    let response = sender
        .send_request(request.body(Empty::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
}

#[tokio::test]
async fn a_stopped_venue_ends_idle_connections_and_accepts_no_more() {
    let venue = start().await;
    let (mut idle, connection) = connect(venue.address).await;
    assert_eq!(get(&mut idle, "/api/v3/ping").await.0, StatusCode::OK);
    venue.stop.send(()).unwrap();
    venue.task.await.unwrap();
    connection.await.unwrap();
    assert!(TcpStream::connect(venue.address).await.is_err());
}
