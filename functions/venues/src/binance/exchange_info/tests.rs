#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{ExchangeInfo, parse, to_http};
use crate::binance::Symbols;
use crate::{HttpResponse, VenueError};

const ONE: &str = include_str!("../../../tests/__fuzz__/exchange_info/corpus/one_symbol.json");
const OLD: &str = include_str!("../../../tests/__fuzz__/exchange_info/corpus/old_filters.json");

fn read(body: &str) -> Result<ExchangeInfo, VenueError> {
    let response = HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    };
    parse(&response, &Symbols::One("BTCUSDT".to_owned()))
}

#[test]
fn a_symbol_comes_with_its_filters() {
    let info = read(ONE).unwrap();
    assert_eq!(info.server_time_ms, 1_734_721_518_175);
    let symbol = &info.symbols[0];
    assert_eq!(
        (symbol.base_asset.as_str(), symbol.quote_asset.as_str()),
        ("BTC", "USDT")
    );
    assert_eq!(symbol.order_types.len(), 5);
    assert!(symbol.is_spot_trading_allowed);
    let filters = &symbol.filters;
    assert_eq!(filters.price.unwrap().tick_size.to_string(), "0.01000000");
    assert_eq!(
        filters.lot_size.unwrap().step_size.to_string(),
        "0.00001000"
    );
    assert_eq!(
        filters.market_lot_size.unwrap().max_qty.to_string(),
        "107.73020874"
    );
    let notional = filters.notional.unwrap();
    assert_eq!(notional.min.to_string(), "5.00000000");
    assert!(notional.apply_min_to_market && !notional.apply_max_to_market);
    assert_eq!(
        filters
            .percent_price
            .unwrap()
            .ask_multiplier_down
            .to_string(),
        "0.2"
    );
    assert_eq!(
        (filters.max_num_orders, filters.max_num_algo_orders),
        (Some(200), Some(5))
    );
    assert_eq!(filters.iceberg_parts, Some(10));
    assert_eq!(filters.others, ["TRAILING_DELTA"]);
}

#[test]
fn the_filters_that_came_before_are_read_as_those_that_came_after() {
    let filters = read(OLD).unwrap().symbols.remove(0).filters;
    let notional = filters.notional.unwrap();
    assert_eq!(
        (notional.min.to_string().as_str(), notional.max),
        ("0.00100000", None)
    );
    let percent = filters.percent_price.unwrap();
    assert_eq!(percent.bid_multiplier_up, percent.ask_multiplier_up);
    assert_eq!(filters.max_position.unwrap().to_string(), "10.00000000");
    assert_eq!(filters.max_num_iceberg_orders, Some(5));
    assert_eq!(filters.lot_size, None);
}

#[test]
fn the_rate_limits_are_in_milliseconds() {
    let limits = read(ONE).unwrap().rate_limits;
    let read: Vec<_> = limits
        .iter()
        .map(|limit| {
            (
                limit.rate_limit_type.as_str(),
                limit.interval_ms,
                limit.limit,
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("REQUEST_WEIGHT", 60_000, 6_000),
            ("ORDERS", 10_000, 100),
            ("ORDERS", 86_400_000, 200_000),
            ("RAW_REQUESTS", 300_000, 61_000),
        ]
    );
}

#[test]
fn a_fault_is_named_down_to_the_field_of_the_filter() {
    for (from, to, text) in [
        (
            r#""status":"TRADING""#,
            r#""state":1"#,
            "element symbols.0, field `status`",
        ),
        (
            r#""tickSize":"0.01000000""#,
            r#""tickSize":0.01"#,
            "element symbols.0, field `filters`: read element 0, field `tickSize`: expected a text, found a number",
        ),
        (
            r#""maxNumOrders":200"#,
            r#""maxNumOrders":-1"#,
            "field `maxNumOrders`: -1 is no count",
        ),
        (
            r#""interval":"MINUTE""#,
            r#""interval":"EON""#,
            "`EON` is no interval",
        ),
        (
            r#""symbols":["#,
            r#""tokens":["#,
            "field `symbols`: expected a value, found nothing",
        ),
    ] {
        assert!(ONE.contains(from), "{from}");
        let error = read(&ONE.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_request_names_what_it_asks_about() {
    for (symbols, path_and_query) in [
        (Symbols::All, "/api/v3/exchangeInfo"),
        (
            Symbols::One("BTCUSDT".to_owned()),
            "/api/v3/exchangeInfo?symbol=BTCUSDT",
        ),
    ] {
        assert_eq!(to_http(&symbols).path_and_query, path_and_query);
    }
}
