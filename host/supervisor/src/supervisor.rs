use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bulkhead_stage::{
    Clock, Event, Failure, Finished, Invocation, Limit, Outcome, Report, Runner, TriggerKind, Usage,
};
use tokio::sync::{Notify, watch};

use crate::admission::{Admission, Cancel, Decision};
use crate::backoff::pause_after;
use crate::journal::{Journal, JournalWriter};
use crate::open_run::{OpenRun, bounded};
use crate::run_id::RunIds;
use crate::stats::Counters;
use crate::{Entropy, EventSink, JournalEntry, RunEnded, RunPolicy, RunStatus, Stats, reason};

/// How long after its deadline, in milliseconds, an attempt is dropped when the runner itself has not ended it.
pub const DEADLINE_GRACE_MS: u64 = 75;

/// How long, in milliseconds, a shutdown waits for cancelled runs to let go of what they hold.
pub const CANCEL_GRACE_MS: u64 = 1_000;

/// What a trigger asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    /// The component's name in the manifest.
    pub component: String,
    /// What starts the run.
    pub trigger: TriggerKind,
    /// The instant the run is meant for, in Unix milliseconds.
    pub scheduled_at_ms: i64,
    /// JSON. Empty text means `{}`.
    pub input: String,
    /// W3C Trace Context `traceparent` of the caller.
    pub traceparent: Option<String>,
    /// True when the run must have no effect outside itself.
    pub fake_mode: bool,
}

/// What the supervisor did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The run came to its own end, good or bad.
    Ran,
    /// The overlap policy, or the shutdown, kept a scheduled run from starting.
    Skipped,
    /// The request was turned away: too many runs at once, or no such component.
    Refused,
    /// The host is stopping and starts nothing new.
    ShuttingDown,
    /// The run was cancelled: a newer one replaced it, or the shutdown's deadline passed.
    Cancelled,
}

/// A run at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// Identity of the run.
    pub run_id: String,
    /// The report or the failure of the last attempt. A skipped run has a report of outcome `skipped`.
    pub finished: Finished,
    /// Attempts made. 0: the run never started.
    pub attempts: u32,
    /// What the supervisor did.
    pub verdict: Verdict,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSummary {
    /// Runs that were going when the deadline passed, and were cancelled.
    pub cancelled: usize,
    /// Of these, runs that had not let go [`CANCEL_GRACE_MS`] later.
    pub stuck: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Draining,
    Cancelling,
}

struct Component {
    policy: RunPolicy,
    admission: Admission,
    counters: Counters,
}

/// Starts runs, watches over them and journals them.
pub struct Supervisor {
    runner: Arc<dyn Runner>,
    pub(crate) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    components: HashMap<String, Component>,
    pub(crate) journal: JournalWriter,
    events: OnceLock<Arc<dyn EventSink>>,
    run_ids: RunIds,
    phase: watch::Sender<Phase>,
    active: AtomicUsize,
    idle: Notify,
}

/// A run that a shutdown waits for, until dropped.
pub(crate) struct Active<'a>(&'a Supervisor);

