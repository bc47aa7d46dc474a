//! Attempts, pauses and deadlines.

mod support;

use bulkhead_stage::{Failure, Limit, Outcome, StageError, TriggerKind};
use bulkhead_supervisor::{DEADLINE_GRACE_MS, RunPolicy, Verdict};
use std::time::Duration;
use support::{House, policy, report, unavailable};

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_under_the_same_run_id() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Http).await;
    let first = house.next().await;
    let run_id = first.invocation.run_id.clone();
    assert_eq!(first.invocation.attempt, 1);
    first.end(Err(unavailable()));
    let second = house.next().await;
    assert_eq!(second.invocation.run_id, run_id);
    assert_eq!(second.invocation.attempt, 2);
    second.succeed();
    let completed = run.await.unwrap();
    assert_eq!(completed.attempts, 2);
    assert_eq!(
        completed.finished.result,
        Ok(report(Outcome::Success, None))
    );
    house.supervisor.flush().await;
    let entries = house.journal.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].attempt, 2);
    assert_eq!(entries[0].host_calls, 20);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_the_last_failure_is_the_runs() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Cron).await;
    for _ in 0..3 {
        house.next().await.end(Err(unavailable()));
    }
    let completed = run.await.unwrap();
    assert_eq!(completed.attempts, 3);
    assert_eq!(completed.finished.result, Err(unavailable()));
    assert_eq!(house.flushed_words().await, ["failed/unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_attempts_grow() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Cron).await;
    let mut pauses = Vec::new();
    house.next().await.end(Err(unavailable()));
    for _ in 0..2 {
        let before = tokio::time::Instant::now();
        house.next().await.end(Err(unavailable()));
        pauses.push(before.elapsed());
    }
    run.await.unwrap();
    assert!((100..=201).contains(&pauses[0].as_millis()), "{pauses:?}");
    assert!((200..=401).contains(&pauses[1].as_millis()), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_would_only_repeat_itself_is_not_tried_again() {
    for failure in [
        Failure::Stage(StageError::InvalidInput("no".to_owned())),
        Failure::Trapped {
            detail: "unreachable".to_owned(),
        },
        Failure::Limit {
            limit: Limit::Memory,
            detail: "64MiB".to_owned(),
        },
    ] {
        let mut house = House::new(policy());
        let run = house.ask(TriggerKind::Manual).await;
        house.next().await.end(Err(failure.clone()));
        let completed = run.await.unwrap();
        assert_eq!(completed.attempts, 1, "{failure}");
        assert_eq!(completed.finished.result, Err(failure));
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_never_answers_is_let_go_after_the_deadline() {
    let mut house = House::new(RunPolicy {
        deadline_ms: 1_000,
        ..policy()
    });
    let run = house.ask(TriggerKind::Cron).await;
    let hung = house.next().await;
    let before = tokio::time::Instant::now();
    let completed = run.await.unwrap();
    assert!(before.elapsed() <= Duration::from_millis(1_000 + DEADLINE_GRACE_MS + 1));
    assert!(hung.is_cancelled());
    assert_eq!(completed.verdict, Verdict::Ran);
    assert_eq!(house.flushed_words().await, ["failed/deadline-exceeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_not_in_the_manifest_is_refused() {
    let house = House::new(policy());
    let mut request = support::request(TriggerKind::Manual);
    request.component = "nobody".to_owned();
    let completed = house.supervisor.run(request).await;
    assert_eq!(completed.verdict, Verdict::Refused);
    assert_eq!(
        completed.finished.result,
        Err(Failure::UnknownComponent {
            component: "nobody".to_owned()
        })
    );
}
