#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use bulkhead_kernel::intent::Side;

use super::{Kind, Request, parse_bars, parse_quotes, parse_trades};
use crate::HttpResponse;
use crate::alpaca::{Feed, Market};

macro_rules! body {
    ($name:literal) => {
        include_str!(concat!(
            "../../../tests/__fuzz__/alpaca_latest/corpus/",
            $name
        ))
    };
}

fn answered(body: &str) -> HttpResponse<'_> {
    HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

#[test]
fn a_request_goes_where_its_market_serves_it() {
    for (market, kind, path_and_query) in [
        (
            Market::Stocks(Feed::Sip),
            Kind::Quotes,
            "/v2/stocks/quotes/latest?symbols=X%2FY&feed=sip",
        ),
        (
            Market::Stocks(Feed::Iex),
            Kind::Trades,
            "/v2/stocks/trades/latest?symbols=X%2FY&feed=iex",
        ),
        (
            Market::Crypto,
            Kind::Quotes,
            "/v1beta3/crypto/us/latest/quotes?symbols=X%2FY",
        ),
        (
            Market::Stocks(Feed::Iex),
            Kind::Bars,
            "/v2/stocks/bars/latest?symbols=X%2FY&feed=iex",
        ),
        (
            Market::Crypto,
            Kind::Bars,
            "/v1beta3/crypto/us/latest/bars?symbols=X%2FY",
        ),
        (
            Market::Crypto,
            Kind::Trades,
            "/v1beta3/crypto/us/latest/trades?symbols=X%2FY",
        ),
    ] {
        let symbols = vec!["X/Y".to_owned()];
        let request = Request {
            market,
            kind,
            symbols,
        };
        assert_eq!(request.to_http().unwrap().path_and_query, path_and_query);
    }
}

#[test]
fn quotes_are_read_by_symbol_to_the_nanosecond() {
    let quotes = parse_quotes(&answered(body!("stock_quotes.json"))).unwrap();
    assert_eq!(quotes.len(), 2);
    assert_eq!(quotes["AAPL"].ask_price.to_string(), "172.7");
    assert_eq!(quotes["AAPL"].time_ns, Some(1_660_730_860_286_587_431));
    let quotes = parse_quotes(&answered(body!("crypto_quotes.json"))).unwrap();
    assert_eq!(quotes["BTC/USD"].bid_size.to_string(), "0.3544");
}

#[test]
fn trades_are_read_with_their_taker_where_the_venue_names_one() {
    let trades = parse_trades(&answered(body!("crypto_trades.json"))).unwrap();
    assert_eq!(trades["BTC/USD"].taker_side, Some(Side::Sell));
    assert_eq!(trades["ETH/USD"].taker_side, Some(Side::Buy));
    let trades = parse_trades(&answered(body!("stock_trades.json"))).unwrap();
    assert_eq!(
        (trades["AAPL"].id.as_str(), trades["AAPL"].taker_side),
        ("826", None)
    );
}

#[test]
fn a_trade_that_was_taken_back_is_no_latest_trade() {
    let trades = parse_trades(&answered(body!("stock_trades.json"))).unwrap();
    assert!(!trades.contains_key("MSFT"));
    let corrected = body!("stock_trades.json").replace("canceled", "corrected");
    let trades = parse_trades(&answered(&corrected)).unwrap();
    assert_eq!(trades["MSFT"].id, "18446744073709551615");
}

#[test]
fn a_field_at_fault_is_named_with_its_symbol() {
    let body = body!("crypto_trades.json").replace(r#""tks":"B""#, r#""tks":"X""#);
    assert_eq!(
        parse_trades(&answered(&body)).unwrap_err().to_string(),
        "read element trades.ETH/USD, field `tks`: `X` is no side: expected B or S"
    );
    let body = body!("stock_quotes.json").replace(r#""bs":1,"#, "");
    let error = parse_quotes(&answered(&body)).unwrap_err().to_string();
    assert_eq!(
        error,
        "read element quotes.TSLA, field `bs`: expected a number, found nothing"
    );
    assert!(parse_quotes(&answered(body!("stock_trades.json"))).is_err());
}

#[test]
fn the_latest_bars_are_read_by_symbol() {
    let bars = parse_bars(&answered(body!("stock_bars.json"))).unwrap();
    assert_eq!(bars["AAPL"].open_time_ms, 1_660_726_680_000);
    assert_eq!(bars["TSLA"].volume.to_string(), "751");
}
