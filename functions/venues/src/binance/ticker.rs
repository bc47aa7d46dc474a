//! `GET /api/v3/ticker/24hr`, `/price` and `/bookTicker`: what a symbol trades at now.

use bulkhead_kernel::bar::Bar;
use rust_decimal::Decimal;
use serde::Deserializer;

use super::Symbols;
use crate::error::accepted;
use crate::frame::Quote;
use crate::http::Query;
use crate::json::{self, Context, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// Which of the tickers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The last 24 hours: see [`parse_day`].
    Day,
    /// The last price: see [`parse_price`].
    Price,
    /// The best bid and ask: see [`parse_book`].
    Book,
}

/// A ticker to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which of the tickers.
    pub kind: Kind,
    /// Of which symbols.
    pub symbols: Symbols,
}

impl Request {
    /// The request on the wire.
    pub fn to_http(&self) -> HttpRequest {
        let path = match self.kind {
            Kind::Day => "/api/v3/ticker/24hr",
            Kind::Price => "/api/v3/ticker/price",
            Kind::Book => "/api/v3/ticker/bookTicker",
        };
        self.symbols.add_to(Query::new(path)).get()
    }

    /// What it costs of the venue's `REQUEST_WEIGHT`.
    pub fn weight(&self) -> u32 {
        match (self.kind, &self.symbols) {
            (Kind::Day, Symbols::One(_)) => 2,
            (Kind::Day, Symbols::Many(symbols)) => match symbols.len() {
                0..=20 => 2,
                21..=100 => 40,
                _ => 80,
            },
            (Kind::Day, Symbols::All) => 80,
            (Kind::Price | Kind::Book, Symbols::One(_)) => 2,
            (Kind::Price | Kind::Book, _) => 4,
        }
    }
}

/// The last 24 hours of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The symbol.
    pub symbol: String,
    /// Open, high, low, close (the last price) and volume of the window, and when it opened.
    pub bar: Bar,
    /// When the window closed, in Unix milliseconds.
    pub close_time_ms: i64,
    /// The traded volume, in units of the quote asset.
    pub quote_volume: Decimal,
    /// By how much the price changed.
    pub price_change: Decimal,
    /// By how many per cent the price changed.
    pub price_change_percent: Decimal,
    /// How many trades there were.
    pub count: i64,
}

/// The last price of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The symbol.
    pub symbol: String,
    /// The price.
    pub price: Decimal,
}

/// The best bid and ask of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The symbol.
    pub symbol: String,
    /// Bid and ask. The venue does not say of when.
    pub quote: Quote,
}

/// Reads the answer to a request for [`Kind::Day`] about `symbols`.
///
/// # Errors
/// A status other than 200, more elements than asked for, or a field that is missing or ill-typed.
pub fn parse_day(response: &HttpResponse<'_>, symbols: &Symbols) -> Result<Vec<Day>, VenueError> {
    parse(response, symbols)
}

/// Reads the answer to a request for [`Kind::Price`] about `symbols`.
///
/// # Errors
/// A status other than 200, more elements than asked for, or a field that is missing or ill-typed.
pub fn parse_price(
    response: &HttpResponse<'_>,
    symbols: &Symbols,
) -> Result<Vec<Price>, VenueError> {
    parse(response, symbols)
}

/// Reads the answer to a request for [`Kind::Book`] about `symbols`.
///
/// # Errors
/// A status other than 200, more elements than asked for, or a field that is missing or ill-typed.
pub fn parse_book(response: &HttpResponse<'_>, symbols: &Symbols) -> Result<Vec<Book>, VenueError> {
    parse(response, symbols)
}

/// One symbol is answered with an object, all others with an array of them.
fn parse<'a, T: Read<'a>>(
    response: &HttpResponse<'a>,
    symbols: &Symbols,
) -> Result<Vec<T>, VenueError> {
    let body = accepted(response)?;
    match symbols {
        Symbols::One(_) => json::read(body, 1).map(|ticker| vec![ticker]),
        Symbols::Many(_) | Symbols::All => json::read(body, symbols.limit()),
    }
}

impl<'a> Read<'a> for Day {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = [
            "symbol",
            "openTime",
            "closeTime",
            "openPrice",
            "highPrice",
            "lowPrice",
            "lastPrice",
            "volume",
            "quoteVolume",
            "priceChange",
            "priceChangePercent",
            "count",
        ];
        json::object(source, context, names, |fields| {
            let [
                symbol,
                opened,
                closed,
                open,
                high,
                low,
                last,
                volume,
                quote_volume,
                change,
                percent,
                count,
            ] = fields;
            Ok(Self {
                symbol: symbol.string()?,
                bar: Bar {
                    open_time_ms: opened.integer()?,
                    open: open.text_decimal()?,
                    high: high.text_decimal()?,
                    low: low.text_decimal()?,
                    close: last.text_decimal()?,
                    volume: volume.text_decimal()?,
                },
                close_time_ms: closed.integer()?,
                quote_volume: quote_volume.text_decimal()?,
                price_change: change.text_decimal()?,
                price_change_percent: percent.text_decimal()?,
                count: count.integer()?,
            })
        })
    }
}

impl<'a> Read<'a> for Price {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, ["symbol", "price"], |[symbol, price]| {
            Ok(Self {
                symbol: symbol.string()?,
                price: price.text_decimal()?,
            })
        })
    }
}

impl<'a> Read<'a> for Book {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["symbol", "bidPrice", "bidQty", "askPrice", "askQty"];
        json::object(source, context, names, |[symbol, bid, bids, ask, asks]| {
            Ok(Self {
                symbol: symbol.string()?,
                quote: Quote {
                    time_ns: None,
                    bid_price: bid.text_decimal()?,
                    bid_size: bids.text_decimal()?,
                    ask_price: ask.text_decimal()?,
                    ask_size: asks.text_decimal()?,
                },
            })
        })
    }
}

#[cfg(test)]
mod tests;
