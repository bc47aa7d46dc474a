use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Key;

/// The cause of a failure, shared by all the requests that it ended.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a call to the store gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another commit was first. Nothing of this commit was stored.
    #[error("document `{key}` was changed by another commit: {}", revision_now(.actual_revision))]
    Conflict {
        /// The document.
        key: Key,
        /// Its revision now. None: it does not exist.
        actual_revision: Option<u64>,
    },
    /// A key, a body, a query, a column or a record breaks a rule; the text says which, with the value and the bound.
    #[error("invalid {0}")]
    Invalid(String),
    /// The store could not do it now: the disk is full, the file is locked by another process, the store is closing.
    /// Nothing of the call was acknowledged.
    #[error("failed to {operation}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Cause,
    },
    /// What the file holds is not what the store wrote.
    #[error("the store is damaged: failed to {operation}: {detail}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// What was found.
        detail: String,
    },
    /// There is no store in that place, and none was to be made.
    #[error("there is no store `{}`", .path.display())]
    Missing {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The file cannot be opened, or its folder cannot be made.
    #[error("failed to open the store `{}`", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Cause,
    },
    /// The file is something else.
    #[error(
        "`{}` is not a Bulkhead store: {detail}\n\nhint: name another file, or move this one away and a new store is created",
        .path.display()
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// A newer Bulkhead wrote the file.
    #[error(
        "the store `{}` has schema version {found}, and this program knows versions up to {supported}\n\nhint: run the newer `bulkhead` that wrote it, or name another file",
        .path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The newest schema version that this program knows.
        supported: i64,
    },
}

fn revision_now(actual: &Option<u64>) -> String {
    match actual {
        Some(revision) => format!("its revision is {revision}"),
        None => "it does not exist".to_owned(),
    }
}
