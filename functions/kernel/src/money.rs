//! Exact decimals: prices, quantities, notionals.
//!
//! Three numbers that must not be mixed up, each a [`Decimal`] of its own type. In JSON they are text (`"46319.5"`), so
//! that no reader turns them into binary floats. The accepted text is an optional `-`, digits, and at most one `.` with
//! digits on both sides: no exponent, no blank, no separator, no `+`. A value that cannot be held exactly is refused.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest text that is read as a decimal; the widest [`Decimal`] takes 31 characters.
pub const MAX_DECIMAL_CHARS: usize = 64;

/// A decimal could not be read, or the result of an operation could not be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a plain decimal.
    #[error("read `{text}` as a decimal: expected digits with at most one point, held exactly")]
    Malformed {
        /// What was given, cut to [`MAX_DECIMAL_CHARS`].
        text: String,
    },
    /// The result is too large for a decimal.
    #[error("{operation}: the result is too large")]
    Overflow {
        /// What was computed.
        operation: &'static str,
    },
    /// The divisor was zero.
    #[error("{operation}: division by zero")]
    DivisionByZero {
        /// What was computed.
        operation: &'static str,
    },
}

/// Reads a plain decimal, exactly.
///
/// # Errors
/// [`MoneyError::Malformed`] when the text has another form, or more digits than a [`Decimal`] holds.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let refuse = || MoneyError::Malformed {
        text: text.chars().take(MAX_DECIMAL_CHARS).collect(),
    };
    if text.len() > MAX_DECIMAL_CHARS {
        return Err(refuse());
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = match unsigned.split_once('.') {
        Some((whole, fraction)) => plain(whole) && plain(fraction),
        None => plain(unsigned),
    };
    if !well_formed {
        return Err(refuse());
    }
    Decimal::from_str_exact(text).map_err(|_| refuse())
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $add:literal, $sub:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(Decimal);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(Decimal::ZERO);

            /// Takes the decimal as it is.
            #[must_use]
            pub const fn new(value: Decimal) -> Self {
                Self(value)
            }

            /// The decimal.
            #[must_use]
            pub const fn get(self) -> Decimal {
                self.0
            }

            /// Whether it is above zero.
            #[must_use]
            pub fn is_positive(self) -> bool {
                self.0 > Decimal::ZERO
            }

            /// The sum.
            ///
            /// # Errors
            /// [`MoneyError::Overflow`].
            pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
                self.0.checked_add(other.0).map(Self).ok_or(MoneyError::Overflow { operation: $add })
            }

            /// The difference.
            ///
            /// # Errors
            /// [`MoneyError::Overflow`].
            pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
                self.0.checked_sub(other.0).map(Self).ok_or(MoneyError::Overflow { operation: $sub })
            }

            /// The same without its sign.
            #[must_use]
            pub fn abs(self) -> Self {
                Self(self.0.abs())
            }

            /// The same value without trailing zeros: one text for one value.
            #[must_use]
            pub fn normalize(self) -> Self {
                Self(self.0.normalize())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = MoneyError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_decimal(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

amount!(
    /// What one unit of the instrument costs, in the quote currency.
    Price,
    "add prices",
    "subtract prices"
);
amount!(
    /// How many units of the instrument; below zero for a short position.
    Quantity,
    "add quantities",
    "subtract quantities"
);
amount!(
    /// An amount of money, in the quote currency (price times quantity).
    Notional,
    "add notionals",
    "subtract notionals"
);

impl Price {
    /// What `quantity` costs at this price.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn times(self, quantity: Quantity) -> Result<Notional, MoneyError> {
        let operation = "multiply a price by a quantity";
        self.0
            .checked_mul(quantity.0)
            .map(Notional)
            .ok_or(MoneyError::Overflow { operation })
    }
}

impl Notional {
    /// How much of the instrument it buys at `price`, rounded towards zero to `places` digits: never more than it pays for.
    ///
    /// # Errors
    /// [`MoneyError::DivisionByZero`] at a price of zero, [`MoneyError::Overflow`].
    pub fn quantity_at(self, price: Price, places: u32) -> Result<Quantity, MoneyError> {
        let operation = "divide a notional by a price";
        if price.0.is_zero() {
            return Err(MoneyError::DivisionByZero { operation });
        }
        let exact = self
            .0
            .checked_div(price.0)
            .ok_or(MoneyError::Overflow { operation })?;
        Ok(Quantity(
            exact
                .round_dp_with_strategy(places, RoundingStrategy::ToZero)
                .normalize(),
        ))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_amount_travels_through_json_as_exact_text() {
        for text in [
            "0",
            "46319.5",
            "-0.00000001",
            "79228162514264337593543950335",
            "1.50",
        ] {
            let price: Price = serde_json::from_value(serde_json::json!(text)).unwrap();
            assert_eq!(
                serde_json::to_value(price).unwrap(),
                serde_json::json!(text)
            );
        }
    }

    #[test]
    fn a_text_that_is_no_plain_decimal_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "1_000",
            " 1",
            "1 ",
            "1.2.3",
            "NaN",
            "0x1",
            "١",
            "79228162514264337593543950336",
        ] {
            assert!(text.parse::<Price>().is_err(), "{text:?}");
        }
        assert!(
            "0.00000000000000000000000000001".parse::<Price>().is_err(),
            "29 places cannot be held exactly"
        );
        assert!("1".repeat(MAX_DECIMAL_CHARS + 1).parse::<Price>().is_err());
    }

    #[test]
    fn a_json_number_is_no_amount() {
        assert!(serde_json::from_str::<Price>("1.5").is_err());
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        let most = Notional::new(Decimal::MAX);
        assert_eq!(
            most.checked_add(most),
            Err(MoneyError::Overflow {
                operation: "add notionals"
            })
        );
        assert!(
            Price::new(Decimal::MAX)
                .times(Quantity::new(Decimal::TWO))
                .is_err()
        );
    }

    #[test]
    fn a_notional_never_buys_more_than_it_pays_for() {
        let price: Price = "46319.5".parse().unwrap();
        let quantity = "1000"
            .parse::<Notional>()
            .unwrap()
            .quantity_at(price, 8)
            .unwrap();
        assert_eq!(quantity.to_string(), "0.02158917");
        assert!(price.times(quantity).unwrap() <= "1000".parse().unwrap());
    }

    #[test]
    fn nothing_is_divided_by_a_price_of_zero() {
        let error = Notional::new(Decimal::ONE)
            .quantity_at(Price::ZERO, 8)
            .unwrap_err();
        assert_eq!(
            error,
            MoneyError::DivisionByZero {
                operation: "divide a notional by a price"
            }
        );
    }
}
