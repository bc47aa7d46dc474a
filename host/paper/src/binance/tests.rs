use std::num::NonZeroU32;
use std::sync::Arc;

use bulkhead_stage::ManualClock;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::answer;
use crate::answer::Asked;
use crate::fixture::{ask, minute, series, venue};
use crate::query::Query;
use crate::{Progress, Venue, VirtualClock, demo};

fn replaying(bars: usize, clock: VirtualClock) -> Venue {
    venue(vec![series("BTC-USDT", bars)], clock)
}

fn get(venue: &Venue, path: &str, query: &str) -> (u16, Value) {
    ask(answer, venue, &format!("/api/v3/{path}"), query)
}

fn klines(venue: &Venue, query: &str) -> Vec<i64> {
    let query = format!("symbol=BTCUSDT&interval=1m{query}");
    let (status, body) = get(venue, "klines", &query);
    assert_eq!(status, 200, "{body}");
    let minutes = |row: &Value| (row[0].as_i64().unwrap() - demo::FIRST_OPEN_MS) / 60_000;
    body.as_array().unwrap().iter().map(minutes).collect()
}

#[test]
fn a_kline_has_the_twelve_elements_of_binance() {
    let venue = replaying(1, VirtualClock::immediate());
    let bar = venue.replay.finest(crate::series::Api::Binance, "BTCUSDT");
    let bar = bar.unwrap().series.bars[0];
    let (_, body) = get(&venue, "klines", "symbol=BTCUSDT&interval=1m&timeZone=0");
    let kline = body[0].as_array().unwrap();
    let texts = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|value| value.to_string());
    assert_eq!(kline[0], minute(0));
    assert_eq!(kline[1..6], texts);
    assert_eq!(kline[6], minute(1) - 1);
    assert_eq!(kline[8], 4);
    let decimal =
        |place: usize| -> rust_decimal::Decimal { kline[place].as_str().unwrap().parse().unwrap() };
    assert!(decimal(7) > bar.volume * bar.low && decimal(7) < bar.volume * bar.high);
    assert!(decimal(9) < bar.volume && decimal(10) < decimal(7));
    assert_eq!((kline[11].as_str(), kline.len()), (Some("0"), 12));
}

#[test]
fn a_range_with_a_start_gives_its_first_klines_and_one_without_its_last() {
    let venue = replaying(1_200, VirtualClock::immediate());
    let all = |range: std::ops::Range<i64>| range.collect::<Vec<_>>();
    assert_eq!(klines(&venue, ""), all(700..1_200));
    assert_eq!(klines(&venue, "&limit=3"), [1_197, 1_198, 1_199]);
    assert_eq!(klines(&venue, "&startTime=0&limit=1000"), all(0..1_000));
    for (start, end, limit, expect) in [
        (Some(minute(1_198)), None, 500, &[1_198, 1_199][..]),
        (Some(minute(4) + 1), None, 2, &[5, 6]),
        (None, Some(minute(9)), 2, &[8, 9]),
        (Some(minute(2)), Some(minute(3)), 500, &[2, 3]),
        (Some(minute(3)), Some(minute(2)), 500, &[]),
        (Some(minute(1_200)), None, 500, &[]),
    ] {
        let mut query = format!("&limit={limit}");
        for (name, at_ms) in [("startTime", start), ("endTime", end)] {
            if let Some(at_ms) = at_ms {
                query.push_str(&format!("&{name}={at_ms}"));
            }
        }
        assert_eq!(klines(&venue, &query), expect, "{query}");
    }
}

#[test]
fn longer_klines_are_put_together_and_shorter_ones_are_not_there() {
    let venue = replaying(1_200, VirtualClock::immediate());
    for (interval, count) in [("5m", 240), ("1h", 20), ("1d", 1), ("1w", 1)] {
        let query = format!("symbol=BTCUSDT&interval={interval}");
        let (_, body) = get(&venue, "klines", &query);
        assert_eq!(body.as_array().map(Vec::len), Some(count), "{interval}");
    }
    for interval in ["1s", "2m", "1M", "5", "soon"] {
        let query = format!("symbol=BTCUSDT&interval={interval}");
        let (_, body) = get(&venue, "klines", &query);
        assert_eq!(body["code"], -1120, "{interval}");
    }
}

