use bulkhead_stage::Report;
use bulkhead_supervisor::{Completed, Verdict};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::de::IgnoredAny;

use super::problem::Problem;

/// Bytes of an answer beside the stage's own output.
const FRAME_BYTES: usize = 160;

/// The answer to a run at its end.
pub(super) fn of_run(completed: Completed) -> Response<Full<Bytes>> {
    match completed.verdict {
        Verdict::ShuttingDown | Verdict::Cancelled => {
            return Problem::shutting_down().of_run(completed.run_id).response();
        }
        Verdict::Ran | Verdict::Skipped | Verdict::Refused => {}
    }
    match completed.finished.result {
        Ok(report) => match frame(&completed.run_id, &report, completed.attempts) {
            Some(body) => json(body),
            None => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "invalid-output",
                "the stage answered with an output that is not JSON",
            )
            .of_run(completed.run_id)
            .response(),
        },
        Err(failure) => Problem::of_failure(&failure)
            .of_run(completed.run_id)
            .response(),
    }
}

pub(super) fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The output is checked, so that a guest cannot break out of the frame, and goes in as it is. None: it is not JSON.
fn frame(run_id: &str, report: &Report, attempts: u32) -> Option<Vec<u8>> {
    let output = match report.output.as_str() {
        "" => "{}",
        output => output,
    };
    serde_json::from_str::<IgnoredAny>(output).ok()?;
    let mut body = Vec::with_capacity(FRAME_BYTES + run_id.len() + output.len());
    body.extend_from_slice(b"{\"run_id\":");
    serde_json::to_writer(&mut body, run_id).ok()?;
    body.extend_from_slice(b",\"outcome\":\"");
    body.extend_from_slice(report.outcome.as_str().as_bytes());
    body.extend_from_slice(b"\",\"reason\":");
    serde_json::to_writer(&mut body, &report.reason).ok()?;
    body.extend_from_slice(b",\"output\":");
    body.extend_from_slice(output.as_bytes());
    body.extend_from_slice(b",\"attempts\":");
    serde_json::to_writer(&mut body, &attempts).ok()?;
    body.push(b'}');
    Some(body)
}
