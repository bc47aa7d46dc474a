//! The task `poll`: carries out what the pure modules decide. The order of a run: read what is known and what is planned;
//! validate; ask the sources in their order, each with recovery before the next; ask for macro events; assess; commit.
//!
//! Bars are stored page by page as they come, and everything else in one commit at the end: a run that is cut short anywhere
//! stores again what it had stored, which changes nothing.

use std::cell::RefCell;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::{Event, StageError};

use crate::assess;
use crate::journal::{Found, Record, Status, state_key};
use crate::pass::{Progress, SeriesRun};
use crate::plan::{self, Plan, calendar};
use crate::poll::Tally;
use crate::ports::Ports;
use crate::series::{Known, Ledger, Shape};
use crate::settings::Settings;

mod ask;
mod end;
mod judge;
mod keep;
mod look;
#[cfg(test)]
mod tests;

pub(crate) use keep::oldest;

/// Which run this is.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its identity.
    pub run_id: &'a str,
    /// The instant it was meant for, in Unix milliseconds: its *now*.
    pub scheduled_at_ms: i64,
    /// 1 on the first attempt.
    pub attempt: u32,
    /// Whether a schedule started it.
    pub is_scheduled: bool,
}

/// How a poll came to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// Bars were inserted or updated.
    Stored(Record),
    /// The venue had nothing new.
    NothingNew(Record),
    /// The venue limits the rate, now or since an earlier poll; no request before this instant, in Unix milliseconds.
    RateLimited {
        /// When to come back.
        not_before_ms: i64,
    },
    /// Nothing new was stored, and something is wrong: the word says what.
    Held(&'static str, Record),
}

/// The end of a poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How it came to it.
    pub how: Polled,
    /// What is told to the event bus.
    pub events: Vec<Event>,
}

/// No source gave anything of what was asked for: the last good bars stand.
pub const ALL_SOURCES_FAILED: &str = "all_sources_failed";
/// Some series were not given by any source, and the others had nothing new.
pub const SERIES_FAILED: &str = "series_failed";
/// What the run needs was not there: nothing was asked for, and the last good bars stand.
pub const VALIDATION_FAILED: &str = "backbone_validation_failed";

/// A run in progress.
pub(crate) struct Work<'a, P> {
    ports: &'a P,
    settings: &'a Settings,
    run: Run<'a>,
    found: Found,
    plan: Plan,
    series: Vec<RefCell<SeriesRun>>,
    ledgers: Vec<keep::StoredLedger>,
    asked: ask::Asked,
}

/// Brings in what is planned, and keeps the record.
///
/// # Errors
/// The store does not answer, its documents are not this stage's, or the grants cover no source.
pub async fn poll(
    ports: &impl Ports,
    settings: &Settings,
    run: Run<'_>,
) -> Result<Ended, StageError> {
    let found = Found::read(ports.get(state_key()).await?).map_err(StageError::Internal)?;
    let document = ports.get(plan::key()).await?;
    let body = document.as_ref().map(|document| document.body.as_str());
    let (plan, halted) = match Plan::read(settings, body) {
        Ok(plan) => {
            let halted = plan.halted.clone();
            (plan, halted)
        }
        Err(why) => (Plan::of(settings), Some(why)),
    };
    let mut work = Work::begin(ports, settings, run, found, plan).await?;
    if let Some(why) = halted {
        return work.abort(&why).await;
    }
    work.asked.memory_of(&work.found, run, settings);
    let asked = work.ask().await;
    work.end(asked.err()).await
}

impl<'a, P: Ports> Work<'a, P> {
    async fn begin(
        ports: &'a P,
        settings: &'a Settings,
        run: Run<'a>,
        found: Found,
        plan: Plan,
    ) -> Result<Self, StageError> {
        let mut work = Self {
            ports,
            settings,
            run,
            found,
            plan,
            series: vec![],
            ledgers: vec![],
            asked: ask::Asked::default(),
        };
        for dimension in [Dimension::DailyBars, Dimension::IntradayTrades] {
            let Some(bars) = work.plan.bars(dimension).cloned() else {
                continue;
            };
            let stored = keep::StoredLedger::read(ports, dimension).await?;
            for instrument in &bars.symbols {
                let shape = Shape {
                    timeframe: bars.timeframe,
                    calendar: calendar(instrument, settings),
                    lookback_days: bars.lookback_days,
                };
                let known = stored.known(bars.timeframe, instrument.as_str());
                let series = work.series_run(dimension, instrument, shape, known);
                work.series.push(RefCell::new(series));
            }
            work.ledgers.push(stored);
        }
        Ok(work)
    }

    fn series_run(
        &self,
        dimension: Dimension,
        instrument: &Instrument,
        shape: Shape,
        known: Known,
    ) -> SeriesRun {
        let now_ms = self.now_ms();
        let progress = if known.must_wait(now_ms) {
            Progress::Waiting(known.error.clone().unwrap_or_default())
        } else if known.is_due(&shape, now_ms) || known.error.is_some() {
            Progress::Wanted
        } else {
            Progress::Idle
        };
        SeriesRun {
            dimension,
            instrument: instrument.clone(),
            shape,
            known,
            progress,
            tally: Tally::default(),
            served_by: None,
            quarantined: vec![],
            has_older_bars: false,
        }
    }

    /// The run's *now*, in Unix milliseconds.
    fn now_ms(&self) -> i64 {
        self.run.scheduled_at_ms
    }

    /// Ends a run that may ask for nothing.
    async fn abort(&mut self, why: &str) -> Result<Ended, StageError> {
        let now_ms = self.now_ms();
        self.asked.memory_of(&self.found, self.run, self.settings);
        let plan = self.plan.for_evaluators(self.settings, now_ms);
        let validation = assess::validation(&plan, Some(why), now_ms);
        let mut record = self.record();
        record.status = Status::Aborted;
        record.error = Some(why.to_owned());
        self.asked.memory.schedule.ended(false, now_ms);
        record.stale = true;
        record.duration_ms = self.ports.elapsed_ms();
        // What is known of the series stays as it is: the plan may be another one.
        self.series.clear();
        let assessments = assess::aborted(validation, &plan, now_ms);
        let is_due = assess::is_due_by_time(&self.asked.memory, now_ms)
            || self.asked.memory.assessed_as != why;
        let kept = keep::Kept {
            record: record.clone(),
            assessments: if is_due { assessments } else { vec![] },
            moment: why.to_owned(),
            trend: None,
            stale: Some((VALIDATION_FAILED, why.to_owned())),
        };
        let events = self.keep(kept).await?;
        Ok(Ended {
            how: Polled::Held(VALIDATION_FAILED, record),
            events,
        })
    }

    fn record(&self) -> Record {
        let source = self.settings.sources.first();
        Record::new(
            self.run.run_id,
            self.run.scheduled_at_ms,
            source.map(ToString::to_string).unwrap_or_default(),
        )
    }
}

impl keep::StoredLedger {
    fn known(&self, timeframe: bulkhead_kernel::timeframe::Timeframe, instrument: &str) -> Known {
        let ledger: Option<&Ledger> = self.ledger.as_ref();
        ledger
            .filter(|ledger| ledger.timeframe == timeframe)
            .and_then(|ledger| ledger.symbols.get(instrument))
            .cloned()
            .unwrap_or_default()
    }
}
