//! Which runs may start while others are going.

mod support;

use bulkhead_stage::{Failure, Limit, TriggerKind};
use bulkhead_supervisor::{Overlap, QUEUE_LENGTH, RunPolicy, Verdict};
use support::{House, policy, settle};

fn overlap(overlap: Overlap) -> House {
    House::new(RunPolicy {
        overlap,
        ..policy()
    })
}

#[tokio::test(start_paused = true)]
async fn forbid_skips_a_firing_while_the_run_before_is_going() {
    let mut house = overlap(Overlap::Forbid);
    let first = house.ask(TriggerKind::Cron).await;
    let second = house.ask(TriggerKind::Cron).await.await.unwrap();
    assert_eq!(second.verdict, Verdict::Skipped);
    assert_eq!(second.attempts, 0);
    house.next().await.succeed();
    first.await.unwrap();
    assert_eq!(
        house.flushed_words().await,
        ["skipped/overlap-forbidden", "success/-"]
    );
}

#[tokio::test(start_paused = true)]
async fn forbid_starts_the_next_firing_once_the_run_before_has_ended() {
    let mut house = overlap(Overlap::Forbid);
    for _ in 0..2 {
        let run = house.ask(TriggerKind::Cron).await;
        house.next().await.succeed();
        assert_eq!(run.await.unwrap().verdict, Verdict::Ran);
    }
}

#[tokio::test(start_paused = true)]
async fn queued_firings_run_one_after_the_other_in_order() {
    let mut house = overlap(Overlap::Queue);
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(house.ask(TriggerKind::Cron).await);
    }
    let mut ran = Vec::new();
    for _ in 0..3 {
        let started = house.next().await;
        settle().await;
        assert!(house.started.is_empty(), "two runs at once");
        ran.push(started.invocation.run_id.clone());
        started.succeed();
    }
    let mut asked = Vec::new();
    for task in tasks {
        asked.push(task.await.unwrap().run_id);
    }
    assert_eq!(ran, asked);
}

#[tokio::test(start_paused = true)]
async fn a_firing_beyond_the_queue_is_skipped() {
    let house = overlap(Overlap::Queue);
    let mut tasks = Vec::new();
    for _ in 0..=QUEUE_LENGTH {
        tasks.push(house.ask(TriggerKind::Cron).await);
    }
    let beyond = house.ask(TriggerKind::Cron).await.await.unwrap();
    assert_eq!(beyond.verdict, Verdict::Skipped);
    assert_eq!(house.flushed_words().await, ["skipped/queue-full"]);
}

#[tokio::test(start_paused = true)]
async fn replace_cancels_the_run_before_and_then_starts_the_new_one() {
    let mut house = overlap(Overlap::Replace);
    let first = house.ask(TriggerKind::Cron).await;
    let old = house.next().await;
    let second = house.ask(TriggerKind::Cron).await;
    assert!(old.is_cancelled());
    assert_eq!(first.await.unwrap().verdict, Verdict::Cancelled);
    house.next().await.succeed();
    assert_eq!(second.await.unwrap().verdict, Verdict::Ran);
    assert_eq!(
        house.flushed_words().await,
        ["failed/replaced", "success/-"]
    );
}

#[tokio::test(start_paused = true)]
async fn overlap_does_not_bind_runs_that_no_schedule_started() {
    let mut house = overlap(Overlap::Forbid);
    let scheduled = house.ask(TriggerKind::Cron).await;
    let manual = house.ask(TriggerKind::Manual).await;
    house.next().await.succeed();
    house.next().await.succeed();
    assert_eq!(scheduled.await.unwrap().verdict, Verdict::Ran);
    assert_eq!(manual.await.unwrap().verdict, Verdict::Ran);
}

#[tokio::test(start_paused = true)]
async fn a_run_beyond_the_concurrent_ones_is_refused_at_once_and_counted() {
    let mut house = House::new(policy());
    let first = house.ask(TriggerKind::Http).await;
    let _second = house.ask(TriggerKind::Http).await;
    let third = house.ask(TriggerKind::Http).await.await.unwrap();
    assert_eq!(third.verdict, Verdict::Refused);
    let Err(Failure::Limit { limit, detail }) = third.finished.result else {
        panic!("not refused: {:?}", third.finished.result);
    };
    assert_eq!(limit, Limit::ConcurrentRuns);
    assert_eq!(
        detail,
        "2 runs are going, and `limits.concurrent_runs` is 2"
    );
    house.next().await.succeed();
    first.await.unwrap();
    let _fourth = house.ask(TriggerKind::Http).await;
    assert_eq!(house.flushed_words().await, ["success/-"]);
    assert_eq!(house.supervisor.stats().total().refused, 1);
    assert_eq!(house.supervisor.stats().running, 2);
}
