use bulkhead_stage::{Invocation, TriggerKind};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde::de::IgnoredAny;

use crate::{INVOCATION_TYPE, MAX_BODY_BYTES, Problem};

/// What browsers say about where a request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The run's identity, from a caller that repeats a request and wants it known for the same run.
const RUN_ID: HeaderName = HeaderName::from_static("bulkhead-run-id");

/// Most characters of a run's identity.
const MAX_RUN_ID_CHARS: usize = 128;

/// What the head of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    fake_mode: bool,
    traceparent: Option<String>,
    run_id: Option<String>,
    body: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Input,
    Invocation,
}

/// What a request asks of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The invocation.
    pub invocation: Invocation,
    /// Whether the report is wanted whole.
    pub is_whole: bool,
}

/// Reads the head of a request.
///
/// # Errors
/// What is wrong with it, to be answered.
pub fn read_head(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Head, Problem> {
    if *method != Method::POST {
        return Err(Problem::method_not_allowed(method));
    }
    refuse_other_sites(headers)?;
    Ok(Head {
        fake_mode: fake_mode(uri.query().unwrap_or_default())?,
        traceparent: headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .filter(|value| is_traceparent(value))
            .map(str::to_owned),
        run_id: run_id(headers)?,
        body: expected(headers)?,
    })
}

impl Head {
    /// What the request asks, now that its body is read, at most [`MAX_BODY_BYTES`] of it. `now_ms` (Unix milliseconds) is the instant the run is meant
    /// for; `random` makes its identity where the caller gives none.
    ///
    /// # Errors
    /// What is wrong with the body, to be answered.
    pub fn ask(self, body: Vec<u8>, now_ms: i64, random: u64) -> Result<Asked, Problem> {
        if self.body == Expected::Invocation {
            return whole(&text(body)?);
        }
        let input = json(body)?;
        let run_id = self
            .run_id
            .unwrap_or_else(|| format!("{:012x}-{random:016x}", now_ms.max(0)));
        Ok(Asked {
            invocation: Invocation {
                run_id,
                trigger: TriggerKind::Http,
                scheduled_at_ms: now_ms,
                attempt: 1,
                traceparent: self.traceparent,
                fake_mode: self.fake_mode,
                input,
            },
            is_whole: false,
        })
    }
}

impl Problem {
    /// The body is longer than [`MAX_BODY_BYTES`].
    pub fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            format!("the body must not be longer than {MAX_BODY_BYTES} bytes"),
        )
    }

    /// The body ended before its end.
    pub fn body_cut_short(why: &str) -> Self {
        let detail = format!("read the body: {why}");
        Self::new(StatusCode::BAD_REQUEST, "body-cut-short", detail)
    }
}

fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross-site-request",
            "a page of another site must not start runs",
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

fn run_id(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(RUN_ID) else {
        return Ok(None);
    };
    let is_permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match value.to_str() {
        Ok(text)
            if (1..=MAX_RUN_ID_CHARS).contains(&text.len()) && text.bytes().all(is_permitted) =>
        {
            Ok(Some(text.to_owned()))
        }
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-run-id",
            format!("`{RUN_ID}` takes 1 to {MAX_RUN_ID_CHARS} characters of `A-Z a-z 0-9 - _ .`"),
        )),
    }
}

fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Expected::Input);
    };
    let essence = value
        .to_str()
        .map(|text| text.split(';').next().unwrap_or_default().trim());
    match essence {
        Ok(essence) if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") => {
            Ok(Expected::Input)
        }
        Ok(essence) if essence.eq_ignore_ascii_case(INVOCATION_TYPE) => Ok(Expected::Invocation),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the body must be application/json",
        )),
    }
}

fn invalid_json(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-json", detail)
}

fn text(body: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(body).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        invalid_json(format!("the body is not UTF-8 from byte {at} on"))
    })
}

fn json(body: Vec<u8>) -> Result<String, Problem> {
    let text = text(body)?;
    if text.is_empty() {
        return Ok("{}".to_owned());
    }
    serde_json::from_str::<IgnoredAny>(&text)
        .map_err(|error| invalid_json(format!("the body is not JSON: {error}")))?;
    Ok(text)
}

