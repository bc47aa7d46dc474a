//! What is written about runs, and when.

mod support;

use std::sync::Arc;

use bulkhead_stage::{Failure, Outcome, TriggerKind};
use bulkhead_supervisor::{JOURNAL_ATTEMPTS, JOURNAL_BATCH, JOURNAL_QUEUE, RunPolicy, RunStatus};
use support::{COMPONENT, House, START_MS, policy, report, settle};
use tokio::sync::Semaphore;

async fn run_to_success(house: &mut House) {
    let run = house.ask(TriggerKind::Http).await;
    house.next().await.succeed();
    run.await.expect("the run does not panic");
}

#[tokio::test(start_paused = true)]
async fn an_entry_says_when_a_run_was_meant_for_when_it_started_and_when_it_ended() {
    let mut house = House::new(policy());
    house.clock.advance(7);
    let run = house.ask(TriggerKind::Cron).await;
    house.clock.advance(40);
    house
        .next()
        .await
        .end(Ok(report(Outcome::Hold, Some("trading-disabled"))));
    run.await.unwrap();
    house.supervisor.flush().await;
    let entry = &house.journal.entries()[0];
    assert_eq!(entry.component, COMPONENT);
    assert_eq!(entry.scheduled_at_ms, START_MS);
    assert_eq!(entry.started_at_ms, START_MS + 7);
    assert_eq!(entry.finished_at_ms, START_MS + 47);
    assert_eq!(entry.status, RunStatus::Hold);
    assert_eq!(entry.reason.as_deref(), Some("trading-disabled"));
}

#[tokio::test(start_paused = true)]
async fn entries_that_gather_during_a_write_go_into_one_batch() {
    let mut house = House::new(policy());
    let gate = Arc::new(Semaphore::new(0));
    *house.journal.gate.lock().unwrap() = Some(Arc::clone(&gate));
    for _ in 0..5 {
        run_to_success(&mut house).await;
    }
    gate.add_permits(2);
    house.supervisor.flush().await;
    let sizes: Vec<usize> = house
        .journal
        .batches
        .lock()
        .unwrap()
        .iter()
        .map(Vec::len)
        .collect();
    assert_eq!(sizes, [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn runs_wait_to_end_while_the_journals_queue_is_full() {
    let mut house = House::new(RunPolicy {
        concurrent_runs: 8,
        ..policy()
    });
    let gate = Arc::new(Semaphore::new(0));
    *house.journal.gate.lock().unwrap() = Some(Arc::clone(&gate));
    for _ in 0..=JOURNAL_QUEUE {
        run_to_success(&mut house).await;
    }
    let late = house.ask(TriggerKind::Http).await;
    house.next().await.succeed();
    settle().await;
    assert!(!late.is_finished(), "the queue is not bounded");
    gate.add_permits(JOURNAL_QUEUE);
    late.await.unwrap();
    house.supervisor.flush().await;
    assert_eq!(house.journal.entries().len(), JOURNAL_QUEUE + 2);
    let largest = house
        .journal
        .batches
        .lock()
        .unwrap()
        .iter()
        .map(Vec::len)
        .max();
    assert_eq!(largest, Some(JOURNAL_BATCH));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_until_it_succeeds() {
    let mut house = House::new(policy());
    *house.journal.failures_left.lock().unwrap() = JOURNAL_ATTEMPTS - 1;
    run_to_success(&mut house).await;
    assert_eq!(house.flushed_words().await, ["success/-"]);
    assert_eq!(house.supervisor.stats().journal_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_keeps_failing_is_given_up_and_counted() {
    let mut house = House::new(policy());
    *house.journal.failures_left.lock().unwrap() = u32::MAX;
    run_to_success(&mut house).await;
    house.supervisor.flush().await;
    assert_eq!(*house.journal.tries.lock().unwrap(), JOURNAL_ATTEMPTS);
    assert_eq!(house.supervisor.stats().journal_lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_waits_for_any_more_is_journalled_as_cancelled() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Manual).await;
    let started = house.next().await;
    run.abort();
    settle().await;
    assert!(started.is_cancelled());
    assert_eq!(house.flushed_words().await, ["failed/cancelled"]);
    assert_eq!(house.supervisor.stats().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_missed_firing_is_journalled_without_an_attempt() {
    let house = House::new(policy());
    house
        .supervisor
        .missed(
            COMPONENT,
            TriggerKind::Cron,
            START_MS - 5_000,
            "dst-gap",
            "02:30 does not exist".to_owned(),
        )
        .await;
    assert_eq!(house.flushed_words().await, ["missed/dst-gap"]);
    let entry = &house.journal.entries()[0];
    assert_eq!(entry.attempt, 0);
    assert_eq!(entry.scheduled_at_ms, START_MS - 5_000);
    assert_eq!(house.supervisor.stats().total().missed, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_guest_wrote_into_a_failure_is_cut_at_a_bound() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Manual).await;
    house.next().await.end(Err(Failure::Trapped {
        detail: "é".repeat(100_000),
    }));
    run.await.unwrap();
    house.supervisor.flush().await;
    let detail = house.journal.entries()[0].detail.clone().unwrap();
    assert!(detail.starts_with("guest-trapped: éé"));
    assert!(detail.len() <= 2_048, "{} bytes", detail.len());
}
