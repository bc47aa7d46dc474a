use std::future::{Future, pending};
use std::sync::Arc;

use bulkhead_stage::TriggerKind;
use bulkhead_supervisor::{Entropy, RunRequest, Supervisor};
use chrono::{DateTime, SecondsFormat};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::{CronSchedule, Firing, Timer, reason};

/// Missed firings that are counted one by one. Of more, the journal says "at least".
const MAX_MISSED_COUNTED: usize = 10_000;

/// What happens to firings that the host could not start in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misfire {
    /// They are journalled as missed, and no more.
    #[default]
    Skip,
    /// The latest of them runs once, unless a firing within its starting deadline is due as well. The others are
    /// journalled as missed.
    FireOnce,
}

/// How a schedule's firings become runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FiringPolicy {
    /// Each firing is put off by a random time from 0 to this, in milliseconds.
    pub jitter_ms: u64,
    /// A firing that could not be started this long after its (put off) instant, in milliseconds, is missed.
    pub starting_deadline_ms: u64,
    /// What happens to missed firings.
    pub misfire: Misfire,
}

/// A component's schedule.
#[derive(Debug, Clone)]
pub struct CronJob {
    /// The component's name in the manifest.
    pub component: String,
    /// When it fires.
    pub schedule: CronSchedule,
    /// How firings become runs.
    pub policy: FiringPolicy,
    /// Input of each run. JSON; empty text means `{}`.
    pub input: String,
    /// The latest firing that was dealt with before the host started, in Unix milliseconds, so that those since
    /// then count as missed. None: firings count from the start of the driver.
    pub last_firing_ms: Option<i64>,
}

/// Fires schedules.
pub struct CronDriver {
    jobs: Vec<CronJob>,
    firer: Firer,
}

struct Firer {
    supervisor: Arc<Supervisor>,
    timer: Arc<dyn Timer>,
    entropy: Arc<dyn Entropy>,
}

impl CronDriver {
    /// A driver of these jobs.
    pub fn new(
        jobs: Vec<CronJob>,
        supervisor: Arc<Supervisor>,
        timer: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            jobs,
            firer: Firer {
                supervisor,
                timer,
                entropy,
            },
        }
    }

    /// Fires until `shutdown` is ready. Runs that were started go on: the supervisor's shutdown waits for them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let firing = async {
            join_all(self.jobs.iter().map(|job| self.firer.drive(job))).await;
            pending().await
        };
        tokio::select! {
            () = shutdown => {}
            () = firing => {}
        }
    }
}

impl Firer {
    async fn drive(&self, job: &CronJob) {
        let now_ms = self.timer.now_ms();
        let mut cursor_ms = job.last_firing_ms.unwrap_or(now_ms).min(now_ms);
        while let Some(firing) = job.schedule.next_after(cursor_ms) {
            cursor_ms = match firing {
                Firing::Skipped { at_ms, .. } => {
                    self.timer.sleep_until(at_ms).await;
                    self.report_skipped(job, &firing).await;
                    at_ms
                }
                Firing::At { at_ms, .. } => {
                    let jitter_ms = self.entropy.up_to(job.policy.jitter_ms);
                    let due_ms = at_ms.saturating_add_unsigned(jitter_ms);
                    self.timer.sleep_until(due_ms).await;
                    if job.policy.is_late(due_ms, self.timer.now_ms()) {
                        self.catch_up(job, at_ms).await
                    } else {
                        self.start(job, at_ms);
                        at_ms
                    }
                }
            };
        }
        tracing::warn!(component = job.component, schedule = %job.schedule, "schedule has come to its end");
    }

    fn start(&self, job: &CronJob, scheduled_at_ms: i64) {
        let supervisor = Arc::clone(&self.supervisor);
        let request = RunRequest {
            component: job.component.clone(),
            trigger: TriggerKind::Cron,
            scheduled_at_ms,
            input: job.input.clone(),
            traceparent: None,
            fake_mode: false,
        };
        tokio::spawn(async move { supervisor.run(request).await });
    }

    /// Deals with a stretch of missed firings, of which `first_ms` is the first. Returns up to where.
    async fn catch_up(&self, job: &CronJob, first_ms: i64) -> i64 {
        let now_ms = self.timer.now_ms();
        let mut latest_ms = first_ms;
        let mut skipped_ms = first_ms;
        let mut count = 1;
        let mut cursor_ms = first_ms;
        let mut next = job.schedule.next_after(cursor_ms);
        while let Some(firing) = next {
            cursor_ms = firing.at_ms();
            match firing {
                Firing::At { at_ms, .. } if job.policy.is_late(at_ms, now_ms) => {
                    latest_ms = at_ms;
                    count += 1;
                }
                Firing::Skipped { at_ms, .. } if at_ms <= now_ms => {
                    self.report_skipped(job, &firing).await;
                    skipped_ms = at_ms;
                }
                _ => break,
            }
            if count >= MAX_MISSED_COUNTED {
                let late_before = now_ms
                    .saturating_sub_unsigned(job.policy.starting_deadline_ms)
                    .saturating_sub(1);
                latest_ms = job
                    .schedule
                    .latest_until(late_before, latest_ms)
                    .unwrap_or(latest_ms);
                cursor_ms = latest_ms;
            }
            next = job.schedule.next_after(cursor_ms);
            if count >= MAX_MISSED_COUNTED {
                break;
            }
        }
        let another_is_due = next.is_some_and(|firing| firing.at_ms() <= now_ms);
        let fires = job.policy.misfire == Misfire::FireOnce && !another_is_due;
        if !fires || count > 1 {
            self.report_missed(job, first_ms, latest_ms, count, fires)
                .await;
        }
        if fires {
            self.start(job, latest_ms);
        }
        latest_ms.max(skipped_ms)
    }

    async fn report_missed(
        &self,
        job: &CronJob,
        first_ms: i64,
        latest_ms: i64,
        count: usize,
        fires: bool,
    ) {
        let at_least = match count {
            MAX_MISSED_COUNTED.. => "at least ",
            _ => "",
        };
        let end = match fires {
            true => "; the latest runs now",
            false => "",
        };
        let detail = format!(
            "{at_least}{count} of `{}` from {} to {} not started within the starting deadline of {} ms{end}",
            job.schedule,
            rfc3339(first_ms),
            rfc3339(latest_ms),
            job.policy.starting_deadline_ms,
        );
        self.supervisor
            .missed(
                &job.component,
                TriggerKind::Cron,
                latest_ms,
                reason::STARTING_DEADLINE_EXCEEDED,
                detail,
            )
            .await;
    }

    async fn report_skipped(&self, job: &CronJob, firing: &Firing) {
        if let Firing::Skipped {
            at_ms,
            local,
            count,
            reason,
        } = firing
        {
            let detail = format!(
                "{count} of `{}` from local time {local} on: the clock is set forward over it",
                job.schedule
            );
            self.supervisor
                .missed(&job.component, TriggerKind::Cron, *at_ms, reason, detail)
                .await;
        }
    }
}

impl FiringPolicy {
    fn is_late(&self, due_ms: i64, now_ms: i64) -> bool {
        now_ms > due_ms.saturating_add_unsigned(self.starting_deadline_ms)
    }
}

fn rfc3339(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms).map_or_else(
        || unix_ms.to_string(),
        |instant| instant.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}
