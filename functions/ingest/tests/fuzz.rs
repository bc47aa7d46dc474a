//! Whatever a source, an operator or a feed gives is data or a named error. Each target reads the bytes as they are, and a text of
//! its corpus in `tests/__fuzz__` after the mutations that the bytes ask for. `cargo test` replays the corpus and tries
//! [`ITERATIONS`] random inputs; `docs/venues.md` says how to search for longer, and guided by coverage.
#![cfg(not(target_arch = "wasm32"))]

#[path = "../../venues/tests/targets/mutator.rs"]
mod mutator;
#[macro_use]
#[path = "../../venues/tests/targets/target.rs"]
mod target;

use ingest::frames::{Batch, Input, MAX_QUARANTINED_KEPT};
use ingest::macro_events::{self, MAX_EVENTS_KEPT};
use ingest::plan::{MAX_LOOKBACK_DAYS, Plan};
use ingest::settings::{MAX_SYMBOLS, Settings, Venue};
use serde_json::Value;

/// How many random inputs `cargo test` tries on each target.
const ITERATIONS: usize = 20_000;
/// The longest random input, in bytes.
const MAX_LEN: usize = 1_024;
/// When frames were received that do not say so, in Unix milliseconds.
const RECEIVED_AT_MS: i64 = 1_700_000_100_500;

fn settings() -> Settings {
    Settings::read(|key| {
        let value = match key {
            "market_data_url" => "http://venue.test",
            "fallback_market_data_venue" => "alpaca",
            "fallback_market_data_url" => "http://second.test",
            "instruments" => "BTC-USDT,SPY",
            "timeframe" => "1m",
            "backfill_start" => "latest",
            "macro_events_enabled" => "1",
            "macro_events_url" => "http://macro.test",
            _ => return Ok(None),
        };
        Ok(Some(value.to_owned()))
    })
    .expect("they are as the manifest has them")
}

/// An answer with macro events, and the plan's document: neither is read as the other.
fn documents(bytes: &[u8]) {
    match macro_events::parse(bytes) {
        Err(error) => assert!(error.starts_with("read macro event"), "{error}"),
        Ok(events) => {
            assert!(events.len() <= MAX_EVENTS_KEPT);
            assert!(events.is_sorted_by(|one, next| one < next));
            assert!(events.iter().all(|event| !event.name.is_empty()));
        }
    }
    match Plan::read(&settings(), Some(&String::from_utf8_lossy(bytes))) {
        Err(error) => assert!(error.contains('`'), "{error}"),
        Ok(plan) => {
            let planned = [&plan.daily_bars, &plan.intraday_trades];
            for bars in planned.into_iter().flatten() {
                assert!((1..=MAX_SYMBOLS).contains(&bars.symbols.len()));
                assert!((1..=MAX_LOOKBACK_DAYS).contains(&bars.lookback_days));
            }
        }
    }
}

/// A batch of a feed, and one message of either venue.
fn batch(bytes: &[u8]) {
    let input = serde_json::from_slice::<Value>(bytes).map(|value| Input::read(&value));
    match input {
        Ok(Ok(input)) => read(&input),
        Ok(Err(error)) => assert!(error.contains('`'), "{error}"),
        Err(_) => {}
    }
    for venue in [Venue::Binance, Venue::Alpaca] {
        read(&Input {
            venue,
            received_at_ms: RECEIVED_AT_MS,
            frames: vec![String::from_utf8_lossy(bytes).into_owned()],
            feed: Value::Null,
        });
    }
}

fn read(input: &Input) {
    let settings = settings();
    let batch = Batch::read(input, &Plan::of(&settings), &settings);
    let told = batch.quarantined_count.min(MAX_QUARANTINED_KEPT);
    assert_eq!(batch.quarantined.len(), told);
    for quarantined in &batch.quarantined {
        assert!(quarantined.frame < input.frames.len());
        assert!(!quarantined.reason.is_empty());
    }
    let is_planned = |instrument: &str| ["BTC-USDT", "SPY"].contains(&instrument);
    for ((instrument, timeframe), series) in &batch.bars {
        assert!(is_planned(instrument.as_str()));
        assert_eq!(*timeframe, series.rules.timeframe.to_string());
        for (opens_ms, (frame, bar)) in &series.bars {
            assert!(*opens_ms == bar.open_time_ms && *frame < input.frames.len());
            assert_eq!(series.rules.objection(bar, None, None), None);
            assert_eq!(series.rules.of_the_future(bar, input.received_at_ms), None);
        }
    }
    let named = batch.quotes.keys().chain(batch.trades.keys());
    assert!(named.map(|name| name.as_str()).all(is_planned));
    let trades = batch.trades.values().map(Vec::len);
    assert_eq!(trades.sum::<usize>(), batch.trade_count);
}

mod any_bytes_give_data_or_a_named_error {
    use super::{ITERATIONS, MAX_LEN, mutator};

    target!(documents);
    target!(batch);
}
