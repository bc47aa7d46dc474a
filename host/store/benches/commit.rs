//! What the store adds to the database it stands on: commits against a bare SQLite commit, and reads.
//!
//! Ratios within one run are what counts: the times are those of the disk.
#![allow(
    missing_docs,
    reason = "criterion's macros make a public item without docs"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to report"
)]

use std::hint::black_box;

use bulkhead_store::{Bars, BarsQuery, Key, Series, SqliteOptions, SqliteStore, Store as _, Write};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use futures::future::join_all;
use rusqlite::{Connection, params};

/// An order document of a usual size.
fn body() -> String {
    format!("{{\"client_order_id\":\"{}\"}}", "x".repeat(480))
}

fn create(number: u64) -> Vec<Write> {
    vec![Write::Create {
        key: Key::new("orders", format!("{number:012}")).unwrap(),
        body: body(),
    }]
}

/// The floor: the same row, in a transaction of its own, under the same pragmas, on the caller's thread.
fn bare(folder: &tempfile::TempDir) -> Connection {
    let connection = Connection::open(folder.path().join("bare.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             CREATE TABLE documents (
                 collection TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL,
                 updated_at_ms INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, id)
             ) STRICT, WITHOUT ROWID;",
        )
        .unwrap();
    connection
}

fn commits(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db"), SqliteOptions::default());
    let store = store.unwrap();
    let connection = bare(&folder);
    let mut numbers = 0_u64..;
    let mut group = criterion.benchmark_group("commit");

    group.throughput(Throughput::Elements(1));
    group.bench_function("bare SQLite insert", |bencher| {
        bencher.iter(|| {
            let id = format!("{:012}", numbers.next().unwrap());
            connection
                .prepare_cached("INSERT INTO documents VALUES ('orders', ?1, 1, 0, ?2)")
                .unwrap()
                .execute(params![id, body()])
                .unwrap()
        });
    });
    group.bench_function("one document", |bencher| {
        bencher.iter(|| block_on(store.commit(create(numbers.next().unwrap()), 0)).unwrap());
    });
    const CONCURRENT: usize = 64;
    group.throughput(Throughput::Elements(CONCURRENT as u64));
    group.bench_function("64 concurrent commits of one document", |bencher| {
        bencher.iter(|| {
            let under_way = numbers.by_ref().take(CONCURRENT);
            let answers = block_on(join_all(
                under_way.map(|number| store.commit(create(number), 0)),
            ));
            assert!(answers.iter().all(Result::is_ok));
        });
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db"), SqliteOptions::default());
    let store = store.unwrap();
    let series = Series::new("BTC-USD", "1m").unwrap();
    let column = |from: i64| (0..10_000).map(|n| from + n).collect::<Vec<i64>>();
    let bars = Bars {
        price_scale: 2,
        volume_scale: 8,
        open_time_ms: (0..10_000)
            .map(|n| 1_640_995_200_000 + n * 60_000)
            .collect(),
        open: column(4_631_950),
        high: column(4_641_950),
        low: column(4_621_950),
        close: column(4_632_950),
        volume: column(12_345_678_901),
    };
    block_on(store.append_bars(series.clone(), bars, 0)).unwrap();
    block_on(store.commit(create(0), 0)).unwrap();
    let key = Key::new("orders", format!("{:012}", 0)).unwrap();
    let query = BarsQuery {
        series,
        start_ms: None,
        end_ms: None,
        limit: 1000,
        last: true,
    };
    let mut group = criterion.benchmark_group("read");
    group.bench_function("one document", |bencher| {
        bencher.iter(|| block_on(store.get(black_box(&key))).unwrap());
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("the last 1000 of 10000 bars", |bencher| {
        bencher.iter(|| block_on(store.read_bars(black_box(&query))).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = commits, reads
}
criterion_main!(benches);
