#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{MAX_LIMIT, Request, parse, parse_single};
use crate::alpaca::{Adjustment, Feed, MAX_SYMBOLS, Market};
use crate::{HttpResponse, VenueError};

const STOCKS: &str = include_str!("../../../tests/__fuzz__/alpaca_bars/corpus/stocks.json");
const CRYPTO: &str = include_str!("../../../tests/__fuzz__/alpaca_bars/corpus/crypto.json");
const SINGLE: &str = include_str!("../../../tests/__fuzz__/alpaca_bars/corpus/single.json");
const NONE: &str = include_str!("../../../tests/__fuzz__/alpaca_bars/corpus/none.json");

fn answered(body: &str) -> HttpResponse<'_> {
    HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn request(market: Market, symbols: &[&str]) -> Request {
    Request {
        market,
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        timeframe: "1m".parse().unwrap(),
        adjustment: Adjustment::All,
        start_ms: None,
        end_ms: None,
        limit: MAX_LIMIT,
        page_token: None,
    }
}

#[test]
fn a_request_for_stocks_names_feed_and_adjustment() {
    let mut request = request(Market::Stocks(Feed::Iex), &["AAPL", "BRK.B"]);
    assert_eq!(
        request.to_http().unwrap().path_and_query,
        "/v2/stocks/bars?symbols=AAPL%2CBRK.B&timeframe=1Min&limit=10000&adjustment=all&feed=iex"
    );
    request.market = Market::Stocks(Feed::Sip);
    request.adjustment = Adjustment::Raw;
    request.symbols.truncate(1);
    request.start_ms = Some(1_641_200_400_000);
    request.end_ms = Some(1_641_200_400_086);
    request.page_token = Some("QU|FQ==".to_owned());
    assert_eq!(
        request.to_http_single().unwrap().path_and_query,
        "/v2/stocks/AAPL/bars?timeframe=1Min&start=2022-01-03T09%3A00%3A00.000Z\
         &end=2022-01-03T09%3A00%3A00.086Z&limit=10000&adjustment=raw&feed=sip&page_token=QU%7CFQ%3D%3D"
    );
}

#[test]
fn a_request_for_crypto_has_neither_feed_nor_adjustment() {
    let request = request(Market::Crypto, &["BTC/USD"]);
    assert_eq!(
        request.to_http().unwrap().path_and_query,
        "/v1beta3/crypto/us/bars?symbols=BTC%2FUSD&timeframe=1Min&limit=10000"
    );
}

#[test]
fn a_request_that_the_venue_has_no_words_for_is_refused() {
    let good = request(Market::Stocks(Feed::Iex), &["AAPL"]);
    let too_many = vec!["AAPL"; MAX_SYMBOLS + 1];
    for (request, parameter) in [
        (
            Request {
                limit: 0,
                ..good.clone()
            },
            "limit",
        ),
        (
            Request {
                limit: MAX_LIMIT + 1,
                ..good.clone()
            },
            "limit",
        ),
        (
            Request {
                symbols: Vec::new(),
                ..good.clone()
            },
            "symbols",
        ),
        (request(Market::Crypto, &too_many), "symbols"),
        (
            Request {
                timeframe: "90m".parse().unwrap(),
                ..good.clone()
            },
            "timeframe",
        ),
        (
            Request {
                start_ms: Some(i64::MAX),
                ..good.clone()
            },
            "start",
        ),
    ] {
        let error = request.to_http().unwrap_err();
        assert!(
            matches!(error, VenueError::Request { parameter: got, .. } if got == parameter),
            "{error}"
        );
    }
    for (market, symbols) in [
        (Market::Crypto, &["BTC/USD"][..]),
        (good.market, &["A", "B"]),
    ] {
        assert!(request(market, symbols).to_http_single().is_err());
    }
}

