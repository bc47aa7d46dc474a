use bulkhead_stage::{Failure, StageError};
use http::header::ALLOW;
use http::{HeaderName, Method, StatusCode};
use serde::Serialize;

use crate::Answer;

/// The methods that a stage answers.
const METHODS: &str = "POST";

/// A problem of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The response's status.
    pub status: StatusCode,
    /// The stable word: the end of `type`.
    pub reason: &'static str,
    /// What was wrong, for people.
    pub detail: String,
    /// The run that it is about, if there was one.
    pub run_id: Option<String>,
    /// A header beside those of every problem.
    pub header: Option<(HeaderName, &'static str)>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

impl Problem {
    /// A problem without a run.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            run_id: None,
            header: None,
        }
    }

    pub(crate) fn method_not_allowed(method: &Method) -> Self {
        let detail = format!("{method} is not answered here; what is: {METHODS}");
        Self {
            header: Some((ALLOW, METHODS)),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        }
    }

    pub(crate) fn of_stage(error: StageError, run_id: &str) -> Self {
        let status = match error {
            StageError::InvalidInput(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StageError::Denied(_) => StatusCode::FORBIDDEN,
            StageError::Conflict(_) => StatusCode::CONFLICT,
            StageError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            StageError::Internal(_) | StageError::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let failure = Failure::Stage(error);
        Self {
            run_id: Some(run_id.to_owned()),
            ..Self::new(status, failure.reason(), failure.to_string())
        }
    }

    /// The response that tells it.
    pub fn answer(&self) -> Answer {
        let body = Body {
            kind: format!("urn:bulkhead:problem:{}", self.reason),
            title: title(self.reason),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: self.run_id.as_deref(),
        };
        Answer {
            status: self.status,
            content_type: "application/problem+json",
            header: self.header.clone(),
            // Texts and a number: this cannot fail, and if it did, the status still says what happened.
            body: serde_json::to_vec(&body).unwrap_or_default(),
        }
    }
}

/// `method-not-allowed` as `Method not allowed`.
fn title(reason: &str) -> String {
    let mut title = reason.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
