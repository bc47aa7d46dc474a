//! How long bars are kept, and the deletion of those that are older.
//!
//! A bar goes once it has been closed for as long as its timeframe is kept. So a series without gaps that is pruned still
//! covers the whole of that time: its oldest bar opens at or before the first instant of it.

use std::collections::BTreeMap;

use crate::{Series, Store, StoreError};

/// How many days bars of a day or longer are kept: the target of the evaluator of data retention.
pub const DEFAULT_DAILY_DAYS: u32 = 365;
/// How many days bars shorter than a day are kept: the target of the evaluator of data retention.
pub const DEFAULT_INTRADAY_DAYS: u32 = 30;
/// The most days that a rule may name: a century.
pub const MAX_KEEP_DAYS: u32 = 36_525;
/// Bars of one deletion: some milliseconds of the writer's time, after which whoever else waits has a turn.
pub const RETENTION_BATCH_BARS: u32 = 5_000;
/// Deletions of one [`apply_retention`]: what is left, the next one goes on with.
pub const MAX_BATCHES: u32 = 10_000;

const DAY_MS: i64 = 86_400_000;

/// For how long bars are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many days: 1 to [`MAX_KEEP_DAYS`].
    Days(u32),
    /// For ever.
    Forever,
}

/// For how long the bars of each timeframe are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    daily: Keep,
    intraday: Keep,
    timeframes: BTreeMap<String, Keep>,
}

impl Default for RetentionPolicy {
    /// [`DEFAULT_DAILY_DAYS`] and [`DEFAULT_INTRADAY_DAYS`].
    fn default() -> Self {
        Self {
            daily: Keep::Days(DEFAULT_DAILY_DAYS),
            intraday: Keep::Days(DEFAULT_INTRADAY_DAYS),
            timeframes: BTreeMap::new(),
        }
    }
}

impl RetentionPolicy {
    /// A policy for bars of a day or longer, and for shorter ones.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for days beyond their bounds.
    pub fn new(daily: Keep, intraday: Keep) -> Result<Self, StoreError> {
        validate(daily)?;
        validate(intraday)?;
        Ok(Self {
            daily,
            intraday,
            timeframes: BTreeMap::new(),
        })
    }

    /// The same, with a rule of its own for the timeframe `5m`, for example.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what is no timeframe, or days beyond their bounds.
    pub fn with_timeframe(mut self, timeframe: &str, keep: Keep) -> Result<Self, StoreError> {
        validate(keep)?;
        crate::bars::validate_timeframe(timeframe)?;
        self.timeframes.insert(timeframe.to_owned(), keep);
        Ok(self)
    }

    /// For how long a series' bars are kept.
    #[must_use]
    pub fn of(&self, series: &Series) -> Keep {
        if let Some(keep) = self.timeframes.get(&series.timeframe) {
            return *keep;
        }
        if longest_ms(&series.timeframe) < DAY_MS {
            self.intraday
        } else {
            self.daily
        }
    }

    /// Which bars of a series go at `now_ms`: those that open before this instant, both in Unix milliseconds.
    /// None: all stay.
    #[must_use]
    pub fn before_ms(&self, series: &Series, now_ms: i64) -> Option<i64> {
        let Keep::Days(days) = self.of(series) else {
            return None;
        };
        let kept_from_ms = now_ms.checked_sub(i64::from(days) * DAY_MS)?;
        // A bar that closes at that instant goes, one that closes later stays.
        let first_kept_ms = kept_from_ms.checked_sub(longest_ms(&series.timeframe))?;
        first_kept_ms.checked_add(1)
    }
}

fn validate(keep: Keep) -> Result<(), StoreError> {
    match keep {
        Keep::Days(days) if !(1..=MAX_KEEP_DAYS).contains(&days) => Err(StoreError::Invalid(
            format!("retention of {days} days: it must be 1 to {MAX_KEEP_DAYS}, or for ever"),
        )),
        _ => Ok(()),
    }
}

/// How long a bar of a valid timeframe is, in milliseconds; a month counts as its longest.
fn longest_ms(timeframe: &str) -> i64 {
    let mut chars = timeframe.chars();
    let unit_ms = match chars.next_back() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => DAY_MS,
        Some('w') => 7 * DAY_MS,
        _ => 31 * DAY_MS,
    };
    // At most four digits.
    chars
        .as_str()
        .parse::<i64>()
        .unwrap_or(1)
        .saturating_mul(unit_ms)
}

/// What a policy takes from a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// Which.
    pub series: Series,
    /// Bars that open before this instant go, in Unix milliseconds. None: all stay.
    pub before_ms: Option<i64>,
    /// Bars that go, or have gone.
    pub deleted: u64,
    /// Whether all of them are counted, or have gone. False: the bound on one call was met.
    pub is_complete: bool,
}

