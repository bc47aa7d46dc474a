//! Data retention: does the store hold enough history, and does it let go of what is too old?

use bulkhead_kernel::assessment::{Assessment, Check, Ladder, Severity};
use bulkhead_kernel::instant::rfc3339;

use crate::dimension::{Dimension, PerDimension};
use crate::limit::{above, below, round, seconds_between};

/// The topic.
pub const TOPIC: &str = "telemetry.data_backbone.retention";
/// The source label.
pub const SOURCE: &str = "data_retention";
const DAY_SECONDS: f64 = 86_400.0;
/// How many decimals days have in the metadata.
const DAY_DECIMALS: i32 = 2;

/// How much history a dimension is to have, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From so much on it is ok.
    pub target_days: u32,
    /// Below so much it fails; between the two it warns. The target at most.
    pub minimum_days: u32,
    /// Above so much it fails, since nothing lets go of what is too old. The target at least.
    pub cap_days: u32,
    /// Whether too little only warns.
    pub optional: bool,
}

impl Limits {
    /// The minimum, the target at most.
    fn minimum_days(&self) -> u32 {
        self.minimum_days.min(self.target_days)
    }

    /// The cap, the target at least.
    fn cap_days(&self) -> u32 {
        self.cap_days.max(self.target_days)
    }
}

/// How much history each dimension is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// By dimension.
    pub limits: PerDimension<Limits>,
}

impl Default for Policy {
    /// A year of daily bars and macro events, 30 days of intraday trades. The caps leave room above the targets, a month or a
    /// week, in which a store is ok between two runs of its retention.
    fn default() -> Self {
        let limits = |target_days, minimum_days, cap_days| Limits {
            target_days,
            minimum_days,
            cap_days,
            optional: false,
        };
        Self {
            limits: PerDimension {
                daily_bars: limits(365, 300, 395),
                intraday_trades: limits(30, 7, 37),
                macro_events: limits(365, 180, 395),
            },
        }
    }
}

/// What the store holds of a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How many rows.
    pub rowcount: u64,
    /// The instant of the first, in Unix milliseconds.
    pub earliest_ms: i64,
    /// The instant of the last, in Unix milliseconds.
    pub latest_ms: i64,
}

/// What was found in one place of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The dimension.
    pub dimension: Dimension,
    /// Where it is stored.
    pub table: String,
    /// What is there, or nothing; or why it could not be read.
    pub held: Result<Option<Held>, String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was found, in the order of the report.
    pub found: &'a [Found],
}

/// Grades the history of each dimension, counted back from `now_ms`; the worst counts.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    for found in inputs.found {
        let limits = policy.limits.of(found.dimension);
        assessment.check(check(found, limits, now_ms));
    }
    assessment
}

fn check(found: &Found, limits: &Limits, now_ms: i64) -> Check {
    let held = found.held.as_ref().ok().copied().flatten();
    let held = held.filter(|held| held.rowcount > 0);
    let days = |from_ms, to_ms| seconds_between(from_ms, to_ms) / DAY_SECONDS;
    let coverage = held.map(|held| days(held.earliest_ms, now_ms));
    let span = held.map(|held| days(held.earliest_ms, held.latest_ms));
    let (severity, summary) = match (&found.held, coverage) {
        (Err(why), _) => (Severity::Fail, format!("could not be read: {why}")),
        (Ok(_), None) => (too_little(limits), "no rows".to_owned()),
        (Ok(_), Some(days)) => grade(days, limits),
    };
    Check::new(found.dimension.as_str(), severity, summary)
        .with("table", found.table.as_str())
        .with("rowcount", held.map_or(0, |held| held.rowcount))
        .with("target_days", limits.target_days)
        .with("minimum_days", limits.minimum_days())
        .with("cap_days", limits.cap_days())
        .with_some(
            "coverage_days",
            coverage.map(|days| round(days, DAY_DECIMALS)),
        )
        .with_some("span_days", span.map(|days| round(days, DAY_DECIMALS)))
        .with_some("earliest", held.map(|held| rfc3339(held.earliest_ms)))
        .with_some("latest", held.map(|held| rfc3339(held.latest_ms)))
        .with("optional", limits.optional)
}

fn too_little(limits: &Limits) -> Severity {
    if limits.optional {
        Severity::Warn
    } else {
        Severity::Fail
    }
}

