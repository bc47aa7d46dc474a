use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_store::{BarsQuery, MAX_READ_LIMIT, Series, Store, StoreError};

/// Gaps that are listed; more are only counted.
pub const MAX_GAPS_LISTED: usize = 10_000;
/// The most bars that a range may be expected to have: three years of seconds.
pub const MAX_EXPECTED_BARS: i64 = 100_000_000;

/// Where to look for gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapsQuery {
    /// The series.
    pub series: Series,
    /// How far apart its bars open.
    pub timeframe: Timeframe,
    /// When its market is open.
    pub calendar: Calendar,
    /// From this instant on, in Unix milliseconds. None: from the first bar.
    pub start_ms: Option<i64>,
    /// Before this instant, in Unix milliseconds. None: to the last bar.
    pub end_ms: Option<i64>,
}

/// Bars that are missing, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the first of them would open, in Unix milliseconds.
    pub first_ms: i64,
    /// When the last of them would open, in Unix milliseconds.
    pub last_ms: i64,
    /// How many.
    pub bars: u64,
}

/// What a series has and has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// The first [`MAX_GAPS_LISTED`], in order.
    pub listed: Vec<Gap>,
    /// How many gaps there are.
    pub count: u64,
    /// Bars that are missing.
    pub missing_bars: u64,
    /// Bars that are there.
    pub present_bars: u64,
}

impl Gaps {
    fn add(&mut self, gap: Gap) {
        self.count += 1;
        self.missing_bars += gap.bars;
        if self.listed.len() < MAX_GAPS_LISTED {
            self.listed.push(gap);
        }
    }
}

/// Gaps cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum GapsError {
    /// The bars cannot be read.
    #[error("read the bars of {} {}", series.instrument, series.timeframe)]
    Store {
        /// Whose.
        series: Series,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The range is longer than [`MAX_EXPECTED_BARS`].
    #[error(
        "look for gaps: from {from_ms} to {to_ms} there are more than {MAX_EXPECTED_BARS} bars of {timeframe}; shorten the range"
    )]
    TooLong {
        /// From when, in Unix milliseconds.
        from_ms: i64,
        /// Until when, in Unix milliseconds.
        to_ms: i64,
        /// The timeframe.
        timeframe: Timeframe,
    },
}

/// Lists the bars that are missing between a range's first and last, a page of the series at a time.
///
/// A bar is expected one timeframe after the one before it; a shift of less than half a timeframe, such as that of a
/// daily bar at a change of clocks, is no gap. Before the first bar that is there, and in a series without one, bars
/// are expected at whole timeframes from it, or from the Unix epoch. One that would open while the market is closed is not
/// missing, by its calendar and by `is_session`.
///
/// # Errors
/// The bars cannot be read, or the range is too long.
pub async fn gaps<S: Store + ?Sized>(
    store: &S,
    query: &GapsQuery,
    is_session: impl Fn(i64) -> bool,
) -> Result<Gaps, GapsError> {
    let mut finder = Finder {
        query,
        is_session,
        gaps: Gaps::default(),
        expected: 0,
        previous_ms: None,
    };
    let mut page = BarsQuery {
        series: query.series.clone(),
        start_ms: query.start_ms,
        end_ms: query.end_ms,
        limit: MAX_READ_LIMIT,
        last: false,
    };
    loop {
        let bars = store
            .read_bars(&page)
            .await
            .map_err(|source| GapsError::Store {
                series: query.series.clone(),
                source,
            })?;
        for open_time_ms in &bars.open_time_ms {
            finder.see(*open_time_ms)?;
        }
        match finder.previous_ms.and_then(|last| last.checked_add(1)) {
            Some(start_ms) if bars.len() == MAX_READ_LIMIT as usize => {
                page.start_ms = Some(start_ms);
            }
            _ => break,
        }
    }
    finder.end()
}

struct Finder<'a, F> {
    query: &'a GapsQuery,
    is_session: F,
    gaps: Gaps,
    /// Bars that were looked for and are not there, in a session or not.
    expected: i64,
    previous_ms: Option<i64>,
}

