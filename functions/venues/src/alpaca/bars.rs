//! `GET /v2/stocks/bars`, `/v2/stocks/{symbol}/bars` and `/v1beta3/crypto/us/bars`: bars, in pages.

use std::collections::BTreeMap;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instant::{MAX_RFC3339_MS, MIN_RFC3339_MS, rfc3339};
use bulkhead_kernel::timeframe::Timeframe;
use serde::Deserializer;

use super::{Adjustment, MAX_SYMBOLS, MAX_TOKEN_CHARS, Market, joined};
use crate::error::accepted;
use crate::http::{Query, encoded};
use crate::json::{self, Context, Field, FieldFault, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// The most bars of one page, of all its symbols together.
pub const MAX_LIMIT: u16 = 10_000;
/// What one request costs of the venue's budget.
pub const WEIGHT: u32 = 1;

/// A page of bars to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The market, and of stocks the feed.
    pub market: Market,
    /// The symbols, 1 to [`MAX_SYMBOLS`]; see [`Market::symbol`].
    pub symbols: Vec<String>,
    /// The bar's length; see [`super::timeframe`].
    pub timeframe: Timeframe,
    /// What the bars are adjusted for. Only of stocks.
    pub adjustment: Adjustment,
    /// Only bars that open at or after this instant, in Unix milliseconds. None: since the day began.
    pub start_ms: Option<i64>,
    /// Only bars that open at or before this instant, in Unix milliseconds. None: up to now.
    pub end_ms: Option<i64>,
    /// At most so many, from 1 to [`MAX_LIMIT`].
    pub limit: u16,
    /// The [`Page::next_page_token`] of the page before. All else must be as it was then.
    pub page_token: Option<String>,
}

/// A page of bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The bars, in the order the venue gave them.
    pub bars: T,
    /// What asks for the next page. None: this is the last one.
    pub next_page_token: Option<String>,
}

impl Request {
    /// The request for several symbols on the wire.
    ///
    /// # Errors
    /// The venue has no word for the timeframe, the times, the limit or the number of symbols.
    pub fn to_http(&self) -> Result<HttpRequest, VenueError> {
        let query = Query::new(format!("{}/bars", self.market.path()));
        self.rest(query.with("symbols", &joined(&self.symbols)?))
    }

    /// The request for one symbol, of stocks, on the wire: its answer is for [`parse_single`].
    ///
    /// # Errors
    /// The venue has no word for the timeframe, the times or the limit; or the request is not for one stock.
    pub fn to_http_single(&self) -> Result<HttpRequest, VenueError> {
        match (self.market, &self.symbols[..]) {
            (Market::Stocks(_), [symbol]) => self.rest(Query::new(format!(
                "{}/{}/bars",
                self.market.path(),
                encoded(symbol)
            ))),
            _ => Err(VenueError::Request {
                parameter: "symbol",
                detail: "must be one stock".to_owned(),
            }),
        }
    }

    fn rest(&self, query: Query) -> Result<HttpRequest, VenueError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(VenueError::Request {
                parameter: "limit",
                detail: format!("is {}: use 1 to {MAX_LIMIT}", self.limit),
            });
        }
        let adjustment = match self.market {
            Market::Stocks(_) => Some(self.adjustment.as_str()),
            Market::Crypto => None,
        };
        Ok(query
            .with("timeframe", &super::timeframe(self.timeframe)?)
            .maybe("start", time("start", self.start_ms)?.as_deref())
            .maybe("end", time("end", self.end_ms)?.as_deref())
            .with("limit", &self.limit.to_string())
            .maybe("adjustment", adjustment)
            .maybe("feed", self.market.feed())
            .maybe("page_token", self.page_token.as_deref())
            .get())
    }
}

fn time(parameter: &'static str, unix_ms: Option<i64>) -> Result<Option<String>, VenueError> {
    match unix_ms {
        None => Ok(None),
        Some(MIN_RFC3339_MS..=MAX_RFC3339_MS) => Ok(unix_ms.map(rfc3339)),
        Some(other) => Err(VenueError::Request {
            parameter,
            detail: format!("{other} ms is not within the years 0 to 9999"),
        }),
    }
}

/// Reads the answer to [`Request::to_http`] for at most `limit` bars. Bars by symbol; a symbol without bars may be missing.
///
/// # Errors
/// A status other than 200, more bars than asked for, or a field that is missing or ill-typed.
pub fn parse(
    response: &HttpResponse<'_>,
    limit: u16,
) -> Result<Page<BTreeMap<String, Vec<Bar>>>, VenueError> {
    // Each name counts as an element, too.
    let most = usize::from(limit) + MAX_SYMBOLS;
    let page: Page<Option<BTreeMap<String, Vec<BarElement>>>> =
        json::read(accepted(response)?, most)?;
    let by_symbol = page.bars.unwrap_or_default();
    let count: usize = by_symbol.values().map(Vec::len).sum();
    if count > usize::from(limit) {
        return Err(VenueError::TooMany {
            limit: usize::from(limit),
        });
    }
    Ok(Page {
        bars: by_symbol
            .into_iter()
            .map(|(symbol, bars)| (symbol, bare(bars)))
            .collect(),
        next_page_token: page.next_page_token,
    })
}

/// Reads the answer to [`Request::to_http_single`] for at most `limit` bars.
///
/// # Errors
/// A status other than 200, more bars than asked for, or a field that is missing or ill-typed.
pub fn parse_single(response: &HttpResponse<'_>, limit: u16) -> Result<Page<Vec<Bar>>, VenueError> {
    let page: Page<Option<Vec<BarElement>>> = json::read(accepted(response)?, usize::from(limit))?;
    Ok(Page {
        bars: bare(page.bars.unwrap_or_default()),
        next_page_token: page.next_page_token,
    })
}

fn bare(bars: Vec<BarElement>) -> Vec<Bar> {
    bars.into_iter().map(|BarElement(bar)| bar).collect()
}

/// `bars` is null when a symbol has none in the range.
impl<'a, T: Read<'a>> Read<'a> for Page<T> {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested(
            source,
            context,
            "bars",
            ["next_page_token"],
            |bars, [token]| {
                Ok(Self {
                    bars,
                    next_page_token: next_page_token(token)?,
                })
            },
        )
    }
}

/// A token that is missing instead of null would end the series in silence.
fn next_page_token(field: Field<'_>) -> Result<Option<String>, FieldFault> {
    if field.is_null() {
        return Ok(None);
    }
    let token = field.string()?;
    if token.is_empty() || token.chars().count() > MAX_TOKEN_CHARS {
        return Err(field.fault(format!("expected 1 to {MAX_TOKEN_CHARS} characters")));
    }
    Ok(Some(token))
}

/// A bar of either market.
pub(super) struct BarElement(pub(super) Bar);

impl<'a> Read<'a> for BarElement {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, ["t", "o", "h", "l", "c", "v"], |fields| {
            bar(fields).map(Self)
        })
    }
}

/// The fields `t`, `o`, `h`, `l`, `c` and `v` as a bar.
pub(super) fn bar([t, o, h, l, c, v]: [Field<'_>; 6]) -> Result<Bar, FieldFault> {
    Ok(Bar {
        open_time_ms: t.time_ms()?,
        open: o.number_decimal()?,
        high: h.number_decimal()?,
        low: l.number_decimal()?,
        close: c.number_decimal()?,
        volume: v.number_decimal()?,
    })
}

#[cfg(test)]
mod tests;
