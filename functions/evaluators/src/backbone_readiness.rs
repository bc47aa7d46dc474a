//! Data backbone readiness: everything that an ingest run left behind, in one grade.

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use serde_json::{Map, Value, json};

use crate::backbone_validation::Part;
use crate::dimension::Dimension;
use crate::failover::Decision;
use crate::ingest_metrics::MetricsReport;
use crate::ingest_quality::QualityReport;
use crate::recovery::Recovery;
use crate::scheduler::State;

/// The topic.
pub const TOPIC: &str = "telemetry.data_backbone.readiness";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";
/// How many supervised tasks are told one by one.
pub const MAX_TASKS_TOLD: usize = 5;

/// Where a supervised task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It runs.
    Running,
    /// It came to its end.
    Finished,
    /// It failed.
    Failed,
    /// It was told to stop.
    Cancelled,
}

impl TaskState {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A supervised task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
}

/// What is looked at. What is None is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// Whether the plan says that ingest is to run.
    pub should_run: bool,
    /// What is planned.
    pub dimensions: &'a [Dimension],
    /// Backbone validation; it appears when it failed.
    pub validation: Option<&'a Assessment>,
    /// Ingest health.
    pub health: Option<&'a Assessment>,
    /// Ingest quality.
    pub quality: Option<&'a QualityReport>,
    /// Ingest metrics.
    pub metrics: Option<&'a MetricsReport>,
    /// The supervised tasks.
    pub tasks: Option<&'a [Task]>,
    /// The export.
    pub export: Option<&'a Assessment>,
    /// The export's stress drill.
    pub export_stress: Option<&'a Assessment>,
    /// The failover decision.
    pub failover: Option<&'a Decision>,
    /// What was asked for again.
    pub recovery: Option<&'a Recovery>,
    /// Backups.
    pub backups: Option<&'a Assessment>,
    /// Data retention.
    pub retention: Option<&'a Assessment>,
    /// The query cache.
    pub redis: Part,
    /// The stream.
    pub kafka: Part,
    /// How many publishers the stream has.
    pub kafka_publishers: usize,
    /// Whether ingest is to run on a schedule.
    pub scheduler_enabled: bool,
    /// Where the schedule stands.
    pub scheduler: Option<&'a State>,
    /// What else is to be told; wins over what is computed.
    pub metadata: Option<&'a Map<String, Value>>,
}

/// Grades all parts that there are, in order; the worst counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    let failed = |assessment: &&Assessment| assessment.severity == Severity::Fail;
    let parts = [
        Some(plan(inputs)),
        mapped("validation", inputs.validation.filter(failed)),
        mapped("ingest_health", inputs.health),
        inputs.quality.map(quality),
        inputs.metrics.map(metrics),
        inputs.tasks.map(tasks),
        mapped("spark_exports", inputs.export),
        mapped("spark_stress", inputs.export_stress),
        inputs.failover.map(failover),
        inputs.recovery.and_then(recovery),
        mapped("backups", inputs.backups),
        mapped("retention", inputs.retention),
        redis(inputs.redis),
        kafka(inputs.kafka, inputs.kafka_publishers),
        scheduler(inputs),
    ];
    for check in parts.into_iter().flatten() {
        assessment.check(check);
    }
    if let Some(metadata) = inputs.metadata {
        assessment.metadata.extend(metadata.clone());
    }
    assessment
}

/// The part that another evaluator graded.
fn mapped(name: &str, assessment: Option<&Assessment>) -> Option<Check> {
    let assessment = assessment?;
    let issues: Vec<&str> = assessment
        .issues
        .iter()
        .map(|issue| issue.message.as_str())
        .collect();
    let summary = assessment.status();
    let issues = (!issues.is_empty()).then(|| json!(issues));
    Some(Check::new(name, assessment.severity, summary).with_some("issues", issues))
}

