//! The canary's control flow.
//!
//! With ingest on, the fixed frame goes through the deployed normaliser and its envelope through the pipeline.
//! Otherwise the pipeline runs on a baseline envelope, after the mock feed if that is on. With the ingest and the mock
//! feed's flag both on, the mock feed runs in addition, after the pipeline: its result is attached to the
//! response, and the digested envelope stays the ingested one.

use serde::Serialize;
use serde_json::{Value, json};

use crate::checks::{self, Check};
use crate::frames;
use crate::mock_feed::{self, MockRun};
use crate::pipeline;
use crate::settings::Settings;
use crate::stages::{Failure, Stage, Stages};
use crate::telemetry::{Metric, Span};

/// The reasons for which the normaliser refuses a frame, as it writes them before the message.
const REFUSALS: [&str; 3] = ["invalid_frame", "invalid_signal", "missing_instrument"];
/// Of what a failed stage said, so much is told, in bytes.
const MAX_CAUSE_BYTES: usize = 1_024;
/// The reason of a canary whose response is a success, but does not stand up to a check.
const CHECK_FAILED: &str = "canary_check_failed";

/// What a canary run gives back.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The pipeline's response.
    pub response: Value,
    /// What was checked in it.
    pub checks: Vec<Check>,
    /// The spans of the ingest stage.
    pub spans: Vec<Span>,
    /// Every counter, in the order they were raised.
    pub metrics: Vec<Metric>,
}

impl Evidence {
    /// Why the canary holds. None: it is a success.
    #[must_use]
    pub fn hold_reason(&self) -> Option<&str> {
        if self.response["status"] != "success" {
            return Some(self.response["reason"].as_str().unwrap_or(CHECK_FAILED));
        }
        self.checks
            .iter()
            .any(|check| !check.passed)
            .then_some(CHECK_FAILED)
    }

    /// The run's output as JSON text: `{response, checks, trace_id}`.
    #[must_use]
    pub fn output(&self) -> String {
        let output = Output {
            response: &self.response,
            checks: &self.checks,
            trace_id: &self.response["meta"]["trace_id"],
        };
        // Its keys are texts, so that it can always be written.
        serde_json::to_string(&output).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Output<'a> {
    response: &'a Value,
    checks: &'a [Check],
    trace_id: &'a Value,
}

/// The normaliser's task.
#[derive(Serialize)]
struct Normalise<'a> {
    task: &'static str,
    path: &'a str,
    frame: &'a Value,
    fake: bool,
}

/// Runs the canary.
pub async fn run(stages: &mut impl Stages, settings: &Settings) -> Evidence {
    let mut canary = Canary {
        stages,
        settings,
        spans: Vec::new(),
        metrics: Vec::new(),
        causes: Vec::new(),
    };
    let response = canary.respond().await;
    let Canary {
        spans,
        metrics,
        causes,
        ..
    } = canary;
    let mut checks = checks::check(&response, settings);
    // The response has no room for what a stage said.
    if let Some(failed) = checks.iter_mut().find(|check| !check.passed) {
        for cause in causes {
            let text = cause.to_string();
            let end = text.floor_char_boundary(MAX_CAUSE_BYTES);
            failed.detail.push_str("; ");
            failed.detail.push_str(&text[..end]);
        }
    }
    Evidence {
        response,
        checks,
        spans,
        metrics,
    }
}

/// Has the deployed normaliser make an envelope of a frame: `{status: success, envelope, telemetry}`, or
/// `{status: error, reason, details: {message}}` when it refuses the frame.
///
/// # Errors
/// The stage failed by other than a refusal.
pub(crate) async fn normalise(
    stages: &mut impl Stages,
    path: &str,
    frame: &Value,
    settings: &Settings,
) -> Result<Value, Failure> {
    let task = Normalise {
        task: "normalise",
        path,
        frame,
        fake: settings.flags.normaliser_is_fake(),
    };
    match stages.invoke(Stage::Ingest, &task).await {
        Ok(result) if result.is_object() => Ok(result),
        Ok(_) => Err(Failure::Failed {
            stage: Stage::Ingest,
            text: "the output is no object".to_owned(),
        }),
        Err(failure) => refusal(&failure).ok_or(failure),
    }
}

