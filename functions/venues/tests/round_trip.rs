//! What a venue could send, made up: it comes back exactly, to the last digit.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers may fail the test where they stand"
)]

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::intent::Side;
use bulkhead_venues::alpaca::bars;
use bulkhead_venues::binance::klines;
use bulkhead_venues::frame::{Frame, Trade};
use bulkhead_venues::{HttpResponse, alpaca, binance};
use chrono::{DateTime, SecondsFormat};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rust_decimal::Decimal;

fn answered(body: &str) -> HttpResponse<'_> {
    HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (any::<i64>(), 0_u32..=28).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

fn bar() -> impl Strategy<Value = Bar> {
    let instant = -9_223_372_036_854_i64..9_223_372_036_854;
    (
        instant,
        decimal(),
        decimal(),
        decimal(),
        decimal(),
        decimal(),
    )
        .prop_map(|(open_time_ms, open, high, low, close, volume)| Bar {
            open_time_ms,
            open,
            high,
            low,
            close,
            volume,
        })
}

/// As text, since two decimals are equal whatever zeros stand at their ends.
fn written(bars: &[Bar]) -> Vec<String> {
    bars.iter().map(|bar| format!("{bar:?}")).collect()
}

/// A number as JSON writers write it: plain, or with an exponent.
fn number(decimal: Decimal, with_exponent: bool) -> String {
    if with_exponent {
        format!("{}e-{}", decimal.mantissa(), decimal.scale())
    } else {
        decimal.to_string()
    }
}

fn rfc3339(unix_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(unix_ms).unwrap();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn alpaca_bar(bar: &Bar, with_exponent: bool) -> String {
    let n = |decimal| number(decimal, with_exponent);
    format!(
        r#"{{"c":{},"h":{},"l":{},"n":65,"o":{},"t":"{}","v":{},"vw":178.235733}}"#,
        n(bar.close),
        n(bar.high),
        n(bar.low),
        n(bar.open),
        rfc3339(bar.open_time_ms),
        n(bar.volume),
    )
}

proptest! {
    #[test]
    fn klines_come_back_exactly(bars in vec(bar(), 0..30)) {
        let rows: Vec<String> = bars
            .iter()
            .map(|bar| format!(
                r#"[{},"{}","{}","{}","{}","{}",0,"0",0,"0","0","0"]"#,
                bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume
            ))
            .collect();
        let body = format!("[{}]", rows.join(","));
        let read = klines::parse(&answered(&body), klines::MAX_LIMIT).unwrap();
        prop_assert_eq!(written(&read), written(&bars));
    }

    #[test]
    fn pages_of_bars_come_back_exactly(
        by_symbol in btree_map("[A-Z]{1,5}(/USD)?", vec(bar(), 0..10), 0..5),
        token in prop::option::of("[A-Za-z0-9+/=]{1,60}"),
        with_exponent: bool,
    ) {
        let lists: Vec<String> = by_symbol
            .iter()
            .map(|(symbol, bars)| {
                let bars: Vec<_> = bars.iter().map(|bar| alpaca_bar(bar, with_exponent)).collect();
                format!(r#""{symbol}":[{}]"#, bars.join(","))
            })
            .collect();
        let next = token.as_ref().map_or("null".to_owned(), |token| format!("\"{token}\""));
        let body = format!(r#"{{"bars":{{{}}},"next_page_token":{next}}}"#, lists.join(","));
        let page = bars::parse(&answered(&body), bars::MAX_LIMIT).unwrap();
        prop_assert_eq!(page.next_page_token, token);
        prop_assert!(page.bars.keys().eq(by_symbol.keys()));
        for (symbol, bars) in &by_symbol {
            prop_assert_eq!(written(&page.bars[symbol]), written(bars));
        }
    }

    #[test]
    fn a_trade_comes_back_exactly_from_either_stream(
        id: u64,
        unix_ms in 0_i64..4_102_444_800_000,
        price in decimal(),
        size in decimal(),
        is_buy: bool,
    ) {
        let expect = Trade {
            id: id.to_string(),
            time_ns: unix_ms * 1_000_000,
            price,
            size,
            taker_side: Some(if is_buy { Side::Buy } else { Side::Sell }),
        };
        let message = format!(
            r#"{{"stream":"x","data":{{"e":"trade","E":1,"s":"X","t":{id},"p":"{price}","q":"{size}","T":{unix_ms},"m":{},"M":true}}}}"#,
            !is_buy
        );
        let binance = binance::stream::parse(message.as_bytes()).unwrap();
        let message = format!(
            r#"[{{"T":"t","S":"X","i":{id},"p":{price},"s":{size},"t":"{}","tks":"{}"}}]"#,
            rfc3339(unix_ms),
            if is_buy { "B" } else { "S" }
        );
        let alpaca = alpaca::stream::parse(message.as_bytes()).unwrap().remove(0).unwrap();
        for frame in [binance, alpaca] {
            match frame {
                Frame::Trade { symbol, trade } => {
                    prop_assert_eq!(symbol, "X");
                    prop_assert_eq!(format!("{trade:?}"), format!("{expect:?}"));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
