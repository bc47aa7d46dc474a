//! A supervisor whose runs start and end when the test says so.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test's support is a test")]

use std::sync::{Arc, Mutex};

use bulkhead_stage::{
    Denial, Failure, Finished, Invocation, ManualClock, Outcome, Report, Runner, StageError,
    TriggerKind, Usage,
};
use bulkhead_supervisor::{
    Completed, Journal, JournalEntry, JournalError, Overlap, Retries, RunPolicy, RunRequest,
    SeededEntropy, Supervisor,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub const COMPONENT: &str = "pulse";
pub const START_MS: i64 = 1_767_225_600_000;

/// A run that has reached the sandbox.
pub struct Started {
    pub invocation: Invocation,
    end: oneshot::Sender<Finished>,
}

impl Started {
    pub fn end(self, result: Result<Report, Failure>) {
        self.end_refused(result, Vec::new());
    }

    /// Ends after the grants have refused something.
    pub fn end_refused(self, result: Result<Report, Failure>, denials: Vec<Denial>) {
        let usage = Usage {
            host_calls: 10,
            denials,
            ..Usage::default()
        };
        self.end
            .send(Finished { result, usage })
            .expect("the supervisor waits for the run");
    }

    pub fn succeed(self) {
        self.end(Ok(report(Outcome::Success, None)));
    }

    pub fn is_cancelled(&self) -> bool {
        self.end.is_closed()
    }
}

pub fn report(outcome: Outcome, reason: Option<&str>) -> Report {
    Report {
        outcome,
        reason: reason.map(str::to_owned),
        output: r#"{"ok":true}"#.to_owned(),
        events: Vec::new(),
        spans: Vec::new(),
        metrics: Vec::new(),
    }
}

pub fn unavailable() -> Failure {
    Failure::Stage(StageError::Unavailable("venue".to_owned()))
}

struct StepRunner(mpsc::UnboundedSender<Started>);

impl Runner for StepRunner {
    fn run<'a>(&'a self, _: &'a str, invocation: Invocation) -> BoxFuture<'a, Finished> {
        async move {
            let (end, wait) = oneshot::channel();
            self.0.send(Started { invocation, end }).unwrap();
            wait.await.unwrap()
        }
        .boxed()
    }
}

/// A journal in memory, that can be told to fail or to wait.
#[derive(Default)]
pub struct MemoryJournal {
    pub batches: Mutex<Vec<Vec<JournalEntry>>>,
    pub failures_left: Mutex<u32>,
    pub tries: Mutex<u32>,
    pub gate: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
}

impl MemoryJournal {
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.batches.lock().unwrap().concat()
    }

    /// `status/reason` of each entry.
    pub fn words(&self) -> Vec<String> {
        self.entries()
            .iter()
            .map(|entry| {
                let reason = entry.reason.as_deref().unwrap_or("-");
                format!("{}/{reason}", entry.status.as_str())
            })
            .collect()
    }
}

impl Journal for MemoryJournal {
    fn record(&self, entries: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>> {
        async move {
            *self.tries.lock().unwrap() += 1;
            let gate = self.gate.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            let mut failures_left = self.failures_left.lock().unwrap();
            if *failures_left > 0 {
                *failures_left -= 1;
                return Err(JournalError::new("disk full"));
            }
            self.batches.lock().unwrap().push(entries);
            Ok(())
        }
        .boxed()
    }
}

pub struct House {
    pub supervisor: Arc<Supervisor>,
    pub journal: Arc<MemoryJournal>,
    pub clock: ManualClock,
    pub started: mpsc::UnboundedReceiver<Started>,
}

pub fn policy() -> RunPolicy {
    RunPolicy {
        stage: COMPONENT.to_owned(),
        overlap: Overlap::Forbid,
        retries: Retries {
            attempts: 3,
            initial_ms: 200,
            max_ms: 5_000,
        },
        concurrent_runs: 2,
        deadline_ms: 3_600_000,
    }
}

impl House {
    pub fn new(policy: RunPolicy) -> Self {
        let (sender, started) = mpsc::unbounded_channel();
        let journal = Arc::new(MemoryJournal::default());
        let clock = ManualClock::at(START_MS);
        let supervisor = Supervisor::new(
            Arc::new(StepRunner(sender)),
            Arc::clone(&journal) as Arc<dyn Journal>,
            Arc::new(clock.clone()),
            Arc::new(SeededEntropy::new(1)),
            [(COMPONENT.to_owned(), policy)],
        );
        Self {
            supervisor: Arc::new(supervisor),
            journal,
            clock,
            started,
        }
    }

    /// Asks for a run and lets everything that can go on do so.
    pub async fn ask(&self, trigger: TriggerKind) -> JoinHandle<Completed> {
        let supervisor = Arc::clone(&self.supervisor);
        let task = tokio::spawn(async move { supervisor.run(request(trigger)).await });
        settle().await;
        task
    }

    pub async fn next(&mut self) -> Started {
        self.started.recv().await.unwrap()
    }

    pub async fn flushed_words(&self) -> Vec<String> {
        self.supervisor.flush().await;
        self.journal.words()
    }
}

pub fn request(trigger: TriggerKind) -> RunRequest {
    RunRequest {
        component: COMPONENT.to_owned(),
        trigger,
        scheduled_at_ms: START_MS,
        input: String::new(),
        traceparent: None,
        fake_mode: false,
    }
}

/// On the tests' single thread, every task gets its turn: none needs more steps than these.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
