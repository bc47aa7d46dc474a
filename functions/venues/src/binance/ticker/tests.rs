#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Kind, Request, parse_book, parse_day, parse_price};
use crate::binance::Symbols;
use crate::binance::{avg_price, time};
use crate::{HttpResponse, VenueError};

const DAY: &str = include_str!("../../../tests/__fuzz__/ticker/corpus/day.json");
const DAYS: &str = include_str!("../../../tests/__fuzz__/ticker/corpus/days.json");
const PRICE: &str = include_str!("../../../tests/__fuzz__/ticker/corpus/price.json");
const PRICES: &str = include_str!("../../../tests/__fuzz__/ticker/corpus/prices.json");
const BOOK: &str = include_str!("../../../tests/__fuzz__/ticker/corpus/book.json");

fn answered(body: &str) -> HttpResponse<'_> {
    HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn one() -> Symbols {
    Symbols::One("BNBBTC".to_owned())
}

fn many(count: usize) -> Symbols {
    Symbols::Many(vec!["BNBBTC".to_owned(); count])
}

#[test]
fn a_request_names_its_symbols_and_knows_its_weight() {
    for (kind, symbols, path_and_query, weight) in [
        (Kind::Day, one(), "/api/v3/ticker/24hr?symbol=BNBBTC", 2),
        (Kind::Price, Symbols::All, "/api/v3/ticker/price", 4),
        (
            Kind::Book,
            many(2),
            "/api/v3/ticker/bookTicker?symbols=%5B%22BNBBTC%22%2C%22BNBBTC%22%5D",
            4,
        ),
    ] {
        let request = Request { kind, symbols };
        assert_eq!(request.to_http().path_and_query, path_and_query);
        assert_eq!(request.weight(), weight);
    }
    for (symbols, weight) in [
        (many(20), 2),
        (many(21), 40),
        (many(100), 40),
        (many(101), 80),
        (Symbols::All, 80),
    ] {
        let request = Request {
            kind: Kind::Day,
            symbols,
        };
        assert_eq!(request.weight(), weight);
    }
}

#[test]
fn the_documented_tickers_are_read_to_their_last_digit() {
    let days = parse_day(&answered(DAY), &one()).unwrap();
    assert_eq!(days[0].symbol, "BNBBTC");
    assert_eq!(days[0].price_change.to_string(), "-94.99999800");
    assert_eq!(days[0].bar.close.to_string(), "4.00000200");
    assert_eq!(days[0].bar.open_time_ms, 1_499_783_499_040);
    assert_eq!(
        (days[0].close_time_ms, days[0].count),
        (1_499_869_899_040, 76)
    );
    assert_eq!(parse_day(&answered(DAYS), &many(2)).unwrap().len(), 2);

    let prices = parse_price(&answered(PRICES), &Symbols::All).unwrap();
    assert_eq!(prices[1].symbol, "ETHBTC");
    assert_eq!(prices[1].price.to_string(), "0.07946600");

    let books = parse_book(&answered(BOOK), &one()).unwrap();
    assert_eq!(books[0].quote.ask_size.to_string(), "9.00000000");
    assert_eq!(books[0].quote.time_ns, None);
}

#[test]
fn one_symbol_is_an_object_and_several_are_an_array() {
    assert!(parse_price(&answered(PRICE), &one()).is_ok());
    assert!(parse_price(&answered(PRICES), &one()).is_err());
    assert!(parse_price(&answered(PRICE), &many(1)).is_err());
    let refused = parse_price(&answered(PRICES), &many(1));
    assert!(matches!(refused, Err(VenueError::TooMany { limit: 1 })));
}

#[test]
fn a_field_at_fault_is_named() {
    let body = BOOK.replace(r#""9.00000000""#, "9");
    let error = parse_book(&answered(&body), &one()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read element answer, field `askQty`: expected a text, found a number"
    );
    let body = PRICES.replace(r#""price":"0.07946600""#, r#""cost":"1""#);
    let error = parse_price(&answered(&body), &many(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read element 1, field `price`: expected a text, found nothing"
    );
}

#[test]
fn the_average_price_and_the_venues_time_are_read() {
    let average = avg_price::parse(&answered(
        r#"{"mins":5,"price":"9.35751834","closeTime":1694061154503}"#,
    ));
    let average = average.unwrap();
    assert_eq!(average.price.to_string(), "9.35751834");
    assert_eq!(
        (average.mins, average.close_time_ms),
        (5, 1_694_061_154_503)
    );
    assert_eq!(
        avg_price::to_http("BNBBTC").path_and_query,
        "/api/v3/avgPrice?symbol=BNBBTC"
    );

    let response = answered(r#"{"serverTime":1499827319559}"#);
    assert_eq!(time::parse(&response).unwrap(), 1_499_827_319_559);
    assert_eq!(time::to_http().path_and_query, "/api/v3/time");
    let error = time::parse(&answered(r#"{"serverTime":"1"}"#)).unwrap_err();
    assert!(error.to_string().contains("`serverTime`"), "{error}");
}
