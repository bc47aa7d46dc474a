//! Keeps the drill's assessment where `ingest` looks for it, in the history of its topic.

use bulkhead_kernel::assessment::{Assessment, history};
use bulkhead_kernel::stage::{Document, Documents, Key, Query, StageError, Write, json_text};
use bulkhead_store as store;
use bulkhead_store::{Store, StoreError};

/// The end of the assessment's id in the history, where a run has its own.
const RUN_ID: &str = "drill";

/// Commits it.
///
/// # Errors
/// The store does not answer, or another drill was kept meanwhile.
pub async fn keep(
    store: &dyn Store,
    assessment: &Assessment,
    now_ms: i64,
) -> Result<(), StageError> {
    let documents = Stored { store, now_ms };
    let writes = history::writes(&documents, assessment, RUN_ID).await?;
    documents.commit(writes).await
}

/// The store, in a stage's words.
struct Stored<'a> {
    store: &'a dyn Store,
    now_ms: i64,
}

impl Documents for Stored<'_> {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        let document = self.store.get(&host_key(key)?).await.map_err(failed)?;
        Ok(document.map(stage_document))
    }

    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        let query = store::Query {
            prefix: query.prefix,
            start: query.start,
            limit: query.limit,
            ..store::Query::all(query.collection)
        };
        let page = self.store.list(&query).await.map_err(failed)?;
        Ok(page.documents.into_iter().map(stage_document).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        let writes: Vec<store::Write> = writes
            .into_iter()
            .map(host_write)
            .collect::<Result<_, StageError>>()?;
        self.store
            .commit(writes, self.now_ms)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

fn host_key(key: Key) -> Result<store::Key, StageError> {
    store::Key::new(key.collection, key.id).map_err(failed)
}

fn stage_document(document: store::Document) -> Document {
    Document {
        key: Key::new(document.key.collection, document.key.id),
        revision: document.revision,
        body: document.body,
    }
}

fn host_write(write: Write) -> Result<store::Write, StageError> {
    Ok(match write {
        Write::Create(key, body) => store::Write::Create {
            key: host_key(key)?,
            body: json_text(&body),
        },
        Write::Replace(key, expected_revision, body) => store::Write::Replace {
            key: host_key(key)?,
            expected_revision,
            body: json_text(&body),
        },
        Write::Upsert(key, body) => store::Write::Upsert {
            key: host_key(key)?,
            body: json_text(&body),
        },
        Write::Delete(key) => store::Write::Delete {
            key: host_key(key)?,
            expected_revision: None,
        },
    })
}

fn failed(error: StoreError) -> StageError {
    match error {
        StoreError::Conflict { .. } => StageError::Conflict(error.to_string()),
        other => StageError::Unavailable(other.to_string()),
    }
}