fn plan(inputs: &Inputs<'_>) -> Check {
    let (severity, summary) = if !inputs.should_run {
        (Severity::Warn, "ingest is not to run")
    } else if inputs.dimensions.is_empty() {
        (Severity::Warn, "nothing is planned")
    } else {
        (Severity::Ok, "ingest is to run")
    };
    Check::new("plan", severity, summary).with("dimensions", inputs.dimensions.to_vec())
}

fn quality(report: &QualityReport) -> Check {
    let status = report.assessment.status();
    let summary = match report.score {
        Some(score) => format!("{status}, score {score:.2}"),
        None => format!("{status}, without a score"),
    };
    Check::new("ingest_quality", report.assessment.severity, summary)
}

fn metrics(report: &MetricsReport) -> Check {
    let (rows, dimensions) = (report.total_rows, report.dimensions.len());
    let summary = format!("{rows} rows of {dimensions} dimensions");
    Check::new("ingest_metrics", Severity::Ok, summary)
}

fn tasks(tasks: &[Task]) -> Check {
    let count = |state: TaskState| tasks.iter().filter(|task| task.state == state).count();
    let [running, failed, cancelled] =
        [TaskState::Running, TaskState::Failed, TaskState::Cancelled].map(count);
    let (severity, summary) = if failed > 0 {
        (
            Severity::Fail,
            format!("{failed} of {} tasks failed", tasks.len()),
        )
    } else if tasks.is_empty() {
        (Severity::Warn, "there are no tasks".to_owned())
    } else if running == 0 {
        (Severity::Warn, "no task runs".to_owned())
    } else if cancelled > 0 {
        (
            Severity::Warn,
            format!("{cancelled} of {} tasks were cancelled", tasks.len()),
        )
    } else {
        (Severity::Ok, format!("{running} tasks run"))
    };
    let told: Vec<Value> = tasks
        .iter()
        .take(MAX_TASKS_TOLD)
        .map(|task| json!({"name": task.name, "state": task.state.as_str()}))
        .collect();
    Check::new("task_supervision", severity, summary)
        .with("total", tasks.len())
        .with("sample", told)
}

fn failover(decision: &Decision) -> Check {
    let (severity, summary) = if decision.should_failover {
        let reason = decision.reason.as_deref().unwrap_or("no reason given");
        (Severity::Fail, format!("ingest falls over: {reason}"))
    } else if decision.optional_triggers.is_empty() {
        (Severity::Ok, "no failover".to_owned())
    } else {
        (
            Severity::Warn,
            "only what is optional asks for a failover".to_owned(),
        )
    };
    Check::new("failover", severity, summary)
}

/// None: nothing was asked for again.
fn recovery(recovery: &Recovery) -> Option<Check> {
    let attempts = recovery.attempts();
    let summary = format!("missing slices were asked for again, {attempts} times");
    (attempts > 0).then(|| Check::new("recovery", Severity::Warn, summary))
}

fn redis(part: Part) -> Option<Check> {
    let (severity, summary) = if part.configured {
        (Severity::Ok, "configured")
    } else {
        (Severity::Warn, "expected, and not configured")
    };
    part.expected
        .then(|| Check::new("redis_cache", severity, summary))
}

fn kafka(part: Part, publishers: usize) -> Option<Check> {
    let (severity, summary) = match (part.configured, publishers) {
        (false, _) => (Severity::Warn, "expected, and not configured".to_owned()),
        (true, 0) => (
            Severity::Warn,
            "configured, and without publishers".to_owned(),
        ),
        (true, count) => (Severity::Ok, format!("{count} publishers")),
    };
    part.expected
        .then(|| Check::new("kafka_streaming", severity, summary))
}

