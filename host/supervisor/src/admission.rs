use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_stage::{Failure, Limit, TriggerKind};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot, watch};

use crate::supervisor::Phase;
use crate::{Overlap, QUEUE_LENGTH, RunPolicy, reason};

/// Decides which runs of one component may start.
#[derive(Debug)]
pub(crate) struct Admission {
    overlap: Overlap,
    concurrent_runs: usize,
    /// Of all triggers but the schedule.
    unscheduled: Semaphore,
    /// Of the schedule: one run at a time.
    scheduled: Semaphore,
    /// Scheduled runs that wait for the one before.
    waiting: AtomicUsize,
    /// Under `replace`: cancels the scheduled run that came last.
    newest: Mutex<Option<oneshot::Sender<()>>>,
}

/// May the run start?
pub(crate) enum Decision<'a> {
    /// It holds its place as long as this lives.
    Start(SemaphorePermit<'a>, Cancel),
    /// The policy keeps it from starting, for this reason.
    Skip(&'static str),
    /// Too many runs at once.
    Refuse(Failure),
}

/// What ends a run from outside.
pub(crate) struct Cancel {
    replaced: Option<oneshot::Receiver<()>>,
    phase: watch::Receiver<Phase>,
}

impl Cancel {
    /// Returns, with the reason, when the run must end.
    pub async fn requested(&mut self) -> &'static str {
        let replaced = async {
            match &mut self.replaced {
                Some(replaced) => {
                    // A sender that is gone was dropped with the supervisor: the run ends as well.
                    let _ = replaced.await;
                }
                None => pending().await,
            }
        };
        tokio::select! {
            () = replaced => reason::REPLACED,
            _ = self.phase.wait_for(|phase| *phase == Phase::Cancelling) => reason::SHUTDOWN,
        }
    }

    /// Returns, with the reason, when a run that has not started must not start any more.
    async fn before_start(&mut self) -> &'static str {
        let mut phase = self.phase.clone();
        tokio::select! {
            reason = self.requested() => reason,
            _ = phase.wait_for(|phase| *phase != Phase::Open) => reason::SHUTTING_DOWN,
        }
    }
}

impl Admission {
    pub fn new(policy: &RunPolicy) -> Self {
        let concurrent_runs = policy.concurrent_runs.min(Semaphore::MAX_PERMITS);
        Self {
            overlap: policy.overlap,
            concurrent_runs,
            unscheduled: Semaphore::new(concurrent_runs),
            scheduled: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            newest: Mutex::new(None),
        }
    }

    /// Waits, where the policy says so, and decides.
    pub async fn decide(
        &self,
        trigger: TriggerKind,
        phase: watch::Receiver<Phase>,
    ) -> Decision<'_> {
        let cancel = Cancel {
            replaced: None,
            phase,
        };
        if trigger != TriggerKind::Cron {
            return match self.unscheduled.try_acquire() {
                Ok(permit) => Decision::Start(permit, cancel),
                Err(_) => Decision::Refuse(Failure::Limit {
                    limit: Limit::ConcurrentRuns,
                    detail: format!(
                        "{} runs are going, and `limits.concurrent_runs` is {}",
                        self.concurrent_runs, self.concurrent_runs
                    ),
                }),
            };
        }
        match self.overlap {
            Overlap::Forbid => match self.scheduled.try_acquire() {
                Ok(permit) => Decision::Start(permit, cancel),
                Err(_) => Decision::Skip(reason::OVERLAP_FORBIDDEN),
            },
            Overlap::Queue => self.queue(cancel).await,
            Overlap::Replace => self.replace(cancel).await,
        }
    }

    async fn queue(&self, cancel: Cancel) -> Decision<'_> {
        if let Ok(permit) = self.scheduled.try_acquire() {
            return Decision::Start(permit, cancel);
        }
        let Some(_place) = Place::take(&self.waiting) else {
            return Decision::Skip(reason::QUEUE_FULL);
        };
        self.wait(cancel).await
    }

    async fn replace(&self, mut cancel: Cancel) -> Decision<'_> {
        let (sender, receiver) = oneshot::channel();
        cancel.replaced = Some(receiver);
        let before = self
            .newest
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .replace(sender);
        if let Some(before) = before {
            // The run before may have ended long ago.
            let _ = before.send(());
        }
        self.wait(cancel).await
    }

    async fn wait(&self, mut cancel: Cancel) -> Decision<'_> {
        let stopped = tokio::select! {
            biased;
            reason = cancel.before_start() => reason,
            permit = self.scheduled.acquire() => match permit {
                Ok(permit) => return Decision::Start(permit, cancel),
                Err(_) => reason::SHUTTING_DOWN,
            },
        };
        Decision::Skip(stopped)
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < QUEUE_LENGTH).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
