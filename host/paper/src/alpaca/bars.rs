//! `GET /v2/stocks/bars`, `/v2/stocks/{symbol}/bars` and `/v1beta3/crypto/us/bars`.

use std::collections::BTreeMap;

use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::alpaca::bars::MAX_LIMIT;
use serde_json::json;

use super::{Refusal, bar_fields, check_feed, invalid, symbols, timeframe};
use crate::Replay;
use crate::answer::array;
use crate::calendar::instant;
use crate::fault::Disorder;
use crate::query::Query;
use crate::series::{Api, EVENTS};

/// How many bars are served when the request does not say.
const DEFAULT_LIMIT: usize = 1_000;
const DAY_MS: i64 = 86_400_000;
/// What bars can be adjusted for. A bar file has no corporate actions, so all are the same.
const ADJUSTMENTS: [&str; 5] = ["raw", "split", "dividend", "spin-off", "all"];

/// A page to serve.
struct Page {
    symbols: Vec<String>,
    timeframe: Timeframe,
    start_ms: i64,
    end_ms: i64,
    limit: usize,
    is_descending: bool,
    /// The symbol and open time of the last bar of the page before.
    after: Option<(String, i64)>,
}

/// A bar of a page, and whose it is.
#[derive(Clone)]
struct Row {
    symbol: String,
    open_time_ms: i64,
    text: String,
}

pub(super) fn body(
    replay: &Replay,
    api: Api,
    symbol: Option<&str>,
    query: &Query,
    disorder: Option<Disorder>,
) -> Result<String, Refusal> {
    let page = Page::read(replay, api, symbol, query)?;
    let (mut rows, is_last) = page.rows(replay, api, Disorder::takes(disorder, page.limit));
    let token = rows
        .last()
        .filter(|_| !is_last)
        .map(|row| format!("{}|{}", row.symbol, row.open_time_ms));
    if let Some(disorder) = disorder {
        disorder.apply(&mut rows, page.limit);
    }
    let token = json!(token);
    Ok(match symbol {
        Some(symbol) => {
            let bars: Vec<String> = rows.into_iter().map(|row| row.text).collect();
            let bars = if bars.is_empty() {
                "null".to_owned()
            } else {
                array(&bars)
            };
            format!(r#"{{"bars":{bars},"next_page_token":{token},"symbol":"{symbol}"}}"#)
        }
        None => {
            let mut by_symbol: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for row in rows {
                by_symbol.entry(row.symbol).or_default().push(row.text);
            }
            let bars = by_symbol.iter();
            let bars: Vec<String> = bars
                .map(|(symbol, bars)| format!(r#""{symbol}":{}"#, array(bars)))
                .collect();
            format!(
                r#"{{"bars":{{{}}},"next_page_token":{token}}}"#,
                bars.join(",")
            )
        }
    })
}

impl Page {
    fn read(
        replay: &Replay,
        api: Api,
        symbol: Option<&str>,
        query: &Query,
    ) -> Result<Self, Refusal> {
        let [
            list,
            frame,
            start,
            end,
            limit,
            adjustment,
            feed,
            asof,
            currency,
            token,
            sort,
        ] = query.all([
            "symbols",
            "timeframe",
            "start",
            "end",
            "limit",
            "adjustment",
            "feed",
            "asof",
            "currency",
            "page_token",
            "sort",
        ])?;
        let of_stocks = adjustment.or(asof).or(currency);
        if api == Api::Crypto && of_stocks.is_some() {
            return Err(invalid("unexpected parameter(s): of stocks only"));
        }
        check_feed(api, feed)?;
        let mut parts = adjustment.unwrap_or("raw").split(',');
        if let Some(part) = parts.find(|part| !ADJUSTMENTS.contains(part)) {
            return Err(invalid(format!("invalid adjustment: {part}")));
        }
        if currency.is_some_and(|currency| currency != "USD") {
            return Err(invalid("invalid currency: only USD is served"));
        }
        let now_ms = replay.now_ms();
        let symbols = symbols(symbol, list)?;
        let page = Self {
            timeframe: frame
                .ok_or_else(|| invalid("timeframe is required"))
                .and_then(|text| {
                    timeframe(text).ok_or_else(|| invalid(format!("invalid timeframe: {text}")))
                })?,
            start_ms: bound("start", start)?.unwrap_or(now_ms - now_ms.rem_euclid(DAY_MS)),
            end_ms: bound("end", end)?.unwrap_or(now_ms),
            limit: read_limit(limit)?,
            is_descending: match sort {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => return Err(invalid(format!("invalid sort: {other}"))),
            },
            after: token.map(|token| read_token(token, &symbols)).transpose()?,
            symbols,
        };
        if page.end_ms < page.start_ms && end.is_some() {
            return Err(invalid("end should not be before start"));
        }
        Ok(page)
    }

    /// At most `most` bars, and whether no others follow.
    fn rows(&self, replay: &Replay, api: Api, most: usize) -> (Vec<Row>, bool) {
        let mut rows = Vec::new();
        let after = self.after.as_ref();
        let symbols = self
            .symbols
            .iter()
            .filter(|symbol| after.is_none_or(|(last, _)| *symbol >= last));
        for symbol in symbols {
            let Some(selected) = replay.select(api, symbol, self.timeframe) else {
                continue;
            };
            let (mut start_ms, mut end_ms) = (self.start_ms, self.end_ms);
            if let Some((_, last_ms)) = after.filter(|(last, _)| last == symbol) {
                if self.is_descending {
                    end_ms = end_ms.min(last_ms.saturating_sub(1));
                } else {
                    start_ms = start_ms.max(last_ms.saturating_add(1));
                }
            }
            let range = replay.range(&selected, Some(start_ms), Some(end_ms));
            let taken = (most - rows.len()).min(range.len());
            let is_whole = taken == range.len();
            let places: Vec<usize> = if self.is_descending {
                range.rev().take(taken).collect()
            } else {
                range.take(taken).collect()
            };
            for place in places {
                replay.count_served(&selected, place + 1);
                if let Some(candle) = selected.series.candle(place, EVENTS) {
                    rows.push(Row {
                        symbol: symbol.clone(),
                        open_time_ms: candle.bar.open_time_ms,
                        text: format!("{{{}}}", bar_fields(&candle)),
                    });
                }
            }
            if !is_whole {
                return (rows, false);
            }
        }
        (rows, true)
    }
}

fn read_limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=usize::from(MAX_LIMIT)).contains(limit))
        .ok_or_else(|| invalid(format!("invalid limit: expected 1 to {MAX_LIMIT}")))
}

/// RFC 3339, or a date, which begins at midnight.
fn bound(name: &str, text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let read = |text: &str| instant(text).or_else(|| instant(&format!("{text}T00:00:00Z")));
    match text {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(at_ms) => Ok(Some(at_ms)),
            None => Err(invalid(format!(
                "invalid {name}: expected RFC-3339 or YYYY-MM-DD"
            ))),
        },
    }
}

fn read_token(token: &str, symbols: &[String]) -> Result<(String, i64), Refusal> {
    let read = || {
        let (symbol, at_ms) = token.split_once('|')?;
        let symbol = symbols.iter().find(|known| *known == symbol)?;
        Some((symbol.clone(), at_ms.parse().ok()?))
    };
    read().ok_or_else(|| invalid("invalid page_token"))
}
