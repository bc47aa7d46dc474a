use bulkhead_kernel::memory::ready;
use bulkhead_kernel::stage::StageError;
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Input, MAX_FRAMES, MAX_TRADES_KEPT, store};
use crate::world::{FIRST_MS, MINUTE_MS, World, kline};

const RECEIVED_MS: i64 = FIRST_MS + 10 * MINUTE_MS;

fn input(venue: &str, frames: &[Value]) -> Value {
    let frames: Vec<String> = frames.iter().map(ToString::to_string).collect();
    json!({
        "task": "frames", "venue": venue, "received_at_ms": RECEIVED_MS, "frames": frames,
        "feed": {"name": "main", "connected": true, "reconnects": 1, "replaced_quotes": 0, "disconnects": 1},
    })
}

fn take(world: &World, input: &Value, run: &str) -> Result<Value, StageError> {
    let settings = world.settings();
    let input = Input::read(input).unwrap();
    ready(store(world, &settings, &input, run)).map(|outcome| outcome.output)
}

fn closed_kline(minute: i64, close: &str) -> Value {
    let opens = FIRST_MS + minute * MINUTE_MS;
    json!({"e": "kline", "s": "BTCUSDT", "k": {
        "t": opens, "i": "1m", "o": close, "h": close, "l": close, "c": close, "v": "1", "x": true
    }})
}

fn trade(id: i64) -> Value {
    json!({"e": "trade", "s": "BTCUSDT", "t": id, "p": "100.5", "q": "0.1", "T": FIRST_MS + id, "m": true})
}

fn book(bid: &str, ask: &str) -> Value {
    json!({"u": 1, "s": "BTCUSDT", "b": bid, "B": "1", "a": ask, "A": "2"})
}

#[test]
fn a_batch_stores_closed_bars_the_latest_quote_and_trades() {
    let world = World::default();
    let mut open = closed_kline(2, "100");
    open["k"]["x"] = json!(false);
    let batch = [
        closed_kline(0, "100"),
        closed_kline(1, "101"),
        open,
        trade(1),
        trade(2),
        book("1", "2"),
        book("100", "101"),
    ];
    let output = take(&world, &input("binance", &batch), "r1").unwrap();
    assert_eq!(
        (
            &output["frames"],
            &output["bars"],
            &output["trades"],
            &output["quotes"]
        ),
        (&json!(7), &json!(2), &json!(2), &json!(2))
    );
    assert_eq!(
        (&output["status"], &output["quarantined"]),
        (&json!("success"), &json!([]))
    );
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1]);
    let quote = world.body("live_quotes", "BTC-USDT");
    assert_eq!(
        quote,
        json!({
            "symbol": "BTC-USDT", "bid": "100", "ask": "101", "price": "100.5",
            "ts": bulkhead_kernel::instant::rfc3339(RECEIVED_MS), "time_ms": RECEIVED_MS, "source": "binance",
        })
    );
    let trades = world.body("live_trades", "BTC-USDT");
    assert_eq!(trades["trades"][1]["id"], "2");
    assert_eq!(trades["trades"][1]["taker_side"], "sell");
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    let world = World::default();
    let batch = input(
        "binance",
        &[closed_kline(0, "100"), trade(1), book("100", "101")],
    );
    let first = take(&world, &batch, "r1").unwrap();
    let before = world.documents.borrow().clone();
    let again = take(&world, &batch, "r1").unwrap();
    assert_eq!(first, again);
    let after = world.documents.borrow();
    for (place, (_, body)) in &before {
        assert_eq!(after[place].1, *body, "{place:?}");
    }
    assert_eq!(after.len(), before.len());
    assert_eq!(world.body("ingest", "feed")["journal_documents"], 1);
}

#[test]
fn a_batch_cut_short_at_any_store_call_neither_loses_nor_doubles_anything() {
    let batch = input(
        "binance",
        &[
            closed_kline(0, "100"),
            closed_kline(1, "100"),
            trade(1),
            trade(2),
            book("1", "2"),
        ],
    );
    let whole = World::default();
    take(&whole, &batch, "r1").unwrap();
    for cut in 0..10 {
        let world = World::default();
        world.cut_after.set(Some(cut));
        if take(&world, &batch, "r1").is_ok() {
            assert_eq!(cut, 2, "an append and a commit");
            break;
        }
        take(&world, &batch, "r1").unwrap();
        assert_eq!(*world.stored.borrow(), *whole.stored.borrow(), "cut {cut}");
        assert_eq!(
            *world.documents.borrow(),
            *whole.documents.borrow(),
            "cut {cut}"
        );
    }
}

