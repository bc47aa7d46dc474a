//! What the bus gives to whom, what it drops, and what it says of itself.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::{Arc, Mutex};

use bulkhead_stage::{Event, ManualClock, TriggerKind};
use bulkhead_supervisor::{EventSink, JournalEntry, RunEnded, RunStatus};
use bulkhead_telemetry::{
    BUS_QUEUE, Bus, CloudEvent, Draft, Handler, HandlerError, MAX_SUBSCRIBERS, SUBSCRIBER_QUEUE,
    SubscribeError, TopicPrefix,
};

const START_MS: i64 = 1_767_225_600_000;

fn bus() -> (Bus, ManualClock) {
    let clock = ManualClock::at(START_MS);
    (Bus::start("app", Arc::new(clock.clone())), clock)
}

fn prefix(text: &str) -> TopicPrefix {
    text.parse().unwrap()
}

fn event(id: &str, topic: &str, data: &str) -> CloudEvent {
    CloudEvent::new(&Draft {
        id,
        application: "app",
        component: "ingest",
        topic,
        subject: None,
        time_ms: START_MS,
        data,
    })
    .unwrap()
}

fn ended(run_id: &str, topics: &[&str]) -> RunEnded {
    RunEnded {
        entry: JournalEntry {
            run_id: run_id.into(),
            component: "ingest".into(),
            stage: "ingest".into(),
            trigger: TriggerKind::Cron,
            scheduled_at_ms: START_MS,
            started_at_ms: START_MS,
            finished_at_ms: START_MS,
            attempt: 1,
            status: RunStatus::Success,
            reason: None,
            detail: None,
            host_calls: 0,
            denials: 0,
        },
        events: topics
            .iter()
            .map(|topic| Event {
                topic: (*topic).into(),
                subject: None,
                data: "{}".into(),
            })
            .collect(),
    }
}