/// Says what [`apply_retention`] would delete of the chosen series at `now_ms`, in Unix milliseconds.
///
/// # Errors
/// The store's.
pub async fn plan_retention<S: Store + ?Sized>(
    store: &S,
    policy: &RetentionPolicy,
    now_ms: i64,
    chosen: impl Fn(&Series) -> bool,
) -> Result<Vec<Retained>, StoreError> {
    let mut planned = Vec::new();
    for summary in store.series().await? {
        if !chosen(&summary.series) {
            continue;
        }
        let before_ms = policy.before_ms(&summary.series, now_ms);
        let deleted = match before_ms {
            Some(before_ms) => store.count_bars_before(&summary.series, before_ms).await?,
            None => 0,
        };
        planned.push(Retained {
            series: summary.series,
            before_ms,
            deleted,
            is_complete: true,
        });
    }
    Ok(planned)
}

/// Deletes the bars of the chosen series that are older than the policy keeps them at `now_ms`, in Unix milliseconds, and
/// says how many of each. `on_batch` is told the sum after each deletion.
///
/// Each deletion takes [`RETENTION_BATCH_BARS`] at most, in a transaction of its own, so that other writers wait for one
/// of them and not for all. After `max_batches` ([`MAX_BATCHES`] at most) it stops; the next call goes on. Deleted bars leave
/// room in the file, which new ones take; the file does not become smaller.
///
/// # Errors
/// The store's. What was deleted before stays deleted.
pub async fn apply_retention<S: Store + ?Sized>(
    store: &S,
    policy: &RetentionPolicy,
    now_ms: i64,
    chosen: impl Fn(&Series) -> bool,
    max_batches: u32,
    mut on_batch: impl FnMut(u64),
) -> Result<Vec<Retained>, StoreError> {
    let mut left = max_batches.min(MAX_BATCHES);
    let mut sum = 0;
    let mut retained = Vec::new();
    for summary in store.series().await? {
        if !chosen(&summary.series) {
            continue;
        }
        let mut of_series = Retained {
            before_ms: policy.before_ms(&summary.series, now_ms),
            series: summary.series,
            deleted: 0,
            is_complete: true,
        };
        // Most series have nothing to give: that is known without a write.
        let due = of_series
            .before_ms
            .filter(|before_ms| summary.first_ms < *before_ms);
        if let Some(before_ms) = due {
            of_series.is_complete = false;
            while left > 0 && !of_series.is_complete {
                left -= 1;
                let series = of_series.series.clone();
                let deleted = store
                    .delete_bars_before(series, before_ms, RETENTION_BATCH_BARS, now_ms)
                    .await?;
                of_series.deleted += u64::from(deleted);
                of_series.is_complete = deleted < RETENTION_BATCH_BARS;
                sum += u64::from(deleted);
                on_batch(sum);
            }
        }
        retained.push(of_series);
    }
    Ok(retained)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn series(timeframe: &str) -> Series {
        Series::new("BTC-USD", timeframe).unwrap()
    }

    #[test]
    fn a_bar_goes_once_it_has_been_closed_for_as_long_as_it_is_kept() {
        let policy = RetentionPolicy::default();
        for (timeframe, days, length_ms) in [
            ("1s", 30, 1_000),
            ("1m", 30, 60_000),
            ("23h", 30, 23 * 3_600_000),
            ("24h", 365, DAY_MS),
            ("1d", 365, DAY_MS),
            ("1w", 365, 7 * DAY_MS),
            ("1M", 365, 31 * DAY_MS),
        ] {
            let before_ms = policy.before_ms(&series(timeframe), NOW_MS).unwrap();
            let last_to_go = before_ms - 1;
            assert_eq!(
                last_to_go + length_ms,
                NOW_MS - days * DAY_MS,
                "{timeframe}"
            );
        }
    }

    #[test]
    fn a_timeframe_may_have_a_rule_of_its_own() {
        let policy = RetentionPolicy::default()
            .with_timeframe("5m", Keep::Days(7))
            .and_then(|policy| policy.with_timeframe("1d", Keep::Forever))
            .unwrap();
        assert_eq!(policy.of(&series("5m")), Keep::Days(7));
        assert_eq!(policy.of(&series("1m")), Keep::Days(DEFAULT_INTRADAY_DAYS));
        assert_eq!(policy.before_ms(&series("1d"), NOW_MS), None);
    }

    #[test]
    fn a_rule_that_would_keep_nothing_or_names_no_timeframe_is_refused() {
        for days in [0, MAX_KEEP_DAYS + 1] {
            assert!(RetentionPolicy::new(Keep::Days(days), Keep::Forever).is_err());
            assert!(RetentionPolicy::new(Keep::Forever, Keep::Days(days)).is_err());
        }
        let policy = RetentionPolicy::default();
        assert!(policy.clone().with_timeframe("5y", Keep::Days(1)).is_err());
        assert!(policy.with_timeframe("5m", Keep::Days(0)).is_err());
    }

    #[test]
    fn no_bar_goes_where_the_time_does_not_reach_back() {
        let policy = RetentionPolicy::default();
        assert_eq!(policy.before_ms(&series("1m"), i64::MIN), None);
    }
}
