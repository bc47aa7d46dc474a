//! The failover decision: does ingest have to fall over to the next source?

use bulkhead_kernel::assessment::{Assessment, Check, Issue, Severity};

use crate::dimension::{Dimension, Plan};
use crate::findings::listed;
use crate::ingest_health::{DimensionHealth, HealthReport};

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.failover";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// What triggers a failover.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// From this severity on a dimension's health triggers.
    pub failing_from: Severity,
    /// Whether a dimension without rows triggers.
    pub require_rows: bool,
    /// Whether a missing symbol triggers.
    pub fail_on_missing_symbols: bool,
    /// Dimensions that the pipeline can do without: they alone cause no failover.
    pub optional_dimensions: Vec<Dimension>,
}

impl Default for Policy {
    /// Errors, absent rows and missing symbols trigger; macro events are optional.
    fn default() -> Self {
        Self {
            failing_from: Severity::Fail,
            require_rows: true,
            fail_on_missing_symbols: true,
            optional_dimensions: vec![Dimension::MacroEvents],
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// How it came in.
    pub health: &'a HealthReport,
}

/// Whether to fall over.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// As every evaluator answers: the severity and the instant are those of the health report.
    pub assessment: Assessment,
    /// Whether to fall over.
    pub should_failover: bool,
    /// Why, when so.
    pub reason: Option<String>,
    /// Dimensions that ask for it.
    pub triggered_dimensions: Vec<Dimension>,
    /// Optional dimensions that would ask for it.
    pub optional_triggers: Vec<Dimension>,
    /// What was planned.
    pub planned_dimensions: Vec<Dimension>,
}

/// Decides from the health of what was planned.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy) -> Decision {
    let report = &inputs.health.assessment;
    let generated_at_ms = report.generated_at_ms;
    let mut assessment = Assessment::new(TOPIC, SOURCE, report.ladder, generated_at_ms);
    assessment.severity = report.severity;
    let (mut triggered, mut optional) = (vec![], vec![]);
    let mut reasons: Vec<String> = vec![];
    let planned = inputs.plan.dimensions();
    for &dimension in &planned {
        let triggers = triggers(inputs.health.of(dimension), policy);
        let is_optional = policy.optional_dimensions.contains(&dimension);
        let severity = match (triggers.is_empty(), is_optional) {
            (true, _) => Severity::Ok,
            (false, true) => Severity::Warn,
            (false, false) => Severity::Fail,
        };
        let mut summary = "no trigger".to_owned();
        if !triggers.is_empty() {
            summary = triggers.join("; ");
            let message = format!("{dimension}: {summary}");
            assessment.remark(Issue::new("failover_trigger", severity, &message));
            if is_optional {
                optional.push(dimension);
            } else {
                triggered.push(dimension);
                reasons.push(message);
            }
        }
        let check = Check::new(dimension.as_str(), severity, summary);
        assessment.inform(check.with("optional", is_optional));
    }
    let nothing_triggered = triggered.is_empty() && optional.is_empty();
    if nothing_triggered && report.severity >= policy.failing_from {
        let message = format!("the overall status is {}", report.status());
        assessment.remark(Issue::new("overall_status", report.severity, &message));
        reasons.push(message);
    }
    let should_failover = !reasons.is_empty();
    let reason = should_failover.then(|| reasons.join("; "));
    assessment.annotate("should_failover", should_failover);
    if let Some(reason) = &reason {
        assessment.annotate("reason", reason.as_str());
    }
    assessment.annotate("triggered_dimensions", triggered.clone());
    assessment.annotate("optional_triggers", optional.clone());
    assessment.annotate("planned_dimensions", planned.clone());
    Decision {
        assessment,
        should_failover,
        reason,
        triggered_dimensions: triggered,
        optional_triggers: optional,
        planned_dimensions: planned,
    }
}

