//! What a feed is doing, and what it has done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_kernel::instant::rfc3339;
use bulkhead_stage::Clock;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::SessionError;
use crate::frame::{Frame, Kind};
use crate::plan::FeedPlan;
use crate::queue::{FrameQueue, QueueCounts};

/// A feed without a frame for longer than this, in milliseconds, is stale (the health contract's 60 s); so is one whose
/// batch is not taken for as long.
pub const STALE_AFTER_MS: i64 = 60_000;

/// The longest that a venue's or a stage's words are kept.
const MAX_DETAIL_CHARS: usize = 500;

/// How a feed's connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// It is made for the first time.
    Connecting,
    /// It stands, and the venue streams what was asked for.
    Running,
    /// It was lost, or could not be made, and is made again.
    Reconnecting,
    /// It was refused for good: credentials, subscription or grant must change first.
    Fatal,
    /// The host has stopped it.
    Stopped,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counters {
    pub quote_events: u64,
    pub bar_events: u64,
    pub trade_events: u64,
    pub unreadable_events: u64,
    pub ignored_events: u64,
    pub frames_delivered: u64,
    pub batches_ok: u64,
    pub batches_err: u64,
    pub polls_ok: u64,
    pub polls_err: u64,
    pub reconnects: u64,
    pub disconnects: u64,
    pub replaced_quotes: u64,
    pub replaced_bars: u64,
    pub backpressure_waits: u64,
}

impl Counters {
    pub fn add(&mut self, other: &Self) {
        let Self {
            quote_events,
            bar_events,
            trade_events,
            unreadable_events,
            ignored_events,
            frames_delivered,
            batches_ok,
            batches_err,
            polls_ok,
            polls_err,
            reconnects,
            disconnects,
            replaced_quotes,
            replaced_bars,
            backpressure_waits,
        } = other;
        self.quote_events += quote_events;
        self.bar_events += bar_events;
        self.trade_events += trade_events;
        self.unreadable_events += unreadable_events;
        self.ignored_events += ignored_events;
        self.frames_delivered += frames_delivered;
        self.batches_ok += batches_ok;
        self.batches_err += batches_err;
        self.polls_ok += polls_ok;
        self.polls_err += polls_err;
        self.reconnects += reconnects;
        self.disconnects += disconnects;
        self.replaced_quotes += replaced_quotes;
        self.replaced_bars += replaced_bars;
        self.backpressure_waits += backpressure_waits;
    }
}

/// A feed's status, written by its tasks and read by the health and the heartbeat.
pub(crate) struct Status {
    plan: Arc<FeedPlan>,
    queue: Arc<FrameQueue>,
    clock: Arc<dyn Clock>,
    started_at_ms: i64,
    state: Mutex<State>,
}

struct State {
    connection: ConnectionState,
    detail: Option<String>,
    was_established: bool,
    last_frame_at_ms: Option<i64>,
    last_symbol: Option<String>,
    held: Option<Held>,
    counters: Counters,
}

/// A batch that the stage does not take.
#[derive(Debug, Clone)]
struct Held {
    since_ms: i64,
    why: String,
}

/// A status at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub name: String,
    pub connection: ConnectionState,
    pub last_frame_at_ms: Option<i64>,
    pub last_symbol: Option<String>,
    pub counters: Counters,
    /// Frames that were neither delivered nor replaced.
    pub undelivered: usize,
    /// What is wrong with it. None: nothing.
    pub complaint: Option<String>,
    /// All of it, for people.
    pub shown: Value,
}

impl Status {
    pub fn new(plan: Arc<FeedPlan>, queue: Arc<FrameQueue>, clock: Arc<dyn Clock>) -> Self {
        Self {
            started_at_ms: clock.now_ms(),
            plan,
            queue,
            clock,
            state: Mutex::new(State {
                connection: ConnectionState::Connecting,
                detail: None,
                was_established: false,
                last_frame_at_ms: None,
                last_symbol: None,
                held: None,
                counters: Counters::default(),
            }),
        }
    }

    pub fn connecting(&self) {
        let mut state = self.state();
        state.connection = match state.was_established || state.detail.is_some() {
            true => ConnectionState::Reconnecting,
            false => ConnectionState::Connecting,
        };
    }

    pub fn established(&self) {
        let mut state = self.state();
        state.counters.reconnects += u64::from(state.was_established);
        state.was_established = true;
        state.connection = ConnectionState::Running;
        state.detail = None;
    }

    pub fn lost(&self, error: &SessionError, was_established: bool) {
        let mut state = self.state();
        state.counters.disconnects += u64::from(was_established);
        state.connection = match error.is_final() {
            true => ConnectionState::Fatal,
            false => ConnectionState::Reconnecting,
        };
        state.detail = Some(cut(&error.chain()));
    }

    pub fn stopped(&self) {
        let mut state = self.state();
        if state.connection != ConnectionState::Fatal {
            state.connection = ConnectionState::Stopped;
        }
    }

