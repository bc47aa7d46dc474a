//! Binance spot: REST and websocket streams.

pub mod avg_price;
pub mod exchange_info;
pub mod klines;
pub mod stream;
pub mod ticker;
pub mod time;

use crate::VenueError;
use crate::error::cut;
use crate::http::Query;

/// What Binance accepts as a symbol (error -1100 of the REST documentation).
const SYMBOL_PATTERN: &str = "^[A-Z0-9-_.]{1,20}$";
/// The longest symbol.
const MAX_SYMBOL_CHARS: usize = 20;
/// The most symbols that the answer about all of them may hold. Binance lists about 3,000, delisted ones included.
pub const MAX_SYMBOLS: usize = 10_000;

/// Which symbols a request asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symbols {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
    /// All that the venue has.
    All,
}

impl Symbols {
    fn add_to(&self, query: Query) -> Query {
        match self {
            Self::One(symbol) => query.with("symbol", symbol),
            Self::Many(symbols) => {
                query.with("symbols", &format!("[\"{}\"]", symbols.join("\",\"")))
            }
            Self::All => query,
        }
    }

    /// The most elements that an answer may have.
    fn limit(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(symbols) => symbols.len(),
            Self::All => MAX_SYMBOLS,
        }
    }
}

/// The symbol of an instrument: the base and quote joined, in capitals. `BTC-USDT` is `BTCUSDT`.
///
/// # Errors
/// The instrument holds characters that no symbol has, or is too long.
pub fn symbol(instrument: &str) -> Result<String, VenueError> {
    let joined: String = instrument
        .chars()
        .filter(|c| !matches!(c, '-' | '/'))
        .collect::<String>()
        .to_ascii_uppercase();
    if is_symbol(&joined) {
        Ok(joined)
    } else {
        Err(VenueError::Symbol {
            name: cut(instrument),
            pattern: SYMBOL_PATTERN,
        })
    }
}

/// Whether Binance accepts `text` as the name of a symbol.
pub fn is_symbol(text: &str) -> bool {
    (1..=MAX_SYMBOL_CHARS).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::symbol;

    #[test]
    fn an_instrument_becomes_a_symbol_by_joining_base_and_quote() {
        for (instrument, expect) in [
            ("BTC-USDT", "BTCUSDT"),
            ("btc/usdt", "BTCUSDT"),
            ("BTCUSDT", "BTCUSDT"),
            ("1000SATS-USDT", "1000SATSUSDT"),
        ] {
            assert_eq!(symbol(instrument).unwrap(), expect);
        }
    }

    #[test]
    fn a_name_that_no_symbol_can_have_is_refused() {
        for name in [
            "",
            "-",
            "BTC USDT",
            "BTC&limit=1",
            "БТЦ",
            "ABCDEFGHIJKLMNOPQRSTU",
        ] {
            assert!(symbol(name).is_err(), "{name}");
        }
    }
}
