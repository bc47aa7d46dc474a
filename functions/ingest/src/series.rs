//! What is known of each series between runs: how fresh it is, how good, and why. The documents `ingest/series/daily_bars` and
//! `ingest/series/intraday_trades`, which `bulkhead status` reads.

use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::stage::Key;
use bulkhead_kernel::timeframe::Timeframe;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::poll::{Quarantined, Range};

mod grade;
mod window;
pub use window::{Gap, MAX_BARS};

/// The collection, by dimension.
pub const COLLECTION: &str = "ingest/series";
/// How long a series is left alone after its first failure, in milliseconds; twice as long after each further one.
const FIRST_RETRY_MS: i64 = 1_000;
/// The longest that a series is left alone after failures, in milliseconds.
const MAX_RETRY_MS: i64 = 300_000;
/// How long the bars of a gap are not asked for again, in milliseconds: a venue that has none has none.
const GAP_RETRY_MS: i64 = 600_000;
/// The longest text that is kept of a reason and of a source's name, in bytes: with these bounds the series of a dimension fit
/// one document.
const MAX_TEXT_BYTES: usize = 160;
/// The longest text that is kept of an error, in bytes.
pub const MAX_ERROR_BYTES: usize = 240;
/// The longest text that is kept of why a series is as it is, in bytes.
const MAX_WHY_BYTES: usize = 240;
/// Of how many bars that were put aside for a jump it is remembered when they open: the latest.
const MAX_PUT_ASIDE: usize = 4;

/// `text`, cut to so many bytes.
pub fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// What a series is: its bars' length, when its market is open, how far back it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The bars' length.
    pub timeframe: Timeframe,
    /// When the market is open.
    pub calendar: Calendar,
    /// How many days back from its newest bar a series is to be complete.
    pub lookback_days: u32,
}

/// One series. What is not known is left out of the document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// How good it is: `ok`, `warn` or `error`, as of the document's `graded_at_ms`.
    pub status: String,
    /// Why, in a sentence.
    pub why: String,
    /// When the newest stored bar opens, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_open_time_ms: Option<i64>,
    /// Up to which stored bar polling brought the series in without leaving anything out, by when that bar opens, in Unix
    /// milliseconds. A bar that somebody else stored moves it on only if it is the very next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled_to_ms: Option<i64>,
    /// When the bar after it will have closed, in Unix milliseconds: from then on the series is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at_ms: Option<i64>,
    /// How fresh it was at `graded_at_ms`: up to the bar's length while no bar is due, and from then on that and how long the
    /// bar has been due, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness_seconds: Option<f64>,
    /// From 0 to 1: bars divided by expected bars of the lookback up to the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// From 0 to 1: coverage, or less when it is too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Bars of the lookback that are missing between others.
    pub missing_bars: u64,
    /// Where, oldest first; six at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The close of the newest bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close: Option<Decimal>,
    /// When the first bar of the lookback opens, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_open_time_ms: Option<i64>,
    /// When the first stored bar opens, in Unix milliseconds, as of the last look at the whole lookback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earliest_open_time_ms: Option<i64>,
    /// Who gave the newest bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When a source last answered, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at_ms: Option<i64>,
    /// How often it failed since.
    pub failures: u32,
    /// It is not asked for before this instant, in Unix milliseconds, since it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<i64>,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bars that were quarantined, in all runs.
    pub quarantined: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_quarantined: Option<Quarantined>,
    /// When bars open that were put aside for a jump, in Unix milliseconds; the latest four. They are no gap to be filled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub put_aside_ms: Vec<i64>,
    /// Whether the source has more than was asked for.
    pub is_behind: bool,
    /// When missing bars were last asked for again, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_at_ms: Option<i64>,
}

impl Known {
    /// Whether a bar may be there that is not stored, as far as the calendar goes.
    pub fn is_due(&self, shape: &Shape, now_ms: i64) -> bool {
        self.is_behind
            || self
                .next_wanted_ms(shape)
                .is_none_or(|due_ms| due_ms <= now_ms)
    }

    /// When the bar after the last one without anything left out will have closed, in Unix milliseconds. None: there is none.
    fn next_wanted_ms(&self, shape: &Shape) -> Option<i64> {
        let filled_ms = self.filled_to_ms?.min(self.newest_open_time_ms?);
        let next = shape.calendar.next_open_ms(shape.timeframe, filled_ms);
        Some(shape.timeframe.close_time_ms(next))
    }

    /// Whether it is to be left alone, since it failed lately.
    pub fn must_wait(&self, now_ms: i64) -> bool {
        // An instant that is further away than any wait was written by a clock that was ahead.
        let retry_at_ms = self.retry_at_ms.unwrap_or(i64::MIN);
        now_ms < retry_at_ms && retry_at_ms <= now_ms.saturating_add(MAX_RETRY_MS)
    }

    /// Whether missing bars are to be asked for again.
    pub fn wants_recovery(&self, now_ms: i64) -> bool {
        let lately = self
            .recovered_at_ms
            .is_some_and(|at| now_ms.saturating_sub(at).abs() < GAP_RETRY_MS);
        self.gap_range().is_some() && !lately
    }