/// What about a planned dimension asks for a failover.
fn triggers(health: Option<&DimensionHealth>, policy: &Policy) -> Vec<String> {
    let Some(health) = health else {
        return vec!["its health is unknown".to_owned()];
    };
    let mut triggers = vec![];
    if policy.require_rows && health.rows_written == 0 {
        triggers.push("no rows".to_owned());
    }
    if policy.fail_on_missing_symbols && !health.missing_symbols.is_empty() {
        triggers.push(format!("missing {}", listed(&health.missing_symbols)));
    }
    if health.severity >= policy.failing_from {
        triggers.push(format!("its health is failing: {}", health.message));
    }
    triggers
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::dimension::MacroSlice;
    use crate::fixture::{FAIL, NOW_MS, WARN, daily_plan, health, plan_of, result, symbols};

    fn decide(plan: &Plan, health: &HealthReport) -> Decision {
        assess(&Inputs { plan, health }, &Policy::default())
    }

    #[test]
    fn healthy_dimensions_cause_no_failover() {
        let plan = daily_plan(&["SPY"]);
        let health = health(&plan, &[result(DailyBars, 1, &["SPY"], Some(1.0))]);
        let decision = decide(&plan, &health);
        assert!(!decision.should_failover);
        assert_eq!(decision.reason, None);
        assert_eq!(decision.planned_dimensions, [DailyBars]);
    }

    #[test]
    fn each_trigger_of_a_planned_dimension_causes_a_failover() {
        let plan = daily_plan(&["SPY", "QQQ"]);
        let both = ["SPY", "QQQ"];
        let mut failing = health(&plan, &[result(DailyBars, 2, &both, Some(1.0))]);
        failing.dimensions[0].severity = FAIL;
        let mut unknown = failing.clone();
        unknown.dimensions.clear();
        for (health, why) in [
            (unknown, "its health is unknown"),
            (
                health(&plan, &[result(DailyBars, 0, &both, Some(1.0))]),
                "no rows",
            ),
            (
                health(&plan, &[result(DailyBars, 1, &["SPY"], Some(1.0))]),
                "missing QQQ",
            ),
            (failing, "its health is failing"),
        ] {
            let decision = decide(&plan, &health);
            assert!(decision.should_failover, "{why}");
            assert_eq!(decision.triggered_dimensions, [DailyBars]);
            let reason = decision.reason.unwrap();
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn a_warning_alone_causes_no_failover() {
        let plan = daily_plan(&["SPY"]);
        let health = health(&plan, &[result(DailyBars, 1, &["SPY"], None)]);
        assert_eq!(health.assessment.severity, WARN);
        assert!(!decide(&plan, &health).should_failover);
    }

    #[test]
    fn optional_dimensions_alone_cause_no_failover() {
        let plan = plan_of(MacroEvents, &["CPI"]);
        let health = health(&plan, &[]);
        let decision = decide(&plan, &health);
        assert_eq!(decision.assessment.severity, FAIL);
        assert!(!decision.should_failover);
        assert_eq!(decision.reason, None);
        assert_eq!(decision.optional_triggers, [MacroEvents]);
    }

    #[test]
    fn an_optional_trigger_does_not_hold_up_another_and_is_no_reason() {
        let plan = Plan {
            macro_events: Some(MacroSlice::Events(symbols(&["CPI"]))),
            ..daily_plan(&["SPY"])
        };
        let decision = decide(&plan, &health(&plan, &[]));
        assert!(decision.should_failover);
        assert_eq!(decision.triggered_dimensions, [DailyBars]);
        assert_eq!(decision.optional_triggers, [MacroEvents]);
        assert!(!decision.reason.unwrap().contains("macro_events"));
    }

    #[test]
    fn an_error_that_no_planned_dimension_explains_causes_a_failover() {
        let plan = daily_plan(&["SPY"]);
        let mut report = health(&plan, &[result(DailyBars, 1, &["SPY"], Some(1.0))]);
        report.assessment.severity = FAIL;
        let decision = decide(&plan, &report);
        assert!(decision.should_failover);
        assert_eq!(
            decision.reason.as_deref(),
            Some("the overall status is error")
        );
        assert!(decision.triggered_dimensions.is_empty());
    }

    #[test]
    fn what_was_not_planned_triggers_nothing() {
        let plan = daily_plan(&["SPY"]);
        let results = [
            result(DailyBars, 1, &["SPY"], Some(1.0)),
            result(IntradayTrades, 0, &[], None),
        ];
        assert!(!decide(&plan, &health(&plan, &results)).should_failover);
    }

    #[test]
    fn a_policy_may_do_without_rows_and_symbols() {
        let plan = daily_plan(&["SPY", "QQQ"]);
        let mut health = health(&plan, &[result(DailyBars, 0, &["SPY"], Some(1.0))]);
        health.dimensions[0].severity = WARN;
        health.assessment.severity = WARN;
        let policy = Policy {
            require_rows: false,
            fail_on_missing_symbols: false,
            ..Policy::default()
        };
        let inputs = Inputs {
            plan: &plan,
            health: &health,
        };
        assert!(!assess(&inputs, &policy).should_failover);
        assert!(assess(&inputs, &Policy::default()).should_failover);
    }

    #[test]
    fn the_decision_has_the_instant_of_the_health_report() {
        let plan = daily_plan(&["SPY"]);
        let json = decide(&plan, &health(&plan, &[])).assessment;
        assert_eq!(json.generated_at_ms, NOW_MS);
        let json = json.to_json();
        assert_eq!(json["topic"], "telemetry.ingest.failover");
        assert_eq!(json["metadata"]["should_failover"], true);
        assert_eq!(
            json["metadata"]["triggered_dimensions"],
            json!(["daily_bars"])
        );
        assert_eq!(json["metadata"]["optional_triggers"], json!([]));
    }
}
