//! Cross-region failover: could the replica take over from the primary?

use std::collections::BTreeSet;

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};

use crate::dimension::Dimension;
use crate::findings::Findings;
use crate::journal::{JournalRecord, newest_first};
use crate::limit::{above, round, seconds_between};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.cross_region_failover";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// How far the replica may be behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Above this distance between the latest runs of both sides, in seconds, either way: warn.
    pub warn_after_seconds: f64,
    /// Above this distance: fail. At least [`Policy::warn_after_seconds`].
    pub fail_after_seconds: f64,
    /// Above this difference in rows, as a fraction of the primary's: warn. From 0 to 1.
    pub max_row_difference_ratio: f64,
    /// Above this interval of the schedule, in seconds: warn. None: any interval will do.
    pub max_schedule_interval_seconds: Option<f64>,
    /// What is compared. Empty: what the primary has.
    pub dimensions: Vec<Dimension>,
    /// The primary's region.
    pub primary_region: Option<String>,
    /// The replica's region.
    pub replica_region: Option<String>,
}

impl Default for Policy {
    /// 15 and 30 minutes; 5 % of the rows; any interval; what the primary has.
    fn default() -> Self {
        Self {
            warn_after_seconds: 900.0,
            fail_after_seconds: 1_800.0,
            max_row_difference_ratio: 0.05,
            max_schedule_interval_seconds: None,
            dimensions: vec![],
            primary_region: None,
            replica_region: None,
        }
    }
}

/// The schedule, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Schedule<'a> {
    /// What the scheduler's evaluator said.
    pub assessment: &'a Assessment,
    /// The time between two runs, in seconds.
    pub interval_seconds: Option<f64>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The primary's journal; the newest record of a dimension counts.
    pub primary: &'a [JournalRecord],
    /// The replica's, or why it could not be read.
    pub replica: Result<&'a [JournalRecord], &'a str>,
    /// The schedule. None: nothing is known of it.
    pub schedule: Option<Schedule<'a>>,
    /// The last failover drill, if there was one.
    pub drill: Option<&'a Assessment>,
}

/// Compares the replica with the primary by dimension, and looks at what a takeover needs.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    match inputs.replica {
        Err(why) => {
            let summary = format!("the replica could not be read: {why}");
            assessment.check(Check::new("replica_connection", Severity::Fail, summary));
        }
        Ok(replica) => {
            for dimension in dimensions(inputs.primary, policy) {
                let primary = newest_first(inputs.primary, dimension).first().copied();
                let replica = newest_first(replica, dimension).first().copied();
                compare(&mut assessment, dimension, primary, replica, policy);
            }
        }
    }
    schedule(&mut assessment, inputs.schedule, policy);
    if let Some(drill) = inputs.drill {
        let summary = format!("the last failover drill was {}", drill.status());
        assessment.check(Check::new("failover_drill", drill.severity, summary));
    }
    for (key, region) in [
        ("primary_region", &policy.primary_region),
        ("replica_region", &policy.replica_region),
    ] {
        if let Some(region) = region {
            assessment.annotate(key, region.as_str());
        }
    }
    assessment
}

fn dimensions(primary: &[JournalRecord], policy: &Policy) -> BTreeSet<Dimension> {
    if policy.dimensions.is_empty() {
        primary.iter().map(|record| record.dimension).collect()
    } else {
        policy.dimensions.iter().copied().collect()
    }
}

fn compare(
    assessment: &mut Assessment,
    dimension: Dimension,
    primary: Option<&JournalRecord>,
    replica: Option<&JournalRecord>,
    policy: &Policy,
) {
    let mut findings = Findings::default();
    let lag_seconds = primary
        .zip(replica)
        .map(|(primary, replica)| seconds_between(replica.executed_at_ms, primary.executed_at_ms));
    match (primary, replica) {
        (_, None) => {
            let message = "the replica has no record";
            findings.add("replica_missing", Severity::Fail, message);
        }
        (None, Some(_)) => {
            let message = "the primary has no record to compare with";
            findings.add("primary_missing", Severity::Warn, message);
        }
        (Some(primary), Some(replica)) => rows(&mut findings, primary, replica, policy),
    }
    if let Some(replica) = replica.filter(|record| !is_well(record)) {
        let message = format!("the replica's status is {}", replica.status);
        findings.add("replica_status", Severity::Warn, message);
    }
    if let Some(lag) = lag_seconds {
        lagging(&mut findings, lag, policy);
    }
    let check = findings
        .check(dimension.as_str(), "the replica keeps up")
        .with_some("lag_seconds", lag_seconds)
        .with_some("primary_rows", primary.map(|record| record.rows_written))
        .with_some("replica_rows", replica.map(|record| record.rows_written))
        .with_some(
            "replica_status",
            replica.map(|record| record.status.as_str()),
        );
    assessment.check(check);
    findings.raise_in(assessment, dimension.as_str());
}

