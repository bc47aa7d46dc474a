//! What the event sink is told of runs.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::{Arc, Mutex};

use bulkhead_stage::{Event, Failure, Outcome, Report, StageError, TriggerKind};
use bulkhead_supervisor::{EventSink, RunEnded, RunStatus};
use support::{COMPONENT, House, START_MS, policy, report, request, settle};

#[derive(Default)]
struct Told(Mutex<Vec<RunEnded>>);

impl EventSink for Told {
    fn publish(&self, ended: RunEnded) {
        self.0.lock().unwrap().push(ended);
    }
}

impl Told {
    fn all(&self) -> Vec<RunEnded> {
        self.0.lock().unwrap().clone()
    }
}

fn house() -> (House, Arc<Told>) {
    let house = House::new(policy());
    let told = Arc::new(Told::default());
    house
        .supervisor
        .publish_to(Arc::clone(&told) as Arc<dyn EventSink>);
    (house, told)
}

fn with_event() -> Report {
    Report {
        events: vec![Event {
            topic: "telemetry.ingest.health".into(),
            subject: None,
            data: "{}".into(),
        }],
        ..report(Outcome::Success, None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_once_with_its_journal_entry_and_the_events_of_its_report() {
    let (mut house, told) = house();
    let run = house.ask(TriggerKind::Cron).await;
    house.clock.advance(7);
    house.next().await.end(Ok(with_event()));
    run.await.unwrap();
    house.supervisor.flush().await;
    let told = told.all();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].events, with_event().events);
    assert_eq!(vec![told[0].entry.clone()], house.journal.entries());
    assert_eq!(told[0].entry.finished_at_ms, START_MS + 7);
}

#[tokio::test(start_paused = true)]
async fn a_run_in_fake_mode_is_told_without_its_events() {
    let (mut house, told) = house();
    let supervisor = Arc::clone(&house.supervisor);
    let run = tokio::spawn(async move {
        let mut request = request(TriggerKind::Http);
        request.fake_mode = true;
        supervisor.run(request).await
    });
    house.next().await.end(Ok(with_event()));
    let completed = run.await.unwrap();
    assert_eq!(completed.finished.result, Ok(with_event()));
    assert!(told.all()[0].events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_a_run_that_was_tried_again_only_the_end_is_told() {
    let (mut house, told) = house();
    let run = house.ask(TriggerKind::Cron).await;
    house.next().await.end(Err(support::unavailable()));
    house.next().await.end(Ok(with_event()));
    run.await.unwrap();
    let told = told.all();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].entry.attempt, told[0].events.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_a_cancelled_and_a_missed_one_are_told_as_they_are_journalled() {
    let (mut house, told) = house();
    let run = house.ask(TriggerKind::Http).await;
    let failure = Failure::Stage(StageError::Internal("x".into()));
    house.next().await.end(Err(failure));
    run.await.unwrap();
    let cancelled = house.ask(TriggerKind::Http).await;
    let started = house.next().await;
    cancelled.abort();
    settle().await;
    assert!(started.is_cancelled());
    let detail = "it was over before it began".to_owned();
    house
        .supervisor
        .missed(COMPONENT, TriggerKind::Cron, START_MS, "dst-gap", detail)
        .await;
    let words: Vec<(RunStatus, Option<String>)> = told
        .all()
        .into_iter()
        .map(|ended| (ended.entry.status, ended.entry.reason))
        .collect();
    let word = |word: &str| Some(word.to_owned());
    assert_eq!(
        words,
        [
            (RunStatus::Failed, word("internal")),
            (RunStatus::Failed, word("cancelled")),
            (RunStatus::Missed, word("dst-gap")),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_before_the_sink_is_there_is_told_to_nobody() {
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Cron).await;
    house.next().await.end(Ok(with_event()));
    run.await.unwrap();
    let told = Arc::new(Told::default());
    house
        .supervisor
        .publish_to(Arc::clone(&told) as Arc<dyn EventSink>);
    assert!(told.all().is_empty());
}
