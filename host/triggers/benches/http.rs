//! The HTTP trigger over loopback, with a stage that costs nothing: what is measured is everything but the sandbox.

mod load;

use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::{Finished, Invocation, Outcome, Report, Runner, SystemClock, Usage};
use bulkhead_supervisor::{
    Journal, JournalEntry, JournalError, Overlap, Retries, RunPolicy, SeededEntropy, Supervisor,
};
use bulkhead_triggers::http::{Route, serve};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use load::{Load, LoadError, Measured};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const COMPONENT: &str = "ingest";

struct Trivial;

impl Runner for Trivial {
    fn run<'a>(&'a self, _: &'a str, invocation: Invocation) -> BoxFuture<'a, Finished> {
        async move {
            Finished {
                result: Ok(Report {
                    outcome: Outcome::Success,
                    reason: None,
                    output: invocation.input,
                    events: Vec::new(),
                    spans: Vec::new(),
                    metrics: Vec::new(),
                }),
                usage: Usage::default(),
            }
        }
        .boxed()
    }
}

struct Nowhere;

impl Journal for Nowhere {
    fn record(&self, _: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>> {
        async { Ok(()) }.boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), LoadError> {
    let policy = RunPolicy {
        stage: COMPONENT.to_owned(),
        overlap: Overlap::Forbid,
        retries: Retries {
            attempts: 3,
            initial_ms: 200,
            max_ms: 5_000,
        },
        concurrent_runs: 64,
        deadline_ms: 30_000,
    };
    let supervisor = Arc::new(Supervisor::new(
        Arc::new(Trivial),
        Arc::new(Nowhere),
        Arc::new(SystemClock),
        Arc::new(SeededEntropy::from_system()),
        [(COMPONENT.to_owned(), policy)],
    ));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = vec![(Route::parse("/ingest")?, COMPONENT.to_owned())];
    let server = tokio::spawn(serve(listener, routes, supervisor, async {
        // The sender is dropped at the end of the program as well.
        let _ = stopped.await;
    }));
    println!("{}", Measured::HEAD);
    for connections in [1, 16, 64] {
        let load = Load {
            address,
            path: "/ingest".to_owned(),
            body: Bytes::from_static(
                br#"{"frames":[{"instrument":"BTC-USDT","close":"46319.5"}]}"#,
            ),
            connections,
            warm_up: Duration::from_millis(500),
            measured: Duration::from_secs(3),
        };
        println!("{}", load::put_on(&load).await?.row());
    }
    drop(stop);
    server.await??;
    Ok(())
}
