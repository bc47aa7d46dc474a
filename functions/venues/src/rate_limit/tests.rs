#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Budget, Cause, MAX_RETRY_AFTER_SECONDS};
use crate::HttpResponse;
use crate::binance::exchange_info::RateLimit;

/// 2023-01-18T12:22:31Z.
const NOW_MS: i64 = 1_674_044_551_000;
/// When the minute of [`NOW_MS`] is over.
const NEXT_MINUTE_MS: i64 = 1_674_044_580_000;

fn answered<'a>(status: u16, headers: &'a [(&'a str, &'a str)]) -> HttpResponse<'a> {
    HttpResponse {
        status,
        headers,
        body: b"",
    }
}

fn not_before(budget: &Budget, weight: u32, now_ms: i64) -> Option<i64> {
    budget
        .may_send(weight, now_ms)
        .err()
        .map(|refusal| refusal.not_before_ms)
}

#[test]
fn what_is_sent_counts_before_its_answer_comes() {
    let mut budget = Budget::binance();
    budget.spend(5_998, NOW_MS);
    assert_eq!(not_before(&budget, 2, NOW_MS), None);
    assert_eq!(not_before(&budget, 3, NOW_MS), Some(NEXT_MINUTE_MS));
    budget.spend(2, NOW_MS);
    assert_eq!(
        not_before(&budget, 1, NEXT_MINUTE_MS - 1),
        Some(NEXT_MINUTE_MS)
    );
    assert_eq!(not_before(&budget, 1, NEXT_MINUTE_MS), None);
}

#[test]
fn the_used_weight_of_an_answer_counts_what_others_sent() {
    let mut budget = Budget::binance();
    budget.spend(2, NOW_MS);
    let headers = [
        ("x-mbx-used-weight", "5999"),
        ("x-mbx-used-weight-1m", "5999"),
    ];
    budget.observe(&answered(200, &headers), NOW_MS);
    let refusal = budget.may_send(2, NOW_MS).unwrap_err();
    assert_eq!(
        refusal.cause,
        Cause::Spent {
            used: 5_999,
            limit: 6_000,
            interval_ms: 60_000,
            weight: 2
        }
    );
    assert_eq!(
        refusal.to_string(),
        "send a request: not before 1674044580000 (Unix ms), because 5999 of 6000 are used in 60000 ms and the request weighs 2"
    );
}

#[test]
fn an_answer_that_comes_late_does_not_lower_what_is_used() {
    let mut budget = Budget::binance();
    budget.spend(6_000, NOW_MS);
    budget.observe(&answered(200, &[("X-MBX-USED-WEIGHT-1M", "10")]), NOW_MS);
    assert_eq!(not_before(&budget, 1, NOW_MS), Some(NEXT_MINUTE_MS));
}

#[test]
fn alpacas_remaining_requests_and_their_reset_are_taken_over() {
    let mut budget = Budget::alpaca();
    let headers = [
        ("X-RateLimit-Limit", "100"),
        ("X-RateLimit-Remaining", "1"),
        ("X-RateLimit-Reset", "1674044561"),
    ];
    budget.observe(&answered(200, &headers), NOW_MS);
    assert_eq!(not_before(&budget, 1, NOW_MS), None);
    budget.spend(1, NOW_MS);
    assert_eq!(not_before(&budget, 1, NOW_MS), Some(NOW_MS + 10_000));
    assert_eq!(not_before(&budget, 1, NOW_MS + 10_000), None);
}

#[test]
fn nothing_is_sent_before_the_venue_said() {
    for (status, header, seconds) in [
        (429, Some("17"), 17),
        (418, Some("300"), 300),
        (429, None, 60),
        (418, None, 120),
        (429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), 60),
        (429, Some("0"), 1),
        (418, Some("9223372036854775807"), MAX_RETRY_AFTER_SECONDS),
    ] {
        let mut budget = Budget::binance();
        let headers = header.map(|value| ("Retry-After", value));
        budget.observe(&answered(status, headers.as_slice()), NOW_MS);
        let until = NOW_MS + seconds * 1_000;
        assert_eq!(
            not_before(&budget, 1, NOW_MS),
            Some(until),
            "{status} {header:?}"
        );
        assert_eq!(not_before(&budget, 1, until), None);
    }
}

#[test]
fn a_later_refusal_does_not_shorten_an_earlier_ban() {
    let mut budget = Budget::binance();
    budget.observe(&answered(418, &[("Retry-After", "600")]), NOW_MS);
    budget.observe(&answered(429, &[("Retry-After", "1")]), NOW_MS + 1);
    assert_eq!(not_before(&budget, 1, NOW_MS + 1), Some(NOW_MS + 600_000));
}

