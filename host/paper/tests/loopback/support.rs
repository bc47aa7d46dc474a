//! A venue that runs, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bulkhead_kernel::bar::Bar;
use bulkhead_paper::{BarFile, Replay, Series, Venue, VirtualClock, demo, serve};
use bulkhead_venues::HttpResponse;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

pub const MINUTE_MS: i64 = 60_000;
pub const START_MS: i64 = demo::FIRST_OPEN_MS;

/// Bars of the demo's kind.
pub fn bars(seed: u64, count: usize) -> Vec<Bar> {
    let text = demo::generate(seed, count);
    BarFile::parse(text.as_bytes()).unwrap().bars
}

/// Each instrument with bars of its own.
pub fn replay(instruments: &[&str], count: usize, clock: VirtualClock) -> Arc<Replay> {
    let minute = "1m".parse().unwrap();
    let series = instruments.iter().zip(1..);
    let series = series
        .map(|(name, seed)| Series::new(&bars(seed, count), name, minute).unwrap())
        .collect();
    Arc::new(Replay::of(series, clock).unwrap())
}

pub struct Running {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<()>,
}

pub async fn start(venue: impl Into<Venue>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, venue.into(), async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        task,
    }
}

/// A connection for requests.
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    /// Ends when the connection does.
    pub connection: JoinHandle<()>,
    pub headers: Vec<(&'static str, &'static str)>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            sender,
            connection,
            headers: Vec::new(),
        }
    }

    pub async fn send(&mut self, path: &str) -> Result<http::Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        let mut request = Request::get(path).header("host", "paper");
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        self.sender.send_request(request).await
    }

    pub async fn try_get(&mut self, path: &str) -> Result<Reply, hyper::Error> {
        let response = self.send(path).await?;
        let headers = response.headers().iter().map(|(name, value)| {
            let value = value.to_str().unwrap_or_default();
            (name.as_str().to_owned(), value.to_owned())
        });
        let headers = headers.collect();
        Ok(Reply {
            status: response.status().as_u16(),
            headers,
            body: response.into_body().collect().await?.to_bytes(),
        })
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.try_get(path).await.unwrap()
    }
}

impl Reply {
    pub fn read<T>(&self, read: impl FnOnce(&HttpResponse<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (&**name, &**value)).collect();
        read(&HttpResponse {
            status: self.status,
            headers: &headers,
            body: &self.body,
        })
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.read(|response| response.header(name).map(str::to_owned))
    }
}

/// A websocket.
pub struct Stream(pub WebSocketStream<TcpStream>);

impl Stream {
    pub async fn try_open(address: SocketAddr, path: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.unwrap();
        let opened = client_async(format!("ws://{address}{path}"), stream).await;
        Some(Self(opened.ok()?.0))
    }

    pub async fn open(address: SocketAddr, path: &str) -> Self {
        Self::try_open(address, path).await.unwrap()
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text. None: the connection has ended.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}
