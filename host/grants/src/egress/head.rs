//! A request's head, and what is refused in it before any grant is looked at.

use crate::denied::quoted;
use crate::{Denied, reason};

use super::target::{MAX_AUTHORITY_BYTES, Target};

/// The longest method, in bytes.
pub const MAX_METHOD_BYTES: usize = 32;

/// The longest path with its query, in bytes.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The most headers.
pub const MAX_HEADERS: usize = 100;

/// The most bytes of all header names and values together.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Headers that a guest may not set. Those of the connection frame the message (RFC 9110, 7.6.1) and belong to the host;
/// the others ask a server to serve another method or path than the one that was granted.
pub(super) const FORBIDDEN_HEADERS: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// What a guest asks for, before anything is known about it.
#[derive(Debug, Clone)]
pub struct RequestHead<'a> {
    /// The method, as the guest wrote it.
    pub method: &'a str,
    /// The scheme, if there is one.
    pub scheme: Option<&'a str>,
    /// Host and port.
    pub authority: &'a str,
    /// The path and, after `?`, the query.
    pub path_and_query: &'a str,
    /// All headers, in order, repeated ones repeated.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> RequestHead<'a> {
    /// The head of a request whose URI is absolute. An absent path means `/`.
    #[must_use]
    pub fn of(parts: &'a http::request::Parts) -> Self {
        Self {
            method: parts.method.as_str(),
            scheme: parts.uri.scheme_str(),
            authority: parts
                .uri
                .authority()
                .map_or("", http::uri::Authority::as_str),
            path_and_query: parts
                .uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect(),
        }
    }

    /// The path, and the query if there is one.
    pub(crate) fn path_and_query(&self) -> (&'a str, Option<&'a str>) {
        match self.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path_and_query, None),
        }
    }

    /// Refuses what is too large.
    pub(crate) fn check_sizes(&self) -> Result<(), Denied> {
        let header_bytes = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
        let sizes = [
            ("method", self.method.len(), MAX_METHOD_BYTES, "bytes"),
            (
                "scheme",
                self.scheme.map_or(0, str::len),
                MAX_METHOD_BYTES,
                "bytes",
            ),
            (
                "authority",
                self.authority.len(),
                MAX_AUTHORITY_BYTES,
                "bytes",
            ),
            (
                "path and query",
                self.path_and_query.len(),
                MAX_TARGET_BYTES,
                "bytes",
            ),
            ("headers", self.headers.len(), MAX_HEADERS, "headers"),
            ("headers", header_bytes, MAX_HEADER_BYTES, "bytes"),
        ];
        for (what, actual, limit, unit) in sizes {
            if actual > limit {
                return Err(Denied::new(
                    reason::HEAD_TOO_LARGE,
                    format!("{what}: {actual} {unit}, at most {limit} are accepted"),
                ));
            }
        }
        Ok(())
    }

    /// Refuses control characters, wherever they stand. A TAB may stand inside a header's value (RFC 9110, 5.5).
    pub(crate) fn check_control_characters(&self) -> Result<(), Denied> {
        let deny = |what: &str, text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            Err(Denied::new(
                reason::CONTROL_CHARACTER,
                format!("the {what} {} has a control character", quoted(&text)),
            ))
        };
        let texts = [
            ("method", self.method),
            ("scheme", self.scheme.unwrap_or_default()),
            ("authority", self.authority),
            ("path", self.path_and_query),
        ];
        for (what, text) in texts {
            if text.chars().any(char::is_control) {
                return deny(what, text.as_bytes());
            }
        }
        for (name, value) in &self.headers {
            if name.chars().any(char::is_control) {
                return deny("header name", name.as_bytes());
            }
            if value
                .iter()
                .any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
            {
                return deny("header value", value);
            }
        }
        Ok(())
    }

    /// Refuses headers that would undo the decision, and a `Host` that names another target.
    pub(crate) fn check_headers(&self, target: &Target) -> Result<(), Denied> {
        let mut hosts = 0_usize;
        let mut lengths = 0_usize;
        for (name, value) in &self.headers {
            if let Some(forbidden) = FORBIDDEN_HEADERS
                .iter()
                .find(|forbidden| name.eq_ignore_ascii_case(forbidden))
            {
                return Err(Denied::new(
                    reason::HEADER_FORBIDDEN,
                    format!(
                        "the header `{forbidden}` is the host's to set, or reroutes the request"
                    ),
                ));
            }
            if name.eq_ignore_ascii_case("content-length") {
                lengths += 1;
                if lengths > 1 || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                    return Err(Denied::new(
                        reason::HEADER_FORBIDDEN,
                        "`content-length` stands once at most, as a plain decimal number",
                    ));
                }
            }
            if name.eq_ignore_ascii_case("host") {
                hosts += 1;
                if hosts > 1 {
                    return Err(Denied::new(
                        reason::HOST_HEADER_REPEATED,
                        "the request has more than one `Host` header",
                    ));
                }
                check_host(value, target)?;
            }
        }
        Ok(())
    }
}

/// Refuses a `Host` header that is not, read by the same parser, the request's target.
fn check_host(value: &[u8], target: &Target) -> Result<(), Denied> {
    let names_target = std::str::from_utf8(value)
        .ok()
        .and_then(|text| Target::parse(target.scheme, text).ok())
        .is_some_and(|named| named == *target);
    if names_target {
        return Ok(());
    }
    let value = String::from_utf8_lossy(value);
    Err(Denied::new(
        reason::HOST_HEADER_MISMATCH,
        format!(
            "the `Host` header {} is not the authority {}",
            quoted(&value),
            quoted(&target.authority())
        ),
    ))
}
