//! The latest bars, quotes and trades.

use bulkhead_kernel::instant::rfc3339;

use super::{Refusal, bar_fields, check_feed, symbols};
use crate::Replay;
use crate::market::{self, Book};
use crate::query::Query;
use crate::replay::Selected;
use crate::series::{Api, EVENTS, Tick};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bars,
    Quotes,
    Trades,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "bars" => Self::Bars,
            "quotes" => Self::Quotes,
            "trades" => Self::Trades,
            _ => return None,
        })
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Bars => ("bars", "bar"),
            Self::Quotes => ("quotes", "quote"),
            Self::Trades => ("trades", "trade"),
        }
    }
}

/// A symbol without data, or that is not known, is left out.
pub(super) fn body(
    replay: &Replay,
    api: Api,
    kind: Kind,
    symbol: Option<&str>,
    query: &Query,
) -> Result<String, Refusal> {
    let [list, feed, currency] = query.all(["symbols", "feed", "currency"])?;
    check_feed(api, feed)?;
    if currency.is_some_and(|currency| currency != "USD" || api == Api::Crypto) {
        return Err(super::invalid("invalid currency: only USD is served"));
    }
    let now_ms = replay.clock().now_ms();
    let mut found = Vec::new();
    for name in symbols(symbol, list)? {
        let latest = replay.finest(api, &name);
        let latest = latest.and_then(|one| element(replay, api, kind, &one, now_ms));
        found.extend(latest.map(|fields| (name, format!("{{{fields}}}"))));
    }
    let (many, one) = kind.names();
    Ok(match symbol {
        Some(symbol) => {
            let element = found
                .pop()
                .map_or_else(|| "null".to_owned(), |(_, text)| text);
            format!(r#"{{"{one}":{element},"symbol":"{symbol}"}}"#)
        }
        None => {
            let elements: Vec<String> = found
                .into_iter()
                .map(|(name, text)| format!(r#""{name}":{text}"#))
                .collect();
            format!(r#"{{"{many}":{{{}}}}}"#, elements.join(","))
        }
    })
}

fn element(
    replay: &Replay,
    api: Api,
    kind: Kind,
    selected: &Selected,
    now_ms: Option<i64>,
) -> Option<String> {
    let series = &selected.series;
    match kind {
        Kind::Bars => {
            let place = market::last_closed(series, now_ms)?;
            replay.count_served(selected, place + 1);
            series
                .candle(place, EVENTS)
                .map(|candle| bar_fields(&candle))
        }
        Kind::Quotes => {
            let tick = series.last_tick(now_ms)?;
            Some(quote_fields(api, &Book::around(series, &tick)))
        }
        Kind::Trades => market::last_trade(series, now_ms).map(|tick| trade_fields(api, &tick)),
    }
}

/// A quote as fields of an object, without its braces.
pub(super) fn quote_fields(api: Api, book: &Book) -> String {
    let fields = format!(
        r#""ap":{},"as":{},"bp":{},"bs":{},"t":"{}""#,
        book.ask_price,
        book.ask_size,
        book.bid_price,
        book.bid_size,
        rfc3339(book.time_ms),
    );
    match api {
        Api::Stocks => format!(r#"{fields},"ax":"V","bx":"V","c":["R"],"z":"C""#),
        Api::Crypto | Api::Binance => fields,
    }
}

/// A trade as fields of an object, without its braces.
pub(super) fn trade_fields(api: Api, tick: &Tick) -> String {
    let fields = format!(
        r#""i":{},"p":{},"s":{},"t":"{}""#,
        tick.id,
        tick.price,
        tick.size,
        rfc3339(tick.time_ms),
    );
    match api {
        Api::Stocks => format!(r#"{fields},"c":["@"],"x":"V","z":"C""#),
        Api::Crypto | Api::Binance => {
            let taker = if tick.is_buyer_maker { "S" } else { "B" };
            format!(r#"{fields},"tks":"{taker}""#)
        }
    }
}
