//! Bars, as records and as scaled columns.
//!
//! A column set holds prices and volumes as integers under a power of ten shared by the whole column: the price
//! `46319.5` under `price_scale` 2 is `4631950`. It is the form in which bars cross a component's border.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The most digits after the decimal point that a column may have.
pub const MAX_SCALE: u8 = 12;

/// One bar: what was traded in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// When it opens, in Unix milliseconds.
    pub open_time_ms: i64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Traded volume, in units of the instrument.
    pub volume: Decimal,
}

/// A bar or a column set is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    /// A price is zero or below.
    #[error("check the bar at {open_time_ms}: `{column}` is {value}, expected a price above zero")]
    PriceNotPositive {
        /// When the bar opens, in Unix milliseconds.
        open_time_ms: i64,
        /// Which price.
        column: &'static str,
        /// What it is.
        value: Decimal,
    },
    /// Open or close is above the highest or below the lowest price.
    #[error(
        "check the bar at {open_time_ms}: `{column}` is {value}, expected it between low {low} and high {high}"
    )]
    OutsideRange {
        /// When the bar opens, in Unix milliseconds.
        open_time_ms: i64,
        /// Which price.
        column: &'static str,
        /// What it is.
        value: Decimal,
        /// The bar's lowest price.
        low: Decimal,
        /// The bar's highest price.
        high: Decimal,
    },
    /// The volume is below zero.
    #[error("check the bar at {open_time_ms}: `volume` is {value}, expected zero or more")]
    VolumeNegative {
        /// When the bar opens, in Unix milliseconds.
        open_time_ms: i64,
        /// What it is.
        value: Decimal,
    },
    /// A value has more than [`MAX_SCALE`] digits after the decimal point, or does not fit the column's integers.
    #[error(
        "put the bar at {open_time_ms} into columns: `{column}` {value} does not fit 64 bits with at most 12 decimal places"
    )]
    DoesNotFit {
        /// When the bar opens, in Unix milliseconds.
        open_time_ms: i64,
        /// Which column.
        column: &'static str,
        /// What it is.
        value: Decimal,
    },
    /// A bar does not open after the one before it.
    #[error(
        "check the order of bars: bar {index} opens at {open_time_ms}, not after {previous_ms}"
    )]
    NotAscending {
        /// Its place, from 0.
        index: usize,
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
        /// When the one before it opens.
        previous_ms: i64,
    },
    /// The columns are not of one length.
    #[error("check the columns of bars: `{column}` has {actual} values, expected {expected}")]
    Ragged {
        /// Which column.
        column: &'static str,
        /// How many values it has.
        actual: usize,
        /// How many open times there are.
        expected: usize,
    },
    /// A scale is above [`MAX_SCALE`].
    #[error("check the columns of bars: `{column}` is {actual}, expected 0 to 12")]
    Scale {
        /// Which scale.
        column: &'static str,
        /// What it is.
        actual: u8,
    },
}

impl Bar {
    /// Checks that prices are positive, that low ≤ open, close ≤ high, and that the volume is not negative.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), BarError> {
        let Self {
            open_time_ms,
            low,
            high,
            ..
        } = *self;
        for (column, value) in [
            ("open", self.open),
            ("high", high),
            ("low", low),
            ("close", self.close),
        ] {
            if value <= Decimal::ZERO {
                return Err(BarError::PriceNotPositive {
                    open_time_ms,
                    column,
                    value,
                });
            }
        }
        for (column, value) in [("open", self.open), ("close", self.close)] {
            if value < low || value > high {
                return Err(BarError::OutsideRange {
                    open_time_ms,
                    column,
                    value,
                    low,
                    high,
                });
            }
        }
        if self.volume < Decimal::ZERO {
            return Err(BarError::VolumeNegative {
                open_time_ms,
                value: self.volume,
            });
        }
        Ok(())
    }

    fn prices(&self) -> [(&'static str, Decimal); 4] {
        [
            ("open", self.open),
            ("high", self.high),
            ("low", self.low),
            ("close", self.close),
        ]
    }
}