#[test]
fn only_bars_that_have_opened_on_the_virtual_clock_are_served() {
    let real = ManualClock::at(7);
    let speed = NonZeroU32::new(60).unwrap();
    let clock = VirtualClock::paced(demo::FIRST_OPEN_MS, speed, Arc::new(real.clone()));
    let venue = replaying(4, clock);
    let progress = |released, served| Progress {
        released,
        served,
        total: 4,
    };
    assert_eq!(klines(&venue, ""), [0]);
    real.advance(999);
    assert_eq!(klines(&venue, ""), [0]);
    real.advance(1);
    assert_eq!(klines(&venue, ""), [0, 1]);
    let time = get(&venue, "time", "").1;
    assert_eq!(time, json!({ "serverTime": minute(1) }));
    assert_eq!(venue.replay.progress(), progress(2, 2));
    assert!(!venue.replay.is_finished());
    real.advance(60_000);
    assert_eq!(venue.replay.progress(), progress(4, 2));
    assert_eq!(klines(&venue, "&startTime=0&limit=3"), [0, 1, 2]);
    assert_eq!(venue.replay.remaining(), 1);
    assert_eq!(klines(&venue, "&limit=1"), [3]);
    assert!(venue.replay.is_finished());
    assert_eq!(klines(&venue, "&startTime=0&limit=1"), [0]);
    assert!(venue.replay.is_finished());
}

#[test]
fn a_ticker_moves_with_the_trades_of_the_bar_that_is_open() {
    let (clock, stepper) = VirtualClock::stepped(minute(0) - 1);
    let venue = replaying(2_000, clock);
    let price = || get(&venue, "ticker/price", "symbol=BTCUSDT").1["price"].clone();
    assert_eq!(price(), "0");
    let selected = venue.replay.finest(crate::series::Api::Binance, "BTCUSDT");
    let bars = selected.unwrap().series.bars.clone();
    stepper.advance(1);
    assert_eq!(price(), bars[0].open.to_string());
    stepper.advance(59_999);
    assert_eq!(price(), bars[0].close.to_string());
    stepper.advance_to(minute(1_700));
    let (_, day) = get(&venue, "ticker/24hr", "symbol=BTCUSDT");
    assert_eq!(day["openTime"], minute(1_700 - 1_440));
    // What happened at the very beginning of the window is not within it.
    let first = bars[261 - 1].open.to_string();
    assert_eq!(day["prevClosePrice"], first);
    assert_eq!(day["lastPrice"], bars[1_700].open.to_string());
    assert_eq!(day["count"], 1_440 * 4);
    let (_, mini) = get(&venue, "ticker/24hr", "symbol=BTCUSDT&type=MINI");
    assert_eq!(mini["volume"], day["volume"]);
    assert!(mini.get("bidPrice").is_none());
}

#[test]
fn a_malformed_request_gets_the_error_of_binance() {
    let venue = replaying(2, VirtualClock::immediate());
    for (path, query, code) in [
        ("klines", "", -1102),
        ("klines", "symbol=BTCUSDT", -1102),
        ("klines", "symbol=&interval=1m", -1102),
        ("klines", "symbol=ETHUSDT&interval=1m", -1121),
        ("klines", "symbol=btc%20usdt&interval=1m", -1100),
        (
            "klines",
            "symbol=BTCUSDT&interval=1m&startTime=yesterday",
            -1100,
        ),
        ("klines", "symbol=BTCUSDT&interval=1m&endTime=-1", -1100),
        (
            "klines",
            "symbol=BTCUSDT&interval=1m&startTime=99999999999999999999",
            -1100,
        ),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=1001", -1130),
        ("klines", "symbol=BTCUSDT&interval=1m&timeZone=8", -1130),
        ("klines", "symbol=BTCUSDT&symbol=BTCUSDT&interval=1m", -1101),
        ("klines", "symbol=BTCUSDT&interval=1m&colour=red", -1104),
        ("ping", "x=1", -1104),
        ("avgPrice", "", -1102),
        ("exchangeInfo", "symbol=ETHUSDT", -1121),
        ("ticker/price", "symbols=[\"BTCUSDT\",\"ETHUSDT\"]", -1121),
        ("ticker/price", "symbols=BTCUSDT", -1100),
        ("ticker/24hr", "symbol=BTCUSDT&symbols=[\"BTCUSDT\"]", -1128),
        ("ticker/24hr", "type=SHORT", -1130),
        ("ticker/bookTicker", "type=MINI", -1104),
    ] {
        let (status, body) = get(&venue, path, query);
        assert_eq!(
            (status, &body["code"]),
            (400, &json!(code)),
            "{path}?{query}"
        );
        let text = body["msg"].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{path}?{query}");
    }
    assert_eq!(venue.replay.progress().served, 0);
    assert_eq!(get(&venue, "order", "").0, 404);
    let asked = Asked {
        method: &Method::POST,
        path: "/api/v3/klines",
        query: Query::parse(""),
        headers: &HeaderMap::new(),
        disorder: None,
    };
    let status = answer(&venue, &asked).status;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}
