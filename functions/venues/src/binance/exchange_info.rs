//! `GET /api/v3/exchangeInfo`: the rules of trading, and the venue's own rate limits.

mod filters;

use serde::Deserializer;

use super::Symbols;
use crate::error::accepted;
use crate::http::Query;
use crate::json::{self, Context, Read, Text};
use crate::{HttpRequest, HttpResponse, VenueError};
pub use filters::{Filters, Notional, PercentPrice, PriceFilter, SizeFilter};

/// Where the rules are served.
pub const PATH: &str = "/api/v3/exchangeInfo";
/// What one request costs of the venue's `REQUEST_WEIGHT`, however many symbols it asks for. The swagger file says 10, the
/// venue's current documentation 20: the larger is safe.
pub const WEIGHT: u32 = 20;

/// The most rate limits, order types or filters that are read in one list.
const MAX_LISTED: usize = 100;

/// The rules, as of the venue's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// The venue's time, in Unix milliseconds.
    pub server_time_ms: i64,
    /// The venue's rate limits.
    pub rate_limits: Vec<RateLimit>,
    /// The symbols that were asked for.
    pub symbols: Vec<SymbolInfo>,
}

/// One of the venue's rate limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// `REQUEST_WEIGHT`, `ORDERS` or `RAW_REQUESTS`.
    pub rate_limit_type: String,
    /// The interval it is counted over, in milliseconds.
    pub interval_ms: i64,
    /// The most within an interval.
    pub limit: u32,
}

/// The rules of one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolInfo {
    /// The symbol.
    pub symbol: String,
    /// `TRADING`, `HALT`, `BREAK`, ….
    pub status: String,
    /// What is traded.
    pub base_asset: String,
    /// The most digits behind the point of a quantity.
    pub base_asset_precision: u32,
    /// What it is paid with.
    pub quote_asset: String,
    /// The most digits behind the point of an amount of the quote asset.
    pub quote_asset_precision: u32,
    /// `LIMIT`, `MARKET`, ….
    pub order_types: Vec<String>,
    /// Whether it can be traded on spot.
    pub is_spot_trading_allowed: bool,
    /// What an order has to keep to.
    pub filters: Filters,
}

/// The request on the wire.
pub fn to_http(symbols: &Symbols) -> HttpRequest {
    symbols.add_to(Query::new(PATH)).get()
}

/// Reads the answer to a request about `symbols`.
///
/// # Errors
/// A status other than 200, more symbols than asked for, or a field that is missing or ill-typed.
pub fn parse(response: &HttpResponse<'_>, symbols: &Symbols) -> Result<ExchangeInfo, VenueError> {
    json::read(accepted(response)?, symbols.limit())
}

impl<'a> Read<'a> for ExchangeInfo {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["serverTime", "rateLimits"];
        json::nested(
            source,
            context,
            "symbols",
            names,
            |symbols, [time, limits]| {
                Ok(Self {
                    server_time_ms: time.integer()?,
                    rate_limits: limits.read(MAX_LISTED)?,
                    symbols,
                })
            },
        )
    }
}

impl<'a> Read<'a> for RateLimit {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["rateLimitType", "interval", "intervalNum", "limit"];
        json::object(source, context, names, |[kind, interval, count, limit]| {
            let unit_ms = match interval.text()?.as_ref() {
                "SECOND" => 1_000,
                "MINUTE" => 60_000,
                "HOUR" => 3_600_000,
                "DAY" => 86_400_000,
                other => return Err(interval.fault(format!("`{other}` is no interval"))),
            };
            let count = i64::from(count.count()?);
            if count == 0 {
                return Err(interval.fault("an interval of no length"));
            }
            Ok(Self {
                rate_limit_type: kind.string()?,
                // 32 bits of days are within 64 bits of milliseconds.
                interval_ms: count * unit_ms,
                limit: limit.count()?,
            })
        })
    }
}

impl<'a> Read<'a> for SymbolInfo {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = [
            "symbol",
            "status",
            "baseAsset",
            "baseAssetPrecision",
            "quoteAsset",
            "quoteAssetPrecision",
            "orderTypes",
            "isSpotTradingAllowed",
            "filters",
        ];
        json::object(source, context, names, |fields| {
            let [
                symbol,
                status,
                base,
                base_precision,
                quote,
                quote_precision,
                types,
                spot,
                filters,
            ] = fields;
            let types: Vec<Text> = types.read(MAX_LISTED)?;
            Ok(Self {
                symbol: symbol.string()?,
                status: status.string()?,
                base_asset: base.string()?,
                base_asset_precision: base_precision.count()?,
                quote_asset: quote.string()?,
                quote_asset_precision: quote_precision.count()?,
                order_types: types.into_iter().map(|Text(name)| name).collect(),
                is_spot_trading_allowed: spot.boolean()?,
                filters: Filters::of(filters.read(MAX_LISTED)?),
            })
        })
    }
}

#[cfg(test)]
mod tests;
