//! What the tests of both APIs ask with.

use http::{HeaderMap, Method};
use serde_json::Value;

use crate::answer::{Answer, Asked};
use crate::query::Query;
use crate::{BarFile, Replay, Series, Venue, VirtualClock, demo};

/// Bars of the demo's kind, from its first minute on.
pub fn series(instrument: &str, bars: usize) -> Series {
    let file = BarFile::parse(demo::generate(1, bars).as_bytes()).unwrap();
    Series::new(&file.bars, instrument, "1m".parse().unwrap()).unwrap()
}

/// A venue that replays these.
pub fn venue(series: Vec<Series>, clock: VirtualClock) -> Venue {
    Venue::new(Replay::of(series, clock).unwrap().into())
}

/// What one of the APIs answers to a GET.
pub fn ask(
    answer: impl Fn(&Venue, &Asked<'_>) -> Answer,
    venue: &Venue,
    path: &str,
    query: &str,
) -> (u16, Value) {
    let asked = Asked {
        method: &Method::GET,
        path,
        query: Query::parse(query),
        headers: &HeaderMap::new(),
        disorder: None,
    };
    let answer = answer(venue, &asked);
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.as_u16(), body)
}

/// When a minute of the file begins, in Unix milliseconds.
pub fn minute(minutes: i64) -> i64 {
    demo::FIRST_OPEN_MS + minutes * 60_000
}
