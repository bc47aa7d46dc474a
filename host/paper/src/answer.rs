//! Answers without a socket.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::fault::Disorder;
use crate::query::Query;

/// A request, as far as answers depend on it.
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub query: Query,
    pub headers: &'a HeaderMap,
    /// What is to happen to the rows of the answer.
    pub disorder: Option<Disorder>,
}

/// Status, headers and a JSON body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, body.to_string())
    }

    /// Adds a header whose value is a number.
    pub(crate) fn with(mut self, name: &'static str, value: i64) -> Self {
        let name = HeaderName::from_static(name);
        self.headers.insert(name, HeaderValue::from(value));
        self
    }
}

/// Rows of JSON as an array.
pub(crate) fn array(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}
