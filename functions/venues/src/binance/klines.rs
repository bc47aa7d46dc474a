//! `GET /api/v3/klines`: bars, as arrays of twelve elements, of which the first six are the bar.

mod cell;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::timeframe::Timeframe;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::cut;
use crate::{HttpRequest, VenueError};
use cell::{Cell, Row};

/// Where klines are served.
pub const PATH: &str = "/api/v3/klines";
/// The most klines that one answer holds.
pub const MAX_LIMIT: u16 = 1_000;

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
    /// The request on the wire. Its parts need no percent-encoding: symbols and intervals are plain ASCII.
    pub fn to_http(&self) -> HttpRequest {
        let mut path_and_query =
            format!("{PATH}?symbol={}&interval={}", self.symbol, self.interval);
        if let Some(start) = self.start_time_ms {
            path_and_query.push_str(&format!("&startTime={start}"));
        }
        if let Some(end) = self.end_time_ms {
            path_and_query.push_str(&format!("&endTime={end}"));
        }
        path_and_query.push_str(&format!("&limit={}", self.limit));
        HttpRequest {
            method: "GET",
            path_and_query,
        }
    }
}

/// Reads the answer to a [`Request`] for at most `limit` klines, in the order the venue gave them.
///
/// Shapes and types are checked here; whether the numbers make sense as a bar is `Bar::validate`'s to say.
/// Elements after the sixth are not looked at.
///
/// # Errors
/// A status other than 200, a body that is no array of klines, or an element that is missing or ill-typed.
pub fn parse(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    limit: u16,
) -> Result<Vec<Bar>, VenueError> {
    if status != 200 {
        return Err(refusal(status, retry_after, body));
    }
    let rows: Vec<Row<'_>> = serde_json::from_slice(body).map_err(VenueError::Body)?;
    if rows.len() > usize::from(limit) {
        return Err(VenueError::TooMany {
            limit: usize::from(limit),
        });
    }
    rows.iter()
        .enumerate()
        .map(|(index, row)| bar(index, row))
        .collect()
}

fn refusal(status: u16, retry_after: Option<&str>, body: &[u8]) -> VenueError {
    /// The error body of the REST documentation.
    #[derive(Deserialize)]
    struct Payload {
        code: i64,
        msg: String,
    }
    match status {
        418 | 429 => VenueError::RateLimited {
            status,
            retry_after_seconds: retry_after.and_then(|text| text.trim().parse().ok()),
        },
        400..=499 => match serde_json::from_slice::<Payload>(body) {
            Ok(payload) => VenueError::Refused {
                status,
                code: payload.code,
                message: cut(&payload.msg),
            },
            Err(_) => VenueError::Refused {
                status,
                code: 0,
                message: cut(&String::from_utf8_lossy(body)),
            },
        },
        _ => VenueError::Unexpected { status },
    }
}

fn bar(index: usize, row: &Row<'_>) -> Result<Bar, VenueError> {
    let at = |place: usize, detail: String| VenueError::Field {
        index,
        field: FIELDS[place],
        detail,
    };
    let cells = match row {
        Row::Kline(cells) => cells,
        Row::Other(kind) => return Err(at(0, format!("the element is {kind}, not an array"))),
    };
    let open_time_ms = match &cells[0] {
        Cell::Integer(millis) => *millis,
        other => return Err(at(0, format!("expected an integer, found {other}"))),
    };
    let decimal = |place: usize| match &cells[place] {
        Cell::Text(text) => exact(text).map_err(|detail| at(place, detail)),
        other => Err(at(place, format!("expected a text, found {other}"))),
    };
    Ok(Bar {
        open_time_ms,
        open: decimal(1)?,
        high: decimal(2)?,
        low: decimal(3)?,
        close: decimal(4)?,
        volume: decimal(5)?,
    })
}

/// Reads plain decimal notation, exactly or not at all.
fn exact(text: &str) -> Result<Decimal, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let refused = || format!("`{}` is no exact decimal", cut(text));
    if !is_plain {
        return Err(refused());
    }
    Decimal::from_str_exact(text).map_err(|_| refused())
}

#[cfg(test)]
mod tests;
