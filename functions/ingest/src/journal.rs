//! The record of polls: `ingest/state`, one document that every poll brings up to date, and `ingest/journal`, one
//! document for each poll that changed something.
//!
//! A poll that stored no bar, quarantined the same bars as the one before and ended the same way adds nothing to the
//! journal. The journal keeps its newest [`MAX_JOURNAL_DOCUMENTS`]: the oldest leave in the commit that adds.

use serde::{Deserialize, Serialize};

use crate::poll::{MAX_QUARANTINED_KEPT, Quarantined, SeriesResult};
use crate::ports::{Key, Stored, Write};

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

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every series was polled.
    Success,
    /// Some series were polled, one or more failed.
    Partial,
    /// No series was polled.
    Failed,
    /// The venue asked to come back later.
    RateLimited,
}

/// Bars that were not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// How many.
    pub count: u32,
    /// The first of them, at most [`MAX_QUARANTINED_KEPT`].
    pub bars: Vec<Quarantined>,
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
    /// The market-data host.
    pub source: String,
    /// Bars that were inserted or updated.
    pub rows: u32,
    /// Pages asked for.
    pub pages: u32,
    /// Each series that was begun.
    pub symbols: Vec<SeriesResult>,
    /// The freshness of the series that is furthest behind, in seconds.
    pub freshness_seconds: Option<f64>,
    /// How long the poll took, in milliseconds.
    pub duration_ms: f64,
    /// Bars that were not stored.
    pub quarantined: Quarantine,
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
            symbols: Vec::new(),
            freshness_seconds: None,
            duration_ms: 0.0,
            quarantined: Quarantine::default(),
            error: None,
        }
    }

    /// Adds one series.
    pub fn add(&mut self, series: SeriesResult, quarantined: Vec<Quarantined>) {
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
        self.quarantined
            .bars
            .extend(quarantined.into_iter().take(room));
        self.symbols.push(series);
    }

    /// Where the record goes in the journal.
    pub fn key(&self) -> Key {
        Key {
            collection: JOURNAL,
            id: format!("{:013}-{}", self.scheduled_at_ms.max(0), self.run_id),
        }
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
}

/// The state's address.
pub fn state_key() -> Key {
    Key {
        collection: STATE,
        id: STATE_ID.to_owned(),
    }
}

/// The state as it was found: what it says, and the revision that a change must replace.
#[derive(Debug, Default)]
pub struct Found {
    state: Option<State>,
    revision: Option<u64>,
}

impl Found {
    /// Reads the stored document; none means that no poll has ended yet.
    ///
    /// # Errors
    /// The document is not one that this module wrote.
    pub fn read(stored: Option<Stored>) -> Result<Self, String> {
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

    /// The instant before which the venue asked for no request, if that is still to come at `now_ms`.
    pub fn must_wait_until(&self, now_ms: i64) -> Option<i64> {
        let until = self.state.as_ref()?.not_before_ms?;
        (now_ms < until).then_some(until)
    }

    /// Whether the journal gets a document for `record`.
    pub fn is_news(&self, record: &Record) -> bool {
        let Some(State { last, .. }) = &self.state else {
            return true;
        };
        record.rows > 0
            || record.status != last.status
            || record.error != last.error
            || record.quarantined != last.quarantined
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

    /// The commit that ends a poll. `entry` says what becomes of the journal.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub fn writes(
        &self,
        record: Record,
        not_before_ms: Option<i64>,
        entry: Entry,
    ) -> Result<Vec<Write>, String> {
        let json = |error: serde_json::Error| format!("write the journal: {error}");
        let mut writes = Vec::new();
        let mut journal_documents = self.journal_documents();
        match entry {
            Entry::None => {}
            Entry::Again => {
                let body = serde_json::to_string(&record).map_err(json)?;
                writes.push(Write::Upsert(record.key(), body));
            }
            Entry::New { pruned } => {
                let body = serde_json::to_string(&record).map_err(json)?;
                let gone = u32::try_from(pruned.len()).unwrap_or(u32::MAX);
                journal_documents = journal_documents.saturating_add(1).saturating_sub(gone);
                writes.push(Write::Create(record.key(), body));
                writes.extend(pruned.into_iter().map(|id| {
                    Write::Delete(Key {
                        collection: JOURNAL,
                        id,
                    })
                }));
            }
        }
        let state = State {
            journal_documents,
            not_before_ms,
            last: record,
        };
        let body = serde_json::to_string(&state).map_err(json)?;
        writes.push(match self.revision {
            None => Write::Create(state_key(), body),
            Some(revision) => Write::Replace(state_key(), revision, body),
        });
        Ok(writes)
    }
}

/// What a poll adds to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    None,
    /// Its document, for the first time; those named leave.
    New {
        /// Ids of the oldest documents.
        pruned: Vec<String>,
    },
    /// Its document again: an earlier attempt of the same run wrote it.
    Again,
}
