//! The component: Spin's handler around the two stages that the composition gives it.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    spin_sdk::wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package bulkhead:spin;

            /// The stage of this composition, over a store that refuses every write.
            interface fake-stage {
                use bulkhead:pipeline/stage@0.1.0.{invocation, report, stage-error};
                run: async func(invocation: invocation) -> result<report, stage-error>;
            }

            world gateway {
                import bulkhead:pipeline/stage@0.1.0;
                import fake-stage;
            }
        ",
        world: "bulkhead:spin/gateway",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bulkhead_stage::{Event, Invocation, Metric, Outcome, Report, Span, StageError, TriggerKind};
use http::{HeaderValue, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use spin_sdk::http::{FullBody, Request, Response};
use spin_sdk::http_service;
use spin_sdk::wasip3::clocks::system_clock;
use spin_sdk::wasip3::random::random::get_random_u64;

use crate::{Answer, MAX_BODY_BYTES, Problem, answer, read_head};
use bindings::bulkhead::pipeline::stage;
use bindings::bulkhead::spin::fake_stage;

#[http_service]
async fn handle(request: Request) -> Response<FullBody<bytes::Bytes>> {
    match run(request).await {
        Ok(answer) => response(answer),
        Err(problem) => response(problem.answer()),
    }
}

async fn run(request: Request) -> Result<Answer, Problem> {
    let head = read_head(request.method(), request.uri(), request.headers())?;
    let body = collect(request).await?;
    let asked = head.ask(body, now_ms(), get_random_u64())?;
    let run_id = asked.invocation.run_id.clone();
    let fake_mode = asked.invocation.fake_mode;
    let invocation = invocation_out(asked.invocation);
    let result = if fake_mode {
        fake_stage::run(invocation).await
    } else {
        stage::run(invocation).await
    };
    let result = result.map(report_in).map_err(error_in);
    Ok(answer(&run_id, asked.is_whole, result))
}

async fn collect(request: Request) -> Result<Vec<u8>, Problem> {
    let mut body = request.into_body();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::body_cut_short(&error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > MAX_BODY_BYTES {
                return Err(Problem::body_too_large());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

fn response(answer: Answer) -> Response<FullBody<bytes::Bytes>> {
    let mut response = Response::new(FullBody::new(answer.body.into()));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if let Some((name, value)) = answer.header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Now, in Unix milliseconds.
fn now_ms() -> i64 {
    let now = system_clock::now();
    now.seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(now.nanoseconds / 1_000_000))
}

fn invocation_out(invocation: Invocation) -> stage::Invocation {
    stage::Invocation {
        run_id: invocation.run_id,
        trigger: match invocation.trigger {
            TriggerKind::Cron => stage::TriggerKind::Cron,
            TriggerKind::Http => stage::TriggerKind::Http,
            TriggerKind::Feed => stage::TriggerKind::Feed,
            TriggerKind::Event => stage::TriggerKind::Event,
            TriggerKind::Manual => stage::TriggerKind::Manual,
            TriggerKind::Pipeline => stage::TriggerKind::Pipeline,
        },
        scheduled_at_ms: invocation.scheduled_at_ms,
        attempt: invocation.attempt,
        traceparent: invocation.traceparent,
        fake_mode: invocation.fake_mode,
        input: invocation.input,
    }
}

fn report_in(report: stage::Report) -> Report {
    Report {
        outcome: match report.outcome {
            stage::Outcome::Success => Outcome::Success,
            stage::Outcome::Hold => Outcome::Hold,
            stage::Outcome::Skipped => Outcome::Skipped,
        },
        reason: report.reason,
        output: report.output,
        events: report
            .events
            .into_iter()
            .map(|event| Event {
                topic: event.topic,
                subject: event.subject,
                data: event.data,
            })
            .collect(),
        spans: report
            .spans
            .into_iter()
            .map(|span| Span {
                name: span.name,
                duration_ms: span.duration_ms,
            })
            .collect(),
        metrics: report
            .metrics
            .into_iter()
            .map(|metric| Metric {
                name: metric.name,
                labels: metric.labels,
                value: metric.value,
            })
            .collect(),
    }
}

fn error_in(error: stage::StageError) -> StageError {
    match error {
        stage::StageError::InvalidInput(text) => StageError::InvalidInput(text),
        stage::StageError::Denied(text) => StageError::Denied(text),
        stage::StageError::Unavailable(text) => StageError::Unavailable(text),
        stage::StageError::Conflict(text) => StageError::Conflict(text),
        stage::StageError::Internal(text) => StageError::Internal(text),
        stage::StageError::Other(text) => StageError::Other(text),
    }
}