#[test]
fn a_request_heavier_than_the_budget_is_never_sent() {
    assert_eq!(not_before(&Budget::alpaca(), 201, NOW_MS), Some(i64::MAX));
}

#[test]
fn a_header_that_cannot_be_read_changes_nothing() {
    for mut budget in [Budget::binance(), Budget::alpaca()] {
        budget.spend(7, NOW_MS);
        let before = budget.clone();
        let headers = [
            ("X-MBX-USED-WEIGHT-1M", "many"),
            ("X-MBX-USED-WEIGHT-5Y", "6000"),
            ("X-RateLimit-Limit", "0"),
            ("X-RateLimit-Remaining", "-1"),
            ("X-RateLimit-Reset", "99999999999999999999"),
        ];
        budget.observe(&answered(200, &headers), NOW_MS);
        assert_eq!(budget, before);
    }
}

#[test]
fn the_limits_of_the_exchange_take_the_place_of_the_known_ones() {
    let limit = |kind: &str, interval_ms, limit| RateLimit {
        rate_limit_type: kind.to_owned(),
        interval_ms,
        limit,
    };
    let mut budget = Budget::binance();
    budget.spend(1_100, NOW_MS);
    budget.set_limits(&[
        limit("ORDERS", 10_000, 1),
        limit("REQUEST_WEIGHT", 60_000, 0),
    ]);
    assert_eq!(not_before(&budget, 100, NOW_MS), None);
    budget.set_limits(&[
        limit("REQUEST_WEIGHT", 60_000, 1_200),
        limit("REQUEST_WEIGHT", 10_000, 5_000),
    ]);
    assert_eq!(not_before(&budget, 100, NOW_MS), None);
    assert_eq!(not_before(&budget, 101, NOW_MS), Some(NEXT_MINUTE_MS));
    budget.observe(&answered(200, &[("X-MBX-USED-WEIGHT-10S", "5000")]), NOW_MS);
    assert_eq!(not_before(&budget, 1, NOW_MS), Some(NOW_MS + 9_000));
}

#[test]
fn a_window_written_by_a_clock_that_was_ahead_does_not_stop_the_venue_for_ever() {
    let mut budget = Budget::binance();
    budget.spend(6_000, NOW_MS + 86_400_000);
    assert_eq!(not_before(&budget, 1, NOW_MS), None);
    budget.observe(
        &answered(418, &[("Retry-After", "259200")]),
        NOW_MS + 400 * 86_400_000,
    );
    assert_eq!(not_before(&budget, 1, NOW_MS), None);
}

#[test]
fn a_budget_survives_its_document() {
    let mut budget = Budget::alpaca();
    budget.spend(3, NOW_MS);
    budget.observe(&answered(429, &[]), NOW_MS);
    let document = serde_json::to_string(&budget).unwrap();
    assert_eq!(serde_json::from_str::<Budget>(&document).unwrap(), budget);
}

#[test]
fn a_document_that_would_allow_anything_is_refused() {
    let window = r#"{"interval_ms":60000,"limit":200,"used":0,"ends_at_ms":0}"#;
    for (windows, is_read) in [
        (window.to_owned(), true),
        (String::new(), false),
        ([window; 9].join(","), false),
        (window.replace("60000", "0"), false),
        (window.replace("60000", "-1"), false),
        (window.replace("200", "0"), false),
        (window.replace("used", "spent"), false),
    ] {
        let document =
            format!(r#"{{"venue":"alpaca","windows":[{windows}],"not_before_ms":null}}"#);
        let read: Result<Budget, _> = serde_json::from_str(&document);
        assert_eq!(read.is_ok(), is_read, "{document}: {read:?}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod any_run {
    use proptest::prelude::*;

    use super::super::Budget;
    use super::NOW_MS;

    proptest! {
        #[test]
        fn a_run_that_asks_first_never_exceeds_the_budget_of_a_minute(
            steps in prop::collection::vec((0_i64..3_000, 1_u32..200), 0..400),
        ) {
            let mut budget = Budget::alpaca();
            let mut now_ms = NOW_MS;
            let mut sent = std::collections::BTreeMap::<i64, u32>::new();
            for (wait_ms, weight) in steps {
                now_ms += wait_ms;
                if budget.may_send(weight, now_ms).is_ok() {
                    budget.spend(weight, now_ms);
                    *sent.entry(now_ms / 60_000).or_default() += weight;
                }
            }
            prop_assert!(sent.values().all(|used| *used <= 200), "{:?}", sent);
        }
    }
}
