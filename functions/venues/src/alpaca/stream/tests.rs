#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use bulkhead_kernel::intent::Side;

use super::{Subscription, parse, path};
use crate::VenueError;
use crate::alpaca::{Feed, Market};
use crate::frame::{Control, Frame, MAX_ELEMENTS, MAX_MESSAGE_BYTES, Remedy};

macro_rules! message {
    ($name:literal) => {
        include_str!(concat!(
            "../../../tests/__fuzz__/alpaca_stream/corpus/",
            $name
        ))
    };
}

fn read(message: &str) -> Vec<Frame> {
    let frames = parse(message.as_bytes()).unwrap();
    frames.into_iter().map(Result::unwrap).collect()
}

#[test]
fn the_elements_of_a_message_are_read_in_their_order() {
    let frames = read(message!("stocks.json"));
    let Frame::Trade { symbol, trade } = &frames[0] else {
        panic!("{:?}", frames[0])
    };
    assert_eq!((symbol.as_str(), trade.id.as_str()), ("AAPL", "96921"));
    assert_eq!(
        (trade.price.to_string().as_str(), trade.taker_side),
        ("126.55", None)
    );
    assert_eq!(trade.time_ns, 1_614_009_104_208_000_000);
    let Frame::Quote { symbol, quote } = &frames[1] else {
        panic!("{:?}", frames[1])
    };
    assert_eq!(
        (symbol.as_str(), quote.ask_size.to_string().as_str()),
        ("AMD", "4")
    );
    assert_eq!(quote.time_ns, Some(1_614_009_105_335_689_322));
    assert_eq!(
        frames[5],
        Frame::Ignored {
            kind: "c".to_owned()
        }
    );
}

#[test]
fn bars_say_how_long_they_are_and_whether_they_will_change() {
    let frames = read(message!("stocks.json"));
    let bars: Vec<_> = frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Bar {
                timeframe,
                is_closed,
                bar,
                ..
            } => Some((timeframe.to_string(), *is_closed, bar.high.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(
        bars,
        [
            ("1m".to_owned(), true, "389.13".to_owned()),
            ("1m".to_owned(), true, "389.14".to_owned()),
            ("1d".to_owned(), false, "390.0".to_owned()),
        ]
    );
}

#[test]
fn crypto_trades_name_their_taker() {
    let frames = read(message!("crypto.json"));
    let Frame::Trade { symbol, trade } = &frames[0] else {
        panic!("{:?}", frames[0])
    };
    assert_eq!(symbol, "AVAX/USD");
    assert_eq!(trade.size.to_string(), "29.205707815");
    assert_eq!(trade.taker_side, Some(Side::Sell));
    assert_eq!(
        frames[3],
        Frame::Ignored {
            kind: "o".to_owned()
        }
    );
}

#[test]
fn an_element_at_fault_is_named_and_takes_no_other_with_it() {
    let message = message!("stocks.json").replace(r#""bs":1"#, r#""bs":"1""#);
    let frames = parse(message.as_bytes()).unwrap();
    let faults: Vec<_> = frames
        .iter()
        .filter_map(|frame| frame.as_ref().err().map(ToString::to_string))
        .collect();
    assert_eq!(
        faults,
        ["read element 1, field `bs`: expected a number, found a text"]
    );
    assert_eq!(frames.len(), 6);
    let frames = parse(br#"[5,{"S":"AAPL"},{"T":"t","S":"AAPL"}]"#).unwrap();
    let fields = frames.iter().map(|frame| match frame {
        Err(VenueError::Field { field, .. }) => *field,
        other => panic!("{other:?}"),
    });
    assert_eq!(fields.collect::<Vec<_>>(), ["T", "T", "i"]);
}

#[test]
fn the_state_of_the_connection_is_told() {
    for (message, control) in [
        (message!("connected.json"), Control::Connected),
        (message!("authenticated.json"), Control::Authenticated),
        (
            message!("subscription.json"),
            Control::Subscribed(
                [
                    "trades:AAPL",
                    "quotes:AMD",
                    "quotes:CLDR",
                    "bars:*",
                    "dailyBars:VOO",
                    "statuses:*",
                    "corrections:AAPL",
                    "cancelErrors:AAPL",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
        ),
    ] {
        assert_eq!(read(message), [Frame::Control(control)]);
    }
}

#[test]
fn an_error_says_whether_connecting_again_can_help() {
    for (code, remedy) in [
        (400, Remedy::Stop),
        (401, Remedy::Stop),
        (402, Remedy::Stop),
        (403, Remedy::Stop),
        (404, Remedy::Reconnect),
        (405, Remedy::Stop),
        (406, Remedy::Reconnect),
        (407, Remedy::Reconnect),
        (409, Remedy::Stop),
        (410, Remedy::Stop),
        (411, Remedy::Stop),
        (412, Remedy::Stop),
        (500, Remedy::Reconnect),
        (1_006, Remedy::Reconnect),
    ] {
        let message = message!("error.json").replace("405", &code.to_string());
        let frames = read(&message);
        let [Frame::Control(Control::Error(error))] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert_eq!((error.code, error.remedy), (code, remedy));
        assert_eq!(error.message, "symbol limit exceeded");
    }
}

#[test]
fn a_message_beyond_the_bounds_is_refused() {
    let long = vec![b' '; MAX_MESSAGE_BYTES + 1];
    assert!(matches!(parse(&long), Err(VenueError::TooLarge { .. })));
    let many = format!("[{}]", vec!["0"; MAX_ELEMENTS + 1].join(","));
    assert!(matches!(
        parse(many.as_bytes()),
        Err(VenueError::TooMany {
            limit: MAX_ELEMENTS
        })
    ));
    assert!(matches!(parse(b"{}"), Err(VenueError::Body(_))));
}

#[test]
fn a_subscription_is_asked_for_on_the_path_of_its_market() {
    let subscription = Subscription {
        bars: vec!["BTC/USD".to_owned()],
        ..Subscription::default()
    };
    assert_eq!(
        subscription.subscribe(),
        r#"{"action":"subscribe","trades":[],"quotes":[],"bars":["BTC/USD"],"updatedBars":[],"dailyBars":[]}"#
    );
    assert!(
        subscription
            .unsubscribe()
            .contains(r#""action":"unsubscribe""#)
    );
    assert_eq!(path(Market::Stocks(Feed::Iex)), "/v2/iex");
    assert_eq!(path(Market::Stocks(Feed::Sip)), "/v2/sip");
    assert_eq!(path(Market::Crypto), "/v1beta3/crypto/us");
}