impl<'a> Active<'a> {
    pub fn supervisor(&self) -> &'a Supervisor {
        self.0
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Supervisor {
    /// A supervisor of the components in `policies`. Starts the journal's task: call it inside a tokio runtime.
    pub fn new(
        runner: Arc<dyn Runner>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        policies: impl IntoIterator<Item = (String, RunPolicy)>,
    ) -> Self {
        let components = policies
            .into_iter()
            .map(|(name, policy)| {
                let component = Component {
                    admission: Admission::new(&policy),
                    counters: Counters::default(),
                    policy,
                };
                (name, component)
            })
            .collect();
        Self {
            runner,
            clock,
            entropy,
            components,
            journal: JournalWriter::start(journal),
            events: OnceLock::new(),
            run_ids: RunIds::default(),
            phase: watch::Sender::new(Phase::Open),
            active: AtomicUsize::new(0),
            idle: Notify::new(),
        }
    }

    /// Tells the ends of runs to `sink` from now on. The first one stays.
    pub fn publish_to(&self, sink: Arc<dyn EventSink>) {
        if self.events.set(sink).is_err() {
            tracing::error!("runs are published already; the second sink gets none");
        }
    }

    /// Now, in Unix milliseconds, by the supervisor's clock.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Whether a shutdown has begun.
    pub fn is_shutting_down(&self) -> bool {
        *self.phase.borrow() != Phase::Open
    }

    /// Runs a component, with retries, to its end. Dropping the future cancels the run, which is journalled as
    /// `failed`/`cancelled`.
    pub async fn run(&self, request: RunRequest) -> Completed {
        let started_at_ms = self.clock.now_ms();
        let run_id = self.run_ids.next(started_at_ms, &*self.entropy);
        let Some(component) = self.components.get(&request.component) else {
            let component = request.component;
            return Completed::refused(run_id, Failure::UnknownComponent { component });
        };
        let Some(active) = self.activate() else {
            component.counters.count_refused();
            return Completed::shutting_down(run_id);
        };
        let decision = component
            .admission
            .decide(request.trigger, self.phase.subscribe());
        let entry = component.entry(run_id.clone(), &request, started_at_ms);
        let mut open = OpenRun::new(entry, &component.counters, active, request.fake_mode);
        match decision.await {
            Decision::Start(_place, mut cancel) => {
                let (end, attempts) = self
                    .attempt(component, request, &run_id, &mut cancel, &mut open)
                    .await;
                let (finished, verdict) = match end {
                    Ok(finished) => {
                        open.close_with(&finished.result).await;
                        (finished, Verdict::Ran)
                    }
                    Err(reason) => {
                        let detail = format!("cancelled: {}", cancellation(reason));
                        open.close(RunStatus::Failed, Some(reason), Some(detail.clone()))
                            .await;
                        (failed(Failure::Host { detail }), Verdict::Cancelled)
                    }
                };
                Completed {
                    run_id,
                    finished,
                    attempts,
                    verdict,
                }
            }
            Decision::Skip(reason) => {
                open.close(RunStatus::Skipped, Some(reason), None).await;
                Completed::skipped(run_id, reason)
            }
            Decision::Refuse(failure) => {
                open.turn_away();
                Completed::refused(run_id, failure)
            }
        }
    }

    /// Journals and publishes firings that never became a run, as one entry for the latest of them.
    pub async fn missed(
        &self,
        component: &str,
        trigger: TriggerKind,
        scheduled_at_ms: i64,
        reason: &str,
        detail: String,
    ) {
        let Some(known) = self.components.get(component) else {
            tracing::error!(
                component,
                reason,
                detail,
                "missed firing of an unknown component"
            );
            return;
        };
        let now_ms = self.clock.now_ms();
        known.counters.count(RunStatus::Missed);
        let entry = JournalEntry {
            run_id: self.run_ids.next(now_ms, &*self.entropy),
            component: component.to_owned(),
            stage: known.policy.stage.clone(),
            trigger,
            scheduled_at_ms,
            started_at_ms: now_ms,
            finished_at_ms: now_ms,
            attempt: 0,
            status: RunStatus::Missed,
            reason: Some(reason.to_owned()),
            detail: Some(detail),
            host_calls: 0,
            denials: 0,
        };
        self.tell(&entry, &[]);
        self.journal.enter(entry).await;
    }

    /// Hands a run's end to the sink, if there is one.
    pub(crate) fn tell(&self, entry: &JournalEntry, events: &[Event]) {
        if let Some(sink) = self.events.get() {
            sink.publish(RunEnded {
                entry: entry.clone(),
                events: events.to_vec(),
            });
        }
    }

    /// Returns once every journal entry of runs that have ended is written or given up.
    pub async fn flush(&self) {
        self.journal.flush().await;
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        Stats {
            components: self
                .components
                .iter()
                .map(|(name, component)| (name.clone(), component.counters.read()))
                .collect(),
            running: self.active.load(Ordering::SeqCst),
            journal_lost: self.journal.lost(),
        }
    }

    /// Starts nothing new from now on, lets the runs that are going finish until `deadline` has passed, cancels
    /// what is left, and writes the journal.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownSummary {
        self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        let mut summary = ShutdownSummary {
            cancelled: 0,
            stuck: 0,
        };
        if tokio::time::timeout(deadline, self.idle()).await.is_err() {
            summary.cancelled = self.active.load(Ordering::SeqCst);
            self.phase.send_replace(Phase::Cancelling);
            let grace = Duration::from_millis(CANCEL_GRACE_MS);
            if tokio::time::timeout(grace, self.idle()).await.is_err() {
                summary.stuck = self.active.load(Ordering::SeqCst);
                tracing::error!(stuck = summary.stuck, "cancelled runs have not ended");
            }
        }
        self.journal.flush().await;
        summary
    }

