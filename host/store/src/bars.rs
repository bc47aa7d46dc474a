use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Most digits after the decimal point of a price or a volume (`market-data.bars` of the contract).
pub const MAX_SCALE: u8 = 12;
/// Largest limit of a read (`market-data.bars-query.limit` of the contract).
pub const MAX_READ_LIMIT: u32 = 10_000;
/// Most bars of one append: about a tenth of a second of the writer's time. A longer history comes in several.
pub const MAX_APPEND_BARS: usize = 10_000;
/// Most bars that one deletion takes away, for the same reason. More go in several.
pub const MAX_DELETE_BARS: u32 = 10_000;
/// Most characters of an instrument's name.
pub const MAX_INSTRUMENT_CHARS: usize = 64;
/// Most digits of a timeframe's count.
const MAX_TIMEFRAME_DIGITS: usize = 4;
/// Units of a timeframe: second, minute, hour, day, week, month.
const TIMEFRAME_UNITS: [char; 6] = ['s', 'm', 'h', 'd', 'w', 'M'];

/// Which series of bars.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Series {
    /// The instrument, for example `BTC-USD`: 1 to 64 characters, none of them white space or control.
    pub instrument: String,
    /// The bar's length as a count and a unit: `1m`, `5m`, `1h`, `1d`.
    pub timeframe: String,
}

impl Series {
    /// A series that is valid.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a part breaks its rule.
    pub fn new(
        instrument: impl Into<String>,
        timeframe: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let series = Self {
            instrument: instrument.into(),
            timeframe: timeframe.into(),
        };
        series.validate()?;
        Ok(series)
    }

    /// Checks both parts. The store does so on each call.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a part breaks its rule.
    pub fn validate(&self) -> Result<(), StoreError> {
        let chars = self
            .instrument
            .chars()
            .take(MAX_INSTRUMENT_CHARS + 1)
            .count();
        if chars == 0 || chars > MAX_INSTRUMENT_CHARS {
            return Err(StoreError::Invalid(format!(
                "instrument: it must have 1 to {MAX_INSTRUMENT_CHARS} characters"
            )));
        }
        if self
            .instrument
            .contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(StoreError::Invalid(format!(
                "instrument {:?}: it must hold no white space and no control character",
                self.instrument
            )));
        }
        validate_timeframe(&self.timeframe)
    }
}

pub(crate) fn validate_timeframe(timeframe: &str) -> Result<(), StoreError> {
    if is_timeframe(timeframe) {
        return Ok(());
    }
    let shown: String = timeframe.chars().take(16).collect();
    Err(StoreError::Invalid(format!(
        "timeframe {shown:?}: it must be a count and a unit of s, m, h, d, w, M, for example `5m`"
    )))
}

fn is_timeframe(text: &str) -> bool {
    let Some(count) = text.strip_suffix(TIMEFRAME_UNITS) else {
        return false;
    };
    (1..=MAX_TIMEFRAME_DIGITS).contains(&count.len())
        && count.bytes().all(|digit| digit.is_ascii_digit())
        && !count.starts_with('0')
}

/// Bars in columns, ascending by open time, all columns of one length.
///
/// Prices and volumes are exact decimals: an integer and a power of ten shared by the column. The price 46319.5
/// under `price_scale` 2 is 4631950.
///
/// A stored series has one scale for its prices and one for its volumes: the largest that any append used. What is
/// read has the series' scales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bars {
    /// Digits after the decimal point of open, high, low and close; 0 to [`MAX_SCALE`].
    pub price_scale: u8,
    /// Digits after the decimal point of volume; 0 to [`MAX_SCALE`].
    pub volume_scale: u8,
    /// When each bar opens, in Unix milliseconds.
    pub open_time_ms: Vec<i64>,
    /// First price.
    pub open: Vec<i64>,
    /// Highest price.
    pub high: Vec<i64>,
    /// Lowest price.
    pub low: Vec<i64>,
    /// Last price.
    pub close: Vec<i64>,
    /// Traded volume.
    pub volume: Vec<i64>,
}

