//! `GET /api/v3/klines`: bars, as arrays of twelve elements, of which the first six are the bar.

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::timeframe::Timeframe;
use serde::Deserializer;

use crate::error::accepted;
use crate::http::Query;
use crate::json::{self, Context, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// Where klines are served.
pub const PATH: &str = "/api/v3/klines";
/// The most klines that one answer holds.
pub const MAX_LIMIT: u16 = 1_000;
/// What one request costs of the venue's `REQUEST_WEIGHT`, however many klines it asks for.
pub const WEIGHT: u32 = 2;

/// The elements that are read, by their place in the array.
const FIELDS: [&str; 6] = ["open_time", "open", "high", "low", "close", "volume"];

/// A page of klines to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The symbol, for example `BTCUSDT`; see [`super::symbol`].
    pub symbol: String,
    /// The bar's length.
    pub interval: Timeframe,
    /// Only klines that open at or after this instant, in Unix milliseconds. None: the most recent ones.
    pub start_time_ms: Option<i64>,
    /// Only klines that open at or before this instant, in Unix milliseconds.
    pub end_time_ms: Option<i64>,
    /// At most so many, from 1 to [`MAX_LIMIT`].
    pub limit: u16,
}

impl Request {
    /// The request on the wire.
    pub fn to_http(&self) -> HttpRequest {
        let text = |millis: i64| millis.to_string();
        Query::new(PATH)
            .with("symbol", &self.symbol)
            .with("interval", &self.interval.to_string())
            .maybe("startTime", self.start_time_ms.map(text).as_deref())
            .maybe("endTime", self.end_time_ms.map(text).as_deref())
            .with("limit", &self.limit.to_string())
            .get()
    }
}

/// Reads the answer to a [`Request`] for at most `limit` klines, in the order the venue gave them.
///
/// Shapes and types are checked here; whether the numbers make sense as a bar is `Bar::validate`'s to say.
/// Elements after the sixth are not looked at.
///
/// # Errors
/// A status other than 200, a body that is no array of klines, or an element that is missing or ill-typed.
pub fn parse(response: &HttpResponse<'_>, limit: u16) -> Result<Vec<Bar>, VenueError> {
    let klines: Vec<Kline> = json::read(accepted(response)?, usize::from(limit))?;
    Ok(klines.into_iter().map(|Kline(bar)| bar).collect())
}

struct Kline(Bar);

impl<'a> Read<'a> for Kline {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::row(
            source,
            context,
            FIELDS,
            |[open_time, open, high, low, close, volume]| {
                Ok(Self(Bar {
                    open_time_ms: open_time.integer()?,
                    open: open.text_decimal()?,
                    high: high.text_decimal()?,
                    low: low.text_decimal()?,
                    close: close.text_decimal()?,
                    volume: volume.text_decimal()?,
                }))
            },
        )
    }
}

#[cfg(test)]
mod tests;
