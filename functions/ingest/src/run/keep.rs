//! The one commit that ends a run: record, state, series, assessments.

use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::journal::JournalRecord;
use bulkhead_kernel::assessment::{Assessment, history};
use bulkhead_kernel::stage::{Event, Key, Query, StageError, Write, read_body};
use bulkhead_kernel::timeframe::Timeframe;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Work;
use crate::join;
use crate::journal::{Entry, JOURNAL, Left, Record, Status};
use crate::pass::SeriesRun;
use crate::ports::Ports;
use crate::series::{self, Known, Ledger};

/// A dimension's document as it was found.
#[derive(Debug)]
pub(crate) struct StoredLedger {
    /// The dimension.
    pub dimension: Dimension,
    /// What it says.
    pub ledger: Option<Ledger>,
    /// The revision that a change must replace.
    pub revision: Option<u64>,
}

impl StoredLedger {
    /// Reads it.
    pub async fn read(ports: &impl Ports, dimension: Dimension) -> Result<Self, StageError> {
        let stored = ports.get(series::key(dimension)).await?;
        Ok(Self {
            dimension,
            ledger: stored.as_ref().map(read_body).transpose()?,
            revision: stored.map(|document| document.revision),
        })
    }
}

/// What the commit is made of.
pub(crate) struct Kept {
    /// The record.
    pub record: Record,
    /// Assessments, in the order in which they are published.
    pub assessments: Vec<Assessment>,
    /// How things stood when they were made.
    pub moment: String,
    /// The rows of which later trends are made, and the revision of their document.
    pub trend: Option<(Option<u64>, Vec<JournalRecord>)>,
    /// Why the last good bars stand, as a word and in full.
    pub stale: Option<(&'static str, String)>,
}

/// The document `ingest/trend`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Trend {
    pub(super) rows: Vec<JournalRecord>,
}

pub(super) fn trend_key() -> Key {
    Key::new("ingest", "trend")
}

/// The document that says whether the last good bars stand, and which they are.
pub(crate) fn last_good_key() -> Key {
    Key::new("ingest", "last_good")
}

