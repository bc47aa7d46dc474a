//! Feed health: are the ticks of a stream recent, in order, without gaps and credible?
//!
//! Prices are `f64` here: they are only compared, never booked.

use std::collections::BTreeMap;

use bulkhead_kernel::assessment::{Assessment, Check, Issue, Ladder, Severity};

use crate::limit::{above, at_or_above, seconds_between};

/// The topic.
pub const TOPIC: &str = "telemetry.data_feed.health";
/// The source label.
pub const SOURCE: &str = "data_feed";

/// What is asked of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Above this time between two ticks there is a gap, in seconds.
    pub max_gap_seconds: f64,
    /// A gap above so many times the longest allowed one fails.
    pub gap_fail_multiplier: f64,
    /// From this distance from the tick before on, in percent, a tick is false if the next one is back.
    pub price_jump_percent: f64,
    /// Up to this distance from the tick before the false one, in percent, the next one is back.
    pub reversion_percent: f64,
    /// More false ticks than this fail.
    pub false_tick_limit: usize,
    /// Fewer ticks than this warn.
    pub minimum_samples: usize,
    /// How many ticks are looked at, the newest.
    pub lookback_ticks: usize,
    /// Above this age of the last tick the feed fails, in seconds.
    pub stale_grace_seconds: f64,
}

impl Default for Policy {
    /// Gaps above 90 s, failing above 270 s; jumps of 5 % that come back to within 2.5 %, failing above two; five ticks
    /// of the last 5,000; a last tick no older than two minutes.
    fn default() -> Self {
        Self {
            max_gap_seconds: 90.0,
            gap_fail_multiplier: 3.0,
            price_jump_percent: 5.0,
            reversion_percent: 2.5,
            false_tick_limit: 2,
            minimum_samples: 5,
            lookback_ticks: 5_000,
            stale_grace_seconds: 120.0,
        }
    }
}

/// A tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// At which price.
    pub price: f64,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The ticks of one instrument, in the order in which they came.
    pub ticks: &'a [Tick],
}

/// The ticks that are looked at, and how many were put aside.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sorted {
    retained: Vec<Tick>,
    out_of_order: usize,
    false_ticks: usize,
}

/// Grades a feed.
#[must_use]
pub fn assess(inputs: &Inputs<'_>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut assessment = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    let from = inputs.ticks.len().saturating_sub(policy.lookback_ticks);
    let ticks = &inputs.ticks[from..];
    let sorted = sort(ticks, policy);
    check(
        &mut assessment,
        "freshness",
        freshness(ticks, &sorted, policy, now_ms),
    );
    check(&mut assessment, "samples", samples(&sorted, policy));
    let gaps = gaps(&sorted.retained, policy);
    check(&mut assessment, "gaps", grade_gaps(&gaps, policy));
    check(&mut assessment, "false_ticks", false_ticks(&sorted, policy));
    check(&mut assessment, "order", order(&sorted));
    assessment.measure("ticks", ticks.len() as f64);
    assessment.measure("retained_ticks", sorted.retained.len() as f64);
    assessment.measure("out_of_order_ticks", sorted.out_of_order as f64);
    assessment.measure("false_ticks", sorted.false_ticks as f64);
    assessment.measure("gaps", gaps.len() as f64);
    let largest = gaps.iter().copied().reduce(f64::max);
    assessment.measure("largest_gap_seconds", largest.unwrap_or_default());
    if let Some(last) = sorted.retained.last() {
        let age = seconds_between(last.at_ms, now_ms);
        assessment.measure("last_tick_age_seconds", age);
    }
    assessment
}

