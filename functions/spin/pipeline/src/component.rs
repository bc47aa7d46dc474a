//! The component: `pipeline` over `wasi:http/client`.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    spin_sdk::wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package bulkhead:spin;

            world pipeline {
                export bulkhead:pipeline/pipeline@0.1.0;
            }
        ",
        world: "bulkhead:spin/pipeline",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
        pub_export_macro: true,
    });
}

use bulkhead_stage::{Invocation, Outcome, Report, StageError, TriggerKind};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use spin_sdk::http::{FullBody, Response, send};
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::{InvokeError, MAX_ANSWER_BYTES};
use bindings::bulkhead::pipeline::stage;
use bindings::exports::bulkhead::pipeline::pipeline;

struct Component;

bindings::export!(Component with_types_in bindings);

impl pipeline::Guest for Component {
    async fn invoke(
        stage: String,
        invocation: stage::Invocation,
    ) -> Result<stage::Report, pipeline::Error> {
        invoke(&stage, &invocation_in(invocation))
            .await
            .map(report_out)
            .map_err(error_out)
    }
}

async fn invoke(stage: &str, invocation: &Invocation) -> Result<Report, InvokeError> {
    let request = crate::request(stage, invocation)?;
    let request = request.map(|body| FullBody::new(Bytes::from(body)));
    let response = send(request).await.map_err(|code| not_sent(stage, code))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = collect(stage, response).await?;
    crate::report(stage, status, &headers, &body)
}

fn not_sent(stage: &str, code: ErrorCode) -> InvokeError {
    let text = format!("send the invocation to `{stage}`: {code:?}");
    match code {
        // No such component, or none that `allowed_outbound_hosts` permits.
        ErrorCode::DestinationNotFound | ErrorCode::DnsError(_) | ErrorCode::HttpRequestDenied => {
            InvokeError::UnknownStage(text)
        }
        _ => InvokeError::Other(text),
    }
}

async fn collect(stage: &str, response: Response) -> Result<Vec<u8>, InvokeError> {
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|code| {
            InvokeError::Trapped(format!("read the answer of `{stage}`: {code:?}"))
        })?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > MAX_ANSWER_BYTES {
                return Err(InvokeError::Other(format!(
                    "`{stage}` answered more than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

fn invocation_in(invocation: stage::Invocation) -> Invocation {
    Invocation {
        run_id: invocation.run_id,
        trigger: TriggerKind::Pipeline,
        scheduled_at_ms: invocation.scheduled_at_ms,
        attempt: invocation.attempt,
        traceparent: invocation.traceparent,
        fake_mode: invocation.fake_mode,
        input: invocation.input,
    }
}

fn report_out(report: Report) -> stage::Report {
    stage::Report {
        outcome: match report.outcome {
            Outcome::Success => stage::Outcome::Success,
            Outcome::Hold => stage::Outcome::Hold,
            Outcome::Skipped => stage::Outcome::Skipped,
        },
        reason: report.reason,
        output: report.output,
        events: report
            .events
            .into_iter()
            .map(|event| stage::Event {
                topic: event.topic,
                subject: event.subject,
                data: event.data,
            })
            .collect(),
        spans: report
            .spans
            .into_iter()
            .map(|span| stage::Span {
                name: span.name,
                duration_ms: span.duration_ms,
            })
            .collect(),
        metrics: report
            .metrics
            .into_iter()
            .map(|metric| stage::Metric {
                name: metric.name,
                labels: metric.labels,
                value: metric.value,
            })
            .collect(),
    }
}

fn error_out(error: InvokeError) -> pipeline::Error {
    match error {
        InvokeError::UnknownStage(text) => pipeline::Error::UnknownStage(text),
        InvokeError::NotFake => pipeline::Error::NotFake,
        InvokeError::Failed(error) => pipeline::Error::Failed(match error {
            StageError::InvalidInput(text) => stage::StageError::InvalidInput(text),
            StageError::Denied(text) => stage::StageError::Denied(text),
            StageError::Unavailable(text) => stage::StageError::Unavailable(text),
            StageError::Conflict(text) => stage::StageError::Conflict(text),
            StageError::Internal(text) => stage::StageError::Internal(text),
            StageError::Other(text) => stage::StageError::Other(text),
        }),
        InvokeError::Trapped(text) => pipeline::Error::Trapped(text),
        InvokeError::Other(text) => pipeline::Error::Other(text),
    }
}