impl<F: Fn(i64) -> bool> Finder<'_, F> {
    fn step_ms(&self) -> i64 {
        self.query.timeframe.millis()
    }

    /// When the calendar's next bar opens, at `open_time_ms` or later.
    fn next_open_ms(&self, open_time_ms: i64) -> i64 {
        let GapsQuery {
            calendar,
            timeframe,
            ..
        } = self.query;
        match calendar {
            Calendar::AroundTheClock => open_time_ms,
            Calendar::UsEquities => {
                let before_ms = open_time_ms.saturating_sub(self.step_ms());
                calendar.next_open_ms(*timeframe, before_ms)
            }
        }
    }

    /// A bar is there.
    fn see(&mut self, open_time_ms: i64) -> Result<(), GapsError> {
        self.gaps.present_bars += 1;
        let before = self.previous_ms.replace(open_time_ms);
        match (before, self.query.start_ms) {
            (Some(previous_ms), _) => self.between(previous_ms, open_time_ms),
            (None, Some(start_ms)) => {
                let steps = open_time_ms.saturating_sub(start_ms) / self.step_ms();
                self.missing(open_time_ms - steps * self.step_ms(), steps)
            }
            (None, None) => Ok(()),
        }
    }

    fn between(&mut self, previous_ms: i64, open_time_ms: i64) -> Result<(), GapsError> {
        let step_ms = self.step_ms();
        let apart_ms = open_time_ms.saturating_sub(previous_ms);
        let steps = apart_ms.saturating_add(step_ms / 2) / step_ms;
        self.missing(previous_ms.saturating_add(step_ms), (steps - 1).max(0))
    }

    /// No more bars are there.
    fn end(mut self) -> Result<Gaps, GapsError> {
        let step_ms = self.step_ms();
        let first_ms = match (self.previous_ms, self.query.start_ms) {
            (Some(last_ms), _) => last_ms.checked_add(step_ms),
            (None, Some(start_ms)) => start_ms
                .checked_add(step_ms - 1)
                .map(|bound| bound.div_euclid(step_ms) * step_ms),
            (None, None) => None,
        };
        if let (Some(first_ms), Some(end_ms)) = (first_ms, self.query.end_ms)
            && first_ms < end_ms
        {
            let last_step = (end_ms.saturating_sub(first_ms) - 1) / step_ms;
            self.missing(first_ms, last_step + 1)?;
        }
        Ok(self.gaps)
    }

    /// No bar is there at `first_ms` and the steps after it, `steps` in all.
    fn missing(&mut self, first_ms: i64, steps: i64) -> Result<(), GapsError> {
        let step_ms = self.step_ms();
        let sum = self.expected.checked_add(steps);
        self.expected = sum
            .filter(|expected| *expected <= MAX_EXPECTED_BARS)
            .ok_or_else(|| GapsError::TooLong {
                from_ms: first_ms,
                to_ms: first_ms.saturating_add(steps.saturating_mul(step_ms)),
                timeframe: self.query.timeframe,
            })?;
        let mut open: Option<Gap> = None;
        let end_ms = first_ms.saturating_add(steps.saturating_mul(step_ms));
        let mut next_ms = first_ms;
        while next_ms < end_ms {
            let at = next_ms;
            let open_ms = self.next_open_ms(at);
            // A night or a holiday is one step.
            let closed_ms = open_ms.saturating_sub(at).max(0);
            let closed = closed_ms / step_ms + i64::from(closed_ms % step_ms > 0);
            next_ms = at.saturating_add(closed.max(1).saturating_mul(step_ms));
            if open_ms == at && (self.is_session)(at) {
                let gap = open.get_or_insert(Gap {
                    first_ms: at,
                    last_ms: at,
                    bars: 0,
                });
                gap.last_ms = at;
                gap.bars += 1;
            } else if let Some(gap) = open.take() {
                self.gaps.add(gap);
            }
        }
        open.into_iter().for_each(|gap| self.gaps.add(gap));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_store::MemoryStore;
    use futures::executor::block_on;

    use super::*;
    use crate::fixture::{put, series};

    const MINUTE: i64 = 60_000;

    fn look(
        present: impl IntoIterator<Item = i64>,
        range: [Option<i64>; 2],
        is_session: impl Fn(i64) -> bool,
    ) -> Gaps {
        let store = MemoryStore::new(0);
        put(&store, present.into_iter().map(|minute| minute * MINUTE));
        let query = GapsQuery {
            series: series(),
            timeframe: "1m".parse().unwrap(),
            calendar: Calendar::AroundTheClock,
            start_ms: range[0].map(|minute| minute * MINUTE),
            end_ms: range[1].map(|minute| minute * MINUTE),
        };
        block_on(gaps(&store, &query, |at| is_session(at / MINUTE))).unwrap()
    }

    fn minutes(gaps: &Gaps) -> Vec<(i64, i64, u64)> {
        let listed = gaps.listed.iter();
        listed
            .map(|gap| (gap.first_ms / MINUTE, gap.last_ms / MINUTE, gap.bars))
            .collect()
    }

    #[test]
    fn a_gap_is_what_is_missing_within_the_range() {
        for (present, range, expect) in [
            (&[3, 4, 5][..], [None, None], &[][..]),
            (&[3, 5, 8], [None, None], &[(4, 4, 1), (6, 7, 2)]),
            (&[3, 5], [Some(3), Some(6)], &[(4, 4, 1)]),
            (
                &[3, 5],
                [Some(1), Some(8)],
                &[(1, 2, 2), (4, 4, 1), (6, 7, 2)],
            ),
            (&[3, 5], [Some(4), Some(6)], &[(4, 4, 1)]),
            (&[3, 5], [Some(4), Some(5)], &[(4, 4, 1)]),
            (&[], [Some(1), Some(3)], &[(1, 2, 2)]),
            (&[], [Some(3), Some(3)], &[]),
            (&[], [None, Some(3)], &[]),
            (&[], [None, None], &[]),
        ] {
            let found = look(present.iter().copied(), range, |_| true);
            assert_eq!(minutes(&found), expect, "{present:?} {range:?}");
            let missing: u64 = expect.iter().map(|gap| gap.2).sum();
            assert_eq!(
                (found.count, found.missing_bars),
                (expect.len() as u64, missing)
            );
        }
    }

    #[test]
    fn a_bar_outside_the_session_is_not_missing() {
        let found = look([0, 10], [None, None], |minute| minute % 4 != 0);
        assert_eq!(minutes(&found), [(1, 3, 3), (5, 7, 3), (9, 9, 1)]);
    }

    #[test]
    fn a_bar_of_a_stock_outside_the_session_of_new_york_is_not_missing() {
        let store = MemoryStore::new(0);
        // Friday 2024-07-05, 19:58 UTC; the market closes two minutes later, and opens on Monday at 13:30.
        let (friday_ms, monday_ms) = (1_720_209_480_000, 1_720_445_400_000);
        put(&store, [friday_ms, monday_ms + 2 * MINUTE]);
        let query = GapsQuery {
            series: series(),
            timeframe: "1m".parse().unwrap(),
            calendar: Calendar::UsEquities,
            start_ms: None,
            end_ms: None,
        };
        let found = block_on(gaps(&store, &query, |_| true)).unwrap();
        let listed: Vec<(i64, u64)> = found
            .listed
            .iter()
            .map(|gap| (gap.first_ms, gap.bars))
            .collect();
        assert_eq!(listed, [(friday_ms + MINUTE, 1), (monday_ms, 2)]);
    }

    #[test]
    fn gaps_are_found_across_pages_and_their_list_is_bounded() {
        let found = look((0..30_000).map(|at| at * 2), [None, None], |_| true);
        assert_eq!(found.present_bars, 30_000);
        assert_eq!((found.count, found.missing_bars), (29_999, 29_999));
        assert_eq!(found.listed.len(), MAX_GAPS_LISTED);
    }

    #[test]
    fn a_daily_bar_that_opens_an_hour_late_leaves_no_gap() {
        let store = MemoryStore::new(0);
        let hour = 60 * MINUTE;
        put(&store, [5 * hour, 28 * hour, 53 * hour, 101 * hour]);
        let query = GapsQuery {
            series: series(),
            timeframe: "1d".parse().unwrap(),
            calendar: Calendar::AroundTheClock,
            start_ms: None,
            end_ms: None,
        };
        let found = block_on(gaps(&store, &query, |_| true)).unwrap();
        assert_eq!((found.count, found.listed[0].first_ms), (1, 77 * hour));
    }

    #[test]
    fn a_range_that_is_too_long_is_refused() {
        let store = MemoryStore::new(0);
        for (present, start_ms, end_ms) in [
            (vec![], Some(i64::MIN), Some(i64::MAX)),
            (vec![0], Some(i64::MIN), None),
            (vec![0], None, Some(i64::MAX)),
            (vec![i64::MIN, i64::MAX], None, None),
        ] {
            put(&store, present);
            let query = GapsQuery {
                series: series(),
                timeframe: "1s".parse().unwrap(),
                calendar: Calendar::AroundTheClock,
                start_ms,
                end_ms,
            };
            let error = block_on(gaps(&store, &query, |_| true)).unwrap_err();
            assert!(matches!(error, GapsError::TooLong { .. }), "{error}");
        }
    }
}
