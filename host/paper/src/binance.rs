//! The spot REST API of Binance: routes, parameter rules, errors and weights, without a socket.

mod exchange_info;
mod klines;
pub(crate) mod stream;
mod ticker;

use bulkhead_venues::binance::{self, Symbols, is_symbol, ticker::Kind};
use http::{Method, StatusCode};
use serde_json::json;

use crate::answer::{Answer, Asked};
use crate::query::{Query, QueryFault};
use crate::replay::Selected;
use crate::series::Api;
use crate::venue::Venue;

/// Where the API stands.
pub(crate) const PREFIX: &str = "/api/v3/";
/// The most symbols that a request may name.
const MAX_NAMED: usize = 1_000;
/// What a request for nothing in particular weighs.
const LEAST_WEIGHT: u32 = 1;

/// What is served.
#[derive(Clone, Copy)]
enum Endpoint {
    Ping,
    Time,
    ExchangeInfo,
    Klines,
    AvgPrice,
    Ticker(Kind),
}

/// An error as Binance words it.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: i32,
    message: String,
}

pub(crate) fn refused(code: i32, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        message: message.into(),
    }
}

impl From<QueryFault> for Refusal {
    fn from(fault: QueryFault) -> Self {
        match fault {
            QueryFault::Unknown(_) => refused(-1104, "Not all sent parameters were read."),
            QueryFault::Twice(name) => {
                refused(-1101, format!("Duplicate values for parameter '{name}'."))
            }
        }
    }
}

impl Refusal {
    pub(crate) fn answer(&self, status: StatusCode) -> Answer {
        Answer::json(status, &json!({ "code": self.code, "msg": self.message }))
    }
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(PREFIX)? {
            "ping" => Self::Ping,
            "time" => Self::Time,
            "exchangeInfo" => Self::ExchangeInfo,
            "klines" => Self::Klines,
            "avgPrice" => Self::AvgPrice,
            "ticker/24hr" => Self::Ticker(Kind::Day),
            "ticker/price" => Self::Ticker(Kind::Price),
            "ticker/bookTicker" => Self::Ticker(Kind::Book),
            _ => return None,
        })
    }

    fn weight(self, query: &Query) -> u32 {
        match self {
            Self::Ping => LEAST_WEIGHT,
            Self::Time => binance::time::WEIGHT,
            Self::ExchangeInfo => binance::exchange_info::WEIGHT,
            Self::Klines => binance::klines::WEIGHT,
            Self::AvgPrice => binance::avg_price::WEIGHT,
            Self::Ticker(kind) => match named(query.get("symbol"), query.get("symbols")) {
                Ok(symbols) => binance::ticker::Request { kind, symbols }.weight(),
                Err(_) => LEAST_WEIGHT,
            },
        }
    }
}

/// Answers a request whose path begins with [`PREFIX`].
pub(crate) fn answer(venue: &Venue, asked: &Asked<'_>) -> Answer {
    let Some(endpoint) = Endpoint::of(asked.path) else {
        let refusal = refused(-1000, format!("No such path: {}", asked.path));
        return refusal.answer(StatusCode::NOT_FOUND);
    };
    if asked.method != Method::GET {
        return refused(-1000, "Only GET is served.").answer(StatusCode::METHOD_NOT_ALLOWED);
    }
    let standing = venue.spend_weight(endpoint.weight(&asked.query));
    let used = i64::from(standing.used);
    let answer = match standing.refused_for_ms {
        Some(for_ms) => too_much_weight(standing.limit)
            .answer(StatusCode::TOO_MANY_REQUESTS)
            .with("retry-after", venue.retry_after_seconds(for_ms)),
        None => match body(venue, endpoint, asked) {
            Ok(body) => Answer::new(StatusCode::OK, body),
            Err(refusal) => refusal.answer(StatusCode::BAD_REQUEST),
        },
    };
    answer
        .with("x-mbx-used-weight", used)
        .with("x-mbx-used-weight-1m", used)
}

/// The error of a spent budget.
pub(crate) fn too_much_weight(limit: u32) -> Refusal {
    refused(
        -1003,
        format!(
            "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        ),
    )
}

fn body(venue: &Venue, endpoint: Endpoint, asked: &Asked<'_>) -> Result<String, Refusal> {
    let query = &asked.query;
    match endpoint {
        Endpoint::Ping => {
            query.all([])?;
            Ok("{}".to_owned())
        }
        Endpoint::Time => {
            query.all([])?;
            Ok(json!({ "serverTime": venue.replay.now_ms() }).to_string())
        }
        Endpoint::ExchangeInfo => exchange_info::body(venue, query),
        Endpoint::Klines => klines::body(&venue.replay, query, asked.disorder),
        Endpoint::AvgPrice => ticker::avg_price(&venue.replay, query),
        Endpoint::Ticker(kind) => ticker::body(&venue.replay, kind, query),
    }
}

/// The symbols that a request names.
fn named(symbol: Option<&str>, symbols: Option<&str>) -> Result<Symbols, Refusal> {
    match (symbol, symbols) {
        (Some(_), Some(_)) => Err(refused(
            -1128,
            "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot be used together.",
        )),
        (Some(symbol), None) => {
            check_symbol(symbol)?;
            Ok(Symbols::One(symbol.to_owned()))
        }
        (None, Some(list)) => {
            let names: Option<Vec<String>> = serde_json::from_str(list).ok();
            let names = names.filter(|names| {
                (1..=MAX_NAMED).contains(&names.len()) && names.iter().all(|name| is_symbol(name))
            });
            names.map(Symbols::Many).ok_or_else(|| {
                refused(
                    -1100,
                    r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'."#,
                )
            })
        }
        (None, None) => Ok(Symbols::All),
    }
}

/// The series that the symbols trade by, in the order of the request. Any unknown symbol fails it.
fn selected(venue: &crate::Replay, symbols: &Symbols) -> Result<Vec<(String, Selected)>, Refusal> {
    let names: Vec<&str> = match symbols {
        Symbols::One(symbol) => vec![symbol.as_str()],
        Symbols::Many(symbols) => symbols.iter().map(String::as_str).collect(),
        Symbols::All => venue.symbols(Api::Binance),
    };
    let one = |name: &str| {
        let series = venue
            .finest(Api::Binance, name)
            .ok_or_else(unknown_symbol)?;
        Ok((name.to_owned(), series))
    };
    names.into_iter().map(one).collect()
}

fn unknown_symbol() -> Refusal {
    refused(-1121, "Invalid symbol.")
}

fn check_symbol(symbol: &str) -> Result<(), Refusal> {
    if is_symbol(symbol) {
        return Ok(());
    }
    Err(refused(
        -1100,
        "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
    ))
}

fn mandatory<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Refusal> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| {
        refused(
            -1102,
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    })
}

fn integer(name: &str, text: &str) -> Result<i64, Refusal> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| {
        refused(
            -1100,
            format!(
                "Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            ),
        )
    })
}

#[cfg(test)]
mod tests;
