//! A poll of many symbols against the paper venue over loopback, through the component and into SQLite.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_paper::{BarFile, Replay, Series, VirtualClock, demo, serve};
use bulkhead_sandbox::Sandbox;
use bulkhead_stage::{Invocation, Runner as _, TriggerKind};
use bulkhead_store::{BarsQuery, Key, SqliteOptions, SqliteStore, Store, Write};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::deployed;
use crate::measure::{middle, ratio, row};

/// Symbols of the plan.
const SYMBOLS: usize = 500;
/// Bars of each that the first poll brings in.
const FIRST_BARS: i64 = 60;
/// Polls after it, a minute of the venue's clock apart: with more, Binance's budget of a minute would be used up.
const CYCLES: i64 = 4;
/// Symbols and bars of the read figure.
const READ_BARS: u32 = FIRST_BARS as u32;
/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;

pub async fn figures() {
    let names: Vec<String> = (0..SYMBOLS)
        .map(|number| format!("C{number:03}-USDT"))
        .collect();
    let text = demo::generate(
        demo::SEED,
        usize::try_from(FIRST_BARS + CYCLES).unwrap() + 1,
    );
    let bars = BarFile::parse(text.as_bytes()).unwrap().bars;
    let timeframe: Timeframe = "1m".parse().unwrap();
    let series = names
        .iter()
        .map(|name| Series::new(&bars, name, timeframe).unwrap());
    let start_ms = demo::FIRST_OPEN_MS + FIRST_BARS * MINUTE_MS;
    let (clock, stepper) = VirtualClock::stepped(start_ms);
    let venue = Arc::new(Replay::of(series.collect(), clock).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, venue, stopped.map(drop)));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingest.db");
    let store = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
    plan(store.as_ref(), &names).await;
    let url = format!("http://{address}");
    let sandbox = deployed(store.clone(), &[("market_data_url", url.as_str())]);

    let (took, rows) = poll(&sandbox, start_ms).await;
    assert_eq!(rows, u64::try_from(FIRST_BARS).unwrap() * SYMBOLS as u64);
    let bars_per_second = rows as f64 / took.as_secs_f64();
    row(
        &format!("ingest: {FIRST_BARS} bars of {SYMBOLS} symbols for the first time"),
        took,
        &format!("{bars_per_second:.0} bars/s, from HTTP to SQLite"),
    );
    let mut cycles = Vec::new();
    for cycle in 1..=CYCLES {
        stepper.advance(MINUTE_MS);
        let (took, rows) = poll(&sandbox, start_ms + cycle * MINUTE_MS).await;
        assert_eq!(rows, SYMBOLS as u64, "a bar of each symbol");
        cycles.push(took);
    }
    let cycle = middle(cycles);
    row(
        &format!("ingest: a cycle of {SYMBOLS} symbols, a new bar of each"),
        cycle,
        &format!("{:.3} of the first", ratio(cycle, took)),
    );
    read(store.as_ref(), &names).await;
    drop(stop);
    serving.await.unwrap();
}

/// The plan document, which only an operator writes.
async fn plan(store: &dyn Store, names: &[String]) {
    let plan = json!({"intraday_trades": {"symbols": names, "interval": "1m", "lookback_days": 1}});
    let write = Write::Upsert {
        key: Key::new("ingest_plan", "current").unwrap(),
        body: plan.to_string(),
    };
    store.commit(vec![write], 0).await.unwrap();
}

/// One run: how long it took, and how many bars it stored.
async fn poll(sandbox: &Sandbox, scheduled_at_ms: i64) -> (Duration, u64) {
    let invocation = Invocation {
        run_id: format!("run-{scheduled_at_ms}"),
        trigger: TriggerKind::Cron,
        scheduled_at_ms,
        attempt: 1,
        traceparent: None,
        fake_mode: false,
        input: "{}".into(),
    };
    let started = Instant::now();
    let finished = sandbox.run("ingest", invocation).await;
    let took = started.elapsed();
    let report = finished.result.unwrap();
    let output: Value = serde_json::from_str(&report.output).unwrap();
    assert_eq!(output["status"], "success", "{output}");
    (took, output["rows"].as_u64().unwrap())
}

/// The newest bars of every symbol, one query each.
async fn read(store: &dyn Store, names: &[String]) {
    let started = Instant::now();
    for name in names {
        let query = BarsQuery {
            series: bulkhead_store::Series {
                instrument: name.clone(),
                timeframe: "1m".into(),
            },
            start_ms: None,
            end_ms: None,
            limit: READ_BARS,
            last: true,
        };
        assert_eq!(
            store.read_bars(&query).await.unwrap().len(),
            READ_BARS as usize
        );
    }
    row(
        &format!("read: the last {READ_BARS} bars of each of {SYMBOLS} symbols"),
        started.elapsed(),
        "",
    );
}
