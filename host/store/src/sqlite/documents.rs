//! Documents in SQL. See `wit/documents.wit` for the semantics.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::document::CountChanges;
use crate::{Document, Key, Order, Page, Query, StoreError, Write, range, sqlite::fault};

pub(super) fn get(connection: &Connection, key: &Key) -> Result<Option<Document>, StoreError> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT id, revision, updated_at_ms, body FROM documents WHERE collection = ?1 AND id = ?2",
            )?
            .query_row(params![key.collection, key.id], |row| {
                document(&key.collection, row)
            })
            .optional()
    };
    read().map_err(fault("read a document"))
}

pub(super) fn list(connection: &Connection, query: &Query) -> Result<Page, StoreError> {
    let ids = range::of(query)?;
    if ids.is_empty() {
        return Ok(Page::default());
    }
    let statement = match query.order {
        Order::Ascending => {
            "SELECT id, revision, updated_at_ms, body FROM documents
             WHERE collection = ?1 AND id >= ?2 AND id < ?3 ORDER BY id ASC LIMIT ?4"
        }
        Order::Descending => {
            "SELECT id, revision, updated_at_ms, body FROM documents
             WHERE collection = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
        }
    };
    // A blob sorts after every text: no upper bound.
    let upper = ids.upper.map_or(Value::Blob(Vec::new()), Value::Text);
    let read = || {
        let mut statement = connection.prepare_cached(statement)?;
        // One more than asked for tells whether there is another page.
        let rows = statement.query_map(
            params![query.collection, ids.lower, upper, query.limit + 1],
            |row| document(&query.collection, row),
        )?;
        range::page(query, rows)
    };
    read().map_err(fault("list documents"))
}

fn document(collection: &str, row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        key: Key {
            collection: collection.to_owned(),
            id: row.get(0)?,
        },
        revision: row.get::<_, i64>(1)?.cast_unsigned(),
        updated_at_ms: row.get(2)?,
        body: row.get(3)?,
    })
}

pub(super) fn count(connection: &Connection, collection: &str) -> Result<u64, StoreError> {
    let read = || {
        connection
            .prepare_cached("SELECT documents FROM collections WHERE name = ?1")?
            .query_row([collection], |row| row.get::<_, i64>(0))
            .optional()
    };
    let documents = read().map_err(fault("count documents"))?;
    Ok(documents.unwrap_or(0).cast_unsigned())
}

/// Carries out the writes in order. On an error the caller rolls back what was done.
pub(super) fn commit(
    connection: &Connection,
    writes: &[Write],
    now_ms: i64,
) -> Result<Vec<u64>, StoreError> {
    let mut changes = CountChanges::new();
    let mut revisions = Vec::with_capacity(writes.len());
    for write in writes {
        let written = match write {
            Write::Create { key, body } => create(connection, key, body, now_ms),
            Write::Replace {
                key,
                expected_revision,
                body,
            } => replace(connection, key, *expected_revision, body, now_ms),
            Write::Upsert { key, body } => upsert(connection, key, body, now_ms),
            Write::Delete {
                key,
                expected_revision,
            } => delete(connection, key, *expected_revision),
        };
        let Some(Written { revision, added }) = written.map_err(fault("write a document"))? else {
            let key = write.key().clone();
            let actual_revision = get(connection, &key)?.map(|document| document.revision);
            return Err(StoreError::Conflict {
                key,
                actual_revision,
            });
        };
        if added != 0 {
            *changes.entry(write.key().collection.clone()).or_default() += added;
        }
        revisions.push(revision);
    }
    for (collection, added) in changes {
        count_changed(connection, &collection, added).map_err(fault("count documents"))?;
    }
    Ok(revisions)
}

/// What one write did.
struct Written {
    /// The document's revision now; 0: it is gone.
    revision: u64,
    /// Documents that there are more: 1, 0 or -1.
    added: i64,
}

/// A write's effect. None: it lost a race.
type Effect = rusqlite::Result<Option<Written>>;

fn create(connection: &Connection, key: &Key, body: &str, now_ms: i64) -> Effect {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO documents (collection, id, revision, updated_at_ms, body) VALUES (?1, ?2, 1, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![key.collection, key.id, now_ms, body])?;
    Ok((inserted == 1).then_some(Written {
        revision: 1,
        added: 1,
    }))
}

fn upsert(connection: &Connection, key: &Key, body: &str, now_ms: i64) -> Effect {
    let revision: i64 = connection
        .prepare_cached(
            "INSERT INTO documents (collection, id, revision, updated_at_ms, body) VALUES (?1, ?2, 1, ?3, ?4)
             ON CONFLICT DO UPDATE SET
                 revision = revision + 1, updated_at_ms = excluded.updated_at_ms, body = excluded.body
             RETURNING revision",
        )?
        .query_row(params![key.collection, key.id, now_ms, body], |row| {
            row.get(0)
        })?;
    Ok(Some(Written {
        revision: revision.cast_unsigned(),
        added: i64::from(revision == 1),
    }))
}

fn replace(
    connection: &Connection,
    key: &Key,
    expected_revision: u64,
    body: &str,
    now_ms: i64,
) -> Effect {
    let updated = connection
        .prepare_cached(
            "UPDATE documents SET revision = revision + 1, updated_at_ms = ?4, body = ?5
             WHERE collection = ?1 AND id = ?2 AND revision = ?3",
        )?
        .execute(params![
            key.collection,
            key.id,
            stored_revision(expected_revision),
            now_ms,
            body
        ])?;
    Ok((updated == 1).then(|| Written {
        revision: expected_revision + 1,
        added: 0,
    }))
}

fn delete(connection: &Connection, key: &Key, expected_revision: Option<u64>) -> Effect {
    let removed = connection
        .prepare_cached(
            "DELETE FROM documents WHERE collection = ?1 AND id = ?2 AND (?3 IS NULL OR revision = ?3)",
        )?
        .execute(params![
            key.collection,
            key.id,
            expected_revision.map(stored_revision)
        ])?;
    let written = Written {
        revision: 0,
        added: if removed == 1 { -1 } else { 0 },
    };
    Ok((removed == 1 || expected_revision.is_none()).then_some(written))
}

/// A revision as the column holds it. What no column can hold equals none that is stored.
fn stored_revision(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(-1)
}

fn count_changed(connection: &Connection, collection: &str, added: i64) -> rusqlite::Result<()> {
    let updated = connection
        .prepare_cached("UPDATE collections SET documents = documents + ?2 WHERE name = ?1")?
        .execute(params![collection, added])?;
    if updated == 0 {
        connection
            .prepare_cached("INSERT INTO collections (name, documents) VALUES (?1, ?2)")?
            .execute(params![collection, added])?;
    }
    Ok(())
}
