//! The record of polls: `ingest/state`, one document that every poll brings up to date, and `ingest/journal`, one
//! document for each poll that changed something.
//!
//! A poll that stored no bar, quarantined the same bars as the one before and ended the same way adds nothing to the
//! journal. The journal keeps its newest [`MAX_JOURNAL_DOCUMENTS`]: the oldest leave in the commit that adds.

use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_kernel::stage::{Document, Key, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::poll::{MAX_QUARANTINED_KEPT, Quarantined};
use crate::state::{Memory, SourceState};

/// Where journal documents stand, by `<scheduled_at_ms, 13 digits>-<run_id>`.
pub const JOURNAL: &str = "ingest/journal";
/// Where the state stands.
pub const STATE: &str = "ingest";
/// The id of the state.
const STATE_ID: &str = "state";
/// How many journal documents are kept.
pub const MAX_JOURNAL_DOCUMENTS: u32 = 1_000;
/// How many journal documents one commit takes away at most.
const MAX_PRUNED: u32 = 50;
/// How many series a record tells of one by one, those first with which something is wrong; all are in `ingest/series`.
pub const MAX_SERIES_KEPT: usize = 64;

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every series that was asked for was polled.
    Success,
    /// Some series were polled, one or more failed.
    Partial,
    /// No series was polled, at no source.
    Failed,
    /// The venue asked to come back later.
    RateLimited,
    /// What is needed was not there, so that nothing was asked for.
    Aborted,
}

/// Bars that were not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// How many.
    pub count: u32,
    /// The first of them, at most [`MAX_QUARANTINED_KEPT`].
    pub bars: Vec<Quarantined>,
}

/// What became of one series in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesResult {
    /// The dimension.
    pub dimension: Dimension,
    /// The instrument.
    pub instrument: String,
    /// The source that answered.
    pub source: Option<String>,
    /// Pages asked for.
    pub pages: u32,
    /// Bars that were not there before.
    pub inserted: u32,
    /// Bars that were there with other values.
    pub updated: u32,
    /// Bars that were there already.
    pub unchanged: u32,
    /// Bars that were not stored because something is wrong with them.
    pub quarantined: u32,
    /// The open time of the newest stored bar, in Unix milliseconds.
    pub newest_open_time_ms: Option<i64>,
    /// Up to which bar polling left nothing out, by when that bar opens, in Unix milliseconds.
    #[serde(default)]
    pub filled_to_ms: Option<i64>,
    /// How old the series is, in seconds: see `ingest/series`.
    pub freshness_seconds: Option<f64>,
    /// How good it is, `ok`, `warn` or `error`, as in `ingest/series`.
    #[serde(default)]
    pub status: String,
    /// How good it is, from 0 to 1.
    #[serde(default)]
    pub score: Option<f64>,
    /// Why, in a sentence.
    #[serde(default)]
    pub why: String,
    /// True when the venue has more than this run asked for.
    pub is_behind: bool,
    /// Why no source answered.
    pub error: Option<String>,
}

/// What became of one dimension in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DimensionRecord {
    /// The dimension.
    pub dimension: Dimension,
    /// Its health: `ok`, `warn` or `error`.
    pub status: String,
    /// Why.
    pub message: String,
    /// Rows that were inserted or updated.
    pub rows: u64,
    /// How many symbols are planned.
    pub symbols: usize,
    /// How many of them are missing, and the first of them.
    pub missing: usize,
    /// See [`DimensionRecord::missing`].
    pub missing_symbols: Vec<String>,
    /// How good it is by the quality evaluator: `ok`, `warn` or `error`.
    #[serde(default)]
    pub quality_status: Option<String>,
    /// From 0 to 1, by the same.
    #[serde(default)]
    pub quality_score: Option<f64>,
    /// The age of the series that is furthest behind, in seconds.
    pub freshness_seconds: Option<f64>,
    /// How long the run took, in milliseconds.
    pub duration_ms: f64,
    /// Where its rows come from.
    pub source: Option<String>,
    /// How often missing slices were asked for again.
    pub recovery_attempts: u32,
}

/// A step from one source to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// From this source.
    pub from: String,
    /// To this one. None: there is no other, so that the last good bars stand.
    pub to: Option<String>,
    /// Why.
    pub reason: String,
}

