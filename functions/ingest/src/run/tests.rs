//! The poll against a venue and a store in memory.

use serde_json::json;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{ALL_SOURCES_FAILED, Polled};
use crate::StageError;
use crate::journal::{MAX_JOURNAL_DOCUMENTS, Status};
use crate::poll::MAX_PAGES;
use crate::ports::{FetchError, Fetched};
use crate::world::{FIRST_MS, LATER_MS, World, answered, kline};

mod bars;
mod sources;
mod telemetry;

#[test]
fn a_first_poll_stores_every_closed_bar_and_records_it() {
    let world = World::with_bars(0..2_500);
    let polled = world
        .poll_at(FIRST_MS + 2_450 * 60_000 + 30_000, "r1")
        .unwrap();
    let Polled::Stored(record) = polled else {
        panic!("{polled:?}")
    };
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..2_450).collect::<Vec<_>>()
    );
    assert_eq!(
        (record.rows, record.pages, record.status),
        (2_450, 3, Status::Success)
    );
    assert_eq!(record.freshness_seconds, Some(30.0));
    assert!(!record.symbols[0].is_behind);
    let journal = world.journal();
    assert_eq!(journal[0].0, format!("{}-r1", record.scheduled_at_ms));
    assert_eq!(journal[0].1, json!(record));
    assert_eq!(world.state()["journal_documents"], 1);
    assert_eq!(
        world.requests.borrow()[0],
        "http://venue.test/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=0&limit=1000"
    );
}

#[test]
fn a_run_asks_for_a_bounded_number_of_pages_and_the_next_goes_on() {
    let world = World::with_bars(0..10_500);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!((record.pages, record.rows), (MAX_PAGES, 10_000));
    assert!(record.symbols[0].is_behind);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r2").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!((record.pages, record.rows), (1, 500));
    assert_eq!(record.symbols[0].unchanged, 1);
    assert_eq!(world.stored_minutes("BTC-USDT").len(), 10_500);
}

#[test]
fn a_poll_without_news_brings_the_state_up_to_date_and_leaves_the_journal() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    for run in ["r2", "r3"] {
        assert!(matches!(
            world.poll_at(LATER_MS + 1, run),
            Ok(Polled::NothingNew(_))
        ));
    }
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.state()["last"]["run_id"], "r3");
    assert_eq!(world.commits.borrow()[1..], [1, 1]);
}

#[test]
fn a_bar_that_the_venue_corrected_is_brought_up_to_date() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.bars.borrow_mut()[2] = kline(2, "99");
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r2").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(
        (record.symbols[0].updated, record.symbols[0].inserted),
        (1, 0)
    );
}

#[test]
fn duplicates_disorder_and_invalid_bars_are_quarantined_and_never_stored() {
    let crooked = json!([FIRST_MS + 5 * 60_000, "1", "2", "3", "1", "1"]);
    let too_fine = json!([
        FIRST_MS + 6 * 60_000,
        "0.1234567890123",
        "2",
        "0.1",
        "1",
        "1"
    ]);
    let off_grid = json!([FIRST_MS + 7 * 60_000 + 1, "1", "1", "1", "1", "1"]);
    let out_of_order = json!([kline(0, "1"), kline(2, "1"), kline(1, "1"), kline(3, "1")]);
    let again = json!([
        kline(1, "1"),
        kline(2, "1"),
        kline(2, "9"),
        crooked,
        too_fine,
        off_grid,
        kline(8, "1")
    ]);
    let world = World::default().answers([answered(200, &out_of_order), answered(200, &again)]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2, 8]);
    assert_eq!(
        world.stored.borrow()["BTC-USDT"][&(FIRST_MS + 120_000)]
            .close
            .to_string(),
        "1"
    );
    let mut reasons: Vec<_> = record
        .quarantined
        .bars
        .iter()
        .map(|bar| bar.reason.as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons[0], "duplicate");
    assert!(reasons[1].starts_with("invalid_bar: "), "{}", reasons[1]);
    assert!(reasons[2].starts_with("invalid_bar: "), "{}", reasons[2]);
    assert_eq!(reasons[3..], ["off_grid", "out_of_order"]);
    assert_eq!(record.quarantined.count, 5);
    assert_eq!(world.journal()[0].1["quarantined"]["count"], 5);
}

