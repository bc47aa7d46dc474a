//! Ingest trends: is ingest getting worse from run to run?

use bulkhead_kernel::assessment::{Assessment, Issue, Ladder, Severity};

use crate::dimension::Dimension;
use crate::findings::Findings;
use crate::journal::{JournalRecord, newest_first};
use crate::limit::{above, below, seconds_between};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.trends";
/// The source label.
pub const SOURCE: &str = "ingest_trends";
/// The number of rejected records an hour, for each dimension.
pub const REJECTED_METRIC: &str = "ingest_rejected_records_per_hour";
/// How many hours a run counts for whose length and predecessor are unknown.
const DEFAULT_RUN_HOURS: f64 = 1.0;

/// What counts as getting worse.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many records of a dimension are looked at, the newest first; one at least.
    pub lookback_records: usize,
    /// Below this fraction of the mean of earlier runs the rows of the latest warn.
    pub row_ratio: f64,
    /// Above so many times the best earlier freshness that of the latest warns.
    pub freshness_ratio: f64,
    /// A failure among so many of the newest runs fails, even when the latest did not.
    pub recent_records: usize,
}

impl Default for Policy {
    /// Ten records; half the rows; one and a half times the age; three runs.
    fn default() -> Self {
        Self {
            lookback_records: 10,
            row_ratio: 0.5,
            freshness_ratio: 1.5,
            recent_records: 3,
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The journal, in any order.
    pub records: &'a [JournalRecord],
}

/// Grades the trend of each dimension that has a record; the worst counts. No record at all warns.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    if inputs.records.is_empty() {
        let message = "the journal has no records";
        assessment.raise(Issue::new("no_history", Severity::Warn, message));
    }
    for dimension in Dimension::ALL {
        let mut records = newest_first(inputs.records, dimension);
        records.truncate(policy.lookback_records.max(1));
        let [latest, earlier @ ..] = records.as_slice() else {
            continue;
        };
        let findings = findings(latest, earlier, policy);
        let check = findings
            .check(dimension.as_str(), "steady")
            .with("latest_status", latest.status.as_str())
            .with("latest_rows", latest.rows_written)
            .with("latest_freshness_seconds", latest.freshness_seconds)
            .with("mean_earlier_rows", mean_rows(earlier))
            .with("best_earlier_freshness_seconds", best_freshness(earlier))
            .with("records", records.len());
        assessment.check(check);
        findings.raise_in(&mut assessment, dimension.as_str());
        if let Some(rejected) = rejected_per_hour(latest, earlier.first().copied()) {
            let name = format!("{REJECTED_METRIC}{{dimension=\"{dimension}\"}}");
            assessment.measure(name, rejected);
        }
    }
    assessment
}

/// How a word of the journal is graded: one that is not known warns.
fn grade(status: &str) -> Severity {
    match status {
        "ok" | "success" | "skipped" => Severity::Ok,
        "fail" | "failed" | "error" => Severity::Fail,
        // `warn`, `warning`, `degraded`, `degrade`, and what nobody knows.
        _ => Severity::Warn,
    }
}

fn findings(latest: &JournalRecord, earlier: &[&JournalRecord], policy: &Policy) -> Findings {
    let mut findings = Findings::default();
    status(&mut findings, latest, earlier, policy);
    rows(&mut findings, latest, earlier, policy);
    freshness(&mut findings, latest, earlier, policy);
    findings
}

fn status(
    findings: &mut Findings,
    latest: &JournalRecord,
    earlier: &[&JournalRecord],
    policy: &Policy,
) {
    let failed = |record: &&JournalRecord| grade(&record.status) == Severity::Fail;
    match grade(&latest.status) {
        Severity::Ok => {}
        Severity::Warn => findings.add("latest_run", Severity::Warn, "the latest run warned"),
        Severity::Fail => findings.add("latest_run", Severity::Fail, "the latest run failed"),
    }
    if failed(&latest) {
        if earlier.first().is_some_and(failed) {
            let message = "the latest two runs failed";
            findings.add("repeated_failure", Severity::Fail, message);
        }
    } else if earlier
        .iter()
        .take(policy.recent_records.saturating_sub(1))
        .any(failed)
    {
        let message = "a recent run failed";
        findings.add("recent_failure", Severity::Fail, message);
    }
}

fn mean_rows(records: &[&JournalRecord]) -> Option<f64> {
    let rows = records.iter().map(|record| record.rows_written as f64);
    (!records.is_empty()).then(|| rows.sum::<f64>() / records.len() as f64)
}

