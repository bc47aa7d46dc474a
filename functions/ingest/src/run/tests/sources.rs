//! Who is asked, in which order, and what the plan asks for.

use serde_json::json;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::ports::Fetched;
use crate::run::{ALL_SOURCES_FAILED, Polled, VALIDATION_FAILED};
use crate::world::{FIRST_MS, LATER_MS, MINUTE_MS, World, answered, kline};

fn with_fallback(minutes: std::ops::Range<i64>) -> World {
    World::with_bars(minutes)
        .with("fallback_market_data_venue", "binance")
        .with("fallback_market_data_url", "http://second.test")
        .with("bar_file_enabled", "1")
        .with("bar_file_url", "http://file.test")
}

fn down(world: &World, hosts: &[&str]) {
    let hosts = hosts.iter().map(|host| (*host).to_owned());
    world.down.replace(hosts.collect());
}

#[test]
fn a_failed_primary_is_asked_again_and_then_the_next_source_with_the_reason_told() {
    let world = with_fallback(0..3);
    down(&world, &["venue.test"]);
    let ended = world.attempt(LATER_MS, "r1", 1).unwrap();
    let Polled::Stored(record) = ended.how else {
        panic!("the second venue has bars")
    };
    assert_eq!(record.source, "secondary binance http://second.test");
    assert_eq!(record.recovery_attempts, 1);
    let hop = &record.failover[0];
    assert_eq!(hop.from, "primary binance http://venue.test");
    assert_eq!(
        hop.to.as_deref(),
        Some("secondary binance http://second.test")
    );
    for why in ["connection refused", "missing BTC-USDT"] {
        assert!(hop.reason.contains(why), "{}", hop.reason);
    }
    let told = |topic: &str| {
        ended
            .events
            .iter()
            .find(|event| event.topic == topic)
            .cloned()
    };
    let failover = told("telemetry.ingest.failover").unwrap();
    assert_eq!(
        failover.data["metadata"]["hops"][0]["reason"],
        json!(hop.reason)
    );
    assert_eq!(
        world.series("BTC-USDT")["source"],
        "secondary binance http://second.test"
    );
    let requests = world.requests.borrow();
    let hosts: Vec<_> = requests.iter().map(|url| &url[7..13]).collect();
    // The primary, its recovery, then the second venue.
    assert_eq!(hosts, ["venue.", "venue.", "second"]);
}

#[test]
fn a_primary_that_is_back_is_asked_first_again() {
    let world = with_fallback(0..3);
    down(&world, &["venue.test"]);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.serve(0..4);
    down(&world, &[]);
    world.poll_at(LATER_MS + 60_000, "r2").unwrap();
    assert_eq!(
        world.series("BTC-USDT")["source"],
        "primary binance http://venue.test"
    );
}

#[test]
fn while_the_primary_rests_it_is_not_asked() {
    let world = with_fallback(0..3);
    down(&world, &["venue.test"]);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.requests.borrow_mut().clear();
    world.poll_at(LATER_MS + 1_000, "r2").unwrap();
    assert!(
        world
            .requests
            .borrow()
            .iter()
            .all(|url| url.starts_with("http://second.test"))
    );
}

#[test]
fn the_bar_file_comes_last_and_then_the_last_good_bars_stand() {
    let world = with_fallback(0..3);
    down(&world, &["venue.test", "second.test"]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("the bar file has bars")
    };
    assert_eq!(record.source, "bar_file binance http://file.test");
    assert_eq!(world.body("ingest", "last_good"), json!(null));

    down(&world, &["venue.test", "second.test", "file.test"]);
    let Polled::Held(ALL_SOURCES_FAILED, record) = world.poll_at(LATER_MS + 300_000, "r2").unwrap()
    else {
        panic!("nobody answers")
    };
    assert!(record.stale);
    let last = record.failover.last().unwrap();
    assert_eq!(
        (last.from.as_str(), last.to.as_deref()),
        ("bar_file binance http://file.test", None)
    );
    let last_good = world.body("ingest", "last_good");
    assert_eq!(last_good["stale"], true);
    assert_eq!(last_good["reason"], ALL_SOURCES_FAILED);
    assert_eq!(last_good["since_ms"], LATER_MS + 300_000);
    let frame = &last_good["frames"]["intraday_trades"]["BTC-USDT"];
    assert_eq!(
        (&frame["open_time_ms"], &frame["close"]),
        (&json!(FIRST_MS + 2 * MINUTE_MS), &json!("100.5"))
    );
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);

    down(&world, &[]);
    world.poll_at(LATER_MS + 900_000, "r3").unwrap();
    assert_eq!(world.body("ingest", "last_good")["stale"], false);
}

