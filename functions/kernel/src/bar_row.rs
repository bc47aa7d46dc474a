//! A bar as a row of a file: six fields, `timestamp,open,high,low,close,volume`.
//!
//! A timestamp is when the bar opens, as `2021-12-31 23:01:00` in UTC, with or without a fraction of a second, or in
//! Unix milliseconds. Prices and the volume are plain decimals. A value that cannot be held exactly is refused.

use std::fmt::Write as _;

use crate::bar::{Bar, BarError};
use crate::instant::{days_from_civil, rfc3339};
use crate::scaled::Scaled;

/// The fields, in their order.
pub const FIELDS: [&str; 6] = ["timestamp", "open", "high", "low", "close", "volume"];
/// The longest field that an error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;
/// Digits of a fraction of a second, at most.
const MAX_FRACTION_DIGITS: usize = 9;

/// A bar whose values fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarRow {
    /// When it opens, in Unix milliseconds.
    pub open_time_ms: i64,
    /// First price.
    pub open: Scaled,
    /// Highest price.
    pub high: Scaled,
    /// Lowest price.
    pub low: Scaled,
    /// Last price.
    pub close: Scaled,
    /// Traded volume, in units of the instrument.
    pub volume: Scaled,
}

/// A field of a row is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {} (`{}`): {detail}", place + 1, FIELDS.get(*place).unwrap_or(&"none"))]
pub struct FieldError {
    /// Its place in the row, from 0; 6 is one field too many.
    pub place: usize,
    /// What is wrong with it.
    pub detail: String,
}

impl BarRow {
    /// Reads a row. Whether it can be a bar, [`BarRow::validate`] tells.
    ///
    /// # Errors
    /// The first field that is missing, malformed or one too many.
    pub fn parse<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, FieldError> {
        Self::parse_with(fields, Scaled::parse)
    }

    /// As [`BarRow::parse`], with prices and volume rounded half to even to at most `places` digits after the decimal
    /// point; and how many of them that made other values.
    ///
    /// # Errors
    /// As [`BarRow::parse`].
    pub fn parse_rounded<'a>(
        fields: impl IntoIterator<Item = &'a [u8]>,
        places: u8,
    ) -> Result<(Self, u32), FieldError> {
        let mut changed = 0;
        let row = Self::parse_with(fields, |text| {
            let (value, is_changed) = Scaled::parse_rounded(text, places)?;
            changed += u32::from(is_changed);
            Some(value)
        })?;
        Ok((row, changed))
    }

    fn parse_with<'a>(
        fields: impl IntoIterator<Item = &'a [u8]>,
        mut parse_value: impl FnMut(&[u8]) -> Option<Scaled>,
    ) -> Result<Self, FieldError> {
        let mut fields = fields.into_iter();
        let mut field = |place| {
            fields.next().ok_or_else(|| FieldError {
                place,
                detail: "the field is missing".to_owned(),
            })
        };
        let timestamp = field(0)?;
        let open_time_ms = parse_timestamp(timestamp).ok_or_else(|| FieldError {
            place: 0,
            detail: format!(
                "`{}` is neither `2021-12-31 23:01:00` nor Unix milliseconds",
                shown(timestamp)
            ),
        })?;
        let mut decimal = |place| {
            let text = field(place)?;
            parse_value(text).ok_or_else(|| FieldError {
                place,
                detail: format!(
                    "`{}` is no plain decimal that fits 64 bits with at most 12 decimal places",
                    shown(text)
                ),
            })
        };
        let row = Self {
            open_time_ms,
            open: decimal(1)?,
            high: decimal(2)?,
            low: decimal(3)?,
            close: decimal(4)?,
            volume: decimal(5)?,
        };
        match fields.next() {
            None => Ok(row),
            Some(_) => Err(FieldError {
                place: FIELDS.len(),
                detail: "one field too many".to_owned(),
            }),
        }
    }

    /// The bar.
    #[must_use]
    pub fn bar(&self) -> Bar {
        Bar {
            open_time_ms: self.open_time_ms,
            open: self.open.to_decimal(),
            high: self.high.to_decimal(),
            low: self.low.to_decimal(),
            close: self.close.to_decimal(),
            volume: self.volume.to_decimal(),
        }
    }

    /// As [`Bar::validate`].
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), BarError> {
        let between = self.low..=self.high;
        let is_valid = self.low.is_positive()
            && between.contains(&self.open)
            && between.contains(&self.close)
            && !self.volume.is_negative();
        // The slow way finds the rule, and words it.
        if is_valid {
            Ok(())
        } else {
            self.bar().validate()
        }
    }
}

fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

/// Reads when a bar opens, in Unix milliseconds. None: it has another form, is no date, or is not on a millisecond.
#[must_use]
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    if text.iter().all(u8::is_ascii_digit) {
        return number(text);
    }
    let (seconds, fraction) = match text.get(..19)? {
        seconds if text.len() == 19 => (seconds, &[][..]),
        seconds if text[19] == b'.' && text.len() > 20 => (seconds, &text[20..]),
        _ => return None,
    };
    let [
        ..,
        b'-',
        _,
        _,
        b'-',
        _,
        _,
        b' ',
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
    ] = seconds
    else {
        return None;
    };
    let part = |from: usize, to: usize| number(&seconds[from..to]);
    let days = days_from_civil(part(0, 4)?, part(5, 7)?, part(8, 10)?)?;
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = (hour * 60 + minute) * 60 + second;
    Some((days * 86_400 + of_day) * 1_000 + millis(fraction)?)
}

