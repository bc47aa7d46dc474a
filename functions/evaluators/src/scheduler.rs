//! Scheduler telemetry: does the ingest schedule run, and does it come to its end?

use bulkhead_kernel::assessment::{Assessment, Issue, Ladder, Severity};
use bulkhead_kernel::instant::rfc3339;

use crate::limit::{above, seconds_between};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.scheduler";
/// The source label.
pub const SOURCE: &str = "timescale_ingest_scheduler";
/// The least time after which a schedule without activity is stale, in seconds.
const MIN_STALE_AFTER_SECONDS: f64 = 60.0;
/// A run that is so late, in milliseconds, is overdue.
const OVERDUE_MS: i64 = 1_000;

/// When a schedule is stale.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Without activity for longer than this, in seconds, the schedule is stale. None: so many intervals, a minute at least.
    pub stale_after_seconds: Option<f64>,
    /// How many intervals without activity make a schedule stale.
    pub stale_after_intervals: f64,
    /// The same in seconds, for a schedule whose interval is unknown.
    pub stale_without_interval_seconds: f64,
}

impl Default for Policy {
    /// Three intervals, or five minutes.
    fn default() -> Self {
        Self {
            stale_after_seconds: None,
            stale_after_intervals: 3.0,
            stale_without_interval_seconds: 300.0,
        }
    }
}

/// Where a schedule stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// How many runs failed since the last success.
    pub consecutive_failures: u32,
    /// The time between two runs, in seconds.
    pub interval_seconds: Option<f64>,
    /// By how much a run may be early or late, in seconds.
    pub jitter_seconds: Option<f64>,
    /// After so many failures in a row it stops. 0: never.
    pub max_failures: u32,
    /// When the last run began, in Unix milliseconds.
    pub last_started_at_ms: Option<i64>,
    /// When the last run ended, in Unix milliseconds.
    pub last_completed_at_ms: Option<i64>,
    /// When the last run ended well, in Unix milliseconds.
    pub last_success_at_ms: Option<i64>,
    /// When the next run is to begin, in Unix milliseconds.
    pub next_run_at_ms: Option<i64>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Whether ingest is to run on a schedule.
    pub enabled: bool,
    /// Where the schedule stands. None: there is none.
    pub state: Option<&'a State>,
}

/// Grades the schedule.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    assessment.annotate("enabled", inputs.enabled);
    if !inputs.enabled {
        let message = "scheduling is disabled";
        assessment.raise(Issue::new("disabled", Severity::Warn, message));
    }
    let Some(state) = inputs.state else {
        if inputs.enabled {
            let message = "there is no schedule";
            assessment.raise(Issue::new("no_state", Severity::Fail, message));
        }
        return assessment;
    };
    if inputs.enabled && !state.running {
        let message = "the schedule does not run";
        assessment.raise(Issue::new("not_running", Severity::Fail, message));
    }
    failures(&mut assessment, state);
    activity(&mut assessment, state, policy, now_ms);
    overdue(&mut assessment, state, now_ms);
    describe(&mut assessment, state, policy);
    assessment
}

fn failures(assessment: &mut Assessment, state: &State) {
    let (failures, max) = (state.consecutive_failures, state.max_failures);
    let severity = match failures {
        0 => return,
        _ if max > 0 && failures >= max => Severity::Fail,
        _ => Severity::Warn,
    };
    let message = format!("{failures} failures in a row, of {max} allowed");
    assessment.raise(Issue::new("failures", severity, message));
}

/// A schedule that has stopped warns no more: it fails.
fn late(state: &State) -> Severity {
    if state.running {
        Severity::Warn
    } else {
        Severity::Fail
    }
}

fn activity(assessment: &mut Assessment, state: &State, policy: &Policy, now_ms: i64) {
    let last = state
        .last_success_at_ms
        .or(state.last_completed_at_ms)
        .or(state.last_started_at_ms);
    let Some(last_ms) = last else {
        let message = "no run is known";
        assessment.raise(Issue::new("no_activity", Severity::Warn, message));
        return;
    };
    let (age, limit) = (
        seconds_between(last_ms, now_ms),
        stale_after_seconds(state, policy),
    );
    if above(age, limit) {
        let message = format!("the last activity was {age:.0} s ago, longer than {limit:.0} s");
        assessment.raise(Issue::new("stale", late(state), message));
    }
}

