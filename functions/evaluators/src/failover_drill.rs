//! The failover drill: what would happen if dimensions brought in nothing? Real results are taken, those of the targets
//! emptied, and nothing stored is touched.

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use serde_json::json;

use crate::dimension::{Dimension, Plan, SliceResult};
use crate::failover::{self, Decision};
use crate::ingest_health::{self, HealthReport};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.failover_drill";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// What is rehearsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The dimensions that bring in nothing.
    pub dimensions: Vec<Dimension>,
    /// What the drill is called.
    pub label: String,
    /// Whether the fallback is run when the drill asks for it.
    pub run_fallback: bool,
    /// How health is graded.
    pub health: ingest_health::Policy,
    /// What triggers a failover.
    pub failover: failover::Policy,
}

impl Default for Policy {
    /// Daily bars; the fallback is run.
    fn default() -> Self {
        Self {
            dimensions: vec![Dimension::DailyBars],
            label: "required_timescale_failover".to_owned(),
            run_fallback: true,
            health: ingest_health::Policy::default(),
            failover: failover::Policy::default(),
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// What really came of it.
    pub results: &'a [SliceResult],
}

/// What would have come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The results, those of the targets emptied.
    pub results: Vec<SliceResult>,
    /// Their health.
    pub health: HealthReport,
    /// Whether ingest would fall over.
    pub decision: Decision,
}

impl Rehearsal {
    /// Whether the fallback is to be run now, before the drill is assessed.
    #[must_use]
    pub fn wants_fallback(&self, policy: &Policy) -> bool {
        policy.run_fallback && self.decision.should_failover
    }
}

/// Empties the results of the targets, and decides anew.
#[must_use]
pub fn rehearse(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Rehearsal {
    let kept = inputs
        .results
        .iter()
        .filter(|result| !policy.dimensions.contains(&result.dimension))
        .cloned();
    let emptied = policy.dimensions.iter().copied().map(SliceResult::empty);
    let results: Vec<SliceResult> = kept.chain(emptied).collect();
    let health = ingest_health::assess(
        &ingest_health::Inputs {
            plan: inputs.plan,
            results: &results,
        },
        &policy.health,
        now_ms,
    );
    let decision = failover::assess(
        &failover::Inputs {
            plan: inputs.plan,
            health: &health,
        },
        &policy.failover,
    );
    Rehearsal {
        results,
        health,
        decision,
    }
}

/// What came of the fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// It was not run: there is none, or it was not to be run.
    NotRun,
    /// It ran.
    Executed,
    /// It failed; the text says why.
    Failed(String),
}

/// Grades a rehearsal and the fallback that it asked for. The health in it is told and does not count, since it is bad on purpose.
#[must_use]
pub fn assess(
    rehearsal: &Rehearsal,
    fallback: &Fallback,
    policy: &Policy,
    now_ms: i64,
) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    let health = &rehearsal.health.assessment;
    let summary = format!(
        "with the targets emptied, ingest health is {}",
        health.status()
    );
    assessment.inform(Check::new("health", health.severity, summary));
    assessment.check(failover_check(&rehearsal.decision, policy));
    assessment.check(fallback_check(&rehearsal.decision, fallback, policy));
    let error = match fallback {
        Fallback::Failed(why) => Some(why.as_str()),
        Fallback::NotRun | Fallback::Executed => None,
    };
    assessment.annotate("label", policy.label.as_str());
    assessment.annotate("targeted_dimensions", policy.dimensions.clone());
    assessment.annotate("failover_triggered", rehearsal.decision.should_failover);
    let executed = *fallback == Fallback::Executed;
    assessment.annotate("fallback", json!({"executed": executed, "error": error}));
    assessment
}

/// A drill that has targets and asks for no failover did not prove anything.
fn untriggered(policy: &Policy) -> (Severity, &'static str) {
    if policy.dimensions.is_empty() {
        (Severity::Ok, "nothing was targeted")
    } else {
        (Severity::Warn, "the targets caused no failover")
    }
}

fn failover_check(decision: &Decision, policy: &Policy) -> Check {
    let (severity, summary) = match decision.triggered_dimensions.as_slice() {
        _ if !decision.should_failover => untriggered(policy),
        [] => (Severity::Warn, "a failover, but caused by no dimension"),
        [..] => (Severity::Ok, "the targets cause a failover"),
    };
    Check::new("failover", severity, summary)
        .with(
            "triggered_dimensions",
            decision.triggered_dimensions.clone(),
        )
        .with_some("reason", decision.reason.clone())
}

