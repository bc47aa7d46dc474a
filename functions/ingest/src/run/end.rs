//! What became of each series in a run, and how the run ended.

use bulkhead_kernel::stage::StageError;

use super::{ALL_SOURCES_FAILED, Ended, Polled, SERIES_FAILED, Work};
use crate::assess;
use crate::journal::{Record, SeriesResult, Status};
use crate::pass::{Progress, SeriesRun};
use crate::ports::Ports;
use crate::series;

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
        self.count_rejected(&record);
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
        let (health, quality) = (self.health_policy(), self.quality_policy());
        let mut sources: Vec<String> = vec![];
        for series in &self.series {
            let mut series = series.borrow_mut();
            if series.known.is_behind || series.progress == Progress::Left {
                record.behind += 1;
            }
            if let Some(source) = &series.served_by
                && !sources.contains(source)
            {
                sources.push(source.clone());
            }
            let was_asked =
                series.tally.pages > 0 || matches!(series.progress, Progress::Failed(_));
            if was_asked {
                let limit = health.limits.of(series.dimension).freshness_limit_seconds;
                let SeriesRun { known, shape, .. } = &mut *series;
                known.grade(shape, limit, &quality, self.now_ms());
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

    /// Counts the bars that were put aside since the last row of trends. The same as in the run before are not counted again.
    fn count_rejected(&mut self, record: &Record) {
        if self.found.has_quarantined(&record.quarantined) {
            return;
        }
        for series in &self.series {
            let series = series.borrow();
            if series.tally.quarantined > 0 {
                let rejected = self.asked.memory.rejected.entry(series.dimension);
                let rejected = rejected.or_default();
                *rejected = rejected.saturating_add(u64::from(series.tally.quarantined));
            }
        }
    }

    /// What became of a series that is graded already.
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
            filled_to_ms: series.known.filled_to_ms,
            freshness_seconds: series.known.age_seconds(&series.shape, self.now_ms()),
            status: series.known.status.clone(),
            score: series.known.score,
            why: series.known.why.clone(),
            is_behind: series.known.is_behind,
            error: series
                .progress
                .error()
                .map(|error| series::cut(error, series::MAX_ERROR_BYTES)),
        }
    }
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
