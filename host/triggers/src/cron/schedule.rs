use std::fmt;

use chrono::offset::LocalResult;
use chrono::{DateTime, Duration, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;
use croner::Cron;

use super::{CronError, expression, reason, zone};

/// Candidates looked at for one firing. The largest repeated stretch of local time (a day, at the date line) holds
/// 86,400 seconds.
const MAX_CANDIDATES: usize = 100_000;

/// Clock changes passed in the search for one firing: some centuries of them.
const MAX_CLOCK_CHANGES: usize = 1_000;

/// No zone's clock is set forward by more, in seconds: a day, at the date line.
const LARGEST_GAP_SECONDS: i64 = 2 * 86_400;

/// What a schedule does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firing {
    /// It fires.
    At {
        /// When, in Unix milliseconds.
        at_ms: i64,
        /// The same in the schedule's time zone.
        local: NaiveDateTime,
    },
    /// Local times that it names do not exist.
    Skipped {
        /// The last millisecond before the clock is set forward, in Unix milliseconds.
        at_ms: i64,
        /// The first of these local times.
        local: NaiveDateTime,
        /// How many there are.
        count: usize,
        /// Why: [`reason::DST_GAP`].
        reason: &'static str,
    },
}

impl Firing {
    /// Where it stands among the other firings, in Unix milliseconds.
    pub const fn at_ms(&self) -> i64 {
        match self {
            Self::At { at_ms, .. } | Self::Skipped { at_ms, .. } => *at_ms,
        }
    }
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct CronSchedule {
    text: String,
    cron: Cron,
    is_interval: bool,
    zone: Tz,
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone)
    }
}

struct Gap {
    /// First Unix second after the clock is set forward.
    end_seconds: i64,
    /// Local time there.
    end: NaiveDateTime,
}

impl CronSchedule {
    /// Reads an expression of six fields and the name of an IANA time zone.
    ///
    /// # Errors
    ///
    /// Names the column of the first wrong part of the expression, or the zones whose names are like the unknown one.
    pub fn parse(expression: &str, time_zone: &str) -> Result<Self, CronError> {
        let parsed = expression::parse(expression)?;
        Ok(Self {
            text: expression.split_whitespace().collect::<Vec<_>>().join(" "),
            cron: parsed.cron,
            is_interval: parsed.is_interval,
            zone: zone::parse(time_zone)?,
        })
    }

    /// The expression, its fields separated by single spaces.
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// The IANA name of the time zone.
    pub fn time_zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first firing after `instant_ms` (Unix milliseconds), that instant not included. None: there is none
    /// before the end of the calendar.
    pub fn next_after(&self, instant_ms: i64) -> Option<Firing> {
        if self.is_interval {
            self.next_by_elapsed_time(instant_ms)
        } else {
            self.next_by_wall_clock(instant_ms)
        }
    }

    /// The last firing at or before `instant_ms` and after `floor_ms`, skipped local times left out.
    pub(super) fn latest_until(&self, instant_ms: i64, floor_ms: i64) -> Option<i64> {
        let mut window_ms = 1_000;
        loop {
            let start_ms = instant_ms.saturating_sub(window_ms).max(floor_ms);
            let mut latest = None;
            let mut cursor = start_ms;
            while let Some(firing) = self.next_after(cursor) {
                cursor = firing.at_ms();
                if cursor > instant_ms {
                    break;
                }
                if let Firing::At { at_ms, .. } = firing {
                    latest = Some(at_ms);
                }
            }
            if latest.is_some() || start_ms <= floor_ms {
                return latest;
            }
            window_ms = window_ms.saturating_mul(2);
        }
    }

    fn next_by_wall_clock(&self, instant_ms: i64) -> Option<Firing> {
        let instant = DateTime::from_timestamp_millis(instant_ms)?;
        let mut local = instant
            .with_timezone(&self.zone)
            .naive_local()
            .with_nanosecond(0)?;
        for _ in 0..MAX_CANDIDATES {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            match self.zone.from_local_datetime(&local) {
                // Of a local time that comes twice, only the first counts.
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                    let at_ms = at.timestamp_millis();
                    if at_ms > instant_ms {
                        return Some(Firing::At { at_ms, local });
                    }
                }
                LocalResult::None => {
                    let gap = self.gap_around(local)?;
                    let at_ms = gap.end_seconds * 1_000 - 1;
                    if at_ms > instant_ms {
                        return Some(Firing::Skipped {
                            at_ms,
                            local,
                            count: self.count_until(local, gap.end),
                            reason: reason::DST_GAP,
                        });
                    }
                    local = gap.end - Duration::seconds(1);
                }
            }
        }
        None
    }

    /// Follows the expression under the offset of the moment, and takes it up anew where the offset changes.
    fn next_by_elapsed_time(&self, instant_ms: i64) -> Option<Firing> {
        let mut from = instant_ms.div_euclid(1_000);
        let mut inclusive = false;
        for _ in 0..MAX_CLOCK_CHANGES {
            let offset = self.offset_seconds(from)?;
            let start = naive(from + offset)?;
            let local = self.cron.find_next_occurrence(&start, inclusive).ok()?;
            let at = local.and_utc().timestamp() - offset;
            if self.offset_seconds(at)? == offset {
                let at_ms = at * 1_000;
                return Some(Firing::At { at_ms, local });
            }
            from = first_that(from, at, |second| {
                self.offset_seconds(second) != Some(offset)
            });
            inclusive = true;
        }
        None
    }

    /// The gap that a local time without an instant falls into.
    fn gap_around(&self, local: NaiveDateTime) -> Option<Gap> {
        let seconds = local.and_utc().timestamp();
        let end_seconds = first_that(
            seconds - LARGEST_GAP_SECONDS,
            seconds + LARGEST_GAP_SECONDS,
            |second| {
                self.offset_seconds(second)
                    .is_some_and(|offset| second + offset > seconds)
            },
        );
        let end = naive(end_seconds + self.offset_seconds(end_seconds)?)?;
        Some(Gap { end_seconds, end })
    }

    /// How many local times fit the expression, from `first`, which does, up to `end`, which is not counted.
    fn count_until(&self, first: NaiveDateTime, end: NaiveDateTime) -> usize {
        let mut count = 1;
        let mut local = first;
        while count < MAX_CANDIDATES {
            match self.cron.find_next_occurrence(&local, false) {
                Ok(next) if next < end => local = next,
                _ => break,
            }
            count += 1;
        }
        count
    }

    fn offset_seconds(&self, unix_seconds: i64) -> Option<i64> {
        let instant = naive(unix_seconds)?;
        let offset = self.zone.offset_from_utc_datetime(&instant).fix();
        Some(i64::from(offset.local_minus_utc()))
    }
}

fn naive(seconds: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(seconds, 0).map(|instant| instant.naive_utc())
}

/// The first number after `before`, up to `end`, that has the property, which `before` lacks and `end` has.
fn first_that(mut before: i64, mut end: i64, has: impl Fn(i64) -> bool) -> i64 {
    while end - before > 1 {
        let middle = before + (end - before) / 2;
        if has(middle) {
            end = middle;
        } else {
            before = middle;
        }
    }
    end
}