#[test]
fn a_bad_frame_is_told_with_its_reason_and_takes_no_other_with_it() {
    let world = World::default();
    let mut batch = input(
        "binance",
        &[
            closed_kline(0, "0"),
            closed_kline(3, "100"),
            closed_kline(100, "100"),
            book("2", "1"),
            trade(1),
            json!({"e": "trade", "s": "BTCUSDT", "t": 9, "p": "-1", "q": "1", "T": FIRST_MS, "m": true}),
        ],
    );
    batch["frames"]
        .as_array_mut()
        .unwrap()
        .push(json!("no JSON"));
    let output = take(&world, &batch, "r1").unwrap();
    assert_eq!(output["status"], "partial");
    let reasons: Vec<String> = output["quarantined"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| format!("{} {}", bad["frame"], bad["reason"].as_str().unwrap()))
        .collect();
    for (place, reason) in [
        "0 invalid_bar",
        "2 clock_skew",
        "3 invalid_quote",
        "5 invalid_trade",
        "6 malformed",
    ]
    .iter()
    .enumerate()
    {
        assert!(reasons[place].starts_with(reason), "{reasons:?}");
    }
    assert_eq!(world.stored_minutes("BTC-USDT"), [3]);
    let journal = world.body("ingest/feed_journal", &format!("{RECEIVED_MS}-r1"));
    assert_eq!(journal["quarantined"][0], output["quarantined"][0]);
    assert_eq!(journal["feed"]["name"], "main");
}

