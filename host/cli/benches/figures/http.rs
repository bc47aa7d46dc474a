//! A stage over loopback, a fresh sandbox for each request, against the same server with a stage that costs nothing.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::{Finished, Invocation, Outcome, Report, Runner, SystemClock, Usage};
use bulkhead_store::{SqliteOptions, SqliteStore};
use bulkhead_supervisor::{Overlap, Retries, RunPolicy, SeededEntropy, Supervisor};
use bulkhead_tests::NOW_MS;
use bulkhead_triggers::http::{Beside, Route, serve};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[path = "../../src/journal.rs"]
mod journal;
use journal::StoreJournal;

use crate::load::{self, Load, Measured};
use crate::{INPUT, deployed};

/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// A stage that answers with its input.
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

pub async fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        now_ms: NOW_MS,
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&folder.path().join("bench.db"), options).unwrap());
    let sandbox = Arc::new(deployed(store.clone(), &[]));
    let floor = measure(Arc::new(Trivial), Arc::clone(&store)).await;
    let stage = measure(sandbox, store).await;
    println!(
        "\n| HTTP, connections | requests/s | p50 ms | p99 ms | failed | without a sandbox: requests/s | share |\n\
         |---:|---:|---:|---:|---:|---:|---:|"
    );
    for (stage, floor) in stage.iter().zip(&floor) {
        println!(
            "| {} | {:.0} | {:.3} | {:.3} | {} | {:.0} | {:.2} |",
            stage.connections,
            stage.requests_per_second,
            stage.p50.as_secs_f64() * 1e3,
            stage.p99.as_secs_f64() * 1e3,
            stage.failed,
            floor.requests_per_second,
            stage.requests_per_second / floor.requests_per_second,
        );
    }
}

/// What `runner` bears behind the server and the journal that `up` has.
async fn measure(runner: Arc<dyn Runner>, store: Arc<SqliteStore>) -> Vec<Measured> {
    let policy = RunPolicy {
        stage: "ingest".into(),
        overlap: Overlap::Forbid,
        retries: Retries::NONE,
        concurrent_runs: 64,
        deadline_ms: 30_000,
    };
    let supervisor = Arc::new(Supervisor::new(
        runner,
        Arc::new(StoreJournal(store)),
        Arc::new(SystemClock),
        Arc::new(SeededEntropy::from_system()),
        [("ingest".to_owned(), policy)],
    ));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = vec![(Route::parse("/ingest").unwrap(), "ingest".to_owned())];
    let server = tokio::spawn(serve(
        listener,
        routes,
        supervisor,
        Beside::default(),
        async {
            // The sender is dropped at the end of the program as well.
            let _ = stopped.await;
        },
    ));
    let mut list = Vec::new();
    for connections in CONNECTIONS {
        let measured = load::put_on(Load {
            address,
            path: "/ingest",
            body: INPUT,
            connections,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(4),
        });
        list.push(measured.await.unwrap());
    }
    drop(stop);
    server.await.unwrap().unwrap();
    list
}
