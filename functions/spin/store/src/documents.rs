//! Documents in SQL. See `wit/documents.wit` for the semantics.
//!
//! # Errors
//! Each call answers [`StoreError::Invalid`] when an argument breaks a rule (then nothing was looked at),
//! [`StoreError::Unavailable`] when the database could not do it, and [`StoreError::Corrupt`] when what is stored is
//! damaged. [`commit`] adds [`StoreError::Conflict`].

use crate::document::{MAX_PAGE_BYTES, validate_writes};
use crate::sql::{Columns, Database, Row, Value, run, transaction};
use crate::{Document, Key, Order, Page, Query, StoreError, Write, range};

const GET: &str = "read a document";
const LIST: &str = "list documents";
const COMMIT: &str = "commit a change";

/// Reads one document. None: it does not exist.
///
/// # Errors
/// See the module.
pub fn get(database: &impl Database, key: &Key) -> Result<Option<Document>, StoreError> {
    key.validate()?;
    let rows = run(
        database,
        GET,
        "SELECT id, revision, updated_at_ms, body FROM documents WHERE collection = ?1 AND id = ?2",
        &[key.collection.as_str().into(), key.id.as_str().into()],
    )?;
    rows.first()
        .map(|row| document(GET, &key.collection, row))
        .transpose()
}

/// Lists documents of one collection, in the query's order, up to its limit and to 4 MiB of bodies.
///
/// # Errors
/// See the module.
pub fn list(database: &impl Database, query: &Query) -> Result<Page, StoreError> {
    let ids = range::of(query)?;
    if ids.is_empty() {
        return Ok(Page::default());
    }
    // The answer comes whole, so the database cuts it: after the first document that a page has no room for.
    let statement = match query.order {
        Order::Ascending => {
            "SELECT id, revision, updated_at_ms, body FROM (
                 SELECT *, sum(length(CAST(body AS BLOB))) OVER (ORDER BY id ASC)
                     - length(CAST(body AS BLOB)) AS bytes_before
                 FROM (SELECT id, revision, updated_at_ms, body FROM documents
                       WHERE collection = ?1 AND id >= ?2 AND id < ?3 ORDER BY id ASC LIMIT ?4))
             WHERE bytes_before <= ?5 ORDER BY id ASC"
        }
        Order::Descending => {
            "SELECT id, revision, updated_at_ms, body FROM (
                 SELECT *, sum(length(CAST(body AS BLOB))) OVER (ORDER BY id DESC)
                     - length(CAST(body AS BLOB)) AS bytes_before
                 FROM (SELECT id, revision, updated_at_ms, body FROM documents
                       WHERE collection = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4))
             WHERE bytes_before <= ?5 ORDER BY id DESC"
        }
    };
    // A blob sorts after every text: no upper bound.
    let upper = ids.upper.map_or(Value::Blob(Vec::new()), Value::Text);
    let rows = run(
        database,
        LIST,
        statement,
        &[
            query.collection.as_str().into(),
            Value::Text(ids.lower),
            upper,
            // One more than asked for tells whether there is another page.
            (i64::from(query.limit) + 1).into(),
            i64::try_from(MAX_PAGE_BYTES).unwrap_or(i64::MAX).into(),
        ],
    )?;
    range::page(
        query,
        rows.iter()
            .map(|row| document(LIST, &query.collection, row)),
    )
}

/// Carries out all the writes, in order, or none of them. `now_ms` (Unix milliseconds) becomes the documents'
/// `updated_at_ms`. The answer holds the new revision of each write's document, in order (0 for a removal).
///
/// # Errors
/// See the module.
pub fn commit(
    database: &impl Database,
    writes: &[Write],
    now_ms: i64,
) -> Result<Vec<u64>, StoreError> {
    validate_writes(writes)?;
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    transaction(database, COMMIT, |database| {
        writes
            .iter()
            .map(|write| match carry_out(database, write, now_ms)? {
                Some(revision) => Ok(revision),
                None => Err(StoreError::Conflict {
                    key: write.key().clone(),
                    actual_revision: get(database, write.key())?.map(|document| document.revision),
                }),
            })
            .collect()
    })
}

/// The document's new revision; 0: it is gone. None: the write lost a race.
fn carry_out(
    database: &impl Database,
    write: &Write,
    now_ms: i64,
) -> Result<Option<u64>, StoreError> {
    let key = write.key();
    let (collection, id) = (key.collection.as_str().into(), key.id.as_str().into());
    let body = write.body().unwrap_or_default().into();
    let rows = match write {
        Write::Create { .. } => run(
            database,
            COMMIT,
            "INSERT INTO documents (collection, id, revision, updated_at_ms, body) VALUES (?1, ?2, 1, ?3, ?4)
             ON CONFLICT DO NOTHING RETURNING revision",
            &[collection, id, now_ms.into(), body],
        ),
        Write::Upsert { .. } => run(
            database,
            COMMIT,
            "INSERT INTO documents (collection, id, revision, updated_at_ms, body) VALUES (?1, ?2, 1, ?3, ?4)
             ON CONFLICT DO UPDATE SET
                 revision = revision + 1, updated_at_ms = excluded.updated_at_ms, body = excluded.body
             RETURNING revision",
            &[collection, id, now_ms.into(), body],
        ),
        Write::Replace {
            expected_revision, ..
        } => run(
            database,
            COMMIT,
            "UPDATE documents SET revision = revision + 1, updated_at_ms = ?4, body = ?5
             WHERE collection = ?1 AND id = ?2 AND revision = ?3 RETURNING revision",
            &[
                collection,
                id,
                stored_revision(*expected_revision),
                now_ms.into(),
                body,
            ],
        ),
        Write::Delete {
            expected_revision, ..
        } => run(
            database,
            COMMIT,
            "DELETE FROM documents WHERE collection = ?1 AND id = ?2 AND (?3 IS NULL OR revision = ?3)
             RETURNING 0",
            &[
                collection,
                id,
                expected_revision.map_or(Value::Null, stored_revision),
            ],
        ),
    }?;
    let is_gone_already = matches!(
        write,
        Write::Delete {
            expected_revision: None,
            ..
        }
    );
    match rows.first() {
        Some(row) => {
            let revision = Columns::of(COMMIT, row).integer()?;
            Ok(Some(revision.cast_unsigned()))
        }
        None => Ok(is_gone_already.then_some(0)),
    }
}

/// A revision as the column holds it. What no column can hold equals none that is stored.
fn stored_revision(revision: u64) -> Value {
    Value::Integer(i64::try_from(revision).unwrap_or(-1))
}

fn document(operation: &'static str, collection: &str, row: &Row) -> Result<Document, StoreError> {
    let mut columns = Columns::of(operation, row);
    Ok(Document {
        key: Key {
            collection: collection.to_owned(),
            id: columns.text()?,
        },
        revision: columns.integer()?.cast_unsigned(),
        updated_at_ms: columns.integer()?,
        body: columns.text()?,
    })
}
