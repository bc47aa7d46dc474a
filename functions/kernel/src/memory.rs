//! Documents, bars and configuration held in memory: the ports of a stage under test.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use crate::bar::{Bar, Columns};
use crate::stage::{
    BarsQuery, Configuration, Document, Documents, Key, MarketData, Query, StageError, Write,
};

/// Documents, bars and configuration in memory, with the same rules as a real store.
#[derive(Debug, Default)]
pub struct Memory {
    documents: RefCell<BTreeMap<Key, (u64, String)>>,
    bars: RefCell<BTreeMap<(String, String), Vec<Bar>>>,
    variables: BTreeMap<String, String>,
    commits: Cell<usize>,
    fail_commit: Cell<Option<usize>>,
}

impl Memory {
    /// Sets a variable of the configuration.
    #[must_use]
    pub fn with_variable(mut self, key: &str, value: &str) -> Self {
        self.variables.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Writes a document, whether it exists or not, as somebody else would.
    pub fn put(&self, collection: &str, id: &str, body: &Value) {
        self.put_text(collection, id, &body.to_string());
    }

    /// The same with a body that need not be JSON.
    pub fn put_text(&self, collection: &str, id: &str, body: &str) {
        let mut documents = self.documents.borrow_mut();
        let revision = documents
            .get(&Key::new(collection, id))
            .map_or(0, |(revision, _)| *revision);
        documents.insert(Key::new(collection, id), (revision + 1, body.to_owned()));
    }

    /// A document's body. Null: it does not exist, or is no JSON.
    #[must_use]
    pub fn body(&self, collection: &str, id: &str) -> Value {
        let documents = self.documents.borrow();
        documents
            .get(&Key::new(collection, id))
            .and_then(|(_, body)| serde_json::from_str(body).ok())
            .unwrap_or_default()
    }

    /// The ids of a collection, ascending.
    #[must_use]
    pub fn ids(&self, collection: &str) -> Vec<String> {
        self.documents
            .borrow()
            .keys()
            .filter(|key| key.collection == collection)
            .map(|key| key.id.clone())
            .collect()
    }

    /// Every document, to compare one state with another.
    #[must_use]
    pub fn everything(&self) -> BTreeMap<Key, (u64, String)> {
        self.documents.borrow().clone()
    }

    /// Adds bars to the end of a series.
    pub fn add_bars(&self, instrument: &str, timeframe: &str, bars: &[Bar]) {
        let series = (instrument.to_owned(), timeframe.to_owned());
        self.bars
            .borrow_mut()
            .entry(series)
            .or_default()
            .extend_from_slice(bars);
    }

    /// How many commits were carried out.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits.get()
    }

    /// Lets the commit after the next `after` ones fail once, as if the store had gone away before it was carried out.
    pub fn fail_commit_after(&self, after: usize) {
        self.fail_commit.set(Some(after));
    }
}

impl Documents for Memory {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        let documents = self.documents.borrow();
        Ok(documents.get(&key).map(|(revision, body)| Document {
            key,
            revision: *revision,
            body: body.clone(),
        }))
    }

    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        let matches = |key: &Key| {
            key.collection == query.collection
                && query
                    .prefix
                    .as_ref()
                    .is_none_or(|prefix| key.id.starts_with(prefix))
                && query.start.as_ref().is_none_or(|start| key.id >= *start)
        };
        let documents = self.documents.borrow();
        Ok(documents
            .iter()
            .filter(|(key, _)| matches(key))
            .take(query.limit as usize)
            .map(|(key, (revision, body))| Document {
                key: key.clone(),
                revision: *revision,
                body: body.clone(),
            })
            .collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        match self.fail_commit.get() {
            Some(0) => {
                self.fail_commit.set(None);
                return Err(StageError::Unavailable("the store went away".to_owned()));
            }
            Some(after) => self.fail_commit.set(Some(after - 1)),
            None => {}
        }
        let mut documents = self.documents.borrow().clone();
        for write in writes {
            let (key, expected, body) = match write {
                Write::Create(key, body) => (key, Some(0), body),
                Write::Replace(key, revision, body) => (key, Some(revision), body),
                Write::Upsert(key, body) => (key, None, body),
                Write::Delete(key) => {
                    documents.remove(&key);
                    continue;
                }
            };
            let revision = documents.get(&key).map_or(0, |(revision, _)| *revision);
            if expected.is_some_and(|expected| expected != revision) {
                return Err(StageError::Conflict(format!(
                    "{}/{} has revision {revision}",
                    key.collection, key.id
                )));
            }
            documents.insert(key, (revision + 1, body.to_string()));
        }
        self.documents.replace(documents);
        self.commits.set(self.commits.get() + 1);
        Ok(())
    }
}

impl MarketData for Memory {
    async fn read_bars(&self, query: BarsQuery) -> Result<Columns, StageError> {
        let series = self.bars.borrow();
        let mut bars: Vec<Bar> = series
            .get(&(query.instrument, query.timeframe))
            .into_iter()
            .flatten()
            .filter(|bar| {
                query.start_ms.is_none_or(|start| bar.open_time_ms >= start)
                    && query.end_ms.is_none_or(|end| bar.open_time_ms < end)
            })
            .copied()
            .collect();
        let limit = query.limit as usize;
        if query.last {
            bars.drain(..bars.len().saturating_sub(limit));
        }
        bars.truncate(limit);
        Columns::from_bars(&bars).map_err(|error| StageError::Internal(error.to_string()))
    }
}

impl Configuration for Memory {
    fn value(&self, key: &str) -> Result<Option<String>, String> {
        Ok(self.variables.get(key).cloned())
    }
}

/// The value of a future that waits for nothing, such as one that asks only [`Memory`].
///
/// # Panics
/// When the future does wait.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something outside"),
    }
}
