//! Any bytes of a file, of a plan of faults and of a client are data or a named error. Each target reads the bytes as they are, and
//! a text of its corpus in `tests/__fuzz__` after the mutations that the bytes ask for. `cargo test` replays the corpus and
//! tries [`ITERATIONS`] random inputs; `docs/venues.md` says how to search for longer, and guided by coverage.

#[path = "../../../functions/venues/tests/targets/mutator.rs"]
mod mutator;
#[macro_use]
#[path = "../../../functions/venues/tests/targets/target.rs"]
mod target;

use std::sync::{Arc, LazyLock};

use bulkhead_paper::{
    BarFile, Calendar, Faults, MAX_EVENTS, MAX_FAULTS, Replay, Series, Venue, VirtualClock, demo,
    replies,
};
use serde_json::Value;

/// How many random inputs `cargo test` tries on each target.
const ITERATIONS: usize = 20_000;
/// The longest random input, in bytes.
const MAX_LEN: usize = 1_024;
/// Most bars of the venue that clients talk to.
const BARS: usize = 4;

/// A bar file, a file of dated events, and a plan of faults: none is read as another.
fn files(bytes: &[u8]) {
    match BarFile::parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(file) => {
            assert!(!file.bars.is_empty());
            let opens = file.bars.iter().map(|bar| bar.open_time_ms);
            assert!(opens.is_sorted_by(|one, next| one < next));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    match Calendar::parse(&text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(calendar) => {
            let events = calendar.events();
            assert!(events.len() <= MAX_EVENTS);
            assert!(events.is_sorted_by_key(|event| event.time_ms));
            assert!(events.iter().all(|event| !event.name.trim().is_empty()));
        }
    }
    match text.parse::<Faults>() {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(faults) => assert!(faults.len() <= MAX_FAULTS),
    }
}

/// A venue with the demo's first bars, at its end.
fn venue() -> Arc<Venue> {
    let file = BarFile::parse(demo::generate(1, BARS).as_bytes()).expect("it is well-formed");
    let timeframe = "1m".parse().expect("it is a timeframe");
    let series = Series::new(&file.bars, "BTC-USDT", timeframe).expect("it has bars");
    let replay = Replay::of(vec![series], VirtualClock::immediate()).expect("it has a series");
    Arc::new(Venue::new(Arc::new(replay)))
}

/// A client's message, before keys are given and twice after, where keys are asked for.
fn client_message(bytes: &[u8]) {
    static VENUE: LazyLock<Arc<Venue>> = LazyLock::new(venue);
    let text = String::from_utf8_lossy(bytes);
    let auth = r#"{"action":"auth","key":"id","secret":"secret"}"#;
    for (path, greetings) in [
        ("/ws", 0),
        ("/stream", 0),
        ("/v2/iex", 1),
        ("/v1beta3/crypto/us", 1),
    ] {
        let said = replies(&VENUE, path, [&text, auth, &text, &text]);
        let said = said.expect("the path has a websocket");
        assert_eq!(said.len(), greetings + 4, "an answer to each");
        for answer in &said {
            let answer: Value = serde_json::from_str(answer).expect("it is JSON");
            assert!(answer.is_object() || answer.is_array());
        }
        // What is subscribed already is no other subscription.
        assert_eq!(said[greetings + 2], said[greetings + 3]);
    }
}

mod any_bytes_are_data_or_a_named_error {
    use super::{ITERATIONS, MAX_LEN, mutator};

    target!(files);
    target!(client_message);
}
