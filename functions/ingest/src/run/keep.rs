//! Ends a run: what became of each series, the record, the assessments, and the one commit that holds all of it.

use std::cell::Ref;
use std::collections::BTreeMap;

use bulkhead_evaluators::anomalies::TickSeries;
use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::failover_drill;
use bulkhead_evaluators::ingest_health::HealthReport;
use bulkhead_evaluators::journal::JournalRecord;
use bulkhead_kernel::assessment::{Assessment, Ladder, history};
use bulkhead_kernel::stage::{BarsQuery, Event, Key, Query, StageError, Write, read_body};
use bulkhead_kernel::timeframe::Timeframe;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ALL_SOURCES_FAILED, Ended, Polled, SERIES_FAILED, Work};
use crate::assess::{self, Assessed, Moment, Replica, View};
use crate::join;
use crate::journal::{DimensionRecord, Entry, JOURNAL, Left, Record, SeriesResult, Status};
use crate::macro_events;
use crate::pass::{Progress, SeriesRun};
use crate::ports::Ports;
use crate::series::{self, Known, Ledger};

/// Of how many series prices are looked at for false ticks, at each assessment.
const MAX_TICK_SERIES: usize = 32;
/// How many prices of a series.
const TICKS: u32 = 32;
/// The most symbols that a record names as missing.
const MAX_MISSING_NAMED: usize = 20;

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
struct Trend {
    rows: Vec<JournalRecord>,
}

fn trend_key() -> Key {
    Key::new("ingest", "trend")
}

/// The document that says whether the last good bars stand, and which they are.
pub(crate) fn last_good_key() -> Key {
    Key::new("ingest", "last_good")
}

/// How many series a run has of each kind.
#[derive(Debug, Default)]
struct Tallies {
    done: usize,
    idle: usize,
    rate_limited: usize,
    /// Of them, those that are too old to wait for.
    limited_and_missing: usize,
    failed: usize,
    denied: usize,
    first_error: Option<StageError>,
}

