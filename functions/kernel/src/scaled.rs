//! An exact decimal in 64 bits: an integer and how many of its digits stand after the decimal point.
//!
//! It is the form of one value of a column of bars, which [`Decimal`] is too wide and too slow for when there are
//! millions. The accepted text is that of [`parse_decimal`].

use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::bar::MAX_SCALE;
use crate::money::parse_decimal;

/// So many digits always fit 64 bits.
const FAST_DIGITS: usize = 18;

/// An exact decimal with at most [`MAX_SCALE`] digits after the decimal point: 46319.5 is 463195 under scale 1.
///
/// There is one form for one value: no zero ends the digits after the decimal point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scaled {
    mantissa: i64,
    scale: u8,
}

impl Scaled {
    /// Reads a plain decimal. None: it is not one, or it does not fit.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_short(text).or_else(|| Self::from_decimal(parse_text(text)?))
    }

    /// `mantissa` / 10^`scale`; a negative scale multiplies. None: it does not fit.
    #[must_use]
    pub fn new(mantissa: i128, scale: i32) -> Option<Self> {
        let (mut mantissa, mut scale) = (mantissa, scale);
        if mantissa == 0 {
            return Some(Self::default());
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        if scale < 0 {
            let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
            mantissa = mantissa.checked_mul(factor)?;
            scale = 0;
        }
        Some(Self {
            mantissa: i64::try_from(mantissa).ok()?,
            scale: u8::try_from(scale)
                .ok()
                .filter(|scale| *scale <= MAX_SCALE)?,
        })
    }

    /// As [`Scaled::parse`], rounded half to even to at most `places` digits after the decimal point; and whether that
    /// made it another value.
    #[must_use]
    pub fn parse_rounded(text: &[u8], places: u8) -> Option<(Self, bool)> {
        match parse_short(text) {
            Some(value) if value.scale <= places => Some((value, false)),
            _ => {
                let value = parse_text(text)?;
                Self::rounded(value.mantissa(), i32::try_from(value.scale()).ok()?, places)
            }
        }
    }

    /// As [`Scaled::new`], rounded half to even to at most `places` digits after the decimal point; and whether that
    /// made it another value.
    #[must_use]
    pub fn rounded(mantissa: i128, scale: i32, places: u8) -> Option<(Self, bool)> {
        let excess = scale.saturating_sub(i32::from(places));
        if excess <= 0 {
            return Some((Self::new(mantissa, scale)?, false));
        }
        let Some(divisor) = 10_i128.checked_pow(excess.unsigned_abs()) else {
            // It is below the half of the last place, whatever it is.
            return Some((Self::default(), mantissa != 0));
        };
        let (kept, rest) = (mantissa / divisor, mantissa % divisor);
        let rounds_up = match (rest.unsigned_abs() * 2).cmp(&divisor.unsigned_abs()) {
            Ordering::Less => false,
            Ordering::Equal => kept % 2 != 0,
            Ordering::Greater => true,
        };
        let kept = if rounds_up {
            kept + mantissa.signum()
        } else {
            kept
        };
        Some((Self::new(kept, i32::from(places))?, rest != 0))
    }

    /// The same value. None: it does not fit.
    #[must_use]
    pub fn from_decimal(value: Decimal) -> Option<Self> {
        Self::new(value.mantissa(), i32::try_from(value.scale()).ok()?)
    }

    /// The same value.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.mantissa, u32::from(self.scale))
    }

    /// How many digits stand after the decimal point; at most [`MAX_SCALE`].
    #[must_use]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// The integer that stands for it under `scale`. None: it does not fit.
    #[must_use]
    pub fn at_scale(self, scale: u8) -> Option<i64> {
        let missing = scale.checked_sub(self.scale)?;
        self.mantissa
            .checked_mul(10_i64.checked_pow(u32::from(missing))?)
    }

    /// Whether it is above zero.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether it is above `factor` times `other`.
    #[must_use]
    pub fn is_above(self, other: Self, factor: u32) -> bool {
        let scale = self.scale.max(other.scale);
        self.wide(scale) > other.wide(scale).saturating_mul(i128::from(factor))
    }

    /// The integer under a scale that is not smaller: at most 2^63 · 10^12, which fits.
    fn wide(self, scale: u8) -> i128 {
        i128::from(self.mantissa) * 10_i128.pow(u32::from(scale - self.scale))
    }
}

impl Ord for Scaled {
    /// By value.
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        let scale = self.scale.max(other.scale);
        self.wide(scale).cmp(&other.wide(scale))
    }
}

impl PartialOrd for Scaled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn parse_text(text: &[u8]) -> Option<Decimal> {
    parse_decimal(std::str::from_utf8(text).ok()?).ok()
}

/// Reads a plain decimal of at most [`FAST_DIGITS`] digits. None: it is not one, or has more.
fn parse_short(text: &[u8]) -> Option<Scaled> {
    let (is_negative, unsigned) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    if unsigned.len() > FAST_DIGITS + 1 {
        return None;
    }
    // 19 digits without a point fit too, though not as an `i64`.
    let mut mantissa: u64 = 0;
    let mut point = None;
    for (place, byte) in unsigned.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(place),
            _ => return None,
        }
    }
    let scale = match point {
        None if unsigned.is_empty() || unsigned.len() > FAST_DIGITS => return None,
        None => 0,
        Some(place) if place == 0 || place + 1 == unsigned.len() => return None,
        Some(place) => unsigned.len() - place - 1,
    };
    let mantissa = i64::try_from(mantissa).ok()?;
    normal(if is_negative { -mantissa } else { mantissa }, scale)
}