#[test]
fn bars_are_read_by_symbol_with_the_token_of_the_next_page() {
    let page = parse(&answered(STOCKS), MAX_LIMIT).unwrap();
    assert_eq!(
        page.next_page_token.as_deref(),
        Some("QUFQTHxNfDIwMjItMDEtMDNUMDk6MDA6MDAuMDAwMDAwMDAwWg==")
    );
    assert!(page.bars["TSLA"].is_empty());
    let bar = page.bars["AAPL"][0];
    assert_eq!(bar.open_time_ms, 1_641_200_400_000);
    assert_eq!(
        [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|value| value.to_string()),
        ["178.26", "178.26", "178.21", "178.21", "1118"]
    );
}

#[test]
fn a_number_with_an_exponent_is_the_decimal_it_says() {
    let page = parse(&answered(CRYPTO), MAX_LIMIT).unwrap();
    assert_eq!(page.next_page_token, None);
    assert_eq!(page.bars["BTC/USD"][1].volume.to_string(), "0.0000006");
}

#[test]
fn a_number_that_no_double_holds_is_read_exactly() {
    let body = SINGLE.replace("\"o\":178.26", "\"o\":9007199254740993.0000000001");
    let page = parse_single(&answered(&body), MAX_LIMIT).unwrap();
    assert_eq!(page.bars[0].open.to_string(), "9007199254740993.0000000001");
}

#[test]
fn a_range_without_bars_is_an_empty_page() {
    assert_eq!(parse_single(&answered(NONE), MAX_LIMIT).unwrap().bars, []);
    let none = r#"{"bars":{},"next_page_token":null}"#;
    assert!(parse(&answered(none), MAX_LIMIT).unwrap().bars.is_empty());
}

#[test]
fn a_field_at_fault_is_named_with_its_symbol_and_place() {
    for (from, to, text) in [
        (
            "\"o\":28999.5",
            "\"o\":\"28999.5\"",
            "element bars.BTC/USD.1, field `o`: expected a number, found a text",
        ),
        (
            "\"o\":28999.5,",
            "",
            "element bars.BTC/USD.1, field `o`: expected a number, found nothing",
        ),
        (
            "\"v\":6e-7",
            "\"v\":6e-70",
            "field `v`: 6e-70 is no exact decimal",
        ),
        ("10:19:00Z", "10:19:00.000001Z", "field `t`"),
        (
            "10:19:00Z",
            "25:19:00Z",
            "field `t`: \"2022-05-27T25:19:00Z\" is no RFC 3339 time",
        ),
        (
            ",\"next_page_token\":null",
            "",
            "element answer, field `next_page_token`",
        ),
        (
            "\"next_page_token\":null",
            "\"next_page_token\":5",
            "field `next_page_token`",
        ),
        (
            "{\"BTC/USD\":[",
            "{\"BTC/USD\":5,\"x\":[",
            "element BTC/USD, field `bars`",
        ),
        (
            "{\"BTC/USD\":[",
            "{\"BTC/USD\":[5,",
            "element bars.BTC/USD.0, field `t`",
        ),
        (
            "{\"BTC/USD\":[",
            "{\"BTC/USD\":[],\"BTC/USD\":[",
            "`BTC/USD` is given twice",
        ),
    ] {
        assert!(CRYPTO.contains(from), "{from}");
        let error = parse(&answered(&CRYPTO.replace(from, to)), MAX_LIMIT).unwrap_err();
        assert!(error.to_string().contains(text), "{to}: {error}");
    }
}

#[test]
fn more_bars_than_asked_for_are_refused() {
    assert!(matches!(
        parse(&answered(CRYPTO), 1),
        Err(VenueError::TooMany { limit: 1 })
    ));
    assert!(matches!(
        parse_single(&answered(SINGLE), 0),
        Err(VenueError::TooMany { limit: 0 })
    ));
}

#[test]
fn a_refusal_without_a_code_carries_the_venues_text() {
    let response = HttpResponse {
        status: 400,
        headers: &[],
        body: br#"{"message":"invalid symbol: ???"}"#,
    };
    assert_eq!(
        parse(&response, 1).unwrap_err().to_string(),
        "refused by the venue (HTTP 400, code 0): invalid symbol: ???"
    );
}
