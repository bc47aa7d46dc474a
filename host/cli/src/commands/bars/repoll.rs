//! A store that makes the stage `ingest` ask again for bars which are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_store::{
    AppendSummary, Bars, BarsQuery, Document, Key, Page, Query, RunFilter, RunRecord, Series,
    SeriesSummary, Store, StoreError, Write,
};
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The store of a deployment, in which the newest bar of one series is the newest that has come since. What comes for the
/// series is stored where it opens within the range. All else is as the store has it.
pub struct Repoll {
    store: Arc<dyn Store>,
    series: Series,
    /// In Unix milliseconds.
    range: Range<i64>,
    newest_ms: Mutex<Option<i64>>,
}

impl Repoll {
    pub fn new(store: Arc<dyn Store>, series: Series, range: Range<i64>) -> Self {
        Self {
            store,
            series,
            range,
            newest_ms: Mutex::new(None),
        }
    }

    /// When the newest bar opens that has come, in Unix milliseconds, within the range or beyond.
    pub fn newest_ms(&self) -> Option<i64> {
        *self
            .newest_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what has come, and gives what of it is in the range.
    fn take(&self, bars: Bars) -> Bars {
        if let Some(last) = bars.open_time_ms.last() {
            let mut newest = self
                .newest_ms
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *newest = newest.max(Some(*last));
        }
        let at = |instant| bars.open_time_ms.partition_point(|open| *open < instant);
        let (from, to) = (at(self.range.start), at(self.range.end));
        let within = |column: &[i64]| {
            column
                .get(from..to)
                .map(<[i64]>::to_vec)
                .unwrap_or_default()
        };
        Bars {
            price_scale: bars.price_scale,
            volume_scale: bars.volume_scale,
            open_time_ms: within(&bars.open_time_ms),
            open: within(&bars.open),
            high: within(&bars.high),
            low: within(&bars.low),
            close: within(&bars.close),
            volume: within(&bars.volume),
        }
    }
}

impl Store for Repoll {
    fn append_bars(&self, series: Series, bars: Bars, now_ms: i64) -> Answer<'_, AppendSummary> {
        // What is malformed is the store's to refuse, whole.
        let bars = match bars.validate() {
            Ok(()) if series == self.series => self.take(bars),
            _ => bars,
        };
        self.store.append_bars(series, bars, now_ms)
    }

    fn latest<'a>(&'a self, series: &'a Series) -> Answer<'a, Option<i64>> {
        if *series == self.series {
            future::ready(Ok(self.newest_ms())).boxed()
        } else {
            self.store.latest(series)
        }
    }

    fn get<'a>(&'a self, key: &'a Key) -> Answer<'a, Option<Document>> {
        self.store.get(key)
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        self.store.list(query)
    }

    fn count<'a>(&'a self, collection: &'a str) -> Answer<'a, u64> {
        self.store.count(collection)
    }

    fn commit(&self, writes: Vec<Write>, now_ms: i64) -> Answer<'_, Vec<u64>> {
        self.store.commit(writes, now_ms)
    }

    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> Answer<'a, Bars> {
        self.store.read_bars(query)
    }

    fn delete_bars_before(
        &self,
        series: Series,
        before_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> Answer<'_, u32> {
        self.store
            .delete_bars_before(series, before_ms, limit, now_ms)
    }

    fn count_bars_before<'a>(&'a self, series: &'a Series, before_ms: i64) -> Answer<'a, u64> {
        self.store.count_bars_before(series, before_ms)
    }

    fn series(&self) -> Answer<'_, Vec<SeriesSummary>> {
        self.store.series()
    }

    fn record_runs(&self, runs: Vec<RunRecord>) -> Answer<'_, ()> {
        self.store.record_runs(runs)
    }

    fn runs<'a>(&'a self, filter: &'a RunFilter) -> Answer<'a, Vec<RunRecord>> {
        self.store.runs(filter)
    }

    fn run_counts(&self) -> Answer<'_, BTreeMap<String, u64>> {
        self.store.run_counts()
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_store::MemoryStore;
    use futures::executor::block_on;

    use super::*;

    fn series(instrument: &str) -> Series {
        Series::new(instrument, "1m").unwrap()
    }

    fn bars(opens: &[i64], value: i64) -> Bars {
        let column = vec![value; opens.len()];
        Bars {
            open_time_ms: opens.to_vec(),
            open: column.clone(),
            high: column.clone(),
            low: column.clone(),
            close: column.clone(),
            volume: column,
            ..Bars::default()
        }
    }

    #[test]
    fn a_range_is_asked_for_again_and_nothing_else_is_stored() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        block_on(store.append_bars(series("A"), bars(&[1, 2, 3, 9], 1), 0)).unwrap();
        let repoll = Repoll::new(Arc::clone(&store), series("A"), 2..4);
        assert_eq!(block_on(repoll.latest(&series("A"))).unwrap(), None);
        let changed = bars(&[1, 2, 3, 4, 5], 7);
        let summary = block_on(repoll.append_bars(series("A"), changed, 0)).unwrap();
        assert_eq!((summary.inserted, summary.updated), (0, 2));
        assert_eq!(block_on(repoll.latest(&series("A"))).unwrap(), Some(5));
        let query = BarsQuery {
            series: series("A"),
            start_ms: None,
            end_ms: None,
            limit: 9,
            last: false,
        };
        let found = block_on(store.read_bars(&query)).unwrap();
        assert_eq!(
            (found.open_time_ms, found.close),
            (vec![1, 2, 3, 9], vec![1, 7, 7, 1])
        );
    }

    #[test]
    fn other_series_are_as_the_store_has_them() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        let repoll = Repoll::new(Arc::clone(&store), series("A"), 2..4);
        block_on(repoll.append_bars(series("B"), bars(&[1, 5], 1), 0)).unwrap();
        assert_eq!(block_on(repoll.latest(&series("B"))).unwrap(), Some(5));
        assert_eq!(block_on(store.latest(&series("B"))).unwrap(), Some(5));
    }
}
