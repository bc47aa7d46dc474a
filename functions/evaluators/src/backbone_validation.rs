//! Data backbone validation: is everything there that the ingest run needs? A failure stops the run, and the fallback is taken.

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};

use crate::dimension::Dimension;

/// The topic.
pub const TOPIC: &str = "telemetry.data_backbone.validation";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// A part that a deployment may do without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Whether the deployment asks for it.
    pub expected: bool,
    /// Whether it is configured.
    pub configured: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Whether the plan says that ingest is to run.
    pub should_run: bool,
    /// Why not, if it says not.
    pub reason: Option<&'a str>,
    /// What is planned.
    pub dimensions: &'a [Dimension],
    /// Whether the store is configured.
    pub store_configured: bool,
    /// The query cache.
    pub redis: Part,
    /// The stream.
    pub kafka: Part,
    /// Its topics.
    pub kafka_topics: &'a [String],
    /// Whether ingest is to run on a schedule.
    pub scheduler_enabled: bool,
    /// What the scheduler's evaluator said. None: nothing is known of the schedule.
    pub scheduler: Option<&'a Assessment>,
}

/// Checks the plan, the store, the optional parts and the schedule; the worst counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    assessment.check(plan(inputs));
    assessment.check(store(inputs));
    assessment.check(redis(inputs.redis));
    assessment.check(kafka(inputs.kafka, inputs.kafka_topics));
    if let Some(check) = scheduler(inputs) {
        assessment.check(check);
    }
    assessment
}

fn plan(inputs: &Inputs<'_>) -> Check {
    let (severity, summary) = match (inputs.should_run, inputs.dimensions.len()) {
        (false, _) => {
            let reason = inputs.reason.unwrap_or("no reason given");
            (Severity::Fail, format!("ingest is not to run: {reason}"))
        }
        (true, 0) => (Severity::Warn, "nothing is planned".to_owned()),
        (true, count) => (Severity::Ok, format!("{count} dimensions are planned")),
    };
    Check::new("plan", severity, summary).with("dimensions", inputs.dimensions.to_vec())
}

fn store(inputs: &Inputs<'_>) -> Check {
    let (severity, summary) = match (inputs.store_configured, inputs.should_run) {
        (true, _) => (Severity::Ok, "configured"),
        (false, false) => (Severity::Warn, "not configured; no run is expected"),
        (false, true) => (Severity::Fail, "not configured, and a run is expected"),
    };
    Check::new("timescale_connection", severity, summary)
}

fn redis(part: Part) -> Check {
    let (severity, summary) = match (part.expected, part.configured) {
        (false, _) => (Severity::Ok, "not expected"),
        (true, true) => (Severity::Ok, "configured"),
        (true, false) => (Severity::Fail, "expected, and not configured"),
    };
    Check::new("redis", severity, summary)
}

fn kafka(part: Part, topics: &[String]) -> Check {
    let (severity, summary) = match (part.expected, part.configured, topics.is_empty()) {
        (false, _, _) => (Severity::Ok, "not expected"),
        (true, true, false) => (Severity::Ok, "configured"),
        (true, true, true) => (Severity::Fail, "expected, and without topics"),
        (true, false, _) => (Severity::Fail, "expected, and not configured"),
    };
    Check::new("kafka", severity, summary).with("topics", topics.to_vec())
}

/// None: the schedule is not enabled and nothing is known of one.
fn scheduler(inputs: &Inputs<'_>) -> Option<Check> {
    let (severity, summary) = match (inputs.scheduler, inputs.scheduler_enabled) {
        (Some(scheduler), _) => {
            let summary = format!("the schedule is {}", scheduler.status());
            (scheduler.severity, summary)
        }
        (None, true) => {
            let summary = "enabled, and nothing is known of it".to_owned();
            (Severity::Fail, summary)
        }
        (None, false) => return None,
    };
    Some(Check::new("scheduler", severity, summary))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::DailyBars;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, symbols};

    const BARE: Inputs<'static> = Inputs {
        should_run: true,
        reason: None,
        dimensions: &[DailyBars],
        store_configured: true,
        redis: Part {
            expected: false,
            configured: false,
        },
        kafka: Part {
            expected: false,
            configured: false,
        },
        kafka_topics: &[],
        scheduler_enabled: false,
        scheduler: None,
    };

    fn check(inputs: &Inputs<'_>, name: &str, expect: Option<Severity>) {
        let assessment = assess(inputs, NOW_MS);
        let found = assessment.checks.iter().find(|check| check.name == name);
        assert_eq!(
            found.map(|check| check.severity),
            expect,
            "{name} of {inputs:?}"
        );
        assert!(expect.is_none_or(|severity| assessment.severity >= severity));
    }

    #[test]
    fn a_bare_deployment_is_ok() {
        assert_eq!(assess(&BARE, NOW_MS).severity, OK);
    }

    #[test]
    fn a_plan_that_is_not_to_run_fails_with_its_reason_and_one_of_nothing_warns() {
        check(&BARE, "plan", Some(OK));
        let nothing = Inputs {
            dimensions: &[],
            ..BARE
        };
        check(&nothing, "plan", Some(WARN));
        let stopped = Inputs {
            should_run: false,
            reason: Some("tier_0"),
            ..BARE
        };
        check(&stopped, "plan", Some(FAIL));
        assert!(
            assess(&stopped, NOW_MS).checks[0]
                .summary
                .contains("tier_0")
        );
    }

    #[test]
    fn a_store_that_is_not_configured_fails_where_a_run_is_expected() {
        for (store_configured, should_run, expect) in [
            (true, true, OK),
            (true, false, OK),
            (false, false, WARN),
            (false, true, FAIL),
        ] {
            let inputs = Inputs {
                store_configured,
                should_run,
                ..BARE
            };
            check(&inputs, "timescale_connection", Some(expect));
        }
    }

    #[test]
    fn a_part_that_is_not_expected_is_ok_and_one_that_is_expected_must_be_there() {
        let topics = symbols(&["bars"]);
        for (expected, configured, topics, redis, kafka) in [
            (false, false, &[][..], OK, OK),
            (false, true, &[], OK, OK),
            (true, true, &topics, OK, OK),
            (true, true, &[], OK, FAIL),
            (true, false, &topics, FAIL, FAIL),
            (true, false, &[], FAIL, FAIL),
        ] {
            let part = Part {
                expected,
                configured,
            };
            let inputs = Inputs {
                redis: part,
                kafka: part,
                kafka_topics: topics,
                ..BARE
            };
            check(&inputs, "redis", Some(redis));
            check(&inputs, "kafka", Some(kafka));
        }
    }

    #[test]
    fn the_schedule_counts_when_it_is_enabled_or_known() {
        check(&BARE, "scheduler", None);
        let enabled = Inputs {
            scheduler_enabled: true,
            ..BARE
        };
        check(&enabled, "scheduler", Some(FAIL));
        for severity in Severity::ALL {
            let mut scheduler = Assessment::new("other", "test", Ladder::OK_WARN_FAIL, NOW_MS);
            scheduler.severity = severity;
            for scheduler_enabled in [false, true] {
                let inputs = Inputs {
                    scheduler_enabled,
                    scheduler: Some(&scheduler),
                    ..BARE
                };
                check(&inputs, "scheduler", Some(severity));
            }
        }
    }
}
