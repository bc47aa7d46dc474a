//! Venues that misbehave, on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use bulkhead_grants::egress::{EgressClass, EgressRule, RuleHeaders};
use bulkhead_sandbox::ComponentSpec;
use bulkhead_tests::with_egress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a venue answers each request.
#[derive(Clone)]
pub enum Manner {
    /// With these bytes.
    Answers(&'static str),
    /// With `head`, then with `again` for as long as anyone reads.
    Repeats { head: &'static str, again: String },
    /// With `head`, then with a byte every 20 ms for ever.
    Trickles { head: &'static str },
    /// Never: it reads whatever comes.
    Swallows,
}

/// An answer with a body of four bytes.
pub const BODY: Manner = Manner::Answers("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");

/// Ends when it is dropped.
pub struct Venue {
    pub address: SocketAddr,
    accepted: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Venue {
    pub async fn open(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, accepted) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                tokio::spawn(serve(stream, manner.clone()));
            }
        });
        Self {
            address,
            accepted,
            accepting,
        }
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Waits until there were so many connections.
    pub async fn accepts(&self, connections: usize) {
        let mut accepted = self.accepted.clone();
        accepted
            .wait_for(|count| *count >= connections)
            .await
            .unwrap();
    }

    /// The component with leave to send GET and PUT to this venue.
    pub fn reached_by(&self, spec: ComponentSpec) -> ComponentSpec {
        let rule = EgressRule {
            host: format!("http://{}", self.address).parse().unwrap(),
            class: EgressClass::MarketData,
            methods: vec!["GET".parse().unwrap(), "PUT".parse().unwrap()],
            paths: vec!["/**".parse().unwrap()],
            headers: RuleHeaders::default(),
            manifest_line: 1,
        };
        with_egress(spec, vec![rule])
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut request = vec![0; 4096];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    match manner {
        Manner::Answers(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Manner::Repeats { head, again } => {
            if stream.write_all(head.as_bytes()).await.is_ok() {
                while stream.write_all(again.as_bytes()).await.is_ok() {}
            }
        }
        Manner::Trickles { head } => {
            let mut every = tokio::time::interval(Duration::from_millis(20));
            if stream.write_all(head.as_bytes()).await.is_ok() {
                while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
                    every.tick().await;
                }
            }
        }
        Manner::Swallows => {}
    }
    // Until the client closes: an answer is not cut off by a reset.
    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
}