/// An invocation of another component: always in fake mode, whatever the query says.
fn whole(body: &str) -> Result<Asked, Problem> {
    let invocation: Invocation = serde_json::from_str(body)
        .map_err(|error| invalid_json(format!("the body is no invocation: {error}")))?;
    if !invocation.fake_mode {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not-fake",
            "a component invokes another one in fake mode only",
        ));
    }
    Ok(Asked {
        invocation: Invocation {
            trigger: TriggerKind::Pipeline,
            ..invocation
        },
        is_whole: true,
    })
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
    use http::HeaderValue;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn ask(
        method: Method,
        uri: &str,
        headers: &[(&'static str, &'static str)],
        body: &[u8],
    ) -> Result<Asked, Problem> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        read_head(&method, &uri.parse().unwrap(), &headers)?.ask(body.to_vec(), NOW_MS, 0xabc)
    }

    fn reason(asked: Result<Asked, Problem>) -> (u16, &'static str) {
        let problem = asked.unwrap_err();
        (problem.status.as_u16(), problem.reason)
    }

    #[test]
    fn a_post_runs_the_stage_with_its_body_as_the_input() {
        let asked = ask(
            Method::POST,
            "/ingest",
            &[("content-type", "application/json; charset=utf-8")],
            br#"{"task":"poll"}"#,
        )
        .unwrap();
        assert!(!asked.is_whole);
        assert_eq!(asked.invocation.input, r#"{"task":"poll"}"#);
        assert_eq!(asked.invocation.trigger, TriggerKind::Http);
        assert_eq!(asked.invocation.scheduled_at_ms, NOW_MS);
        assert_eq!(asked.invocation.attempt, 1);
        assert!(!asked.invocation.fake_mode);
        assert_eq!(asked.invocation.run_id, "018bcfe56800-0000000000000abc");
    }

    #[test]
    fn an_empty_body_is_the_input_of_no_wishes() {
        let asked = ask(Method::POST, "/pulse", &[], b"").unwrap();
        assert_eq!(asked.invocation.input, "{}");
    }

    #[test]
    fn no_method_but_post_runs_the_stage() {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let problem = ask(method, "/pulse", &[], b"").unwrap_err();
            assert_eq!(problem.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(problem.reason, "method-not-allowed");
            assert_eq!(problem.header, Some((http::header::ALLOW, "POST")));
        }
    }

    #[test]
    fn the_query_puts_a_run_into_fake_mode() {
        for (query, expect) in [
            ("fake_mode=1", true),
            ("a=b&fake_mode=true", true),
            ("fake_mode=0", false),
        ] {
            let asked = ask(Method::POST, &format!("/pulse?{query}"), &[], b"").unwrap();
            assert_eq!(asked.invocation.fake_mode, expect, "{query}");
        }
        let refused = ask(Method::POST, "/pulse?fake_mode=yes", &[], b"");
        assert_eq!(reason(refused), (400, "invalid-query"));
    }

    #[test]
    fn a_malformed_request_is_refused_with_its_reason() {
        let post = |headers: &[(&'static str, &'static str)], body: &[u8]| {
            reason(ask(Method::POST, "/", headers, body))
        };
        assert_eq!(post(&[], b"{"), (400, "invalid-json"));
        assert_eq!(post(&[], b"\xff"), (400, "invalid-json"));
        assert_eq!(
            post(&[("content-type", "text/plain")], b"{}"),
            (415, "unsupported-media-type")
        );
        assert_eq!(
            post(&[("sec-fetch-site", "cross-site")], b"{}"),
            (403, "cross-site-request")
        );
        assert_eq!(
            post(&[("bulkhead-run-id", "a b")], b"{}"),
            (400, "invalid-run-id")
        );
    }

    #[test]
    fn a_run_id_and_a_traceparent_are_taken_from_their_headers() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = [("bulkhead-run-id", "job-7"), ("traceparent", traceparent)];
        let asked = ask(Method::POST, "/", &headers, b"").unwrap();
        assert_eq!(asked.invocation.run_id, "job-7");
        assert_eq!(asked.invocation.traceparent.as_deref(), Some(traceparent));
        let asked = ask(Method::POST, "/", &[("traceparent", "00-0-0-0")], b"").unwrap();
        assert_eq!(asked.invocation.traceparent, None);
    }

    #[test]
    fn a_whole_invocation_is_accepted_in_fake_mode_only() {
        let body = |fake_mode| {
            format!(
                r#"{{"run_id":"r.1","trigger":"cron","scheduled_at_ms":5,"attempt":2,"traceparent":null,"fake_mode":{fake_mode},"input":"{{}}"}}"#
            )
        };
        let headers = [("content-type", INVOCATION_TYPE)];
        let asked = ask(Method::POST, "/", &headers, body(true).as_bytes()).unwrap();
        assert!(asked.is_whole);
        assert_eq!(asked.invocation.run_id, "r.1");
        assert_eq!(asked.invocation.attempt, 2);
        assert_eq!(asked.invocation.trigger, TriggerKind::Pipeline);
        let refused = ask(Method::POST, "/", &headers, body(false).as_bytes());
        assert_eq!(reason(refused), (403, "not-fake"));
        let refused = ask(Method::POST, "/", &headers, b"{}");
        assert_eq!(reason(refused), (400, "invalid-json"));
    }
}