impl<P: Ports> Work<'_, P> {
    /// Commits the end of a run, and gives what is told to the event bus.
    pub(super) async fn keep(&mut self, kept: Kept) -> Result<Vec<Event>, StageError> {
        let now_ms = self.now_ms();
        let is_assessed = !kept.assessments.is_empty();
        let is_news = self.found.is_news(&kept.record);
        let mut writes = self.ledgers(is_news || is_assessed);
        let (ports, run_id) = (self.ports, self.run.run_id);
        let of_assessments = kept
            .assessments
            .iter()
            .map(|assessment| history::writes(ports, assessment, run_id));
        for assessed in join::all(of_assessments).await {
            writes.extend(assessed?);
        }
        if let Some((revision, rows)) = kept.trend {
            self.asked.memory.rejected.clear();
            writes.push(Write::over(revision, trend_key(), json!(Trend { rows })));
        }
        writes.extend(self.asked.events.take());
        writes.extend(self.last_good(kept.stale.as_ref()));
        if is_assessed {
            self.asked.memory.assessed_at_ms = Some(now_ms);
            self.asked.memory.assessed_as = kept.moment;
        }
        if kept.record.status == Status::Success || !kept.record.failover.is_empty() {
            self.asked.memory.hops.clone_from(&kept.record.failover);
        }
        let entry = self.entry(&kept.record, is_news).await?;
        let left = Left {
            not_before_ms: kept.record.not_before_ms,
            record: kept.record,
            sources: self.asked.sources.clone(),
            memory: self.asked.memory.clone(),
        };
        writes.extend(self.found.writes(left, entry));
        ports.commit(writes).await?;
        Ok(kept.assessments.iter().map(Assessment::to_event).collect())
    }

    /// The dimensions' documents that changed. How good a series is is said anew when `is_graded`, or when it changed.
    fn ledgers(&mut self, is_graded: bool) -> Vec<Write> {
        let now_ms = self.now_ms();
        let (health, quality) = (self.health_policy(), self.quality_policy());
        let mut writes = vec![];
        for stored in &self.ledgers {
            let of_it = self
                .series
                .iter()
                .filter(|series| series.borrow().dimension == stored.dimension);
            let known_before = |name: &str| {
                let ledger = stored.ledger.as_ref()?;
                ledger.symbols.get(name).map(Known::facts)
            };
            let is_same = |series: &SeriesRun| {
                known_before(series.instrument.as_str()) == Some(series.known.facts())
            };
            let is_changed = of_it.clone().any(|series| !is_same(&series.borrow()));
            let Some(bars) = self.plan.bars(stored.dimension) else {
                continue;
            };
            let is_aborted = of_it.clone().next().is_none();
            if is_aborted || (!is_changed && !is_graded) {
                continue;
            }
            let limit = health.limits.of(stored.dimension).freshness_limit_seconds;
            let symbols: BTreeMap<String, Known> = of_it
                .map(|series| {
                    let series = series.borrow();
                    let mut known = series.known.clone();
                    known.grade(&series.shape, limit, &quality, now_ms);
                    (series.instrument.to_string(), known)
                })
                .collect();
            let ledger = Ledger {
                dimension: stored.dimension,
                timeframe: bars.timeframe,
                graded_at_ms: now_ms,
                symbols,
            };
            let key = series::key(stored.dimension);
            writes.push(Write::over(stored.revision, key, json!(ledger)));
        }
        writes
    }

    /// The document `ingest/last_good`, when the last good bars begin to stand or no longer do.
    fn last_good(&mut self, stale: Option<&(&'static str, String)>) -> Option<Write> {
        let now_ms = self.now_ms();
        let memory = &mut self.asked.memory;
        let mut body = match (stale, memory.stale_since_ms) {
            (Some((reason, detail)), None) => {
                memory.stale_since_ms = Some(now_ms);
                json!({"stale": true, "since_ms": now_ms, "reason": reason, "detail": detail})
            }
            (None, Some(_)) => {
                memory.stale_since_ms = None;
                json!({"stale": false, "since_ms": now_ms, "reason": null, "detail": null})
            }
            (Some(_), Some(_)) | (None, None) => return None,
        };
        body["frames"] = self.frames();
        Some(Write::Upsert(last_good_key(), body))
    }

    /// The newest good bar of each series.
    fn frames(&self) -> Value {
        let mut frames = json!({});
        let mut add = |dimension: Dimension, timeframe: Timeframe, name: &str, known: &Known| {
            if let Some(newest) = known.newest_open_time_ms {
                frames[dimension.as_str()][name] = json!({
                    "timeframe": timeframe,
                    "open_time_ms": newest,
                    "close": known.close,
                    "source": known.source,
                });
            }
        };
        for ledger in self
            .ledgers
            .iter()
            .filter_map(|stored| stored.ledger.as_ref())
        {
            for (name, known) in &ledger.symbols {
                add(ledger.dimension, ledger.timeframe, name, known);
            }
        }
        for series in &self.series {
            let series = series.borrow();
            let name = series.instrument.as_str();
            add(
                series.dimension,
                series.shape.timeframe,
                name,
                &series.known,
            );
        }
        frames
    }

    async fn entry(&self, record: &Record, is_news: bool) -> Result<Entry, StageError> {
        if !is_news {
            return Ok(Entry::None);
        }
        if self.run.attempt > 1 && self.ports.get(record.key()).await?.is_some() {
            return Ok(Entry::Again);
        }
        let pruned = match self.found.surplus() {
            0 => vec![],
            surplus => oldest(self.ports, JOURNAL, surplus).await?,
        };
        Ok(Entry::New { pruned })
    }
}

/// The addresses of the first documents of a collection.
pub(crate) async fn oldest(
    ports: &impl Ports,
    collection: &str,
    count: u32,
) -> Result<Vec<Key>, StageError> {
    let query = Query {
        collection: collection.to_owned(),
        prefix: None,
        start: None,
        limit: count,
    };
    let listed = ports.list(query).await?;
    Ok(listed.into_iter().map(|document| document.key).collect())
}