fn best_freshness(records: &[&JournalRecord]) -> Option<f64> {
    records
        .iter()
        .filter_map(|record| record.freshness_seconds)
        .filter(|seconds| *seconds > 0.0)
        .reduce(f64::min)
}

fn rows(
    findings: &mut Findings,
    latest: &JournalRecord,
    earlier: &[&JournalRecord],
    policy: &Policy,
) {
    let Some(mean) = mean_rows(earlier) else {
        return;
    };
    let rows = latest.rows_written;
    if rows == 0 && mean > 0.0 {
        let message = format!("no rows, after {mean:.1} on average");
        findings.add("rows_dropped", Severity::Warn, message);
    } else if below(rows as f64, policy.row_ratio * mean) {
        let message = format!("{rows} rows, after {mean:.1} on average");
        findings.add("rows_dropped", Severity::Warn, message);
    }
}

fn freshness(
    findings: &mut Findings,
    latest: &JournalRecord,
    earlier: &[&JournalRecord],
    policy: &Policy,
) {
    let (Some(age), Some(best)) = (latest.freshness_seconds, best_freshness(earlier)) else {
        return;
    };
    if above(age, policy.freshness_ratio * best) {
        let message = format!("the newest row is {age:.0} s old, after {best:.0} s at best");
        findings.add("freshness_regressed", Severity::Warn, message);
    }
}

