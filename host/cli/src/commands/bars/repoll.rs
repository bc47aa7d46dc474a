//! A store over which the stage `ingest` does what the command line asks for, and not what is planned and due.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_store::{
    AppendSummary, Bars, BarsQuery, Document, Key, MemoryStore, Page, Query, RunFilter, RunRecord,
    Series, SeriesSummary, Store, StoreError, Write,
};
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What the stage knows of the series that are planned, which is more than is asked for; and the plan, which would take the
/// place of what is.
const HIDDEN: [&str; 2] = ["ingest/series", "ingest_plan"];

/// The store of a deployment without the documents of [`HIDDEN`]: none is read, and what is written there is kept until the command
/// ends, so that one run goes on where the last one came to.
///
/// Of one series it can also seem to have no bars but those that have come since, of which it stores what opens within
/// a range. All else is as the store has it.
pub struct Repoll {
    store: Arc<dyn Store>,
    /// The documents of [`HIDDEN`] that the command's runs wrote.
    hidden: MemoryStore,
    again: Option<Again>,
}

struct Again {
    series: Series,
    /// In Unix milliseconds.
    range: Range<i64>,
    newest_ms: Mutex<Option<i64>>,
}

impl Repoll {
    /// The store without those documents.
    pub fn unplanned(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            hidden: MemoryStore::default(),
            again: None,
        }
    }

    /// The same, for a range of a series that is asked for again, in Unix milliseconds.
    pub fn of_range(store: Arc<dyn Store>, series: Series, range: Range<i64>) -> Self {
        let again = Again {
            series,
            range,
            newest_ms: Mutex::new(None),
        };
        Self {
            store,
            hidden: MemoryStore::default(),
            again: Some(again),
        }
    }

    /// When the newest bar opens that has come for the range, in Unix milliseconds, within it or beyond. None also where no
    /// range is asked for.
    pub fn newest_ms(&self) -> Option<i64> {
        self.again.as_ref().and_then(Again::newest_ms)
    }

    /// The store that a collection is in.
    fn store_of(&self, collection: &str) -> &dyn Store {
        if is_hidden(collection) {
            &self.hidden
        } else {
            &*self.store
        }
    }

    fn again(&self, series: &Series) -> Option<&Again> {
        self.again.as_ref().filter(|again| again.series == *series)
    }
}

impl Again {
    fn newest_ms(&self) -> Option<i64> {
        *self
            .newest_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What of a query is about bars that have come. None: nothing is.
    fn clip(&self, query: &BarsQuery) -> Option<BarsQuery> {
        let end_ms = self.newest_ms()?.saturating_add(1);
        let start_ms = self.range.start;
        let clipped = BarsQuery {
            start_ms: query.start_ms.max(Some(start_ms)),
            end_ms: Some(query.end_ms.map_or(end_ms, |asked| asked.min(end_ms))),
            ..query.clone()
        };
        (clipped.start_ms < clipped.end_ms).then_some(clipped)
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
        let bars = match (bars.validate(), self.again(&series)) {
            (Ok(()), Some(again)) => again.take(bars),
            _ => bars,
        };
        self.store.append_bars(series, bars, now_ms)
    }

    fn latest<'a>(&'a self, series: &'a Series) -> Answer<'a, Option<i64>> {
        match self.again(series) {
            Some(again) => future::ready(Ok(again.newest_ms())).boxed(),
            None => self.store.latest(series),
        }
    }

    fn get<'a>(&'a self, key: &'a Key) -> Answer<'a, Option<Document>> {
        self.store_of(&key.collection).get(key)
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        self.store_of(&query.collection).list(query)
    }

    fn count<'a>(&'a self, collection: &'a str) -> Answer<'a, u64> {
        self.store_of(collection).count(collection)
    }

    fn commit(&self, writes: Vec<Write>, now_ms: i64) -> Answer<'_, Vec<u64>> {
        let of_hidden = |write: &Write| is_hidden(&write.key().collection);
        let places: Vec<bool> = writes.iter().map(of_hidden).collect();
        let (hidden, kept): (Vec<Write>, Vec<Write>) = writes.into_iter().partition(of_hidden);
        async move {
            // What is not written down after all the next attempt writes again: it reads what is here.
            let mut of_hidden = match hidden.is_empty() {
                true => Vec::new(),
                false => self.hidden.commit(hidden, now_ms).await?,
            }
            .into_iter();
            let mut of_kept = match kept.is_empty() && !places.is_empty() {
                true => Vec::new(),
                false => self.store.commit(kept, now_ms).await?,
            }
            .into_iter();
            let in_place = places.into_iter().filter_map(|hidden| match hidden {
                true => of_hidden.next(),
                false => of_kept.next(),
            });
            Ok(in_place.collect())
        }
        .boxed()
    }

    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> Answer<'a, Bars> {
        let Some(again) = self.again(&query.series) else {
            return self.store.read_bars(query);
        };
        async move {
            query.validate()?;
            match again.clip(query) {
                Some(clipped) => self.store.read_bars(&clipped).await,
                None => Ok(Bars::default()),
            }
        }
        .boxed()
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

fn is_hidden(collection: &str) -> bool {
    HIDDEN.contains(&collection)
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
        let repoll = Repoll::of_range(Arc::clone(&store), series("A"), 2..4);
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
        let repoll = Repoll::of_range(Arc::clone(&store), series("A"), 2..4);
        block_on(repoll.append_bars(series("B"), bars(&[1, 5], 1), 0)).unwrap();
        assert_eq!(block_on(repoll.latest(&series("B"))).unwrap(), Some(5));
        assert_eq!(block_on(store.latest(&series("B"))).unwrap(), Some(5));
    }