    /// Returns when no run is going or waiting.
    pub async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    fn activate(&self) -> Option<Active<'_>> {
        // Counted before the phase is read: a shutdown that begins in between waits for this run.
        self.active.fetch_add(1, Ordering::SeqCst);
        let active = Active(self);
        (*self.phase.borrow() == Phase::Open).then_some(active)
    }

    async fn attempt(
        &self,
        component: &Component,
        mut request: RunRequest,
        run_id: &str,
        cancel: &mut Cancel,
        open: &mut OpenRun<'_>,
    ) -> (Result<Finished, &'static str>, u32) {
        let policy = &component.policy;
        let attempts = policy.retries.attempts.max(1);
        let mut attempt = 1;
        loop {
            let invocation = Invocation {
                run_id: run_id.to_owned(),
                trigger: request.trigger,
                scheduled_at_ms: request.scheduled_at_ms,
                attempt,
                traceparent: request.traceparent.clone(),
                fake_mode: request.fake_mode,
                input: if attempt < attempts {
                    request.input.clone()
                } else {
                    std::mem::take(&mut request.input)
                },
            };
            open.attempted(attempt, &Usage::default());
            let run = self.run_once(&request.component, policy, invocation);
            let finished = match unless(cancel, run).await {
                Ok(finished) => finished,
                Err(reason) => return (Err(reason), attempt),
            };
            open.attempted(attempt, &finished.usage);
            let failure = match &finished.result {
                Err(failure) if failure.is_transient() && attempt < attempts => failure,
                _ => return (Ok(finished), attempt),
            };
            let pause = pause_after(attempt, &policy.retries, &*self.entropy);
            let failure = bounded(failure.to_string());
            tracing::warn!(
                run_id,
                component = request.component,
                attempt,
                failure,
                ?pause,
                "run failed, will be tried again"
            );
            if let Err(reason) = unless(cancel, tokio::time::sleep(pause)).await {
                return (Err(reason), attempt);
            }
            attempt += 1;
        }
    }

    async fn run_once(&self, name: &str, policy: &RunPolicy, invocation: Invocation) -> Finished {
        let within = Duration::from_millis(policy.deadline_ms.saturating_add(DEADLINE_GRACE_MS));
        let run = self.runner.run(name, invocation);
        tokio::time::timeout(within, run).await.unwrap_or_else(|_| {
            failed(Failure::Limit {
                limit: Limit::Deadline,
                detail: format!("`limits.deadline` is {} ms", policy.deadline_ms),
            })
        })
    }
}

impl Component {
    fn entry(&self, run_id: String, request: &RunRequest, started_at_ms: i64) -> JournalEntry {
        JournalEntry {
            run_id,
            component: request.component.clone(),
            stage: self.policy.stage.clone(),
            trigger: request.trigger,
            scheduled_at_ms: request.scheduled_at_ms,
            started_at_ms,
            finished_at_ms: started_at_ms,
            attempt: 0,
            status: RunStatus::Failed,
            reason: None,
            detail: None,
            host_calls: 0,
            denials: 0,
        }
    }
}

impl Completed {
    fn refused(run_id: String, failure: Failure) -> Self {
        Self {
            run_id,
            finished: failed(failure),
            attempts: 0,
            verdict: Verdict::Refused,
        }
    }

    fn shutting_down(run_id: String) -> Self {
        let detail = "shutting-down: the host is stopping and starts nothing new".to_owned();
        Self {
            run_id,
            finished: failed(Failure::Host { detail }),
            attempts: 0,
            verdict: Verdict::ShuttingDown,
        }
    }

    fn skipped(run_id: String, reason: &str) -> Self {
        let report = Report {
            outcome: Outcome::Skipped,
            reason: Some(reason.to_owned()),
            output: "{}".to_owned(),
            events: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
        };
        Self {
            run_id,
            finished: Finished {
                result: Ok(report),
                usage: Usage::default(),
            },
            attempts: 0,
            verdict: Verdict::Skipped,
        }
    }
}

impl From<Outcome> for RunStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Hold => Self::Hold,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

/// The future's output, or the reason why it was dropped. What is ready counts as done.
async fn unless<F: Future>(cancel: &mut Cancel, future: F) -> Result<F::Output, &'static str> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        reason = cancel.requested() => Err(reason),
    }
}

fn failed(failure: Failure) -> Finished {
    Finished {
        result: Err(failure),
        usage: Usage::default(),
    }
}

fn cancellation(reason: &'static str) -> &'static str {
    match reason {
        reason::REPLACED => "a newer firing replaced the run",
        _ => "the shutdown's deadline passed",
    }
}