fn grade(coverage_days: f64, limits: &Limits) -> (Severity, String) {
    let (minimum, target) = (limits.minimum_days(), limits.target_days);
    let cap = limits.cap_days();
    if above(coverage_days, f64::from(cap)) {
        let summary =
            format!("{coverage_days:.2} days, above the cap of {cap}: nothing lets go of old rows");
        (Severity::Fail, summary)
    } else if !below(coverage_days, f64::from(target)) {
        (Severity::Ok, format!("{coverage_days:.2} days"))
    } else if !below(coverage_days, f64::from(minimum)) {
        let summary = format!("{coverage_days:.2} days, below the target of {target}");
        (Severity::Warn, summary)
    } else {
        let summary = format!("{coverage_days:.2} days, below the minimum of {minimum}");
        (too_little(limits), summary)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::fixture::{FAIL, NOW_MS, OK, WARN, every};

    const DAY_MS: i64 = 86_400_000;

    fn held(coverage_ms: i64) -> Held {
        Held {
            rowcount: 1,
            earliest_ms: NOW_MS - coverage_ms,
            latest_ms: NOW_MS,
        }
    }

    fn assessed(
        dimension: Dimension,
        held: Result<Option<Held>, String>,
        policy: &Policy,
    ) -> Assessment {
        let found = [Found {
            dimension,
            table: "bars".to_owned(),
            held,
        }];
        assess(&Inputs { found: &found }, policy, NOW_MS)
    }

    #[test]
    fn history_is_graded_at_minimum_target_and_cap() {
        for (dimension, minimum, target, cap) in [
            (DailyBars, 300, 365, 395),
            (IntradayTrades, 7, 30, 37),
            (MacroEvents, 180, 365, 395),
        ] {
            for (coverage_ms, expect) in [
                (-DAY_MS, FAIL),
                (0, FAIL),
                (minimum * DAY_MS - 1, FAIL),
                (minimum * DAY_MS, WARN),
                (target * DAY_MS - 1, WARN),
                (target * DAY_MS, OK),
                (cap * DAY_MS, OK),
                (cap * DAY_MS + 1, FAIL),
            ] {
                let assessment =
                    assessed(dimension, Ok(Some(held(coverage_ms))), &Policy::default());
                assert_eq!(assessment.severity, expect, "{dimension} {coverage_ms} ms");
            }
        }
    }

    #[test]
    fn what_could_not_be_read_fails_even_if_it_is_optional() {
        for optional in [false, true] {
            let assessment = assessed(DailyBars, Err("locked".to_owned()), &optionally(optional));
            assert_eq!(assessment.severity, FAIL);
            assert!(assessment.checks[0].summary.contains("locked"));
        }
    }

    fn optionally(optional: bool) -> Policy {
        Policy {
            limits: every(Limits {
                target_days: 30,
                minimum_days: 7,
                cap_days: 37,
                optional,
            }),
        }
    }

    #[test]
    fn too_little_fails_or_if_it_is_optional_warns() {
        let empty = Held {
            rowcount: 0,
            ..held(0)
        };
        for (optional, expect) in [(false, FAIL), (true, WARN)] {
            for held in [None, Some(empty), Some(held(DAY_MS))] {
                let assessment = assessed(DailyBars, Ok(held), &optionally(optional));
                assert_eq!(assessment.severity, expect, "{held:?}");
            }
            let above = assessed(
                DailyBars,
                Ok(Some(held(38 * DAY_MS))),
                &optionally(optional),
            );
            assert_eq!(above.severity, FAIL);
        }
    }

    #[test]
    fn the_minimum_is_the_target_at_most_and_the_cap_the_target_at_least() {
        let policy = Policy {
            limits: every(Limits {
                target_days: 10,
                minimum_days: 20,
                cap_days: 5,
                optional: false,
            }),
        };
        for (days, expect) in [(9, FAIL), (10, OK), (11, FAIL)] {
            let assessment = assessed(DailyBars, Ok(Some(held(days * DAY_MS))), &policy);
            assert_eq!(assessment.severity, expect, "{days}");
        }
    }

    #[test]
    fn a_check_tells_what_is_held_and_what_is_asked_for() {
        let held = Held {
            rowcount: 5,
            earliest_ms: NOW_MS - 31 * DAY_MS - DAY_MS / 3,
            latest_ms: NOW_MS - DAY_MS,
        };
        let json = assessed(IntradayTrades, Ok(Some(held)), &Policy::default()).to_json();
        assert_eq!(
            json["checks"][0],
            json!({
                "name": "intraday_trades",
                "status": "ok",
                "summary": "31.33 days",
                "metadata": {
                    "table": "bars",
                    "rowcount": 5,
                    "target_days": 30,
                    "minimum_days": 7,
                    "cap_days": 37,
                    "coverage_days": 31.33,
                    "span_days": 30.33,
                    "earliest": "2021-11-30T16:00:00.000Z",
                    "latest": "2021-12-31T00:00:00.000Z",
                    "optional": false,
                },
            })
        );
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn any_range_of_rows_is_graded(earliest_ms in any::<i64>(), latest_ms in any::<i64>(), now_ms in any::<i64>()) {
                let found = [Found {
                    dimension: DailyBars,
                    table: "bars".to_owned(),
                    held: Ok(Some(Held { rowcount: 1, earliest_ms, latest_ms })),
                }];
                let assessment = assess(&Inputs { found: &found }, &Policy::default(), now_ms);
                let age_ms = i128::from(now_ms) - i128::from(earliest_ms);
                let kept = 300 * i128::from(DAY_MS)..=395 * i128::from(DAY_MS);
                prop_assert_eq!(assessment.severity == FAIL, !kept.contains(&age_ms));
            }
        }
    }
}
