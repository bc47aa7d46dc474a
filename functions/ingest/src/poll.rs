//! What is asked for of a series, and what of the answer is stored. Pure.

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::timeframe::Timeframe;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::ports::Appended;

mod rules;

/// The most pages of one series that one run asks for; what is left, the next run goes on with.
pub const MAX_PAGES: u32 = 10;
/// The most quarantined bars that one run remembers one by one; those beyond are counted.
pub const MAX_QUARANTINED_KEPT: usize = 50;
/// How far ahead of ours a venue's clock may be, in milliseconds, before a bar of it counts as one of the future.
pub const MAX_CLOCK_SKEW_MS: i64 = 5_000;

/// How the reason of a bar begins that was put aside for a jump.
pub const ABSURD_JUMP: &str = "absurd_jump";
/// The reason of a bar that came behind a later one.
const OUT_OF_ORDER: &str = "out_of_order";

/// A bar that was not stored, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The instrument.
    pub instrument: String,
    /// When the bar opens, in Unix milliseconds.
    pub open_time_ms: i64,
    /// `duplicate`, `out_of_order`, `off_grid`, `clock_skew: …`, `market_closed`, `invalid_bar: …` or `absurd_jump: …`.
    pub reason: String,
}

impl Quarantined {
    /// Whether it was put aside for a jump.
    pub fn is_jump(&self) -> bool {
        self.reason.starts_with(ABSURD_JUMP)
    }
}

/// What bars of a series have to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Their length.
    pub timeframe: Timeframe,
    /// When the market is open.
    pub calendar: Calendar,
    /// Whether bars of a day and more open at midnight in UTC; shorter ones open at multiples of their length anywhere.
    pub days_begin_in_utc: bool,
    /// When a bar of the series opened that is stored, in Unix milliseconds: bars of a day and more open at the same time of the
    /// day, to within the hour of daylight saving. None: there is none.
    pub stored_open_ms: Option<i64>,
    /// From what distance on a bar jumps, as a fraction of the close before it. None: it is not looked at.
    pub max_jump: Option<Decimal>,
}

/// From where to where a series is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// From the bar on that opens then, in Unix milliseconds. None: the venue's most recent page.
    pub start_time_ms: Option<i64>,
    /// Up to the bar that opens then: it is a gap between stored bars. None: to the newest.
    pub end_time_ms: Option<i64>,
    /// The close of the bar before, or of the one at the start, that jumps are measured from.
    pub reference: Option<Decimal>,
}

/// One series on its way through a run: [`next_range`](Self::next_range), then [`accept`](Self::accept) what came
/// back, then [`stored`](Self::stored), until there is no next range.
#[derive(Debug)]
pub struct SeriesPoll {
    instrument: String,
    rules: Rules,
    now_ms: i64,
    range: Range,
    newest_seen_ms: Option<i64>,
    /// The last bar so far, where it jumps: the next one tells whether it stands.
    held: Option<(Bar, String)>,
    /// From where a page was asked for again, since a bar came there behind a later one, in Unix milliseconds.
    again_from_ms: Option<Option<i64>>,
    /// Whether parts are of no use until it goes on from there.
    is_cut: bool,
    is_done: bool,
    quarantined: Vec<Quarantined>,
    tally: Tally,
}

/// Where a page is cut.
struct Cut {
    /// When the bar opens that stands behind a later one, in Unix milliseconds.
    late_ms: i64,
    /// From where the page is asked for once more, in Unix milliseconds.
    from_ms: Option<i64>,
}

/// What became of a series in a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages asked for.
    pub pages: u32,
    /// What the appends changed.
    pub appended: Appended,
    /// Bars that were not stored because something is wrong with them.
    pub quarantined: u32,
    /// True when the venue has more than was asked for.
    pub is_behind: bool,
}

