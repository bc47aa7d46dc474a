//! How the supervisor comes to rest.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::{Failure, TriggerKind};
use bulkhead_supervisor::{Overlap, RunPolicy, ShutdownSummary, Verdict};
use support::{House, policy, settle};
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);

async fn shut_down(house: &House) -> JoinHandle<ShutdownSummary> {
    let supervisor = Arc::clone(&house.supervisor);
    let task = tokio::spawn(async move { supervisor.shutdown(DEADLINE).await });
    settle().await;
    task
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_within_the_deadline_is_not_cancelled() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Cron).await;
    let started = house.next().await;
    let shutdown = shut_down(&house).await;
    started.succeed();
    assert_eq!(run.await.unwrap().verdict, Verdict::Ran);
    let summary = shutdown.await.unwrap();
    assert_eq!(summary.cancelled, 0);
    assert_eq!(house.journal.words(), ["success/-"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_outlasts_the_deadline_is_cancelled_and_journalled() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Http).await;
    let started = house.next().await;
    let summary = shut_down(&house).await.await.unwrap();
    assert_eq!(
        summary,
        ShutdownSummary {
            cancelled: 1,
            stuck: 0
        }
    );
    assert!(started.is_cancelled());
    assert_eq!(run.await.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(house.journal.words(), ["failed/shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn no_run_starts_once_a_shutdown_has_begun() {
    let mut house = House::new(policy());
    let _going = house.ask(TriggerKind::Cron).await;
    let started = house.next().await;
    let shutdown = shut_down(&house).await;
    let refused = house.ask(TriggerKind::Http).await.await.unwrap();
    assert_eq!(refused.verdict, Verdict::ShuttingDown);
    let Err(Failure::Host { detail }) = refused.finished.result else {
        panic!("not refused");
    };
    assert!(detail.starts_with("shutting-down"), "{detail}");
    started.succeed();
    shutdown.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_in_the_queue_are_skipped_when_a_shutdown_begins() {
    let mut house = House::new(RunPolicy {
        overlap: Overlap::Queue,
        ..policy()
    });
    let _going = house.ask(TriggerKind::Cron).await;
    let started = house.next().await;
    let waiting = house.ask(TriggerKind::Cron).await;
    let shutdown = shut_down(&house).await;
    assert_eq!(waiting.await.unwrap().verdict, Verdict::Skipped);
    started.succeed();
    shutdown.await.unwrap();
    assert_eq!(
        house.journal.words(),
        ["skipped/shutting-down", "success/-"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_with_nothing_going_ends_at_once() {
    let house = House::new(policy());
    let before = tokio::time::Instant::now();
    house.supervisor.shutdown(DEADLINE).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}
