#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::history::{self, MAX_HISTORY_DOCUMENTS};
use super::*;
use crate::memory::{Memory, ready};
use crate::stage::{Documents, StageError};

const TOPIC: &str = "telemetry.ingest.health";

fn assessment(generated_at_ms: i64) -> Assessment {
    Assessment::new(TOPIC, "ingest", Ladder::OK_WARN_ERROR, generated_at_ms)
}

#[test]
fn a_severity_escalates_to_what_is_worse_and_to_nothing_else() {
    use Severity::{Fail, Ok, Warn};
    for (current, candidate, expect) in [
        (Ok, Ok, Ok),
        (Ok, Warn, Warn),
        (Ok, Fail, Fail),
        (Warn, Ok, Warn),
        (Warn, Warn, Warn),
        (Warn, Fail, Fail),
        (Fail, Ok, Fail),
        (Fail, Warn, Fail),
        (Fail, Fail, Fail),
    ] {
        let mut severity = current;
        severity.escalate(candidate);
        assert_eq!(severity, expect, "{current:?} by {candidate:?}");
    }
}

#[test]
fn a_ladder_reads_the_words_it_writes_and_no_others() {
    for (ladder, words) in [
        (Ladder::OK_WARN_ERROR, ["ok", "warn", "error"]),
        (Ladder::OK_WARN_FAIL, ["ok", "warn", "fail"]),
        (Ladder::PASS_WARN_FAIL, ["pass", "warn", "fail"]),
        (Ladder::NORMAL_WARN_ALERT, ["normal", "warn", "alert"]),
        (Ladder::OK_WARN_ALERT, ["ok", "warn", "alert"]),
        (Ladder::OK_WARN_VIOLATION, ["ok", "warn", "violation"]),
        (Ladder::MET_AT_RISK_BREACHED, ["met", "at_risk", "breached"]),
        (
            Ladder::INFO_WARNING_CRITICAL,
            ["info", "warning", "critical"],
        ),
    ] {
        for (severity, word) in Severity::ALL.into_iter().zip(words) {
            assert_eq!(ladder.word(severity), word);
            assert_eq!(ladder.parse(word), Some(severity));
        }
        for other in ["", "OK", "unknown"] {
            assert_eq!(ladder.parse(other), None, "{other:?}");
        }
    }
}

#[test]
fn each_severity_has_its_alert_level() {
    let levels = Severity::ALL.map(|severity| severity.alert_level().as_str());
    assert_eq!(levels, ["info", "warning", "critical"]);
}

#[test]
fn only_checks_and_issues_that_count_change_the_severity() {
    let mut assessment = assessment(0);
    assessment.inform(Check::new("drill", Severity::Fail, "for information"));
    assessment.remark(Issue::new("anomaly", Severity::Fail, "for information"));
    assert_eq!(assessment.severity, Severity::Ok);
    assessment.raise(Issue::new("stale", Severity::Warn, "old"));
    assert_eq!(assessment.severity, Severity::Warn);
    assessment.check(Check::new("rows", Severity::Fail, "none"));
    assert_eq!(assessment.severity, Severity::Fail);
    assessment.check(Check::new("symbols", Severity::Ok, "all"));
    assert_eq!(assessment.severity, Severity::Fail);
}

#[test]
fn an_assessment_of_nothing_has_only_its_name_status_and_time() {
    assert_eq!(
        assessment(1_640_995_200_000).to_json(),
        json!({
            "topic": TOPIC,
            "source": "ingest",
            "status": "ok",
            "alert_level": "info",
            "generated_at": "2022-01-01T00:00:00.000Z",
        })
    );
}

#[test]
fn the_json_has_checks_issues_metrics_and_metadata() {
    let mut assessment = assessment(0);
    let check = Check::new("daily_bars", Severity::Fail, "no rows")
        .with("rows_written", 0)
        .with_some("freshness_seconds", None::<f64>);
    assessment.check(check);
    assessment.check(Check::new("macro_events", Severity::Ok, "healthy"));
    assessment.raise(Issue::new("rows", Severity::Fail, "no rows"));
    assessment.measure("rows_total", 0.0);
    assessment.measure("broken", f64::NAN);
    assessment.annotate("plan", json!(["daily_bars"]));
    let json = assessment.to_json();
    assert_eq!(json["status"], "error");
    assert_eq!(
        json["checks"],
        json!([
            {"name": "daily_bars", "status": "error", "summary": "no rows", "metadata": {"rows_written": 0}},
            {"name": "macro_events", "status": "ok", "summary": "healthy"},
        ])
    );
    assert_eq!(json["issues"], json!(["no rows"]));
    assert_eq!(json["metrics"], json!({"broken": null, "rows_total": 0.0}));
    assert_eq!(json["metadata"]["plan"], json!(["daily_bars"]));
    assert_eq!(json["metadata"]["highest_issue_severity"], "error");
}

