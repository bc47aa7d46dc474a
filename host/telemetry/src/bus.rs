use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_kernel::instant::rfc3339;
use bulkhead_stage::Clock;
use bulkhead_supervisor::{EventSink, RunEnded, RunStatus};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::report::{Reported, Reporter};
use crate::statistics::{Counters, Statistics};
use crate::subscription::{Queue, Subscription};
use crate::{CloudEvent, TopicPrefix};

/// Runs' ends and single events that may wait to be given out. What comes when they do is dropped.
pub const BUS_QUEUE: usize = 4_096;

/// Bytes of the events that may wait to be given out.
pub const BUS_QUEUE_BYTES: usize = 32 << 20;

/// Subscriptions at once, handlers included.
pub const MAX_SUBSCRIBERS: usize = 64;

/// Most events that a handler gets at once.
pub const HANDLER_BATCH: usize = 256;

/// Why a handler could not do with events what it is for.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// What takes the events of a subscription as they come.
pub trait Handler: Send + 'static {
    /// Takes up to [`HANDLER_BATCH`] events, in order. It may block: it runs on a thread for that.
    ///
    /// # Errors
    /// What kept it from it. That is counted once and logged; the events do not come again, and the next ones do.
    fn handle(&mut self, events: &[Arc<CloudEvent>]) -> Result<(), HandlerError>;
}

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// There are [`MAX_SUBSCRIBERS`] already.
    #[error("the event bus has {MAX_SUBSCRIBERS} subscribers, which is the most")]
    TooMany,
    /// The bus was stopped.
    #[error("the event bus is stopped")]
    Stopped,
}

/// Takes events without waiting, and gives them to whoever subscribed to their topics.
#[derive(Debug)]
pub struct Bus {
    inner: Arc<Inner>,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    giving_out: Option<JoinHandle<()>>,
    handlers: Vec<JoinHandle<()>>,
    /// Name and prefix of each handler.
    attached: BTreeSet<(String, TopicPrefix)>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    clock: ClockOf,
    started_at_ms: i64,
    /// None: stopped.
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
    subscribers: Mutex<Vec<Arc<Queue>>>,
    is_giving_out: AtomicBool,
    /// Whether the last event was dropped, which is then logged already.
    is_dropping: AtomicBool,
    counters: Counters,
}

struct ClockOf(Arc<dyn Clock>);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Debug)]
struct Queued {
    what: What,
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum What {
    Run(Box<RunEnded>),
    Event(CloudEvent),
}

impl What {
    /// How much room it takes, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.as_json().len(),
            Self::Run(ended) => {
                let detail = ended.entry.detail.as_deref().unwrap_or_default();
                let events = ended.events.iter().map(|event| {
                    let subject = event.subject.as_deref().unwrap_or_default();
                    event.topic.len() + subject.len() + event.data.len()
                });
                detail.len() + events.sum::<usize>()
            }
        }
    }

    /// How many events are lost with it.
    fn events(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Run(ended) => {
                let is_told = matches!(ended.entry.status, RunStatus::Failed | RunStatus::Missed);
                ended.events.len() as u64 + u64::from(is_told)
            }
        }
    }
}

impl Bus {
    /// Starts the bus of an application: call it inside a tokio runtime.
    pub fn start(application: &str, clock: Arc<dyn Clock>) -> Self {
        let (queue, queued) = mpsc::channel(BUS_QUEUE);
        let inner = Arc::new(Inner {
            started_at_ms: clock.now_ms(),
            clock: ClockOf(clock),
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(BUS_QUEUE_BYTES)),
            waiting: AtomicUsize::new(0),
            subscribers: Mutex::default(),
            is_giving_out: AtomicBool::new(true),
            is_dropping: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let reporter = Reporter::new(application);
        let giving_out = tokio::spawn(give_out(Arc::clone(&inner), queued, reporter));
        let tasks = Tasks {
            giving_out: Some(giving_out),
            ..Tasks::default()
        };
        Self {
            inner,
            tasks: Mutex::new(tasks),
        }
    }

    /// Queues an event, and gives how many subscribers its topic has; 0 also when there was no room for it. None: the bus
    /// is stopped. What is not taken is counted, and logged once.
    pub fn publish(&self, event: CloudEvent) -> Option<usize> {
        let subscribers = self.inner.subscribers();
        let reached = subscribers
            .iter()
            .filter(|queue| queue.prefix.covers(event.topic()))
            .count();
        drop(subscribers);
        match self.inner.enqueue(What::Event(event)) {
            Ok(()) => Some(reached),
            Err(Refused::Full) => Some(0),
            Err(Refused::Stopped) => None,
        }
    }

    /// The events of some topics, from now on.
    ///
    /// # Errors
    /// There are too many subscribers, or the bus is stopped.
    pub fn subscribe(&self, prefix: TopicPrefix) -> Result<Subscription, SubscribeError> {
        let queue = Arc::new(Queue::new(prefix));
        let mut subscribers = self.inner.subscribers();
        // Looked at under the subscribers' lock: a stop closes, under it, all there are.
        if self.inner.queue().is_none() {
            return Err(SubscribeError::Stopped);
        }
        if subscribers.len() >= MAX_SUBSCRIBERS {
            return Err(SubscribeError::TooMany);
        }
        subscribers.push(Arc::clone(&queue));
        Ok(Subscription::new(queue, Arc::clone(&self.inner)))
    }

    /// Gives the events of some topics to a handler, from now on. The same name for the same prefix a second time changes
    /// nothing.
    ///
    /// # Errors
    /// There are too many subscribers, or the bus is stopped.
    pub fn attach(
        &self,
        name: &str,
        prefix: TopicPrefix,
        handler: impl Handler,
    ) -> Result<(), SubscribeError> {
        let mut tasks = self.tasks();
        let key = (name.to_owned(), prefix);
        if tasks.attached.contains(&key) {
            return Ok(());
        }
        let subscription = self.subscribe(key.1.clone())?;
        let inner = Arc::clone(&self.inner);
        tasks.handlers.push(tokio::spawn(drive(
            key.0.clone(),
            Box::new(handler),
            subscription,
            inner,
        )));
        tasks.attached.insert(key);
        Ok(())
    }

    /// Takes nothing more, gives out what was taken, and returns once the handlers have had it. Subscriptions end.
    pub async fn stop(&self) {
        let (giving_out, handlers) = {
            let mut tasks = self.tasks();
            self.inner.queue().take();
            (tasks.giving_out.take(), std::mem::take(&mut tasks.handlers))
        };
        for task in giving_out.into_iter().chain(handlers) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the event bus");
            }
        }
    }

    /// How the bus stands.
    pub fn statistics(&self) -> Statistics {
        let inner = &self.inner;
        let now_ms = inner.clock.0.now_ms();
        let uptime_ms = u64::try_from(now_ms.saturating_sub(inner.started_at_ms)).unwrap_or(0);
        let mut statistics = Statistics {
            running: inner.queue().is_some(),
            loop_running: inner.is_giving_out.load(Ordering::Relaxed),
            queue_size: inner.waiting.load(Ordering::Relaxed),
            queue_capacity: BUS_QUEUE,
            started_at: rfc3339(inner.started_at_ms),
            uptime_seconds: uptime_ms / 1_000,
            ..Statistics::default()
        };
        for queue in inner.subscribers().iter() {
            let count = statistics
                .topic_subscribers
                .entry(queue.prefix.to_string())
                .or_default();
            *count += 1;
            statistics.subscriber_count += 1;
        }
        inner.counters.read_into(&mut statistics);
        statistics
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Bus {
    fn publish(&self, ended: RunEnded) {
        // What is refused is counted and logged where it is refused.
        let _ = self.inner.enqueue(What::Run(Box::new(ended)));
    }
}

/// Why something was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Full,
    Stopped,
}

