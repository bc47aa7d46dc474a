use bulkhead_kernel::bar_row::BarRow;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_store::Series;

use crate::Reason;

/// From one bar's last price to the next bar's first, prices change by this factor at most.
pub const DEFAULT_MAX_JUMP: u32 = 10;

const DAY_MS: i64 = 86_400_000;

/// What is asked of a bar, besides that its prices can be those of a bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// A bar opens at a multiple of so many milliseconds. None: anywhere.
    pub grid_ms: Option<i64>,
    /// No bar opens later than this, in Unix milliseconds.
    pub now_ms: i64,
    /// The largest factor from one bar's last price to the next bar's first, up or down. None: any.
    pub max_jump: Option<u32>,
}

impl Checks {
    /// The checks for a series. Bars shorter than a day open at multiples of their length; a day opens at its venue's
    /// midnight, and a longer bar on a day of its venue's choice, so they may open anywhere.
    #[must_use]
    pub fn of(series: &Series, now_ms: i64) -> Self {
        let length = series.timeframe.parse::<Timeframe>().map(Timeframe::millis);
        Self {
            grid_ms: length.ok().filter(|length| *length < DAY_MS),
            now_ms,
            max_jump: Some(DEFAULT_MAX_JUMP),
        }
    }

    /// Checks a row against the good one before it.
    pub(crate) fn check(&self, row: &BarRow, previous: Option<&BarRow>) -> Result<(), Reason> {
        row.validate()?;
        let open_time_ms = row.open_time_ms;
        if let Some(step_ms) = self.grid_ms
            && open_time_ms.rem_euclid(step_ms) != 0
        {
            return Err(Reason::OffGrid {
                open_time_ms,
                step_ms,
            });
        }
        if open_time_ms > self.now_ms {
            return Err(Reason::InFuture { open_time_ms });
        }
        previous.map_or(Ok(()), |previous| self.follows(row, previous))
    }

    fn follows(&self, row: &BarRow, previous: &BarRow) -> Result<(), Reason> {
        let (open_time_ms, previous_ms) = (row.open_time_ms, previous.open_time_ms);
        if open_time_ms == previous_ms {
            return Err(Reason::Duplicate { open_time_ms });
        }
        if open_time_ms < previous_ms {
            return Err(Reason::OutOfOrder {
                open_time_ms,
                previous_ms,
            });
        }
        let (open, close) = (row.open, previous.close);
        match self.max_jump {
            Some(max_jump) if open.is_above(close, max_jump) || close.is_above(open, max_jump) => {
                Err(Reason::Jump {
                    open: open.to_decimal().to_string(),
                    previous_close: close.to_decimal().to_string(),
                    max_jump,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 600_000;

    fn row(line: &str) -> BarRow {
        BarRow::parse(line.split(',').map(str::as_bytes)).unwrap()
    }

    fn check(before: &str, line: &str) -> Result<(), &'static str> {
        let checks = Checks::of(&Series::new("BTC-USDT", "1m").unwrap(), NOW_MS);
        checks
            .check(&row(line), Some(&row(before)))
            .map_err(|reason| reason.name())
    }

    #[test]
    fn a_bar_follows_the_one_before_it_on_the_grid_and_in_the_past() {
        let before = "60000,10,10,10,10,0";
        for (line, expect) in [
            ("120000,10,10,10,10,0", Ok(())),
            ("300000,10,10,10,10,0", Ok(())),
            ("600000,10,10,10,10,0", Ok(())),
            ("660000,10,10,10,10,0", Err("in the future")),
            ("60000,10,10,10,10,0", Err("duplicate")),
            ("0,10,10,10,10,0", Err("out of order")),
            ("120001,10,10,10,10,0", Err("off grid")),
            ("120000,10,9,10,10,0", Err("invalid")),
            ("120000,0,10,0,10,0", Err("invalid")),
            ("120000,10,10,10,10,-1", Err("invalid")),
            ("120000,100,100,10,10,0", Ok(())),
            ("120000,100.01,101,10,10,0", Err("jump")),
            ("120000,1,10,1,10,0", Ok(())),
            ("120000,0.99,10,0.9,10,0", Err("jump")),
        ] {
            assert_eq!(check(before, line), expect, "{line}");
        }
    }

    #[test]
    fn a_bar_of_a_day_or_longer_may_open_at_its_venues_midnight() {
        for (timeframe, grid_ms) in [
            ("1s", Some(1_000)),
            ("4h", Some(14_400_000)),
            ("1d", None),
            ("1w", None),
            ("1M", None),
        ] {
            let series = Series::new("SPY", timeframe).unwrap();
            assert_eq!(Checks::of(&series, 0).grid_ms, grid_ms, "{timeframe}");
        }
    }
}
