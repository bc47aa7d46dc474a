//! How firings become runs, in virtual time.

mod support;

use std::sync::Arc;

use bulkhead_stage::Clock;
use bulkhead_supervisor::{Entropy, Supervisor};
use bulkhead_triggers::cron::{CronDriver, CronJob, CronSchedule, FiringPolicy, Misfire};
use support::{AnswerRunner, COMPONENT, ManualTimer, MemoryJournal, policy, success, supervisor};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;

struct Fixed(u64);

impl Entropy for Fixed {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

struct Driven {
    timer: Arc<ManualTimer>,
    runner: Arc<AnswerRunner>,
    supervisor: Arc<Supervisor>,
    journal: Arc<MemoryJournal>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn job(expression: &str, zone: &str) -> CronJob {
    CronJob {
        component: COMPONENT.to_owned(),
        schedule: CronSchedule::parse(expression, zone).expect("a schedule"),
        policy: FiringPolicy {
            jitter_ms: 0,
            starting_deadline_ms: 10_000,
            misfire: Misfire::Skip,
        },
        input: r#"{"a":1}"#.to_owned(),
        last_firing_ms: None,
    }
}

async fn drive(start_ms: i64, entropy: u64, job: CronJob) -> Driven {
    let timer = ManualTimer::at(start_ms);
    let runner = Arc::new(AnswerRunner::new(|_| success("{}")));
    let clock: Arc<dyn Clock> = Arc::clone(&timer) as Arc<dyn Clock>;
    let (supervisor, journal) = supervisor(Arc::clone(&runner) as _, clock, policy());
    let driver = CronDriver::new(
        vec![job],
        Arc::clone(&supervisor),
        Arc::clone(&timer) as _,
        Arc::new(Fixed(entropy)),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(driver.run(async {
        let _ = stopped.await;
    }));
    support::settle().await;
    Driven {
        timer,
        runner,
        supervisor,
        journal,
        stop,
        task,
    }
}

impl Driven {
    /// Stops the driver; each journal entry as `status/reason at +seconds`.
    async fn end(self) -> Vec<String> {
        self.stop.send(()).expect("the driver runs");
        self.task.await.expect("the driver does not panic");
        self.supervisor.idle().await;
        self.supervisor.flush().await;
        self.journal
            .entries()
            .iter()
            .map(|entry| {
                let reason = entry.reason.as_deref().unwrap_or("-");
                let after_ms = entry.scheduled_at_ms - START_MS;
                format!(
                    "{}/{reason} at +{}s",
                    entry.status.as_str(),
                    after_ms / SECOND_MS
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn each_firing_becomes_one_run_meant_for_its_instant() {
    let driven = drive(START_MS, 0, job("*/2 * * * * *", "UTC")).await;
    driven.timer.advance_to(START_MS + 5 * SECOND_MS).await;
    let seen = driven.runner.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].scheduled_at_ms, START_MS + 2 * SECOND_MS);
    assert_eq!(seen[0].input, r#"{"a":1}"#);
    assert_eq!(driven.end().await, ["success/- at +2s", "success/- at +4s"]);
}

#[tokio::test]
async fn jitter_puts_off_the_start_and_not_the_instant_the_run_is_meant_for() {
    let mut job = job("0 * * * * *", "UTC");
    job.policy.jitter_ms = 3_000;
    let driven = drive(START_MS, u64::MAX, job).await;
    driven.timer.advance_to(START_MS + 62_999).await;
    assert!(driven.runner.seen().is_empty());
    driven.timer.advance_to(START_MS + 63_000).await;
    assert_eq!(driven.runner.seen()[0].scheduled_at_ms, START_MS + 60_000);
    assert_eq!(driven.end().await, ["success/- at +60s"]);
}

#[tokio::test]
async fn a_firing_within_its_starting_deadline_still_runs() {
    let driven = drive(START_MS, 0, job("0 * * * * *", "UTC")).await;
    driven.timer.jump_to(START_MS + 70 * SECOND_MS).await;
    assert_eq!(driven.end().await, ["success/- at +60s"]);
}

#[tokio::test]
async fn a_firing_beyond_its_starting_deadline_is_missed() {
    let driven = drive(START_MS, 0, job("0 * * * * *", "UTC")).await;
    driven.timer.jump_to(START_MS + 70 * SECOND_MS + 1).await;
    assert_eq!(
        driven.end().await,
        ["missed/starting-deadline-exceeded at +60s"]
    );
}

#[tokio::test]
async fn after_a_sleep_the_missed_firings_are_one_entry_that_counts_them() {
    let driven = drive(START_MS, 0, job("0 */10 * * * *", "UTC")).await;
    driven.timer.jump_to(START_MS + HOUR_MS + 60_000).await;
    let detail = {
        driven.supervisor.flush().await;
        driven.journal.entries()[0].detail.clone()
    };
    assert_eq!(
        detail.as_deref(),
        Some(
            "6 of `0 */10 * * * * UTC` from 2026-01-01T00:10:00.000Z to 2026-01-01T01:00:00.000Z not started within \
             the starting deadline of 10000 ms"
        )
    );
    driven.timer.advance_to(START_MS + HOUR_MS + 600_000).await;
    assert_eq!(
        driven.end().await,
        [
            "missed/starting-deadline-exceeded at +3600s",
            "success/- at +4200s"
        ]
    );
}

#[tokio::test]
async fn fire_once_runs_the_latest_missed_firing_and_journals_the_others() {
    let mut job = job("0 */10 * * * *", "UTC");
    job.policy.misfire = Misfire::FireOnce;
    let driven = drive(START_MS, 0, job).await;
    driven.timer.jump_to(START_MS + HOUR_MS + 60_000).await;
    let seen = driven.runner.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].scheduled_at_ms, START_MS + HOUR_MS);
    assert_eq!(
        driven.end().await,
        [
            "missed/starting-deadline-exceeded at +3600s",
            "success/- at +3600s"
        ]
    );
}

#[tokio::test]
async fn fire_once_leaves_it_to_a_firing_that_is_still_in_time() {
    let mut job = job("0 */10 * * * *", "UTC");
    job.policy.misfire = Misfire::FireOnce;
    let driven = drive(START_MS, 0, job).await;
    driven.timer.jump_to(START_MS + HOUR_MS + 5_000).await;
    assert_eq!(
        driven.end().await,
        [
            "missed/starting-deadline-exceeded at +3000s",
            "success/- at +3600s"
        ]
    );
}

#[tokio::test]
async fn firings_since_the_host_stopped_count_as_missed() {
    let mut job = job("0 0 * * * *", "UTC");
    job.last_firing_ms = Some(START_MS - 3 * HOUR_MS);
    let driven = drive(START_MS + 60_000, 0, job).await;
    assert_eq!(
        driven.end().await,
        ["missed/starting-deadline-exceeded at +0s"]
    );
}

#[tokio::test]
async fn fire_once_runs_the_latest_firing_since_the_host_stopped() {
    let mut job = job("0 0 * * * *", "UTC");
    job.policy.misfire = Misfire::FireOnce;
    job.last_firing_ms = Some(START_MS - 3 * HOUR_MS);
    let driven = drive(START_MS + 60_000, 0, job).await;
    let seen = driven.runner.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].scheduled_at_ms, START_MS);
    driven.supervisor.flush().await;
    let detail = driven.journal.entries()[0].detail.clone();
    assert!(
        detail.is_some_and(|detail| detail.starts_with("3 of ")),
        "those before the latest are not counted"
    );
    assert_eq!(
        driven.end().await,
        [
            "missed/starting-deadline-exceeded at +0s",
            "success/- at +0s"
        ]
    );
}

#[tokio::test]
async fn a_firing_since_the_host_stopped_that_is_within_its_starting_deadline_runs() {
    let mut job = job("0 0 * * * *", "UTC");
    job.last_firing_ms = Some(START_MS - HOUR_MS);
    let driven = drive(START_MS + 5_000, 0, job).await;
    assert_eq!(driven.end().await, ["success/- at +0s"]);
}

#[tokio::test]
async fn a_host_that_stopped_after_its_last_firing_has_missed_nothing() {
    let mut job = job("0 0 * * * *", "UTC");
    job.last_firing_ms = Some(START_MS);
    let driven = drive(START_MS + 60_000, 0, job).await;
    assert!(driven.end().await.is_empty());
}

#[tokio::test]
async fn a_last_firing_later_than_now_holds_back_nothing() {
    let mut job = job("0 0 * * * *", "UTC");
    job.last_firing_ms = Some(START_MS + 5 * HOUR_MS);
    let driven = drive(START_MS + 60_000, 0, job).await;
    driven.timer.advance_to(START_MS + HOUR_MS).await;
    assert_eq!(driven.end().await, ["success/- at +3600s"]);
}

#[tokio::test]
async fn a_month_of_missed_seconds_is_dealt_with_at_once() {
    let mut job = job("* * * * * *", "UTC");
    job.policy.misfire = Misfire::FireOnce;
    job.policy.starting_deadline_ms = 0;
    job.last_firing_ms = Some(START_MS - 31 * 24 * HOUR_MS);
    let driven = drive(START_MS + 500, 0, job).await;
    driven.supervisor.flush().await;
    let detail = driven.journal.entries()[0].detail.clone();
    assert!(
        detail.is_some_and(|detail| detail.starts_with("at least 10000 of ")),
        "the walk is not bounded"
    );
    assert_eq!(
        driven.end().await,
        [
            "missed/starting-deadline-exceeded at +0s",
            "success/- at +0s"
        ]
    );
}

#[tokio::test]
async fn a_skipped_local_time_is_journalled_as_missed() {
    // 2026-03-29T00:00:00Z, an hour before Berlin's clock is set forward.
    let start_ms = 1_774_742_400_000;
    let driven = drive(start_ms, 0, job("0 30 2 * * *", "Europe/Berlin")).await;
    driven.timer.advance_to(start_ms + 2 * HOUR_MS).await;
    driven.supervisor.flush().await;
    let entry = driven.journal.entries()[0].clone();
    assert_eq!(entry.reason.as_deref(), Some("dst-gap"));
    assert_eq!(entry.scheduled_at_ms, start_ms + HOUR_MS - 1);
    assert_eq!(
        entry.detail.as_deref(),
        Some(
            "1 of `0 30 2 * * * Europe/Berlin` from local time 2026-03-29 02:30:00 on: the clock is set forward over it"
        )
    );
    assert!(driven.runner.seen().is_empty());
    driven.end().await;
}

#[tokio::test]
async fn nothing_fires_once_the_driver_is_told_to_stop() {
    let driven = drive(START_MS, 0, job("* * * * * *", "UTC")).await;
    let timer = Arc::clone(&driven.timer);
    let runner = Arc::clone(&driven.runner);
    assert!(driven.end().await.is_empty());
    timer.advance_to(START_MS + 5 * SECOND_MS).await;
    assert!(runner.seen().is_empty());
}
