use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bars::{Scales, Values, validate_delete_limit};
use crate::document::{validate_collection, validate_writes};
use crate::store::{
    Answer, KILL_SWITCH_BODY, KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Store, inline,
};
use crate::{
    AppendSummary, Bars, BarsQuery, CRON_TRIGGER, Document, Key, MAX_RUNS_KEPT, Order, Page, Query,
    RunFilter, RunRecord, Series, SeriesSummary, StoreError, Write, range, runs,
};

/// A store in memory. It ends with the process.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    runs_kept: u64,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<String, BTreeMap<String, Stored>>,
    series: BTreeMap<Series, StoredSeries>,
    /// Each with its sequence number, ascending.
    runs: VecDeque<(u64, RunRecord)>,
    newest_seq: u64,
    /// By component: for when its last firing was meant, and the sequence number of that run.
    firings: BTreeMap<String, (i64, u64)>,
}

#[derive(Debug, Clone)]
struct Stored {
    revision: u64,
    body: String,
    updated_at_ms: i64,
}

#[derive(Debug, Clone, Default)]
struct StoredSeries {
    scales: Scales,
    bars: BTreeMap<i64, Values>,
}

impl MemoryStore {
    /// A new store that holds the kill switch in its off position, as of `now_ms` (Unix milliseconds).
    pub fn new(now_ms: i64) -> Self {
        let switch = Stored {
            revision: 1,
            body: KILL_SWITCH_BODY.to_owned(),
            updated_at_ms: now_ms,
        };
        let mut state = State::default();
        state
            .documents
            .entry(KILL_SWITCH_COLLECTION.to_owned())
            .or_default()
            .insert(KILL_SWITCH_ID.to_owned(), switch);
        Self {
            state: Mutex::new(state),
            runs_kept: MAX_RUNS_KEPT,
        }
    }

    /// The same, with another bound than [`MAX_RUNS_KEPT`] on the journal.
    #[must_use]
    pub fn keeping_runs(mut self, runs_kept: u64) -> Self {
        self.runs_kept = runs_kept;
        self
    }

    /// No change of the state can panic half-way, so a poisoned lock guards a whole state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    /// A new store as of the Unix epoch.
    fn default() -> Self {
        Self::new(0)
    }
}

impl State {
    fn stored(&self, key: &Key) -> Option<&Stored> {
        self.documents.get(&key.collection)?.get(&key.id)
    }

    /// Puts `stored` in the document's place, and gives what was there.
    fn exchange(&mut self, key: &Key, stored: Option<Stored>) -> Option<Stored> {
        match stored {
            Some(stored) => self
                .documents
                .entry(key.collection.clone())
                .or_default()
                .insert(key.id.clone(), stored),
            None => {
                let documents = self.documents.get_mut(&key.collection)?;
                let before = documents.remove(&key.id);
                if documents.is_empty() {
                    self.documents.remove(&key.collection);
                }
                before
            }
        }
    }

    /// The state after one write: the document's new content.
    fn outcome(&self, write: Write, now_ms: i64) -> Result<(Key, Option<Stored>), StoreError> {
        let actual_revision = self.stored(write.key()).map(|stored| stored.revision);
        let stored = |body| {
            Some(Stored {
                revision: actual_revision.unwrap_or(0) + 1,
                body,
                updated_at_ms: now_ms,
            })
        };
        let (permitted, key, after) = match write {
            Write::Create { key, body } => (actual_revision.is_none(), key, stored(body)),
            Write::Upsert { key, body } => (true, key, stored(body)),
            Write::Replace {
                key,
                expected_revision,
                body,
            } => (
                actual_revision == Some(expected_revision),
                key,
                stored(body),
            ),
            Write::Delete {
                key,
                expected_revision,
            } => (
                expected_revision.is_none() || actual_revision == expected_revision,
                key,
                None,
            ),
        };
        if permitted {
            Ok((key, after))
        } else {
            Err(StoreError::Conflict {
                key,
                actual_revision,
            })
        }
    }

    fn commit(&mut self, writes: Vec<Write>, now_ms: i64) -> Result<Vec<u64>, StoreError> {
        let mut undo = Vec::with_capacity(writes.len());
        let mut revisions = Vec::with_capacity(writes.len());
        for write in writes {
            match self.outcome(write, now_ms) {
                Ok((key, after)) => {
                    revisions.push(after.as_ref().map_or(0, |stored| stored.revision));
                    let before = self.exchange(&key, after);
                    undo.push((key, before));
                }
                Err(conflict) => {
                    for (key, before) in undo.into_iter().rev() {
                        self.exchange(&key, before);
                    }
                    return Err(conflict);
                }
            }
        }
        Ok(revisions)
    }

    fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let ids = range::of(query)?;
        let Some(documents) = self.documents.get(&query.collection) else {
            return Ok(Page::default());
        };
        if ids.is_empty() {
            return Ok(Page::default());
        }
        let upper = match &ids.upper {
            Some(upper) => Bound::Excluded(upper.as_str()),
            None => Bound::Unbounded,
        };
        let found = documents
            .range::<str, _>((Bound::Included(ids.lower.as_str()), upper))
            .map(|(id, stored)| {
                Ok(Document {
                    key: Key {
                        collection: query.collection.clone(),
                        id: id.clone(),
                    },
                    revision: stored.revision,
                    body: stored.body.clone(),
                    updated_at_ms: stored.updated_at_ms,
                })
            });
        match query.order {
            Order::Ascending => range::page(query, found),
            Order::Descending => range::page(query, found.rev()),
        }
    }

    fn append_bars(&mut self, series: Series, bars: &Bars) -> Result<AppendSummary, StoreError> {
        let mut summary = AppendSummary::default();
        if bars.is_empty() {
            return Ok(summary);
        }
        let before = self.series.get(&series);
        let scales_before = before.map(|stored| stored.scales).unwrap_or_default();
        let scales = scales_before.covering(bars.scales());
        // What can overflow is worked out first, so that a failure leaves nothing behind.
        let incoming: Vec<(i64, Values)> = bars.rescaled(scales).collect::<Result<_, _>>()?;
        let rescaled = match before {
            Some(stored) if scales != scales_before => {
                let factors = scales_before.factors_to(scales);
                let times = |(at, values): (&i64, &Values)| Ok((*at, values.times(factors)?));
                Some(stored.bars.iter().map(times).collect::<Result<_, _>>()?)
            }
            _ => None,
        };
        let stored = self.series.entry(series).or_default();
        stored.scales = scales;
        if let Some(rescaled) = rescaled {
            stored.bars = rescaled;
        }
        for (open_time_ms, values) in incoming {
            let counter = match stored.bars.insert(open_time_ms, values) {
                None => &mut summary.inserted,
                Some(before) if before != values => &mut summary.updated,
                Some(_) => &mut summary.unchanged,
            };
            *counter += 1;
        }
        Ok(summary)
    }

    fn read_bars(&self, query: &BarsQuery) -> Bars {
        let Some(stored) = self.series.get(&query.series) else {
            return Bars::default();
        };
        let limit = query.limit as usize;
        let start_ms = query.start_ms.unwrap_or(i64::MIN);
        let upper = query.end_ms.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bars = Bars::with_capacity(stored.scales, limit.min(stored.bars.len()));
        if query.end_ms.is_some_and(|end_ms| end_ms <= start_ms) {
            return bars;
        }
        let found = stored.bars.range((Bound::Included(start_ms), upper));
        if query.last {
            for (open_time_ms, values) in found.rev().take(limit) {
                bars.push(*open_time_ms, *values);
            }
            bars.reverse();
        } else {
            for (open_time_ms, values) in found.take(limit) {
                bars.push(*open_time_ms, *values);
            }
        }
        bars
    }

    fn delete_bars_before(&mut self, series: &Series, before_ms: i64, limit: u32) -> u32 {
        let Some(stored) = self.series.get_mut(series) else {
            return 0;
        };
        let mut deleted = 0;
        while deleted < limit
            && let Some(oldest) = stored.bars.first_entry()
            && *oldest.key() < before_ms
        {
            oldest.remove();
            deleted += 1;
        }
        if stored.bars.is_empty() {
            self.series.remove(series);
        }
        deleted
    }

    fn count_bars_before(&self, series: &Series, before_ms: i64) -> u64 {
        let stored = self.series.get(series);
        stored.map_or(0, |stored| stored.bars.range(..before_ms).count() as u64)
    }

    fn summaries(&self) -> Vec<SeriesSummary> {
        self.series
            .iter()
            .filter_map(|(series, stored)| {
                Some(SeriesSummary {
                    series: series.clone(),
                    count: stored.bars.len() as u64,
                    first_ms: *stored.bars.first_key_value()?.0,
                    last_ms: *stored.bars.last_key_value()?.0,
                })
            })
            .collect()
    }

    fn record_run(&mut self, run: RunRecord) {
        self.newest_seq += 1;
        let firing = (run.scheduled_at_ms, self.newest_seq);
        if run.trigger == CRON_TRIGGER {
            let last = self.firings.entry(run.component.clone()).or_insert(firing);
            *last = firing.max(*last);
        }
        self.runs.push_back((self.newest_seq, run));
    }

    fn forget_runs(&mut self, kept: u64) {
        let newest_forgotten = self.newest_seq.saturating_sub(kept);
        let over = self
            .runs
            .partition_point(|(seq, _)| *seq <= newest_forgotten);
        let old: Vec<_> = self.runs.drain(..over).collect();
        for (seq, run) in old.into_iter().rev() {
            let last = self.firings.get(&run.component);
            if last.is_some_and(|(_, last_seq)| *last_seq == seq) {
                self.runs.push_front((seq, run));
            }
        }
    }

    fn read_runs(&self, filter: &RunFilter) -> Vec<RunRecord> {
        let runs = self.runs.iter().map(|(_, run)| run);
        let mut found: Vec<&RunRecord> = runs.filter(|run| filter.admits(run)).collect();
        found.reverse();
        // Stable: of those that started together, the one recorded last stays first.
        found.sort_by_key(|run| std::cmp::Reverse(run.started_at_ms));
        found.truncate(filter.limit as usize);
        found.into_iter().cloned().collect()
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a Key) -> Answer<'a, Option<Document>> {
        inline(move || {
            key.validate()?;
            Ok(self.state().stored(key).map(|stored| Document {
                key: key.clone(),
                revision: stored.revision,
                body: stored.body.clone(),
                updated_at_ms: stored.updated_at_ms,
            }))
        })
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        inline(move || self.state().list(query))
    }

    fn count<'a>(&'a self, collection: &'a str) -> Answer<'a, u64> {
        inline(move || {
            validate_collection(collection)?;
            let state = self.state();
            let documents = state.documents.get(collection);
            Ok(documents.map_or(0, |documents| documents.len() as u64))
        })
    }

    fn commit(&self, writes: Vec<Write>, now_ms: i64) -> Answer<'_, Vec<u64>> {
        inline(move || {
            validate_writes(&writes)?;
            self.state().commit(writes, now_ms)
        })
    }

    fn append_bars(&self, series: Series, bars: Bars, _now_ms: i64) -> Answer<'_, AppendSummary> {
        inline(move || {
            series.validate()?;
            bars.validate()?;
            self.state().append_bars(series, &bars)
        })
    }

    fn read_bars<'a>(&'a self, query: &'a BarsQuery) -> Answer<'a, Bars> {
        inline(move || {
            query.validate()?;
            Ok(self.state().read_bars(query))
        })
    }

    fn latest<'a>(&'a self, series: &'a Series) -> Answer<'a, Option<i64>> {
        inline(move || {
            series.validate()?;
            let state = self.state();
            let newest = state
                .series
                .get(series)
                .and_then(|stored| stored.bars.last_key_value());
            Ok(newest.map(|(open_time_ms, _)| *open_time_ms))
        })
    }

    fn delete_bars_before(
        &self,
        series: Series,
        before_ms: i64,
        limit: u32,
        _now_ms: i64,
    ) -> Answer<'_, u32> {
        inline(move || {
            series.validate()?;
            validate_delete_limit(limit)?;
            Ok(self.state().delete_bars_before(&series, before_ms, limit))
        })
    }

    fn count_bars_before<'a>(&'a self, series: &'a Series, before_ms: i64) -> Answer<'a, u64> {
        inline(move || {
            series.validate()?;
            Ok(self.state().count_bars_before(series, before_ms))
        })
    }

    fn series(&self) -> Answer<'_, Vec<SeriesSummary>> {
        inline(|| Ok(self.state().summaries()))
    }

    fn record_runs(&self, records: Vec<RunRecord>) -> Answer<'_, ()> {
        inline(move || {
            let records = runs::prepare(records)?;
            let mut state = self.state();
            for run in records {
                state.record_run(run);
            }
            state.forget_runs(self.runs_kept);
            Ok(())
        })
    }

    fn runs<'a>(&'a self, filter: &'a RunFilter) -> Answer<'a, Vec<RunRecord>> {
        inline(move || {
            filter.validate()?;
            Ok(self.state().read_runs(filter))
        })
    }

    fn run_counts(&self) -> Answer<'_, BTreeMap<String, u64>> {
        inline(|| {
            let mut counts = BTreeMap::new();
            for (_, run) in &self.state().runs {
                *counts.entry(run.status.clone()).or_insert(0) += 1;
            }
            Ok(counts)
        })
    }
}