#[test]
fn a_source_that_limits_the_rate_is_waited_for_while_the_series_is_fresh() {
    let limited = || {
        Ok(Fetched {
            status: 429,
            headers: vec![("Retry-After".to_owned(), "20".to_owned())],
            body: vec![],
        })
    };
    let world = with_fallback(0..3);
    let now_ms = FIRST_MS + 3 * MINUTE_MS;
    world.poll_at(now_ms, "r1").unwrap();
    world.requests.borrow_mut().clear();
    world.answers.borrow_mut().push_back(limited());
    let polled = world.poll_at(now_ms + MINUTE_MS, "r2");
    assert!(
        matches!(polled, Ok(Polled::RateLimited { .. })),
        "{polled:?}"
    );
    assert_eq!(world.requests.borrow().len(), 1);
    // A series that became too old is not waited for.
    world.answers.borrow_mut().push_back(limited());
    world.poll_at(now_ms + 60 * MINUTE_MS, "r3").unwrap();
    assert!(world.requests.borrow()[2].starts_with("http://second.test"));
}

#[test]
fn a_run_never_asks_for_more_than_what_the_venue_says_is_left() {
    let used = Ok(Fetched {
        status: 200,
        headers: vec![("X-MBX-USED-WEIGHT-1M".to_owned(), "5998".to_owned())],
        body: b"[]".to_vec(),
    });
    let world = World::with_bars(0..3)
        .with("instruments", "A-USDT,B-USDT,C-USDT,D-USDT")
        .answers([used]);
    let polled = world.poll_at(LATER_MS, "r1");
    // One was asked before the answer, one after it: 6,000 is the limit.
    assert_eq!(world.requests.borrow().len(), 2);
    let next_minute = (LATER_MS / MINUTE_MS + 1) * MINUTE_MS;
    let Ok(Polled::Stored(record)) = polled else {
        panic!("{polled:?}")
    };
    assert_eq!(record.not_before_ms, Some(next_minute));
    world.poll_at(next_minute, "r2").unwrap();
    assert_eq!(world.stored_minutes("D-USDT"), [0, 1, 2]);
}

#[test]
fn a_plan_document_takes_the_place_of_the_variables() {
    let world = World::with_bars(0..3);
    world.put(
        "ingest_plan",
        "current",
        r#"{"intraday_trades":{"symbols":["ETH-USDT"]},"daily_bars":null}"#,
    );
    world.poll_at(LATER_MS, "r1").unwrap();
    assert_eq!(world.stored_minutes("ETH-USDT"), [0, 1, 2]);
    assert!(world.stored_minutes("BTC-USDT").is_empty());
}