fn normal(mut mantissa: i64, mut scale: usize) -> Option<Scaled> {
    if mantissa == 0 {
        return Some(Scaled::default());
    }
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    let scale = u8::try_from(scale)
        .ok()
        .filter(|scale| *scale <= MAX_SCALE)?;
    Some(Scaled { mantissa, scale })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn scaled(text: &str) -> Scaled {
        Scaled::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_has_one_form() {
        for (text, mantissa, scale) in [
            ("46319.5", 463_195, 1),
            ("46319.50", 463_195, 1),
            ("46319", 46_319, 0),
            ("46300.000", 46_300, 0),
            ("0.00", 0, 0),
            ("-0", 0, 0),
            ("-1.25", -125, 2),
            ("0.000000000001", 1, 12),
            ("000000000000000000000000001.5", 15, 1),
            ("1.00000000000000000000000000", 1, 0),
            ("9223372036854775807", i64::MAX, 0),
            ("-9223372036854775808", i64::MIN, 0),
        ] {
            assert_eq!(scaled(text), Scaled { mantissa, scale }, "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_decimal_or_does_not_fit_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "1_0",
            " 1",
            "1.2.3",
            "NaN",
            "--1",
            "\u{661}",
            "0.0000000000001",
            "9223372036854775808",
            "99999999999999999999999999999999999999",
        ] {
            assert_eq!(Scaled::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Scaled::parse(b"\xff"), None);
    }

    #[test]
    fn a_value_fits_a_scale_that_is_not_smaller() {
        assert_eq!(scaled("1.5").at_scale(3), Some(1_500));
        assert_eq!(scaled("1.5").at_scale(0), None);
        assert_eq!(scaled("9223372036854775807").at_scale(1), None);
        assert_eq!(scaled("1").at_scale(255), None);
    }

    #[test]
    fn a_value_is_rounded_half_to_even_and_says_so() {
        for (text, places, expect, is_changed) in [
            ("218102.59507500002", 8, "218102.595075", true),
            ("1.50", 1, "1.5", false),
            ("1.25", 1, "1.2", true),
            ("1.35", 1, "1.4", true),
            ("-1.35", 1, "-1.4", true),
            ("1.2500000000000000001", 1, "1.3", true),
            ("0.30000000000000004", 8, "0.3", true),
            ("7", 0, "7", false),
        ] {
            let rounded = Scaled::parse_rounded(text.as_bytes(), places);
            assert_eq!(rounded, Some((scaled(expect), is_changed)), "{text}");
        }
        assert_eq!(Scaled::parse_rounded(b"1e3", 8), None);
        assert_eq!(
            Scaled::rounded(i128::MAX, 100, 8),
            Some((Scaled::default(), true))
        );
    }

    #[test]
    fn a_negative_scale_multiplies() {
        assert_eq!(Scaled::new(12, -2), Some(scaled("1200")));
        assert_eq!(Scaled::new(12, i32::MIN), None);
        assert_eq!(Scaled::new(0, i32::MAX), Some(Scaled::default()));
        assert_eq!(Scaled::new(1, i32::MAX), None);
    }

    #[test]
    fn values_compare_whatever_their_scales() {
        assert!(scaled("1.5") < scaled("2"));
        assert!(scaled("-1.5") < scaled("-1.25"));
        assert!(scaled("20.1").is_above(scaled("2"), 10));
        assert!(!scaled("20").is_above(scaled("2"), 10));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;
        use rust_decimal::RoundingStrategy;

        use super::*;

        /// What the exact decimals of the kernel make of the same text.
        fn expected(text: &str) -> Option<Scaled> {
            let decimal = parse_decimal(text).ok()?.normalize();
            let fits = decimal.scale() <= u32::from(MAX_SCALE);
            Some(Scaled {
                mantissa: i64::try_from(decimal.mantissa()).ok().filter(|_| fits)?,
                scale: decimal.scale() as u8,
            })
        }

        proptest! {
            #[test]
            fn a_decimal_text_is_read_as_the_exact_decimal_or_refused(text in "-?[0-9]{0,22}(\\.[0-9]{0,16})?") {
                prop_assert_eq!(Scaled::parse(text.as_bytes()), expected(&text));
            }

            #[test]
            fn any_text_is_read_as_the_exact_decimal_or_refused(text in "\\PC{0,40}|[-+.0-9eE_ ]{0,40}") {
                prop_assert_eq!(Scaled::parse(text.as_bytes()), expected(&text));
            }

            #[test]
            fn a_value_is_rounded_as_the_exact_decimal_is(mantissa in -(1_i64 << 60)..1 << 60, scale in 0_u32..=28, places in 0_u8..=12) {
                let exact = Decimal::from_i128_with_scale(mantissa.into(), scale);
                let rounded = exact.round_dp_with_strategy(places.into(), RoundingStrategy::MidpointNearestEven);
                let expect = Scaled::from_decimal(rounded).map(|value| (value, rounded != exact));
                prop_assert_eq!(Scaled::rounded(mantissa.into(), scale as i32, places), expect);
                prop_assert_eq!(Scaled::parse_rounded(exact.to_string().as_bytes(), places), expect);
            }

            #[test]
            fn values_compare_as_exact_decimals_do(a in any::<i64>(), s in 0..=12, b in any::<i64>(), t in 0..=12) {
                let (a, b) = (Scaled::new(a.into(), s).unwrap(), Scaled::new(b.into(), t).unwrap());
                prop_assert_eq!(a.cmp(&b), a.to_decimal().cmp(&b.to_decimal()));
                prop_assert_eq!(Scaled::from_decimal(a.to_decimal()), Some(a));
            }
        }
    }
}
