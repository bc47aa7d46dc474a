use bulkhead_stage::{Report, StageError};
use http::{HeaderName, StatusCode};
use serde::de::IgnoredAny;

use crate::{Problem, REPORT_TYPE};

/// Bytes of an answer beside the stage's own output.
const FRAME_BYTES: usize = 160;

/// A request here is an attempt: who repeats it does so with another request.
const ATTEMPTS: u32 = 1;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header `content-type`.
    pub content_type: &'static str,
    /// One more header.
    pub header: Option<(HeaderName, &'static str)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// The answer to a run at its end: whole where the request was one (`is_whole`), else the frame around its output.
pub fn answer(run_id: &str, is_whole: bool, result: Result<Report, StageError>) -> Answer {
    if is_whole {
        return match serde_json::to_vec(&result) {
            Ok(body) => json(REPORT_TYPE, body),
            Err(error) => not_json(run_id, &error.to_string()).answer(),
        };
    }
    match result {
        Ok(report) => match frame(run_id, &report) {
            Ok(body) => json("application/json", body),
            Err(error) => not_json(run_id, &error.to_string()).answer(),
        },
        Err(error) => Problem::of_stage(error, run_id).answer(),
    }
}

fn json(content_type: &'static str, body: Vec<u8>) -> Answer {
    Answer {
        status: StatusCode::OK,
        content_type,
        header: None,
        body,
    }
}

fn not_json(run_id: &str, why: &str) -> Problem {
    Problem {
        run_id: Some(run_id.to_owned()),
        ..Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "invalid-output",
            format!("the stage answered with an output that is not JSON: {why}"),
        )
    }
}

/// The output is checked, so that a stage cannot break out of the frame, and goes in as it is.
fn frame(run_id: &str, report: &Report) -> serde_json::Result<Vec<u8>> {
    let output = match report.output.as_str() {
        "" => "{}",
        output => output,
    };
    serde_json::from_str::<IgnoredAny>(output)?;
    let mut body = Vec::with_capacity(FRAME_BYTES + run_id.len() + output.len());
    body.extend_from_slice(b"{\"run_id\":");
    serde_json::to_writer(&mut body, run_id)?;
    body.extend_from_slice(b",\"outcome\":\"");
    body.extend_from_slice(report.outcome.as_str().as_bytes());
    body.extend_from_slice(b"\",\"reason\":");
    serde_json::to_writer(&mut body, &report.reason)?;
    body.extend_from_slice(b",\"output\":");
    body.extend_from_slice(output.as_bytes());
    body.extend_from_slice(b",\"attempts\":");
    serde_json::to_writer(&mut body, &ATTEMPTS)?;
    body.push(b'}');
    Ok(body)
}

#[cfg(test)]
mod tests {
    use bulkhead_stage::Outcome;

    use super::*;

    fn report(output: &str) -> Report {
        Report {
            outcome: Outcome::Hold,
            reason: Some("kill-switch".into()),
            output: output.into(),
            events: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
        }
    }

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn a_report_is_answered_in_its_frame() {
        let answer = answer("r-1", false, Ok(report(r#"{"a":1.50}"#)));
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.content_type, "application/json");
        assert_eq!(
            text(&answer),
            r#"{"run_id":"r-1","outcome":"hold","reason":"kill-switch","output":{"a":1.50},"attempts":1}"#
        );
    }

    #[test]
    fn an_output_that_is_not_json_is_a_problem_and_not_passed_on() {
        let answer = answer("r-1", false, Ok(report(r#"{}, "forged": {}"#)));
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text(&answer).contains("urn:bulkhead:problem:invalid-output"));
    }

    #[test]
    fn each_error_of_a_stage_has_its_status_and_its_reason() {
        for (error, status, reason) in [
            (StageError::InvalidInput("x".into()), 422, "invalid-input"),
            (StageError::Denied("x".into()), 403, "denied"),
            (StageError::Conflict("x".into()), 409, "conflict"),
            (StageError::Unavailable("x".into()), 503, "unavailable"),
            (StageError::Internal("x".into()), 500, "internal"),
            (StageError::Other("x".into()), 500, "other"),
        ] {
            let answer = answer("r-1", false, Err(error));
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(answer.content_type, "application/problem+json");
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["type"], format!("urn:bulkhead:problem:{reason}"));
            assert_eq!(body["instance"], "r-1");
        }
    }

    #[test]
    fn a_whole_answer_holds_the_report_or_the_error_as_it_was() {
        for result in [Ok(report("{}")), Err(StageError::Denied("no".to_owned()))] {
            let answer = answer("r-1", true, result.clone());
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.content_type, REPORT_TYPE);
            let read: Result<Report, StageError> = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(read, result);
        }
    }
}
