//! `GET /api/v3/ticker/24hr`, `/price`, `/bookTicker`, and `/avgPrice`: what symbols trade at now.

use bulkhead_venues::binance::Symbols;
use bulkhead_venues::binance::ticker::Kind;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Refusal, check_symbol, mandatory, named, refused, selected, unknown_symbol};
use crate::Replay;
use crate::market::{self, Book};
use crate::query::Query;
use crate::series::{Api, Candle, Series, VENUE_DECIMAL_PLACES};

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// Over how long `avgPrice` averages, in minutes.
const AVG_PRICE_MINS: i64 = 5;
/// Decimal places of `priceChangePercent`.
const PERCENT_PLACES: u32 = 3;

/// One symbol is answered with an object, all others with an array of them.
pub(super) fn body(replay: &Replay, kind: Kind, query: &Query) -> Result<String, Refusal> {
    let [symbol, symbols, detail] = match kind {
        Kind::Day => query.all(["symbol", "symbols", "type"])?,
        Kind::Price | Kind::Book => {
            let [symbol, symbols] = query.all(["symbol", "symbols"])?;
            [symbol, symbols, None]
        }
    };
    let is_mini = match detail {
        None | Some("FULL") => false,
        Some("MINI") => true,
        Some(_) => {
            return Err(refused(
                -1130,
                "Data sent for parameter 'type' is not valid.",
            ));
        }
    };
    let symbols = named(symbol, symbols)?;
    let tickers = selected(replay, &symbols)?;
    let mut tickers: Vec<Value> = tickers
        .iter()
        .map(|(symbol, one)| match kind {
            Kind::Day => day(replay, symbol, &one.series, is_mini),
            Kind::Price => price(replay, symbol, &one.series),
            Kind::Book => book(symbol, &market::book(&one.series, replay.clock().now_ms())),
        })
        .collect();
    Ok(match (&symbols, tickers.len()) {
        (Symbols::One(_), 1) => tickers.remove(0).to_string(),
        _ => Value::from(tickers).to_string(),
    })
}

fn price(replay: &Replay, symbol: &str, series: &Series) -> Value {
    let tick = series.last_tick(replay.clock().now_ms());
    let price = tick.map_or(Decimal::ZERO, |tick| tick.price);
    json!({ "symbol": symbol, "price": price.to_string() })
}

fn book(symbol: &str, book: &Book) -> Value {
    json!({
        "symbol": symbol,
        "bidPrice": book.bid_price.to_string(),
        "bidQty": book.bid_size.to_string(),
        "askPrice": book.ask_price.to_string(),
        "askQty": book.ask_size.to_string(),
    })
}

/// The last 24 hours. All zero before the first bar has opened.
fn day(replay: &Replay, symbol: &str, series: &Series, is_mini: bool) -> Value {
    let now_ms = replay.now_ms();
    let opened_ms = now_ms.saturating_sub(DAY_MS);
    let clock_ms = replay.clock().now_ms();
    let window = market::window(series, opened_ms, clock_ms);
    let candle = window.unwrap_or_else(|| market::quiet(series, clock_ms));
    let Candle { bar, .. } = candle;
    let mut ticker = json!({
        "symbol": symbol,
        "openPrice": bar.open.to_string(),
        "highPrice": bar.high.to_string(),
        "lowPrice": bar.low.to_string(),
        "lastPrice": bar.close.to_string(),
        "volume": bar.volume.to_string(),
        "quoteVolume": candle.quote_volume.to_string(),
        "openTime": opened_ms,
        "closeTime": now_ms,
        "firstId": candle.first_id,
        "lastId": candle.last_id,
        "count": candle.trades,
    });
    if let (false, Value::Object(fields)) = (is_mini, &mut ticker) {
        let change = bar.close.saturating_sub(bar.open);
        let percent = change.checked_div(bar.open).map_or(Decimal::ZERO, |ratio| {
            ratio
                .saturating_mul(Decimal::ONE_HUNDRED)
                .round_dp(PERCENT_PLACES)
        });
        let book = market::book(series, clock_ms);
        let before = market::price_before(series, opened_ms).unwrap_or(bar.open);
        let last = series.last_tick(clock_ms);
        let more = [
            ("priceChange", change),
            ("priceChangePercent", percent),
            ("weightedAvgPrice", candle.average_price()),
            ("prevClosePrice", before),
            ("lastQty", last.map_or(Decimal::ZERO, |tick| tick.size)),
            ("bidPrice", book.bid_price),
            ("bidQty", book.bid_size),
            ("askPrice", book.ask_price),
            ("askQty", book.ask_size),
        ];
        for (name, value) in more {
            fields.insert(name.to_owned(), value.to_string().into());
        }
    }
    ticker
}

pub(super) fn avg_price(replay: &Replay, query: &Query) -> Result<String, Refusal> {
    let [symbol] = query.all(["symbol"])?;
    let symbol = mandatory("symbol", symbol)?;
    check_symbol(symbol)?;
    let selected = replay
        .finest(Api::Binance, symbol)
        .ok_or_else(unknown_symbol)?;
    let series = &selected.series;
    let clock_ms = replay.clock().now_ms();
    let since_ms = replay.now_ms().saturating_sub(AVG_PRICE_MINS * MINUTE_MS);
    let candle = market::window(series, since_ms, clock_ms)
        .unwrap_or_else(|| market::quiet(series, clock_ms));
    let price = candle.average_price().round_dp(VENUE_DECIMAL_PLACES);
    let last_ms = series.last_tick(clock_ms).map_or(0, |tick| tick.time_ms);
    Ok(json!({
        "mins": AVG_PRICE_MINS,
        "price": price.to_string(),
        "closeTime": last_ms,
    })
    .to_string())
}
