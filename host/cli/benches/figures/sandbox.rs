//! What a run costs: a native call, the bare floor of the engine, and a run in a fresh sandbox.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_sandbox::Sandbox;
use bulkhead_stage::Runner as _;
use bulkhead_store::MemoryStore;
use bulkhead_tests::{NOW_MS, invocation, wasm};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::measure::{median, middle, ratio, row};
use crate::{CANARY_FLAGS, DEADLINE, INPUT, deployed};

mod floor {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "package bulkhead:floor; world floor { export bulkhead:pipeline/stage@0.1.0; }",
        world: "bulkhead:floor/floor",
        exports: { default: async },
    });
}

pub async fn figures() {
    let sandbox = deployed(Arc::new(MemoryStore::new(NOW_MS)), &[]);
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
    for (name, mock_feed) in [
        ("canary, the pipeline once: four sandboxes", "0"),
        (
            "canary, all flags, so the pipeline twice: seven sandboxes",
            "1",
        ),
    ] {
        let canary = canary(mock_feed).await;
        let note = format!("{:.1} runs of one stage", ratio(canary, run));
        row(name, canary, &note);
    }
    deadline(&sandbox).await;
}

/// The whole canary in process; with the mock feed the pipeline runs again on what that gives.
async fn canary(mock_feed: &str) -> Duration {
    let flag = |name: &'static str| match name {
        "signals_mock_feed_enabled" => (name, mock_feed),
        _ => (name, "1"),
    };
    let flags: Vec<(&str, &str)> = CANARY_FLAGS.into_iter().map(flag).collect();
    let canaries = deployed(Arc::new(MemoryStore::new(NOW_MS)), &flags);
    median(1_000, || async {
        let finished = canaries.run("canary", invocation("{}", false)).await;
        assert!(finished.result.is_ok(), "{finished:?}");
    })
    .await
}

/// The same work as a plain function.
fn native() -> Duration {
    let times = 20_000;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        let input: serde_json::Value = serde_json::from_str(black_box(INPUT)).unwrap();
        let output = ingest::normalise::run_task(&input, 0.0, || 0.001).unwrap();
        black_box(output.to_json().unwrap());
        took.push(started.elapsed());
    }
    middle(took)
}

/// The same component with nothing linked but the three functions that the call itself needs.
async fn bare_floor() -> Duration {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto)
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

/// Guests that end for no reason of their own and need no venue, with what they need in their input.
const HOSTILE: [&str; 9] = [
    "endless-loop",
    "endless-recursion",
    "memory-bomb",
    "gigabyte-of-log",
    "ten-million-host-calls",
    "handle-leak",
    "future-leak",
    "many-timers-at-once",
    "answer-too-large",
];

/// How far past their deadline hostile guests go.
async fn deadline(sandbox: &Sandbox) {
    let mut worst = (Duration::ZERO, "");
    for program in HOSTILE {
        for _ in 0..5 {
            let input = format!(r#"{{"program":"{program}","count":50000}}"#);
            let started = Instant::now();
            let finished = sandbox.run("endless", invocation(&input, false)).await;
            let past = started.elapsed().saturating_sub(DEADLINE);
            assert!(finished.result.is_err(), "{program}: {finished:?}");
            worst = worst.max((past, program));
        }
    }
    let (past, program) = worst;
    let name = format!(
        "{} hostile guests past their deadline, the worst",
        HOSTILE.len()
    );
    row(&name, past, program);
}
