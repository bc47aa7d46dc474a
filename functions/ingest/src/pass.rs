//! One pass over series at one source: at most eight requests at a time, each page stored before the next one of its
//! series is asked for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::StageError;
use bulkhead_venues::rate_limit::Budget;
use bulkhead_venues::{HttpResponse, VenueError};

use crate::join;
use crate::poll::{MAX_PAGES, Quarantined, Range, Rules, SeriesPoll, Tally};
use crate::ports::{FetchError, Fetched, Ports};
use crate::series::{Known, Shape, cut};
use crate::settings::{Settings, Source, Venue};
use crate::source::{Answer, Ask, market};

mod jobs;
use jobs::{Job, Member};

/// The most bytes of one answer that are read; a full page takes about a fifth of it.
pub const MAX_RESPONSE_BYTES: usize = 1 << 20;
/// The most bytes that a run reads of all answers: below the manifest's `response_bytes` of 16 MiB.
pub const MAX_BYTES_OF_RUN: usize = 15 << 20;
/// After so long a run asks for nothing more, in milliseconds: below the manifest's `deadline` of 30 s.
pub const MAX_ASKING_MS: f64 = 20_000.0;

/// How much of a request's path and query an error repeats.
const MAX_PATH_SHOWN_BYTES: usize = 120;

/// Where a series stands in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It is not asked for: no bar is due, or it failed lately.
    Idle,
    /// It is to be asked for.
    Wanted,
    /// A source answered.
    Done,
    /// The run had no room left to ask.
    Left,
    /// The venue's budget had no room left to ask.
    RateLimited,
    /// The source that was asked last failed.
    Failed(StageError),
    /// It failed in an earlier run, for this reason, and is left alone for a while.
    Waiting(String),
}

impl Progress {
    /// Why no source gave it anything, if so.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error.detail()),
            Self::Waiting(why) => Some(why),
            Self::Idle | Self::Wanted | Self::Done | Self::Left | Self::RateLimited => None,
        }
    }
}

/// A series on its way through a run.
#[derive(Debug)]
pub struct SeriesRun {
    /// The dimension.
    pub dimension: Dimension,
    /// The instrument.
    pub instrument: Instrument,
    /// What it is.
    pub shape: Shape,
    /// What is known of it.
    pub known: Known,
    /// Where it stands.
    pub progress: Progress,
    /// What changed in the run.
    pub tally: Tally,
    /// The source that answered.
    pub served_by: Option<String>,
    /// Bars that were not stored.
    pub quarantined: Vec<Quarantined>,
    /// Whether bars were stored before the newest, so that what is known of the lookback is to be read anew.
    pub has_older_bars: bool,
}

/// What a run may still read, of all passes together.
#[derive(Debug, Default)]
pub struct Room {
    received_bytes: Cell<usize>,
    in_flight: Cell<usize>,
}

impl Room {
    fn is_left(&self, elapsed_ms: f64) -> bool {
        let reserved = (self.in_flight.get() + 1).saturating_mul(MAX_RESPONSE_BYTES);
        let bytes = self.received_bytes.get().saturating_add(reserved);
        bytes <= MAX_BYTES_OF_RUN && elapsed_ms < MAX_ASKING_MS
    }
}

/// Why a pass ended before it was through.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// The venue's budget: no request before this instant, in Unix milliseconds.
    RateLimited(i64),
    /// Any other series would meet the same.
    Source(StageError),
    /// The store did not take what came in.
    Store(StageError),
}

/// A pass.
pub struct Pass<'a, P> {
    ports: &'a P,
    settings: &'a Settings,
    source: &'a Source,
    series: &'a [RefCell<SeriesRun>],
    room: &'a Room,
    budget: RefCell<Budget>,
    now_ms: i64,
    queue: RefCell<VecDeque<Job>>,
    stop: RefCell<Option<Stop>>,
}

/// What is to be asked for of a series.
pub type Target = (usize, Range);