#[test]
fn a_bar_that_jumps_away_from_what_is_stored_is_put_aside() {
    let world = World::default();
    world.bars.replace(vec![kline(0, "100")]);
    world.poll_at(FIRST_MS + MINUTE_MS, "p").unwrap();
    let output = take(&world, &input("binance", &[closed_kline(1, "1000")]), "r1").unwrap();
    assert!(
        output["quarantined"][0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("absurd_jump")
    );
    assert_eq!(world.stored_minutes("BTC-USDT"), [0]);
}

#[test]
fn an_older_quote_takes_the_place_of_no_newer_one() {
    let world = World::default()
        .with("instruments", "SPY")
        .with("market_data_venue", "alpaca");
    let quote = |time: &str, bid: f64| json!([{"T": "q", "S": "SPY", "t": time, "bp": bid, "bs": 1, "ap": 0, "as": 0}]);
    let newer = quote("2023-11-14T22:15:01Z", 11.0);
    let older = quote("2023-11-14T22:15:00Z", 10.0);
    take(
        &world,
        &input("alpaca", &[newer.clone(), older.clone()]),
        "r1",
    )
    .unwrap();
    assert_eq!(world.body("live_quotes", "SPY")["bid"], "11");
    take(&world, &input("alpaca", &[older]), "r2").unwrap();
    let kept = world.body("live_quotes", "SPY");
    assert_eq!(
        (&kept["bid"], &kept["ask"], &kept["price"]),
        (&json!("11"), &json!(null), &json!("11"))
    );
}

#[test]
fn of_many_trades_the_latest_are_kept() {
    let world = World::default();
    let trades: Vec<Value> = (0..600).map(trade).collect();
    let output = take(&world, &input("binance", &trades), "r1").unwrap();
    assert_eq!(output["trades"], 600);
    let kept = world.body("live_trades", "BTC-USDT");
    let kept = kept["trades"].as_array().unwrap();
    assert_eq!(
        (kept.len(), &kept[0]["id"]),
        (MAX_TRADES_KEPT, &json!("344"))
    );
}

#[test]
fn commits_of_a_large_batch_are_bounded() {
    let names = |numbers: std::ops::Range<i64>| {
        let names: Vec<String> = numbers.map(|number| format!("A{number}-USDT")).collect();
        names.join(",")
    };
    let world = World::default()
        .with("instruments", &names(0..500))
        .with("daily_bars", &names(500..1_000));
    let quotes: Vec<Value> = (0..1_000)
        .map(|number| json!({"u": 1, "s": format!("A{number}USDT"), "b": "1", "B": "1", "a": "2", "A": "2"}))
        .collect();
    take(&world, &input("binance", &quotes), "r1").unwrap();
    assert_eq!(*world.commits.borrow(), [450, 450, 100]);
}

#[test]
fn an_input_that_is_no_batch_is_refused_and_the_field_named() {
    let change = |field: &str, value: Value| {
        let mut input = input("binance", &[]);
        input[field] = value;
        input
    };
    for (input, field) in [
        (change("venue", json!("kraken")), "`venue`"),
        (change("received_at_ms", json!("now")), "`received_at_ms`"),
        (change("frames", json!([5])), "`frames`"),
        (
            change("frames", json!(vec!["{}"; MAX_FRAMES + 1])),
            "`frames`",
        ),
        (change("feed", json!(5)), "`feed`"),
        (change("more", json!(5)), "`more`"),
    ] {
        let error = Input::read(&input).unwrap_err();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_plan_that_is_halted_or_cannot_be_read_halts_the_feed_and_the_batch_can_come_again() {
    let world = World::default();
    let batch = input("binance", &[closed_kline(0, "100"), trade(1)]);
    for (plan, why) in [
        (
            r#"{"enabled": false, "reason": "moving house"}"#,
            "moving house",
        ),
        (r#"{"intraday": {}}"#, "`intraday`"),
    ] {
        world.put("ingest_plan", "current", plan);
        let settings = world.settings();
        let input = Input::read(&batch).unwrap();
        let held = ready(store(&world, &settings, &input, "r1")).unwrap();
        assert!(held.output["error"].as_str().unwrap().contains(why));
        let report = crate::task::framed(held);
        assert_eq!(
            (report.outcome, report.reason),
            (
                crate::task::Outcome::Hold,
                Some("backbone_validation_failed")
            )
        );
    }
    assert!(world.stored.borrow().is_empty() && world.commits.borrow().is_empty());
    world.put("ingest_plan", "current", "{}");
    take(&world, &batch, "r1").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0]);
}

#[test]
fn a_symbol_that_nobody_planned_opens_neither_a_series_nor_a_document() {
    let world = World::default();
    let mut foreign = closed_kline(0, "100");
    foreign["s"] = json!("XRPUSDT");
    let mut quote = book("1", "2");
    quote["s"] = json!("XRPUSDT");
    let output = take(&world, &input("binance", &[foreign, quote]), "r1").unwrap();
    assert_eq!(output["quarantined_count"], 2);
    assert_eq!(
        output["quarantined"][0],
        json!({"frame": 0, "symbol": "XRPUSDT", "reason": "unplanned"})
    );
    assert!(world.stored.borrow().is_empty());
    assert_eq!(world.body("live_quotes", "XRP-USDT"), json!(null));
    assert_eq!(world.body("live_quotes", "XRPUSDT"), json!(null));
}

#[test]
fn a_feed_is_graded_once_a_minute_by_its_latest_trades() {
    let world = World::default();
    let at = |received_ms: i64, ids: std::ops::Range<i64>| {
        let trades = ids.map(|id| {
            json!({"e": "trade", "s": "BTCUSDT", "t": id, "p": "100.5", "q": "0.1", "T": received_ms - 100 + id, "m": true})
        });
        let mut input = input("binance", &trades.collect::<Vec<_>>());
        input["received_at_ms"] = json!(received_ms);
        input
    };
    let told = |input: &Value, run: &str| {
        let settings = world.settings();
        let input = Input::read(input).unwrap();
        let outcome = ready(store(&world, &settings, &input, run)).unwrap();
        let topics = outcome.events.into_iter().map(|event| event.topic);
        topics.collect::<Vec<_>>()
    };
    let topic = "telemetry.data_feed.health";
    assert_eq!(told(&at(RECEIVED_MS, 0..10), "r1"), [topic]);
    assert_eq!(world.body("assessments", topic)["status"], "ok");
    assert!(told(&at(RECEIVED_MS + 59_000, 10..20), "r2").is_empty());
    // Five minutes without a trade are a gap.
    assert_eq!(told(&at(RECEIVED_MS + 359_000, 20..30), "r3"), [topic]);
    let graded = world.body("assessments", topic);
    assert_eq!(graded["status"], "fail");
    assert_eq!(graded["checks"][0]["name"], "BTC-USDT");
}
