//! Which bars of the lookback are there: kept up to date bar by bar, so that nothing is read again.

use bulkhead_kernel::bar::Columns;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Known, Shape};

/// The most gaps that are kept apart; the two oldest become one when there are more.
pub const MAX_GAPS: usize = 6;
/// The most bars of a lookback that are looked at: the newest.
pub const MAX_BARS: i64 = 50_000;
const DAY_MS: i64 = 86_400_000;

/// Bars that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When the first of them would open, in Unix milliseconds.
    pub from_ms: i64,
    /// When the bar opens that stands behind the last of them, in Unix milliseconds.
    pub to_ms: i64,
    /// How many: between the two there may be bars, where gaps were put together.
    pub missing: u64,
}

impl Shape {
    /// Where the lookback begins of a series whose newest bar opens at `newest_ms`, in Unix milliseconds.
    pub fn window_start_ms(&self, newest_ms: i64) -> i64 {
        let lookback_ms = i64::from(self.lookback_days).saturating_mul(DAY_MS);
        let most_ms = MAX_BARS.saturating_mul(self.timeframe.millis());
        newest_ms.saturating_sub(lookback_ms.min(most_ms))
    }
}

impl Known {
    /// Forgets which bars are there, to look anew. Up to where polling brought the series in stays known.
    pub fn forget_bars(&mut self) {
        self.newest_open_time_ms = None;
        self.first_open_time_ms = None;
        self.close = None;
        self.gaps.clear();
        self.missing_bars = 0;
    }

    /// Takes note of stored bars, ascending. Those that are not newer than the newest are known already.
    pub fn observe(&mut self, bars: &Columns, shape: &Shape) {
        self.put_aside_ms
            .retain(|opens| bars.open_time_ms.binary_search(opens).is_err());
        for &open_time_ms in &bars.open_time_ms {
            match self.newest_open_time_ms {
                None => self.first_open_time_ms = Some(open_time_ms),
                Some(newest) if open_time_ms <= newest => continue,
                Some(newest) => self.note_gap(newest, open_time_ms, shape),
            }
            self.newest_open_time_ms = Some(open_time_ms);
        }
        if let (Some(opens), Some(close)) = (bars.open_time_ms.last(), bars.close.last())
            && self.newest_open_time_ms == Some(*opens)
        {
            let close = Decimal::try_new(*close, u32::from(bars.price_scale));
            self.close = close.ok().map(|close| close.normalize());
        }
        self.forget_what_is_older(shape);
    }

    fn note_gap(&mut self, earlier_ms: i64, later_ms: i64, shape: &Shape) {
        let missing = shape
            .calendar
            .expected_between(shape.timeframe, earlier_ms, later_ms);
        if missing == 0 {
            if self.filled_to_ms == Some(earlier_ms) {
                self.filled_to_ms = Some(later_ms);
            }
            return;
        }
        self.gaps.push(Gap {
            from_ms: shape.calendar.next_open_ms(shape.timeframe, earlier_ms),
            to_ms: later_ms,
            missing,
        });
        if self.gaps.len() > MAX_GAPS {
            let oldest = self.gaps.remove(0);
            if let Some(next) = self.gaps.first_mut() {
                next.from_ms = oldest.from_ms;
                next.missing = next.missing.saturating_add(oldest.missing);
            }
        }
    }

    fn forget_what_is_older(&mut self, shape: &Shape) {
        let Some(start_ms) = self.window_start_ms(shape) else {
            return;
        };
        self.gaps.retain(|gap| gap.to_ms > start_ms);
        self.put_aside_ms.retain(|opens| *opens > start_ms);
        let missing = self.gaps.iter().map(|gap| gap.missing);
        self.missing_bars = missing.fold(0, u64::saturating_add);
    }

    fn window_start_ms(&self, shape: &Shape) -> Option<i64> {
        Some(shape.window_start_ms(self.newest_open_time_ms?))
    }

    /// How many bars the lookback is to have, up to the newest.
    pub fn expected_bars(&self, shape: &Shape) -> u64 {
        let Some((newest, start)) = self.newest_open_time_ms.zip(self.window_start_ms(shape))
        else {
            return 0;
        };
        shape
            .calendar
            .expected_between(shape.timeframe, start, newest)
            .saturating_add(1)
    }

    /// How many of them are there.
    pub fn held_bars(&self, shape: &Shape) -> u64 {
        let Some((newest, start)) = self.newest_open_time_ms.zip(self.window_start_ms(shape))
        else {
            return 0;
        };
        let there = match self.first_open_time_ms {
            Some(first) if first >= newest => 1,
            Some(first) if first > start => shape
                .calendar
                .expected_between(shape.timeframe, first, newest)
                .saturating_add(2),
            _ => self.expected_bars(shape),
        };
        there.saturating_sub(self.missing_bars).max(1)
    }
}