#[test]
fn daily_bars_are_a_dimension_of_their_own() {
    let world = World::default().with("daily_bars", "SOL-USDT");
    let day = 86_400_000;
    let bars = (0..3).map(|number| json!([number * day, "5", "5", "5", "5", "1"]));
    world.bars.replace(bars.collect());
    world.poll_at(4 * day, "r1").unwrap();
    assert!(world.requests.borrow()[0].contains("symbol=SOLUSDT&interval=1d"));
    let daily = world.body("ingest/series", "daily_bars");
    assert_eq!(daily["symbols"]["SOL-USDT"]["newest_open_time_ms"], 2 * day);
    let names: Vec<_> = world.journal()[0].1["dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dimension| dimension["dimension"].clone())
        .collect();
    assert_eq!(names, ["daily_bars", "intraday_trades"]);
}

#[test]
fn a_plan_that_cannot_be_read_stops_the_run_and_the_last_good_bars_stand() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.requests.borrow_mut().clear();
    world.put("ingest_plan", "current", r#"{"intraday":{}}"#);
    let ended = world.attempt(LATER_MS + 1_000, "r2", 1).unwrap();
    let Polled::Held(VALIDATION_FAILED, record) = ended.how else {
        panic!("the plan is no plan")
    };
    assert!(record.error.unwrap().contains("unknown field `intraday`"));
    assert!(world.requests.borrow().is_empty());
    assert_eq!(
        world.body("ingest", "last_good")["reason"],
        VALIDATION_FAILED
    );
    let topics: Vec<_> = ended
        .events
        .iter()
        .map(|event| event.topic.as_str())
        .collect();
    assert_eq!(
        topics,
        [
            "telemetry.data_backbone.validation",
            "telemetry.data_backbone.readiness"
        ]
    );
    assert!(
        ended
            .events
            .iter()
            .all(|event| event.data["status"] == "fail")
    );
}

#[test]
fn alpaca_is_asked_for_many_symbols_at_once_page_by_page() {
    let bar = |minute: i64| json!({"t": bulkhead_kernel::instant::rfc3339(FIRST_MS + minute * MINUTE_MS), "o": 1.5, "h": 2, "l": 1, "c": 1.5, "v": 10});
    let pages = [
        json!({"bars": {"BTC/USD": [bar(0), bar(1)]}, "next_page_token": "more"}),
        json!({"bars": {"ETH/USD": [bar(0)]}, "next_page_token": null}),
    ];
    let world = World::default()
        .with("market_data_venue", "alpaca")
        .with("instruments", "BTC-USD,ETH-USD")
        .answers(pages.map(|page| answered(200, page)));
    let Polled::Stored(record) = world.poll_at(FIRST_MS + 5 * MINUTE_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(record.rows, 3);
    assert_eq!(world.stored_minutes("BTC-USD"), [0, 1]);
    assert_eq!(world.stored_minutes("ETH-USD"), [0]);
    let requests = world.requests.borrow();
    assert_eq!(requests.len(), 2);
    assert!(
        requests[1].starts_with(
            "http://venue.test/v1beta3/crypto/us/bars?symbols=BTC%2FUSD%2CETH%2FUSD&timeframe=1Min"
        ),
        "{}",
        requests[1]
    );
    assert!(requests[1].ends_with("page_token=more"));
}

#[test]
fn of_several_symbols_the_one_whose_bars_are_out_of_order_is_asked_for_once_more() {
    let bar = |minute: i64| json!({"t": bulkhead_kernel::instant::rfc3339(FIRST_MS + minute * MINUTE_MS), "o": 1.5, "h": 2, "l": 1, "c": 1.5, "v": 10});
    let pages = [
        json!({"bars": {"BTC/USD": [bar(0), bar(2), bar(1)], "ETH/USD": [bar(0)]}, "next_page_token": "more"}),
        json!({"bars": {"BTC/USD": [bar(3)], "ETH/USD": [bar(1)]}, "next_page_token": null}),
        json!({"bars": {"BTC/USD": [bar(1), bar(2), bar(3)]}, "next_page_token": null}),
    ];
    let world = World::default()
        .with("market_data_venue", "alpaca")
        .with("instruments", "BTC-USD,ETH-USD")
        .answers(pages.map(|page| answered(200, page)));
    let Polled::Stored(record) = world.poll_at(FIRST_MS + 5 * MINUTE_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USD"), [0, 1, 2, 3]);
    assert_eq!(world.stored_minutes("ETH-USD"), [0, 1]);
    assert_eq!(record.quarantined.count, 1);
    let requests = world.requests.borrow();
    assert_eq!(requests.len(), 3);
    assert!(!requests[2].contains("ETH"), "{}", requests[2]);
}

#[test]
fn a_symbol_that_alpaca_refuses_takes_no_other_with_it() {
    let refused = || answered(400, r#"{"message":"invalid symbol: NONE"}"#);
    let served = answered(
        200,
        json!({"bars": {"SPY": [
        {"t": "2024-11-27T15:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}
    ]}, "next_page_token": null}),
    );
    let world = World::default()
        .with("market_data_venue", "alpaca")
        .with("instruments", "NONE,SPY")
        .answers([refused(), refused(), served, refused()]);
    // 2024-11-27 15:01:30 UTC.
    let Polled::Stored(record) = world.poll_at(1_732_719_690_000, "r1").unwrap() else {
        panic!("SPY has a bar")
    };
    assert_eq!(record.rows, 1);
    assert!(record.error.unwrap().contains("invalid symbol: NONE"));
}

#[test]
fn all_sources_that_fail_leave_the_last_good_bars_standing_whatever_is_idle() {
    let day = 86_400_000;
    let daily = json!([[FIRST_MS / day * day - day, "5", "5", "5", "5", "1"]]);
    let world = World::with_bars(0..3)
        .with("daily_bars", "SOL-USDT")
        .answers([answered(200, &daily)]);
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r1").unwrap();
    down(&world, &["venue.test"]);
    let polled = world.poll_at(FIRST_MS + 4 * MINUTE_MS, "r2").unwrap();
    let Polled::Held(ALL_SOURCES_FAILED, record) = polled else {
        panic!("{polled:?}")
    };
    assert!(record.stale);
    assert_eq!(record.status, crate::journal::Status::Failed);
    assert_eq!(world.body("ingest", "last_good")["stale"], true);
}

#[test]
fn a_symbol_that_the_venue_refuses_makes_no_idle_series_stale() {
    let world = World::with_bars(0..3).with("instruments", "NONE-USDT,BTC-USDT");
    world.unknown.borrow_mut().insert("NONEUSDT".to_owned());
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r1").unwrap();
    for second in [1, 5, 20] {
        let polled = world.poll_at(FIRST_MS + 3 * MINUTE_MS + second * 1_000, "r2");
        assert!(
            matches!(&polled, Ok(Polled::Held("series_failed", record)) if !record.stale),
            "{polled:?}"
        );
    }
    assert_eq!(world.body("ingest", "last_good"), json!(null));
}

#[test]
fn a_series_that_a_rate_limit_made_too_old_is_stale_and_graded_by_the_minute() {
    let world = World::with_bars(0..3);
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r1").unwrap();
    world.answers.borrow_mut().push_back(Ok(Fetched {
        status: 418,
        headers: vec![("Retry-After".to_owned(), "259200".to_owned())],
        body: vec![],
    }));
    world.poll_at(FIRST_MS + 4 * MINUTE_MS, "r2").unwrap();
    let asked = world.requests.borrow().len();
    let ended = world.attempt(FIRST_MS + 60 * MINUTE_MS, "r3", 1).unwrap();
    assert!(
        matches!(ended.how, Polled::RateLimited { .. }),
        "{:?}",
        ended.how
    );
    assert_eq!(world.requests.borrow().len(), asked);
    assert!(!ended.events.is_empty());
    assert_eq!(world.series("BTC-USDT")["status"], "error");
    assert_eq!(world.body("ingest", "last_good")["stale"], true);
}

#[test]
fn a_run_that_stored_bars_before_the_rate_limit_says_both() {
    let limited = Ok(Fetched {
        status: 429,
        headers: vec![("Retry-After".to_owned(), "20".to_owned())],
        body: vec![],
    });
    let page = json!(
        (0..1_000)
            .map(|minute| kline(minute, "1"))
            .collect::<Vec<_>>()
    );
    let world = World::default().answers([answered(200, &page), limited]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("a page was stored")
    };
    assert_eq!(
        (record.rows, record.not_before_ms),
        (1_000, Some(LATER_MS + 20_000))
    );
    assert!(record.symbols[0].is_behind);
}

#[test]
fn wrong_keys_are_the_sources_fault_and_no_symbols() {
    let names: Vec<String> = (0..100).map(|number| format!("A{number}")).collect();
    for status in [401, 403, 451] {
        let refused = || answered(status, r#"{"message":"forbidden"}"#);
        let world = World::default()
            .with("market_data_venue", "alpaca")
            .with("instruments", &names.join(","))
            .answers([refused(), refused()]);
        world.poll_at(1_732_719_690_000, "r1").unwrap();
        // The request, and its recovery.
        assert_eq!(world.requests.borrow().len(), 2, "{status}");
        let state = world.state();
        let (_, source) = state["sources"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(source["failures"], 2, "{status}");
    }
}

#[test]
fn a_bar_of_one_symbol_that_is_none_takes_no_other_symbol_with_it() {
    let bar = |close: &str| json!({"t": "2024-11-27T15:00:00Z", "o": 1, "h": 1, "l": 1, "c": close, "v": 1});
    let good = json!([{"t": "2024-11-27T15:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}]);
    let page = |bars| answered(200, json!({"bars": bars, "next_page_token": null}));
    let bad = || page(json!({"AAPL": [bar("x")]}));
    let world = World::default()
        .with("market_data_venue", "alpaca")
        .with("instruments", "AAPL,SPY")
        .answers([
            page(json!({"AAPL": [bar("x")], "SPY": good})),
            bad(),
            page(json!({"SPY": good})),
            bad(),
        ]);
    let Polled::Stored(record) = world.poll_at(1_732_719_690_000, "r1").unwrap() else {
        panic!("SPY has a bar")
    };
    assert_eq!(record.rows, 1);
    assert!(record.error.unwrap().contains("AAPL"));
}

#[test]
fn a_second_source_overwrites_no_bar_of_the_first() {
    let world = with_fallback(0..3);
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r1").unwrap();
    down(&world, &["venue.test"]);
    let bars = (0..4).map(|minute| kline(minute, "99"));
    world.bars.replace(bars.collect());
    world.poll_at(FIRST_MS + 4 * MINUTE_MS, "r2").unwrap();
    let stored = world.stored.borrow();
    let closes: Vec<String> = stored["BTC-USDT"]
        .values()
        .map(|bar| bar.close.normalize().to_string())
        .collect();
    assert_eq!(closes, ["100.5", "100.5", "100.5", "99"]);
}

#[test]
fn each_source_is_asked_again_once_before_the_next() {
    let world = with_fallback(0..3);
    down(&world, &["venue.test", "second.test"]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("the bar file has bars")
    };
    assert_eq!(record.recovery_attempts, 2);
    let requests = world.requests.borrow();
    let hosts: Vec<_> = requests.iter().map(|url| &url[7..12]).collect();
    assert_eq!(hosts, ["venue", "venue", "secon", "secon", "file."]);
}
