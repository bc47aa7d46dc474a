//! The store in one SQLite file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt as _;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::mpsc;

use crate::bars::validate_delete_limit;
use crate::document::{validate_collection, validate_writes};
use crate::store::{Answer, Store, inline};
use crate::{
    AppendSummary, Bars, BarsQuery, Document, Key, MAX_RUNS_KEPT, Page, Query, RunFilter,
    RunRecord, Series, SeriesSummary, StoreError, Write, runs,
};

mod bars;
mod documents;
mod file;
mod journal;
mod readers;
mod schema;
mod writer;

use readers::Readers;
use schema::Content;
use writer::{Change, Pending};

/// Connections that read, at once.
const READERS: usize = 4;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS_KEPT: usize = 64;
/// The write-ahead log is cut back to so many bytes when a checkpoint has emptied it.
const MAX_IDLE_LOG_BYTES: i64 = 16 * 1024 * 1024;

/// How a file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Now, in Unix milliseconds: the `updated_at_ms` of what a new file holds.
    pub now_ms: i64,
    /// How long a change waits for another process that writes the same file.
    pub busy_timeout: Duration,
    /// Runs that the journal keeps.
    pub runs_kept: u64,
}

impl Default for SqliteOptions {
    /// The Unix epoch, five seconds, [`MAX_RUNS_KEPT`].
    fn default() -> Self {
        Self {
            now_ms: 0,
            busy_timeout: Duration::from_secs(5),
            runs_kept: MAX_RUNS_KEPT,
        }
    }
}

/// A store in one SQLite file, with a write-ahead log that is flushed on each commit.
///
/// Several processes may open the same file. Dropping the store carries out what is queued, and waits for it.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    queue: Option<mpsc::Sender<Box<dyn Change>>>,
    writer: Option<JoinHandle<()>>,
    runs_kept: u64,
}

impl SqliteStore {
    /// Opens the file. Where it does not exist, makes it, readable by its owner only, and the folders above it.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] and [`StoreError::NewerSchema`] for a file that must not be touched,
    /// [`StoreError::Open`] for anything else.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = absolute(path)?;
        file::make_sure_of(&path).map_err(|error| open_failed(&path, error))?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, &options)?;
        schema::identify(&connection, &path)?;
        Self::start(path, connection, &options)
    }

    /// Opens the file of a store that is there, and makes none.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no file, or one without any content; else those of [`Self::open`].
    pub fn open_existing(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = absolute(path)?;
        let missing = || StoreError::Missing { path: path.clone() };
        if !path
            .try_exists()
            .map_err(|error| open_failed(&path, error))?
        {
            return Err(missing());
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, &options)?;
        if schema::identify(&connection, &path)? == Content::Empty {
            return Err(missing());
        }
        Self::start(path, connection, &options)
    }

    fn start(
        path: PathBuf,
        mut connection: Connection,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        configure(&connection)
            .and_then(|()| schema::migrate(&mut connection, options.now_ms))
            .map_err(|error| open_failed(&path, error))?;
        let readers = (0..READERS)
            .map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, options))
            .collect::<Result<_, _>>()?;
        let (queue, changes) = mpsc::channel(writer::MAX_QUEUED);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::serve(connection, changes))
            .map_err(|error| open_failed(&path, error))?;
        Ok(Self {
            path,
            readers: Readers::new(readers),
            queue: Some(queue),
            writer: Some(writer),
            runs_kept: options.runs_kept,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Queues a change, and waits until it is durable.
    fn change<'a, T: Send + 'static>(
        &'a self,
        valid: Result<(), StoreError>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'a, T> {
        async move {
            valid?;
            let (change, answer) = Pending::queued(work);
            let queue = self.queue.as_ref().ok_or_else(writer::unanswered)?;
            queue.send(change).await.map_err(|_| writer::unanswered())?;
            answer.await.map_err(|_| writer::unanswered())?
        }
        .boxed()
    }

    /// Reads on the caller's thread.
    fn read<'a, T: 'a>(
        &'a self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'a,
    ) -> Answer<'a, T> {
        inline(move || self.readers.with(read))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The last connection to close removes the log, which one that only reads cannot do.
        self.readers.close();
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(path = %self.path.display(), "the store's writer panicked");
        }
    }
}

/// SQLite gives `:memory:` and an empty path a meaning of their own; an absolute path has none.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| open_failed(path, error))
}

