//! From a run's end to the events that tell of it.

use std::collections::HashMap;

use bulkhead_supervisor::{JournalEntry, RunEnded, RunStatus};

use crate::cloud_event::{CloudEvent, Draft, InvalidEvent};
use crate::topic::{self, KILL_SWITCH_ON, RUN_FAILED, SCHEDULE_MISSED};

/// Events of one run that are taken. A report may hold no more.
pub const MAX_EVENTS_OF_RUN: usize = 1_000;

/// The reasons of a hold that mean that a kill switch is on: the words of the stages.
const KILL_SWITCH_REASONS: [&str; 4] = [
    "exec_kill_switch",
    "execution_kill_switch",
    "trading_disabled",
    "emergency_halt",
];

/// What became of a run's end.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    pub events: Vec<CloudEvent>,
    /// Events of the report that are none.
    pub invalid: u64,
}

/// Makes events of runs, and remembers which components a kill switch holds, so that each is told once.
pub(crate) struct Reporter {
    application: String,
    held: HashMap<String, String>,
}

impl Reporter {
    pub fn new(application: &str) -> Self {
        Self {
            application: application.to_owned(),
            held: HashMap::new(),
        }
    }

    /// The events of a run's report, in order, then the host's own about the run.
    pub fn report(&mut self, ended: &RunEnded) -> Reported {
        let RunEnded { entry, events } = ended;
        let mut reported = Reported::default();
        let beyond = events.len().saturating_sub(MAX_EVENTS_OF_RUN);
        if beyond > 0 {
            reported.invalid += beyond as u64;
            tracing::warn!(
                run_id = entry.run_id,
                component = entry.component,
                beyond,
                "a report has too many events"
            );
        }
        for (index, event) in events.iter().take(MAX_EVENTS_OF_RUN).enumerate() {
            let made = if topic::is_of_host(&event.topic) && topic::is_topic(&event.topic) {
                Err(InvalidEvent::HostTopic(event.topic.clone()))
            } else {
                let subject = event.subject.as_deref();
                self.event(entry, index, &event.topic, subject, &event.data)
            };
            match made {
                Ok(event) => reported.events.push(event),
                Err(error) => {
                    reported.invalid += 1;
                    tracing::warn!(run_id = entry.run_id, component = entry.component, index, %error, "an event of a report is none");
                }
            }
        }
        if let Some(topic) = self.own_topic(entry)
            && let Ok(data) = serde_json::to_string(entry)
        {
            let index = events.len().min(MAX_EVENTS_OF_RUN);
            match self.event(entry, index, topic, Some(&entry.component), &data) {
                Ok(event) => reported.events.push(event),
                Err(error) => {
                    tracing::error!(run_id = entry.run_id, %error, "an event of the host")
                }
            }
        }
        reported
    }

    fn event(
        &self,
        entry: &JournalEntry,
        index: usize,
        topic: &str,
        subject: Option<&str>,
        data: &str,
    ) -> Result<CloudEvent, InvalidEvent> {
        CloudEvent::new(&Draft {
            id: &format!("{}-{index}", entry.run_id),
            application: &self.application,
            component: &entry.component,
            topic,
            subject,
            time_ms: entry.finished_at_ms,
            data,
        })
    }