/// Grades the ticks of several instruments, by name, as one feed: a check for each, of which the worst counts.
#[must_use]
pub fn assess_all(ticks: &BTreeMap<String, Vec<Tick>>, policy: &Policy, now_ms: i64) -> Assessment {
    let mut whole = Assessment::new(TOPIC, SOURCE, Ladder::OK_WARN_FAIL, now_ms);
    for (instrument, ticks) in ticks {
        let part = assess(&Inputs { ticks }, policy, now_ms);
        let told: Vec<&str> = part
            .issues
            .iter()
            .map(|issue| issue.message.as_str())
            .collect();
        let summary = if told.is_empty() {
            "recent, in order, without gaps".to_owned()
        } else {
            told.join("; ")
        };
        let check = Check::new(instrument, part.severity, summary);
        let numbers = part.metrics.iter();
        whole.check(numbers.fold(check, |check, (name, value)| check.with(name, *value)));
        for issue in part.issues {
            let message = format!("{instrument}: {}", issue.message);
            whole.raise(Issue { message, ..issue });
        }
        for (name, value) in part.metrics {
            let so_far = whole.metrics.get(&name).copied();
            let both = match (so_far, name.ends_with("_seconds")) {
                (Some(so_far), true) => so_far.max(value),
                (Some(so_far), false) => so_far + value,
                (None, _) => value,
            };
            whole.measure(name, both);
        }
    }
    whole
}

fn check(assessment: &mut Assessment, name: &str, (severity, summary): (Severity, String)) {
    if severity > Severity::Ok {
        assessment.raise(Issue::new(name, severity, &summary));
    }
    assessment.check(Check::new(name, severity, summary));
}

/// Puts ticks aside that are older than one before them, then those that are false: without a price that can be read, or by the
/// ticks around them that have one.
fn sort(ticks: &[Tick], policy: &Policy) -> Sorted {
    let mut in_order: Vec<Tick> = vec![];
    let mut sorted = Sorted::default();
    for tick in ticks {
        if in_order.last().is_some_and(|last| tick.at_ms < last.at_ms) {
            sorted.out_of_order += 1;
        } else {
            in_order.push(*tick);
        }
    }
    let has_price = |tick: &Tick| tick.price.is_finite() && tick.price > 0.0;
    let (readable, unreadable): (Vec<Tick>, Vec<Tick>) = in_order.into_iter().partition(has_price);
    sorted.false_ticks = unreadable.len();
    for (index, tick) in readable.iter().enumerate() {
        let next = readable.get(index + 1);
        if is_false(sorted.retained.last(), tick, next, policy) {
            sorted.false_ticks += 1;
        } else {
            sorted.retained.push(*tick);
        }
    }
    sorted
}

/// Whether a tick jumps away from the one before and the next one is back.
fn is_false(before: Option<&Tick>, tick: &Tick, next: Option<&Tick>, policy: &Policy) -> bool {
    let (Some(before), Some(next)) = (before, next) else {
        return false;
    };
    let percent_off = |price: f64| (price - before.price).abs() / before.price * 100.0;
    at_or_above(percent_off(tick.price), policy.price_jump_percent)
        && percent_off(next.price) <= policy.reversion_percent
}

fn freshness(ticks: &[Tick], sorted: &Sorted, policy: &Policy, now_ms: i64) -> (Severity, String) {
    let Some(last) = sorted.retained.last() else {
        let summary = if ticks.is_empty() {
            "there are no ticks"
        } else {
            "every tick was put aside"
        };
        return (Severity::Fail, summary.to_owned());
    };
    let age = seconds_between(last.at_ms, now_ms);
    let severity = if above(age, policy.stale_grace_seconds) {
        Severity::Fail
    } else {
        Severity::Ok
    };
    (severity, format!("the last tick is {age:.1} s old"))
}

fn samples(sorted: &Sorted, policy: &Policy) -> (Severity, String) {
    let (count, minimum) = (sorted.retained.len(), policy.minimum_samples);
    if count < minimum {
        return (
            Severity::Warn,
            format!("{count} ticks, fewer than {minimum}"),
        );
    }
    (Severity::Ok, format!("{count} ticks"))
}

/// The gaps between ticks, in seconds.
fn gaps(ticks: &[Tick], policy: &Policy) -> Vec<f64> {
    ticks
        .windows(2)
        .map(|pair| seconds_between(pair[0].at_ms, pair[1].at_ms))
        .filter(|seconds| above(*seconds, policy.max_gap_seconds))
        .collect()
}

fn grade_gaps(gaps: &[f64], policy: &Policy) -> (Severity, String) {
    let Some(largest) = gaps.iter().copied().reduce(f64::max) else {
        return (Severity::Ok, "no gaps".to_owned());
    };
    let severity = if above(largest, policy.gap_fail_multiplier * policy.max_gap_seconds) {
        Severity::Fail
    } else {
        Severity::Warn
    };
    let count = gaps.len();
    (
        severity,
        format!("{count} gaps, the largest of {largest:.1} s"),
    )
}