    /// Gaps in which more is missing than what was put aside for a jump.
    fn fillable_gaps(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| {
            let is_in = |opens: &&i64| (gap.from_ms..gap.to_ms).contains(*opens);
            let aside = self.put_aside_ms.iter().filter(is_in).count();
            gap.missing > aside as u64
        })
    }

    /// When the bar after the newest will have closed, in Unix milliseconds. None: there is no bar.
    pub fn next_due_ms(&self, shape: &Shape) -> Option<i64> {
        let next = shape
            .calendar
            .next_open_ms(shape.timeframe, self.newest_open_time_ms?);
        Some(shape.timeframe.close_time_ms(next))
    }

    /// How old it is, in seconds: see [`Known::freshness_seconds`]. None: there is no bar.
    pub fn age_seconds(&self, shape: &Shape, now_ms: i64) -> Option<f64> {
        let closed_at_ms = shape.timeframe.close_time_ms(self.newest_open_time_ms?);
        let since_close_ms = now_ms.saturating_sub(closed_at_ms);
        let overdue_ms = now_ms.saturating_sub(self.next_due_ms(shape)?);
        Some(age_ms(shape.timeframe, since_close_ms, overdue_ms) as f64 / 1_000.0)
    }

    /// What it is, without what is said of it: how it is graded, and when it last answered.
    #[must_use]
    pub fn facts(&self) -> Self {
        Self {
            status: String::new(),
            why: String::new(),
            due_at_ms: None,
            freshness_seconds: None,
            coverage: None,
            score: None,
            answered_at_ms: None,
            ..self.clone()
        }
    }

    /// Where the gaps are that can be filled, from the first missing bar to the bar behind the last. The stored close before it is for the
    /// caller to look up.
    pub fn gap_range(&self) -> Option<Range> {
        Some(Range {
            start_time_ms: Some(self.fillable_gaps().next()?.from_ms),
            end_time_ms: Some(self.fillable_gaps().next_back()?.to_ms),
            reference: None,
        })
    }

    /// A source gave the newest bar.
    pub fn given_by(&mut self, source: &str) {
        self.source = Some(cut(source, MAX_TEXT_BYTES));
    }

    /// Whether the newest bar was given by another source than this one.
    pub fn is_of_another(&self, source: &str) -> bool {
        let ours = cut(source, MAX_TEXT_BYTES);
        self.source.as_ref().is_some_and(|theirs| *theirs != ours)
    }

    /// Notes up to which bar polling brought the series in.
    pub fn filled_to(&mut self, open_time_ms: i64) {
        self.filled_to_ms = self.filled_to_ms.max(Some(open_time_ms));
    }

    /// A source answered, whatever it had.
    pub fn answered(&mut self, source: &str, rows: u32, is_behind: bool, now_ms: i64) {
        if rows > 0 || self.source.is_none() {
            self.given_by(source);
        }
        self.answered_at_ms = Some(now_ms);
        self.failures = 0;
        self.retry_at_ms = None;
        self.error = None;
        self.is_behind = is_behind;
    }

    /// No source answered.
    pub fn failed(&mut self, why: &str, now_ms: i64) {
        let wait_ms = FIRST_RETRY_MS.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.retry_at_ms = Some(now_ms.saturating_add(wait_ms.min(MAX_RETRY_MS)));
        self.error = Some(cut(why, MAX_ERROR_BYTES));
    }

    /// Bars were quarantined: so many, and of the first of them what they are.
    pub fn quarantine(&mut self, count: u32, bars: &[Quarantined]) {
        self.quarantined = self.quarantined.saturating_add(u64::from(count));
        for bar in bars.iter().filter(|bar| bar.is_jump()) {
            if !self.put_aside_ms.contains(&bar.open_time_ms) {
                self.put_aside_ms.push(bar.open_time_ms);
            }
        }
        let surplus = self.put_aside_ms.len().saturating_sub(MAX_PUT_ASIDE);
        self.put_aside_ms.drain(..surplus);
        if let Some(last) = bars.last() {
            self.last_quarantined = Some(Quarantined {
                reason: cut(&last.reason, MAX_TEXT_BYTES),
                ..last.clone()
            });
        }
    }
}

/// Up to the bar's length while no bar is due, and from then on that and how long the bar has been due, in milliseconds.
fn age_ms(timeframe: Timeframe, since_close_ms: i64, overdue_ms: i64) -> i64 {
    if overdue_ms >= 0 {
        overdue_ms.saturating_add(timeframe.millis())
    } else {
        since_close_ms.clamp(0, timeframe.millis())
    }
}

/// The series of a dimension: the document's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The dimension.
    pub dimension: Dimension,
    /// The bars' length.
    pub timeframe: Timeframe,
    /// When `status`, `why` and `freshness_seconds` were as they say, in Unix milliseconds.
    pub graded_at_ms: i64,
    /// By instrument.
    pub symbols: BTreeMap<String, Known>,
}

/// The address of a dimension's document.
pub fn key(dimension: Dimension) -> Key {
    Key::new(COLLECTION, dimension.as_str())
}

#[cfg(test)]
mod tests;