fn is_well(record: &JournalRecord) -> bool {
    matches!(record.status.as_str(), "ok" | "skipped")
}

fn lagging(findings: &mut Findings, lag_seconds: f64, policy: &Policy) {
    let warn = policy.warn_after_seconds;
    let fail = policy.fail_after_seconds.max(warn);
    let distance = lag_seconds.abs();
    let (severity, limit) = if above(distance, fail) {
        (Severity::Fail, fail)
    } else if above(distance, warn) {
        (Severity::Warn, warn)
    } else {
        return;
    };
    let message = format!("the replica is {lag_seconds:.0} s behind, beyond {limit:.0} s");
    findings.add("replica_lag", severity, message);
}

fn rows(
    findings: &mut Findings,
    primary: &JournalRecord,
    replica: &JournalRecord,
    policy: &Policy,
) {
    if primary.rows_written == 0 {
        return;
    }
    let difference = primary.rows_written.abs_diff(replica.rows_written) as f64;
    let ratio = difference / primary.rows_written as f64;
    if above(ratio, policy.max_row_difference_ratio.clamp(0.0, 1.0)) {
        let percent = round(ratio * 100.0, 1);
        let message = format!("the rows differ by {percent} %");
        findings.add("row_difference", Severity::Warn, message);
    }
}

