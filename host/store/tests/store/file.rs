use std::fs;
use std::path::Path;
use std::time::Duration;

use bulkhead_store::{Key, RunFilter, SqliteOptions, SqliteStore, Store, StoreError};
use futures::executor::block_on;
use rusqlite::Connection;

use crate::stores::{RUNS_KEPT, commit, create, delete, key, open, order, run, upsert};

fn open_at(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default())
}

fn kill_switch() -> Key {
    key("ops", "execution_kill_switch")
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    commit(&store, vec![create("a", "1"), upsert("a", "2")]).unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(order(&store, "a"), Some((2, "2".to_owned())));
}

#[test]
fn a_closed_store_is_a_single_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    commit(&store, vec![create("a", "1")]).unwrap();
    drop(store);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["state.db"]);
}

#[test]
fn the_kill_switch_is_put_only_into_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = SqliteOptions {
        now_ms: 1234,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options).unwrap();
    let switch = block_on(store.get(&kill_switch())).unwrap().unwrap();
    assert_eq!(switch.updated_at_ms, 1234);
    let removal = bulkhead_store::Write::Delete {
        key: kill_switch(),
        expected_revision: None,
    };
    commit(&store, vec![removal]).unwrap();
    drop(store);
    let store = open_at(&path).unwrap();
    assert_eq!(block_on(store.get(&kill_switch())).unwrap(), None);
}

#[cfg(unix)]
#[test]
fn a_new_file_and_its_folder_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("var").join("bulkhead");
    let path = state.join("state.db");
    let store = open_at(&path).unwrap();
    commit(&store, vec![create("a", "1")]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&state.join("state.db-wal")), 0o600);
    assert_eq!(mode(&state.join("state.db-shm")), 0o600);
}

#[test]
fn a_file_that_is_no_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = open_at(&path).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains("notes.txt"), "{shown}");
    assert!(shown.contains("hint: "), "{shown}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_database_of_another_application_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = open_at(&path).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_a_newer_schema_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(open_at(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let shown = open_at(&path).unwrap_err().to_string();
    assert!(shown.contains("version 99"), "{shown}");
    assert!(shown.contains("up to 3"), "{shown}");
    assert!(shown.contains("state.db"), "{shown}");
}

#[test]
fn opening_an_existing_store_makes_none_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let existing = |path: &Path| SqliteStore::open_existing(path, SqliteOptions::default());
    let nowhere = folder.path().join("nowhere").join("state.db");
    let error = existing(&nowhere).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    let name = nowhere.to_string_lossy().into_owned();
    assert!(error.to_string().contains(&name), "{error}");
    assert!(!nowhere.parent().unwrap().exists());

    // What a crash leaves between the making of the file and that of its tables.
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    let error = existing(&empty).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    assert_eq!(fs::read(&empty).unwrap(), b"");

    let made = folder.path().join("state.db");
    commit(&open_at(&made).unwrap(), vec![create("a", "1")]).unwrap();
    let store = existing(&made).unwrap();
    assert_eq!(order(&store, "a"), Some((1, "1".to_owned())));
}

#[test]
fn a_file_of_the_first_schema_keeps_its_last_firings_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let path = store.path().to_owned();
    let runs = vec![
        run("old", "canary", "success", 1),
        run("last", "canary", "success", 2),
    ];
    block_on(store.record_runs(runs)).unwrap();
    drop(store);
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE firings; PRAGMA user_version = 1")
        .unwrap();
    let store = open(&folder);
    let others = (0..RUNS_KEPT).map(|n| run("x", "ingest", "success", 100 + n as i64));
    block_on(store.record_runs(others.collect())).unwrap();
    let filter = RunFilter {
        component: Some("canary".to_owned()),
        ..RunFilter::default()
    };
    let kept = block_on(store.runs(&filter)).unwrap();
    let ids: Vec<&str> = kept.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids, ["last"]);
}

#[test]
fn a_folder_in_the_files_place_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_at(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    let name = folder.path().to_string_lossy().into_owned();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn a_file_locked_by_another_process_is_unavailable_and_then_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = SqliteOptions {
        busy_timeout: Duration::ZERO,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = commit(&store, vec![create("a", "1")]).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(order(&store, "a"), None);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(commit(&store, vec![create("a", "1")]).unwrap(), [1]);
}

#[test]
fn two_stores_on_one_file_see_each_others_commits() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder), open(&folder));
    commit(&one, vec![create("a", "1")]).unwrap();
    assert_eq!(order(&two, "a"), Some((1, "1".to_owned())));
    commit(&two, vec![delete("a", Some(1))]).unwrap();
    assert_eq!(order(&one, "a"), None);
}

#[test]
fn a_row_that_no_commit_wrote_is_reported_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    commit(&store, vec![create("a", "1")]).unwrap();
    Connection::open(store.path())
        .unwrap()
        .execute_batch("UPDATE documents SET body = CAST(x'ff' AS TEXT) WHERE id = 'a'")
        .unwrap();
    let error = block_on(store.get(&key("orders", "a"))).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}
