//! What is wrong with a bar.

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::calendar::Calendar;
use rust_decimal::Decimal;

use super::{ABSURD_JUMP, MAX_CLOCK_SKEW_MS, OUT_OF_ORDER, Rules};

/// Bars whose length divides a day open at whole multiples of it since the Unix epoch; the venue's weeks do not.
const DAY_MS: i64 = 86_400_000;
/// By how much the time of the day may differ at which daily bars of a series open: where days are a country's, by daylight saving.
const MAX_SHIFT_MS: i64 = 3_600_000;

impl Rules {
    /// What is wrong with a bar that has not closed: it opens later than clocks can differ.
    pub fn of_the_future(&self, bar: &Bar, now_ms: i64) -> Option<String> {
        let ahead_ms = bar.open_time_ms.saturating_sub(now_ms);
        (ahead_ms > MAX_CLOCK_SKEW_MS).then(|| "clock_skew: the bar opens after the run".to_owned())
    }

    /// What is wrong with a closed bar, whatever its neighbours. `newest_ms` is the one before it, `floor_ms` the earliest that is
    /// wanted.
    pub fn objection(
        &self,
        bar: &Bar,
        newest_ms: Option<i64>,
        floor_ms: Option<i64>,
    ) -> Option<String> {
        if newest_ms == Some(bar.open_time_ms) {
            return Some("duplicate".to_owned());
        }
        if floor_ms.is_some_and(|floor| bar.open_time_ms < floor) {
            return Some(OUT_OF_ORDER.to_owned());
        }
        if self.is_off_grid(bar.open_time_ms) {
            return Some("off_grid".to_owned());
        }
        if let Err(error) = bar.validate() {
            return Some(format!("invalid_bar: {error}"));
        }
        let is_within_the_day = self.timeframe.millis() < DAY_MS;
        (is_within_the_day && !self.calendar.trades_on_day_of(bar.open_time_ms))
            .then(|| "market_closed".to_owned())
    }

    fn is_off_grid(&self, open_time_ms: i64) -> bool {
        let step_ms = self.timeframe.millis();
        let has_grid = DAY_MS % step_ms == 0 && (step_ms < DAY_MS || self.begins_days_in_utc());
        (has_grid && open_time_ms.rem_euclid(step_ms) != 0) || self.is_off_own_grid(open_time_ms)
    }

    /// Whether a bar of a day or more opens at another time of the day than those that are stored: it is another venue's day.
    pub fn is_off_own_grid(&self, open_time_ms: i64) -> bool {
        let Some(stored_ms) = self.stored_open_ms else {
            return false;
        };
        let shift_ms = open_time_ms.saturating_sub(stored_ms).rem_euclid(DAY_MS);
        self.timeframe.millis() >= DAY_MS && shift_ms.min(DAY_MS - shift_ms) > MAX_SHIFT_MS
    }

    fn begins_days_in_utc(&self) -> bool {
        self.days_begin_in_utc && self.calendar == Calendar::AroundTheClock
    }

    /// Takes out bars that jump away from the close before them, unless the bar after supports them: when they opened, and
    /// why. `reference` is the close before the first.
    ///
    /// The last bar has none after it: it is for the caller to show it again with the next one, which stores it if that supports it.
    pub fn put_jumps_aside(
        &self,
        bars: &mut Vec<Bar>,
        reference: Option<Decimal>,
    ) -> Vec<(i64, String)> {
        let Some(limit) = self.max_jump else {
            return vec![];
        };
        let mut aside = vec![];
        let mut before = reference;
        let closes: Vec<Decimal> = bars.iter().map(|bar| bar.close).collect();
        let mut place = 0;
        bars.retain(|bar| {
            let next = closes.get(place + 1);
            place += 1;
            let jump = before.and_then(|before| jump(bar, before));
            let is_supported =
                next.is_some_and(|next| distance(*next, bar.close).is_some_and(|far| far <= limit));
            if let (Some(far), Some(before)) = (jump, before)
                && far > limit
                && !is_supported
            {
                let percent =
                    |fraction: Decimal| (fraction * Decimal::ONE_HUNDRED).round_dp(1).normalize();
                let reason = format!(
                    "{ABSURD_JUMP}: {} % from {before}, above `max_bar_jump` {} %",
                    percent(far.min(Decimal::from(1_000_000))),
                    percent(limit.min(Decimal::from(1_000_000)))
                );
                aside.push((bar.open_time_ms, reason));
                return false;
            }
            before = Some(bar.close);
            true
        });
        aside
    }
}

/// How far the bar's first or last price is from the close before it, whichever is further.
fn jump(bar: &Bar, before: Decimal) -> Option<Decimal> {
    distance(bar.open, before).max(distance(bar.close, before))
}

/// How far a price is from another, as a fraction of that one. None: there is no such number.
fn distance(price: Decimal, from: Decimal) -> Option<Decimal> {
    price.checked_sub(from)?.abs().checked_div(from)
}