fn schedule(assessment: &mut Assessment, schedule: Option<Schedule<'_>>, policy: &Policy) {
    let Some(schedule) = schedule else {
        let summary = "nothing is known of the schedule";
        assessment.check(Check::new("scheduler", Severity::Warn, summary));
        return;
    };
    let mut severity = schedule.assessment.severity;
    let mut summary = format!("the schedule is {}", schedule.assessment.status());
    if let (Some(interval), Some(max)) = (
        schedule.interval_seconds,
        policy.max_schedule_interval_seconds,
    ) && above(interval, max)
    {
        severity.escalate(Severity::Warn);
        summary = format!("{summary}; its interval of {interval:.0} s is above {max:.0} s");
    }
    let check = Check::new("scheduler", severity, summary);
    assessment.check(check.with_some("interval_seconds", schedule.interval_seconds));
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::Map;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, OK, WARN};

    fn record(status: &str, rows_written: u64, executed_at_ms: i64) -> JournalRecord {
        JournalRecord {
            run_id: "run".to_owned(),
            dimension: DailyBars,
            status: status.to_owned(),
            rows_written,
            freshness_seconds: None,
            ingest_duration_seconds: None,
            executed_at_ms,
            source: None,
            symbols: vec![],
            metadata: Map::new(),
        }
    }

    fn graded(severity: Severity) -> Assessment {
        let mut assessment = Assessment::new("other", "test", Ladder::OK_WARN_FAIL, NOW_MS);
        assessment.severity = severity;
        assessment
    }

    fn compared(primary: JournalRecord, replica: JournalRecord, policy: &Policy) -> Severity {
        let well = graded(OK);
        let inputs = Inputs {
            primary: &[primary],
            replica: Ok(&[replica]),
            schedule: Some(Schedule {
                assessment: &well,
                interval_seconds: None,
            }),
            drill: None,
        };
        assess(&inputs, policy, NOW_MS).severity
    }

    #[test]
    fn a_lag_either_way_warns_above_15_minutes_and_fails_above_30() {
        for (lag_ms, expect) in [
            (0, OK),
            (899_999, OK),
            (900_000, OK),
            (900_001, WARN),
            (1_800_000, WARN),
            (1_800_001, FAIL),
        ] {
            for sign in [-1, 1] {
                let (primary, replica) = (
                    record("ok", 1, NOW_MS),
                    record("ok", 1, NOW_MS - sign * lag_ms),
                );
                let severity = compared(primary, replica, &Policy::default());
                assert_eq!(severity, expect, "{} ms", sign * lag_ms);
            }
        }
    }

    #[test]
    fn the_fail_limit_is_at_least_the_warn_limit() {
        let policy = Policy {
            fail_after_seconds: 1.0,
            ..Policy::default()
        };
        for (lag_ms, expect) in [(900_000, OK), (900_001, FAIL)] {
            let (primary, replica) = (record("ok", 1, NOW_MS), record("ok", 1, NOW_MS - lag_ms));
            assert_eq!(compared(primary, replica, &policy), expect);
        }
    }

    #[test]
    fn rows_that_differ_by_more_than_a_twentieth_warn() {
        for (primary, replica, expect) in [
            (100, 100, OK),
            (100, 95, OK),
            (100, 105, OK),
            (100, 94, WARN),
            (100, 106, WARN),
            (0, 1_000, OK),
        ] {
            let (one, other) = (record("ok", primary, NOW_MS), record("ok", replica, NOW_MS));
            assert_eq!(
                compared(one, other, &Policy::default()),
                expect,
                "{primary} {replica}"
            );
        }
    }

    #[test]
    fn a_replica_that_is_neither_ok_nor_skipped_warns() {
        for (status, expect) in [
            ("ok", OK),
            ("skipped", OK),
            ("warn", WARN),
            ("error", WARN),
            ("", WARN),
        ] {
            let (primary, replica) = (record("ok", 1, NOW_MS), record(status, 1, NOW_MS));
            assert_eq!(
                compared(primary, replica, &Policy::default()),
                expect,
                "{status}"
            );
        }
    }

    fn check(inputs: &Inputs<'_>, policy: &Policy, expect: &[(&str, Severity)]) {
        let assessment = assess(inputs, policy, NOW_MS);
        let found: Vec<(&str, Severity)> = assessment
            .checks
            .iter()
            .map(|check| (check.name.as_str(), check.severity))
            .collect();
        assert_eq!(found, expect);
        let worst = expect.iter().map(|(_, severity)| *severity).max();
        assert_eq!(Some(assessment.severity), worst);
    }

    #[test]
    fn a_replica_that_cannot_be_read_or_has_no_record_fails() {
        let primary = [record("ok", 1, NOW_MS)];
        let inputs = |replica| Inputs {
            primary: &primary,
            replica,
            schedule: None,
            drill: None,
        };
        let unread = [("replica_connection", FAIL), ("scheduler", WARN)];
        check(&inputs(Err("refused")), &Policy::default(), &unread);
        let absent = [("daily_bars", FAIL), ("scheduler", WARN)];
        check(&inputs(Ok(&[])), &Policy::default(), &absent);
    }

    #[test]
    fn a_primary_without_a_record_of_what_is_compared_warns() {
        let replica = [record("ok", 1, NOW_MS)];
        let policy = Policy {
            dimensions: vec![DailyBars, MacroEvents],
            ..Policy::default()
        };
        let inputs = Inputs {
            primary: &[],
            replica: Ok(&replica),
            schedule: None,
            drill: None,
        };
        let expect = [
            ("daily_bars", WARN),
            ("macro_events", FAIL),
            ("scheduler", WARN),
        ];
        check(&inputs, &policy, &expect);
    }

    #[test]
    fn the_schedule_and_the_drill_count_with_their_own_grades() {
        for scheduled in Severity::ALL {
            for drilled in Severity::ALL {
                let (assessment, drill) = (graded(scheduled), graded(drilled));
                let inputs = Inputs {
                    primary: &[],
                    replica: Ok(&[]),
                    schedule: Some(Schedule {
                        assessment: &assessment,
                        interval_seconds: Some(60.0),
                    }),
                    drill: Some(&drill),
                };
                let expect = [("scheduler", scheduled), ("failover_drill", drilled)];
                check(&inputs, &Policy::default(), &expect);
            }
        }
    }

    #[test]
    fn an_interval_above_the_maximum_warns() {
        let policy = Policy {
            max_schedule_interval_seconds: Some(60.0),
            ..Policy::default()
        };
        for (interval, graded_as, expect) in [
            (59.9, OK, OK),
            (60.0, OK, OK),
            (60.1, OK, WARN),
            (f64::NAN, OK, WARN),
            (60.1, FAIL, FAIL),
        ] {
            let assessment = graded(graded_as);
            let inputs = Inputs {
                primary: &[],
                replica: Ok(&[]),
                schedule: Some(Schedule {
                    assessment: &assessment,
                    interval_seconds: Some(interval),
                }),
                drill: None,
            };
            check(&inputs, &policy, &[("scheduler", expect)]);
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn the_further_apart_two_regions_are_the_worse_is_the_grade(near in any::<u32>(), further in any::<u32>()) {
                let grade = |lag_ms: i64| compared(record("ok", 1, NOW_MS), record("ok", 1, NOW_MS - lag_ms), &Policy::default());
                let near = i64::from(near);
                prop_assert!(grade(near) <= grade(near + i64::from(further)));
            }
        }
    }
}
