//! The stores under test, and words for what is put into them.

use std::sync::Arc;

use bulkhead_store::{
    Bars, Key, MemoryStore, Page, Query, RunRecord, Series, SqliteOptions, SqliteStore, Store,
    StoreError, Write,
};
use futures::executor::block_on;
use tempfile::TempDir;

/// Runs each function of a suite against both stores, as `memory::name` and `sqlite::name`.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&crate::stores::memory()); })*
        }
        mod sqlite {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&crate::stores::sqlite(&folder));
            })*
        }
    };
}
pub(crate) use on_both_stores;

pub type Shared = Arc<dyn Store>;

/// Runs that both stores keep.
pub const RUNS_KEPT: u64 = 20;

pub fn memory() -> Shared {
    Arc::new(MemoryStore::new(0).keeping_runs(RUNS_KEPT))
}

pub fn sqlite(folder: &TempDir) -> Shared {
    Arc::new(open(folder))
}

pub fn open(folder: &TempDir) -> SqliteStore {
    let options = SqliteOptions {
        runs_kept: RUNS_KEPT,
        ..SqliteOptions::default()
    };
    SqliteStore::open(&folder.path().join("state.db"), options).unwrap()
}

pub fn key(collection: &str, id: &str) -> Key {
    Key::new(collection, id).unwrap()
}

pub fn create(id: &str, body: &str) -> Write {
    Write::Create {
        key: key("orders", id),
        body: body.to_owned(),
    }
}

pub fn upsert(id: &str, body: &str) -> Write {
    Write::Upsert {
        key: key("orders", id),
        body: body.to_owned(),
    }
}

pub fn replace(id: &str, expected_revision: u64, body: &str) -> Write {
    Write::Replace {
        key: key("orders", id),
        expected_revision,
        body: body.to_owned(),
    }
}

pub fn delete(id: &str, expected_revision: Option<u64>) -> Write {
    Write::Delete {
        key: key("orders", id),
        expected_revision,
    }
}

pub fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<Vec<u64>, StoreError> {
    block_on(store.commit(writes, 1_700_000_000_000))
}

/// Revision and body of an order.
pub fn order(store: &dyn Store, id: &str) -> Option<(u64, String)> {
    let key = key("orders", id);
    let document = block_on(store.get(&key)).unwrap()?;
    assert_eq!(document.key, key);
    Some((document.revision, document.body))
}

pub fn ids(page: &Page) -> Vec<&str> {
    page.documents
        .iter()
        .map(|document| document.key.id.as_str())
        .collect()
}

/// All ids of a query, page by page.
pub fn all_ids(store: &dyn Store, mut query: Query) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = block_on(store.list(&query)).unwrap();
        assert!(page.documents.len() <= query.limit as usize);
        assert!(!page.documents.is_empty() || page.cursor.is_none());
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return found,
        }
    }
}

pub fn series() -> Series {
    Series::new("BTC-USD", "1m").unwrap()
}

/// Bars that open at the given minutes, with all prices and the volume `value`.
pub fn bars(scale: u8, minutes: &[i64], value: i64) -> Bars {
    let column = vec![value; minutes.len()];
    Bars {
        price_scale: scale,
        volume_scale: scale,
        open_time_ms: minutes.iter().map(|minute| minute * 60_000).collect(),
        open: column.clone(),
        high: column.clone(),
        low: column.clone(),
        close: column.clone(),
        volume: column,
    }
}

pub fn run(run_id: &str, component: &str, status: &str, started_at_ms: i64) -> RunRecord {
    RunRecord {
        run_id: run_id.to_owned(),
        component: component.to_owned(),
        stage: "ingest".to_owned(),
        trigger: "cron".to_owned(),
        scheduled_at_ms: started_at_ms - 1,
        started_at_ms,
        finished_at_ms: started_at_ms + 5,
        attempt: 1,
        status: status.to_owned(),
        reason: (status != "success").then(|| "unavailable".to_owned()),
        detail: None,
        host_calls: 7,
        denials: 0,
    }
}

pub fn assert_conflict(
    result: Result<Vec<u64>, StoreError>,
    id: &str,
    expect_revision: Option<u64>,
) {
    match result {
        Err(StoreError::Conflict {
            key,
            actual_revision,
        }) => {
            assert_eq!(key.id, id);
            assert_eq!(actual_revision, expect_revision);
        }
        other => panic!("no conflict: {other:?}"),
    }
}

#[track_caller]
pub fn assert_invalid<T: std::fmt::Debug>(result: Result<T, StoreError>, names: &str) {
    match result {
        Err(StoreError::Invalid(detail)) => assert!(detail.contains(names), "{detail}"),
        other => panic!("not refused as invalid: {other:?}"),
    }
}