/// The milliseconds of a fraction of a second. None: it is not a fraction, or has a finer one.
fn millis(fraction: &[u8]) -> Option<i64> {
    if fraction.len() > MAX_FRACTION_DIGITS || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (millis, finer) = fraction.split_at(fraction.len().min(3));
    if finer.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let missing = 3 - u32::try_from(millis.len()).ok()?;
    Some(number(millis).unwrap_or(0) * 10_i64.pow(missing))
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes when a bar opens as `2021-12-31 23:01:00.000000`; an instant that RFC 3339 cannot write is written as
/// [`rfc3339`] says.
pub fn write_timestamp(open_time_ms: i64, text: &mut String) {
    let instant = rfc3339(open_time_ms);
    let (date, time) = (&instant[..10], &instant[11..23]);
    // Writing to a text does not fail.
    let _ = write!(text, "{date} {time}000");
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn parse(line: &str) -> Result<BarRow, String> {
        BarRow::parse(line.split(',').map(str::as_bytes)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_is_a_bar() {
        let row = parse("2021-12-31 23:01:00.000000,46319.0,46385.0,46319.0,46377.0,2300413.7295");
        let bar = row.unwrap().bar();
        assert_eq!(bar.open_time_ms, 1_640_991_660_000);
        assert_eq!(bar.open.to_string(), "46319");
        assert_eq!(bar.volume.to_string(), "2300413.7295");
    }

    #[test]
    fn an_error_names_the_column() {
        for (line, text) in [
            ("yesterday,1,2,1,1,5", "column 1 (`timestamp`): `yesterday`"),
            ("60000,1,2e3,1,1,5", "column 3 (`high`): `2e3`"),
            ("60000,1,2,1,1_0,5", "column 5 (`close`)"),
            ("60000,1,2,1,1", "column 6 (`volume`): the field is missing"),
            ("", "column 1"),
            ("60000,1,2,1,1,5,9", "column 7 (`none`): one field too many"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn the_values_that_were_rounded_are_counted() {
        let fields = ["0", "1.25", "2.00", "1", "1.26", "0.00000001"].map(str::as_bytes);
        let (row, changed) = BarRow::parse_rounded(fields, 1).unwrap();
        assert_eq!(changed, 3);
        assert_eq!(row.bar().close.to_string(), "1.3");
    }

    #[test]
    fn a_timestamp_is_a_date_and_a_time_or_unix_milliseconds() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1640991720000", Some(1_640_991_720_000)),
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-01 00:00:00.5", Some(500)),
            ("1969-12-31 23:59:59.999", Some(-1)),
            ("2000-02-29 00:00:00.000000", Some(951_782_400_000)),
            ("2024-02-29 12:34:56.789000", Some(1_709_210_096_789)),
            ("0000-01-01 00:00:00", Some(crate::instant::MIN_RFC3339_MS)),
            (
                "9999-12-31 23:59:59.999",
                Some(crate::instant::MAX_RFC3339_MS),
            ),
            ("2023-02-29 00:00:00", None),
            ("1900-02-29 00:00:00", None),
            ("2023-13-01 00:00:00", None),
            ("2023-00-01 00:00:00", None),
            ("2023-01-00 00:00:00", None),
            ("2023-04-31 00:00:00", None),
            ("2023-01-01 24:00:00", None),
            ("2023-01-01 00:60:00", None),
            ("2023-01-01 00:00:60", None),
            ("2023-01-01 00:00:00.", None),
            ("2023-01-01 00:00:00.0000001", None),
            ("2023-01-01 00:00:00.0000000000", None),
            ("2023-01-01 00:00:00Z", None),
            ("2023-01-01T00:00:00", None),
            ("2023-01-01 00:00", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes()), expect, "{text}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;
        use crate::instant::{MAX_RFC3339_MS, MIN_RFC3339_MS};

        proptest! {
            #[test]
            fn a_timestamp_that_was_written_is_read_back(unix_ms in MIN_RFC3339_MS..=MAX_RFC3339_MS) {
                let mut text = String::new();
                write_timestamp(unix_ms, &mut text);
                prop_assert_eq!(parse_timestamp(text.as_bytes()), Some(unix_ms));
            }

            #[test]
            fn any_bytes_are_a_timestamp_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
                let _ = parse_timestamp(&text);
            }

            #[test]
            fn a_row_is_valid_when_its_bar_is(values in prop::array::uniform5((-3_i128..9, 0..3))) {
                let [open, high, low, close, volume] = values.map(|(mantissa, scale)| Scaled::new(mantissa, scale).unwrap());
                let row = BarRow { open_time_ms: 7, open, high, low, close, volume };
                prop_assert_eq!(row.validate(), row.bar().validate());
            }
        }
    }
}
