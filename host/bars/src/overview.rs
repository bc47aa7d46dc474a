use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_store::{SeriesSummary, Store, StoreError};

use crate::{GapsError, GapsQuery, gaps};

/// A series is stale once its newest bar has been closed for longer than so many bars.
pub const STALE_AFTER_BARS: i64 = 2;
/// The most bars that one overview reads to count gaps: some seconds. Series beyond have their missing bars counted, and
/// not the gaps between them.
pub const MAX_SCANNED_BARS: u64 = 5_000_000;

/// How old the newest bar of a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// How long ago it closed, in milliseconds; 0 while it has not.
    pub age_ms: i64,
    /// Whether that is longer than [`STALE_AFTER_BARS`] bars.
    pub is_stale: bool,
}

/// What there is of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesOverview {
    /// Its count and its bounds.
    pub summary: SeriesSummary,
    /// Bars that would be between the first and the last and are not. None: its bars have no one length.
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

/// Looks over every series at `now_ms`, in Unix milliseconds.
///
/// A series that has as many bars as fit between its first and its last has no gap, and is not read. The others are read
/// for their gaps, [`MAX_SCANNED_BARS`] in all, the shortest first.
///
/// # Errors
/// The store's.
pub async fn overview<S: Store + ?Sized>(
    store: &S,
    now_ms: i64,
) -> Result<Vec<SeriesOverview>, OverviewError> {
    let summaries = store.series().await.map_err(OverviewError::List)?;
    let mut all: Vec<SeriesOverview> = summaries
        .into_iter()
        .map(|summary| at_a_glance(summary, now_ms))
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
            start_ms: None,
            end_ms: None,
        };
        let found = gaps(store, &query, |_| true).await;
        match found {
            Ok(found) => one.gaps = Some(found.count),
            // It has more bars missing than can be counted one by one.
            Err(GapsError::TooLong { .. }) => {}
            Err(error) => return Err(OverviewError::Gaps(error)),
        }
    }
    Ok(all)
}

/// What the summary of a series says.
fn at_a_glance(summary: SeriesSummary, now_ms: i64) -> SeriesOverview {
    let Ok(timeframe) = summary.series.timeframe.parse::<Timeframe>() else {
        return SeriesOverview {
            summary,
            missing_bars: None,
            gaps: None,
            freshness: None,
        };
    };
    let step_ms = timeframe.millis();
    let span_ms = summary.last_ms.saturating_sub(summary.first_ms);
    // Half a bar more: a day at whose end the clocks change is no shorter by it.
    let steps = span_ms.saturating_add(step_ms / 2) / step_ms;
    let expected = steps.unsigned_abs().saturating_add(1);
    let missing_bars = expected.saturating_sub(summary.count);
    let age_ms = now_ms
        .saturating_sub(timeframe.close_time_ms(summary.last_ms))
        .max(0);
    SeriesOverview {
        // A series with bars off its grid may have as many as fit and a gap all the same; an import lets none in.
        gaps: (missing_bars == 0).then_some(0),
        missing_bars: Some(missing_bars),
        freshness: Some(Freshness {
            age_ms,
            is_stale: age_ms > step_ms.saturating_mul(STALE_AFTER_BARS),
        }),
        summary,
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_store::{MemoryStore, Series};
    use futures::executor::block_on;

    use super::*;
    use crate::fixture::{flat, put};

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_series_is_listed_with_what_is_missing_and_how_many_gaps_that_is() {
        let store = MemoryStore::new(0);
        put(&store, [1, 2, 3, 6, 8].map(|minute| minute * MINUTE));
        for (timeframe, opens) in [("5m", vec![0, 5 * MINUTE]), ("1M", vec![0, MINUTE])] {
            let series = Series::new("BTC-USDT", timeframe).unwrap();
            block_on(store.append_bars(series, flat(opens), 0)).unwrap();
        }
        let all = block_on(overview(&store, 9 * MINUTE)).unwrap();
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
            let all = block_on(overview(&store, now_ms)).unwrap();
            let freshness = all[0].freshness.unwrap();
            assert_eq!((freshness.age_ms, freshness.is_stale), expect, "{now_ms}");
        }
    }
}
