//! Every parser of the crate as a function of bytes, by the name of its corpus in `tests/__fuzz__`.
#![allow(dead_code, reason = "not every test binary reads all of them")]

pub mod mutator;

use bulkhead_venues::alpaca::{self, bars, latest};
use bulkhead_venues::binance::{self, Symbols, avg_price, exchange_info, klines, ticker, time};
use bulkhead_venues::rate_limit::Budget;
use bulkhead_venues::{HttpResponse, VenueError, recorded};

/// Reads bytes with every parser that may get them: data when one of them does, otherwise why not.
pub type Target = fn(&[u8]) -> Result<(), VenueError>;

/// The parsers of JSON.
pub const JSON: [(&str, Target); 10] = [
    ("klines", klines),
    ("ticker", ticker),
    ("exchange_info", exchange_info),
    ("avg_price", avg_price),
    ("time", time),
    ("alpaca_bars", alpaca_bars),
    ("alpaca_latest", alpaca_latest),
    ("binance_stream", binance_stream),
    ("alpaca_stream", alpaca_stream),
    ("recorded", recorded),
];

fn answered(status: u16, body: &[u8]) -> HttpResponse<'_> {
    HttpResponse {
        status,
        headers: &[],
        body,
    }
}

fn any<T>(outcomes: impl IntoIterator<Item = Result<T, VenueError>>) -> Result<(), VenueError> {
    let mut refusal = None;
    for outcome in outcomes {
        match outcome {
            Ok(_) => return Ok(()),
            // What names a field says more than that another parser's JSON was expected.
            Err(error) if matches!(error, VenueError::Field { .. }) => refusal = Some(error),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    refusal.map_or(Ok(()), Err)
}

/// `GET /api/v3/klines`.
pub fn klines(body: &[u8]) -> Result<(), VenueError> {
    klines::parse(&answered(200, body), klines::MAX_LIMIT).map(drop)
}

/// `GET /api/v3/ticker/…`.
pub fn ticker(body: &[u8]) -> Result<(), VenueError> {
    let response = answered(200, body);
    any([Symbols::One(String::new()), Symbols::All].map(|symbols| {
        any([
            ticker::parse_day(&response, &symbols).map(drop),
            ticker::parse_book(&response, &symbols).map(drop),
            ticker::parse_price(&response, &symbols).map(drop),
        ])
    }))
}

/// `GET /api/v3/exchangeInfo`.
pub fn exchange_info(body: &[u8]) -> Result<(), VenueError> {
    exchange_info::parse(&answered(200, body), &Symbols::All).map(drop)
}

/// `GET /api/v3/avgPrice`.
pub fn avg_price(body: &[u8]) -> Result<(), VenueError> {
    avg_price::parse(&answered(200, body)).map(drop)
}

/// `GET /api/v3/time`.
pub fn time(body: &[u8]) -> Result<(), VenueError> {
    time::parse(&answered(200, body)).map(drop)
}

/// Bars of stocks and crypto.
pub fn alpaca_bars(body: &[u8]) -> Result<(), VenueError> {
    let response = answered(200, body);
    any([
        bars::parse(&response, bars::MAX_LIMIT).map(drop),
        bars::parse_single(&response, bars::MAX_LIMIT).map(drop),
    ])
}

/// Latest bars, quotes and trades.
pub fn alpaca_latest(body: &[u8]) -> Result<(), VenueError> {
    let response = answered(200, body);
    any([
        latest::parse_bars(&response).map(drop),
        latest::parse_quotes(&response).map(drop),
        latest::parse_trades(&response).map(drop),
    ])
}

/// Messages of Binance's streams.
pub fn binance_stream(message: &[u8]) -> Result<(), VenueError> {
    binance::stream::parse(message).map(drop)
}

/// Messages of Alpaca's streams: at fault when one of their elements is.
pub fn alpaca_stream(message: &[u8]) -> Result<(), VenueError> {
    let frames = alpaca::stream::parse(message)?;
    frames.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
}

/// Recordings.
pub fn recorded(recording: &[u8]) -> Result<(), VenueError> {
    recorded::parse(recording, &["BTCUSDT", "ETHUSDT", "SOLUSDT"]).map(drop)
}

/// Bodies of answers that refuse, under every status that the protocols know.
pub fn refusal(body: &[u8]) {
    for status in [100, 302, 400, 403, 418, 429, 451, 500, 503] {
        let error = klines::parse(&answered(status, body), 1).expect_err("it is refused");
        assert!(!error.to_string().is_empty());
    }
}

/// A status and headers, as lines: what they do to a budget.
pub fn rate_limit(head: &[u8]) {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.parse().ok());
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let response = HttpResponse {
        status: status.unwrap_or(200),
        headers: &headers,
        body: b"",
    };
    for budget in [Budget::binance(), Budget::alpaca()] {
        use_up(budget, &response);
    }
}

/// A budget's document, whoever wrote it.
pub fn budget(document: &[u8]) {
    if let Ok(budget) = serde_json::from_slice::<Budget>(document) {
        use_up(budget, &answered(429, b""));
    }
}

fn use_up(mut budget: Budget, response: &HttpResponse<'_>) {
    for now_ms in [i64::MIN, -1, 0, 1_674_044_551_000, i64::MAX] {
        let _ = budget.may_send(1, now_ms);
        budget.spend(u32::MAX, now_ms);
        budget.observe(response, now_ms);
        assert!(budget.may_send(u32::MAX, now_ms).is_err());
    }
}