fn fallback_check(decision: &Decision, fallback: &Fallback, policy: &Policy) -> Check {
    if !decision.should_failover {
        let (severity, summary) = untriggered(policy);
        return Check::new("fallback", severity, summary);
    }
    match fallback {
        Fallback::Executed => Check::new("fallback", Severity::Ok, "the fallback ran"),
        Fallback::NotRun => Check::new("fallback", Severity::Warn, "the fallback was not run"),
        Fallback::Failed(why) => Check::new(
            "fallback",
            Severity::Fail,
            format!("the fallback failed: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, daily_plan, plan_of, result};

    fn drill(plan: &Plan, targets: &[Dimension]) -> (Rehearsal, Policy) {
        let policy = Policy {
            dimensions: targets.to_vec(),
            ..Policy::default()
        };
        let results = [
            result(DailyBars, 1, &["SPY"], Some(1.0)),
            result(MacroEvents, 1, &["CPI"], Some(1.0)),
        ];
        let inputs = Inputs {
            plan,
            results: &results,
        };
        (rehearse(&inputs, &policy, NOW_MS), policy)
    }

    fn severities(assessment: &Assessment) -> Vec<(&str, Severity)> {
        let checks = assessment.checks.iter();
        checks
            .map(|check| (check.name.as_str(), check.severity))
            .collect()
    }

    #[test]
    fn a_targeted_dimension_causes_a_failover_and_the_drill_grades_the_fallback() {
        let (rehearsal, policy) = drill(&daily_plan(&["SPY"]), &[DailyBars]);
        assert!(rehearsal.wants_fallback(&policy));
        for (fallback, expect) in [
            (Fallback::Executed, OK),
            (Fallback::NotRun, WARN),
            (Fallback::Failed("no file".to_owned()), FAIL),
        ] {
            let assessment = assess(&rehearsal, &fallback, &policy, NOW_MS);
            assert_eq!(assessment.severity, expect, "{fallback:?}");
            let expect = [("health", FAIL), ("failover", OK), ("fallback", expect)];
            assert_eq!(severities(&assessment), expect);
        }
    }

    #[test]
    fn targets_that_cause_no_failover_warn() {
        for plan in [plan_of(MacroEvents, &["CPI"]), daily_plan(&["SPY"])] {
            let (rehearsal, policy) = drill(&plan, &[MacroEvents]);
            assert!(!rehearsal.wants_fallback(&policy));
            let assessment = assess(&rehearsal, &Fallback::NotRun, &policy, NOW_MS);
            assert_eq!(assessment.severity, WARN);
            assert_eq!(
                severities(&assessment)[1..],
                [("failover", WARN), ("fallback", WARN)]
            );
        }
    }

    #[test]
    fn a_drill_without_targets_is_ok() {
        let (rehearsal, policy) = drill(&daily_plan(&["SPY"]), &[]);
        let assessment = assess(&rehearsal, &Fallback::NotRun, &policy, NOW_MS);
        assert_eq!(
            severities(&assessment),
            [("health", OK), ("failover", OK), ("fallback", OK)]
        );
    }

    #[test]
    fn a_failover_that_no_dimension_caused_warns() {
        let (mut rehearsal, policy) = drill(&daily_plan(&["SPY"]), &[DailyBars]);
        rehearsal.decision.triggered_dimensions.clear();
        let assessment = assess(&rehearsal, &Fallback::Executed, &policy, NOW_MS);
        assert_eq!(
            severities(&assessment)[1..],
            [("failover", WARN), ("fallback", OK)]
        );
    }

    #[test]
    fn a_policy_may_leave_the_fallback_alone() {
        let (rehearsal, mut policy) = drill(&daily_plan(&["SPY"]), &[DailyBars]);
        policy.run_fallback = false;
        assert!(!rehearsal.wants_fallback(&policy));
    }

    #[test]
    fn only_the_results_of_the_targets_are_emptied() {
        let (rehearsal, _) = drill(&daily_plan(&["SPY"]), &[DailyBars]);
        let rows: Vec<(Dimension, u64)> = rehearsal
            .results
            .iter()
            .map(|result| (result.dimension, result.rows_written))
            .collect();
        assert_eq!(rows, [(MacroEvents, 1), (DailyBars, 0)]);
    }

    #[test]
    fn the_metadata_tells_what_was_rehearsed_and_what_came_of_the_fallback() {
        let (rehearsal, policy) = drill(&daily_plan(&["SPY"]), &[DailyBars]);
        let fallback = Fallback::Failed("no file".to_owned());
        let json = assess(&rehearsal, &fallback, &policy, NOW_MS).to_json();
        assert_eq!(
            json["metadata"],
            json!({
                "label": "required_timescale_failover",
                "targeted_dimensions": ["daily_bars"],
                "failover_triggered": true,
                "fallback": {"executed": false, "error": "no file"},
            })
        );
    }
}
