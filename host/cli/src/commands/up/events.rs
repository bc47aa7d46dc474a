//! The event bus of a deployment, and the file behind it.

use std::sync::Arc;

use bulkhead_supervisor::EventSink;
use bulkhead_telemetry::{Bus, EventFile, FileBounds, Statistics, TopicPrefix};

use super::super::events;
use crate::arguments::Global;
use crate::deployment::Deployment;

/// Starts the bus, which keeps every event in the data folder, and has the supervisor publish to it. The data folder must
/// be locked: two hosts must not write to one file.
pub fn start(global: &Global, deployment: &Deployment) -> anyhow::Result<Arc<Bus>> {
    let file = EventFile::open(&events::path(global), FileBounds::default())?;
    let bus = Bus::start(&deployment.app.name, Arc::clone(&deployment.clock));
    bus.attach("event file", TopicPrefix::default(), file)?;
    let bus = Arc::new(bus);
    deployment
        .supervisor
        .publish_to(Arc::clone(&bus) as Arc<dyn EventSink>);
    Ok(bus)
}

/// What is said of events that did not arrive.
pub fn lost(events: &Statistics) -> Option<String> {
    let lost = events.dropped_events + events.lagged_events + events.invalid_events;
    (lost > 0 || events.handler_errors > 0).then(|| {
        format!(
            "events: {} dropped, {} lost by slow subscribers, {} invalid, {} failures of handlers; the log says why",
            events.dropped_events,
            events.lagged_events,
            events.invalid_events,
            events.handler_errors
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events_are_told_where_there_are_any() {
        assert_eq!(lost(&Statistics::default()), None);
        let statistics = Statistics {
            dropped_events: 3,
            ..Statistics::default()
        };
        assert!(lost(&statistics).unwrap().contains("3 dropped"));
    }
}