#[test]
fn the_catalogue_shows_the_issues_from_all_sides() {
    let mut assessment = assessment(0);
    assessment.raise(Issue::new("feed", Severity::Warn, "late").with_detail("by 3 s"));
    assessment.raise(Issue::new("rows", Severity::Warn, "few"));
    assessment.raise(Issue::new("feed", Severity::Fail, "gone"));
    let late =
        json!({"category": "feed", "severity": "warn", "message": "late", "detail": "by 3 s"});
    let few = json!({"category": "rows", "severity": "warn", "message": "few"});
    let gone = json!({"category": "feed", "severity": "error", "message": "gone"});
    assert_eq!(
        assessment.to_json()["metadata"],
        json!({
            "issue_details": [late, few, gone],
            "issue_counts": {"warn": 2, "error": 1},
            "issue_catalog": {"feed": [late, gone], "rows": [few]},
            "issue_category_severity": {"feed": "error", "rows": "warn"},
            "highest_issue_severity": "error",
        })
    );
}

#[test]
fn metadata_of_its_own_wins_over_the_catalogue() {
    let mut assessment = assessment(0);
    assessment.raise(Issue::new("feed", Severity::Warn, "late"));
    assessment.annotate("issue_counts", "mine");
    assert_eq!(assessment.to_json()["metadata"]["issue_counts"], "mine");
}

#[test]
fn the_markdown_is_a_title_a_table_and_the_issues() {
    let mut assessment = assessment(0);
    assessment.check(Check::new("daily|bars", Severity::Warn, "two\nlines"));
    assessment.raise(Issue::new("rows", Severity::Fail, "no rows"));
    assert_eq!(
        assessment.to_markdown(),
        "**telemetry.ingest.health: ERROR**\n\n\
         | Check | Status | Summary |\n\
         | --- | --- | --- |\n\
         | daily\\|bars | WARN | two lines |\n\n\
         **Issues:**\n\n\
         - no rows\n"
    );
}

#[test]
fn the_markdown_of_nothing_is_a_table_without_rows() {
    assert_eq!(
        assessment(0).to_markdown(),
        "**telemetry.ingest.health: OK**\n\n| Check | Status | Summary |\n| --- | --- | --- |\n"
    );
}

/// An assessment with something in each of its parts.
fn full(ladder: Ladder) -> Assessment {
    let mut full = Assessment::new(TOPIC, "ingest", ladder, 1_640_995_200_123);
    full.check(Check::new("daily", Severity::Warn, "old").with("age_seconds", 7));
    full.inform(Check::new("drill", Severity::Fail, "for information"));
    full.raise(Issue::new("stale", Severity::Warn, "too old").with_detail("7 s"));
    full.measure("rows", 3.0);
    full.annotate("plan", json!({"symbols": ["A"]}));
    full
}

#[test]
fn what_was_written_is_read_back_and_written_alike() {
    for ladder in Ladder::ALL {
        for assessment in [full(ladder), Assessment::new(TOPIC, "a", ladder, 0)] {
            let json = assessment.to_json();
            let read = Assessment::from_json(&json).unwrap();
            assert_eq!(read.to_json(), json);
            assert_eq!(read.to_markdown(), assessment.to_markdown());
        }
    }
    let mut latest = full(Ladder::OK_WARN_FAIL).to_json();
    latest["history"] = json!({"latest": "x", "documents": 1});
    assert_eq!(
        Assessment::from_json(&latest),
        Some(full(Ladder::OK_WARN_FAIL))
    );
}

#[test]
fn what_is_no_assessment_is_read_as_none() {
    let good = full(Ladder::OK_WARN_ERROR).to_json();
    assert!(Assessment::from_json(&good).is_some());
    for (key, value) in [
        ("topic", json!(null)),
        ("status", json!("splendid")),
        ("status", json!("ok")),
        ("alert_level", json!("warn")),
        ("generated_at", json!("yesterday")),
        ("checks", json!({})),
        (
            "checks",
            json!([{"name": "a", "status": "fine", "summary": ""}]),
        ),
        ("metadata", json!({})),
        ("metrics", json!([1])),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert_eq!(Assessment::from_json(&bad), None, "{key}");
    }
    for other in [json!(null), json!({}), json!([1])] {
        assert_eq!(Assessment::from_json(&other), None);
    }
}

