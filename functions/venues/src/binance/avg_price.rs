//! `GET /api/v3/avgPrice`: the average price of the last minutes, against which `MIN_NOTIONAL` and `PERCENT_PRICE` are
//! checked.

use rust_decimal::Decimal;
use serde::Deserializer;

use crate::error::accepted;
use crate::http::Query;
use crate::json::{self, Context, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// Where the average price is served.
pub const PATH: &str = "/api/v3/avgPrice";
/// What one request costs of the venue's `REQUEST_WEIGHT`.
pub const WEIGHT: u32 = 2;

/// The average price of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPrice {
    /// Over how many minutes.
    pub mins: u32,
    /// The average.
    pub price: Decimal,
    /// The time of the last trade, in Unix milliseconds.
    pub close_time_ms: i64,
}

/// The request on the wire.
pub fn to_http(symbol: &str) -> HttpRequest {
    Query::new(PATH).with("symbol", symbol).get()
}

/// Reads the answer.
///
/// # Errors
/// A status other than 200, or a field that is missing or ill-typed.
pub fn parse(response: &HttpResponse<'_>) -> Result<AvgPrice, VenueError> {
    json::read(accepted(response)?, 1)
}

impl<'a> Read<'a> for AvgPrice {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["mins", "price", "closeTime"];
        json::object(source, context, names, |[mins, price, close_time]| {
            Ok(Self {
                mins: mins.count()?,
                price: price.text_decimal()?,
                close_time_ms: close_time.integer()?,
            })
        })
    }
}
