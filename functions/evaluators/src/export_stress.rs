//! The export stress drill: does the export come to its end, again and again, in good time?

use bulkhead_kernel::assessment::{Assessment, Ladder, Severity};

use crate::findings::{Findings, listed};
use crate::limit::at_or_above;

/// The topic.
pub const TOPIC: &str = "telemetry.ingest.spark_stress";
/// The source label.
pub const SOURCE: &str = "timescale_ingest";

/// How long a cycle may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many cycles a drill has.
    pub cycles: u32,
    /// From this duration on a cycle warns, in seconds. None: never.
    pub warn_after_seconds: Option<f64>,
    /// From this duration on a cycle fails, in seconds. None: never. At least [`Policy::warn_after_seconds`].
    pub fail_after_seconds: Option<f64>,
    /// What the drill is called.
    pub label: String,
}

impl Default for Policy {
    /// Three cycles that may take as long as they like.
    fn default() -> Self {
        Self {
            cycles: 3,
            warn_after_seconds: None,
            fail_after_seconds: None,
            label: "spark_export_stress".to_owned(),
        }
    }
}

/// One export of the drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Cycle {
    /// How the export was graded.
    pub export: Severity,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// The jobs that failed.
    pub failing_jobs: Vec<String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The cycles, in order; or why there are none.
    pub cycles: Result<&'a [Cycle], &'a str>,
}

/// Grades each cycle by its export and its duration; the worst counts. A drill without a cycle fails.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    assessment.annotate("label", policy.label.as_str());
    let why = match inputs.cycles {
        Ok([]) => "no cycle ran",
        Err(why) => why,
        Ok(cycles) => {
            for (index, cycle) in cycles.iter().enumerate() {
                grade(&mut assessment, index + 1, cycle, policy);
            }
            durations(&mut assessment, cycles);
            return assessment;
        }
    };
    let mut findings = Findings::default();
    findings.add(
        "engine",
        Severity::Fail,
        format!("the drill did not run: {why}"),
    );
    assessment.check(findings.check("engine", ""));
    findings.raise_in(&mut assessment, "engine");
    assessment
}

fn grade(assessment: &mut Assessment, number: usize, cycle: &Cycle, policy: &Policy) {
    let mut findings = Findings::default();
    if cycle.export > Severity::Ok {
        let status = assessment.ladder.word(cycle.export);
        let mut message = format!("the export was {status}");
        if !cycle.failing_jobs.is_empty() {
            message = format!("{message}: {}", listed(&cycle.failing_jobs));
        }
        findings.add("export", cycle.export, message);
    }
    if let Some((severity, limit)) = too_long(cycle.duration_seconds, policy) {
        let seconds = cycle.duration_seconds;
        let message = format!("took {seconds:.3} s, with a limit of {limit:.3} s");
        findings.add("duration", severity, message);
    }
    let name = format!("cycle {number}");
    let check = findings
        .check(&name, "in good time")
        .with("cycle", number)
        .with("export_status", assessment.ladder.word(cycle.export))
        .with("duration_seconds", cycle.duration_seconds);
    assessment.check(check);
    findings.raise_in(assessment, &name);
}

/// How bad a duration is, and the limit that it reached.
fn too_long(seconds: f64, policy: &Policy) -> Option<(Severity, f64)> {
    let warn = policy.warn_after_seconds;
    let fail = policy
        .fail_after_seconds
        .map(|fail| warn.map_or(fail, |warn| fail.max(warn)));
    let reached = |limit: &f64| at_or_above(seconds, *limit);
    let fail = fail.filter(reached).map(|limit| (Severity::Fail, limit));
    fail.or_else(|| warn.filter(reached).map(|limit| (Severity::Warn, limit)))
}

