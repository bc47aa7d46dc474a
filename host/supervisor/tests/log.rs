//! What is logged about runs.

mod support;

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_stage::{Failure, StageError, TriggerKind};
use support::{House, policy, unavailable};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps each warning as its message and the fields that say which run and why.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line {
            message,
            component,
            reason,
        } = line;
        self.lines()
            .push(format!("{message}: {component} {reason}"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    component: String,
    reason: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let part = match field.name() {
            "message" => &mut self.message,
            "component" => &mut self.component,
            "reason" => &mut self.reason,
            _ => return,
        };
        *part = format!("{value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

async fn warnings_of(attempts: Vec<Result<(), Failure>>) -> Vec<String> {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let mut house = House::new(policy());
    let run = house.ask(TriggerKind::Cron).await;
    for attempt in attempts {
        let started = house.next().await;
        match attempt {
            Ok(()) => started.succeed(),
            Err(failure) => started.end(Err(failure)),
        }
    }
    run.await.expect("the run does not panic");
    warnings.lines().clone()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_failed_for_good_is_one_warning_with_its_component_and_reason() {
    let failure = Failure::Stage(StageError::Internal("broken".to_owned()));
    assert_eq!(
        warnings_of(vec![Err(failure)]).await,
        ["run failed: pulse internal"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_failed_attempts_is_told_apart_from_those_before() {
    let lines = warnings_of(vec![
        Err(unavailable()),
        Err(unavailable()),
        Err(unavailable()),
    ])
    .await;
    assert_eq!(
        lines,
        [
            "run failed, will be tried again: pulse ",
            "run failed, will be tried again: pulse ",
            "run failed: pulse unavailable"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_succeeds_is_no_warning() {
    assert!(warnings_of(vec![Ok(())]).await.is_empty());
}