/// One poll: the journal's document, and the task's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How it ended.
    pub status: Status,
    /// The run's identity.
    pub run_id: String,
    /// The instant the run was meant for, in Unix milliseconds.
    pub scheduled_at_ms: i64,
    /// The sources that answered; the primary where none was asked.
    pub source: String,
    /// Bars that were inserted or updated.
    pub rows: u32,
    /// Pages asked for.
    pub pages: u32,
    /// Each dimension, where it was looked at.
    #[serde(default)]
    pub dimensions: Vec<DimensionRecord>,
    /// Series that were asked for, at most [`MAX_SERIES_KEPT`].
    pub symbols: Vec<SeriesResult>,
    /// How many more were.
    #[serde(default)]
    pub more_symbols: usize,
    /// Of how many planned series there is more to ask for: their source has more than was asked for so far, or the run had no
    /// room left for them.
    #[serde(default)]
    pub behind: usize,
    /// The freshness of the series that is furthest behind, of those that were asked for, in seconds.
    pub freshness_seconds: Option<f64>,
    /// How long the poll took, in milliseconds.
    pub duration_ms: f64,
    /// Bars that were not stored.
    pub quarantined: Quarantine,
    /// How often missing slices were asked for again.
    #[serde(default)]
    pub recovery_attempts: u32,
    /// How the run came from one source to the next.
    #[serde(default)]
    pub failover: Vec<Hop>,
    /// Whether the last good bars stand for what no source gave.
    #[serde(default)]
    pub stale: bool,
    /// A venue's budget kept series from being asked for: not before this instant, in Unix milliseconds.
    #[serde(default)]
    pub not_before_ms: Option<i64>,
    /// What failed first.
    pub error: Option<String>,
}

impl Record {
    /// A record without any series yet.
    pub fn new(run_id: &str, scheduled_at_ms: i64, source: String) -> Self {
        Self {
            status: Status::Success,
            run_id: run_id.to_owned(),
            scheduled_at_ms,
            source,
            rows: 0,
            pages: 0,
            dimensions: Vec::new(),
            symbols: Vec::new(),
            more_symbols: 0,
            behind: 0,
            freshness_seconds: None,
            duration_ms: 0.0,
            quarantined: Quarantine::default(),
            recovery_attempts: 0,
            failover: Vec::new(),
            stale: false,
            not_before_ms: None,
            error: None,
        }
    }

    /// Adds one series.
    pub fn add(&mut self, series: SeriesResult, quarantined: &[Quarantined]) {
        self.rows = self
            .rows
            .saturating_add(series.inserted)
            .saturating_add(series.updated);
        self.pages = self.pages.saturating_add(series.pages);
        if let Some(seconds) = series.freshness_seconds {
            self.freshness_seconds = Some(
                self.freshness_seconds
                    .map_or(seconds, |so_far| so_far.max(seconds)),
            );
        }
        self.quarantined.count = self.quarantined.count.saturating_add(series.quarantined);
        let room = MAX_QUARANTINED_KEPT.saturating_sub(self.quarantined.bars.len());
        let kept = quarantined.iter().take(room).cloned();
        self.quarantined.bars.extend(kept);
        self.symbols.push(series);
    }

    /// Leaves out the series beyond [`MAX_SERIES_KEPT`]: those first with which nothing is wrong, and those that failed last.
    pub fn bound(&mut self) {
        if self.symbols.len() <= MAX_SERIES_KEPT {
            return;
        }
        self.symbols.sort_by_key(|series| {
            let has_failed = series.error.is_some();
            let is_well = series.quarantined == 0 && series.status == "ok";
            (!has_failed, !series.is_behind, is_well)
        });
        self.more_symbols = self.symbols.len() - MAX_SERIES_KEPT;
        self.symbols.truncate(MAX_SERIES_KEPT);
    }

    /// Where the record goes in the journal.
    pub fn key(&self) -> Key {
        let id = format!("{:013}-{}", self.scheduled_at_ms.max(0), self.run_id);
        Key::new(JOURNAL, id)
    }
}

/// The state between polls: the body of `ingest/state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// How many documents the journal holds.
    pub journal_documents: u32,
    /// No request before this instant, in Unix milliseconds: the venue asked for it.
    pub not_before_ms: Option<i64>,
    /// The last poll.
    pub last: Record,
    /// What is known of each source, by its name: what is left of its budget, and whether it failed.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceState>,
    /// What else is remembered.
    #[serde(default)]
    pub memory: Memory,
}