/// Keeps the ids of what it gets, and fails where it is told to.
struct Keeper {
    ids: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

impl Handler for Keeper {
    fn handle(&mut self, events: &[Arc<CloudEvent>]) -> Result<(), HandlerError> {
        let ids = events.iter().map(|event| event.id().to_owned());
        self.ids.lock().unwrap().extend(ids);
        if self.fails {
            return Err("disk full".into());
        }
        Ok(())
    }
}

fn keeper(fails: bool) -> (Keeper, Arc<Mutex<Vec<String>>>) {
    let ids = Arc::new(Mutex::default());
    let keeper = Keeper {
        ids: Arc::clone(&ids),
        fails,
    };
    (keeper, ids)
}

#[tokio::test]
async fn a_subscriber_gets_the_events_of_its_topics_in_order() {
    let (bus, _) = bus();
    let mut ingest = bus.subscribe(prefix("telemetry.ingest")).unwrap();
    let mut all = bus.subscribe(prefix("")).unwrap();
    EventSink::publish(
        &bus,
        ended(
            "01",
            &[
                "telemetry.ingest",
                "risk.posture",
                "telemetry.ingest.health",
            ],
        ),
    );
    bus.stop().await;
    let mut ids = Vec::new();
    while let Some(event) = ingest.next().await {
        ids.push(event.id().to_owned());
    }
    assert_eq!(ids, ["01-0", "01-2"]);
    let mut count = 0;
    while all.next().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_subscriber_waits_for_what_has_not_come_yet() {
    let (bus, _) = bus();
    let mut events = bus.subscribe(prefix("a")).unwrap();
    let waiting = tokio::spawn(async move { events.next().await.map(|it| it.id().to_owned()) });
    tokio::task::yield_now().await;
    assert_eq!(bus.publish(event("1", "a", "{}")), Some(1));
    assert_eq!(waiting.await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn publishing_gives_the_number_of_subscribers_of_the_topic() {
    let (bus, _) = bus();
    let _one = bus.subscribe(prefix("a")).unwrap();
    let two = bus.subscribe(prefix("a.b")).unwrap();
    assert_eq!(bus.publish(event("1", "a.b", "{}")), Some(2));
    drop(two);
    assert_eq!(bus.publish(event("2", "a.b", "{}")), Some(1));
    assert_eq!(bus.publish(event("3", "b", "{}")), Some(0));
}

#[tokio::test]
async fn a_subscriber_that_is_too_slow_loses_its_oldest_events_and_is_told_how_many() {
    let (bus, _) = bus();
    let mut slow = bus.subscribe(prefix("")).unwrap();
    for number in 0..SUBSCRIBER_QUEUE + 3 {
        while bus.statistics().queue_size > BUS_QUEUE / 2 {
            tokio::task::yield_now().await;
        }
        bus.publish(event(&number.to_string(), "a", "{}"));
    }
    bus.stop().await;
    assert_eq!(slow.take_lagged(), 3);
    assert_eq!(slow.take_lagged(), 0);
    assert_eq!(slow.next().await.unwrap().id(), "3");
    let statistics = bus.statistics();
    assert_eq!(statistics.lagged_events, 3);
    assert_eq!(statistics.dropped_events, 0);
}

#[tokio::test]
async fn what_waits_for_a_slow_subscriber_is_bounded_in_bytes() {
    let (bus, _) = bus();
    let mut slow = bus.subscribe(prefix("")).unwrap();
    let large = format!("\"{}\"", "a".repeat(1_000_000));
    for number in 0..20 {
        while bus.statistics().queue_size > 0 {
            tokio::task::yield_now().await;
        }
        bus.publish(event(&number.to_string(), "a", &large));
    }
    bus.stop().await;
    assert_eq!(slow.take_lagged(), 4, "16 MiB hold 16 of them");
}

// On one thread the bus's task has no turn while this test publishes without waiting.
#[tokio::test]
async fn what_finds_the_bus_full_is_dropped_and_counted_and_nobody_waits() {
    let (bus, _) = bus();
    for number in 0..BUS_QUEUE {
        EventSink::publish(&bus, ended(&number.to_string(), &["a"]));
    }
    EventSink::publish(&bus, ended("late", &["a", "b"]));
    assert_eq!(bus.publish(event("later", "a", "{}")), Some(0));
    let statistics = bus.statistics();
    assert_eq!(statistics.queue_size, BUS_QUEUE);
    assert_eq!(statistics.queue_capacity, BUS_QUEUE);
    assert_eq!(statistics.dropped_events, 3);
    bus.stop().await;
    let statistics = bus.statistics();
    assert_eq!(statistics.published_events, BUS_QUEUE as u64);
    assert_eq!(statistics.queue_size, 0);
}

#[tokio::test]
async fn what_waits_to_be_given_out_is_bounded_in_bytes() {
    let (bus, _) = bus();
    let large = format!("\"{}\"", "a".repeat(1_000_000));
    for number in 0..40 {
        bus.publish(event(&number.to_string(), "a", &large));
    }
    assert!(bus.statistics().dropped_events >= 7);
    bus.stop().await;
    assert!(bus.statistics().published_events >= 32);
}

#[tokio::test]
async fn a_stopped_bus_takes_nothing_and_counts_what_comes() {
    let (bus, _) = bus();
    bus.stop().await;
    assert_eq!(bus.publish(event("1", "a", "{}")), None);
    EventSink::publish(&bus, ended("2", &["a", "b"]));
    let statistics = bus.statistics();
    assert!(!statistics.running && !statistics.loop_running);
    assert_eq!(statistics.dropped_events, 3);
    let refused = bus.subscribe(prefix("")).err();
    assert_eq!(refused, Some(SubscribeError::Stopped));
    bus.stop().await;
}

#[tokio::test]
async fn a_handler_has_all_that_was_taken_when_the_stop_returns() {
    let (bus, _) = bus();
    let (handler, ids) = keeper(false);
    bus.attach("keeper", prefix(""), handler).unwrap();
    for number in 0..1_000 {
        bus.publish(event(&number.to_string(), "a", "{}"));
    }
    bus.stop().await;
    let expected: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    assert_eq!(*ids.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_handler_that_fails_is_counted_and_the_others_and_later_events_go_on() {
    let (bus, clock) = bus();
    let (failing, failed) = keeper(true);
    let (working, worked) = keeper(false);
    bus.attach("failing", prefix("a"), failing).unwrap();
    bus.attach("working", prefix(""), working).unwrap();
    clock.advance(1_000);
    bus.publish(event("1", "a", "{}"));
    while failed.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    bus.publish(event("2", "b", "{}"));
    bus.stop().await;
    assert_eq!(*worked.lock().unwrap(), ["1", "2"]);
    let statistics = bus.statistics();
    assert_eq!(statistics.handler_errors, 1);
    let error_at = statistics.last_error_timestamp.unwrap();
    assert_eq!(error_at, "2026-01-01T00:00:01.000Z");
}

#[tokio::test]
async fn the_same_handler_for_the_same_topics_is_attached_once() {
    let (bus, _) = bus();
    let (first, ids) = keeper(false);
    let (second, none) = keeper(false);
    bus.attach("keeper", prefix("a"), first).unwrap();
    bus.attach("keeper", prefix("a"), second).unwrap();
    assert_eq!(bus.statistics().subscriber_count, 1);
    bus.publish(event("1", "a", "{}"));
    bus.stop().await;
    assert_eq!(
        (ids.lock().unwrap().len(), none.lock().unwrap().len()),
        (1, 0)
    );
}

#[tokio::test]
async fn subscribers_are_bounded_and_a_place_is_free_again_after_one_has_gone() {
    let (bus, _) = bus();
    let mut subscriptions: Vec<_> = (0..MAX_SUBSCRIBERS)
        .map(|_| bus.subscribe(prefix("")).unwrap())
        .collect();
    let refused = bus.subscribe(prefix("")).err();
    assert_eq!(refused, Some(SubscribeError::TooMany));
    subscriptions.pop();
    assert!(bus.subscribe(prefix("")).is_ok());
}

#[tokio::test]
async fn the_statistics_say_how_the_bus_stands() {
    let (bus, clock) = bus();
    let _a = bus.subscribe(prefix("a")).unwrap();
    let _also_a = bus.subscribe(prefix("a")).unwrap();
    let statistics = bus.statistics();
    assert!(statistics.running && statistics.loop_running);
    assert_eq!(statistics.last_event_timestamp, None);
    clock.advance(61_999);
    EventSink::publish(&bus, ended("01", &["a", "no topic"]));
    bus.stop().await;
    let statistics = bus.statistics();
    assert_eq!(statistics.published_events, 1);
    assert_eq!(statistics.invalid_events, 1);
    assert_eq!(statistics.uptime_seconds, 61);
    assert_eq!(statistics.started_at, "2026-01-01T00:00:00.000Z");
    let last = statistics.last_event_timestamp.unwrap();
    assert_eq!(last, "2026-01-01T00:01:01.999Z");
    assert_eq!(statistics.topic_subscribers["a"], 2);
}
