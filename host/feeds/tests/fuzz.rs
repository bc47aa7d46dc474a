//! Any text of a venue is taken apart, and reaches the stage as it came. The target reads the bytes as they are, and a text of its
//! corpus in `tests/__fuzz__` after the mutations that the bytes ask for. `cargo test` replays the corpus and tries
//! [`ITERATIONS`] random inputs; `docs/venues.md` says how to search for longer, and guided by coverage.

#[path = "../../../functions/venues/tests/targets/mutator.rs"]
mod mutator;
#[macro_use]
#[path = "../../../functions/venues/tests/targets/target.rs"]
mod target;

use bulkhead_feeds::frames;
use bulkhead_manifest::FeedVenue;
use bulkhead_venues::frame::MAX_ELEMENTS;

/// How many random inputs `cargo test` tries.
const ITERATIONS: usize = 20_000;
/// The longest random input, in bytes.
const MAX_LEN: usize = 1_024;
/// The most bytes that JSON makes of one.
const JSON_BYTES_OF_ONE: usize = 6;
/// The brackets around an element of Alpaca's, and quotation marks.
const BYTES_AROUND: usize = 4;

/// A message of either venue.
fn message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let binance = frames(FeedVenue::Binance, &text);
    assert!(binance.len() <= 1);
    assert!(binance.iter().all(|frame| told(frame, &text) == text));
    let alpaca = frames(FeedVenue::Alpaca, &text);
    assert!(alpaca.len() <= MAX_ELEMENTS);
    for frame in alpaca {
        let told = told(&frame, &text);
        let alone = frames(FeedVenue::Alpaca, &told);
        assert_eq!(alone, [frame], "alone it is what it is among others");
    }
}

/// What of `text` the stage is given.
fn told(frame: &str, text: &str) -> String {
    assert!(frame.len() <= text.len() * JSON_BYTES_OF_ONE + BYTES_AROUND);
    serde_json::from_str(frame).expect("it is a JSON string")
}

mod any_text_is_taken_apart_and_reaches_the_stage_as_it_came {
    use super::{ITERATIONS, MAX_LEN, mutator};

    target!(message);
}
