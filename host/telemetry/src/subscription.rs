use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::bus::Inner;
use crate::{CloudEvent, TopicPrefix};

/// Events that may wait for one subscriber. The oldest leaves for one more.
pub const SUBSCRIBER_QUEUE: usize = 4_096;

/// Bytes that may wait for one subscriber, as JSON. Subscribers share the events, so that many of them do not hold many
/// copies.
pub const SUBSCRIBER_QUEUE_BYTES: usize = 16 << 20;

/// The events that wait for one subscriber.
#[derive(Debug)]
pub(crate) struct Queue {
    pub prefix: TopicPrefix,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<CloudEvent>>,
    bytes: usize,
    lagged: u64,
    is_closed: bool,
}

impl Queue {
    pub fn new(prefix: TopicPrefix) -> Self {
        Self {
            prefix,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds an event, and gives how many older ones left for it.
    pub fn push(&self, event: Arc<CloudEvent>) -> u64 {
        let mut waiting = self.waiting();
        waiting.bytes += event.as_json().len();
        waiting.events.push_back(event);
        let mut lost = 0;
        // An event is shorter than the queue, so that the newest always stays.
        while waiting.events.len() > SUBSCRIBER_QUEUE || waiting.bytes > SUBSCRIBER_QUEUE_BYTES {
            let Some(oldest) = waiting.events.pop_front() else {
                break;
            };
            waiting.bytes -= oldest.as_json().len();
            lost += 1;
        }
        waiting.lagged += lost;
        drop(waiting);
        self.arrived.notify_one();
        lost
    }

    /// No more events come.
    pub fn close(&self) {
        self.waiting().is_closed = true;
        self.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of some topics, from the subscription on. Dropped, it ends.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    bus: Arc<Inner>,
}

impl Subscription {
    pub(crate) fn new(queue: Arc<Queue>, bus: Arc<Inner>) -> Self {
        Self { queue, bus }
    }

    /// The next event; waits for it. None: the bus was stopped, and all that it had taken was given.
    pub async fn next(&mut self) -> Option<Arc<CloudEvent>> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.queue.waiting().is_closed {
                return self.try_next();
            }
            // One that comes between the look and the wait leaves its notice, so that none is slept through.
            self.queue.arrived.notified().await;
        }
    }

    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<Arc<CloudEvent>> {
        let mut waiting = self.queue.waiting();
        let event = waiting.events.pop_front()?;
        waiting.bytes -= event.as_json().len();
        Some(event)
    }

    /// How many events were lost since this was asked last, because they were not taken in time.
    pub fn take_lagged(&mut self) -> u64 {
        std::mem::take(&mut self.queue.waiting().lagged)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.forget(&self.queue);
    }
}
