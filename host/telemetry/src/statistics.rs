use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bulkhead_kernel::instant::rfc3339;
use serde::Serialize;

/// How the bus stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Whether it takes events.
    pub running: bool,
    /// Whether its task still gives out what it has taken.
    pub loop_running: bool,
    /// Runs' ends and single events that wait to be given out.
    pub queue_size: usize,
    /// Most that may wait.
    pub queue_capacity: usize,
    /// Subscriptions there are, handlers included.
    pub subscriber_count: usize,
    /// How many of them there are for each topic prefix.
    pub topic_subscribers: BTreeMap<String, usize>,
    /// Events that were given out, whether anybody asked for them or not.
    pub published_events: u64,
    /// Events for which there was no room, or that came when the bus was stopped.
    pub dropped_events: u64,
    /// Events of reports that are none: their topic, subject or data is not what it must be.
    pub invalid_events: u64,
    /// Events that slow subscribers lost, over all of them.
    pub lagged_events: u64,
    /// Failures of handlers.
    pub handler_errors: u64,
    /// When the last event was given out, RFC 3339.
    pub last_event_timestamp: Option<String>,
    /// When a handler last failed, RFC 3339.
    pub last_error_timestamp: Option<String>,
    /// When the bus was started, RFC 3339.
    pub started_at: String,
    /// Whole seconds since then.
    pub uptime_seconds: u64,
}

/// An instant that has not come yet.
const NEVER: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct Counters {
    pub published: AtomicU64,
    pub dropped: AtomicU64,
    pub invalid: AtomicU64,
    pub lagged: AtomicU64,
    pub handler_errors: AtomicU64,
    last_event_ms: AtomicI64,
    last_error_ms: AtomicI64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            published: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
            lagged: AtomicU64::new(0),
            handler_errors: AtomicU64::new(0),
            last_event_ms: AtomicI64::new(NEVER),
            last_error_ms: AtomicI64::new(NEVER),
        }
    }
}

impl Counters {
    pub fn count_published(&self, now_ms: i64) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.last_event_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn count_handler_error(&self, now_ms: i64) {
        self.handler_errors.fetch_add(1, Ordering::Relaxed);
        self.last_error_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Puts what is counted into `statistics`.
    pub fn read_into(&self, statistics: &mut Statistics) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let instant = |at: &AtomicI64| {
            let at_ms = at.load(Ordering::Relaxed);
            (at_ms != NEVER).then(|| rfc3339(at_ms))
        };
        statistics.published_events = count(&self.published);
        statistics.dropped_events = count(&self.dropped);
        statistics.invalid_events = count(&self.invalid);
        statistics.lagged_events = count(&self.lagged);
        statistics.handler_errors = count(&self.handler_errors);
        statistics.last_event_timestamp = instant(&self.last_event_ms);
        statistics.last_error_timestamp = instant(&self.last_error_ms);
    }
}
