//! What a run costs, in one process and in one table, each figure against a floor measured beside it.
//!
//! `cargo build --release && cargo bench -p bulkhead-tests --bench figures`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![allow(clippy::disallowed_methods, reason = "a bench is what reads the time")]

#[path = "../../host/triggers/benches/load/mod.rs"]
mod load;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_manifest::App;
use bulkhead_sandbox::{CodeCache, Foundation, Sandbox, specs};
use bulkhead_stage::{Runner as _, SystemClock};
use bulkhead_store::{MemoryStore, SqliteOptions, SqliteStore, Store};
use bulkhead_supervisor::{
    Journal, JournalEntry, JournalError, Overlap, Retries, RunPolicy, SeededEntropy, Supervisor,
};
use bulkhead_tests::{NOW_MS, guest, invocation, wasm};
use bulkhead_triggers::http::{Route, serve};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use load::{Load, Measured};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What the stage is given: the canary's frame.
const INPUT: &str = r#"{"task":"normalise","path":"ingest_frame","fake":true,"frame":{"instrument":"BTC-USD","timestamp":1700000000,"features":{"price":10000.0},"raw":{"source":"ingest_canary"}}}"#;

mod floor {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package bulkhead:floor; world floor { export bulkhead:pipeline/stage@0.1.0; }",
        world: "bulkhead:floor/floor",
        exports: { default: async },
    });
}

#[tokio::main]
async fn main() {
    let sandbox = deployed(Arc::new(MemoryStore::new(NOW_MS)), &[]);
    println!("| figure | value | against |\n|---|---:|---|");

    let native = native();
    let bare = bare_floor().await;
    let run = median(2_000, || async {
        let finished = sandbox.run("ingest", invocation(INPUT, true)).await;
        assert!(finished.result.is_ok(), "{finished:?}");
    })
    .await;
    row("normalise, a native call", native, "");
    row(
        "normalise, bare floor: store + instance + call + drop",
        bare,
        "",
    );
    row(
        "normalise, a run in a fresh sandbox",
        run,
        &format!(
            "{:.2} × the bare floor, {:.0} × native",
            ratio(run, bare),
            ratio(run, native)
        ),
    );

    let flags: Vec<(&str, &str)> = CANARY_FLAGS.iter().map(|flag| (*flag, "1")).collect();
    let canaries = deployed(Arc::new(MemoryStore::new(NOW_MS)), &flags);
    let canary = median(500, || async {
        let finished = canaries.run("canary", invocation("{}", false)).await;
        assert!(finished.result.is_ok(), "{finished:?}");
    })
    .await;
    row(
        "canary, whole pipeline, in process",
        canary,
        &format!("{:.1} runs of one stage", ratio(canary, run)),
    );
    cold_start();
    deadline(&sandbox).await;
    http().await;
}

const CANARY_FLAGS: [&str; 8] = [
    "signals_ingest_enabled",
    "signals_mock_feed_enabled",
    "signals_fake_mode",
    "brain_fake_mode",
    "trade_engine_fake_mode",
    "runtime_router_fake_mode",
    "intent_preview_fake_mode",
    "intent_preview_enabled",
];

fn row(name: &str, value: Duration, against: &str) {
    println!(
        "| {name} | {:.1} µs | {against} |",
        value.as_secs_f64() * 1e6
    );
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The median time of `times` calls, after a tenth as many to warm up.
async fn median<F: Future<Output = ()>>(times: usize, mut call: impl FnMut() -> F) -> Duration {
    for _ in 0..times / 10 {
        call().await;
    }
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        call().await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took[times / 2]
}

/// The components of the project's own manifest.
fn deployed(store: Arc<dyn Store>, variables: &[(&str, &str)]) -> Sandbox {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("spin.toml")).unwrap();
    let app = App::parse("spin.toml", &text).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let app = app.resolve(&variables).unwrap();
    let mut specs = specs(&app, "spin.toml", &root).unwrap();
    specs.push({
        let mut endless = guest("endless");
        endless.limits.deadline = Duration::from_millis(100);
        endless
    });
    let foundation = Foundation {
        clock: Arc::new(SystemClock),
        store,
        resolver: Arc::new(bulkhead_grants::egress::StaticResolver::new()),
        dialer: bulkhead_grants::dial::Dialer::new().unwrap(),
        cache: CodeCache::none(),
    };
    Sandbox::new(foundation, specs).unwrap()
}

/// The same work as a plain function.
fn native() -> Duration {
    let times = 20_000;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        let input: serde_json::Value = serde_json::from_str(black_box(INPUT)).unwrap();
        let output = ingest::normalise::run_task(&input, 0.0, || 0.001).unwrap();
        black_box(output.to_string());
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took[times / 2]
}

