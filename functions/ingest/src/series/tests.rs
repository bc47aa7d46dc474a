use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::ingest_quality;
use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::bar_row::parse_timestamp;
use bulkhead_kernel::calendar::Calendar;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::window::MAX_GAPS;
use super::{Gap, Known, Ledger, Shape};

const MINUTE_MS: i64 = 60_000;

fn shape(calendar: Calendar) -> Shape {
    Shape {
        timeframe: "1m".parse().unwrap(),
        calendar,
        lookback_days: 1,
    }
}

fn columns(open_times: impl IntoIterator<Item = i64>) -> Columns {
    let bars: Vec<Bar> = open_times
        .into_iter()
        .map(|open_time_ms| Bar {
            open_time_ms,
            open: 7.into(),
            high: 7.into(),
            low: 7.into(),
            close: 7.into(),
            volume: 1.into(),
        })
        .collect();
    Columns::from_bars(&bars).unwrap()
}

fn at(text: &str) -> i64 {
    parse_timestamp(text.as_bytes()).unwrap()
}

fn minutes(range: std::ops::Range<i64>) -> Vec<i64> {
    range.map(|minute| minute * MINUTE_MS).collect()
}

fn graded(known: &mut Known, now_ms: i64) -> (String, String) {
    let shape = shape(Calendar::AroundTheClock);
    known.grade(&shape, 900.0, &ingest_quality::Policy::default(), now_ms);
    (known.status.clone(), known.why.clone())
}

#[test]
fn a_whole_lookback_is_complete_and_a_hole_in_it_is_counted() {
    let shape = shape(Calendar::AroundTheClock);
    let mut known = Known::default();
    known.observe(&columns(minutes(0..2_000)), &shape);
    assert_eq!(
        (known.held_bars(&shape), known.expected_bars(&shape)),
        (1_440, 1_440)
    );
    assert_eq!(graded(&mut known, 2_000 * MINUTE_MS).0, "ok");
    known.observe(&columns(minutes(2_100..2_101)), &shape);
    assert_eq!((known.missing_bars, known.gaps.len()), (100, 1));
    assert_eq!(known.held_bars(&shape), 1_340);
    assert_eq!(known.gaps[0].from_ms, 2_000 * MINUTE_MS);
}

#[test]
fn a_gap_leaves_the_count_when_it_leaves_the_lookback() {
    let shape = shape(Calendar::AroundTheClock);
    let mut known = Known::default();
    known.observe(
        &columns(minutes(0..10).into_iter().chain(minutes(20..30))),
        &shape,
    );
    assert_eq!(known.missing_bars, 10);
    known.observe(&columns(minutes(30..1_461)), &shape);
    assert_eq!((known.missing_bars, known.gaps.len()), (0, 0));
}

#[test]
fn more_gaps_than_are_kept_apart_are_put_together_and_none_is_lost() {
    let shape = shape(Calendar::AroundTheClock);
    let mut known = Known::default();
    known.observe(&columns((0..50).map(|place| place * 2 * MINUTE_MS)), &shape);
    assert_eq!((known.gaps.len(), known.missing_bars), (MAX_GAPS, 49));
}

#[test]
fn a_closed_market_leaves_no_gap_and_makes_nothing_old() {
    let shape = shape(Calendar::UsEquities);
    let mut known = Known::default();
    // The last minute before Thanksgiving, and the first of the half-day after it.
    known.observe(&columns([at("2024-11-27 20:59:00")]), &shape);
    known.filled_to(at("2024-11-27 20:59:00"));
    assert_eq!(
        known.age_seconds(&shape, at("2024-11-29 14:30:30")),
        Some(60.0)
    );
    assert!(!known.is_due(&shape, at("2024-11-29 14:30:59")));
    assert!(known.is_due(&shape, at("2024-11-29 14:31:00")));
    assert_eq!(
        known.age_seconds(&shape, at("2024-11-29 14:41:00")),
        Some(660.0)
    );
    known.observe(&columns([at("2024-11-29 14:30:00")]), &shape);
    assert_eq!(known.missing_bars, 0);
    // A half-day ends at 18:00 UTC, so that nothing is due at 18:30.
    known.observe(&columns([at("2024-11-29 17:59:00")]), &shape);
    assert_eq!(known.missing_bars, 208);
    known.filled_to(at("2024-11-29 17:59:00"));
    assert!(!known.is_due(&shape, at("2024-11-29 18:30:00")));
}

#[test]
fn the_age_of_a_series_is_the_time_since_its_newest_bar_closed() {
    let shape = shape(Calendar::AroundTheClock);
    let mut known = Known::default();
    known.observe(&columns(minutes(0..1)), &shape);
    for (now_ms, age) in [
        (60_000, 0.0),
        (90_000, 30.0),
        (120_000, 60.0),
        (600_000, 540.0),
    ] {
        assert_eq!(known.age_seconds(&shape, now_ms), Some(age), "{now_ms}");
    }
}

