//! What is written about runs, and when.

mod support;

use std::sync::Arc;

use bulkhead_stage::{Denial, Failure, Outcome, Report, StageError, TriggerKind};
use bulkhead_supervisor::{JOURNAL_ATTEMPTS, JOURNAL_BATCH, JOURNAL_QUEUE, RunPolicy, RunStatus};
use support::{COMPONENT, House, START_MS, policy, report, settle};
use tokio::sync::Semaphore;

fn denial() -> Denial {
    Denial {
        reason: "write-not-granted".to_owned(),
        detail: "component `pulse` may not write `orders` (spin.toml:190)".to_owned(),
    }
}

/// The detail of a run that ended so after the grants had refused something.
async fn detail_after_a_denial(result: Result<Report, Failure>) -> String {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Http).await;
    house.next().await.end_refused(result, vec![denial()]);
    run.await.expect("the run does not panic");
    house.supervisor.flush().await;
    house.journal.entries()[0]
        .detail
        .clone()
        .unwrap_or_default()
}

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
async fn the_detail_of_a_failed_run_ends_with_the_first_denial_and_its_word() {
    let failure = Failure::Stage(StageError::Internal("nothing stored".to_owned()));
    assert_eq!(
        detail_after_a_denial(Err(failure)).await,
        "internal: nothing stored; refused was write-not-granted: component `pulse` may not write `orders` \
         (spin.toml:190)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_the_stage_passes_on_is_not_told_twice() {
    let Denial { reason, detail } = denial();
    let failure = Failure::Stage(StageError::Denied(format!("{reason}: {detail}")));
    assert_eq!(
        detail_after_a_denial(Err(failure)).await,
        "denied: write-not-granted: component `pulse` may not write `orders` (spin.toml:190)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_without_an_error_of_its_own_has_the_first_denial_as_its_detail() {
    assert_eq!(
        detail_after_a_denial(Ok(report(Outcome::Hold, None))).await,
        "write-not-granted: component `pulse` may not write `orders` (spin.toml:190)"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_guest_wrote_does_not_push_the_denial_out() {
    let failure = Failure::Trapped {
        detail: "é".repeat(100_000),
    };
    let detail = detail_after_a_denial(Err(failure)).await;
    assert!(detail.starts_with("guest-trapped: éé"));
    assert!(detail.ends_with("(spin.toml:190)"), "{detail}");
    assert!(detail.len() <= 2_048, "{} bytes", detail.len());
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
