#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Record, parse};
use crate::frame::{Control, Frame};
use serde_json::value::RawValue;

/// Some of the trades that a collector recorded of Binance's stream, with the places at which the connection was lost.
const SAMPLE: &str = include_str!("../../tests/data/recorded-trades.json");
const OTHER: &str = include_str!("../../tests/__fuzz__/recorded/corpus/sample.json");
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];

fn read(text: &str) -> Vec<Record> {
    parse(text.as_bytes(), &SYMBOLS).unwrap()
}

#[test]
fn every_recorded_trade_comes_through_with_every_digit() {
    let lines: Vec<&RawValue> = serde_json::from_str(SAMPLE).unwrap();
    let records = read(SAMPLE);
    assert_eq!(records.len(), lines.len());
    for (record, line) in records.iter().zip(lines) {
        let line = line.get();
        match &record.frame {
            Frame::Trade { symbol, trade } => {
                assert_eq!(
                    SYMBOLS[if line.contains("\"instrument\": 0") {
                        0
                    } else {
                        2
                    }],
                    symbol
                );
                for text in [
                    format!("\"id\": \"{}\"", trade.id),
                    format!("\"price\": {}", trade.price),
                    format!("\"amount\": {}", trade.size),
                    format!("\"side\": \"{:?}\"", trade.taker_side.unwrap()),
                    format!("\"exchange\": \"{}\"", record.exchange),
                ] {
                    assert!(line.contains(&text), "{text} is not in {line}");
                }
            }
            frame => {
                assert_eq!(*frame, Frame::Control(Control::Reconnecting));
                assert!(line.contains("Reconnecting"));
            }
        }
    }
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let records = read(SAMPLE);
    let Frame::Trade { trade, .. } = &records[0].frame else {
        panic!("{:?}", records[0])
    };
    assert_eq!(trade.time_ns, 1_734_721_518_178_000_000);
    assert_eq!(records[0].received_ns, Some(1_734_721_518_324_130_668));
}

#[test]
fn an_event_that_is_no_trade_is_told_and_passed_over() {
    let records = read(OTHER);
    assert!(matches!(records[2].frame, Frame::Ignored { .. }));
    assert!(
        matches!(&records[0].frame, Frame::Trade { trade, .. } if trade.size.to_string() == "0.00006")
    );
}

#[test]
fn a_field_at_fault_is_named_with_its_record() {
    for (from, to, text) in [
        (
            "\"instrument\":2",
            "\"instrument\":3",
            "element 0.Item.Ok, field `instrument`: 3 of 3 instruments",
        ),
        (
            "\"price\":190.85",
            "\"price\":\"190.85\"",
            "element 0.Item.Ok.kind.Trade, field `price`",
        ),
        (
            "\"side\":\"Sell\"",
            "\"side\":\"sell\"",
            "`sell` is no side",
        ),
        ("\"Ok\"", "\"Err\"", "element 0.Item, field `Ok`"),
        (
            "{\"Reconnecting\":\"binance_spot\"}",
            "{}",
            "element 1, field `Reconnecting`",
        ),
    ] {
        assert!(OTHER.contains(from), "{from}");
        let error = parse(OTHER.replacen(from, to, 1).as_bytes(), &SYMBOLS).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
