//! The length of a bar.
//!
//! Written as a count and a unit without a blank between them: `1m`, `5m`, `15m`, `1h`, `1d`. Units are `s`
//! (second), `m` (minute), `h` (hour), `d` (day) and `w` (week), in lower case. The count is a positive whole number
//! without leading zeros. There is no calendar unit (month, year): every bar of a series has the same length.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest bar, in milliseconds: 52 weeks.
pub const MAX_TIMEFRAME_MS: i64 = 52 * 7 * 86_400_000;

/// The length of a bar: a count and a unit.
///
/// `60m` and `1h` are as long as each other but name two series, so they are not equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeframe {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
}

impl Unit {
    fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            's' => Self::Second,
            'm' => Self::Minute,
            'h' => Self::Hour,
            'd' => Self::Day,
            'w' => Self::Week,
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
            Self::Week => 'w',
        }
    }

    fn millis(self) -> i64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Week => 7 * 86_400_000,
        }
    }
}

/// A text is not a timeframe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "read `{text}` as a timeframe: expected a positive count and a unit of s, m, h, d or w, 52 weeks at most, for example `1m`"
)]
pub struct TimeframeError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Timeframe {
    /// A day: `1d`.
    pub const DAY: Self = Self {
        count: 1,
        unit: Unit::Day,
    };

    /// Its length in milliseconds: positive, at most [`MAX_TIMEFRAME_MS`].
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::from(self.count) * self.unit.millis()
    }

    /// When a bar of this length that opens at `open_time_ms` is over, in Unix milliseconds. Saturates.
    #[must_use]
    pub fn close_time_ms(self, open_time_ms: i64) -> i64 {
        open_time_ms.saturating_add(self.millis())
    }
}

impl FromStr for Timeframe {
    type Err = TimeframeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || TimeframeError {
            text: text.chars().take(64).collect(),
        };
        let letter = text.chars().next_back().ok_or_else(refuse)?;
        let unit = Unit::from_letter(letter).ok_or_else(refuse)?;
        let digits = &text[..text.len() - letter.len_utf8()];
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse());
        }
        let count: u32 = digits.parse().map_err(|_| refuse())?;
        let timeframe = Self { count, unit };
        if timeframe.millis() > MAX_TIMEFRAME_MS {
            return Err(refuse());
        }
        Ok(timeframe)
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl Serialize for Timeframe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timeframe {
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
    fn a_timeframe_is_read_and_written_back_unchanged() {
        for (text, millis) in [
            ("1s", 1_000),
            ("1m", 60_000),
            ("5m", 300_000),
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("4h", 14_400_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("52w", MAX_TIMEFRAME_MS),
        ] {
            let timeframe: Timeframe = text.parse().unwrap();
            assert_eq!(timeframe.millis(), millis, "{text}");
            assert_eq!(timeframe.to_string(), text);
            assert_eq!(
                serde_json::to_string(&timeframe).unwrap(),
                format!("\"{text}\"")
            );
        }
    }

    #[test]
    fn a_text_that_is_no_timeframe_is_refused() {
        for text in [
            "",
            "m",
            "1",
            "0m",
            "01m",
            "-1m",
            "+1m",
            "1M",
            "1 m",
            " 1m",
            "1mo",
            "53w",
            "99999999999s",
            "1é",
            "é",
        ] {
            assert!(text.parse::<Timeframe>().is_err(), "{text:?}");
            assert!(
                serde_json::from_value::<Timeframe>(serde_json::json!(text)).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_bar_is_over_one_length_after_it_opens() {
        let timeframe: Timeframe = "5m".parse().unwrap();
        assert_eq!(timeframe.close_time_ms(1_000), 301_000);
        assert_eq!(timeframe.close_time_ms(i64::MAX), i64::MAX);
    }
}