impl Inner {
    fn enqueue(&self, what: What) -> Result<(), Refused> {
        let events = what.events();
        let refused = match self.try_enqueue(what) {
            Ok(()) => {
                self.is_dropping.store(false, Ordering::Relaxed);
                return Ok(());
            }
            Err(refused) => refused,
        };
        self.counters.dropped.fetch_add(events, Ordering::Relaxed);
        if events > 0 && !self.is_dropping.swap(true, Ordering::Relaxed) {
            tracing::warn!(?refused, "events are dropped");
        }
        Err(refused)
    }

    fn try_enqueue(&self, what: What) -> Result<(), Refused> {
        let bytes = u32::try_from(what.bytes()).map_err(|_| Refused::Full)?;
        let queue = self.queue();
        let Some(queue) = queue.as_ref() else {
            return Err(Refused::Stopped);
        };
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Refused::Full)?;
        // Counted before it is there, so that the task never counts down first.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = queue.try_send(Queued { what, _room: room });
        queued.map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => Refused::Full,
                mpsc::error::TrySendError::Closed(_) => Refused::Stopped,
            }
        })
    }

    /// Ends a subscription.
    pub fn forget(&self, queue: &Arc<Queue>) {
        self.subscribers()
            .retain(|other| !Arc::ptr_eq(other, queue));
    }

    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Queued>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, event: CloudEvent) {
        let event = Arc::new(event);
        for queue in self.subscribers().iter() {
            if queue.prefix.covers(event.topic()) {
                let lost = queue.push(Arc::clone(&event));
                self.counters.lagged.fetch_add(lost, Ordering::Relaxed);
            }
        }
        self.counters.count_published(self.clock.0.now_ms());
    }
}

async fn give_out(inner: Arc<Inner>, mut queued: mpsc::Receiver<Queued>, mut reporter: Reporter) {
    while let Some(Queued { what, _room }) = queued.recv().await {
        inner.waiting.fetch_sub(1, Ordering::Relaxed);
        let reported = match what {
            What::Event(event) => Reported {
                events: vec![event],
                invalid: 0,
            },
            What::Run(ended) => reporter.report(&ended),
        };
        inner
            .counters
            .invalid
            .fetch_add(reported.invalid, Ordering::Relaxed);
        for event in reported.events {
            inner.give(event);
        }
    }
    inner.is_giving_out.store(false, Ordering::Relaxed);
    for queue in inner.subscribers().iter() {
        queue.close();
    }
}

/// Feeds a handler until its subscription ends.
async fn drive(
    name: String,
    mut handler: Box<dyn Handler>,
    mut subscription: Subscription,
    inner: Arc<Inner>,
) {
    while let Some(first) = subscription.next().await {
        let mut events = vec![first];
        while events.len() < HANDLER_BATCH
            && let Some(event) = subscription.try_next()
        {
            events.push(event);
        }
        let lagged = subscription.take_lagged();
        if lagged > 0 {
            tracing::warn!(handler = name, lagged, "a handler of events is too slow");
        }
        let handled = tokio::task::spawn_blocking(move || {
            let result = handler.handle(&events);
            (handler, result)
        });
        match handled.await {
            Ok((again, result)) => {
                handler = again;
                let Err(error) = result else { continue };
                inner.counters.count_handler_error(inner.clock.0.now_ms());
                tracing::error!(handler = name, %error, "a handler of events failed");
            }
            Err(error) => {
                inner.counters.count_handler_error(inner.clock.0.now_ms());
                tracing::error!(handler = name, %error, "a handler of events is gone");
                return;
            }
        }
    }
}
