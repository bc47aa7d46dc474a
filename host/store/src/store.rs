use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

use crate::{
    AppendSummary, Bars, BarsQuery, Document, Key, Page, Query, RunFilter, RunRecord, Series,
    SeriesSummary, StoreError, Write,
};

/// The collection of the document that stops new orders.
pub const KILL_SWITCH_COLLECTION: &str = "ops";
/// The id of the document that stops new orders.
pub const KILL_SWITCH_ID: &str = "execution_kill_switch";
/// What a new store holds under `ops/execution_kill_switch`.
pub const KILL_SWITCH_BODY: &str = r#"{"enabled":false,"reason":"initial state"}"#;

/// What a call answers.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Does the work when first polled, on the caller's thread: for what takes microseconds.
pub(crate) fn inline<'a, T: 'a>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'a,
) -> Answer<'a, T> {
    future::lazy(|_| work()).boxed()
}

/// The state of a deployment.
///
/// Reads take microseconds and complete when first polled. Changes wait for a disk, on a thread of their own; one
/// whose future is dropped half-way may be carried out all the same, whole.
///
/// # Errors
/// Each call answers [`StoreError::Invalid`] when an argument breaks a rule (then nothing was looked at),
/// [`StoreError::Unavailable`] when the store could not do it, and [`StoreError::Corrupt`] when what is stored is
/// damaged. [`Store::commit`] adds [`StoreError::Conflict`].
pub trait Store: Send + Sync + 'static {
    /// Reads one document. None: it does not exist.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Document>, StoreError>>;

    /// Lists documents of one collection. A page can end before its limit when its bodies are large: the cursor, not
    /// the length, tells whether there is more.
    fn list<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// How many documents a collection has.
    fn count<'a>(&'a self, collection: &'a str) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Carries out all the writes, in order, or none of them, and returns once they are durable. `now_ms` (Unix
    /// milliseconds) becomes the documents' `updated_at_ms`. The answer holds the new revision of each write's
    /// document, in order (0 for a removal).
    fn commit(
        &self,
        writes: Vec<Write>,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<Vec<u64>, StoreError>>;

    /// Stores bars, durably, all or none. A bar that is there already is brought up to date: a second append of the
    /// same bars changes nothing. `now_ms` (Unix milliseconds) is noted as the series' last change.
    fn append_bars(
        &self,
        series: Series,
        bars: Bars,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<AppendSummary, StoreError>>;

    /// Reads bars, ascending, under the series' scales. A series that does not exist has no bars, under scale 0.
    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> BoxFuture<'a, Result<Bars, StoreError>>;

    /// The open time of the newest bar of a series, in Unix milliseconds. None: the series has no bar.
    fn latest<'a>(&'a self, series: &'a Series) -> BoxFuture<'a, Result<Option<i64>, StoreError>>;

    /// Deletes the oldest bars of a series that open before `before_ms` (Unix milliseconds), `limit` at most (1 to
    /// [`MAX_DELETE_BARS`](crate::MAX_DELETE_BARS)), durably, and answers how many. Fewer than the limit: no such bar
    /// is left. A series whose last bar goes is gone with its scales. `now_ms` is noted as the series' last change.
    fn delete_bars_before(
        &self,
        series: Series,
        before_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<u32, StoreError>>;

    /// How many bars of a series open before `before_ms`, in Unix milliseconds.
    fn count_bars_before<'a>(
        &'a self,
        series: &'a Series,
        before_ms: i64,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Every series that has a bar, by instrument and timeframe, with its count and its bounds: two look-ups a series,
    /// however long it is.
    fn series(&self) -> BoxFuture<'_, Result<Vec<SeriesSummary>, StoreError>>;

    /// Adds to the journal, durably, and forgets the oldest runs over the bound, but of each component the firing of its
    /// schedule that was meant for the latest instant.
    fn record_runs(&self, runs: Vec<RunRecord>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Reads the journal: the run that started last comes first, and of those that started together the one that was
    /// recorded last.
    fn runs<'a>(
        &'a self,
        filter: &'a RunFilter,
    ) -> BoxFuture<'a, Result<Vec<RunRecord>, StoreError>>;

    /// How many runs of each status the journal has. A status without a run is left out.
    fn run_counts(&self) -> BoxFuture<'_, Result<BTreeMap<String, u64>, StoreError>>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn get<'a>(&'a self, key: &'a Key) -> Answer<'a, Option<Document>> {
        (**self).get(key)
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        (**self).list(query)
    }

    fn count<'a>(&'a self, collection: &'a str) -> Answer<'a, u64> {
        (**self).count(collection)
    }

    fn commit(&self, writes: Vec<Write>, now_ms: i64) -> Answer<'_, Vec<u64>> {
        (**self).commit(writes, now_ms)
    }

    fn append_bars(&self, series: Series, bars: Bars, now_ms: i64) -> Answer<'_, AppendSummary> {
        (**self).append_bars(series, bars, now_ms)
    }

    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> Answer<'a, Bars> {
        (**self).read_bars(query)
    }

    fn latest<'a>(&'a self, series: &'a Series) -> Answer<'a, Option<i64>> {
        (**self).latest(series)
    }

    fn delete_bars_before(
        &self,
        series: Series,
        before_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> Answer<'_, u32> {
        (**self).delete_bars_before(series, before_ms, limit, now_ms)
    }

    fn count_bars_before<'a>(&'a self, series: &'a Series, before_ms: i64) -> Answer<'a, u64> {
        (**self).count_bars_before(series, before_ms)
    }

    fn series(&self) -> Answer<'_, Vec<SeriesSummary>> {
        (**self).series()
    }

    fn record_runs(&self, runs: Vec<RunRecord>) -> Answer<'_, ()> {
        (**self).record_runs(runs)
    }

    fn runs<'a>(&'a self, filter: &'a RunFilter) -> Answer<'a, Vec<RunRecord>> {
        (**self).runs(filter)
    }

    fn run_counts(&self) -> Answer<'_, BTreeMap<String, u64>> {
        (**self).run_counts()
    }
}
