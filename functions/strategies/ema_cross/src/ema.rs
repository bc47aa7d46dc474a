//! The exponential moving average.

/// An exponential moving average on the last bar and on the bar before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    /// On the bar before the last.
    pub previous: f64,
    /// On the last bar.
    pub last: f64,
}

impl Ema {
    /// The average of `period` bars on the last two values: it begins as the mean of the first `period` values and moves by
    /// `2 / (period + 1)` of the distance to each value after them. None: fewer than `period + 1` values, or a period of 0.
    #[must_use]
    pub fn last_two(period: u32, mut values: impl Iterator<Item = f64>) -> Option<Self> {
        if period == 0 {
            return None;
        }
        let mut sum = 0.0;
        for _ in 0..period {
            sum += values.next()?;
        }
        let smoothing = 2.0 / (f64::from(period) + 1.0);
        let seed = sum / f64::from(period);
        let step = |last: f64, value: f64| last + smoothing * (value - last);
        let first = Self {
            previous: seed,
            last: step(seed, values.next()?),
        };
        Some(values.fold(first, |ema, value| Self {
            previous: ema.last,
            last: step(ema.last, value),
        }))
    }
}
