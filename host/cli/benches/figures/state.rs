//! The store against the database that it stands on.

use bulkhead_store::{Bars, BarsQuery, Key, Series, SqliteOptions, SqliteStore, Store as _, Write};
use futures::future::join_all;
use rusqlite::{Connection, params};

use crate::measure::{median, ratio, row};

/// Commits under way at once in the grouped figure.
const CONCURRENT: u64 = 64;

/// Bars of the read figure.
const BARS: i64 = 10_000;

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

pub async fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let store = SqliteStore::open(&folder.path().join("state.db"), options).unwrap();
    let connection = bare(&folder);
    let mut numbers = 0_u64..;
    let mut next = || numbers.next().unwrap();

    let floor = median(1_000, || {
        let id = format!("{:012}", next());
        connection
            .prepare_cached("INSERT INTO documents VALUES ('orders', ?1, 1, 0, ?2)")
            .unwrap()
            .execute(params![id, body()])
            .unwrap();
        async {}
    })
    .await;
    row("commit: a bare SQLite insert", floor, "");
    let one = median(1_000, || {
        let writes = create(next());
        async {
            store.commit(writes, 0).await.unwrap();
        }
    })
    .await;
    row(
        "commit: one document",
        one,
        &format!("{:.2} × the bare insert", ratio(one, floor)),
    );
    let many = median(100, || {
        let first = next() * CONCURRENT + (1 << 32);
        let commits = (first..first + CONCURRENT).map(|number| store.commit(create(number), 0));
        let all = join_all(commits);
        async {
            assert!(all.await.iter().all(Result::is_ok));
        }
    })
    .await
        / u32::try_from(CONCURRENT).unwrap();
    row(
        "commit: one of 64 documents committed at once",
        many,
        &format!("{:.2} × the bare insert", ratio(many, floor)),
    );
    reads(&store).await;
}

async fn reads(store: &SqliteStore) {
    let series = Series::new("BTC-USD", "1m").unwrap();
    let column = |from: i64| (from..from + BARS).collect::<Vec<i64>>();
    let bars = Bars {
        price_scale: 2,
        volume_scale: 8,
        open_time_ms: (0..BARS).map(|n| 1_640_995_200_000 + n * 60_000).collect(),
        open: column(4_631_950),
        high: column(4_641_950),
        low: column(4_621_950),
        close: column(4_632_950),
        volume: column(12_345_678_901),
    };
    store.append_bars(series.clone(), bars, 0).await.unwrap();
    let query = BarsQuery {
        series,
        start_ms: None,
        end_ms: None,
        limit: 1_000,
        last: true,
    };
    let read = median(1_000, || async {
        assert_eq!(store.read_bars(&query).await.unwrap().len(), 1_000);
    })
    .await;
    row("read: the last 1,000 of 10,000 bars", read, "");
}
