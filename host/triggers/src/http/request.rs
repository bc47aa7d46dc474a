use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::{Request, StatusCode};
use serde::de::IgnoredAny;

use super::problem::Problem;

/// What browsers say about where a request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request asks of a stage.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub input: String,
    pub traceparent: Option<String>,
    pub fake_mode: bool,
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyBounds {
    pub bytes: usize,
    pub timeout: Duration,
}

/// Reads a `POST` for a stage.
pub(super) async fn read(request: Request<Incoming>, bounds: BodyBounds) -> Result<Asked, Problem> {
    refuse_other_sites(request.headers())?;
    let fake_mode = fake_mode(request.uri().query().unwrap_or_default())?;
    let traceparent = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .filter(|value| is_traceparent(value))
        .map(str::to_owned);
    check_content_type(request.headers())?;
    let body = tokio::time::timeout(bounds.timeout, collect(request.into_body(), bounds.bytes))
        .await
        .map_err(|_| {
            let detail = format!("the body took longer than {:?}", bounds.timeout);
            Problem::closing(StatusCode::REQUEST_TIMEOUT, "request-timeout", detail)
        })??;
    Ok(Asked {
        input: json(body)?,
        traceparent,
        fake_mode,
    })
}

/// Refuses what a browser sends from a page of another site.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::closing(
            StatusCode::FORBIDDEN,
            "cross-site-request",
            "a page of another site must neither start runs nor read events",
        )),
    }
}

fn fake_mode(query: &str) -> Result<bool, Problem> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("fake_mode="));
    match value {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-query",
            "`fake_mode` takes 0, 1, false or true",
        )),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let is_json = value.to_str().is_ok_and(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim();
        essence.is_empty() || essence.eq_ignore_ascii_case("application/json")
    });
    if is_json {
        return Ok(());
    }
    Err(Problem::closing(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "the body must be application/json",
    ))
}

async fn collect(mut body: Incoming, max_bytes: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body must not be longer than {max_bytes} bytes");
        Problem::closing(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
    };
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    let mut only: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("read the body: {error}");
            Problem::closing(StatusCode::BAD_REQUEST, "body-cut-short", detail)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = whole.len() + only.as_ref().map_or(0, Bytes::len);
        if so_far + data.len() > max_bytes {
            return Err(too_large());
        }
        match only.take() {
            None if whole.is_empty() => only = Some(data),
            before => {
                whole.extend_from_slice(&before.unwrap_or_default());
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

fn json(body: Bytes) -> Result<String, Problem> {
    let invalid = |detail| Problem::new(StatusCode::BAD_REQUEST, "invalid-json", detail);
    let text = String::from_utf8(body.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        invalid(format!("the body is not UTF-8 from byte {at} on"))
    })?;
    if text.is_empty() {
        return Ok("{}".to_owned());
    }
    serde_json::from_str::<IgnoredAny>(&text)
        .map_err(|error| invalid(format!("the body is not JSON: {error}")))?;
    Ok(text)
}

/// Whether a text has the form of W3C Trace Context's `traceparent`: version, trace id, parent id and flags in
/// lower-case hexadecimal, neither id all zero, the version not `ff`.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let parts: Vec<&str> = text.splitn(6, '-').collect();
    match parts[..] {
        [version, trace, parent, flags] => {
            is_hex(version, 2)
                && version != "ff"
                && is_id(trace, 32)
                && is_id(parent, 16)
                && is_hex(flags, 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_passed_on_only_in_its_form() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        assert!(is_traceparent(&format!("00-{trace}-{parent}-01")));
        for wrong in [
            String::new(),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-01-"),
            format!("00-{trace}-{parent}-1"),
        ] {
            assert!(!is_traceparent(&wrong), "{wrong}");
        }
    }

    #[test]
    fn invalid_json_is_named_with_its_line_and_column() {
        let problem = json(Bytes::from_static(b"{\n  \"a\": nope\n}")).unwrap_err();
        let problem = format!("{problem:?}");
        assert!(problem.contains("line 2 column 9"), "{problem}");
    }

    #[test]
    fn what_follows_the_json_is_invalid() {
        assert!(json(Bytes::from_static(b"{} {}")).is_err());
    }
}