fn durations(assessment: &mut Assessment, cycles: &[Cycle]) {
    let durations = || cycles.iter().map(|cycle| cycle.duration_seconds);
    let average = durations().sum::<f64>() / cycles.len() as f64;
    let max = durations().fold(f64::NEG_INFINITY, f64::max);
    let min = durations().fold(f64::INFINITY, f64::min);
    assessment.measure("average_duration_seconds", average);
    assessment.measure("max_duration_seconds", max);
    assessment.measure("min_duration_seconds", min);
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, symbols};

    fn cycle(export: Severity, duration_seconds: f64) -> Cycle {
        Cycle {
            export,
            duration_seconds,
            failing_jobs: vec![],
        }
    }

    fn limits(warn: Option<f64>, fail: Option<f64>) -> Policy {
        Policy {
            warn_after_seconds: warn,
            fail_after_seconds: fail,
            ..Policy::default()
        }
    }

    fn assessed(cycles: &[Cycle], policy: &Policy) -> Assessment {
        assess(&Inputs { cycles: Ok(cycles) }, policy, NOW_MS)
    }

    #[test]
    fn a_duration_warns_and_fails_from_its_limits_on() {
        for (warn, fail, seconds, expect) in [
            (Some(2.0), Some(5.0), 1.999, OK),
            (Some(2.0), Some(5.0), 2.0, WARN),
            (Some(2.0), Some(5.0), 4.999, WARN),
            (Some(2.0), Some(5.0), 5.0, FAIL),
            (Some(2.0), Some(5.0), f64::NAN, FAIL),
            (Some(5.0), Some(2.0), 4.999, OK),
            (Some(5.0), Some(2.0), 5.0, FAIL),
            (None, Some(5.0), 4.999, OK),
            (None, Some(5.0), 5.0, FAIL),
            (Some(2.0), None, 1e9, WARN),
            (None, None, 1e9, OK),
        ] {
            let assessment = assessed(&[cycle(OK, seconds)], &limits(warn, fail));
            assert_eq!(assessment.severity, expect, "{warn:?} {fail:?} {seconds}");
        }
    }

    #[test]
    fn a_cycle_is_at_least_as_bad_as_its_export() {
        for export in Severity::ALL {
            let cycles = [cycle(OK, 1.0), cycle(export, 1.0)];
            assert_eq!(assessed(&cycles, &Policy::default()).severity, export);
            let late = assessed(&cycles, &limits(Some(1.0), None)).severity;
            assert_eq!(late, export.max(WARN));
        }
    }

    #[test]
    fn an_issue_names_the_cycle_the_limit_and_the_failing_jobs() {
        let cycles = [Cycle {
            failing_jobs: symbols(&["daily_bars"]),
            ..cycle(FAIL, 3.0)
        }];
        let assessment = assessed(&cycles, &limits(Some(2.0), None));
        let messages: Vec<&str> = assessment
            .issues
            .iter()
            .map(|issue| issue.message.as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "cycle 1: the export was fail: daily_bars",
                "cycle 1: took 3.000 s, with a limit of 2.000 s",
            ]
        );
    }

    #[test]
    fn a_drill_that_did_not_run_fails() {
        for cycles in [Err("no disk"), Ok(&[][..])] {
            let assessment = assess(&Inputs { cycles }, &Policy::default(), NOW_MS);
            assert_eq!(assessment.severity, FAIL);
        }
    }

    #[test]
    fn the_numbers_are_of_all_cycles() {
        let cycles = [cycle(OK, 1.0), cycle(OK, 2.0), cycle(OK, 6.0)];
        let metrics = assessed(&cycles, &Policy::default()).metrics;
        assert_eq!(metrics["average_duration_seconds"], 3.0);
        assert_eq!(metrics["min_duration_seconds"], 1.0);
        assert_eq!(metrics["max_duration_seconds"], 6.0);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn a_cycle_is_in_good_time_only_below_both_limits(seconds in any::<f64>(), warn in any::<f64>(), fail in any::<f64>()) {
                let severity = assessed(&[cycle(OK, seconds)], &limits(Some(warn), Some(fail))).severity;
                prop_assert_eq!(severity == OK, seconds < warn);
            }
        }
    }
}
