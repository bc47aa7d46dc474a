use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_store::{SeriesSummary, Store, StoreError};

use crate::{GapsError, GapsQuery, gaps};

/// A series is stale once so many bars after its newest should have closed, and time has gone on.
pub const STALE_AFTER_BARS: i64 = 2;
/// The most bars that one overview reads to count gaps: some seconds. Series beyond have their missing bars counted, and
/// not the gaps between them.
pub const MAX_SCANNED_BARS: u64 = 5_000_000;

/// How old the newest bar of a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// How long ago it closed, in milliseconds; 0 while it has not.
    pub age_ms: i64,
    /// Whether more than [`STALE_AFTER_BARS`] bars of its market would have closed since.
    pub is_stale: bool,
}

/// What there is of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesOverview {
    /// Its count and its bounds.
    pub summary: SeriesSummary,
    /// Bars that would be between the first and the last and are not. None: its bars have no one length, or there are bars outside
    /// of sessions among them and too many to read.
    pub missing_bars: Option<u64>,
    /// How many gaps that is. None: its bars have no one length, or there were too many to read.
    pub gaps: Option<u64>,
    /// How old the newest bar is. None: its bars have no one length.
    pub freshness: Option<Freshness>,
}

/// The series cannot be looked over.
#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    /// The list of series cannot be read.
    #[error("list the series")]
    List(#[source] StoreError),
    /// The gaps of a series cannot be counted.
    #[error("count gaps")]
    Gaps(#[source] GapsError),
}

/// Looks over every series at `now_ms`, in Unix milliseconds. `calendar_of` says when the market of an instrument is open: what
/// would open while it is closed is not missing, and makes nothing stale.
///
/// A series that has as many bars as fit between its first and its last has no gap, and is not read. The others are read
/// for their gaps, [`MAX_SCANNED_BARS`] in all, the shortest first.
///
/// # Errors
/// The store's.
pub async fn overview<S: Store + ?Sized>(
    store: &S,
    calendar_of: impl Fn(&str) -> Calendar,
    now_ms: i64,
) -> Result<Vec<SeriesOverview>, OverviewError> {
    let summaries = store.series().await.map_err(OverviewError::List)?;
    let mut all: Vec<SeriesOverview> = summaries
        .into_iter()
        .map(|summary| {
            let calendar = calendar_of(&summary.series.instrument);
            at_a_glance(summary, calendar, now_ms)
        })
        .collect();
    let mut unread: Vec<&mut SeriesOverview> =
        all.iter_mut().filter(|one| one.gaps.is_none()).collect();
    unread.sort_by_key(|one| one.summary.count);
    let mut scanned: u64 = 0;
    for one in unread {
        scanned = scanned.saturating_add(one.summary.count);
        let Ok(timeframe) = one.summary.series.timeframe.parse() else {
            continue;
        };
        if scanned > MAX_SCANNED_BARS {
            break;
        }
        let query = GapsQuery {
            series: one.summary.series.clone(),
            timeframe,
            calendar: calendar_of(&one.summary.series.instrument),
            start_ms: None,
            end_ms: None,
        };
        let found = gaps(store, &query, |_| true).await;
        match found {
            Ok(found) => {
                one.missing_bars = Some(found.missing_bars);
                one.gaps = Some(found.count);
            }
            // It has more bars missing than can be counted one by one.
            Err(GapsError::TooLong { .. }) => {}
            Err(error) => return Err(OverviewError::Gaps(error)),
        }
    }
    Ok(all)
}

/// What the summary of a series says.
fn at_a_glance(summary: SeriesSummary, calendar: Calendar, now_ms: i64) -> SeriesOverview {
    let Ok(timeframe) = summary.series.timeframe.parse::<Timeframe>() else {
        return SeriesOverview {
            summary,
            missing_bars: None,
            gaps: None,
            freshness: None,
        };
    };
    let expected = expected_bars(&summary, calendar, timeframe);
    let missing_bars = expected.saturating_sub(summary.count);
    // More than fit: some opened before or after a session, and how many are missing in it the count does not tell.
    let is_counted = calendar == Calendar::AroundTheClock || summary.count <= expected;
    let next_ms = |open_ms| calendar.next_open_ms(timeframe, open_ms);
    let stale_ms = (0..STALE_AFTER_BARS).fold(summary.last_ms, |open_ms, _| next_ms(open_ms));
    let age_ms = now_ms
        .saturating_sub(timeframe.close_time_ms(summary.last_ms))
        .max(0);
    SeriesOverview {
        // A series with bars off its grid may have as many as fit and a gap all the same; an import lets none in.
        gaps: (is_counted && missing_bars == 0).then_some(0),
        missing_bars: is_counted.then_some(missing_bars),
        freshness: Some(Freshness {
            age_ms,
            is_stale: now_ms > timeframe.close_time_ms(stale_ms),
        }),
        summary,
    }
}

/// How many bars fit between the first and the last, both counted.
fn expected_bars(summary: &SeriesSummary, calendar: Calendar, timeframe: Timeframe) -> u64 {
    let (first_ms, last_ms) = (summary.first_ms, summary.last_ms);
    match calendar {
        Calendar::AroundTheClock => {
            let step_ms = timeframe.millis();
            let span_ms = last_ms.saturating_sub(first_ms);
            // Half a bar more: a day at whose end the clocks change is no shorter by it.
            let steps = span_ms.saturating_add(step_ms / 2) / step_ms;
            steps.unsigned_abs().saturating_add(1)
        }
        Calendar::UsEquities => {
            let between = calendar.expected_between(timeframe, first_ms, last_ms);
            between.saturating_add(1 + u64::from(first_ms < last_ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_store::{MemoryStore, Series};
    use futures::executor::block_on;

    use super::*;
    use crate::fixture::{flat, put};

    const MINUTE: i64 = 60_000;

    fn around_the_clock(_: &str) -> Calendar {
        Calendar::AroundTheClock
    }

    #[test]
    fn of_a_stock_neither_nights_nor_holidays_are_missing_or_make_it_stale() {
        // 2024-07-03, a half-day, 16:58 UTC: two minutes before the close. The 4th is a holiday.
        const CLOSES_MS: i64 = 1_720_025_880_000;
        // 2024-07-05, 13:30 UTC.
        const OPENS_MS: i64 = 1_720_186_200_000;
        let stock = |_: &str| Calendar::UsEquities;
        let overview_of = |minutes: &[i64], now_ms: i64| {
            let store = MemoryStore::new(0);
            let series = Series::new("SPY", "1m").unwrap();
            block_on(store.append_bars(series, flat(minutes.to_vec()), 0)).unwrap();
            let all = block_on(overview(&store, stock, now_ms)).unwrap();
            let one = &all[0];
            (one.missing_bars, one.gaps, one.freshness.unwrap().is_stale)
        };
        let last_ms = CLOSES_MS + MINUTE;
        let first_ms = OPENS_MS + 2 * MINUTE;
        let whole = [CLOSES_MS, last_ms, OPENS_MS, OPENS_MS + MINUTE];
        assert_eq!(overview_of(&whole, OPENS_MS), (Some(0), Some(0), false));
        let gap = [CLOSES_MS, last_ms, first_ms];
        assert_eq!(overview_of(&gap, OPENS_MS), (Some(2), Some(1), false));
        // A bar after the close stands for none in the session.
        let after_ms = last_ms + MINUTE;
        let late = [
            CLOSES_MS,
            last_ms,
            after_ms,
            after_ms + MINUTE,
            OPENS_MS + MINUTE,
        ];
        assert_eq!(overview_of(&late, OPENS_MS), (Some(1), Some(1), false));
        for (now_ms, is_stale) in [(first_ms, false), (first_ms + 1, true)] {
            assert_eq!(overview_of(&[last_ms], now_ms).2, is_stale);
        }
    }

    #[test]
    fn a_series_is_listed_with_what_is_missing_and_how_many_gaps_that_is() {
        let store = MemoryStore::new(0);
        put(&store, [1, 2, 3, 6, 8].map(|minute| minute * MINUTE));
        for (timeframe, opens) in [("5m", vec![0, 5 * MINUTE]), ("1M", vec![0, MINUTE])] {
            let series = Series::new("BTC-USDT", timeframe).unwrap();
            block_on(store.append_bars(series, flat(opens), 0)).unwrap();
        }
        let all = block_on(overview(&store, around_the_clock, 9 * MINUTE)).unwrap();
        let found: Vec<_> = all
            .iter()
            .map(|one| {
                let timeframe = one.summary.series.timeframe.as_str();
                (timeframe, one.summary.count, one.missing_bars, one.gaps)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("1M", 2, None, None),
                ("1m", 5, Some(3), Some(2)),
                ("5m", 2, Some(0), Some(0)),
            ]
        );
    }

    #[test]
    fn a_series_is_stale_once_its_newest_bar_closed_more_than_two_bars_ago() {
        let store = MemoryStore::new(0);
        put(&store, [5 * MINUTE]);
        for (now_ms, expect) in [
            (5 * MINUTE, (0, false)),
            (6 * MINUTE, (0, false)),
            (8 * MINUTE, (2 * MINUTE, false)),
            (8 * MINUTE + 1, (2 * MINUTE + 1, true)),
        ] {
            let all = block_on(overview(&store, around_the_clock, now_ms)).unwrap();
            let freshness = all[0].freshness.unwrap();
            assert_eq!((freshness.age_ms, freshness.is_stale), expect, "{now_ms}");
        }
    }
}