impl<P: Ports> Work<'_, P> {
    /// Ends the run. `trouble` is the store's, met on the way.
    pub(super) async fn end(mut self, trouble: Option<StageError>) -> Result<Ended, StageError> {
        let tallies = self.note_failures(trouble.as_ref());
        let mut record = self.record();
        self.describe(&mut record);
        let all_failed = self.nothing_came(&tallies);
        record.status = status(&tallies, &record, trouble.as_ref(), all_failed);
        record.not_before_ms = self
            .asked
            .not_before_ms
            .filter(|_| tallies.rate_limited > 0);
        let error = trouble.as_ref().or(tallies.first_error.as_ref());
        record.error = error.map(|error| series::cut(error.detail(), series::MAX_ERROR_BYTES));
        let has_failed = trouble.is_some() || tallies.failed > 0;
        self.asked.memory.schedule.ended(!has_failed, self.now_ms());
        record.stale = all_failed || self.is_standing(&tallies);
        let stale = record
            .stale
            .then(|| (ALL_SOURCES_FAILED, record.error.clone().unwrap_or_default()));
        let kept = match self.judge(&mut record, stale).await {
            Ok(kept) => self.keep(kept).await,
            Err(error) => Err(error),
        };
        if let Some(error) = trouble.or_else(|| denied(&tallies)) {
            return Err(match kept {
                Ok(_) => error,
                Err(store) => {
                    error.followed_by(&format!("the record was not kept: {}", store.detail()))
                }
            });
        }
        let events = kept?;
        let how = match record.not_before_ms {
            _ if record.rows > 0 => Polled::Stored(record),
            Some(not_before_ms) if tallies.failed == 0 => Polled::RateLimited { not_before_ms },
            _ if all_failed => Polled::Held(ALL_SOURCES_FAILED, record),
            _ if tallies.failed > 0 => Polled::Held(SERIES_FAILED, record),
            _ => Polled::NothingNew(record),
        };
        Ok(Ended { how, events })
    }

    /// Whether no source gave anything of what was due. What is not due says nothing of that; but where something is idle, a series that
    /// a source refused takes the others' good name only if no source answers at all.
    fn nothing_came(&self, tallies: &Tallies) -> bool {
        let is_failing = tallies.failed + tallies.limited_and_missing > 0;
        is_failing && tallies.done == 0 && (tallies.idle == 0 || self.no_source_answers())
    }

    /// Whether each source failed last, or its budget is used up.
    fn no_source_answers(&self) -> bool {
        let now_ms = self.ports.now_ms();
        self.settings.sources.iter().all(|source| {
            let state = self.asked.sources.get(&source.to_string());
            state.is_some_and(|state| {
                state.failures > 0 || state.budget.may_send(1, now_ms).is_err()
            })
        })
    }

    /// Whether the last good bars still stand: nothing came since.
    fn is_standing(&self, tallies: &Tallies) -> bool {
        self.asked.memory.stale_since_ms.is_some() && tallies.done == 0
    }

    /// Notes with each series that no source gave it; what the store did wrong is no source's fault.
    fn note_failures(&mut self, trouble: Option<&StageError>) -> Tallies {
        let now_ms = self.run.scheduled_at_ms;
        let limits = self.health_policy().limits;
        let mut tallies = Tallies::default();
        for series in &self.series {
            let mut series = series.borrow_mut();
            match series.progress.clone() {
                Progress::Done | Progress::Left => tallies.done += 1,
                Progress::Idle | Progress::Wanted => tallies.idle += 1,
                Progress::RateLimited => {
                    tallies.rate_limited += 1;
                    let limit = limits.of(series.dimension).freshness_limit_seconds;
                    if assess::is_missing(&series, limit, now_ms) {
                        tallies.limited_and_missing += 1;
                        let why = "the venue limits the rate".to_owned();
                        tallies
                            .first_error
                            .get_or_insert(StageError::Unavailable(why));
                    }
                }
                Progress::Waiting(why) => {
                    tallies.failed += 1;
                    tallies
                        .first_error
                        .get_or_insert(StageError::Unavailable(why));
                }
                Progress::Failed(error) => {
                    tallies.failed += 1;
                    if trouble.is_none() {
                        series.known.failed(error.detail(), now_ms);
                    }
                    if matches!(error, StageError::Denied(_)) {
                        tallies.denied += 1;
                        series.known.retry_at_ms = None;
                    }
                    tallies.first_error.get_or_insert(error);
                }
            }
        }
        tallies
    }

    fn describe(&self, record: &mut Record) {
        let mut sources: Vec<String> = vec![];
        for series in &self.series {
            let series = series.borrow();
            if let Some(source) = &series.served_by
                && !sources.contains(source)
            {
                sources.push(source.clone());
            }
            let was_asked =
                series.tally.pages > 0 || matches!(series.progress, Progress::Failed(_));
            if was_asked {
                record.add(self.result(&series), &series.quarantined);
            }
        }
        if !sources.is_empty() {
            record.source = sources.join(", ");
        }
        record.bound();
        record.recovery_attempts = self.asked.recovery.attempts();
        record.failover.clone_from(&self.asked.hops);
        record.duration_ms = self.ports.elapsed_ms();
    }

    fn result(&self, series: &SeriesRun) -> SeriesResult {
        let tally = &series.tally;
        SeriesResult {
            dimension: series.dimension,
            instrument: series.instrument.to_string(),
            source: series.served_by.clone(),
            pages: tally.pages,
            inserted: tally.appended.inserted,
            updated: tally.appended.updated,
            unchanged: tally.appended.unchanged,
            quarantined: tally.quarantined,
            newest_open_time_ms: series.known.newest_open_time_ms,
            freshness_seconds: series.known.age_seconds(&series.shape, self.now_ms()),
            is_behind: series.known.is_behind,
            error: series.progress.error().map(str::to_owned),
        }
    }

    /// Grades what there is to grade, if anything happened or a minute passed.
    async fn judge(
        &mut self,
        record: &mut Record,
        stale: Option<(&'static str, String)>,
    ) -> Result<Kept, StageError> {
        let now_ms = self.now_ms();
        let mut kept = Kept {
            record: record.clone(),
            assessments: vec![],
            moment: self.asked.memory.assessed_as.clone(),
            trend: None,
            stale,
        };
        let is_news = self.found.is_news(record);
        if !is_news && !assess::is_due_by_time(&self.asked.memory, now_ms) {
            return Ok(kept);
        }
        let plan = self.evaluated_plan();
        let results = self.missing_results();
        let health = self.health(&plan, &results);
        record.dimensions = self.dimension_records(&health, record);
        kept.record = record.clone();
        let moment = Moment::new(&health, &self.asked.hops, record.stale);
        if !assess::is_due(&self.asked.memory, &moment, record.rows > 0, now_ms) {
            return Ok(kept);
        }
        self.read_first_bars().await?;
        let seen = self.look_around().await?;
        let decision = self.decide();
        let held = {
            let borrowed: Vec<Ref<'_, SeriesRun>> =
                self.series.iter().map(|series| series.borrow()).collect();
            let series: Vec<&SeriesRun> = borrowed.iter().map(|series| &**series).collect();
            let macro_events = self.plan.macro_events.then_some(seen.macro_events.as_ref());
            assess::held(&series, macro_events)
        };
        let Assessed { assessments, rows } = assess::all(&View {
            run_id: self.run.run_id,
            plan: &plan,
            results: &results,
            health: &health,
            quality: &self.quality_policy(),
            ticks: &seen.ticks,
            recovery: &self.asked.recovery,
            decision: &decision,
            hops: &self.asked.hops,
            held: &held,
            earlier: &seen.trend.rows,
            schedule: &self.asked.memory.schedule,
            drill: seen.drill.as_ref(),
            replica: seen.replica.as_ref(),
            now_ms,
        });
        kept.assessments = assessments;
        kept.moment = moment.0;
        kept.trend = Some((seen.trend_revision, rows));
        Ok(kept)
    }

    fn dimension_records(&self, health: &HealthReport, record: &Record) -> Vec<DimensionRecord> {
        let rows = |dimension: Dimension| {
            let series = self.series.iter().map(|series| series.borrow());
            let of_it = series.filter(|series| series.dimension == dimension);
            of_it
                .map(|series| u64::from(series.tally.appended.rows()))
                .sum()
        };
        let records = health.dimensions.iter().map(|health_of| {
            let mut message = health_of.message.clone();
            if health_of.dimension == Dimension::MacroEvents
                && let Some(error) = &self.asked.memory.macro_events.error
            {
                message = format!("{message}; {error}");
            }
            let missing = &health_of.missing_symbols;
            DimensionRecord {
                dimension: health_of.dimension,
                status: health.assessment.ladder.word(health_of.severity).to_owned(),
                message,
                rows: rows(health_of.dimension),
                symbols: health_of.expected_symbols.len(),
                missing: missing.len(),
                missing_symbols: missing.iter().take(MAX_MISSING_NAMED).cloned().collect(),
                freshness_seconds: health_of.freshness_seconds,
                duration_ms: record.duration_ms,
                source: health_of.source.clone(),
                recovery_attempts: record.recovery_attempts,
            }
        });
        records.collect()
    }

    /// When the first stored bar of each series opens: somebody may have let go of bars, which nothing else of a series tells.
    async fn read_first_bars(&self) -> Result<(), StageError> {
        join::each(&self.series, |series| async move {
            let query = {
                let series = series.borrow();
                BarsQuery {
                    instrument: series.instrument.to_string(),
                    timeframe: series.shape.timeframe.to_string(),
                    start_ms: None,
                    end_ms: None,
                    limit: 1,
                    last: false,
                }
            };
            let first = self.ports.read_bars(query).await?;
            series.borrow_mut().known.earliest_open_time_ms = first.open_time_ms.first().copied();
            Ok(())
        })
        .await
    }

    /// What assessments need besides the run itself.
    async fn look_around(&self) -> Result<Seen, StageError> {
        let trend = self.ports.get(trend_key()).await?;
        let drill = self
            .ports
            .get(history::latest_key(failover_drill::TOPIC))
            .await?;
        let replica = self
            .ports
            .get(Key::new("ingest_replica", "current"))
            .await?;
        let replica = replica.map(|document| {
            serde_json::from_str::<Replica>(&document.body).map_err(|error| error.to_string())
        });
        Ok(Seen {
            trend: match &trend {
                Some(document) => read_body(document)?,
                None => Trend::default(),
            },
            trend_revision: trend.map(|document| document.revision),
            drill: drill.and_then(|document| last_drill(&document.body, self.now_ms())),
            replica,
            macro_events: self.stored_events().await?,
            ticks: self.ticks().await?,
        })
    }

    /// Macro events as they are stored; what this run brought in is not yet.
    async fn stored_events(&self) -> Result<Option<macro_events::Calendar>, StageError> {
        if !self.plan.macro_events {
            return Ok(None);
        }
        let stored = self.ports.get(macro_events::key()).await?;
        stored.as_ref().map(read_body).transpose()
    }

    /// The closes of some series: each time of others.
    async fn ticks(&self) -> Result<Vec<TickSeries>, StageError> {
        let count = self.series.len().max(1);
        let minute =
            usize::try_from(self.now_ms().div_euclid(assess::AT_LEAST_EVERY_MS)).unwrap_or(0);
        let first = (minute % count.div_ceil(MAX_TICK_SERIES)) * MAX_TICK_SERIES;
        let some = self.series.iter().skip(first).take(MAX_TICK_SERIES);
        let found = std::cell::RefCell::new(vec![]);
        join::each(some, |series| {
            let (found, ports) = (&found, self.ports);
            async move {
                let (dimension, symbol, timeframe) = {
                    let series = series.borrow();
                    let timeframe = series.shape.timeframe.to_string();
                    (series.dimension, series.instrument.to_string(), timeframe)
                };
                let query = BarsQuery {
                    instrument: symbol.clone(),
                    timeframe,
                    start_ms: None,
                    end_ms: None,
                    limit: TICKS,
                    last: true,
                };
                let bars = ports.read_bars(query).await?;
                let scale = 10_f64.powi(i32::from(bars.price_scale));
                found.borrow_mut().push(TickSeries {
                    dimension,
                    symbol,
                    prices: bars
                        .close
                        .iter()
                        .map(|close| *close as f64 / scale)
                        .collect(),
                });
                Ok::<(), StageError>(())
            }
        })
        .await?;
        Ok(found.into_inner())
    }

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

/// What assessments need besides the run itself.
struct Seen {
    trend: Trend,
    trend_revision: Option<u64>,
    drill: Option<Assessment>,
    replica: Option<Result<Replica, String>>,
    macro_events: Option<macro_events::Calendar>,
    ticks: Vec<TickSeries>,
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

/// The last drill, as far as others look at it: how it ended.
fn last_drill(body: &str, now_ms: i64) -> Option<Assessment> {
    let body: Value = serde_json::from_str(body).ok()?;
    let severity = Ladder::OK_WARN_FAIL.parse(body["status"].as_str()?)?;
    let mut drill = Assessment::new(
        failover_drill::TOPIC,
        failover_drill::SOURCE,
        Ladder::OK_WARN_FAIL,
        now_ms,
    );
    drill.severity = severity;
    Some(drill)
}

fn status(
    tallies: &Tallies,
    record: &Record,
    trouble: Option<&StageError>,
    all_failed: bool,
) -> Status {
    let has_failed = trouble.is_some() || tallies.failed > 0;
    match (has_failed, tallies.rate_limited) {
        (false, 0) => Status::Success,
        (false, _) => Status::RateLimited,
        (true, _) if record.rows > 0 || tallies.done > 0 => Status::Partial,
        (true, _) if tallies.idle > 0 && !all_failed => Status::Partial,
        (true, _) => Status::Failed,
    }
}

/// The grants covered no source: an error of the deployment, not of a venue.
fn denied(tallies: &Tallies) -> Option<StageError> {
    let all = tallies.failed > 0 && tallies.denied == tallies.failed && tallies.done == 0;
    tallies.first_error.clone().filter(|_| all)
}
