//! Stage invocation over Spin's service chaining: `pipeline.invoke` as a request to the other component.
//!
//! The stage `ingest` is the component `ingest` of the same application, which Spin reaches without the network as
//! `http://ingest.spin.internal`. It gets the invocation whole, in fake mode, and gives the report whole; the gateway
//! in front of it reads and writes the same types.

#[cfg(target_os = "wasi")]
mod component;

use bulkhead_stage::{Invocation, Report, StageError};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, StatusCode, Uri};

/// The type of a request that holds a whole invocation: `bulkhead_stage::Invocation` as JSON.
pub const INVOCATION_TYPE: &str = "application/vnd.bulkhead.invocation+json";

/// The type of the answer to it: `Result<Report, StageError>` of `bulkhead_stage`, as serde writes it in JSON.
pub const REPORT_TYPE: &str = "application/vnd.bulkhead.report+json";

/// Most bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Most characters of a component's name.
const MAX_NAME_CHARS: usize = 64;

/// Most characters of a text that is shown of an answer.
const MAX_SHOWN_CHARS: usize = 300;

/// Why a stage gave no report (`pipeline.error` of the contract).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// No stage of that name is deployed, or the component may not invoke it.
    #[error("unknown stage: {0}")]
    UnknownStage(String),
    /// The invocation's `fake_mode` was false.
    #[error("a stage is invoked in fake mode only")]
    NotFake,
    /// The stage answered with an error.
    #[error(transparent)]
    Failed(StageError),
    /// The stage trapped, or Spin ended it.
    #[error("{0}")]
    Trapped(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The request that invokes `stage`.
///
/// # Errors
/// [`InvokeError::NotFake`], and [`InvokeError::UnknownStage`] for what cannot be a component's name.
pub fn request(stage: &str, invocation: &Invocation) -> Result<Request<Vec<u8>>, InvokeError> {
    if !invocation.fake_mode {
        return Err(InvokeError::NotFake);
    }
    let is_permitted =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=MAX_NAME_CHARS).contains(&stage.len()) || !stage.bytes().all(is_permitted) {
        let shown: String = stage.chars().take(MAX_NAME_CHARS).collect();
        return Err(InvokeError::UnknownStage(format!(
            "{shown:?} is no name of a stage"
        )));
    }
    let uri = Uri::builder()
        .scheme("http")
        .authority(format!("{stage}.spin.internal"))
        .path_and_query(format!("/{stage}?fake_mode=1"))
        .build()
        .map_err(|error| InvokeError::Other(format!("name the stage `{stage}`: {error}")))?;
    let body = serde_json::to_vec(invocation)
        .map_err(|error| InvokeError::Other(format!("write the invocation: {error}")))?;
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static(INVOCATION_TYPE),
    );
    Ok(request)
}

/// What a stage's answer says.
///
/// # Errors
/// Why there is no report.
pub fn report(
    stage: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Report, InvokeError> {
    let is_whole = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == REPORT_TYPE);
    if status == StatusCode::OK && is_whole {
        let result: Result<Report, StageError> = serde_json::from_slice(body).map_err(|error| {
            InvokeError::Other(format!("read the report of `{stage}`: {error}"))
        })?;
        return result.map_err(InvokeError::Failed);
    }
    let shown: String = String::from_utf8_lossy(body)
        .chars()
        .take(MAX_SHOWN_CHARS)
        .collect();
    let text = format!("`{stage}` answered {status}: {shown}");
    Err(match status {
        StatusCode::NOT_FOUND => InvokeError::UnknownStage(text),
        // The gateway answers each error of a stage whole: this is Spin, about a component that trapped.
        status if status.is_server_error() => InvokeError::Trapped(text),
        _ => InvokeError::Other(text),
    })
}

#[cfg(test)]
mod tests {
    use bulkhead_stage::{Outcome, TriggerKind};

    use super::*;

    fn invocation(fake_mode: bool) -> Invocation {
        Invocation {
            run_id: "r.1".into(),
            trigger: TriggerKind::Pipeline,
            scheduled_at_ms: 5,
            attempt: 1,
            traceparent: None,
            fake_mode,
            input: "{}".into(),
        }
    }

    fn answered(
        status: u16,
        content_type: &'static str,
        body: &str,
    ) -> Result<Report, InvokeError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        report(
            "ingest",
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn a_stage_is_asked_at_its_component_within_the_application() {
        let request = request("generate-trading-signal", &invocation(true)).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.uri().to_string(),
            "http://generate-trading-signal.spin.internal/generate-trading-signal?fake_mode=1"
        );
        assert_eq!(request.headers()[CONTENT_TYPE], INVOCATION_TYPE);
        let read: Invocation = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(read, invocation(true));
    }

    #[test]
    fn only_fake_mode_goes_out() {
        assert_eq!(
            request("ingest", &invocation(false)).unwrap_err(),
            InvokeError::NotFake
        );
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_application() {
        for name in [
            "",
            "evil.example/",
            "a.b",
            "Ingest",
            "ingest@x",
            "a b",
            "ingest:80",
        ] {
            assert!(
                matches!(
                    request(name, &invocation(true)),
                    Err(InvokeError::UnknownStage(_))
                ),
                "{name}"
            );
        }
    }

    #[test]
    fn a_report_or_an_error_of_the_stage_comes_back_as_it_was() {
        let report = Report {
            outcome: Outcome::Success,
            reason: None,
            output: "{}".into(),
            events: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
        };
        let body = serde_json::to_string(&Ok::<_, StageError>(&report)).unwrap();
        assert_eq!(answered(200, REPORT_TYPE, &body), Ok(report));
        let error = StageError::InvalidInput("no frames".into());
        let body = serde_json::to_string(&Err::<Report, _>(&error)).unwrap();
        assert_eq!(
            answered(200, REPORT_TYPE, &body),
            Err(InvokeError::Failed(error))
        );
    }

    #[test]
    fn an_answer_that_is_not_the_gateways_is_told_apart() {
        assert!(matches!(
            answered(404, "text/plain", ""),
            Err(InvokeError::UnknownStage(_))
        ));
        assert!(matches!(
            answered(500, "text/plain", ""),
            Err(InvokeError::Trapped(_))
        ));
        assert!(matches!(
            answered(200, "application/json", "{}"),
            Err(InvokeError::Other(_))
        ));
        assert!(matches!(
            answered(200, REPORT_TYPE, "{"),
            Err(InvokeError::Other(_))
        ));
    }
}
