//! What is asked for together.

use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::alpaca::Market;

use crate::poll::SeriesPoll;
use crate::settings::Venue;
use crate::source::Wanted;

/// How far the starts of series may be apart that are asked for together, in bars: what comes for one of them on behalf of
/// another is put aside.
const MAX_SPREAD_BARS: i64 = 100;

/// A series of a pass.
#[derive(Debug)]
pub(super) struct Member {
    /// Its place among the run's series.
    pub index: usize,
    /// The venue's symbol.
    pub symbol: String,
    /// Where Alpaca has it.
    pub market: Market,
    /// Its bars' length.
    pub timeframe: Timeframe,
    /// Where it stands.
    pub poll: SeriesPoll,
}

/// Series that are asked for in one request, and its next pages.
#[derive(Debug)]
pub(super) struct Job {
    /// One at least, of one market and one length.
    pub members: Vec<Member>,
    /// What asks for the next page.
    pub page_token: Option<String>,
    /// How many pages came.
    pub pages: u32,
}

impl Job {
    fn new(members: Vec<Member>) -> Self {
        Self {
            members,
            page_token: None,
            pages: 0,
        }
    }

    /// A job of one of its members, to end it.
    pub fn only(&self, member: Member) -> Self {
        Self::new(vec![member])
    }

    /// Its members in two jobs, to find out which one the venue refuses.
    pub fn halves(mut self) -> [Self; 2] {
        for member in &mut self.members {
            member.poll.go_on();
        }
        let second = self.members.split_off(self.members.len() / 2);
        [Self::new(self.members), Self::new(second)]
    }

    /// The next page.
    pub fn wanted(&self, venue: Venue) -> Wanted<'_> {
        let ranges = self
            .members
            .iter()
            .filter_map(|member| member.poll.next_range());
        let starts = ranges.clone().filter_map(|range| range.start_time_ms);
        let first = self.members.first();
        Wanted {
            venue,
            market: first.map_or(Market::Crypto, |member| member.market),
            symbols: self
                .members
                .iter()
                .map(|member| member.symbol.clone())
                .collect(),
            timeframe: first.map_or(Timeframe::DAY, |member| member.timeframe),
            start_ms: starts.min(),
            end_ms: ranges.clone().next().and_then(|range| range.end_time_ms),
            page_token: self.page_token.as_deref(),
        }
    }
}

/// Puts series together that can be asked for together: of one market and length, up to one instant, from about the same one on.
pub(super) fn grouped(mut members: Vec<Member>, most: usize) -> Vec<Job> {
    if most > 1 {
        members.sort_by_key(key);
    }
    let mut jobs: Vec<Job> = vec![];
    for member in members {
        match jobs.last_mut() {
            Some(job) if job.members.len() < most && fits(job, &member) => job.members.push(member),
            _ => jobs.push(Job::new(vec![member])),
        }
    }
    jobs
}

type GroupKey = (bool, i64, Option<i64>, Option<i64>);

fn key(member: &Member) -> GroupKey {
    let range = member.poll.next_range().unwrap_or_default();
    (
        member.market == Market::Crypto,
        member.timeframe.millis(),
        range.end_time_ms,
        range.start_time_ms,
    )
}

fn fits(job: &Job, member: &Member) -> bool {
    let Some(first) = job.members.first() else {
        return true;
    };
    let (market, step_ms, end, start) = key(first);
    let (its_market, its_step_ms, its_end, its_start) = key(member);
    let is_near = match (start, its_start) {
        (Some(start), Some(its_start)) => {
            its_start.saturating_sub(start) <= step_ms.saturating_mul(MAX_SPREAD_BARS)
        }
        (start, its_start) => start == its_start,
    };
    (market, step_ms, end) == (its_market, its_step_ms, its_end) && is_near
}
