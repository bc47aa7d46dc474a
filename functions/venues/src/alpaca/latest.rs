//! `GET …/{bars,quotes,trades}/latest` of stocks, `…/latest/{bars,quotes,trades}` of crypto.

use std::collections::BTreeMap;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::intent::Side;
use serde::Deserializer;

use super::bars::BarElement;
use super::{MAX_SYMBOLS, Market, joined};
use crate::error::accepted;
use crate::frame::{Quote, Trade};
use crate::http::Query;
use crate::json::{self, Context, Field, FieldFault, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// What one request costs of the venue's budget.
pub const WEIGHT: u32 = 1;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The last bar of a minute: see [`parse_bars`].
    Bars,
    /// The best bid and ask: see [`parse_quotes`].
    Quotes,
    /// The last trade: see [`parse_trades`].
    Trades,
}

/// The latest bars, quotes or trades to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The market, and of stocks the feed.
    pub market: Market,
    /// Bars, quotes or trades.
    pub kind: Kind,
    /// The symbols, 1 to [`MAX_SYMBOLS`]; see [`Market::symbol`].
    pub symbols: Vec<String>,
}

impl Request {
    /// The request on the wire.
    ///
    /// # Errors
    /// There are no symbols, or too many.
    pub fn to_http(&self) -> Result<HttpRequest, VenueError> {
        let kind = match self.kind {
            Kind::Bars => "bars",
            Kind::Quotes => "quotes",
            Kind::Trades => "trades",
        };
        let path = match self.market {
            Market::Stocks(_) => format!("{}/{kind}/latest", self.market.path()),
            Market::Crypto => format!("{}/latest/{kind}", self.market.path()),
        };
        Ok(Query::new(path)
            .with("symbols", &joined(&self.symbols)?)
            .maybe("feed", self.market.feed())
            .get())
    }
}

/// Reads the answer to a request for [`Kind::Bars`]: bars by symbol. A symbol without one is missing.
///
/// # Errors
/// A status other than 200, more symbols than can be asked for, or a field that is missing or ill-typed.
pub fn parse_bars(response: &HttpResponse<'_>) -> Result<BTreeMap<String, Bar>, VenueError> {
    let Bars(bars) = json::read(accepted(response)?, MAX_SYMBOLS)?;
    let bars = bars.into_iter();
    Ok(bars
        .map(|(symbol, BarElement(bar))| (symbol, bar))
        .collect())
}

/// Reads the answer to a request for [`Kind::Quotes`]: quotes by symbol. A symbol without one is missing.
///
/// # Errors
/// A status other than 200, more symbols than can be asked for, or a field that is missing or ill-typed.
pub fn parse_quotes(response: &HttpResponse<'_>) -> Result<BTreeMap<String, Quote>, VenueError> {
    let Quotes(quotes) = json::read(accepted(response)?, MAX_SYMBOLS)?;
    Ok(quotes)
}

/// Reads the answer to a request for [`Kind::Trades`]: trades by symbol. A symbol without one is missing, and so is one
/// whose last trade the venue has taken back since.
///
/// # Errors
/// A status other than 200, more symbols than can be asked for, or a field that is missing or ill-typed.
pub fn parse_trades(response: &HttpResponse<'_>) -> Result<BTreeMap<String, Trade>, VenueError> {
    let Trades(trades) = json::read(accepted(response)?, MAX_SYMBOLS)?;
    let standing =
        |(symbol, TradeElement { trade, is_standing })| is_standing.then_some((symbol, trade));
    Ok(trades.into_iter().filter_map(standing).collect())
}

struct Bars(BTreeMap<String, BarElement>);

impl<'a> Read<'a> for Bars {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested(source, context, "bars", [], |bars, []| Ok(Self(bars)))
    }
}

struct Quotes(BTreeMap<String, Quote>);

impl<'a> Read<'a> for Quotes {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested(source, context, "quotes", [], |quotes, []| Ok(Self(quotes)))
    }
}

impl<'a> Read<'a> for Quote {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, ["t", "bp", "bs", "ap", "as"], quote)
    }
}

/// The fields `t`, `bp`, `bs`, `ap` and `as` as a quote.
pub(super) fn quote([t, bp, bs, ap, asked]: [Field<'_>; 5]) -> Result<Quote, FieldFault> {
    Ok(Quote {
        time_ns: Some(t.time_ns()?),
        bid_price: bp.number_decimal()?,
        bid_size: bs.number_decimal()?,
        ask_price: ap.number_decimal()?,
        ask_size: asked.number_decimal()?,
    })
}

struct Trades(BTreeMap<String, TradeElement>);

impl<'a> Read<'a> for Trades {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested(source, context, "trades", [], |trades, []| Ok(Self(trades)))
    }
}

struct TradeElement {
    trade: Trade,
    is_standing: bool,
}

impl<'a> Read<'a> for TradeElement {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["t", "i", "p", "s", "tks", "u"];
        json::object(source, context, names, |[t, i, p, s, tks, update]| {
            let update = update
                .optional()
                .map(|update| update.string())
                .transpose()?;
            Ok(Self {
                trade: trade([t, i, p, s, tks])?,
                is_standing: !matches!(update.as_deref(), Some("canceled" | "incorrect")),
            })
        })
    }
}

/// The fields `t`, `i`, `p`, `s` and, of crypto only, `tks` as a trade.
pub(super) fn trade([t, i, p, s, tks]: [Field<'_>; 5]) -> Result<Trade, FieldFault> {
    let taker_side = match tks.optional() {
        None => None,
        Some(tks) => match tks.text()?.as_ref() {
            "B" => Some(Side::Buy),
            "S" => Some(Side::Sell),
            // Quote-driven trades have no taker.
            "" => None,
            other => return Err(tks.fault(format!("`{other}` is no side: expected B or S"))),
        },
    };
    Ok(Trade {
        id: i.id()?,
        time_ns: t.time_ns()?,
        price: p.number_decimal()?,
        size: s.number_decimal()?,
        taker_side,
    })
}

#[cfg(test)]
mod tests;