fn false_ticks(sorted: &Sorted, policy: &Policy) -> (Severity, String) {
    let severity = match sorted.false_ticks {
        0 => return (Severity::Ok, "no false ticks".to_owned()),
        count if count > policy.false_tick_limit => Severity::Fail,
        _ => Severity::Warn,
    };
    (
        severity,
        format!("{} false ticks were put aside", sorted.false_ticks),
    )
}

fn order(sorted: &Sorted) -> (Severity, String) {
    match sorted.out_of_order {
        0 => (Severity::Ok, "in order".to_owned()),
        count => {
            let summary = format!("{count} ticks out of order were dropped");
            (Severity::Warn, summary)
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::fixture::{FAIL, NOW_MS, OK, WARN};

    /// Ticks at 100, so many seconds before now each.
    fn ticks(seconds_ago: &[f64]) -> Vec<Tick> {
        seconds_ago
            .iter()
            .map(|seconds| tick(*seconds, 100.0))
            .collect()
    }

    fn tick(seconds_ago: f64, price: f64) -> Tick {
        Tick {
            at_ms: NOW_MS - (seconds_ago * 1_000.0).round() as i64,
            price,
        }
    }

    /// A second apart, the last of them now.
    fn priced(prices: &[f64]) -> Vec<Tick> {
        let last = prices.len().saturating_sub(1);
        let tick = |(index, price): (usize, &f64)| tick((last - index) as f64, *price);
        prices.iter().enumerate().map(tick).collect()
    }

    fn check(ticks: &[Tick], expect: Severity, issues: &[&str]) {
        let assessment = assess(&Inputs { ticks }, &Policy::default(), NOW_MS);
        let found: Vec<&str> = assessment
            .issues
            .iter()
            .map(|issue| issue.category.as_str())
            .collect();
        assert_eq!(
            (assessment.severity, found.as_slice()),
            (expect, issues),
            "{ticks:?}"
        );
    }

    #[test]
    fn of_several_instruments_the_worst_counts_and_is_named() {
        let ticks = BTreeMap::from([
            ("A".to_owned(), priced(&[100.0; 5])),
            ("B".to_owned(), priced(&[100.0; 4])),
        ]);
        let whole = assess_all(&ticks, &Policy::default(), NOW_MS);
        assert_eq!(whole.severity, WARN);
        let checks: Vec<(&str, Severity)> = whole
            .checks
            .iter()
            .map(|check| (check.name.as_str(), check.severity))
            .collect();
        assert_eq!(checks, [("A", OK), ("B", WARN)]);
        assert_eq!(whole.issues[0].message, "B: 4 ticks, fewer than 5");
        assert_eq!(whole.metrics["ticks"], 9.0);
    }

    #[test]
    fn five_recent_ticks_are_ok() {
        check(&priced(&[100.0; 5]), OK, &[]);
    }

    #[test]
    fn no_ticks_fail_and_so_do_ticks_that_were_all_put_aside() {
        check(&[], FAIL, &["freshness", "samples"]);
        check(
            &priced(&[f64::NAN]),
            FAIL,
            &["freshness", "samples", "false_ticks"],
        );
    }

    #[test]
    fn fewer_than_five_ticks_warn() {
        check(&priced(&[100.0; 4]), WARN, &["samples"]);
        check(&priced(&[100.0; 6]), OK, &[]);
    }

    #[test]
    fn a_last_tick_older_than_two_minutes_fails() {
        for (age, expect, issues) in [
            (119.999, OK, &[][..]),
            (120.0, OK, &[]),
            (120.001, FAIL, &["freshness"]),
        ] {
            check(&ticks(&[age; 5]), expect, issues);
        }
    }

    #[test]
    fn a_gap_warns_above_90_seconds_and_fails_above_270() {
        for (gap, expect, issues) in [
            (90.0, OK, &[][..]),
            (90.001, WARN, &["gaps"]),
            (270.0, WARN, &["gaps"]),
            (270.001, FAIL, &["gaps"]),
        ] {
            check(&ticks(&[gap + 1.0, 1.0, 1.0, 1.0, 1.0]), expect, issues);
        }
    }

    #[test]
    fn a_tick_is_false_when_it_jumps_by_5_percent_and_the_next_is_back_to_within_2_5() {
        for (jump, next, is_false) in [
            (105.0, 100.0, true),
            (104.99, 100.0, false),
            (95.0, 100.0, true),
            (95.01, 100.0, false),
            (105.0, 102.5, true),
            (105.0, 102.51, false),
            (105.0, 97.5, true),
            (105.0, 97.49, false),
        ] {
            let ticks = priced(&[100.0, 100.0, 100.0, 100.0, jump, next]);
            let expect: (_, &[&str]) = if is_false {
                (WARN, &["false_ticks"])
            } else {
                (OK, &[])
            };
            check(&ticks, expect.0, expect.1);
        }
    }

    #[test]
    fn a_tick_that_jumps_is_false_by_the_next_one_whose_price_can_be_read() {
        for unreadable in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            for (next, put_aside) in [(102.5, 3.0), (102.51, 2.0)] {
                let spike = [105.0, unreadable, unreadable, next];
                let ticks = priced(&[&[100.0; 5][..], &spike].concat());
                let assessment = assess(&Inputs { ticks: &ticks }, &Policy::default(), NOW_MS);
                let found = assessment.metrics["false_ticks"];
                assert_eq!(found, put_aside, "{unreadable}, {next}");
            }
        }
        // Nothing that can be read comes after it: it may be the new price.
        let ticks = priced(&[100.0, 100.0, 100.0, 100.0, 105.0, f64::NAN]);
        let assessment = assess(&Inputs { ticks: &ticks }, &Policy::default(), NOW_MS);
        assert_eq!(assessment.metrics["false_ticks"], 1.0);
    }

    #[test]
    fn more_than_two_false_ticks_fail() {
        let spikes = |count: usize| {
            let mut prices = vec![100.0; 5];
            prices.extend([150.0, 100.0].repeat(count));
            priced(&prices)
        };
        check(&spikes(1), WARN, &["false_ticks"]);
        check(&spikes(2), WARN, &["false_ticks"]);
        check(&spikes(3), FAIL, &["false_ticks"]);
    }

    #[test]
    fn false_ticks_are_not_counted_as_samples_and_do_not_close_gaps() {
        let mut ticks = ticks(&[100.0, 100.0, 100.0, 100.0, 50.0, 1.0]);
        ticks[4].price = -1.0;
        check(&ticks, WARN, &["gaps", "false_ticks"]);
        check(
            &priced(&[100.0, 100.0, 0.0, 100.0, 100.0]),
            WARN,
            &["samples", "false_ticks"],
        );
    }

    #[test]
    fn a_tick_older_than_one_before_it_is_dropped_and_warns() {
        check(&ticks(&[5.0, 4.0, 3.0, 2.0, 2.001, 1.0]), WARN, &["order"]);
        check(&ticks(&[5.0, 4.0, 3.0, 2.0, 2.0, 1.0]), OK, &[]);
    }

    #[test]
    fn only_the_newest_5000_ticks_are_looked_at() {
        let mut ticks = vec![tick(1.0, f64::NAN)];
        ticks.extend(vec![tick(0.0, 100.0); 4_999]);
        check(&ticks, WARN, &["false_ticks"]);
        ticks.push(tick(0.0, 100.0));
        check(&ticks, OK, &[]);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn any_ticks_are_sorted_into_retained_and_put_aside(ticks in prop::collection::vec((any::<i64>(), any::<f64>()), 0..50)) {
                let ticks: Vec<Tick> = ticks.into_iter().map(|(at_ms, price)| Tick { at_ms, price }).collect();
                let sorted = sort(&ticks, &Policy::default());
                prop_assert_eq!(sorted.retained.len() + sorted.false_ticks + sorted.out_of_order, ticks.len());
                prop_assert!(sorted.retained.iter().all(|tick| tick.price.is_finite() && tick.price > 0.0));
                prop_assert!(sorted.retained.is_sorted_by_key(|tick| tick.at_ms));
                let _ = assess(&Inputs { ticks: &ticks }, &Policy::default(), NOW_MS).to_json();
            }
        }
    }
}