#[test]
fn a_series_says_why_it_is_not_good() {
    let shape = shape(Calendar::AroundTheClock);
    let mut known = Known::default();
    assert_eq!(
        graded(&mut known, 0),
        (
            "error".to_owned(),
            "no bar is stored: no source had one".to_owned()
        )
    );
    known.failed("HTTP 400", 0);
    assert!(graded(&mut known, 0).1.ends_with("HTTP 400"));
    known.observe(&columns(minutes(0..1_440)), &shape);
    let (status, why) = graded(&mut known, 1_440 * MINUTE_MS);
    assert_eq!(
        (status.as_str(), why.as_str()),
        ("warn", "the last request failed: HTTP 400")
    );
    known.answered("primary", 1, false, 0);
    let (status, why) = graded(&mut known, 1_440 * MINUTE_MS + 3_600_000);
    assert_eq!(status, "error");
    assert_eq!(why, "the newest row is 3600 s old, older than 900 s");
}

#[test]
fn a_series_that_fails_is_left_alone_for_longer_each_time_and_never_for_good() {
    let mut known = Known::default();
    let mut waits = vec![];
    for _ in 0..12 {
        known.failed("x", 0);
        waits.push(known.retry_at_ms.unwrap());
    }
    assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
    assert_eq!(waits[11], 300_000);
    assert!(known.must_wait(299_999) && !known.must_wait(300_000));
}

#[test]
fn the_series_of_a_dimension_fit_one_document_whatever_is_wrong_with_them() {
    let shape = shape(Calendar::AroundTheClock);
    let long = "é".repeat(1_000);
    let mut known = Known::default();
    known.observe(&columns(minutes(0..2)), &shape);
    known.answered(&long, 1, true, i64::MAX);
    known.failed(&long, i64::MAX);
    known.gaps = vec![
        Gap {
            from_ms: i64::MIN,
            to_ms: i64::MIN,
            missing: u64::MAX,
        };
        MAX_GAPS
    ];
    let bad = crate::poll::Quarantined {
        instrument: "A".repeat(32),
        open_time_ms: i64::MIN,
        reason: long,
    };
    let jumps = (0..20).map(|place| crate::poll::Quarantined {
        open_time_ms: i64::MIN + place,
        reason: crate::poll::ABSURD_JUMP.to_owned(),
        ..bad.clone()
    });
    known.quarantine(20, &jumps.collect::<Vec<_>>());
    known.filled_to_ms = Some(i64::MIN);
    known.quarantine(u32::MAX, std::slice::from_ref(&bad));
    known.grade(&shape, 900.0, &ingest_quality::Policy::default(), i64::MAX);
    let symbols = (0..crate::settings::MAX_SYMBOLS)
        .map(|number| (format!("{number:032}"), known.clone()))
        .collect();
    let ledger = Ledger {
        dimension: Dimension::IntradayTrades,
        timeframe: shape.timeframe,
        graded_at_ms: i64::MAX,
        symbols,
    };
    let bytes = serde_json::to_string(&ledger).unwrap().len();
    assert!(bytes < 1_048_576, "{bytes}");
}

/// A ledger of one series whose newest bar opens at `newest`, graded a minute after that has closed.
fn ledger(timeframe: &str, calendar: Calendar, newest: &str) -> Ledger {
    let shape = Shape {
        timeframe: timeframe.parse().unwrap(),
        calendar,
        lookback_days: 1,
    };
    let mut known = Known::default();
    known.observe(&columns([at(newest)]), &shape);
    known.first_open_time_ms = Some(0);
    let graded_at_ms = shape.timeframe.close_time_ms(at(newest)) + MINUTE_MS;
    let policy = ingest_quality::Policy::default();
    known.grade(&shape, 900.0, &policy, graded_at_ms);
    Ledger {
        dimension: Dimension::IntradayTrades,
        timeframe: shape.timeframe,
        graded_at_ms,
        symbols: [("A".to_owned(), known)].into(),
    }
}

#[test]
fn a_stored_grade_grows_older_and_worse_while_nobody_grades_anew() {
    let found = ledger("1m", Calendar::AroundTheClock, "2024-01-05 12:00:00");
    assert_eq!(found.symbols["A"].status, "ok");
    let of = |now: &str| found.clone().as_of(at(now)).symbols["A"].clone();
    let soon = of("2024-01-05 12:02:00");
    assert_eq!(
        (soon.status.as_str(), soon.why),
        ("ok", found.symbols["A"].why.clone())
    );
    let late = of("2024-01-05 13:02:00");
    assert_eq!((late.status.as_str(), late.score), ("error", Some(0.0)));
    assert_eq!(late.freshness_seconds, Some(3_660.0));
    assert_eq!(
        late.why,
        "the newest row is 3660 s old, older than 900 s; when last graded: complete, and no bar is overdue"
    );
}

#[test]
fn a_closed_market_makes_a_stored_grade_no_older() {
    // The last minute of a Friday's session.
    let found = ledger("1m", Calendar::UsEquities, "2024-01-05 20:59:00");
    let sunday = found.as_of(at("2024-01-07 12:00:00")).symbols["A"].clone();
    assert_eq!(
        (sunday.status.as_str(), sunday.freshness_seconds),
        ("ok", Some(60.0))
    );
}
