//! What this store must do beside the suite: share its file, and be told the kill switch by a person.

use spin_store::{Database, Key, StoreError, Write, documents, prepare};

use crate::spin::Native;

const DOCUMENTS: &str = include_str!("../../sql/documents.sql");
const SWITCH_OFF: &str = include_str!("../../sql/kill-switch-off.sql");
const SWITCH_ON: &str = include_str!("../../sql/kill-switch-on.sql");

fn switch() -> Key {
    Key::new("ops", "execution_kill_switch").unwrap()
}

fn upsert(id: &str) -> Write {
    Write::Upsert {
        key: Key::new("orders", id).unwrap(),
        body: "1".to_owned(),
    }
}

#[test]
fn a_new_store_holds_no_kill_switch_so_that_it_counts_as_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = Native::open(&folder.path().join("spin.db"));
    prepare(&database).unwrap();
    assert_eq!(documents::get(&database, &switch()).unwrap(), None);
}

#[test]
fn a_person_turns_the_kill_switch_off_and_on_with_a_statement() {
    let folder = tempfile::tempdir().unwrap();
    let database = Native::open(&folder.path().join("spin.db"));
    for (statement, enabled, revision) in [
        (SWITCH_OFF, false, 1),
        (SWITCH_ON, true, 2),
        (SWITCH_OFF, false, 3),
    ] {
        // As `spin up --sqlite @documents.sql --sqlite @kill-switch-….sql` does, before any component ran.
        database.execute(DOCUMENTS, &[]).unwrap();
        database.execute(statement, &[]).unwrap();
        prepare(&database).unwrap();
        let document = documents::get(&database, &switch()).unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_str(&document.body).unwrap();
        assert_eq!(body["enabled"], enabled);
        assert_eq!(document.revision, revision);
    }
}

#[test]
fn a_change_while_another_connection_writes_is_unavailable_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spin.db");
    let (ours, theirs) = (Native::open(&path), Native::open(&path));
    prepare(&ours).unwrap();
    ours.execute("PRAGMA busy_timeout = 0", &[]).unwrap();
    theirs.execute("BEGIN IMMEDIATE", &[]).unwrap();
    let refused = documents::commit(&ours, &[upsert("a")], 0);
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    theirs.execute("ROLLBACK", &[]).unwrap();
    assert_eq!(documents::commit(&ours, &[upsert("a")], 0).unwrap(), [1]);
}

#[test]
fn a_column_of_another_type_is_reported_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let database = Native::open(&folder.path().join("spin.db"));
    database
        .execute(
            "CREATE TABLE documents (collection, id, revision, updated_at_ms, body)",
            &[],
        )
        .unwrap();
    database
        .execute(
            "INSERT INTO documents VALUES ('orders', 'a', 'one', 0, '1')",
            &[],
        )
        .unwrap();
    let damaged = documents::get(&database, &Key::new("orders", "a").unwrap());
    assert!(
        matches!(damaged, Err(StoreError::Corrupt { .. })),
        "{damaged:?}"
    );
}
