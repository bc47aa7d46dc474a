use std::num::NonZeroU32;
use std::sync::Arc;

use bulkhead_stage::ManualClock;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer;
use crate::{BarFile, Progress, Replay, VirtualClock, demo};

fn replay(bars: usize, clock: VirtualClock) -> Replay {
    let file = BarFile::parse(demo::generate(1, bars).as_bytes()).unwrap();
    Replay::new(&file.bars, "BTC-USDT", "1m".parse().unwrap(), clock).unwrap()
}

fn get(replay: &Replay, path: &str, query: &str) -> (u16, Value) {
    let (status, body) = answer(replay, &Method::GET, path, query);
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

fn klines(replay: &Replay, query: &str) -> Vec<i64> {
    let query = format!("symbol=BTCUSDT&interval=1m{query}");
    let (status, body) = get(replay, "/api/v3/klines", &query);
    assert_eq!(status, 200, "{body}");
    let minutes = |row: &Value| (row[0].as_i64().unwrap() - demo::FIRST_OPEN_MS) / 60_000;
    body.as_array().unwrap().iter().map(minutes).collect()
}

fn minute(minutes: i64) -> i64 {
    demo::FIRST_OPEN_MS + minutes * 60_000
}

#[test]
fn a_kline_has_the_twelve_elements_of_binance() {
    let replay = replay(1, VirtualClock::immediate());
    let (_, body) = get(&replay, "/api/v3/klines", "symbol=BTCUSDT&interval=1m");
    let line: Vec<String> = demo::generate(1, 1)
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(
        body,
        json!([[
            minute(0),
            line[1],
            line[2],
            line[3],
            line[4],
            line[5],
            minute(1) - 1,
            "0",
            0,
            "0",
            "0",
            "0"
        ]])
    );
}

#[test]
fn a_range_with_a_start_gives_its_first_klines_and_one_without_its_last() {
    let replay = replay(1_200, VirtualClock::immediate());
    let all = |range: std::ops::Range<i64>| range.collect::<Vec<_>>();
    assert_eq!(klines(&replay, ""), all(700..1_200));
    assert_eq!(klines(&replay, "&limit=3"), [1_197, 1_198, 1_199]);
    assert_eq!(klines(&replay, "&startTime=0&limit=1000"), all(0..1_000));
    assert_eq!(
        klines(&replay, &format!("&startTime={}", minute(1_198))),
        [1_198, 1_199]
    );
    assert_eq!(
        klines(&replay, &format!("&startTime={}&limit=2", minute(4) + 1)),
        [5, 6]
    );
    assert_eq!(
        klines(&replay, &format!("&endTime={}&limit=2", minute(9))),
        [8, 9]
    );
    assert_eq!(
        klines(
            &replay,
            &format!("&startTime={}&endTime={}", minute(2), minute(3))
        ),
        [2, 3]
    );
    assert_eq!(
        klines(
            &replay,
            &format!("&startTime={}&endTime={}", minute(3), minute(2))
        ),
        [0; 0]
    );
    assert_eq!(
        klines(&replay, &format!("&startTime={}", minute(1_200))),
        [0; 0]
    );
}

#[test]
fn only_bars_that_have_opened_on_the_virtual_clock_are_served() {
    let real = ManualClock::at(7);
    let speed = NonZeroU32::new(60).unwrap();
    let clock = VirtualClock::paced(demo::FIRST_OPEN_MS, speed, Arc::new(real.clone()));
    let replay = replay(4, clock);
    assert_eq!(klines(&replay, ""), [0]);
    real.advance(999);
    assert_eq!(klines(&replay, ""), [0]);
    real.advance(1);
    assert_eq!(klines(&replay, ""), [0, 1]);
    assert_eq!(
        get(&replay, "/api/v3/time", "").1,
        json!({ "serverTime": minute(1) })
    );
    assert_eq!(
        replay.progress(),
        Progress {
            released: 2,
            served: 2,
            total: 4
        }
    );
    assert!(!replay.is_finished());
    real.advance(60_000);
    assert_eq!(
        replay.progress(),
        Progress {
            released: 4,
            served: 2,
            total: 4
        }
    );
    assert_eq!(klines(&replay, "&startTime=0&limit=3"), [0, 1, 2]);
    assert_eq!(replay.remaining(), 1);
    assert_eq!(klines(&replay, "&limit=1"), [3]);
    assert!(replay.is_finished());
    assert_eq!(klines(&replay, "&startTime=0&limit=1"), [0]);
    assert!(replay.is_finished());
}

#[test]
fn a_malformed_request_gets_the_error_of_binance() {
    let replay = replay(2, VirtualClock::immediate());
    for (query, code) in [
        ("", -1102),
        ("symbol=BTCUSDT", -1102),
        ("symbol=&interval=1m", -1102),
        ("symbol=ETHUSDT&interval=1m", -1121),
        ("symbol=btc%20usdt&interval=1m", -1100),
        ("symbol=BTCUSDT&interval=5m", -1120),
        ("symbol=BTCUSDT&interval=soon", -1120),
        ("symbol=BTCUSDT&interval=1m&startTime=yesterday", -1100),
        ("symbol=BTCUSDT&interval=1m&endTime=-1", -1100),
        (
            "symbol=BTCUSDT&interval=1m&startTime=99999999999999999999",
            -1100,
        ),
        ("symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=1001", -1130),
        ("symbol=BTCUSDT&symbol=BTCUSDT&interval=1m", -1101),
        ("symbol=BTCUSDT&interval=1m&colour=red", -1104),
    ] {
        let (status, body) = get(&replay, "/api/v3/klines", query);
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{query}");
        assert!(
            body["msg"].as_str().is_some_and(|text| !text.is_empty()),
            "{query}"
        );
    }
    assert_eq!(replay.progress().served, 0);
}

#[test]
fn the_other_routes_tell_the_little_there_is_to_tell() {
    let replay = replay(2, VirtualClock::immediate());
    assert_eq!(get(&replay, "/api/v3/ping", ""), (200, json!({})));
    assert_eq!(
        get(&replay, "/api/v3/time", ""),
        (200, json!({ "serverTime": minute(2) }))
    );
    let (status, info) = get(&replay, "/api/v3/exchangeInfo", "symbol=BTCUSDT");
    assert_eq!(status, 200);
    assert_eq!(info["symbols"][0]["quoteAsset"], "USDT");
    assert_eq!(
        get(&replay, "/api/v3/exchangeInfo", "symbol=ETHUSDT").0,
        400
    );
    assert_eq!(get(&replay, "/api/v3/order", "").0, 404);
    let (status, _) = answer(&replay, &Method::POST, "/api/v3/klines", "");
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn a_replay_needs_an_instrument_of_base_and_quote_and_ascending_bars() {
    let mut bars = BarFile::parse(demo::generate(1, 3).as_bytes())
        .unwrap()
        .bars;
    let minute = "1m".parse().unwrap();
    for instrument in ["BTCUSDT", "-USDT", "BTC-", "B C-USDT"] {
        assert!(
            Replay::new(&bars, instrument, minute, VirtualClock::immediate()).is_err(),
            "{instrument}"
        );
    }
    bars.swap(1, 2);
    let error = Replay::new(&bars, "BTC-USDT", minute, VirtualClock::immediate())
        .err()
        .unwrap();
    assert!(error.to_string().contains("bar 2"), "{error}");
}