/// Bars in columns, ascending by open time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Digits after the decimal point of open, high, low and close; 0 to [`MAX_SCALE`].
    pub price_scale: u8,
    /// Digits after the decimal point of volume; 0 to [`MAX_SCALE`].
    pub volume_scale: u8,
    /// When each bar opens, in Unix milliseconds.
    pub open_time_ms: Vec<i64>,
    /// First price of each bar, scaled.
    pub open: Vec<i64>,
    /// Highest price of each bar, scaled.
    pub high: Vec<i64>,
    /// Lowest price of each bar, scaled.
    pub low: Vec<i64>,
    /// Last price of each bar, scaled.
    pub close: Vec<i64>,
    /// Volume of each bar, scaled.
    pub volume: Vec<i64>,
}

impl Columns {
    /// Puts bars into columns under the smallest scales that keep every value exact.
    ///
    /// # Errors
    /// A bar that breaks [`Bar::validate`], bars out of order, or a value that does not fit.
    pub fn from_bars(bars: &[Bar]) -> Result<Self, BarError> {
        let (mut price_scale, mut volume_scale) = (0, 0);
        for bar in bars {
            bar.validate()?;
            for (column, value) in bar.prices() {
                price_scale = price_scale.max(exact_scale(bar, column, value)?);
            }
            volume_scale = volume_scale.max(exact_scale(bar, "volume", bar.volume)?);
        }
        let mut columns = Self {
            price_scale,
            volume_scale,
            ..Self::default()
        };
        for bar in bars {
            columns.open_time_ms.push(bar.open_time_ms);
            columns
                .open
                .push(scaled(bar, "open", bar.open, price_scale)?);
            columns
                .high
                .push(scaled(bar, "high", bar.high, price_scale)?);
            columns.low.push(scaled(bar, "low", bar.low, price_scale)?);
            columns
                .close
                .push(scaled(bar, "close", bar.close, price_scale)?);
            columns
                .volume
                .push(scaled(bar, "volume", bar.volume, volume_scale)?);
        }
        columns.check_ascending()?;
        Ok(columns)
    }