fn refusal(failure: &Failure) -> Option<Value> {
    let Failure::InvalidInput { text, .. } = failure else {
        return None;
    };
    let (reason, message) = text.split_once(": ")?;
    REFUSALS
        .contains(&reason)
        .then(|| json!({ "status": "error", "reason": reason, "details": { "message": message } }))
}

struct Canary<'a, S> {
    stages: &'a mut S,
    settings: &'a Settings,
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    causes: Vec<Failure>,
}

impl<S: Stages> Canary<'_, S> {
    async fn respond(&mut self) -> Value {
        if self.settings.flags.signals_ingest_enabled {
            self.with_ingest().await
        } else if self.settings.flags.mock_feed_runs() {
            self.with_mock_feed().await
        } else {
            self.pipeline(&frames::baseline_envelope()).await
        }
    }

    async fn with_ingest(&mut self) -> Value {
        let frame = frames::ingest_frame();
        let normalised = normalise(self.stages, "ingest_frame", &frame, self.settings).await;
        let mut ingested = match normalised {
            Ok(ingested) => ingested,
            Err(cause) => return self.exception("ingest", cause),
        };
        if ingested["status"] != "success" {
            let rationale = format!("ingest_{}", status_of(&ingested));
            return pipeline::hold(
                "ingest_failed",
                &rationale,
                self.failed_meta("ingest", ingested),
            );
        }
        // Telemetry that cannot be read is left for the check on it to find.
        self.spans = Span::read_list(&ingested["telemetry"]["spans"]).unwrap_or_default();
        self.metrics
            .extend(Metric::read_list(&ingested["telemetry"]["metrics"]).unwrap_or_default());

        let mut response = self.pipeline(&ingested["envelope"]).await;
        if response["status"] == "success" {
            write_trace_id(&mut ingested, &response["meta"]["trace_id"]);
            response["meta"]["ingest"] = ingested;
            if self.settings.flags.signals_mock_feed_enabled {
                response["meta"]["mock_feed"] =
                    match mock_feed::run(self.stages, self.settings).await {
                        Ok(mock) => self.counted(mock),
                        Err(cause) => self.exception("mock_feed", cause),
                    };
            }
        }
        response
    }

    async fn with_mock_feed(&mut self) -> Value {
        let mock = match mock_feed::run(self.stages, self.settings).await {
            Ok(mock) => mock,
            Err(cause) => return self.exception("mock_feed", cause),
        };
        let result = self.counted(mock);
        if result["status"] != "success" {
            let rationale = format!("mock_feed_{}", status_of(&result));
            let router_result = result["router_result"].clone();
            let mut response = pipeline::hold(
                "mock_feed_failed",
                &rationale,
                self.failed_meta("mock_feed", result),
            );
            response["router_result"] = router_result;
            return response;
        }
        let mut response = self.pipeline(&frames::baseline_envelope()).await;
        if response["status"] == "success" {
            response["meta"]["mock_feed"] = result;
        }
        response
    }

    async fn pipeline(&mut self, envelope: &Value) -> Value {
        let run = pipeline::run(self.stages, envelope, self.settings).await;
        self.noted(run)
    }

    fn counted(&mut self, mock: MockRun) -> Value {
        self.metrics.extend(mock.metrics);
        self.causes.extend(mock.cause);
        mock.result
    }

    fn exception(&mut self, stage: &'static str, cause: Failure) -> Value {
        self.noted(pipeline::exception(stage, cause))
    }

    fn noted(&mut self, run: pipeline::Run) -> Value {
        self.metrics.extend(run.metrics);
        self.causes.extend(run.cause);
        run.response
    }

    fn failed_meta(&self, name: &str, result: Value) -> Value {
        json!({ name: result, "pipeline_fake_mode": self.settings.fake_mode })
    }
}

fn status_of(result: &Value) -> &str {
    result["status"].as_str().unwrap_or("unknown")
}

/// A promotion asks that the telemetry names the trace. It is written after the envelope was digested, so that the
/// trace id does not depend on itself.
fn write_trace_id(ingested: &mut Value, trace_id: &Value) {
    if let (Some(telemetry), Value::String(_)) = (ingested["telemetry"].as_object_mut(), trace_id) {
        telemetry.insert("trace_id".to_owned(), trace_id.clone());
    }
}
