//! Requests into answers, without a socket: the routes and errors of the Binance spot REST API.

use bulkhead_venues::binance::{is_symbol, klines};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Replay;

/// How many klines are served when the request does not say.
const DEFAULT_LIMIT: usize = 500;
/// What `GET /api/v3/klines` takes.
const KLINES_PARAMETERS: [&str; 5] = ["symbol", "interval", "startTime", "endTime", "limit"];

/// An answer: status and JSON body.
pub(crate) type Answer = (StatusCode, Bytes);

/// An error as Binance words it.
struct Refusal {
    code: i32,
    message: String,
}

fn refused(code: i32, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        message: message.into(),
    }
}

/// Answers one request.
pub(crate) fn answer(replay: &Replay, method: &Method, path: &str, query: &str) -> Answer {
    if ![
        "/api/v3/ping",
        "/api/v3/time",
        "/api/v3/exchangeInfo",
        klines::PATH,
    ]
    .contains(&path)
    {
        let body = json!({ "code": -1000, "msg": format!("No such path: {path}") });
        return (StatusCode::NOT_FOUND, text(&body));
    }
    if method != Method::GET {
        let body = json!({ "code": -1000, "msg": "Only GET is served." });
        return (StatusCode::METHOD_NOT_ALLOWED, text(&body));
    }
    let answered = match path {
        "/api/v3/ping" => Ok(text(&json!({}))),
        "/api/v3/time" => Ok(text(&json!({ "serverTime": replay.now_ms() }))),
        "/api/v3/exchangeInfo" => exchange_info(replay, query),
        _ => klines(replay, query),
    };
    match answered {
        Ok(body) => (StatusCode::OK, body),
        Err(Refusal { code, message }) => (
            StatusCode::BAD_REQUEST,
            text(&json!({ "code": code, "msg": message })),
        ),
    }
}

fn text(value: &Value) -> Bytes {
    value.to_string().into()
}

fn exchange_info(replay: &Replay, query: &str) -> Result<Bytes, Refusal> {
    let [symbol] = parameters(query, &["symbol"])?;
    if let Some(symbol) = symbol {
        check_symbol(replay, symbol)?;
    }
    Ok(text(&json!({
        "timezone": "UTC",
        "serverTime": replay.now_ms(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [{
            "symbol": replay.symbol,
            "status": "TRADING",
            "baseAsset": replay.base,
            "quoteAsset": replay.quote,
        }],
    })))
}

fn klines(replay: &Replay, query: &str) -> Result<Bytes, Refusal> {
    let [symbol, interval, start, end, limit] = parameters(query, &KLINES_PARAMETERS)?;
    check_symbol(replay, mandatory("symbol", symbol)?)?;
    if mandatory("interval", interval)? != replay.interval.to_string() {
        return Err(refused(-1120, "Invalid interval."));
    }
    let start = start.map(|text| integer("startTime", text)).transpose()?;
    let end = end.map(|text| integer("endTime", text)).transpose()?;
    let limit = match limit {
        None => DEFAULT_LIMIT,
        Some(text) => usize::try_from(integer("limit", text)?)
            .ok()
            .filter(|limit| (1..=usize::from(klines::MAX_LIMIT)).contains(limit))
            .ok_or_else(|| refused(-1130, "Data sent for parameter 'limit' is not valid."))?,
    };
    Ok(replay.klines(start, end, limit))
}

fn check_symbol(replay: &Replay, symbol: &str) -> Result<(), Refusal> {
    if !is_symbol(symbol) {
        return Err(refused(
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ));
    }
    if symbol != replay.symbol {
        return Err(refused(-1121, "Invalid symbol."));
    }
    Ok(())
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

/// The values of the `known` parameters, in that order. None of them needs percent-decoding.
fn parameters<'a, const N: usize>(
    query: &'a str,
    known: &[&str; N],
) -> Result<[Option<&'a str>; N], Refusal> {
    let mut values = [None; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(place) = known.iter().position(|known| *known == name) else {
            return Err(refused(-1104, "Not all sent parameters were read."));
        };
        if values[place].replace(value).is_some() {
            return Err(refused(
                -1101,
                format!("Duplicate values for parameter '{name}'."),
            ));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
