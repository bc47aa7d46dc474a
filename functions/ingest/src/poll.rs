//! What a poll asks for, and what of the answer is stored. Pure.

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::binance::klines;

use crate::ports::Appended;
use crate::settings::{Backfill, Series};

/// The most pages of one series that one run asks for; what is left, the next run goes on with.
pub const MAX_PAGES: u32 = 10;
/// The most quarantined bars that one run remembers one by one; those beyond are counted.
pub const MAX_QUARANTINED_KEPT: usize = 50;

/// Bars whose length divides a day open at whole multiples of it since the Unix epoch; the venue's weeks do not.
const DAY_MS: i64 = 86_400_000;

/// A bar that was not stored, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quarantined {
    /// The instrument.
    pub instrument: String,
    /// When the bar opens, in Unix milliseconds.
    pub open_time_ms: i64,
    /// `duplicate`, `out_of_order`, `off_grid`, or `invalid_bar: …`.
    pub reason: String,
}

/// What became of one series in one run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SeriesResult {
    /// The instrument.
    pub instrument: String,
    /// The venue's symbol.
    pub symbol: String,
    /// Pages asked for.
    pub pages: u32,
    /// Bars that were not there before.
    pub inserted: u32,
    /// Bars that were there with other values.
    pub updated: u32,
    /// Bars that were there already.
    pub unchanged: u32,
    /// Bars that were not stored because something is wrong with them.
    pub quarantined: u32,
    /// The open time of the newest stored bar, in Unix milliseconds.
    pub newest_open_time_ms: Option<i64>,
    /// How long before the run the newest stored bar closed, in seconds.
    pub freshness_seconds: Option<f64>,
    /// True when the venue has more than this run asked for.
    pub is_behind: bool,
}

/// One series on its way through a run: [`next_request`](Self::next_request), then [`accept`](Self::accept) what came
/// back, then [`stored`](Self::stored), until there is no next request.
#[derive(Debug)]
pub struct SeriesPoll {
    timeframe: Timeframe,
    now_ms: i64,
    start_time_ms: Option<i64>,
    newest_seen_ms: Option<i64>,
    newest_accepted_ms: Option<i64>,
    is_done: bool,
    quarantined: Vec<Quarantined>,
    result: SeriesResult,
}

impl SeriesPoll {
    /// Begins with the newest stored bar, which is asked for again in case the venue corrected it, or where
    /// `backfill` says. Bars that have not closed by `now_ms` (Unix milliseconds) are left for a later run.
    pub fn new(
        series: &Series,
        timeframe: Timeframe,
        backfill: Backfill,
        newest_stored_ms: Option<i64>,
        now_ms: i64,
    ) -> Self {
        let start_time_ms = newest_stored_ms.or(match backfill {
            Backfill::Earliest => Some(0),
            Backfill::Latest => None,
            Backfill::From(millis) => Some(millis),
        });
        Self {
            timeframe,
            now_ms,
            start_time_ms,
            newest_seen_ms: None,
            newest_accepted_ms: None,
            is_done: false,
            quarantined: Vec::new(),
            result: SeriesResult {
                instrument: series.instrument.to_string(),
                symbol: series.symbol.clone(),
                pages: 0,
                inserted: 0,
                updated: 0,
                unchanged: 0,
                quarantined: 0,
                newest_open_time_ms: newest_stored_ms,
                freshness_seconds: None,
                is_behind: false,
            },
        }
    }

    /// The next page to ask for. None: the series is done for this run.
    pub fn next_request(&self) -> Option<klines::Request> {
        (!self.is_done).then(|| klines::Request {
            symbol: self.result.symbol.clone(),
            interval: self.timeframe,
            start_time_ms: self.start_time_ms,
            end_time_ms: None,
            limit: klines::MAX_LIMIT,
        })
    }

