//! The stage's input and report: which task is asked for, and how its end is told.

use serde_json::{Value, json};

use bulkhead_kernel::stage::{Event, json_text};

use crate::frames;
use crate::journal::{Record, Status};
use crate::run::{Ended, Polled};
use crate::{StageError, normalise};

/// The counter of bars that a poll inserted or updated.
const BARS_METRIC: &str = "ingest_bars_total";
/// The counter of bars that a poll quarantined.
const QUARANTINED_METRIC: &str = "ingest_quarantined_bars_total";
/// The counter of frames that a feed gave.
const FRAMES_METRIC: &str = "ingest_frames_total";
/// The counter of elements of frames that were quarantined.
const QUARANTINED_FRAMES_METRIC: &str = "ingest_quarantined_frames_total";
/// The topic of the event that tells of stored bars.
const RUN_TOPIC: &str = "telemetry.ingest.run";

/// What the input asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Poll the market-data host. The default.
    Poll,
    /// Normalise the frame that this input holds.
    Normalise(Value),
    /// Take what a feed received.
    Frames(frames::Input),
}

impl Task {
    /// Reads the invocation's input; empty text is `{}`.
    ///
    /// # Errors
    /// [`StageError::InvalidInput`] says where the text departs from [`INPUT_SCHEMA`].
    pub fn read(input: &str) -> Result<Self, StageError> {
        let text = if input.trim().is_empty() { "{}" } else { input };
        let value: Value = serde_json::from_str(text).map_err(|error| {
            StageError::InvalidInput(format!("read the input as JSON: {error}"))
        })?;
        let Some(fields) = value.as_object() else {
            return Err(StageError::InvalidInput(
                "the input must be an object".to_owned(),
            ));
        };
        match fields.get("task") {
            None => Self::poll(&value),
            Some(Value::String(task)) if task == "poll" => Self::poll(&value),
            Some(Value::String(task)) if task == "normalise" => Ok(Self::Normalise(value)),
            Some(Value::String(task)) if task == "frames" => frames::Input::read(&value)
                .map(Self::Frames)
                .map_err(StageError::InvalidInput),
            Some(other) => Err(StageError::InvalidInput(format!(
                "`task` must be `poll`, `frames` or `normalise`, not {other}"
            ))),
        }
    }

    fn poll(input: &Value) -> Result<Self, StageError> {
        let mut fields = input
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys());
        match fields.find(|key| *key != "task") {
            None => Ok(Self::Poll),
            Some(unknown) => Err(StageError::InvalidInput(format!(
                "unknown field `{unknown}`: task `poll` takes none"
            ))),
        }
    }
}

/// How a run that came to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The stage did its work.
    Success,
    /// The stage may not go on, for the reason it names.
    Hold,
    /// There was nothing to do.
    Skipped,
}

/// A counter raised by the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The counter's name.
    pub name: &'static str,
    /// Label names and values.
    pub labels: Vec<(String, String)>,
    /// By how much it rose.
    pub value: f64,
}

/// What a run gives back, before it takes the contract's types.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it is no success.
    pub reason: Option<&'static str>,
    /// JSON, as [`OUTPUT_SCHEMA`] describes.
    pub output: String,
    /// For the bus: topic, subject, data.
    pub events: Vec<Event>,
    /// Names and milliseconds.
    pub spans: Vec<(String, f64)>,
    /// Counters.
    pub metrics: Vec<Metric>,
}

/// Runs the task `normalise`; see [`normalise::run_task`].
///
/// # Errors
/// [`StageError::InvalidInput`] with the text of the refusal.
pub fn normalise(
    input: &Value,
    now_s: f64,
    duration_ms: impl FnOnce() -> f64,
) -> Result<Report, StageError> {
    let mut took = 0.0;
    let output = normalise::run_task(input, now_s, || {
        took = duration_ms();
        took
    })
    .map_err(StageError::InvalidInput)?
    .to_json()
    .map_err(|error| StageError::Internal(format!("write the answer: {error}")))?;
    let path = input["path"].as_str().unwrap_or_default();
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(Report {
        outcome: Outcome::Success,
        reason: None,
        events: Vec::new(),
        spans: vec![(path.to_owned(), took)],
        metrics: vec![Metric {
            name: normalise::INVOCATIONS_METRIC,
            labels: vec![label("outcome", "success"), label("path", path)],
            value: 1.0,
        }],
        output,
    })
}

