//! Any bytes give data or a named error: one target for each parser. It reads the bytes as they are, and a text of its
//! corpus in `tests/__fuzz__` after the mutations that the bytes ask for. `cargo test` replays the corpus and tries
//! [`ITERATIONS`] random inputs; `docs/venues.md` says how to search for longer, and guided by coverage.
#![cfg(not(target_arch = "wasm32"))]

mod targets;

use bulkhead_venues::VenueError;

/// How many random inputs `cargo test` tries on each parser.
const ITERATIONS: usize = 100_000;
/// The longest random input, in bytes.
const MAX_LEN: usize = 1_024;

macro_rules! target {
    ($name:ident) => {
        #[test]
        fn $name() {
            let texts = mutator::corpus(stringify!($name));
            bolero::check!(name = stringify!($name))
                .with_iterations(ITERATIONS)
                .with_max_len(MAX_LEN)
                .for_each(|bytes: &[u8]| {
                    targets::$name(bytes).named();
                    targets::$name(&mutator::mutated(&texts, bytes)).named();
                });
        }
    };
}

/// An outcome whose error says what is wrong.
trait Named {
    fn named(self);
}

impl Named for Result<(), VenueError> {
    fn named(self) {
        if let Err(error) = self {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// What checks its outcome itself.
impl Named for () {
    fn named(self) {}
}

mod any_bytes_give_data_or_a_named_error {
    use super::targets::{self, mutator};
    use super::{ITERATIONS, MAX_LEN, Named as _};

    target!(klines);
    target!(ticker);
    target!(exchange_info);
    target!(avg_price);
    target!(time);
    target!(alpaca_bars);
    target!(alpaca_latest);
    target!(binance_stream);
    target!(alpaca_stream);
    target!(recorded);
    target!(refusal);
    target!(rate_limit);
    target!(budget);
}