    /// What the host itself has to say of the run.
    fn own_topic(&mut self, entry: &JournalEntry) -> Option<&'static str> {
        match entry.status {
            RunStatus::Failed => Some(RUN_FAILED),
            RunStatus::Missed => Some(SCHEDULE_MISSED),
            RunStatus::Hold => self.newly_held(entry).then_some(KILL_SWITCH_ON),
            RunStatus::Success | RunStatus::Skipped => {
                // A run that did not start says nothing of the switches.
                if entry.attempt > 0 {
                    self.held.remove(&entry.component);
                }
                None
            }
        }
    }

    fn newly_held(&mut self, entry: &JournalEntry) -> bool {
        let reason = entry.reason.as_deref().unwrap_or_default();
        if !KILL_SWITCH_REASONS.contains(&reason) {
            self.held.remove(&entry.component);
            return false;
        }
        let before = self.held.insert(entry.component.clone(), reason.to_owned());
        before.as_deref() != Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_stage::{Event, TriggerKind};
    use serde_json::Value;

    use super::*;

    fn entry(status: RunStatus, reason: Option<&str>) -> JournalEntry {
        JournalEntry {
            run_id: "01a2".into(),
            component: "execute".into(),
            stage: "execute".into(),
            trigger: TriggerKind::Cron,
            scheduled_at_ms: 1_000,
            started_at_ms: 1_001,
            finished_at_ms: 1_002,
            attempt: 1,
            status,
            reason: reason.map(str::to_owned),
            detail: None,
            host_calls: 0,
            denials: 0,
        }
    }

    fn event(topic: &str, data: &str) -> Event {
        Event {
            topic: topic.into(),
            subject: None,
            data: data.into(),
        }
    }

    fn topics(reported: &Reported) -> Vec<&str> {
        reported.events.iter().map(CloudEvent::topic).collect()
    }

    /// The topics that a component's runs give one after the other.
    fn told(runs: &[(RunStatus, Option<&str>)]) -> Vec<String> {
        let mut reporter = Reporter::new("app");
        let mut told = Vec::new();
        for (status, reason) in runs {
            let reported = reporter.report(&RunEnded {
                entry: entry(*status, *reason),
                events: vec![],
            });
            told.extend(topics(&reported).into_iter().map(str::to_owned));
        }
        told
    }

    #[test]
    fn each_event_of_a_report_has_the_runs_id_and_its_place_in_the_report() {
        let ended = RunEnded {
            entry: entry(RunStatus::Success, None),
            events: vec![event("telemetry.a", "1"), event("telemetry.b", "2")],
        };
        let reported = Reporter::new("app").report(&ended);
        let ids: Vec<&str> = reported.events.iter().map(CloudEvent::id).collect();
        assert_eq!(ids, ["01a2-0", "01a2-1"]);
        assert_eq!(topics(&reported), ["telemetry.a", "telemetry.b"]);
        let again = Reporter::new("app").report(&ended);
        assert_eq!(again.events, reported.events);
    }

    #[test]
    fn an_event_that_is_none_is_counted_and_the_others_are_told_with_their_own_places() {
        let reported = Reporter::new("app").report(&RunEnded {
            entry: entry(RunStatus::Success, None),
            events: vec![
                event("run.failed", "{}"),
                event("no topic", "{}"),
                event("telemetry.a", "nope"),
                event("telemetry.b", "{}"),
            ],
        });
        assert_eq!(reported.invalid, 3);
        assert_eq!(reported.events[0].id(), "01a2-3");
    }

    #[test]
    fn a_report_of_too_many_events_loses_those_beyond_the_bound() {
        let reported = Reporter::new("app").report(&RunEnded {
            entry: entry(RunStatus::Success, None),
            events: vec![event("a", "1"); MAX_EVENTS_OF_RUN + 2],
        });
        assert_eq!(reported.events.len(), MAX_EVENTS_OF_RUN);
        assert_eq!(reported.invalid, 2);
    }

    #[test]
    fn a_run_that_failed_and_a_firing_that_was_missed_are_told_with_their_journal_entry() {
        for (status, topic) in [
            (RunStatus::Failed, RUN_FAILED),
            (RunStatus::Missed, SCHEDULE_MISSED),
        ] {
            let reported = Reporter::new("app").report(&RunEnded {
                entry: entry(status, Some("dst-gap")),
                events: vec![],
            });
            assert_eq!(topics(&reported), [topic]);
            let value: Value = serde_json::from_str(reported.events[0].as_json()).unwrap();
            assert_eq!(value["source"], "/bulkhead/app/execute");
            assert_eq!(value["subject"], "execute");
            assert_eq!(value["data"]["reason"], "dst-gap");
        }
    }

    #[test]
    fn a_kill_switch_is_told_when_a_run_first_meets_it_and_again_after_it_was_off() {
        use RunStatus::{Hold, Success};
        let on = (Hold, Some("execution_kill_switch"));
        assert_eq!(told(&[on, on, on]), [KILL_SWITCH_ON]);
        assert_eq!(told(&[on, (Success, None), on]).len(), 2);
        assert_eq!(told(&[on, (Hold, Some("trading_disabled"))]).len(), 2);
        assert!(told(&[(Hold, Some("rate_limited"))]).is_empty());
    }
}