#[test]
fn the_newest_bar_is_the_newest_that_was_stored_and_not_one_that_was_quarantined() {
    let too_fine = |minute: i64| {
        json!([
            FIRST_MS + minute * 60_000,
            "0.1234567890123",
            "2",
            "0.1",
            "1",
            "1"
        ])
    };
    let page = json!([kline(0, "1"), kline(1, "1"), too_fine(2)]);
    let none_fits = json!([too_fine(3)]);
    let world = World::default().answers([answered(200, &page), answered(200, &none_fits)]);
    let now_ms = FIRST_MS + 5 * 60_000;
    for run in ["r1", "r2"] {
        let (Polled::Stored(record) | Polled::NothingNew(record)) =
            world.poll_at(now_ms, run).unwrap()
        else {
            panic!("{run} was not polled")
        };
        let series = &record.symbols[0];
        assert_eq!(series.quarantined, 1, "{run}");
        assert_eq!(series.newest_open_time_ms, Some(FIRST_MS + 60_000), "{run}");
        assert_eq!(record.freshness_seconds, Some(180.0), "{run}");
    }
}

#[test]
fn lower_case_instruments_are_stored_under_the_name_that_the_other_stages_look_for() {
    let world = World::with_bars(0..3);
    let world = world.with("instruments", " btc-usdt, Btc-Usdt");
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);
    assert_eq!(world.stored.borrow().len(), 1);
    assert_eq!(record.symbols[0].instrument, "BTC-USDT");
}

#[test]
fn a_bar_quarantined_again_and_again_enters_the_journal_once() {
    let bad = json!([[FIRST_MS, "0", "0", "0", "0", "1"]]);
    let world = World::default().answers((0..3).map(|_| answered(200, &bad)));
    for run in ["r1", "r2", "r3"] {
        assert!(matches!(
            world.poll_at(LATER_MS, run),
            Ok(Polled::NothingNew(_))
        ));
    }
    assert_eq!(world.journal().len(), 1);
}

#[test]
fn a_venue_that_repeats_its_full_page_for_ever_ends_the_series() {
    let page = json!(
        (0..1_000)
            .map(|minute| kline(minute, "1"))
            .collect::<Vec<_>>()
    );
    let world = World::default().answers((0..20).map(|_| answered(200, &page)));
    world.poll_at(LATER_MS, "r1").unwrap();
    assert_eq!(world.requests.borrow().len(), 2);
    assert_eq!(world.stored_minutes("BTC-USDT").len(), 1_000);
}

#[test]
fn a_venue_that_does_not_answer_holds_the_run_and_names_the_url() {
    let world = World::with_bars(0..3);
    world.down.borrow_mut().insert("venue.test".to_owned());
    let Polled::Held(ALL_SOURCES_FAILED, record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("the venue is down")
    };
    let error = record.error.unwrap();
    assert!(
        error.starts_with("GET http://venue.test/api/v3/klines?symbol=BTCUSDT"),
        "{error}"
    );
    assert!(error.ends_with("connection refused"), "{error}");
    assert_eq!(world.journal()[0].1["status"], "failed");
    assert_eq!(record.failover[0].to, None);
    // It is left alone for a second or two, which is no news; then it is asked again, and fails as before.
    let asked = world.requests.borrow().len();
    assert!(matches!(
        world.poll_at(LATER_MS + 500, "r2"),
        Ok(Polled::Held(..))
    ));
    assert_eq!(world.requests.borrow().len(), asked);
    assert_eq!(world.journal().len(), 1);
    assert!(matches!(
        world.poll_at(LATER_MS + 3_000, "r3"),
        Ok(Polled::Held(..))
    ));
    assert!(world.requests.borrow().len() > asked);
    assert_eq!(world.journal().len(), 1);
    world.down.borrow_mut().clear();
    assert!(matches!(
        world.poll_at(LATER_MS + 30_000, "r4"),
        Ok(Polled::Stored(_))
    ));
}

#[test]
fn a_run_that_is_tried_again_leaves_one_document_in_the_journal() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.serve(0..4);
    world.attempt(LATER_MS, "r1", 2).unwrap();
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.journal()[0].1["rows"], 1);
    assert_eq!(world.state()["journal_documents"], 1);
}

#[test]
fn a_request_that_the_grants_refuse_makes_the_run_denied() {
    let world = World::default();
    world.denies.set(true);
    for run in ["r1", "r2"] {
        let error = world.poll_at(LATER_MS, run).unwrap_err();
        assert!(
            matches!(&error, StageError::Denied(detail) if detail.contains("http://venue.test")),
            "{error:?}"
        );
    }
}