    /// How many bars there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open_time_ms.len()
    }

    /// Whether there is no bar.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open_time_ms.is_empty()
    }

    /// The bar at `index`. None: there is no such bar, or a column is too short or a scale too large.
    #[must_use]
    pub fn bar(&self, index: usize) -> Option<Bar> {
        if self.price_scale > MAX_SCALE || self.volume_scale > MAX_SCALE {
            return None;
        }
        let price = |column: &[i64]| {
            Some(Decimal::new(
                *column.get(index)?,
                u32::from(self.price_scale),
            ))
        };
        Some(Bar {
            open_time_ms: *self.open_time_ms.get(index)?,
            open: price(&self.open)?,
            high: price(&self.high)?,
            low: price(&self.low)?,
            close: price(&self.close)?,
            volume: Decimal::new(*self.volume.get(index)?, u32::from(self.volume_scale)),
        })
    }

    /// The bars, in order.
    pub fn bars(&self) -> impl Iterator<Item = Bar> + '_ {
        (0..self.len()).map_while(|index| self.bar(index))
    }

    /// Puts the bars of `later` behind these, under the larger of the two scales.
    ///
    /// # Errors
    /// A value that does not fit the larger scale, or bars that do not ascend.
    pub fn append(&mut self, mut later: Self) -> Result<(), BarError> {
        let price_scale = self.price_scale.max(later.price_scale);
        let volume_scale = self.volume_scale.max(later.volume_scale);
        self.rescale(price_scale, volume_scale)?;
        later.rescale(price_scale, volume_scale)?;
        self.open_time_ms.append(&mut later.open_time_ms);
        self.open.append(&mut later.open);
        self.high.append(&mut later.high);
        self.low.append(&mut later.low);
        self.close.append(&mut later.close);
        self.volume.append(&mut later.volume);
        self.check_ascending()
    }

    fn rescale(&mut self, price_scale: u8, volume_scale: u8) -> Result<(), BarError> {
        let columns = [
            ("open", &mut self.open, self.price_scale, price_scale),
            ("high", &mut self.high, self.price_scale, price_scale),
            ("low", &mut self.low, self.price_scale, price_scale),
            ("close", &mut self.close, self.price_scale, price_scale),
            ("volume", &mut self.volume, self.volume_scale, volume_scale),
        ];
        for (column, values, from, to) in columns {
            if from == to {
                continue;
            }
            let factor = 10_i64.checked_pow(u32::from(to.saturating_sub(from)));
            for (value, open_time_ms) in values.iter_mut().zip(&self.open_time_ms) {
                *value = factor
                    .and_then(|factor| value.checked_mul(factor))
                    .ok_or_else(|| BarError::DoesNotFit {
                        open_time_ms: *open_time_ms,
                        column,
                        value: Decimal::new(*value, u32::from(from.min(MAX_SCALE))),
                    })?;
            }
        }
        self.price_scale = price_scale;
        self.volume_scale = volume_scale;
        Ok(())
    }

    /// Checks that each bar opens after the one before it.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check_ascending(&self) -> Result<(), BarError> {
        for (index, pair) in self.open_time_ms.windows(2).enumerate() {
            if pair[1] <= pair[0] {
                return Err(BarError::NotAscending {
                    index: index + 1,
                    open_time_ms: pair[1],
                    previous_ms: pair[0],
                });
            }
        }
        Ok(())
    }

    /// Checks all that is promised of columns: scales, one length, ascending, each bar valid.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), BarError> {
        for (column, actual) in [
            ("price_scale", self.price_scale),
            ("volume_scale", self.volume_scale),
        ] {
            if actual > MAX_SCALE {
                return Err(BarError::Scale { column, actual });
            }
        }
        let expected = self.len();
        for (column, actual) in [
            ("open", self.open.len()),
            ("high", self.high.len()),
            ("low", self.low.len()),
            ("close", self.close.len()),
            ("volume", self.volume.len()),
        ] {
            if actual != expected {
                return Err(BarError::Ragged {
                    column,
                    actual,
                    expected,
                });
            }
        }
        self.check_ascending()?;
        self.bars().try_for_each(|bar| bar.validate())
    }
}

fn exact_scale(bar: &Bar, column: &'static str, value: Decimal) -> Result<u8, BarError> {
    u8::try_from(value.normalize().scale())
        .ok()
        .filter(|scale| *scale <= MAX_SCALE)
        .ok_or(BarError::DoesNotFit {
            open_time_ms: bar.open_time_ms,
            column,
            value,
        })
}

