//! Instruments.
//!
//! An instrument is named by its base and quote joined by a hyphen (`BTC-USDT`), or by a single ticker (`SPY`):
//! 1 to 32 characters of `A-Z 0-9 - . _ /`, beginning and ending with a letter or digit. Lower case is read as upper
//! case and surrounding blanks are dropped, as venues do; blank text is refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name, in characters.
pub const MAX_INSTRUMENT_CHARS: usize = 32;

/// What is traded, for example `BTC-USDT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instrument(String);

/// A text does not name an instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// There is nothing but blanks.
    #[error("read an instrument: the name is blank")]
    Blank,
    /// The name has a character, a length or an end that no instrument has.
    #[error(
        "read `{text}` as an instrument: expected 1 to 32 characters of A-Z 0-9 - . _ /, for example `BTC-USDT`"
    )]
    Malformed {
        /// What was given, cut to 64 characters.
        text: String,
    },
}

impl Instrument {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as part of a document's id, where `/` may not stand: it becomes `-`.
    #[must_use]
    pub fn document_id(&self) -> String {
        self.0.replace('/', "-")
    }

    /// Reads names parted by commas, in order, dropping repetitions. Blank parts are skipped, so blank text gives none.
    ///
    /// # Errors
    /// The first name that is malformed.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, InstrumentError> {
        let mut instruments: Vec<Self> = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let instrument = part.parse()?;
            if !instruments.contains(&instrument) {
                instruments.push(instrument);
            }
        }
        Ok(instruments)
    }
}

impl FromStr for Instrument {
    type Err = InstrumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        if name.is_empty() {
            return Err(InstrumentError::Blank);
        }
        let bytes = name.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/".contains(byte);
        let ends_well =
            bytes[0].is_ascii_alphanumeric() && bytes[bytes.len() - 1].is_ascii_alphanumeric();
        if bytes.len() > MAX_INSTRUMENT_CHARS || !ends_well || !bytes.iter().all(allowed) {
            return Err(InstrumentError::Malformed {
                text: name.chars().take(64).collect(),
            });
        }
        Ok(Self(name.to_ascii_uppercase()))
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Instrument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Instrument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_name_is_trimmed_and_raised_to_upper_case() {
        let instrument: Instrument = " btc-usdt ".parse().unwrap();
        assert_eq!(instrument.as_str(), "BTC-USDT");
    }

    #[test]
    fn a_slash_does_not_reach_a_document_id() {
        assert_eq!(
            "BTC/USD".parse::<Instrument>().unwrap().document_id(),
            "BTC-USD"
        );
    }

    #[test]
    fn a_text_that_names_no_instrument_is_refused() {
        assert_eq!("  ".parse::<Instrument>(), Err(InstrumentError::Blank));
        for text in [
            "-BTC",
            "BTC-",
            "B TC",
            "BTC,ETH",
            "BTC\n",
            "ÄTH",
            "../etc",
            &"A".repeat(33),
        ] {
            let outcome = text.parse::<Instrument>();
            assert!(outcome.is_err() || text.trim() != text, "{text:?}");
        }
        assert!(serde_json::from_str::<Instrument>("7").is_err());
    }

    #[test]
    fn a_list_keeps_its_order_and_drops_repetitions() {
        let names = Instrument::parse_list("eth-usdt, BTC-USDT,,ETH-USDT").unwrap();
        assert_eq!(
            names.iter().map(Instrument::as_str).collect::<Vec<_>>(),
            ["ETH-USDT", "BTC-USDT"]
        );
        assert!(Instrument::parse_list("BTC-USDT,!").is_err());
        assert!(Instrument::parse_list(" ").unwrap().is_empty());
    }
}
