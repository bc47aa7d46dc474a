//! The recovery plan: what is asked for again, before anything else is tried, when slices are missing.

use bulkhead_kernel::assessment::Severity;
use serde_json::{Map, Value, json};

use crate::dimension::{DailySlice, Dimension, IntradaySlice, MacroSlice, Plan};
use crate::ingest_health::HealthReport;

/// The most days back that a recovery asks for, unless the plan itself asked for more.
pub const MAX_LOOKBACK_DAYS: u32 = 3_650;

/// How recovery goes about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Whether there is any.
    pub enabled: bool,
    /// How often it asks again, at most.
    pub max_attempts: u32,
    /// By how much each attempt multiplies the days back; one at least.
    pub lookback_multiplier: f64,
    /// Whether it asks only for the symbols that are missing, where some are.
    pub target_missing_symbols: bool,
}

impl Default for Policy {
    /// Off; one attempt, twice the days back, only what is missing.
    fn default() -> Self {
        Self {
            enabled: false,
            max_attempts: 1,
            lookback_multiplier: 2.0,
            target_missing_symbols: true,
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was planned at first.
    pub plan: &'a Plan,
    /// How it came in, with what earlier attempts brought.
    pub health: &'a HealthReport,
    /// How many attempts were made.
    pub attempts_made: u32,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What it asks for.
    pub plan: Plan,
}

/// The next attempt. None: recovery is off, all is well, no attempt is left, or there is nothing to ask for.
///
/// Whoever carries a step out merges its results ([`crate::dimension::SliceResult::merge`]), looks at health again and asks for the
/// next; an attempt that fails ends the recovery.
#[must_use]
pub fn next_step(inputs: &Inputs<'_>, policy: &Policy) -> Option<Step> {
    let needed = policy.enabled
        && inputs.health.assessment.severity > Severity::Ok
        && inputs.attempts_made < policy.max_attempts;
    if !needed {
        return None;
    }
    let attempt = inputs.attempts_made + 1;
    let plan = plan(inputs, policy, attempt);
    (!plan.is_empty()).then_some(Step { attempt, plan })
}

/// What an attempt asks for: of each planned dimension that is not well, the symbols that are missing, further back than before.
fn plan(inputs: &Inputs<'_>, policy: &Policy, attempt: u32) -> Plan {
    let missing = |dimension: Dimension| {
        let health = inputs.health.of(dimension)?;
        (health.severity > Severity::Ok).then_some(health.missing_symbols.as_slice())
    };
    let symbols = |planned: &[String], missing: &[String]| {
        if policy.target_missing_symbols && !missing.is_empty() {
            missing.to_vec()
        } else {
            planned.to_vec()
        }
    };
    let mut plan = Plan::default();
    if let (Some(slice), Some(missing)) = (&inputs.plan.daily_bars, missing(Dimension::DailyBars)) {
        plan.daily_bars = Some(DailySlice {
            symbols: symbols(&slice.symbols, missing),
            lookback_days: lookback_days(slice.lookback_days, attempt, policy),
        });
    }
    if let (Some(slice), Some(missing)) = (
        &inputs.plan.intraday_trades,
        missing(Dimension::IntradayTrades),
    ) {
        plan.intraday_trades = Some(IntradaySlice {
            symbols: symbols(&slice.symbols, missing),
            lookback_days: lookback_days(slice.lookback_days, attempt, policy),
            interval: slice.interval,
        });
    }
    if let (Some(slice), Some(missing)) =
        (&inputs.plan.macro_events, missing(Dimension::MacroEvents))
    {
        plan.macro_events = match slice {
            MacroSlice::Events(_) if missing.is_empty() => None,
            MacroSlice::Events(_) => Some(MacroSlice::Events(missing.to_vec())),
            window @ MacroSlice::Window { .. } => Some(window.clone()),
        };
    }
    plan
}

/// The days back of an attempt: the planned ones times the multiplier for each attempt, rounded; never fewer than planned.
fn lookback_days(planned: u32, attempt: u32, policy: &Policy) -> u32 {
    let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
    let days = f64::from(planned) * policy.lookback_multiplier.max(1.0).powi(exponent);
    // `as` saturates, and gives 0 for what is not a number.
    (days.round() as u32).min(MAX_LOOKBACK_DAYS).max(planned)
}

/// The attempts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// In order.
    pub steps: Vec<Step>,
}

impl Recovery {
    /// How many attempts there were.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// As metadata: `attempts` and `steps`.
    #[must_use]
    pub fn metadata(&self) -> Map<String, Value> {
        let step = |step: &Step| json!({"attempt": step.attempt, "plan": step.plan});
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        Map::from_iter([
            ("attempts".to_owned(), json!(self.attempts())),
            ("steps".to_owned(), json!(steps)),
        ])
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::dimension::Dimension::{DailyBars, IntradayTrades, MacroEvents};
    use crate::dimension::SliceResult;
    use crate::fixture::{daily, daily_plan, health, intraday, plan_of, result, symbols};

    fn on() -> Policy {
        Policy {
            enabled: true,
            ..Policy::default()
        }
    }

    fn next(plan: &Plan, results: &[SliceResult], made: u32, policy: &Policy) -> Option<Step> {
        let inputs = Inputs {
            plan,
            health: &health(plan, results),
            attempts_made: made,
        };
        next_step(&inputs, policy)
    }

    #[test]
    fn recovery_asks_only_while_it_is_on_something_is_wrong_and_attempts_are_left() {
        let plan = daily_plan(&["SPY"]);
        let well = [result(DailyBars, 1, &["SPY"], Some(1.0))];
        let three = Policy {
            max_attempts: 3,
            ..on()
        };
        for (results, made, policy, expect) in [
            (&[][..], 0, &Policy::default(), false),
            (&[], 0, &on(), true),
            (&well, 0, &on(), false),
            (&[], 1, &on(), false),
            (&[], 2, &three, true),
            (&[], 3, &three, false),
            (&[], u32::MAX, &three, false),
        ] {
            assert_eq!(
                next(&plan, results, made, policy).is_some(),
                expect,
                "{made} {policy:?}"
            );
        }
    }

    #[test]
    fn only_missing_symbols_are_asked_for_where_some_are_missing() {
        let plan = daily_plan(&["SPY", "QQQ"]);
        let some = [result(DailyBars, 1, &["SPY"], Some(1.0))];
        let stale = [result(DailyBars, 2, &["SPY", "QQQ"], None)];
        let untargeted = Policy {
            target_missing_symbols: false,
            ..on()
        };
        for (results, policy, expect) in [
            (&some, &on(), &["QQQ"][..]),
            (&some, &untargeted, &["SPY", "QQQ"]),
            (&stale, &on(), &["SPY", "QQQ"]),
        ] {
            let step = next(&plan, results, 0, policy).unwrap();
            assert_eq!(step.plan.daily_bars.unwrap().symbols, expect);
        }
    }

    #[test]
    fn each_attempt_looks_further_back() {
        for (planned, attempt, multiplier, expect) in [
            (60, 1, 2.0, 120),
            (60, 2, 2.0, 240),
            (60, 1, 1.0, 60),
            (60, 3, 0.5, 60),
            (3, 1, 1.5, 5),
            (7, 1, 1.2, 8),
            (0, 1, 2.0, 0),
            (60, 1, f64::NAN, 60),
            (60, 1, f64::INFINITY, MAX_LOOKBACK_DAYS),
            (60, u32::MAX, 2.0, MAX_LOOKBACK_DAYS),
            (5_000, 1, 2.0, 5_000),
        ] {
            let policy = Policy {
                lookback_multiplier: multiplier,
                ..on()
            };
            let days = lookback_days(planned, attempt, &policy);
            assert_eq!(days, expect, "{planned} {attempt} {multiplier}");
        }
    }

    #[test]
    fn dimensions_that_are_well_are_not_asked_for_again() {
        let plan = Plan {
            daily_bars: Some(daily(&["SPY"], 60)),
            intraday_trades: Some(intraday(&["SPY"], 2, "5m")),
            macro_events: None,
        };
        let results = [result(DailyBars, 1, &["SPY"], Some(1.0))];
        let step = next(&plan, &results, 0, &on()).unwrap();
        let expect = Plan {
            intraday_trades: Some(intraday(&["SPY"], 4, "5m")),
            ..Plan::default()
        };
        assert_eq!((step.attempt, step.plan), (1, expect));
        assert!(health(&plan, &results).of(IntradayTrades).is_some());
    }

    #[test]
    fn macro_events_are_asked_for_by_the_names_that_are_missing() {
        let plan = plan_of(MacroEvents, &["CPI", "NFP"]);
        let step = next(
            &plan,
            &[result(MacroEvents, 1, &["CPI"], Some(1.0))],
            0,
            &on(),
        );
        let expect = MacroSlice::Events(symbols(&["NFP"]));
        assert_eq!(step.unwrap().plan.macro_events, Some(expect));
    }

    #[test]
    fn stale_macro_events_without_a_missing_name_leave_nothing_to_ask_for() {
        let plan = plan_of(MacroEvents, &["CPI"]);
        assert_eq!(
            next(&plan, &[result(MacroEvents, 1, &["CPI"], None)], 0, &on()),
            None
        );
    }

    #[test]
    fn a_window_of_macro_events_is_asked_for_again_whole() {
        let window = MacroSlice::Window {
            start_ms: 1,
            end_ms: 2,
        };
        let plan = Plan {
            macro_events: Some(window.clone()),
            ..Plan::default()
        };
        let step = next(&plan, &[], 0, &on()).unwrap();
        assert_eq!(step.plan.macro_events, Some(window));
    }

    #[test]
    fn the_metadata_has_the_attempts_and_their_plans() {
        let plan = daily_plan(&["SPY"]);
        let recovery = Recovery {
            steps: vec![next(&plan, &[], 0, &on()).unwrap()],
        };
        assert_eq!(
            json!(recovery.metadata()),
            json!({
                "attempts": 1,
                "steps": [
                    {"attempt": 1, "plan": {"daily_bars": {"symbols": ["SPY"], "lookback_days": 120}}},
                ],
            })
        );
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn an_attempt_never_looks_back_less_than_planned(planned in any::<u32>(), attempt in any::<u32>(), multiplier in any::<f64>()) {
                let policy = Policy { lookback_multiplier: multiplier, ..on() };
                let days = lookback_days(planned, attempt, &policy);
                prop_assert!(days >= planned);
                prop_assert!(days <= planned.max(MAX_LOOKBACK_DAYS));
            }
        }
    }
}
