//! What is remembered between polls, besides the last record: budgets of sources, their failures, the schedule, and what was
//! assessed last.

use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::scheduler;
use bulkhead_venues::rate_limit::Budget;
use serde::{Deserialize, Serialize};

use crate::journal::Hop;

/// How long a source is left alone after its first failure, in milliseconds; twice as long after each further one.
const FIRST_RETRY_MS: i64 = 1_000;
/// The longest that a source is left alone after failures, in milliseconds.
const MAX_RETRY_MS: i64 = 60_000;
/// So many failed scheduled runs in a row are as bad as a schedule that stands still.
const MAX_FAILURES: u32 = 3;

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// What is left of the venue's budget.
    pub budget: Budget,
    /// How often it failed since it last answered.
    #[serde(default)]
    pub failures: u32,
    /// It is not asked before this instant, in Unix milliseconds, since it failed.
    #[serde(default)]
    pub retry_at_ms: Option<i64>,
    /// Why it failed last.
    #[serde(default)]
    pub error: Option<String>,
}

impl SourceState {
    /// A source that was not asked yet.
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            failures: 0,
            retry_at_ms: None,
            error: None,
        }
    }

    /// Why it is not asked now: it failed lately.
    pub fn is_resting(&self, now_ms: i64) -> Option<&str> {
        let retry_at_ms = self.retry_at_ms?;
        // An instant that is further away than any wait was written by a clock that was ahead.
        let is_resting = now_ms < retry_at_ms && retry_at_ms <= now_ms.saturating_add(MAX_RETRY_MS);
        is_resting.then(|| self.error.as_deref().unwrap_or("it failed lately"))
    }

    /// It answered.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.retry_at_ms = None;
        self.error = None;
    }

    /// It did not answer.
    pub fn failed(&mut self, why: &str, now_ms: i64) {
        let wait_ms = FIRST_RETRY_MS.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.retry_at_ms = Some(now_ms.saturating_add(wait_ms.min(MAX_RETRY_MS)));
        self.error = Some(why.to_owned());
    }
}

/// What else is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Where the schedule stands.
    pub schedule: Schedule,
    /// When assessments were made last, in Unix milliseconds.
    pub assessed_at_ms: Option<i64>,
    /// How things stood then: see [`crate::assess::Moment`].
    pub assessed_as: String,
    /// Since when the last good bars stand for what no source gives, in Unix milliseconds.
    pub stale_since_ms: Option<i64>,
    /// Macro events.
    pub macro_events: MacroState,
    /// Bars that were put aside since the last row of trends.
    pub rejected: BTreeMap<Dimension, u64>,
    /// How the last run that went from source to source did so; empty since all is well again.
    pub hops: Vec<Hop>,
}

/// What is known of macro events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MacroState {
    /// When they were last asked for, in Unix milliseconds.
    pub asked_at_ms: Option<i64>,
    /// When they last came, in Unix milliseconds.
    pub answered_at_ms: Option<i64>,
    /// How many are stored.
    pub events: u64,
    /// Why they did not come.
    pub error: Option<String>,
}

/// Where the schedule stands, as its runs see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// Whether a scheduled run was seen.
    pub is_enabled: bool,
    /// The instant of the last scheduled run, in Unix milliseconds.
    pub last_scheduled_at_ms: Option<i64>,
    /// The time between the last two, in milliseconds.
    pub interval_ms: Option<i64>,
    /// When a run last ended well, in Unix milliseconds.
    pub last_success_at_ms: Option<i64>,
    /// How many runs failed since.
    pub consecutive_failures: u32,
}

impl Schedule {
    /// A scheduled run begins.
    pub fn fired(&mut self, scheduled_at_ms: i64) {
        self.is_enabled = true;
        if let Some(last) = self.last_scheduled_at_ms
            && scheduled_at_ms > last
        {
            self.interval_ms = Some(scheduled_at_ms.saturating_sub(last));
        }
        self.last_scheduled_at_ms = Some(scheduled_at_ms);
    }

    /// A run ended.
    pub fn ended(&mut self, is_well: bool, now_ms: i64) {
        if is_well {
            self.consecutive_failures = 0;
            self.last_success_at_ms = Some(now_ms);
        } else {
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
    }

    /// As the scheduler's evaluator wants it. None: no scheduled run was seen.
    pub fn for_evaluator(&self) -> Option<scheduler::State> {
        let last = self.last_scheduled_at_ms?;
        Some(scheduler::State {
            running: self.is_enabled,
            consecutive_failures: self.consecutive_failures,
            interval_seconds: self.interval_ms.map(|ms| ms as f64 / 1_000.0),
            jitter_seconds: None,
            max_failures: MAX_FAILURES,
            last_started_at_ms: Some(last),
            last_completed_at_ms: Some(last),
            last_success_at_ms: self.last_success_at_ms,
            next_run_at_ms: self.interval_ms.map(|ms| last.saturating_add(ms)),
        })
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_kernel::assessment::Severity;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_source_rests_longer_after_each_failure_and_is_asked_again_at_once_when_it_answered() {
        let mut source = SourceState::new(Budget::binance());
        let mut waits = vec![];
        for _ in 0..8 {
            source.failed("refused", 0);
            waits.push(source.retry_at_ms.unwrap());
        }
        assert_eq!(
            waits,
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        );
        assert_eq!(source.is_resting(59_999), Some("refused"));
        assert_eq!(source.is_resting(60_000), None);
        source.answered();
        assert_eq!(source.is_resting(0), None);
    }

    #[test]
    fn a_schedule_is_as_bad_as_its_runs() {
        let grade = |schedule: &Schedule, now_ms| {
            let state = schedule.for_evaluator();
            let inputs = scheduler::Inputs {
                enabled: schedule.is_enabled,
                state: state.as_ref(),
            };
            scheduler::assess(&inputs, &scheduler::Policy::default(), now_ms).severity
        };
        let mut schedule = Schedule::default();
        for second in 1..=3 {
            schedule.fired(second * 1_000);
            schedule.ended(true, second * 1_000);
        }
        assert_eq!(schedule.interval_ms, Some(1_000));
        assert_eq!(grade(&schedule, 3_000), Severity::Ok);
        for _ in 0..3 {
            schedule.ended(false, 3_000);
        }
        assert_eq!(grade(&schedule, 3_000), Severity::Fail);
    }
}
