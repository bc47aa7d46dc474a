//! The market-data REST API of Alpaca: routes, parameter rules and errors, without a socket.

mod bars;
mod latest;
pub(crate) mod stream;

use bulkhead_kernel::instant::rfc3339;
use bulkhead_kernel::timeframe::Timeframe;
use http::header::HeaderMap;
use http::{Method, StatusCode};
use serde_json::json;

use crate::answer::{Answer, Asked};
use crate::query::QueryFault;
use crate::series::{Api, Candle};
use crate::venue::{Keys, Venue};

/// Where the data of stocks stand.
pub(crate) const STOCKS_PREFIX: &str = "/v2/stocks/";
/// Where the data of crypto stand.
pub(crate) const CRYPTO_PREFIX: &str = "/v1beta3/crypto/us/";
/// The most symbols that a request may name.
const MAX_NAMED: usize = 1_000;
/// The longest symbol.
const MAX_SYMBOL_CHARS: usize = 32;
/// The sources of stock data that are accepted. All have the same data here.
const FEEDS: [&str; 7] = [
    "sip",
    "iex",
    "delayed_sip",
    "boats",
    "overnight",
    "otc",
    "test",
];
/// The header that names the key.
const KEY_HEADER: &str = "apca-api-key-id";
/// The header that holds the secret.
const SECRET_HEADER: &str = "apca-api-secret-key";