/// Tells how a poll ended.
pub fn polled(ended: Ended) -> Report {
    let mut report = match ended.how {
        Polled::Stored(record) => {
            let event = Event {
                topic: RUN_TOPIC.to_owned(),
                subject: Some(record.run_id.clone()),
                data: json!(record),
            };
            let reason = (record.status != Status::Success).then_some("partial");
            let mut report = recorded(Outcome::Success, reason, record);
            report.events.push(event);
            report
        }
        Polled::NothingNew(record) => recorded(Outcome::Skipped, Some("no_new_bars"), record),
        Polled::Held(reason, record) => recorded(Outcome::Hold, Some(reason), record),
        Polled::RateLimited { not_before_ms } => Report {
            outcome: Outcome::Hold,
            reason: Some("rate_limited"),
            output: json!({ "status": "rate_limited", "not_before_ms": not_before_ms }).to_string(),
            events: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
        },
    };
    report.events.extend(ended.events);
    report
}

/// Tells what became of a feed's batch.
pub fn framed(outcome: frames::Outcome) -> Report {
    let count = |field: &str| outcome.output[field].as_f64().unwrap_or_default();
    let metrics = [
        (FRAMES_METRIC, "frames"),
        (QUARANTINED_FRAMES_METRIC, "quarantined_count"),
    ];
    let metrics = metrics.map(|(name, field)| Metric {
        name,
        labels: vec![],
        value: count(field),
    });
    let outcome_of_run = match outcome.held {
        Some(_) => Outcome::Hold,
        None => Outcome::Success,
    };
    Report {
        outcome: outcome_of_run,
        reason: outcome.held,
        events: outcome.events,
        spans: Vec::new(),
        metrics: metrics
            .into_iter()
            .filter(|metric| metric.value > 0.0)
            .collect(),
        output: json_text(&outcome.output),
    }
}

/// The report of a poll or a feed's batch in fake mode, in which nothing may be asked of anyone.
pub fn nothing_in_fake_mode() -> Report {
    Report {
        outcome: Outcome::Skipped,
        reason: Some("fake_mode"),
        output: json!({ "status": "skipped" }).to_string(),
        events: Vec::new(),
        spans: Vec::new(),
        metrics: Vec::new(),
    }
}

fn recorded(outcome: Outcome, reason: Option<&'static str>, record: Record) -> Report {
    let mut metrics = Vec::new();
    for series in &record.symbols {
        for (name, change, count) in [
            (BARS_METRIC, Some("inserted"), series.inserted),
            (BARS_METRIC, Some("updated"), series.updated),
            (QUARANTINED_METRIC, None, series.quarantined),
        ] {
            if count == 0 {
                continue;
            }
            let mut labels = vec![("instrument".to_owned(), series.instrument.clone())];
            labels.extend(change.map(|change| ("change".to_owned(), change.to_owned())));
            metrics.push(Metric {
                name,
                labels,
                value: f64::from(count),
            });
        }
    }
    Report {
        outcome,
        reason,
        events: Vec::new(),
        spans: vec![("poll".to_owned(), record.duration_ms)],
        metrics,
        output: json!(record).to_string(),
    }
}

/// JSON Schema of the input.
pub const INPUT_SCHEMA: &str = include_str!("../schemas/input.json");
/// JSON Schema of the output.
pub const OUTPUT_SCHEMA: &str = include_str!("../schemas/output.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::{Task, normalise};
    use crate::StageError;

    #[test]
    fn an_input_without_a_task_polls() {
        for input in ["", " ", "{}", r#"{"task":"poll"}"#] {
            assert_eq!(Task::read(input), Ok(Task::Poll), "{input}");
        }
    }

    #[test]
    fn an_input_that_names_no_known_task_is_refused() {
        for (input, text) in [
            ("{", "JSON"),
            ("[]", "object"),
            (r#"{"task":5}"#, "`task`"),
            (r#"{"task":"pol"}"#, "`task`"),
            (r#"{"pages":5}"#, "`pages`"),
        ] {
            match Task::read(input) {
                Err(StageError::InvalidInput(detail)) => assert!(detail.contains(text), "{detail}"),
                other => panic!("{input}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_normalised_frame_is_reported_with_the_span_and_counter_of_its_output() {
        let input =
            json!({"task": "normalise", "path": "consume_signal", "frame": {"pair": "A/B"}});
        let report = normalise(&input, 1.0, || 0.5).unwrap();
        let output: Value = serde_json::from_str(&report.output).unwrap();
        assert_eq!(report.spans, [("consume_signal".to_owned(), 0.5)]);
        assert_eq!(output["telemetry"]["spans"][0]["duration_ms"], 0.5);
        let counter = &output["telemetry"]["metrics"][0];
        assert_eq!(counter["name"], report.metrics[0].name);
        for (name, value) in &report.metrics[0].labels {
            assert_eq!(counter["labels"][name], *value);
        }
    }

    #[test]
    fn the_schemas_are_json() {
        for schema in [super::INPUT_SCHEMA, super::OUTPUT_SCHEMA] {
            let value: serde_json::Value = serde_json::from_str(schema).unwrap();
            assert_eq!(
                value["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
        }
    }
}
