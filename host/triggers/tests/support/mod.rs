//! A clock that moves when the test says so, a journal in memory, and runners that answer at once.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_stage::{Clock, Failure, Finished, Invocation, Outcome, Report, Runner, Usage};
use bulkhead_supervisor::{
    Journal, JournalEntry, JournalError, Overlap, Retries, RunPolicy, SeededEntropy, Supervisor,
};
use bulkhead_triggers::cron::Timer;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;

pub const COMPONENT: &str = "pulse";

/// Virtual time.
#[derive(Default)]
pub struct ManualTimer {
    now_ms: AtomicI64,
    next_wake_ms: Mutex<Vec<i64>>,
    moved: Notify,
}

impl ManualTimer {
    pub fn at(now_ms: i64) -> Arc<Self> {
        let timer = Self::default();
        timer.now_ms.store(now_ms, Ordering::SeqCst);
        Arc::new(timer)
    }

    /// Passes every instant that somebody waits for, in order, up to `to_ms`.
    pub async fn advance_to(&self, to_ms: i64) {
        loop {
            settle().await;
            let next = self.waited_for().iter().copied().min();
            match next {
                Some(next_ms) if next_ms <= to_ms => self.jump_to(next_ms).await,
                _ => break,
            }
        }
        self.jump_to(to_ms).await;
    }

    /// Sets the clock at once, as a machine does that wakes from sleep.
    pub async fn jump_to(&self, to_ms: i64) {
        self.now_ms.fetch_max(to_ms, Ordering::SeqCst);
        let now_ms = self.now_ms();
        self.waited_for().retain(|wake_ms| *wake_ms > now_ms);
        self.moved.notify_waiters();
        settle().await;
    }

    fn waited_for(&self) -> std::sync::MutexGuard<'_, Vec<i64>> {
        self.next_wake_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualTimer {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

impl Timer for ManualTimer {
    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'_, ()> {
        async move {
            if self.now_ms() < at_ms {
                self.waited_for().push(at_ms);
            }
            while self.now_ms() < at_ms {
                self.moved.notified().await;
            }
        }
        .boxed()
    }
}

/// On the tests' single thread, every task gets its turn: none needs more steps than these.
pub async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
pub struct MemoryJournal(Mutex<Vec<JournalEntry>>);

impl MemoryJournal {
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Journal for MemoryJournal {
    fn record(&self, entries: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(entries);
        async { Ok(()) }.boxed()
    }
}

type Answer = dyn Fn(&Invocation) -> Result<Report, Failure> + Send + Sync;

/// Answers each run at once, or, while it is held, when it is let go.
pub struct AnswerRunner {
    answer: Box<Answer>,
    pub seen: Mutex<Vec<Invocation>>,
    pub held: Option<Arc<tokio::sync::Semaphore>>,
    pub begun: AtomicUsize,
}

impl AnswerRunner {
    pub fn new(
        answer: impl Fn(&Invocation) -> Result<Report, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            seen: Mutex::default(),
            held: None,
            begun: AtomicUsize::new(0),
        }
    }

    pub fn seen(&self) -> Vec<Invocation> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Runner for AnswerRunner {
    fn run<'a>(&'a self, _: &'a str, invocation: Invocation) -> BoxFuture<'a, Finished> {
        async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            if let Some(held) = &self.held {
                held.acquire().await.expect("open").forget();
            }
            let result = (self.answer)(&invocation);
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(invocation);
            Finished {
                result,
                usage: Usage::default(),
            }
        }
        .boxed()
    }
}

pub fn success(output: &str) -> Result<Report, Failure> {
    Ok(Report {
        outcome: Outcome::Success,
        reason: None,
        output: output.to_owned(),
        events: Vec::new(),
        spans: Vec::new(),
        metrics: Vec::new(),
    })
}

pub fn policy() -> RunPolicy {
    RunPolicy {
        stage: COMPONENT.to_owned(),
        overlap: Overlap::Forbid,
        retries: Retries::NONE,
        concurrent_runs: 64,
        deadline_ms: 30_000,
    }
}

pub fn supervisor(
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    policy: RunPolicy,
) -> (Arc<Supervisor>, Arc<MemoryJournal>) {
    let journal = Arc::new(MemoryJournal::default());
    let supervisor = Supervisor::new(
        runner,
        Arc::clone(&journal) as Arc<dyn Journal>,
        clock,
        Arc::new(SeededEntropy::new(1)),
        [(COMPONENT.to_owned(), policy)],
    );
    (Arc::new(supervisor), journal)
}