/// What is asked for. A symbol: its own path, with an answer for it alone.
enum Endpoint<'a> {
    Bars(Option<&'a str>),
    Latest(latest::Kind, Option<&'a str>),
}

/// A request that is refused: status and text.
#[derive(Debug)]
struct Refusal(StatusCode, String);

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

impl From<QueryFault> for Refusal {
    fn from(fault: QueryFault) -> Self {
        match fault {
            QueryFault::Unknown(name) => invalid(format!("unexpected parameter(s): {name}")),
            QueryFault::Twice(name) => invalid(format!("duplicate parameter: {name}")),
        }
    }
}

impl Refusal {
    fn answer(&self) -> Answer {
        let Self(status, message) = self;
        Answer::json(*status, &json!({ "message": message }))
    }
}

/// Answers a request whose path begins with one of the prefixes.
pub(crate) fn answer(venue: &Venue, asked: &Asked<'_>) -> Answer {
    if let Some(keys) = &venue.keys
        && let Err(refusal) = check_keys(keys, asked.headers)
    {
        return refusal.answer();
    }
    let Some((api, endpoint)) = endpoint(asked.path) else {
        return Refusal(StatusCode::NOT_FOUND, "endpoint not found".into()).answer();
    };
    if asked.method != Method::GET {
        return Refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is served".into()).answer();
    }
    let standing = venue.spend_request();
    let answer = match standing.refused_for_ms {
        Some(for_ms) => too_many_requests()
            .answer()
            .with("retry-after", venue.retry_after_seconds(for_ms)),
        None => match body(venue, api, &endpoint, asked) {
            Ok(body) => Answer::new(StatusCode::OK, body),
            Err(refusal) => refusal.answer(),
        },
    };
    let remaining = standing.limit.saturating_sub(standing.used);
    answer
        .with("x-ratelimit-limit", i64::from(standing.limit))
        .with("x-ratelimit-remaining", i64::from(remaining))
        .with("x-ratelimit-reset", standing.resets_at_ms / 1_000)
}

fn too_many_requests() -> Refusal {
    Refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests.".into())
}

/// An answer with this status, in the API's form.
pub(crate) fn failure(status: StatusCode) -> Answer {
    let words = status.canonical_reason().unwrap_or("failed");
    Refusal(status, words.to_ascii_lowercase()).answer()
}

fn endpoint(path: &str) -> Option<(Api, Endpoint<'_>)> {
    let (api, rest) = match path.strip_prefix(STOCKS_PREFIX) {
        Some(rest) => (Api::Stocks, rest),
        None => (Api::Crypto, path.strip_prefix(CRYPTO_PREFIX)?),
    };
    let mut parts = rest.split('/');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let endpoint = match (api, parts) {
        (_, [Some("bars"), None, ..]) => Endpoint::Bars(None),
        (Api::Stocks, [Some(kind), Some("latest"), None, _]) => {
            Endpoint::Latest(latest::Kind::of(kind)?, None)
        }
        (Api::Stocks, [Some(symbol), Some("bars"), None, _]) => Endpoint::Bars(Some(symbol)),
        (Api::Stocks, [Some(symbol), Some(kind), Some("latest"), None]) => {
            Endpoint::Latest(latest::Kind::of(kind)?, Some(symbol))
        }
        (Api::Crypto, [Some("latest"), Some(kind), None, _]) => {
            Endpoint::Latest(latest::Kind::of(kind)?, None)
        }
        _ => return None,
    };
    Some((api, endpoint))
}

fn body(
    venue: &Venue,
    api: Api,
    endpoint: &Endpoint<'_>,
    asked: &Asked<'_>,
) -> Result<String, Refusal> {
    match endpoint {
        Endpoint::Bars(symbol) => {
            bars::body(&venue.replay, api, *symbol, &asked.query, asked.disorder)
        }
        Endpoint::Latest(kind, symbol) => {
            latest::body(&venue.replay, api, *kind, *symbol, &asked.query)
        }
    }
}

/// Missing headers are 401, wrong ones 403.
fn check_keys(keys: &Keys, headers: &HeaderMap) -> Result<(), Refusal> {
    match given_keys(headers) {
        None => Err(Refusal(StatusCode::UNAUTHORIZED, "unauthorized.".into())),
        Some((id, secret)) if id == keys.id && secret == keys.secret => Ok(()),
        Some(_) => Err(Refusal(StatusCode::FORBIDDEN, "forbidden.".into())),
    }
}

fn given_keys(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = |name| headers.get(name)?.to_str().ok();
    Some((text(KEY_HEADER)?, text(SECRET_HEADER)?))
}

/// The symbols of a request: that of the path, or the list of the parameter.
fn symbols(path: Option<&str>, list: Option<&str>) -> Result<Vec<String>, Refusal> {
    let names: Vec<&str> = match (path, list) {
        (Some(symbol), None) => vec![symbol],
        (None, Some(list)) if !list.is_empty() => list.split(',').map(str::trim).collect(),
        (Some(_), Some(_)) => return Err(invalid("unexpected parameter(s): symbols")),
        (None, _) => return Err(invalid("symbols is required")),
    };
    if names.len() > MAX_NAMED {
        return Err(invalid("too many symbols"));
    }
    let is_symbol = |name: &str| {
        (1..=MAX_SYMBOL_CHARS).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"./".contains(&byte)
            })
    };
    if let Some(name) = names.iter().find(|name| !is_symbol(name)) {
        let shown: String = name.chars().take(MAX_SYMBOL_CHARS).collect();
        return Err(invalid(format!("invalid symbol: {shown}")));
    }
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn check_feed(api: Api, feed: Option<&str>) -> Result<(), Refusal> {
    match feed {
        Some(_) if api == Api::Crypto => Err(invalid("unexpected parameter(s): feed")),
        Some(feed) if !FEEDS.contains(&feed) => Err(invalid(format!("invalid feed: {feed}"))),
        _ => Ok(()),
    }
}

/// A bar as fields of an object, without its braces.
fn bar_fields(candle: &Candle) -> String {
    let bar = &candle.bar;
    format!(
        r#""c":{},"h":{},"l":{},"n":{},"o":{},"t":"{}","v":{},"vw":{}"#,
        bar.close,
        bar.high,
        bar.low,
        candle.trades,
        bar.open,
        rfc3339(bar.open_time_ms),
        bar.volume,
        candle.average_price(),
    )
}

/// `[1-59]Min|T`, `[1-23]Hour|H`, `1Day|1D`, `1Week|1W`. Months have no one length, so there are none here.
fn timeframe(text: &str) -> Option<Timeframe> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_at);
    let number: u32 = count.parse().ok()?;
    let letter = match (unit, number) {
        ("Min" | "T", 1..=59) => 'm',
        ("Hour" | "H", 1..=23) => 'h',
        ("Day" | "D", 1) => 'd',
        ("Week" | "W", 1) => 'w',
        _ => return None,
    };
    format!("{count}{letter}").parse().ok()
}

#[cfg(test)]
mod tests;
