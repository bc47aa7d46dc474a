use bulkhead_stage::{Failure, Limit, StageError};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// After how many seconds a client that was turned away may try again: a stage's run takes less.
const RETRY_AFTER_SECONDS: &str = "1";

/// A problem of RFC 9457.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// The stable word: the end of `type`.
    reason: &'static str,
    detail: String,
    run_id: Option<String>,
    header: Option<Extra>,
}

/// A header beside those of every problem.
#[derive(Debug, Clone, Copy)]
enum Extra {
    Allow(&'static str),
    Close,
    RetryAfter,
}

impl Extra {
    const fn header(self) -> (HeaderName, &'static str) {
        match self {
            Self::Allow(methods) => (ALLOW, methods),
            Self::Close => (CONNECTION, "close"),
            Self::RetryAfter => (RETRY_AFTER, RETRY_AFTER_SECONDS),
        }
    }
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
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            run_id: None,
            header: None,
        }
    }

    pub fn method_not_allowed(method: &hyper::Method, allow: &'static str) -> Self {
        let detail = format!("{method} is not answered here; what is: {allow}");
        Self {
            header: Some(Extra::Allow(allow)),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        }
    }

    /// What remains unread of the request is not waited for.
    pub fn closing(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            header: Some(Extra::Close),
            ..Self::new(status, reason, detail)
        }
    }

    /// Another time there may be a place.
    pub fn too_many(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            header: Some(Extra::RetryAfter),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason, detail)
        }
    }

    pub fn shutting_down() -> Self {
        Self {
            header: Some(Extra::RetryAfter),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting-down",
                "the host is stopping and starts nothing new",
            )
        }
    }

    pub fn of_failure(failure: &Failure) -> Self {
        let status = match failure {
            Failure::Stage(error) => match error {
                StageError::InvalidInput(_) => StatusCode::UNPROCESSABLE_ENTITY,
                StageError::Denied(_) => StatusCode::FORBIDDEN,
                StageError::Conflict(_) => StatusCode::CONFLICT,
                StageError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
                StageError::Internal(_) | StageError::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Failure::Limit { limit, .. } => match limit {
                Limit::ConcurrentRuns => StatusCode::TOO_MANY_REQUESTS,
                Limit::Deadline => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Failure::UnknownComponent { .. } => StatusCode::NOT_FOUND,
            Failure::Trapped { .. } | Failure::Host { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let header = (status == StatusCode::TOO_MANY_REQUESTS).then_some(Extra::RetryAfter);
        Self {
            header,
            ..Self::new(status, failure.reason(), failure.to_string())
        }
    }

    pub fn of_run(mut self, run_id: String) -> Self {
        self.run_id = Some(run_id);
        self
    }

    pub fn response(self) -> Response<Full<Bytes>> {
        let body = Body {
            kind: format!("urn:bulkhead:problem:{}", self.reason),
            title: title(self.reason),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: self.run_id.as_deref(),
        };
        // Texts and a number: this cannot fail, and if it did, the status still says what happened.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(extra) = self.header {
            let (name, value) = extra.header();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// `deadline-exceeded` as `Deadline exceeded`.
fn title(reason: &str) -> String {
    let mut title = reason.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