fn scaled(bar: &Bar, column: &'static str, value: Decimal, scale: u8) -> Result<i64, BarError> {
    let normal = value.normalize();
    u32::from(scale)
        .checked_sub(normal.scale())
        .and_then(|missing| normal.mantissa().checked_mul(10_i128.pow(missing)))
        .and_then(|mantissa| i64::try_from(mantissa).ok())
        .ok_or(BarError::DoesNotFit {
            open_time_ms: bar.open_time_ms,
            column,
            value,
        })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn bar(open_time_ms: i64, prices: [&str; 4], volume: &str) -> Bar {
        let [open, high, low, close] = prices.map(|price| price.parse().unwrap());
        Bar {
            open_time_ms,
            open,
            high,
            low,
            close,
            volume: volume.parse().unwrap(),
        }
    }

    #[test]
    fn columns_take_the_smallest_scale_that_is_exact() {
        let bars = [
            bar(0, ["46319.50", "46320", "46319.1", "46319.5"], "1.2500"),
            bar(60_000, ["46319.5", "46400.25", "46319.5", "46400"], "0"),
        ];
        let columns = Columns::from_bars(&bars).unwrap();
        assert_eq!((columns.price_scale, columns.volume_scale), (2, 2));
        assert_eq!(columns.open, [4_631_950, 4_631_950]);
        assert_eq!(columns.volume, [125, 0]);
        assert_eq!(columns.bars().collect::<Vec<_>>(), bars);
        assert_eq!((columns.len(), columns.bar(2)), (2, None));
        columns.validate().unwrap();
    }

    #[test]
    fn no_bars_make_empty_columns() {
        assert!(Columns::from_bars(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_bar_that_cannot_be_traded_is_refused() {
        let refused = [
            bar(7, ["0", "1", "1", "1"], "1"),
            bar(7, ["1", "1", "-1", "1"], "1"),
            bar(7, ["3", "2", "1", "1"], "1"),
            bar(7, ["2", "3", "2", "1"], "1"),
            bar(7, ["1", "1", "1", "1"], "-1"),
        ];
        for bar in refused {
            let error = bar.validate().unwrap_err();
            assert_eq!(Columns::from_bars(&[bar]), Err(error.clone()));
            assert!(error.to_string().contains("the bar at 7"), "{error}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_named() {
        let fine_grained = bar(1, ["0.0000000000001"; 4], "1");
        assert!(matches!(
            Columns::from_bars(&[fine_grained]),
            Err(BarError::DoesNotFit { column: "open", .. })
        ));
        let large = bar(1, ["1"; 4], "9223372036854775808");
        assert!(matches!(
            Columns::from_bars(&[large]),
            Err(BarError::DoesNotFit {
                column: "volume",
                ..
            })
        ));
        let mixed = [
            bar(1, ["9223372036854775807"; 4], "1"),
            bar(2, ["0.1"; 4], "1"),
        ];
        assert!(matches!(
            Columns::from_bars(&mixed),
            Err(BarError::DoesNotFit {
                open_time_ms: 1,
                ..
            })
        ));
    }

    #[test]
    fn appended_columns_take_the_larger_scale() {
        let bars = [bar(1, ["1.5"; 4], "3"), bar(2, ["2"; 4], "0.25")];
        let mut columns = Columns::from_bars(&bars[..1]).unwrap();
        columns
            .append(Columns::from_bars(&bars[1..]).unwrap())
            .unwrap();
        assert_eq!(columns, Columns::from_bars(&bars).unwrap());
        let again = columns.clone();
        assert!(matches!(
            columns.append(again),
            Err(BarError::NotAscending { .. })
        ));
    }

    #[test]
    fn bars_that_do_not_ascend_are_refused() {
        for second in [5, 4] {
            let bars = [bar(5, ["1"; 4], "1"), bar(second, ["1"; 4], "1")];
            assert_eq!(
                Columns::from_bars(&bars),
                Err(BarError::NotAscending {
                    index: 1,
                    open_time_ms: second,
                    previous_ms: 5
                })
            );
        }
    }

    #[test]
    fn ragged_columns_and_wide_scales_are_refused() {
        let columns = Columns::from_bars(&[bar(1, ["1"; 4], "1")]).unwrap();
        let ragged = Columns {
            close: vec![],
            ..columns.clone()
        };
        assert_eq!(
            ragged.validate(),
            Err(BarError::Ragged {
                column: "close",
                actual: 0,
                expected: 1
            })
        );
        assert_eq!(ragged.bar(0), None);
        let wide = Columns {
            price_scale: 13,
            ..columns
        };
        assert_eq!(
            wide.validate(),
            Err(BarError::Scale {
                column: "price_scale",
                actual: 13
            })
        );
        assert_eq!(wide.bar(0), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn bars_come_back_from_columns_unchanged(
                rows in prop::collection::vec((1_i64..1_000_000_000, 0_i64..1_000_000_000, 0_u32..=6), 0..50)
            ) {
                let bars: Vec<Bar> = rows
                    .iter()
                    .enumerate()
                    .map(|(index, (price, volume, scale))| {
                        let price = Decimal::new(*price, *scale);
                        let volume = Decimal::new(*volume, *scale);
                        Bar { open_time_ms: index as i64, open: price, high: price, low: price, close: price, volume }
                    })
                    .collect();
                let columns = Columns::from_bars(&bars).unwrap();
                prop_assert_eq!(columns.bars().collect::<Vec<_>>(), bars);
            }
        }
    }
}