impl Bars {
    /// How many bars.
    pub fn len(&self) -> usize {
        self.open_time_ms.len()
    }

    /// Whether there is no bar.
    pub fn is_empty(&self) -> bool {
        self.open_time_ms.is_empty()
    }

    /// Checks scales, lengths and order. The store does so on each append.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for the first rule broken.
    pub fn validate(&self) -> Result<(), StoreError> {
        for (name, scale) in [
            ("price_scale", self.price_scale),
            ("volume_scale", self.volume_scale),
        ] {
            if scale > MAX_SCALE {
                return Err(StoreError::Invalid(format!(
                    "{name} {scale}: the limit is {MAX_SCALE}"
                )));
            }
        }
        let bars = self.len();
        if bars > MAX_APPEND_BARS {
            return Err(StoreError::Invalid(format!(
                "append: {bars} bars, the limit is {MAX_APPEND_BARS}"
            )));
        }
        for (name, column) in [
            ("open", &self.open),
            ("high", &self.high),
            ("low", &self.low),
            ("close", &self.close),
            ("volume", &self.volume),
        ] {
            if column.len() != bars {
                return Err(StoreError::Invalid(format!(
                    "column `{name}`: {} values for {bars} bars",
                    column.len()
                )));
            }
        }
        match self
            .open_time_ms
            .windows(2)
            .position(|pair| pair[0] >= pair[1])
        {
            None => Ok(()),
            Some(at) => Err(StoreError::Invalid(format!(
                "column `open_time_ms`: bar {} does not open after the bar before it",
                at + 1
            ))),
        }
    }

    pub(crate) fn with_capacity(scales: Scales, bars: usize) -> Self {
        let column = || Vec::with_capacity(bars);
        Self {
            price_scale: scales.price,
            volume_scale: scales.volume,
            open_time_ms: column(),
            open: column(),
            high: column(),
            low: column(),
            close: column(),
            volume: column(),
        }
    }

    pub(crate) fn scales(&self) -> Scales {
        Scales {
            price: self.price_scale,
            volume: self.volume_scale,
        }
    }

    pub(crate) fn push(&mut self, open_time_ms: i64, values: Values) {
        self.open_time_ms.push(open_time_ms);
        self.open.push(values.open);
        self.high.push(values.high);
        self.low.push(values.low);
        self.close.push(values.close);
        self.volume.push(values.volume);
    }

    /// The bars one by one, under other scales, none of which is smaller.
    pub(crate) fn rescaled(
        &self,
        scales: Scales,
    ) -> impl Iterator<Item = Result<(i64, Values), StoreError>> {
        let factors = self.scales().factors_to(scales);
        (0..self.len()).map(move |at| {
            let values = Values {
                open: self.open[at],
                high: self.high[at],
                low: self.low[at],
                close: self.close[at],
                volume: self.volume[at],
            };
            Ok((self.open_time_ms[at], values.times(factors)?))
        })
    }

    /// Turns descending bars into ascending ones.
    pub(crate) fn reverse(&mut self) {
        for column in [
            &mut self.open_time_ms,
            &mut self.open,
            &mut self.high,
            &mut self.low,
            &mut self.close,
            &mut self.volume,
        ] {
            column.reverse();
        }
    }
}

/// The two scales of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scales {
    pub price: u8,
    pub volume: u8,
}

impl Scales {
    /// The smaller scales that hold both exactly.
    pub fn covering(self, other: Self) -> Self {
        Self {
            price: self.price.max(other.price),
            volume: self.volume.max(other.volume),
        }
    }

    /// By what values must be multiplied to go to scales that are not smaller.
    pub fn factors_to(self, other: Self) -> Factors {
        let power = |from: u8, to: u8| 10_i64.pow(u32::from(to.saturating_sub(from)));
        Factors {
            price: power(self.price, other.price),
            volume: power(self.volume, other.volume),
        }
    }
}

