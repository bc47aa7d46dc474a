//! What the poll needs from outside, as the imports of the world `ingest` give it.

use bulkhead_kernel::bar::Columns;
use bulkhead_venues::HttpRequest;

use crate::StageError;
use crate::settings::Origin;

/// An answer of the market-data host, read to its end.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The grants do not cover the request.
    Denied(String),
    /// The host did not answer.
    Unavailable(String),
    /// The body is longer than the bound, in bytes.
    TooLarge(usize),
}

/// What an append of bars changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Bars that were not there.
    pub inserted: u32,
    /// Bars that were there with other values.
    pub updated: u32,
    /// Bars that were there already, the same.
    pub unchanged: u32,
}

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its revision.
    pub revision: u64,
    /// JSON.
    pub body: String,
}

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The collection.
    pub collection: &'static str,
    /// The id.
    pub id: String,
}

/// One change of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The document must not exist.
    Create(Key, String),
    /// The document must have this revision.
    Replace(Key, u64, String),
    /// Whether it exists or not.
    Upsert(Key, String),
    /// Take it away.
    Delete(Key),
}

/// The imports of the stage.
#[allow(
    async_fn_in_trait,
    reason = "a component runs on one thread: its futures need not be Send"
)]
pub trait Ports {
    /// Sends a request and reads the answer, of whose body at most `max_bytes` are accepted.
    async fn fetch(
        &self,
        origin: &Origin,
        request: &HttpRequest,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError>;
    /// The open time of the newest stored bar, in Unix milliseconds.
    async fn latest(&self, instrument: &str, timeframe: &str) -> Result<Option<i64>, StageError>;
    /// Stores bars, all or none.
    async fn append(
        &self,
        instrument: &str,
        timeframe: &str,
        bars: Columns,
    ) -> Result<Appended, StageError>;
    /// Reads one document.
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StageError>;
    /// The ids of the first `limit` documents of a collection, ascending.
    async fn first_ids(&self, collection: &str, limit: u32) -> Result<Vec<String>, StageError>;
    /// Carries out all the writes or none of them.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError>;
    /// How long the run has taken so far, in milliseconds; always more than zero.
    fn elapsed_ms(&self) -> f64;
}