fn connect(
    path: &Path,
    access: OpenFlags,
    options: &SqliteOptions,
) -> Result<Connection, StoreError> {
    // Each connection is used by one thread at a time.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| open_failed(path, error))?;
    connection
        .busy_timeout(options.busy_timeout)
        .map_err(|error| open_failed(path, error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// Settings of the connection that writes. FULL: the log is flushed before a commit returns.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
        let mode: String = row.get(0)?;
        if mode.eq_ignore_ascii_case("wal") {
            Ok(())
        } else {
            Err(rusqlite::Error::InvalidParameterName(format!(
                "journal_mode is {mode:?}, not \"wal\""
            )))
        }
    })?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", MAX_IDLE_LOG_BYTES, |_| Ok(()))
}

fn open_failed(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Open {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// What a failure of SQLite means to the caller.
fn fault(operation: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    move |error| {
        let damaged = match &error {
            IntegralValueOutOfRange(..)
            | FromSqlConversionFailure(..)
            | InvalidColumnType(..)
            | Utf8Error(..) => true,
            _ => matches!(
                error.sqlite_error_code(),
                // A constraint holds in whatever the store wrote.
                Some(
                    ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::ConstraintViolation
                )
            ),
        };
        if damaged {
            StoreError::Corrupt {
                operation,
                detail: error.to_string(),
            }
        } else {
            StoreError::Unavailable {
                operation,
                source: Arc::new(error),
            }
        }
    }
}

impl Store for SqliteStore {
    fn get<'a>(&'a self, key: &'a Key) -> Answer<'a, Option<Document>> {
        self.read(move |connection| {
            key.validate()?;
            documents::get(connection, key)
        })
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        self.read(move |connection| documents::list(connection, query))
    }

    fn count<'a>(&'a self, collection: &'a str) -> Answer<'a, u64> {
        self.read(move |connection| {
            validate_collection(collection)?;
            documents::count(connection, collection)
        })
    }

    fn commit(&self, writes: Vec<Write>, now_ms: i64) -> Answer<'_, Vec<u64>> {
        self.change(validate_writes(&writes), move |connection| {
            documents::commit(connection, &writes, now_ms)
        })
    }

    fn append_bars(&self, series: Series, bars: Bars, now_ms: i64) -> Answer<'_, AppendSummary> {
        let valid = series.validate().and_then(|()| bars.validate());
        self.change(valid, move |connection| {
            bars::append(connection, &series, &bars, now_ms)
        })
    }

    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> Answer<'a, Bars> {
        self.read(move |connection| {
            query.validate()?;
            bars::read(connection, query)
        })
    }

    fn latest<'a>(&'a self, series: &'a Series) -> Answer<'a, Option<i64>> {
        self.read(move |connection| {
            series.validate()?;
            bars::latest(connection, series)
        })
    }

    fn delete_bars_before(
        &self,
        series: Series,
        before_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> Answer<'_, u32> {
        let valid = series
            .validate()
            .and_then(|()| validate_delete_limit(limit));
        self.change(valid, move |connection| {
            bars::delete_before(connection, &series, before_ms, limit, now_ms)
        })
    }

    fn count_bars_before<'a>(&'a self, series: &'a Series, before_ms: i64) -> Answer<'a, u64> {
        self.read(move |connection| {
            series.validate()?;
            bars::count_before(connection, series, before_ms)
        })
    }

    fn series(&self) -> Answer<'_, Vec<SeriesSummary>> {
        self.read(|connection| bars::summaries(connection))
    }

    fn record_runs(&self, records: Vec<RunRecord>) -> Answer<'_, ()> {
        let kept = self.runs_kept;
        match runs::prepare(records) {
            Ok(records) => self.change(Ok(()), move |connection| {
                journal::record(connection, &records, kept)
            }),
            Err(error) => inline(move || Err(error)),
        }
    }

    fn runs<'a>(&'a self, filter: &'a RunFilter) -> Answer<'a, Vec<RunRecord>> {
        self.read(move |connection| {
            filter.validate()?;
            journal::read(connection, filter)
        })
    }

    fn run_counts(&self) -> Answer<'_, BTreeMap<String, u64>> {
        self.read(|connection| journal::counts(connection))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn the_writer_flushes_the_log_before_a_commit_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let setting = |name: &'static str| {
            block_on(store.change(Ok(()), move |connection| {
                connection
                    .pragma_query_value(None, name, |row| row.get::<_, Value>(0))
                    .map_err(fault("read a setting"))
            }))
        };
        let full = Value::Integer(2);
        assert_eq!(setting("synchronous").unwrap(), full);
        assert_eq!(
            setting("journal_mode").unwrap(),
            Value::from("wal".to_owned())
        );
    }
}