    /// Takes a page as it came. Gives the bars to store, ascending; the others are quarantined or not closed yet.
    ///
    /// # Errors
    /// The bars cannot be held together in columns.
    pub fn accept(&mut self, page: Vec<Bar>) -> Result<Option<Columns>, String> {
        let is_full = page.len() >= usize::from(klines::MAX_LIMIT);
        let mut good = Vec::with_capacity(page.len());
        let mut newest_in_page = None;
        let mut saw_open_bar = false;
        for bar in page {
            if self.timeframe.close_time_ms(bar.open_time_ms) > self.now_ms {
                saw_open_bar = true;
                continue;
            }
            newest_in_page = newest_in_page.max(Some(bar.open_time_ms));
            match self.objection(&bar) {
                Some(reason) => self.quarantine(bar.open_time_ms, reason),
                None => {
                    self.newest_seen_ms = Some(bar.open_time_ms);
                    good.push(bar);
                }
            }
        }
        self.result.pages += 1;
        self.turn_page(newest_in_page, is_full && !saw_open_bar);
        let columns = Columns::from_bars(&good).or_else(|_| {
            // One bar that fits no column must not keep the page from being stored.
            good.retain(|bar| match Columns::from_bars(std::slice::from_ref(bar)) {
                Ok(_) => true,
                Err(error) => {
                    self.quarantine(bar.open_time_ms, format!("invalid_bar: {error}"));
                    false
                }
            });
            Columns::from_bars(&good)
        });
        if good.is_empty() {
            return Ok(None);
        }
        let columns =
            columns.map_err(|error| format!("bars of {}: {error}", self.result.instrument))?;
        self.newest_accepted_ms = columns.open_time_ms.last().copied();
        Ok(Some(columns))
    }

    /// Decides whether there is a next page. One that would not begin later than this one did is not asked for,
    /// so a venue that answers the same page for ever ends the series.
    fn turn_page(&mut self, newest_in_page: Option<i64>, has_more: bool) {
        let next = newest_in_page.and_then(|newest| newest.checked_add(self.timeframe.millis()));
        let advances = next.is_some() && next > self.start_time_ms;
        self.is_done = !has_more || !advances || self.result.pages >= MAX_PAGES;
        self.result.is_behind = has_more && advances && self.is_done;
        if advances {
            self.start_time_ms = next;
        }
    }

    fn objection(&self, bar: &Bar) -> Option<String> {
        if self.newest_seen_ms == Some(bar.open_time_ms) {
            return Some("duplicate".to_owned());
        }
        let floor = self.newest_seen_ms.max(self.start_time_ms);
        if floor.is_some_and(|floor| bar.open_time_ms < floor) {
            return Some("out_of_order".to_owned());
        }
        let step_ms = self.timeframe.millis();
        if DAY_MS % step_ms == 0 && bar.open_time_ms.rem_euclid(step_ms) != 0 {
            return Some("off_grid".to_owned());
        }
        let error = bar.validate().err()?;
        Some(format!("invalid_bar: {error}"))
    }

    fn quarantine(&mut self, open_time_ms: i64, reason: String) {
        self.result.quarantined = self.result.quarantined.saturating_add(1);
        if self.quarantined.len() < MAX_QUARANTINED_KEPT {
            self.quarantined.push(Quarantined {
                instrument: self.result.instrument.clone(),
                open_time_ms,
                reason,
            });
        }
    }

    /// Counts what the append of the last accepted page changed.
    pub fn stored(&mut self, appended: Appended) {
        self.result.inserted = self.result.inserted.saturating_add(appended.inserted);
        self.result.updated = self.result.updated.saturating_add(appended.updated);
        self.result.unchanged = self.result.unchanged.saturating_add(appended.unchanged);
        self.result.newest_open_time_ms =
            self.result.newest_open_time_ms.max(self.newest_accepted_ms);
    }

    /// What became of the series, and the bars that were quarantined.
    pub fn finish(mut self) -> (SeriesResult, Vec<Quarantined>) {
        self.result.freshness_seconds = self.result.newest_open_time_ms.map(|newest| {
            let closed_at = self.timeframe.close_time_ms(newest);
            self.now_ms.saturating_sub(closed_at) as f64 / 1_000.0
        });
        (self.result, self.quarantined)
    }
}