#[test]
fn the_event_is_about_the_latest_document_of_its_topic() {
    let event = assessment(7).to_event();
    assert_eq!(event.topic, TOPIC);
    let subject = "assessments/telemetry.ingest.health".to_owned();
    assert_eq!(event.subject, Some(subject));
    assert_eq!(event.data, assessment(7).to_json());
}

fn keep(memory: &Memory, generated_at_ms: i64, run_id: &str) -> Result<(), StageError> {
    ready(async {
        let writes = history::writes(memory, &assessment(generated_at_ms), run_id).await?;
        memory.commit(writes).await
    })
}

#[test]
fn an_assessment_is_kept_as_the_latest_and_in_the_history() {
    let memory = Memory::default();
    keep(&memory, 1_640_995_200_000, "run-1").unwrap();
    keep(&memory, 1_640_995_260_000, "run-2").unwrap();
    let collection = history::collection(TOPIC);
    assert_eq!(
        memory.ids(&collection),
        ["1640995200000-run-1", "1640995260000-run-2"]
    );
    let first = memory.body(&collection, "1640995200000-run-1");
    assert_eq!(first, assessment(1_640_995_200_000).to_json());
    let latest = memory.body(history::ASSESSMENTS, TOPIC);
    assert_eq!(latest["generated_at"], "2022-01-01T00:01:00.000Z");
    assert_eq!(latest["history"]["documents"], 2);
}

#[test]
fn the_same_assessment_of_the_same_run_is_kept_once() {
    let memory = Memory::default();
    keep(&memory, 5, "run-1").unwrap();
    keep(&memory, 5, "run-1").unwrap();
    assert_eq!(memory.ids(&history::collection(TOPIC)).len(), 1);
    let latest = memory.body(history::ASSESSMENTS, TOPIC);
    assert_eq!(latest["history"]["documents"], 1);
}

#[test]
fn the_oldest_leaves_in_the_commit_that_adds_one_too_many() {
    let memory = Memory::default();
    for minute in 0..=i64::from(MAX_HISTORY_DOCUMENTS) {
        keep(&memory, minute, "run").unwrap();
    }
    let ids = memory.ids(&history::collection(TOPIC));
    assert_eq!(ids.len(), MAX_HISTORY_DOCUMENTS as usize);
    assert_eq!(ids[0], "0000000000001-run");
    let latest = memory.body(history::ASSESSMENTS, TOPIC);
    assert_eq!(latest["history"]["documents"], MAX_HISTORY_DOCUMENTS);
    assert_eq!(memory.commits(), MAX_HISTORY_DOCUMENTS as usize + 1);
}

#[test]
fn of_two_runs_that_keep_at_once_one_loses_the_race() {
    let memory = Memory::default();
    keep(&memory, 1, "run-1").unwrap();
    let (two, three) = (assessment(2), assessment(3));
    let late = ready(history::writes(&memory, &two, "run-2")).unwrap();
    let early = ready(history::writes(&memory, &three, "run-3")).unwrap();
    ready(memory.commit(early)).unwrap();
    let lost = ready(memory.commit(late));
    assert!(matches!(lost, Err(StageError::Conflict(_))), "{lost:?}");
    assert_eq!(memory.ids(&history::collection(TOPIC)).len(), 2);
}

#[test]
fn a_latest_document_that_nobody_here_wrote_is_an_error_that_names_it() {
    let memory = Memory::default();
    memory.put(history::ASSESSMENTS, TOPIC, &json!({"status": "ok"}));
    let error = keep(&memory, 1, "run").unwrap_err().to_string();
    assert!(
        error.contains("assessments/telemetry.ingest.health"),
        "{error}"
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn severity() -> impl Strategy<Value = Severity> {
        prop::sample::select(Severity::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn adding_a_check_or_an_issue_never_lowers_the_severity(parts in prop::collection::vec((severity(), any::<bool>()), 0..20)) {
            let mut assessment = assessment(0);
            for (severity, is_check) in &parts {
                let before = assessment.severity;
                if *is_check {
                    assessment.check(Check::new("part", *severity, ""));
                } else {
                    assessment.raise(Issue::new("part", *severity, ""));
                }
                prop_assert!(assessment.severity >= before);
            }
            let worst = parts.iter().map(|(severity, _)| *severity).max().unwrap_or_default();
            prop_assert_eq!(assessment.severity, worst);
        }

        #[test]
        fn any_text_stays_in_its_row_of_the_table(name in any::<String>(), summary in any::<String>()) {
            let mut assessment = assessment(0);
            assessment.check(Check::new(name, Severity::Ok, summary));
            prop_assert_eq!(assessment.to_markdown().matches('\n').count(), 5);
        }
    }
}