/// Rejected records an hour: what a metadata key with `reject` and `per_hour` in it says; otherwise what one with `reject` in it
/// says, divided by the run's hours or else those since the run before.
fn rejected_per_hour(latest: &JournalRecord, previous: Option<&JournalRecord>) -> Option<f64> {
    let rejected = |per_hour: bool| {
        latest.metadata.iter().find_map(|(key, value)| {
            let key = key.to_lowercase();
            let wanted = key.contains("reject") && key.contains("per_hour") == per_hour;
            value.as_f64().filter(|_| wanted)
        })
    };
    let positive = |seconds: &f64| *seconds > 0.0;
    let hours = || {
        let since_previous = previous
            .map(|previous| seconds_between(previous.executed_at_ms, latest.executed_at_ms));
        let duration = latest.ingest_duration_seconds.filter(positive);
        let seconds = duration.or(since_previous.filter(positive));
        seconds.map_or(DEFAULT_RUN_HOURS, |seconds| seconds / 3_600.0)
    };
    rejected(true).or_else(|| rejected(false).map(|rejected| rejected / hours()))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Map, json};

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, OK, WARN};

    /// A run: its status, rows and freshness.
    type Run<'a> = (&'a str, u64, Option<f64>);

    /// Records of daily bars, of which the first is the newest; they are an hour apart.
    fn journal(runs: &[Run<'_>]) -> Vec<JournalRecord> {
        let record = |(age_hours, (status, rows_written, freshness_seconds)): (usize, &Run<'_>)| {
            JournalRecord {
                run_id: format!("run-{age_hours}"),
                dimension: DailyBars,
                status: (*status).to_owned(),
                rows_written: *rows_written,
                freshness_seconds: *freshness_seconds,
                ingest_duration_seconds: None,
                executed_at_ms: NOW_MS - age_hours as i64 * 3_600_000,
                source: None,
                symbols: vec![],
                metadata: Map::new(),
            }
        };
        runs.iter().enumerate().map(record).collect()
    }

    fn trends(records: &[JournalRecord]) -> Assessment {
        assess(&Inputs { records }, &Policy::default(), NOW_MS)
    }

    fn check(runs: &[Run<'_>], severity: Severity, categories: &[&str]) {
        let assessment = trends(&journal(runs));
        let found: Vec<&str> = assessment
            .issues
            .iter()
            .map(|issue| issue.category.as_str())
            .collect();
        assert_eq!(
            (assessment.severity, found.as_slice()),
            (severity, categories),
            "{runs:?}"
        );
    }

    #[test]
    fn no_history_warns() {
        check(&[], WARN, &["no_history"]);
    }

    #[test]
    fn the_latest_run_is_graded_by_its_word_and_an_unknown_word_warns() {
        for (words, severity, categories) in [
            (&["ok", "success", "skipped"][..], OK, &[][..]),
            (
                &[
                    "warn", "warning", "degraded", "degrade", "", "OK", "whatever",
                ],
                WARN,
                &["latest_run"],
            ),
            (&["fail", "failed", "error"], FAIL, &["latest_run"]),
        ] {
            for word in words {
                check(&[(word, 1, None)], severity, categories);
            }
        }
    }

    #[test]
    fn two_failures_in_a_row_are_told() {
        check(
            &[("error", 1, None), ("error", 1, None)],
            FAIL,
            &["latest_run", "repeated_failure"],
        );
        check(
            &[("error", 1, None), ("ok", 1, None), ("error", 1, None)],
            FAIL,
            &["latest_run"],
        );
    }

    #[test]
    fn a_failure_two_runs_back_fails_and_three_runs_back_does_not() {
        let ok = ("ok", 1, None);
        let failed = ("error", 1, None);
        check(&[ok, failed], FAIL, &["recent_failure"]);
        check(&[ok, ok, failed], FAIL, &["recent_failure"]);
        check(&[ok, ok, ok, failed], OK, &[]);
        check(
            &[("warn", 1, None), failed],
            FAIL,
            &["latest_run", "recent_failure"],
        );
    }

    #[test]
    fn fewer_than_half_the_rows_of_earlier_runs_warn() {
        for (rows, severity) in [
            (0, WARN),
            (1, WARN),
            (49, WARN),
            (50, OK),
            (51, OK),
            (500, OK),
        ] {
            let expect: &[&str] = if severity == WARN {
                &["rows_dropped"]
            } else {
                &[]
            };
            check(
                &[("ok", rows, None), ("ok", 80, None), ("ok", 120, None)],
                severity,
                expect,
            );
        }
        check(&[("ok", 0, None), ("ok", 0, None)], OK, &[]);
        check(&[("ok", 0, None)], OK, &[]);
    }

    #[test]
    fn freshness_over_one_and_a_half_times_the_best_earlier_one_warns() {
        for (age, severity) in [
            (Some(149.9), OK),
            (Some(150.0), OK),
            (Some(150.1), WARN),
            (Some(f64::NAN), WARN),
            (None, OK),
        ] {
            let expect: &[&str] = if severity == WARN {
                &["freshness_regressed"]
            } else {
                &[]
            };
            let earlier = [
                ("ok", 1, Some(300.0)),
                ("ok", 1, Some(100.0)),
                ("ok", 1, Some(0.0)),
                ("ok", 1, Some(f64::NAN)),
                ("ok", 1, None),
            ];
            let mut runs = vec![("ok", 1, age)];
            runs.extend(earlier);
            check(&runs, severity, expect);
        }
        check(&[("ok", 1, Some(99.0)), ("ok", 1, Some(0.0))], OK, &[]);
    }

    #[test]
    fn only_the_ten_newest_records_are_looked_at() {
        let mut runs = vec![("ok", 10, None); 10];
        runs.push(("ok", 1_000_000, None));
        check(&runs, OK, &[]);
        runs.remove(1);
        check(&runs, WARN, &["rows_dropped"]);
    }

    #[test]
    fn an_issue_begins_with_its_dimension() {
        let assessment = trends(&journal(&[("warn", 1, None)]));
        assert_eq!(
            assessment.issues[0].message,
            "daily_bars: the latest run warned"
        );
        assert_eq!(assessment.checks[0].summary, "the latest run warned");
    }

    #[test]
    fn dimensions_do_not_mix() {
        let mut records = journal(&[("ok", 1, None), ("error", 1, None)]);
        records[1].dimension = MacroEvents;
        let assessment = trends(&records);
        assert_eq!(assessment.checks[0].severity, OK);
        assert_eq!(assessment.checks[1].severity, FAIL);
    }

    #[test]
    fn rejected_records_are_counted_by_the_hour() {
        let metric = |records: &[JournalRecord]| {
            let name = "ingest_rejected_records_per_hour{dimension=\"daily_bars\"}";
            trends(records).metrics.get(name).copied()
        };
        let mut records = journal(&[("ok", 1, None), ("ok", 1, None)]);
        assert_eq!(metric(&records), None);
        records[0]
            .metadata
            .insert("rejected_rows".to_owned(), json!(6));
        records[1].executed_at_ms = NOW_MS - 2 * 3_600_000;
        assert_eq!(metric(&records), Some(3.0));
        assert_eq!(metric(&records[..1]), Some(6.0));
        records[0].ingest_duration_seconds = Some(1_800.0);
        assert_eq!(metric(&records), Some(12.0));
        records[0]
            .metadata
            .insert("records_rejected_per_hour".to_owned(), json!(7));
        assert_eq!(metric(&records), Some(7.0));
    }
}