    pub fn received(&self, frame: &Frame) {
        let mut state = self.state();
        let counter = match frame.kind {
            Kind::Bar | Kind::OpenBar(_) => &mut state.counters.bar_events,
            Kind::Trade => &mut state.counters.trade_events,
            Kind::Quote => &mut state.counters.quote_events,
            Kind::Unreadable => {
                state.counters.unreadable_events += 1;
                return;
            }
        };
        *counter += 1;
        state.last_frame_at_ms = Some(frame.received_at_ms);
        state.last_symbol = Some(frame.symbol.clone());
    }

    pub fn ignored(&self) {
        self.state().counters.ignored_events += 1;
    }

    pub fn batch_delivered(&self, frames: usize) {
        let mut state = self.state();
        state.counters.batches_ok += 1;
        state.counters.frames_delivered += u64::try_from(frames).unwrap_or(u64::MAX);
        state.held = None;
    }

    pub fn batch_held(&self, why: &str) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        state.counters.batches_err += 1;
        let since_ms = state.held.as_ref().map_or(now_ms, |held| held.since_ms);
        let why = cut(why);
        state.held = Some(Held { since_ms, why });
    }

    pub fn polled(&self, is_filled: bool) {
        let mut state = self.state();
        match is_filled {
            true => state.counters.polls_ok += 1,
            false => state.counters.polls_err += 1,
        }
    }

    /// What the stage is told of the connection its frames came over. JSON.
    pub fn for_the_stage(&self) -> Value {
        let queue = self.queue.counts();
        let state = self.state();
        json!({
            "name": self.plan.name,
            "connected": state.connection == ConnectionState::Running,
            "reconnects": state.counters.reconnects,
            "replaced_quotes": queue.replaced_quotes,
            "disconnects": state.counters.disconnects,
        })
    }

    pub fn snapshot(&self) -> Snapshot {
        let now_ms = self.clock.now_ms();
        let queue = self.queue.counts();
        let state = self.state();
        let counters = Counters {
            replaced_quotes: queue.replaced_quotes,
            replaced_bars: queue.replaced_bars,
            backpressure_waits: queue.backpressure_waits,
            ..state.counters
        };
        Snapshot {
            name: self.plan.name.clone(),
            connection: state.connection,
            last_frame_at_ms: state.last_frame_at_ms,
            last_symbol: state.last_symbol.clone(),
            counters,
            undelivered: queue.queued + queue.in_flight,
            complaint: self.complaint(&state, now_ms),
            shown: self.shown(&state, counters, queue, now_ms),
        }
    }

    fn complaint(&self, state: &State, now_ms: i64) -> Option<String> {
        let name = &self.plan.name;
        if state.connection == ConnectionState::Fatal {
            let detail = state.detail.as_deref().unwrap_or("refused");
            return Some(format!("feed `{name}` was refused for good: {detail}"));
        }
        if let Some(held) = &state.held
            && now_ms.saturating_sub(held.since_ms) > STALE_AFTER_MS
        {
            return Some(format!(
                "feed `{name}`: a batch is not taken since {}: {}",
                rfc3339(held.since_ms),
                held.why
            ));
        }
        let age_ms = self.age_ms(state, now_ms);
        (age_ms > STALE_AFTER_MS).then(|| {
            let detail = match &state.detail {
                Some(detail) => format!("; {detail}"),
                None => String::new(),
            };
            format!(
                "feed `{name}` is stale: no frame for {} s, the limit is {} s{detail}",
                age_ms / 1_000,
                STALE_AFTER_MS / 1_000
            )
        })
    }

    /// How long ago the last frame came; before the first one, how long ago the feed was started.
    fn age_ms(&self, state: &State, now_ms: i64) -> i64 {
        now_ms.saturating_sub(state.last_frame_at_ms.unwrap_or(self.started_at_ms))
    }

    fn shown(&self, state: &State, counters: Counters, queue: QueueCounts, now_ms: i64) -> Value {
        let mut shown = json!({
            "name": self.plan.name,
            "component": self.plan.component,
            "venue": self.plan.venue.as_str(),
            "url": self.plan.url.text,
            "state": state.connection,
            "detail": state.detail,
            "last_symbol": state.last_symbol,
            "last_frame_at": state.last_frame_at_ms.map(rfc3339),
            "age_seconds": self.age_ms(state, now_ms).max(0) / 1_000,
            "queued": queue.queued,
            "in_flight": queue.in_flight,
            "held_since": state.held.as_ref().map(|held| rfc3339(held.since_ms)),
            "held_because": state.held.as_ref().map(|held| held.why.as_str()),
        });
        if let (Some(shown), Ok(Value::Object(counters))) =
            (shown.as_object_mut(), serde_json::to_value(counters))
        {
            shown.extend(counters);
        }
        shown
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).collect()
}