/// The state's address.
pub fn state_key() -> Key {
    Key::new(STATE, STATE_ID)
}

/// The state as it was found: what it says, and the revision that a change must replace.
#[derive(Debug, Default)]
pub struct Found {
    state: Option<State>,
    revision: Option<u64>,
}

/// What a poll leaves for the next one.
#[derive(Debug, Clone)]
pub struct Left {
    /// What it did.
    pub record: Record,
    /// No request before this instant, in Unix milliseconds.
    pub not_before_ms: Option<i64>,
    /// What is known of each source.
    pub sources: BTreeMap<String, SourceState>,
    /// What else is remembered.
    pub memory: Memory,
}

impl Found {
    /// Reads the stored document; none means that no poll has ended yet.
    ///
    /// # Errors
    /// The document is not one that this module wrote.
    pub fn read(stored: Option<Document>) -> Result<Self, String> {
        let Some(stored) = stored else {
            return Ok(Self::default());
        };
        let state = serde_json::from_str(&stored.body)
            .map_err(|error| format!("read document `{STATE}/{STATE_ID}`: {error}"))?;
        Ok(Self {
            state: Some(state),
            revision: Some(stored.revision),
        })
    }

    /// What was remembered.
    pub fn memory(&self) -> Memory {
        let state = self.state.as_ref();
        state.map(|state| state.memory.clone()).unwrap_or_default()
    }

    /// What was known of each source.
    pub fn sources(&self) -> BTreeMap<String, SourceState> {
        let state = self.state.as_ref();
        state.map(|state| state.sources.clone()).unwrap_or_default()
    }

    /// Whether the run before quarantined the same bars.
    pub fn has_quarantined(&self, quarantined: &Quarantine) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.last.quarantined == *quarantined)
    }

    /// Whether the journal gets a document for `record`.
    pub fn is_news(&self, record: &Record) -> bool {
        let Some(State { last, memory, .. }) = &self.state else {
            return true;
        };
        record.rows > 0
            || record.status != last.status
            || record.error != last.error
            || (record.pages > 0 && record.quarantined != last.quarantined)
            || (!record.failover.is_empty() && !is_same_way(&record.failover, &memory.hops))
    }

    fn journal_documents(&self) -> u32 {
        self.state
            .as_ref()
            .map_or(0, |state| state.journal_documents)
    }

    /// How many of the oldest journal documents have to go before one more fits.
    pub fn surplus(&self) -> u32 {
        let after = self.journal_documents().saturating_add(1);
        after.saturating_sub(MAX_JOURNAL_DOCUMENTS).min(MAX_PRUNED)
    }

    /// The writes that end a poll. `entry` says what becomes of the journal.
    pub fn writes(&self, left: Left, entry: Entry) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut journal_documents = self.journal_documents();
        let record: Value = json!(left.record);
        match entry {
            Entry::None => {}
            Entry::Again => writes.push(Write::Upsert(left.record.key(), record)),
            Entry::New { pruned } => {
                let gone = u32::try_from(pruned.len()).unwrap_or(u32::MAX);
                journal_documents = journal_documents.saturating_add(1).saturating_sub(gone);
                writes.push(Write::Create(left.record.key(), record));
                writes.extend(pruned.into_iter().map(Write::Delete));
            }
        }
        let state = State {
            journal_documents,
            not_before_ms: left.not_before_ms,
            last: left.record,
            sources: left.sources,
            memory: left.memory,
        };
        writes.push(Write::over(self.revision, state_key(), json!(state)));
        writes
    }
}

/// Whether hops lead through the same sources; why they do says how old something is, too, which is another each time.
fn is_same_way(one: &[Hop], other: &[Hop]) -> bool {
    let way = |hop: &Hop| (hop.from.clone(), hop.to.clone());
    one.iter().map(way).eq(other.iter().map(way))
}

/// What a poll adds to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    None,
    /// Its document, for the first time; those named leave.
    New {
        /// The oldest documents.
        pruned: Vec<Key>,
    },
    /// Its document again: an earlier attempt of the same run wrote it.
    Again,
}

#[cfg(test)]
mod tests;
