//! The export glue: the canary as a component of the world `canary`.

use bulkhead_kernel::stage::json_text;
use serde::Serialize;
use serde_json::Value;

use crate::run::{self, Evidence};
use crate::schema;
use crate::settings::{Settings, SettingsError};
use crate::stages::{Failure, Stage, Stages};

#[allow(
    missing_docs,
    reason = "generated; the contract documents itself in wit/"
)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "canary",
        generate_all,
    });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::bulkhead::pipeline::documents::{self, Key, Put, Write};
use bindings::bulkhead::pipeline::pipeline;
use bindings::bulkhead::pipeline::stage as invoked;
use bindings::exports::bulkhead::pipeline::stage::{
    Descriptor, Guest, Invocation, Metric, Outcome, Report, Span, StageError,
};
use bindings::wasi::config::store;

/// The document that holds the latest response.
const ARTIFACT: (&str, &str) = ("canary", "staging_canary");

struct Component;

impl Guest for Component {
    fn describe() -> Descriptor {
        Descriptor {
            name: "canary".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            input_schema: schema::input().to_string(),
            output_schema: schema::output().to_string(),
        }
    }

    async fn run(invocation: Invocation) -> Result<Report, StageError> {
        let settings = read_settings(&invocation.input)?;
        let mut deployed = Deployed {
            invocation: &invocation,
            invocations: 0,
        };
        let evidence = run::run(&mut deployed, &settings).await;
        if !invocation.fake_mode {
            store_artifact(&evidence.response).await?;
        }
        Ok(report(&evidence))
    }
}

fn read_settings(input: &str) -> Result<Settings, StageError> {
    let input = if input.trim().is_empty() { "{}" } else { input };
    let input: Value = serde_json::from_str(input)
        .map_err(|error| StageError::InvalidInput(format!("the input is no JSON: {error}")))?;
    Settings::read(&input, store::get).map_err(|error| match error {
        SettingsError::Input(text) => StageError::InvalidInput(text),
        SettingsError::Configuration { name, source } => {
            let (store::Error::Upstream(text) | store::Error::Io(text)) = source;
            StageError::Unavailable(format!(
                "reading `{name}` from the configuration failed: {text}"
            ))
        }
    })
}

/// The deployed stages, behind the import `pipeline`.
struct Deployed<'a> {
    invocation: &'a Invocation,
    invocations: u32,
}

impl Stages for Deployed<'_> {
    async fn invoke(&mut self, stage: Stage, input: &impl Serialize) -> Result<Value, Failure> {
        let input = serde_json::to_string(input).map_err(|error| Failure::Failed {
            stage,
            text: format!("the input cannot be written as JSON: {error}"),
        })?;
        self.invocations += 1;
        let invocation = invoked::Invocation {
            run_id: format!("{}.{}", self.invocation.run_id, self.invocations),
            trigger: invoked::TriggerKind::Pipeline,
            scheduled_at_ms: self.invocation.scheduled_at_ms,
            attempt: 1,
            traceparent: self.invocation.traceparent.clone(),
            fake_mode: true,
            input,
        };
        let report = pipeline::invoke(stage.as_str().to_owned(), invocation)
            .await
            .map_err(|error| failure(stage, error))?;
        serde_json::from_str(&report.output).map_err(|error| Failure::Failed {
            stage,
            text: format!("the output is no JSON: {error}"),
        })
    }
}

fn failure(stage: Stage, error: pipeline::Error) -> Failure {
    use invoked::StageError as Cause;
    let text = match error {
        pipeline::Error::Failed(Cause::InvalidInput(text)) => {
            return Failure::InvalidInput { stage, text };
        }
        pipeline::Error::Failed(
            Cause::Denied(text)
            | Cause::Unavailable(text)
            | Cause::Conflict(text)
            | Cause::Internal(text)
            | Cause::Other(text),
        )
        | pipeline::Error::Other(text) => text,
        pipeline::Error::UnknownStage(text) => format!("no such stage: {text}"),
        pipeline::Error::NotFake => "the invocation was not in fake mode".to_owned(),
        pipeline::Error::Trapped(text) => format!("trapped: {text}"),
    };
    Failure::Failed { stage, text }
}

async fn store_artifact(response: &Value) -> Result<(), StageError> {
    let (collection, id) = ARTIFACT;
    let key = Key {
        collection: collection.to_owned(),
        id: id.to_owned(),
    };
    let write = Write::Upsert(Put {
        key,
        body: json_text(response),
    });
    documents::commit(vec![write])
        .await
        .map(drop)
        .map_err(|error| {
            let what = |text: String| format!("storing `{collection}/{id}` failed: {text}");
            match error {
                documents::Error::Denied(text) => StageError::Denied(what(text)),
                documents::Error::Conflict(_) => {
                    StageError::Conflict(what("another run was first".to_owned()))
                }
                documents::Error::Unavailable(text) => StageError::Unavailable(what(text)),
                documents::Error::Invalid(text) => StageError::Internal(what(text)),
                documents::Error::Other(text) => StageError::Other(what(text)),
            }
        })
}

fn report(evidence: &Evidence) -> Report {
    let reason = evidence.hold_reason().map(str::to_owned);
    Report {
        outcome: if reason.is_none() {
            Outcome::Success
        } else {
            Outcome::Hold
        },
        reason,
        output: evidence.output(),
        events: Vec::new(),
        spans: evidence
            .spans
            .iter()
            .map(|span| Span {
                name: span.name.clone(),
                duration_ms: span.duration_ms,
            })
            .collect(),
        metrics: evidence
            .metrics
            .iter()
            .map(|metric| Metric {
                name: metric.name.clone(),
                labels: metric.labels.clone().into_iter().collect(),
                value: 1.0,
            })
            .collect(),
    }
}