/// None: the schedule is not enabled and nothing is known of one.
fn scheduler(inputs: &Inputs<'_>) -> Option<Check> {
    if !inputs.scheduler_enabled && inputs.scheduler.is_none() {
        return None;
    }
    let (severity, summary) = if inputs.scheduler.is_some_and(|state| state.running) {
        (Severity::Ok, "the schedule runs")
    } else {
        (Severity::Warn, "the schedule does not run")
    };
    Some(Check::new("scheduler", severity, summary))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::dimension::Plan;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, daily_plan, health, plan_of, result};
    use crate::recovery::Step;
    use crate::{failover, ingest_metrics, ingest_quality};

    fn bare() -> Inputs<'static> {
        Inputs {
            should_run: true,
            dimensions: &[DailyBars],
            ..Inputs::default()
        }
    }

    fn check(inputs: &Inputs<'_>, name: &str, expect: Option<Severity>) {
        let assessment = assess(inputs, NOW_MS);
        let found = assessment.checks.iter().find(|check| check.name == name);
        assert_eq!(
            found.map(|check| check.severity),
            expect,
            "{name} of {inputs:?}"
        );
        assert_eq!(
            assessment.severity,
            expect.unwrap_or(OK).max(assessment.checks[0].severity)
        );
    }

    fn graded(severity: Severity) -> Assessment {
        let mut assessment = Assessment::new("other", "test", Ladder::OK_WARN_ERROR, NOW_MS);
        assessment.severity = severity;
        assessment
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let assessment = assess(&bare(), NOW_MS);
        assert_eq!(assessment.checks.len(), 1);
        assert_eq!(assessment.severity, OK);
    }

    #[test]
    fn a_plan_that_does_not_run_or_is_empty_warns_and_never_fails() {
        check(&bare(), "plan", Some(OK));
        let stopped = Inputs {
            should_run: false,
            ..bare()
        };
        check(&stopped, "plan", Some(WARN));
        let empty = Inputs {
            dimensions: &[],
            ..bare()
        };
        check(&empty, "plan", Some(WARN));
    }

    #[test]
    fn what_another_evaluator_graded_counts_with_its_grade() {
        for severity in Severity::ALL {
            let other = graded(severity);
            let all = [
                (
                    "ingest_health",
                    Inputs {
                        health: Some(&other),
                        ..bare()
                    },
                ),
                (
                    "spark_exports",
                    Inputs {
                        export: Some(&other),
                        ..bare()
                    },
                ),
                (
                    "spark_stress",
                    Inputs {
                        export_stress: Some(&other),
                        ..bare()
                    },
                ),
                (
                    "backups",
                    Inputs {
                        backups: Some(&other),
                        ..bare()
                    },
                ),
                (
                    "retention",
                    Inputs {
                        retention: Some(&other),
                        ..bare()
                    },
                ),
            ];
            for (name, inputs) in all {
                check(&inputs, name, Some(severity));
            }
        }
    }

    #[test]
    fn validation_appears_only_when_it_failed() {
        for (severity, expect) in [(OK, None), (WARN, None), (FAIL, Some(FAIL))] {
            let other = graded(severity);
            let inputs = Inputs {
                validation: Some(&other),
                ..bare()
            };
            check(&inputs, "validation", expect);
        }
    }

    #[test]
    fn quality_shows_its_score_with_two_decimals() {
        let inputs = ingest_quality::Inputs {
            plan: &Plan::default(),
            results: &[result(DailyBars, 1, &[], None)],
            ticks: &[],
        };
        let quality = ingest_quality::assess(&inputs, &ingest_quality::Policy::default(), NOW_MS);
        let inputs = Inputs {
            quality: Some(&quality),
            ..bare()
        };
        check(&inputs, "ingest_quality", Some(WARN));
        assert_eq!(
            assess(&inputs, NOW_MS).checks[1].summary,
            "warn, score 0.75"
        );
    }

    #[test]
    fn metrics_are_ok() {
        let results = [result(DailyBars, 0, &[], None)];
        let metrics = ingest_metrics::assess(&ingest_metrics::Inputs { results: &results }, NOW_MS);
        let inputs = Inputs {
            metrics: metrics.as_ref(),
            ..bare()
        };
        check(&inputs, "ingest_metrics", Some(OK));
    }

    #[test]
    fn tasks_fail_when_one_failed_and_warn_when_none_runs_or_one_was_cancelled() {
        use TaskState::{Cancelled, Failed, Finished, Running};
        for (states, expect) in [
            (&[Running][..], OK),
            (&[Running, Finished], OK),
            (&[], WARN),
            (&[Finished], WARN),
            (&[Running, Cancelled], WARN),
            (&[Cancelled], WARN),
            (&[Running, Failed], FAIL),
            (&[Failed], FAIL),
        ] {
            let tasks: Vec<Task> = states
                .iter()
                .map(|state| Task {
                    name: "task".to_owned(),
                    state: *state,
                })
                .collect();
            let inputs = Inputs {
                tasks: Some(&tasks),
                ..bare()
            };
            check(&inputs, "task_supervision", Some(expect));
        }
    }

    #[test]
    fn five_tasks_are_told_one_by_one() {
        let task = Task {
            name: "task".to_owned(),
            state: TaskState::Running,
        };
        let check = tasks(&vec![task; 9]);
        assert_eq!(check.metadata["total"], 9);
        assert_eq!(
            check.metadata["sample"].as_array().unwrap().len(),
            MAX_TASKS_TOLD
        );
    }

    #[test]
    fn a_failover_fails_and_optional_triggers_warn() {
        let daily = [result(DailyBars, 1, &["SPY"], Some(1.0))];
        for (plan, results, expect) in [
            (daily_plan(&["SPY"]), &daily[..], OK),
            (plan_of(MacroEvents, &["CPI"]), &[], WARN),
            (daily_plan(&["SPY"]), &[], FAIL),
        ] {
            let inputs = failover::Inputs {
                plan: &plan,
                health: &health(&plan, results),
            };
            let decision = failover::assess(&inputs, &failover::Policy::default());
            let inputs = Inputs {
                failover: Some(&decision),
                ..bare()
            };
            check(&inputs, "failover", Some(expect));
        }
    }

    #[test]
    fn recovery_warns_when_something_was_asked_for_again() {
        let step = Step {
            attempt: 1,
            plan: daily_plan(&["SPY"]),
        };
        for (steps, expect) in [(vec![], None), (vec![step], Some(WARN))] {
            let recovery = Recovery { steps };
            let inputs = Inputs {
                recovery: Some(&recovery),
                ..bare()
            };
            check(&inputs, "recovery", expect);
        }
    }

    #[test]
    fn cache_and_stream_appear_when_expected_and_warn_when_not_there() {
        for (expected, configured, publishers, redis, kafka) in [
            (false, false, 0, None, None),
            (false, true, 1, None, None),
            (true, true, 1, Some(OK), Some(OK)),
            (true, true, 0, Some(OK), Some(WARN)),
            (true, false, 1, Some(WARN), Some(WARN)),
        ] {
            let part = Part {
                expected,
                configured,
            };
            check(
                &Inputs {
                    redis: part,
                    ..bare()
                },
                "redis_cache",
                redis,
            );
            let inputs = Inputs {
                kafka: part,
                kafka_publishers: publishers,
                ..bare()
            };
            check(&inputs, "kafka_streaming", kafka);
        }
    }

    #[test]
    fn the_schedule_appears_when_enabled_or_known_and_warns_unless_it_runs() {
        let running = State {
            running: true,
            ..State::default()
        };
        let stopped = State::default();
        for (enabled, state, expect) in [
            (false, None, None),
            (true, None, Some(WARN)),
            (false, Some(&running), Some(OK)),
            (true, Some(&running), Some(OK)),
            (true, Some(&stopped), Some(WARN)),
        ] {
            let inputs = Inputs {
                scheduler_enabled: enabled,
                scheduler: state,
                ..bare()
            };
            check(&inputs, "scheduler", expect);
        }
    }
}
