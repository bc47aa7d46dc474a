#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{AFTER_NEWS_MS, AT_LEAST_EVERY_MS, Moment, is_due, is_due_by_time};
use crate::state::Memory;

fn memory(assessed_at_ms: Option<i64>) -> Memory {
    Memory {
        assessed_at_ms,
        assessed_as: "as before".to_owned(),
        ..Memory::default()
    }
}

#[test]
fn assessments_are_due_after_a_minute_and_sooner_when_bars_came_or_something_changed() {
    let same = Moment("as before".to_owned());
    let other = Moment("worse".to_owned());
    let last = Some(1_000_000);
    let at = |since_ms: i64| 1_000_000 + since_ms;
    assert!(is_due(&memory(None), &same, false, 0));
    assert!(!is_due(
        &memory(last),
        &same,
        false,
        at(AT_LEAST_EVERY_MS - 1)
    ));
    assert!(is_due(&memory(last), &same, false, at(AT_LEAST_EVERY_MS)));
    assert!(!is_due(&memory(last), &same, true, at(AFTER_NEWS_MS - 1)));
    assert!(is_due(&memory(last), &same, true, at(AFTER_NEWS_MS)));
    assert!(is_due(&memory(last), &other, false, at(1)));
}

#[test]
fn a_clock_that_was_ahead_keeps_nothing_from_being_assessed() {
    let same = Moment("as before".to_owned());
    let ahead = memory(Some(1_000_000_000));
    assert!(is_due(&ahead, &same, false, 0));
    assert!(is_due_by_time(&ahead, 0));
}
