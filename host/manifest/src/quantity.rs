//! Sizes (`64MiB`) and durations (`30s`) as the manifest writes them.
//!
//! A quantity is a whole number, in ASCII digits, and its unit, with nothing between. The crates that read
//! friendlier forms also read `64MB`, `64 m` or `1month`, where two people may understand two things.

use std::time::Duration;

use crate::problem::quoted;

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
const DURATION_UNITS_MS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Reads a size in bytes: `512B`, `64KiB`, `16MiB`, `1GiB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, "size", "`64MiB`", SIZE_UNITS)
}

/// Reads a duration: `200ms`, `30s`, `10m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, "duration", "`30s`", DURATION_UNITS_MS).map(Duration::from_millis)
}

/// Writes a size as [`parse_size`] reads it.
pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, SIZE_UNITS)
}

/// Writes a duration as [`parse_duration`] reads it.
pub(crate) fn show_duration(duration: Duration) -> String {
    show(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        DURATION_UNITS_MS,
    )
}

fn parse(text: &str, what: &str, example: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let names = units
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if number.is_empty() {
        return Err(format!(
            "{} is not a {what}: a whole number and its unit, for example {example}",
            quoted(text)
        ));
    }
    if unit.is_empty() {
        return Err(format!("{} has no unit: one of {names}", quoted(text)));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "{} has no known unit: one of {names}",
            quoted(text)
        ));
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("{} is too large", quoted(text)))
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let exact = units
        .iter()
        .rev()
        .find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    let (name, factor) = exact.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_of_binary_units() {
        let sizes = [
            ("0B", 0),
            ("1B", 1),
            ("64KiB", 65_536),
            ("16MiB", 16_777_216),
            ("1GiB", 1_073_741_824),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_whole_number_of_units() {
        for (text, ms) in [
            ("0s", 0),
            ("200ms", 200),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_but_digits_and_a_known_unit_is_refused() {
        for text in [
            "",
            "64",
            "MiB",
            "64 MiB",
            "64MB",
            "64mib",
            "-1B",
            "+1B",
            "1.5GiB",
            "1_0B",
            "٣B",
            "18446744073709551615GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "30 s",
            "30sec",
            "1d",
            "-5s",
            "1h30m",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quantity_is_shown_as_it_is_written() {
        for text in ["0B", "1B", "64KiB", "1GiB", "1025B"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Ok(text));
        }
        for text in ["0ms", "200ms", "30s", "10m", "1h"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Ok(text));
        }
    }
}