/// Powers of ten, at most 10^[`MAX_SCALE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factors {
    pub price: i64,
    pub volume: i64,
}

/// A bar's values under the series' scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Values {
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    pub volume: i64,
}

impl Values {
    /// All values under larger scales, exactly.
    pub fn times(self, factors: Factors) -> Result<Self, StoreError> {
        let price = |value: i64| value.checked_mul(factors.price).ok_or_else(overflow);
        Ok(Self {
            open: price(self.open)?,
            high: price(self.high)?,
            low: price(self.low)?,
            close: price(self.close)?,
            volume: self
                .volume
                .checked_mul(factors.volume)
                .ok_or_else(overflow)?,
        })
    }
}

/// Some value is too large for the scale that it would have to take.
pub(crate) fn overflow() -> StoreError {
    StoreError::Invalid(
        "bars: under the largest scale that the series uses, some value does not fit 64 bits"
            .to_owned(),
    )
}

/// Checks a deletion's limit.
pub(crate) fn validate_delete_limit(limit: u32) -> Result<(), StoreError> {
    if limit == 0 || limit > MAX_DELETE_BARS {
        return Err(StoreError::Invalid(format!(
            "limit {limit}: it must be from 1 to {MAX_DELETE_BARS}"
        )));
    }
    Ok(())
}

/// Which bars to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarsQuery {
    /// The series.
    pub series: Series,
    /// Only bars that open at or after this instant, in Unix milliseconds. None: from the first.
    pub start_ms: Option<i64>,
    /// Only bars that open before this instant, in Unix milliseconds. None: to the last.
    pub end_ms: Option<i64>,
    /// At most so many, from 1 to [`MAX_READ_LIMIT`].
    pub limit: u32,
    /// True: the last `limit` bars of the range. False: the first. The answer ascends either way.
    pub last: bool,
}

impl BarsQuery {
    /// Checks the series and the limit. The store does so on each read.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for the first rule broken.
    pub fn validate(&self) -> Result<(), StoreError> {
        self.series.validate()?;
        if self.limit == 0 || self.limit > MAX_READ_LIMIT {
            return Err(StoreError::Invalid(format!(
                "limit {}: it must be from 1 to {MAX_READ_LIMIT}",
                self.limit
            )));
        }
        Ok(())
    }
}

/// What an append changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppendSummary {
    /// Bars that were not there.
    pub inserted: u32,
    /// Bars that were there with other values.
    pub updated: u32,
    /// Bars that were there already, the same.
    pub unchanged: u32,
}

/// One series, as an overview shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesSummary {
    /// The series.
    pub series: Series,
    /// How many bars it has; never 0.
    pub count: u64,
    /// When its first bar opens, in Unix milliseconds.
    pub first_ms: i64,
    /// When its last bar opens, in Unix milliseconds.
    pub last_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_names_an_instrument_and_a_length() {
        for (instrument, timeframe, valid) in [
            ("BTC-USD", "1m", true),
            ("BRK.B", "1d", true),
            ("EUR/USD", "15m", true),
            ("BTC-USD", "1M", true),
            ("", "1m", false),
            ("BTC USD", "1m", false),
            ("BTC\n", "1m", false),
            ("BTC-USD", "", false),
            ("BTC-USD", "m", false),
            ("BTC-USD", "0m", false),
            ("BTC-USD", "01m", false),
            ("BTC-USD", "1", false),
            ("BTC-USD", "1y", false),
            ("BTC-USD", "10000m", false),
            ("BTC-USD", "1 m", false),
        ] {
            assert_eq!(
                Series::new(instrument, timeframe).is_ok(),
                valid,
                "{instrument:?} {timeframe:?}"
            );
        }
    }
}