fn stale_after_seconds(state: &State, policy: &Policy) -> f64 {
    let by_interval = || {
        let intervals = |interval: f64| policy.stale_after_intervals * interval;
        state
            .interval_seconds
            .map(|interval| intervals(interval).max(MIN_STALE_AFTER_SECONDS))
    };
    policy
        .stale_after_seconds
        .or_else(by_interval)
        .unwrap_or(policy.stale_without_interval_seconds)
}

fn overdue(assessment: &mut Assessment, state: &State, now_ms: i64) {
    let Some(next_ms) = state.next_run_at_ms else {
        return;
    };
    let late_ms = now_ms.saturating_sub(next_ms);
    if late_ms >= OVERDUE_MS {
        let message = format!("the next run is {} s overdue", late_ms / 1_000);
        assessment.raise(Issue::new("overdue", late(state), message));
    }
}

fn describe(assessment: &mut Assessment, state: &State, policy: &Policy) {
    assessment.annotate("running", state.running);
    assessment.annotate("consecutive_failures", state.consecutive_failures);
    assessment.annotate("interval_seconds", state.interval_seconds);
    assessment.annotate("jitter_seconds", state.jitter_seconds);
    assessment.annotate("max_failures", state.max_failures);
    for (key, instant) in [
        ("last_started_at", state.last_started_at_ms),
        ("last_completed_at", state.last_completed_at_ms),
        ("last_success_at", state.last_success_at_ms),
        ("next_run_at", state.next_run_at_ms),
    ] {
        if let Some(unix_ms) = instant {
            assessment.annotate(key, rfc3339(unix_ms));
        }
    }
    assessment.annotate("stale_after_seconds", stale_after_seconds(state, policy));
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN};

    fn state() -> State {
        State {
            running: true,
            interval_seconds: Some(3_600.0),
            jitter_seconds: Some(120.0),
            max_failures: 3,
            last_success_at_ms: Some(NOW_MS),
            ..State::default()
        }
    }

    fn ago(seconds: f64) -> Option<i64> {
        Some(NOW_MS - (seconds * 1_000.0) as i64)
    }

    fn check(enabled: bool, state: Option<State>, expect: Severity, categories: &[&str]) {
        let inputs = Inputs {
            enabled,
            state: state.as_ref(),
        };
        let assessment = assess(&inputs, &Policy::default(), NOW_MS);
        let found: Vec<&str> = assessment
            .issues
            .iter()
            .map(|issue| issue.category.as_str())
            .collect();
        assert_eq!(
            (assessment.severity, found.as_slice()),
            (expect, categories),
            "{state:?}"
        );
    }

    #[test]
    fn a_schedule_that_runs_is_ok() {
        check(true, Some(state()), OK, &[]);
    }

    #[test]
    fn a_disabled_schedule_warns() {
        check(false, Some(state()), WARN, &["disabled"]);
        check(false, None, WARN, &["disabled"]);
    }

    #[test]
    fn an_enabled_schedule_that_is_not_there_or_does_not_run_fails() {
        check(true, None, FAIL, &["no_state"]);
        let stopped = State {
            running: false,
            ..state()
        };
        check(true, Some(stopped.clone()), FAIL, &["not_running"]);
        check(false, Some(stopped), WARN, &["disabled"]);
    }

    #[test]
    fn failures_in_a_row_warn_and_fail_from_the_maximum_on() {
        for (failures, max, expect, categories) in [
            (0, 3, OK, &[][..]),
            (1, 3, WARN, &["failures"]),
            (2, 3, WARN, &["failures"]),
            (3, 3, FAIL, &["failures"]),
            (4, 3, FAIL, &["failures"]),
            (1, 1, FAIL, &["failures"]),
            (0, 0, OK, &[]),
            (9, 0, WARN, &["failures"]),
        ] {
            let state = State {
                consecutive_failures: failures,
                max_failures: max,
                ..state()
            };
            check(true, Some(state), expect, categories);
        }
    }

    #[test]
    fn a_schedule_without_any_activity_warns() {
        let state = State {
            last_success_at_ms: None,
            ..state()
        };
        check(true, Some(state), WARN, &["no_activity"]);
    }

    #[test]
    fn a_schedule_is_stale_after_three_intervals_a_minute_at_least_or_five_minutes() {
        for (interval, limit) in [
            (Some(3_600.0), 10_800.0),
            (Some(21.0), 63.0),
            (Some(20.0), 60.0),
            (Some(1.0), 60.0),
            (None, 300.0),
        ] {
            for (age, expect, categories) in [
                (limit - 0.001, OK, &[][..]),
                (limit, OK, &[]),
                (limit + 0.001, WARN, &["stale"]),
            ] {
                let state = State {
                    interval_seconds: interval,
                    last_success_at_ms: ago(age),
                    ..state()
                };
                check(true, Some(state), expect, categories);
            }
        }
    }

    #[test]
    fn an_explicit_stale_limit_counts_before_the_interval() {
        let policy = Policy {
            stale_after_seconds: Some(5.0),
            ..Policy::default()
        };
        for (age, expect) in [(5.0, OK), (5.001, WARN)] {
            let state = State {
                last_success_at_ms: ago(age),
                ..state()
            };
            let inputs = Inputs {
                enabled: true,
                state: Some(&state),
            };
            assert_eq!(assess(&inputs, &policy, NOW_MS).severity, expect);
        }
    }

    #[test]
    fn staleness_and_lateness_of_a_stopped_schedule_fail() {
        let stale = State {
            running: false,
            last_success_at_ms: ago(10_801.0),
            next_run_at_ms: ago(1.0),
            ..state()
        };
        check(false, Some(stale), FAIL, &["disabled", "stale", "overdue"]);
    }

    #[test]
    fn the_last_activity_is_a_success_before_a_completion_before_a_start() {
        let old = ago(10_801.0);
        let state = |success, completed, started| State {
            last_success_at_ms: success,
            last_completed_at_ms: completed,
            last_started_at_ms: started,
            ..state()
        };
        check(true, Some(state(old, ago(0.0), ago(0.0))), WARN, &["stale"]);
        check(true, Some(state(None, old, ago(0.0))), WARN, &["stale"]);
        check(true, Some(state(None, None, old)), WARN, &["stale"]);
        check(true, Some(state(ago(0.0), old, old)), OK, &[]);
    }

    #[test]
    fn a_run_is_overdue_from_a_whole_second_on() {
        for (late, expect, categories) in [
            (-60.0, OK, &[][..]),
            (0.0, OK, &[]),
            (0.999, OK, &[]),
            (1.0, WARN, &["overdue"]),
            (1.5, WARN, &["overdue"]),
        ] {
            let state = State {
                next_run_at_ms: ago(late),
                ..state()
            };
            check(true, Some(state), expect, categories);
        }
    }

    #[test]
    fn the_assessment_tells_where_the_schedule_stands() {
        let inputs = Inputs {
            enabled: true,
            state: Some(&state()),
        };
        let json = assess(&inputs, &Policy::default(), NOW_MS).to_json();
        assert_eq!(
            json["metadata"],
            serde_json::json!({
                "enabled": true,
                "running": true,
                "consecutive_failures": 0,
                "interval_seconds": 3_600.0,
                "jitter_seconds": 120.0,
                "max_failures": 3,
                "last_success_at": "2022-01-01T00:00:00.000Z",
                "stale_after_seconds": 10_800.0,
            })
        );
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn any_state_of_a_schedule_is_graded(last in any::<i64>(), next in any::<i64>(), interval in any::<f64>(), now_ms in any::<i64>()) {
                let state = State {
                    interval_seconds: Some(interval),
                    last_success_at_ms: Some(last),
                    next_run_at_ms: Some(next),
                    ..state()
                };
                let inputs = Inputs { enabled: true, state: Some(&state) };
                let severity = assess(&inputs, &Policy::default(), now_ms).severity;
                prop_assert!(severity != OK || now_ms.saturating_sub(next) < OVERDUE_MS);
            }
        }
    }
}
