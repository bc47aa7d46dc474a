#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use bulkhead_kernel::intent::Side;

use super::{Channel, name, parse, subscribe, unsubscribe};
use crate::VenueError;
use crate::frame::{Control, Frame, MAX_MESSAGE_BYTES, Remedy};

macro_rules! message {
    ($name:literal) => {
        include_str!(concat!(
            "../../../tests/__fuzz__/binance_stream/corpus/",
            $name
        ))
    };
}

fn read(message: &str) -> Frame {
    parse(message.as_bytes()).unwrap()
}

#[test]
fn a_trade_is_the_same_raw_and_combined() {
    let raw = read(message!("trade.json"));
    let Frame::Trade { symbol, trade } = &raw else {
        panic!("{raw:?}")
    };
    assert_eq!((symbol.as_str(), trade.id.as_str()), ("BNBBTC", "12345"));
    assert_eq!(trade.price.to_string(), "0.00100000");
    assert_eq!(trade.size.to_string(), "100.00000000");
    assert_eq!(trade.time_ns, 1_672_515_782_135_000_000);
    assert_eq!(trade.taker_side, Some(Side::Sell));
    assert_eq!(raw, read(message!("combined_trade.json")));
}

#[test]
fn an_aggregate_trade_has_the_aggregates_id() {
    let frame = read(message!("agg_trade.json"));
    let Frame::Trade { trade, .. } = frame else {
        panic!("{frame:?}")
    };
    assert_eq!(
        (trade.id.as_str(), trade.taker_side),
        ("12345", Some(Side::Buy))
    );
}

#[test]
fn a_kline_says_whether_it_will_change() {
    let frame = read(message!("kline.json"));
    let Frame::Bar {
        symbol,
        timeframe,
        is_closed,
        bar,
    } = frame
    else {
        panic!("{frame:?}")
    };
    assert_eq!(
        (symbol.as_str(), timeframe.to_string().as_str()),
        ("BNBBTC", "1m")
    );
    assert!(!is_closed);
    assert_eq!(bar.open_time_ms, 1_672_515_780_000);
    assert_eq!(bar.high.to_string(), "0.0025");
    let closed = message!("kline.json").replace(r#""x":false"#, r#""x":true"#);
    assert!(matches!(
        read(&closed),
        Frame::Bar {
            is_closed: true,
            ..
        }
    ));
}

#[test]
fn a_book_ticker_is_a_quote_without_a_time() {
    let frame = read(message!("book_ticker.json"));
    let Frame::Quote { symbol, quote } = frame else {
        panic!("{frame:?}")
    };
    assert_eq!((symbol.as_str(), quote.time_ns), ("BNBUSDT", None));
    let sides = [
        quote.bid_price,
        quote.bid_size,
        quote.ask_price,
        quote.ask_size,
    ];
    assert_eq!(
        sides.map(|side| side.to_string()),
        ["25.35190000", "31.21000000", "25.36520000", "40.66000000"]
    );
}

#[test]
fn answers_and_errors_are_told_from_data() {
    assert_eq!(
        read(message!("acknowledged.json")),
        Frame::Control(Control::Acknowledged {
            id: Some("1".to_owned())
        })
    );
    assert_eq!(
        read(message!("subscriptions.json")),
        Frame::Control(Control::Subscribed(vec!["btcusdt@aggTrade".to_owned()]))
    );
    for (message, code) in [
        (message!("error.json"), 2),
        (message!("error_with_id.json"), 0),
    ] {
        let Frame::Control(Control::Error(error)) = read(message) else {
            panic!("{message}")
        };
        assert_eq!((error.code, error.remedy), (code, Remedy::Stop));
    }
    assert_eq!(
        read(message!("ignored.json")),
        Frame::Ignored {
            kind: "24hrMiniTicker".to_owned()
        }
    );
}

#[test]
fn a_field_at_fault_is_named() {
    for (message, from, to, text) in [
        (
            message!("trade.json"),
            r#""p":"0.00100000""#,
            r#""p":0.001"#,
            "element answer, field `p`",
        ),
        (
            message!("combined_trade.json"),
            r#""q":"100.00000000""#,
            r#""Q":"100""#,
            "element data, field `q`: expected a text, found nothing",
        ),
        (
            message!("kline.json"),
            r#""i":"1m""#,
            r#""i":"1M""#,
            "field `i`",
        ),
        (message!("trade.json"), r#""e":"trade","#, "", "field `e`"),
        (
            message!("agg_trade.json"),
            "1672515782136,\"m\"",
            "9223372036854775807,\"m\"",
            "field `T`",
        ),
    ] {
        assert!(message.contains(from), "{from}");
        let error = parse(message.replace(from, to).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    for message in ["5", "[]", "null", "\"x\""] {
        assert!(
            matches!(parse(message.as_bytes()), Err(VenueError::Field { .. })),
            "{message}"
        );
    }
}

#[test]
fn what_is_combined_is_not_combined_again() {
    let twice = format!(
        r#"{{"stream":"a","data":{}}}"#,
        message!("combined_trade.json")
    );
    assert!(parse(twice.as_bytes()).is_err());
}

#[test]
fn a_message_beyond_the_bound_is_refused_unread() {
    let message = vec![b' '; MAX_MESSAGE_BYTES + 1];
    assert!(matches!(
        parse(&message),
        Err(VenueError::TooLarge {
            limit: MAX_MESSAGE_BYTES,
            ..
        })
    ));
}

#[test]
fn streams_are_named_and_asked_for_as_documented() {
    let names = [
        Channel::Trade,
        Channel::AggTrade,
        Channel::Kline("1m".parse().unwrap()),
        Channel::BookTicker,
    ]
    .map(|channel| name("BTCUSDT", channel));
    assert_eq!(
        names,
        [
            "btcusdt@trade",
            "btcusdt@aggTrade",
            "btcusdt@kline_1m",
            "btcusdt@bookTicker"
        ]
    );
    assert_eq!(
        subscribe(&names[..2], 1),
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@aggTrade"],"id":1}"#
    );
    assert_eq!(
        unsubscribe(&names[..1], 2),
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}"#
    );
}
