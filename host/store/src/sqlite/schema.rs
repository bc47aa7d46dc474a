//! The tables, and how an older file becomes a newer one.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::store::{KILL_SWITCH_BODY, KILL_SWITCH_COLLECTION, KILL_SWITCH_ID};
use crate::{StoreError, sqlite::open_failed};

/// Marks the file as ours (`PRAGMA application_id`): `BLKH` in ASCII.
const APPLICATION_ID: i64 = 0x424c_4b48;

/// Migration `n` takes a file from schema version `n` to `n + 1` (`PRAGMA user_version`). A released one never
/// changes.
///
/// - `documents` keeps its rows in the index of their keys. `collections` counts them, since counting rows would read
///   every body.
/// - `bars` keeps its rows in the order of a range scan. A value is an integer under its series' scale.
/// - `runs.seq` grows with each record: the smallest is the oldest.
/// - `firings` names the run of each component's last firing, which stays when older runs are forgotten.
const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE collections (
        name TEXT PRIMARY KEY,
        documents INTEGER NOT NULL CHECK (documents >= 0)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE documents (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision >= 1),
        updated_at_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (collection, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE series (
        series_id INTEGER PRIMARY KEY,
        instrument TEXT NOT NULL,
        timeframe TEXT NOT NULL,
        price_scale INTEGER NOT NULL CHECK (price_scale BETWEEN 0 AND 12),
        volume_scale INTEGER NOT NULL CHECK (volume_scale BETWEEN 0 AND 12),
        bars INTEGER NOT NULL CHECK (bars >= 0),
        updated_at_ms INTEGER NOT NULL,
        UNIQUE (instrument, timeframe)
    ) STRICT;

    CREATE TABLE bars (
        series_id INTEGER NOT NULL REFERENCES series (series_id),
        open_time_ms INTEGER NOT NULL,
        open INTEGER NOT NULL,
        high INTEGER NOT NULL,
        low INTEGER NOT NULL,
        close INTEGER NOT NULL,
        volume INTEGER NOT NULL,
        PRIMARY KEY (series_id, open_time_ms)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE runs (
        seq INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL,
        component TEXT NOT NULL,
        stage TEXT NOT NULL,
        trigger_kind TEXT NOT NULL,
        scheduled_at_ms INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        finished_at_ms INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        host_calls INTEGER NOT NULL,
        denials INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_start ON runs (started_at_ms);
    CREATE INDEX runs_by_component ON runs (component, started_at_ms);
    CREATE INDEX runs_by_status ON runs (status, started_at_ms);
",
    "
    CREATE TABLE firings (
        component TEXT PRIMARY KEY,
        scheduled_at_ms INTEGER NOT NULL,
        seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    INSERT INTO firings (component, scheduled_at_ms, seq)
        SELECT component, max(scheduled_at_ms), seq FROM runs WHERE trigger_kind = 'cron' GROUP BY component;
",
    // Each run paid for them twice, when it was entered and when it was forgotten; a listing that asks for one component
    // or one status reads at most the bounded journal.
    "
    DROP INDEX IF EXISTS runs_by_component;
    DROP INDEX IF EXISTS runs_by_status;
",
];

/// The newest schema version that this program knows.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Empty,
    /// A store of a schema that this program knows.
    Store,
}

/// Makes sure that the file is ours, or empty, before anything in it is touched.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Content, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let not_a_store = |detail: &str| StoreError::NotAStore {
        path: path.to_owned(),
        detail: detail.to_owned(),
    };
    let (application_id, version, tables) = match read() {
        Ok(found) => found,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(not_a_store("it is not an SQLite database"));
        }
        Err(error) => return Err(open_failed(path, error)),
    };
    let empty = application_id == 0 && version == 0 && tables == 0;
    if !empty && application_id != APPLICATION_ID {
        return Err(not_a_store(
            "it is an SQLite database of another application",
        ));
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found: version,
            supported: SCHEMA_VERSION,
        });
    }
    Ok(if empty {
        Content::Empty
    } else {
        Content::Store
    })
}

/// Brings the file to [`SCHEMA_VERSION`], in one transaction. A file that was empty gets the kill switch, in its off
/// position, as of `now_ms`.
pub(super) fn migrate(connection: &mut Connection, now_ms: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read under the lock: another process may have migrated the file since it was identified.
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    if done == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute(
            "INSERT INTO collections (name, documents) VALUES (?1, 1)",
            params![KILL_SWITCH_COLLECTION],
        )?;
        transaction.execute(
            "INSERT INTO documents (collection, id, revision, updated_at_ms, body) VALUES (?1, ?2, 1, ?3, ?4)",
            params![KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, now_ms, KILL_SWITCH_BODY],
        )?;
    }
    if done < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()
}