    fn opens(store: &dyn Store, instrument: &str, last: bool) -> Vec<i64> {
        let query = BarsQuery {
            series: series(instrument),
            start_ms: None,
            end_ms: None,
            limit: 9,
            last,
        };
        block_on(store.read_bars(&query)).unwrap().open_time_ms
    }

    #[test]
    fn no_bar_is_read_of_the_series_but_what_has_come_since() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        for instrument in ["A", "B"] {
            let stored = bars(&[1, 2, 3, 4, 9], 1);
            block_on(store.append_bars(series(instrument), stored, 0)).unwrap();
        }
        let repoll = Repoll::of_range(Arc::clone(&store), series("A"), 2..9);
        assert_eq!(opens(&repoll, "A", true), Vec::<i64>::new());
        block_on(repoll.append_bars(series("A"), bars(&[2, 3], 7), 0)).unwrap();
        for last in [false, true] {
            assert_eq!(opens(&repoll, "A", last), [2, 3]);
            assert_eq!(opens(&repoll, "B", last), [1, 2, 3, 4, 9]);
        }
    }

    fn upsert(collection: &str, id: &str, body: &str) -> Write {
        Write::Upsert {
            key: Key::new(collection, id).unwrap(),
            body: body.to_owned(),
        }
    }

    fn body(store: &dyn Store, collection: &str, id: &str) -> Option<String> {
        let key = Key::new(collection, id).unwrap();
        let document = block_on(store.get(&key)).unwrap();
        document.map(|document| document.body)
    }

    #[test]
    fn the_plan_and_what_is_known_of_the_series_are_neither_read_nor_written() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        let writes = vec![
            upsert("ingest_plan", "current", r#"{"enabled":false}"#),
            upsert("ingest/series", "intraday_trades", r#"{"symbols":2}"#),
            upsert("ingest", "state", r#"{"at":1}"#),
            upsert("ingest", "state2", r#"{"at":1}"#),
        ];
        block_on(store.commit(writes, 0)).unwrap();
        for repoll in [
            Repoll::unplanned(Arc::clone(&store)),
            Repoll::of_range(Arc::clone(&store), series("A"), 2..4),
        ] {
            for (collection, id) in [
                ("ingest_plan", "current"),
                ("ingest/series", "intraday_trades"),
            ] {
                assert_eq!(body(&repoll, collection, id), None);
                assert_eq!(block_on(repoll.count(collection)).unwrap(), 0);
                let page = block_on(repoll.list(&Query::all(collection))).unwrap();
                assert!(page.documents.is_empty());
            }
            assert!(body(&repoll, "ingest", "state").is_some());
        }
        assert!(body(&*store, "ingest_plan", "current").is_some());
    }

    #[test]
    fn a_commit_stores_all_but_the_hidden_documents_which_it_keeps_and_says_the_revisions_in_order()
    {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        let before = vec![
            upsert("ingest/series", "intraday_trades", r#"{"symbols":2}"#),
            upsert("ingest", "state", r#"{"at":1}"#),
        ];
        block_on(store.commit(before, 0)).unwrap();
        let repoll = Repoll::unplanned(Arc::clone(&store));
        let hidden = || Write::Create {
            key: Key::new("ingest/series", "intraday_trades").unwrap(),
            body: r#"{"symbols":1}"#.to_owned(),
        };
        let writes = vec![
            hidden(),
            upsert("ingest", "state", r#"{"at":2}"#),
            upsert("ingest", "other", r#"{"at":2}"#),
        ];
        assert_eq!(block_on(repoll.commit(writes, 0)).unwrap(), [1, 2, 1]);
        let again = block_on(repoll.commit(vec![hidden()], 0));
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
        // The next run reads it.
        let noted = body(&repoll, "ingest/series", "intraday_trades");
        assert_eq!(noted.as_deref(), Some(r#"{"symbols":1}"#));
        let series = body(&*store, "ingest/series", "intraday_trades");
        assert_eq!(series.as_deref(), Some(r#"{"symbols":2}"#));
        let state = body(&*store, "ingest", "state");
        assert_eq!(state.as_deref(), Some(r#"{"at":2}"#));
    }
}
