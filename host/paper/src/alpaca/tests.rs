use serde_json::{Value, json};

use super::{answer, timeframe};
use crate::fixture::{ask, minute, series, venue};
use crate::{Venue, VirtualClock};

fn trading(clock: VirtualClock) -> Venue {
    let series = ["SPY", "QQQ", "BTC-USD"].map(|name| series(name, 100));
    venue(series.into(), clock)
}

fn get(venue: &Venue, path: &str, query: &str) -> (u16, Value) {
    ask(answer, venue, path, query)
}

/// The minutes of the bars of a symbol.
fn minutes(bars: &Value) -> Vec<String> {
    let bars = bars.as_array().into_iter().flatten();
    bars.map(|bar| bar["t"].as_str().unwrap()[11..16].to_owned())
        .collect()
}

#[test]
fn bars_are_within_start_and_end_and_in_the_order_that_is_asked_for() {
    let venue = trading(VirtualClock::immediate());
    let range = "timeframe=1Min&start=2024-01-01T00:58:00Z&end=2024-01-01T01:00:00Z";
    let (_, body) = get(&venue, "/v2/stocks/SPY/bars", range);
    assert_eq!(minutes(&body["bars"]), ["00:58", "00:59", "01:00"]);
    assert_eq!(
        (&body["symbol"], &body["next_page_token"]),
        (&json!("SPY"), &Value::Null)
    );
    let (_, body) = get(
        &venue,
        "/v2/stocks/SPY/bars",
        &format!("{range}&sort=desc&limit=2"),
    );
    assert_eq!(minutes(&body["bars"]), ["01:00", "00:59"]);
    let token = body["next_page_token"].as_str().unwrap();
    let query = format!("{range}&sort=desc&page_token={token}");
    let (_, body) = get(&venue, "/v2/stocks/SPY/bars", &query);
    assert_eq!(minutes(&body["bars"]), ["00:58"]);
}

#[test]
fn a_page_goes_on_with_the_next_symbol() {
    let venue = trading(VirtualClock::immediate());
    let query =
        "symbols=SPY,QQQ,NONE&timeframe=1Hour&start=2024-01-01&limit=3&feed=iex&adjustment=all";
    let (status, body) = get(&venue, "/v2/stocks/bars", query);
    assert_eq!(status, 200, "{body}");
    assert_eq!(minutes(&body["bars"]["QQQ"]), ["00:00", "01:00"]);
    assert_eq!(minutes(&body["bars"]["SPY"]), ["00:00"]);
    let token = body["next_page_token"].as_str().unwrap();
    let (_, body) = get(
        &venue,
        "/v2/stocks/bars",
        &format!("{query}&page_token={token}"),
    );
    assert_eq!(body["bars"].as_object().unwrap().len(), 1);
    assert_eq!(minutes(&body["bars"]["SPY"]), ["01:00"]);
    assert_eq!(body["next_page_token"], Value::Null);
}

#[test]
fn without_a_range_bars_are_those_of_the_day_up_to_now() {
    let (clock, stepper) = VirtualClock::stepped(minute(-1));
    let venue = trading(clock);
    let bars = || {
        get(
            &venue,
            "/v1beta3/crypto/us/bars",
            "symbols=BTC/USD&timeframe=1T",
        )
        .1
    };
    assert_eq!(bars(), json!({ "bars": {}, "next_page_token": null }));
    stepper.advance_to(minute(1));
    assert_eq!(minutes(&bars()["bars"]["BTC/USD"]), ["00:00", "00:01"]);
}

#[test]
fn the_latest_bar_is_the_last_that_is_over() {
    let (clock, stepper) = VirtualClock::stepped(minute(0));
    let venue = trading(clock);
    let latest = |kind| get(&venue, &format!("/v2/stocks/SPY/{kind}/latest"), "").1;
    assert_eq!(latest("bars")["bar"], Value::Null);
    assert!(latest("quotes")["quote"]["bp"].is_number());
    stepper.advance_to(minute(2) - 1);
    assert_eq!(latest("bars")["bar"]["t"], "2024-01-01T00:00:00.000Z");
    assert_eq!(latest("trades")["trade"]["t"], "2024-01-01T00:01:45.000Z");
}

#[test]
fn a_malformed_request_is_refused_in_words() {
    let venue = trading(VirtualClock::immediate());
    for (path, query, text) in [
        ("stocks/bars", "timeframe=1Min", "symbols is required"),
        ("stocks/bars", "symbols=SPY", "timeframe is required"),
        (
            "stocks/bars",
            "symbols=spy&timeframe=1Min",
            "invalid symbol: spy",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=60Min",
            "invalid timeframe",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Month",
            "invalid timeframe",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&limit=0",
            "invalid limit",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&limit=10001",
            "invalid limit",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&start=soon",
            "invalid start",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&start=2024-01-02&end=2024-01-01",
            "end should not be before start",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&feed=none",
            "invalid feed",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&adjustment=none",
            "invalid adjustment",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&sort=up",
            "invalid sort",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&page_token=x",
            "invalid page_token",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&page_token=QQQ|5",
            "invalid page_token",
        ),
        (
            "stocks/bars",
            "symbols=SPY&timeframe=1Min&colour=red",
            "unexpected parameter(s): colour",
        ),
        (
            "stocks/SPY/bars",
            "symbols=SPY&timeframe=1Min",
            "unexpected parameter(s): symbols",
        ),
        (
            "stocks/quotes/latest",
            "symbols=SPY&feed=none",
            "invalid feed",
        ),
    ] {
        let (status, body) = get(&venue, &format!("/v2/{path}"), query);
        assert_eq!(status, 400, "{path}?{query}");
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with(text), "{path}?{query}: {message}");
    }
    let crypto = "/v1beta3/crypto/us/bars";
    let query = "symbols=BTC/USD&timeframe=1Min&feed=iex";
    assert_eq!(get(&venue, crypto, query).0, 400);
    for path in [
        "/v2/stocks/SPY",
        "/v2/stocks/SPY/news/latest",
        "/v1beta3/crypto/us/x",
    ] {
        assert_eq!(get(&venue, path, "").0, 404, "{path}");
    }
}

#[test]
fn a_timeframe_is_read_in_both_spellings() {
    for (text, expect) in [
        ("1Min", Some("1m")),
        ("59T", Some("59m")),
        ("23H", Some("23h")),
        ("1Hour", Some("1h")),
        ("1D", Some("1d")),
        ("1Week", Some("1w")),
        ("2Day", None),
        ("Min", None),
        ("1", None),
        ("1é", None),
        ("", None),
    ] {
        let read = timeframe(text).map(|timeframe| timeframe.to_string());
        assert_eq!(read.as_deref(), expect, "{text}");
    }
}