#[test]
fn answers_that_are_no_klines_are_errors_that_name_the_place() {
    for (answer, text) in [
        (answered(200, "<html>"), "as JSON: expected value"),
        (answered(200, r#"[[1,"1","x"]]"#), "element 0, field `high`"),
        (
            answered(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            "Invalid symbol.",
        ),
        (answered(302, ""), "HTTP 302"),
        (answered(503, ""), "HTTP 503"),
        (Err(FetchError::TooLarge(7)), "longer than 7 bytes"),
    ] {
        let world = World::default().answers([answer.clone(), answer]);
        match world.poll_at(LATER_MS, "r1") {
            Ok(Polled::Held(ALL_SOURCES_FAILED, record)) => {
                let error = record.error.unwrap();
                assert!(
                    error.contains(text) && error.contains("http://venue.test"),
                    "{error}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn one_refused_instrument_does_not_keep_the_others_from_being_polled() {
    let world = World::with_bars(0..3).with("instruments", "NONE-USDT,BTC-USDT");
    world.unknown.borrow_mut().insert("NONEUSDT".to_owned());
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(record.status, Status::Partial);
    assert!(record.error.unwrap().contains("NONEUSDT"));
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);
    let refused = world.series("NONE-USDT");
    assert_eq!(refused["status"], "error");
    assert!(refused["why"].as_str().unwrap().contains("Invalid symbol."));
}

#[test]
fn a_rate_limited_feed_waits_as_long_as_the_venue_asks() {
    let limited = Ok(Fetched {
        status: 429,
        headers: vec![("retry-after".to_owned(), "30".to_owned())],
        body: Vec::new(),
    });
    let world = World::with_bars(0..3).answers([limited]);
    let not_before_ms = LATER_MS + 30_000;
    assert_eq!(
        world.poll_at(LATER_MS, "r1"),
        Ok(Polled::RateLimited { not_before_ms })
    );
    assert_eq!(
        world.poll_at(LATER_MS + 29_999, "r2"),
        Ok(Polled::RateLimited { not_before_ms })
    );
    assert_eq!(world.requests.borrow().len(), 1);
    assert!(matches!(
        world.poll_at(not_before_ms, "r3"),
        Ok(Polled::Stored(_))
    ));
    assert_eq!(world.state()["not_before_ms"], json!(null));
}

#[test]
fn bars_that_the_store_refused_count_as_not_stored() {
    let world = World::with_bars(0..3);
    world
        .append_fails
        .replace(Some(StageError::Unavailable("disk full".to_owned())));
    assert_eq!(
        world.poll_at(LATER_MS, "r1"),
        Err(StageError::Unavailable("disk full".to_owned()))
    );
    let record = &world.journal()[0].1;
    assert_eq!(
        (&record["rows"], &record["status"]),
        (&json!(0), &json!("failed"))
    );
    assert_eq!(record["symbols"][0]["newest_open_time_ms"], json!(null));
}

#[test]
fn the_journal_keeps_its_bound_and_drops_the_oldest() {
    let world = World::default();
    let bound = i64::from(MAX_JOURNAL_DOCUMENTS);
    for minute in 0..bound + 3 {
        world.bars.borrow_mut().push(kline(minute, "1"));
        world.poll_at(LATER_MS + minute, "r").unwrap();
    }
    let journal = world.journal();
    assert_eq!(journal.len(), MAX_JOURNAL_DOCUMENTS as usize);
    assert_eq!(journal[0].0, format!("{}-r", LATER_MS + 3));
    assert_eq!(world.state()["journal_documents"], MAX_JOURNAL_DOCUMENTS);
}

#[test]
fn a_state_that_is_not_ours_is_reported_and_left() {
    let world = World::with_bars(0..3);
    let place = ("ingest".to_owned(), "state".to_owned());
    world
        .documents
        .borrow_mut()
        .insert(place, (4, "{}".to_owned()));
    let error = world.poll_at(LATER_MS, "r1").unwrap_err();
    assert!(
        matches!(&error, StageError::Internal(detail) if detail.contains("ingest/state")),
        "{error:?}"
    );
    assert!(world.commits.borrow().is_empty() && world.requests.borrow().is_empty());
}