/// The same component with nothing linked but the three functions that the call itself needs.
async fn bare_floor() -> Duration {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        .max_memory_size(1 << 30);
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .memory_reservation(1 << 30)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).unwrap();
    let component = Component::new(&engine, wasm("ingest")).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker.allow_shadowing(true);
    linker.define_unknown_imports_as_traps(&component).unwrap();
    linker
        .instance("wasi:random/insecure-seed@0.2.6")
        .unwrap()
        .func_wrap("insecure-seed", |_, ()| Ok(((1_u64, 2_u64),)))
        .unwrap();
    linker
        .instance("wasi:clocks/monotonic-clock@0.3.0")
        .unwrap()
        .func_wrap("now", |_, ()| Ok((1_u64,)))
        .unwrap();
    linker
        .instance("wasi:clocks/system-clock@0.3.0")
        .unwrap()
        .func_wrap("now", |_, ()| -> wasmtime::Result<(Instant3,)> {
            Ok((Instant3 {
                seconds: 1,
                nanoseconds: 0,
            },))
        })
        .unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let indices = floor::exports::bulkhead::pipeline::stage::GuestIndices::new(&pre).unwrap();
    median(2_000, || async {
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance = pre.instantiate_async(&mut store).await.unwrap();
        let guest = indices.load(&mut store, &instance).unwrap();
        let report = store
            .run_concurrent(async |accessor| guest.call_run(accessor, floor_invocation()).await)
            .await
            .unwrap()
            .unwrap();
        assert!(report.is_ok());
    })
    .await
}

/// `instant` of `wasi:clocks/system-clock`.
#[derive(
    wasmtime::component::ComponentType, wasmtime::component::Lower, wasmtime::component::Lift,
)]
#[component(record)]
struct Instant3 {
    seconds: i64,
    nanoseconds: u32,
}

fn floor_invocation() -> floor::exports::bulkhead::pipeline::stage::Invocation {
    use floor::exports::bulkhead::pipeline::stage::{Invocation, TriggerKind};
    Invocation {
        run_id: "run-1".into(),
        trigger: TriggerKind::Manual,
        scheduled_at_ms: NOW_MS,
        attempt: 1,
        traceparent: None,
        fake_mode: true,
        input: INPUT.into(),
    }
}

/// `bulkhead canary` as a process, its compiled code in the cache.
fn cold_start() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let binary = root.join("target/release/bulkhead");
    if !binary.exists() {
        println!(
            "| `bulkhead canary` as a process | not measured | `cargo build --release` makes it |"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let started = Instant::now();
        let status = Command::new(&binary)
            .current_dir(folder.path())
            .arg("--manifest")
            .arg(root.join("spin.toml"))
            .args(["--data-dir", "data", "canary"])
            .envs(CANARY_FLAGS.map(|flag| (flag.to_ascii_uppercase(), "1")))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        started.elapsed()
    };
    let empty_cache = start();
    let mut took: Vec<Duration> = (0..20).map(|_| start()).collect();
    took.sort_unstable();
    row(
        "`bulkhead canary` as a process, warm code cache",
        took[10],
        &format!("empty cache: {:.0} ms", empty_cache.as_secs_f64() * 1e3),
    );
}

/// How far past its deadline an endless loop goes.
async fn deadline(sandbox: &Sandbox) {
    let mut worst = Duration::ZERO;
    for _ in 0..10 {
        let started = Instant::now();
        let finished = sandbox
            .run(
                "endless",
                invocation(r#"{"program":"endless-loop"}"#, false),
            )
            .await;
        assert!(finished.result.is_err());
        worst = worst.max(started.elapsed().saturating_sub(Duration::from_millis(100)));
    }
    row("an endless loop past its deadline, worst of 10", worst, "");
}

struct StoreJournal(Arc<SqliteStore>);

impl Journal for StoreJournal {
    fn record(&self, entries: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>> {
        let runs = entries
            .into_iter()
            .map(|entry| bulkhead_store::RunRecord {
                run_id: entry.run_id,
                component: entry.component,
                stage: entry.stage,
                trigger: entry.trigger.as_str().to_owned(),
                scheduled_at_ms: entry.scheduled_at_ms,
                started_at_ms: entry.started_at_ms,
                finished_at_ms: entry.finished_at_ms,
                attempt: entry.attempt,
                status: entry.status.as_str().to_owned(),
                reason: entry.reason,
                detail: entry.detail,
                host_calls: entry.host_calls,
                denials: entry.denials,
            })
            .collect();
        async move { self.0.record_runs(runs).await.map_err(JournalError::new) }.boxed()
    }
}

/// A stage over loopback, a fresh sandbox for each request, with the journal that `up` keeps.
async fn http() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        now_ms: NOW_MS,
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&folder.path().join("bench.db"), options).unwrap());
    let sandbox = deployed(store.clone(), &[]);
    let policy = RunPolicy {
        stage: "ingest".into(),
        overlap: Overlap::Forbid,
        retries: Retries::NONE,
        concurrent_runs: 64,
        deadline_ms: 30_000,
    };
    let supervisor = Arc::new(Supervisor::new(
        Arc::new(sandbox),
        Arc::new(StoreJournal(store)),
        Arc::new(SystemClock),
        Arc::new(SeededEntropy::from_system()),
        [("ingest".to_owned(), policy)],
    ));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = vec![(Route::parse("/ingest").unwrap(), "ingest".to_owned())];
    let server = tokio::spawn(serve(listener, routes, supervisor, async {
        // The sender is dropped at the end of the program as well.
        let _ = stopped.await;
    }));
    println!("\n{}", Measured::HEAD);
    for connections in [1, 16, 64] {
        let measured = load::put_on(&Load {
            address,
            path: "/ingest".into(),
            body: INPUT.into(),
            connections,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(4),
        })
        .await
        .unwrap();
        println!("{}", measured.row());
    }
    drop(stop);
    server.await.unwrap().unwrap();
}