impl<'a, P: Ports> Pass<'a, P> {
    /// Asks `source` for `targets` as of the run's `now_ms`, and stores what comes. Each series ends as done, left, rate limited or failed.
    /// Gives what is left of the budget, and why the pass ended early, if it did.
    pub async fn carry_out(
        (ports, settings, source): (&'a P, &'a Settings, &'a Source),
        series: &'a [RefCell<SeriesRun>],
        targets: Vec<Target>,
        (room, budget): (&'a Room, Budget),
        now_ms: i64,
    ) -> (Budget, Option<Stop>) {
        let pass = Self {
            ports,
            settings,
            source,
            series,
            room,
            budget: RefCell::new(budget),
            now_ms,
            queue: RefCell::new(VecDeque::new()),
            stop: RefCell::new(None),
        };
        pass.queue(targets);
        join::all((0..join::MAX_CONCURRENT).map(|_| pass.work())).await;
        pass.put_down();
        (pass.budget.into_inner(), pass.stop.into_inner())
    }

    fn queue(&self, targets: Vec<Target>) {
        let mut members = vec![];
        for (index, range) in targets {
            let series = self.series[index].borrow();
            let venue = self.source.venue;
            let rules = Rules {
                timeframe: series.shape.timeframe,
                calendar: series.shape.calendar,
                days_begin_in_utc: venue == Venue::Binance,
                stored_open_ms: series.known.newest_open_time_ms,
                max_jump: self.settings.max_bar_jump,
            };
            let name = series.instrument.as_str();
            match venue.symbol(&series.instrument, self.settings) {
                Ok(symbol) => members.push(Member {
                    index,
                    symbol,
                    market: market(&series.instrument, self.settings),
                    timeframe: series.shape.timeframe,
                    poll: SeriesPoll::new(name, rules, range, self.now_ms),
                }),
                Err(error) => {
                    let error = StageError::Other(format!("{}: {error}", self.source));
                    drop(series);
                    self.series[index].borrow_mut().progress = Progress::Failed(error);
                }
            }
        }
        self.queue
            .replace(jobs::grouped(members, self.source.venue.symbols_per_request()).into());
    }

    async fn work(&self) {
        while self.stop.borrow().is_none() {
            let next = self.queue.borrow_mut().pop_front();
            let Some(job) = next else { return };
            if self.room.is_left(self.ports.elapsed_ms()) {
                self.ask(job).await;
            } else {
                self.leave(job);
            }
        }
    }

    async fn ask(&self, job: Job) {
        let wanted = job.wanted(self.source.venue);
        let ask = Ask::new(&wanted, self.settings);
        let http = match ask.to_http() {
            Ok(http) => http,
            Err(error) => {
                let text = format!("{}: {error}", self.source);
                return self.fail(job, &StageError::Other(text));
            }
        };
        let now_ms = self.ports.now_ms();
        let may_send = self.budget.borrow().may_send(ask.weight(), now_ms);
        if let Err(refusal) = may_send {
            self.queue.borrow_mut().push_front(job);
            return self.stop_with(Stop::RateLimited(refusal.not_before_ms));
        }
        self.budget.borrow_mut().spend(ask.weight(), now_ms);
        let origin = &self.source.origin;
        // A request may name a hundred symbols.
        let path = cut(&http.path_and_query, MAX_PATH_SHOWN_BYTES);
        let place = format!("{} {origin}{path}", http.method);
        self.room.in_flight.set(self.room.in_flight.get() + 1);
        let fetched = self.ports.fetch(origin, &http, MAX_RESPONSE_BYTES).await;
        self.room.in_flight.set(self.room.in_flight.get() - 1);
        match fetched {
            Ok(fetched) => self.read(job, &ask, &place, &fetched).await,
            Err(FetchError::Denied(why)) => {
                self.source_failed(job, StageError::Denied(format!("{place}: {why}")));
            }
            Err(FetchError::Unavailable(why)) => {
                self.source_failed(job, StageError::Unavailable(format!("{place}: {why}")));
            }
            Err(FetchError::TooLarge(limit)) => {
                let text = format!("{place}: the answer is longer than {limit} bytes");
                self.fail(job, &StageError::Other(text));
            }
        }
    }

    async fn read(&self, job: Job, ask: &Ask, place: &str, fetched: &Fetched) {
        let received = self.room.received_bytes.get();
        self.room
            .received_bytes
            .set(received.saturating_add(fetched.body.len()));
        let headers: Vec<(&str, &str)> = fetched
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let response = HttpResponse {
            status: fetched.status,
            headers: &headers,
            body: &fetched.body,
        };
        let now_ms = self.ports.now_ms();
        self.budget.borrow_mut().observe(&response, now_ms);
        match ask.parse(&response) {
            Ok(Answer::One(bars, is_full)) => self.take_one(job, bars, is_full).await,
            Ok(Answer::Several(mut by_symbol, token)) => {
                let part = |member: &Member| by_symbol.remove(&member.symbol).unwrap_or_default();
                let parts = job.members.iter().map(part).collect();
                self.take_several(job, parts, token).await;
            }
            Err(error) => self.refused(job, place, &error),
        }
    }

    fn refused(&self, job: Job, place: &str, error: &VenueError) {
        let mut text = format!("{place}: {error}");
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            text.push_str(&format!(": {source}"));
            cause = source.source();
        }
        match error {
            VenueError::RateLimited { .. } => {
                let now_ms = self.ports.now_ms();
                let not_before = self.budget.borrow().may_send(1, now_ms).err();
                let not_before_ms = not_before.map_or(now_ms, |refusal| refusal.not_before_ms);
                self.queue.borrow_mut().push_front(job);
                self.stop_with(Stop::RateLimited(not_before_ms));
            }
            error if error.is_transient() || error.is_of_source() => {
                self.source_failed(job, StageError::Unavailable(text));
            }
            // One symbol that the venue does not have, or one bar that is none, must not keep the others from being asked for.
            error if error.is_of_symbol() && job.members.len() > 1 => {
                let mut queue = self.queue.borrow_mut();
                for half in job.halves() {
                    queue.push_back(half);
                }
            }
            _ => self.fail(job, &StageError::Other(text)),
        }
    }

    async fn take_one(&self, mut job: Job, bars: Vec<Bar>, is_full: bool) {
        let Some(member) = job.members.first_mut() else {
            return;
        };
        let columns = member.poll.accept(bars, is_full);
        match self.store(member, columns).await {
            Err(error) => self.fail(job, &error),
            Ok(()) if member.poll.next_range().is_some() => self.queue.borrow_mut().push_back(job),
            Ok(()) => self.finish(job),
        }
    }

    async fn take_several(&self, mut job: Job, parts: Vec<Vec<Bar>>, token: Option<String>) {
        job.pages += 1;
        let mut broken = vec![];
        let members = job.members.drain(..).zip(parts);
        let stored = join::all(members.map(|(mut member, part)| async move {
            let columns = member.poll.accept_part(part);
            let stored = self.store(&mut member, columns).await;
            (member, stored)
        }));
        for (member, stored) in stored.await {
            match stored {
                Ok(()) => job.members.push(member),
                Err(error) => broken.push((member, error)),
            }
        }
        for (member, error) in broken {
            self.fail(job.only(member), &error);
        }
        match token {
            Some(token) if job.pages < MAX_PAGES => {
                job.page_token = Some(token);
                self.queue.borrow_mut().push_back(job);
            }
            more => {
                let mut again = vec![];
                for mut member in std::mem::take(&mut job.members) {
                    if more.is_none() && member.poll.wants_again() {
                        member.poll.go_on();
                        again.push(member);
                    } else {
                        member.poll.end(more.is_some() || member.poll.is_cut());
                        job.members.push(member);
                    }
                }
                let jobs = jobs::grouped(again, self.source.venue.symbols_per_request());
                self.queue.borrow_mut().extend(jobs);
                self.finish(job);
            }
        }
    }

    /// Stores accepted bars. An error of the store ends the pass.
    async fn store(
        &self,
        member: &mut Member,
        columns: Result<Option<Columns>, String>,
    ) -> Result<(), StageError> {
        let Some(columns) = columns.map_err(StageError::Other)? else {
            return Ok(());
        };
        let timeframe = member.timeframe.to_string();
        let instrument = self.series[member.index].borrow().instrument.to_string();
        let appended = self
            .ports
            .append(&instrument, &timeframe, columns.clone())
            .await
            .inspect_err(|error| self.stop_with(Stop::Store(error.clone())))?;
        member.poll.stored(appended);
        let mut series = self.series[member.index].borrow_mut();
        let shape = series.shape;
        let (first_ms, last_ms) = (columns.open_time_ms.first(), columns.open_time_ms.last());
        series.has_older_bars |=
            appended.inserted > 0 && first_ms < series.known.newest_open_time_ms.as_ref();
        series.known.observe(&columns, &shape);
        if let Some(last_ms) = last_ms.filter(|_| !member.poll.fills_a_gap()) {
            series.known.filled_to(*last_ms);
            if appended.rows() > 0 {
                series.known.given_by(&self.source.to_string());
            }
        }
        Ok(())
    }

    fn finish(&self, job: Job) {
        let source = self.source.to_string();
        let now_ms = self.now_ms;
        self.end(job, |series, tally, fills_a_gap| {
            // A gap says nothing of whether there is more behind the newest bar.
            if !fills_a_gap {
                let rows = tally.appended.rows();
                series
                    .known
                    .answered(&source, rows, tally.is_behind, now_ms);
            }
            series.served_by = Some(source.clone());
            series.progress = Progress::Done;
        });
    }

    fn fail(&self, job: Job, error: &StageError) {
        self.end(job, |series, _, _| {
            series.progress = Progress::Failed(error.clone());
        });
    }

    fn leave(&self, job: Job) {
        self.end(job, |series, _, fills_a_gap| {
            series.known.is_behind |= !fills_a_gap;
            series.progress = Progress::Left;
        });
    }

    /// The budget of the venue ended it. Where pages came there are more.
    fn limit(&self, job: Job) {
        self.end(job, |series, tally, fills_a_gap| {
            series.known.is_behind |= !fills_a_gap && tally.pages > 0;
            series.progress = Progress::RateLimited;
        });
    }

    /// Ends series: `how` is told what came, and whether it was to fill a gap.
    fn end(&self, job: Job, how: impl Fn(&mut SeriesRun, Tally, bool)) {
        for member in job.members {
            let fills_a_gap = member.poll.fills_a_gap();
            let (tally, quarantined) = member.poll.finish();
            let mut series = self.series[member.index].borrow_mut();
            series.known.quarantine(tally.quarantined, &quarantined);
            series.tally.pages = series.tally.pages.saturating_add(tally.pages);
            series.tally.appended.add(tally.appended);
            series.tally.quarantined = series.tally.quarantined.saturating_add(tally.quarantined);
            if !fills_a_gap {
                series.tally.is_behind = tally.is_behind;
            }
            series.quarantined.extend(quarantined);
            how(&mut series, tally, fills_a_gap);
        }
    }

    fn source_failed(&self, job: Job, error: StageError) {
        self.fail(job, &error);
        self.stop_with(Stop::Source(error));
    }

    fn stop_with(&self, stop: Stop) {
        self.stop.borrow_mut().get_or_insert(stop);
    }

    /// What was not asked for ends as whatever ended the pass.
    fn put_down(&self) {
        let rest: Vec<Job> = self.queue.borrow_mut().drain(..).collect();
        let stop = self.stop.borrow().clone();
        for job in rest {
            match &stop {
                Some(Stop::Source(error) | Stop::Store(error)) => self.fail(job, error),
                Some(Stop::RateLimited(_)) => self.limit(job),
                None => self.leave(job),
            }
        }
    }
}