impl SeriesPoll {
    /// Begins where `range` says. Bars that have not closed by `now_ms` (Unix milliseconds) are left for a later run.
    pub fn new(instrument: &str, rules: Rules, range: Range, now_ms: i64) -> Self {
        Self {
            instrument: instrument.to_owned(),
            rules,
            now_ms,
            range,
            newest_seen_ms: None,
            held: None,
            again_from_ms: None,
            is_cut: false,
            is_done: false,
            quarantined: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Whether it asks for bars that are missing between others, and not for what is newer than all of them.
    pub fn fills_a_gap(&self) -> bool {
        self.range.end_time_ms.is_some()
    }

    /// Goes on behind what came so far, where the pages that it came in are asked for in another way.
    pub fn go_on(&mut self) {
        let next = self
            .newest_seen_ms
            .and_then(|newest| newest.checked_add(self.rules.timeframe.millis()));
        self.range.start_time_ms = self.range.start_time_ms.max(next);
        self.is_cut = false;
    }

    /// What the next page is to hold. None: the series is done for this run.
    pub fn next_range(&self) -> Option<Range> {
        (!self.is_done).then_some(self.range)
    }

    /// Takes a page of this series as it came; it `is_full` when there may be another. Gives the bars to store, ascending; the
    /// others are quarantined or not closed yet. Where a bar stands behind a later one, the page counts up to there, and is asked
    /// for once more from there.
    ///
    /// # Errors
    /// The bars cannot be held together in columns.
    pub fn accept(&mut self, mut page: Vec<Bar>, is_full: bool) -> Result<Option<Columns>, String> {
        self.tally.pages += 1;
        if let Some(cut) = self.cut_where_out_of_order(&mut page) {
            let columns = self.judge_cut(page, cut);
            self.end_if_all_pages_are_used();
            return columns;
        }
        let newest = page.iter().map(|bar| bar.open_time_ms);
        let newest_closed = newest
            .filter(|opens| self.rules.timeframe.close_time_ms(*opens) <= self.now_ms)
            .max();
        let saw_open_bar = page
            .iter()
            .any(|bar| self.rules.timeframe.close_time_ms(bar.open_time_ms) > self.now_ms);
        let columns = self.judge(page);
        self.turn_page(newest_closed, is_full && !saw_open_bar);
        columns
    }

    /// Leaves of a page what comes before the place of its first bar that stands behind a later one. None: the page is in order, or was out
    /// of order when it was asked for from that place.
    fn cut_where_out_of_order(&self, page: &mut Vec<Bar>) -> Option<Cut> {
        let (place, late_ms) = self.first_out_of_order(page)?;
        let before_it = page.iter().take(place).map(|bar| bar.open_time_ms);
        let last_ms = before_it.filter(|opens| *opens < late_ms).max();
        let next = last_ms.and_then(|last| last.checked_add(self.rules.timeframe.millis()));
        // What stands off the grid has a next place of its own.
        let from_ms = next
            .map(|next| next.min(late_ms))
            .max(self.range.start_time_ms);
        if self.again_from_ms == Some(from_ms) {
            return None;
        }
        page.truncate(place);
        page.retain(|bar| bar.open_time_ms < late_ms);
        Some(Cut { late_ms, from_ms })
    }

    /// What is left of a page, and goes on from where it was cut.
    fn judge_cut(&mut self, page: Vec<Bar>, cut: Cut) -> Result<Option<Columns>, String> {
        let columns = self.judge(page);
        self.quarantine(cut.late_ms, OUT_OF_ORDER.to_owned());
        self.again_from_ms = Some(cut.from_ms);
        self.range.start_time_ms = cut.from_ms;
        columns
    }

    /// The first bar of a page that stands behind a later one, and nowhere else: its place, and when it opens.
    fn first_out_of_order(&self, page: &[Bar]) -> Option<(usize, i64)> {
        let mut newest_ms = None;
        page.iter().enumerate().find_map(|(place, bar)| {
            let opens_ms = bar.open_time_ms;
            let is_late = Some(opens_ms) < newest_ms && Some(opens_ms) >= self.range.start_time_ms;
            if self.rules.timeframe.close_time_ms(opens_ms) <= self.now_ms {
                newest_ms = newest_ms.max(Some(opens_ms));
            }
            let came_before = || {
                page[..place]
                    .iter()
                    .any(|other| other.open_time_ms == opens_ms)
            };
            (is_late && !came_before()).then_some((place, opens_ms))
        })
    }

    /// Takes a part of an answer for several series, which has its own way of going on. Bars before this series' own start
    /// were asked for on behalf of another.
    ///
    /// # Errors
    /// The bars cannot be held together in columns.
    pub fn accept_part(&mut self, mut part: Vec<Bar>) -> Result<Option<Columns>, String> {
        if self.is_cut {
            // It stands behind what is to be asked for once more.
            return Ok(None);
        }
        if let Some(start) = self.range.start_time_ms {
            part.retain(|bar| bar.open_time_ms >= start);
        }
        self.tally.pages += 1;
        if let Some(cut) = self.cut_where_out_of_order(&mut part) {
            self.is_cut = true;
            return self.judge_cut(part, cut);
        }
        self.judge(part)
    }

    /// Whether a part was cut, so that what follows is still to be asked for.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether that may be in this run.
    pub fn wants_again(&self) -> bool {
        self.is_cut && self.tally.pages < MAX_PAGES
    }

    /// Ends the series: there is no more, or nothing more is asked for.
    pub fn end(&mut self, is_behind: bool) {
        self.is_done = true;
        self.tally.is_behind = is_behind;
    }

    /// The good bars in columns; what is wrong with the others is remembered.
    fn judge(&mut self, bars: Vec<Bar>) -> Result<Option<Columns>, String> {
        let mut good = Vec::with_capacity(bars.len() + 1);
        good.extend(self.held.take().map(|(bar, _)| bar));
        for bar in bars {
            if self.rules.timeframe.close_time_ms(bar.open_time_ms) > self.now_ms {
                if let Some(reason) = self.rules.of_the_future(&bar, self.now_ms) {
                    self.quarantine(bar.open_time_ms, reason);
                }
                continue;
            }
            let floor = self.newest_seen_ms.max(self.range.start_time_ms);
            match self.rules.objection(&bar, self.newest_seen_ms, floor) {
                Some(reason) => self.quarantine(bar.open_time_ms, reason),
                None => {
                    self.newest_seen_ms = Some(bar.open_time_ms);
                    good.push(bar);
                }
            }
        }
        let newest = good.last().copied();
        for (open_time_ms, reason) in self.rules.put_jumps_aside(&mut good, self.range.reference) {
            match &newest {
                Some(bar) if bar.open_time_ms == open_time_ms => {
                    self.held = Some((*bar, reason));
                }
                _ => self.quarantine(open_time_ms, reason),
            }
        }
        let Some(last) = good.last() else {
            return Ok(None);
        };
        self.range.reference = Some(last.close);
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
        columns
            .map(Some)
            .map_err(|error| format!("bars of {}: {error}", self.instrument))
    }

    /// Decides whether there is a next page. One that would not begin later than this one did is not asked for,
    /// so a venue that answers the same page for ever ends the series.
    fn turn_page(&mut self, newest_in_page: Option<i64>, has_more: bool) {
        let next =
            newest_in_page.and_then(|newest| newest.checked_add(self.rules.timeframe.millis()));
        let advances = next.is_some() && next > self.range.start_time_ms;
        if advances {
            self.range.start_time_ms = next;
        }
        if has_more && advances {
            self.end_if_all_pages_are_used();
        } else {
            self.end(false);
        }
    }

    /// There is more: for a later run, if this one has asked for all its pages.
    fn end_if_all_pages_are_used(&mut self) {
        if self.tally.pages >= MAX_PAGES {
            self.end(true);
        }
    }

    fn quarantine(&mut self, open_time_ms: i64, reason: String) {
        self.tally.quarantined = self.tally.quarantined.saturating_add(1);
        if self.quarantined.len() < MAX_QUARANTINED_KEPT {
            self.quarantined.push(Quarantined {
                instrument: self.instrument.clone(),
                open_time_ms,
                reason,
            });
        }
    }

    /// Counts what the append of the last accepted bars changed.
    pub fn stored(&mut self, appended: Appended) {
        self.tally.appended.add(appended);
    }

    /// What became of the series, and the bars that were quarantined.
    pub fn finish(mut self) -> (Tally, Vec<Quarantined>) {
        if let Some((bar, reason)) = self.held.take() {
            self.quarantine(bar.open_time_ms, reason);
        }
        (self.tally, self.quarantined)
    }
}
