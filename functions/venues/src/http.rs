//! Requests and responses without a connection, and the percent-encoding of what a request carries.

use std::fmt::Write as _;

/// A request as the venue's protocol words it, without the authority it goes to and without credentials: the gate of
/// the host adds those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The HTTP method, for example `GET`.
    pub method: &'static str,
    /// The path and the query, percent-encoded, beginning with `/`.
    pub path_and_query: String,
}

/// What came back, read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpResponse<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Names and values of the headers, in any case; see [`header`](Self::header). Empty: none came along.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> HttpResponse<'a> {
    /// The value of the first header of this name, in whatever case it is written, without blanks around it.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }
}

/// A path with its query, under construction.
pub(crate) struct Query {
    path_and_query: String,
    separator: char,
}

impl Query {
    /// Begins with a path that is percent-encoded already.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self {
            path_and_query: path.into(),
            separator: '?',
        }
    }

    /// Adds a parameter, its value percent-encoded.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.path_and_query.push(self.separator);
        self.path_and_query.push_str(name);
        self.path_and_query.push('=');
        push_encoded(&mut self.path_and_query, value);
        self.separator = '&';
        self
    }

    /// Adds a parameter if there is a value for it.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The GET request.
    pub(crate) fn get(self) -> HttpRequest {
        HttpRequest {
            method: "GET",
            path_and_query: self.path_and_query,
        }
    }
}

/// `segment` as one segment of a path.
pub(crate) fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    push_encoded(&mut text, segment);
    text
}

/// RFC 3986: all but the unreserved characters, so that no value can end its parameter or its segment.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::{HttpResponse, Query, encoded};

    #[test]
    fn a_value_cannot_end_its_parameter() {
        let request = Query::new("/v1")
            .with("symbols", "BTC/USD,A&b=c")
            .maybe("start", Some("2022-01-03T09:00:00Z"))
            .maybe("end", None)
            .get();
        assert_eq!(
            request.path_and_query,
            "/v1?symbols=BTC%2FUSD%2CA%26b%3Dc&start=2022-01-03T09%3A00%3A00Z"
        );
        assert_eq!(encoded("../é"), "..%2F%C3%A9");
    }

    #[test]
    fn a_header_is_found_in_any_case_and_without_its_blanks() {
        let response = HttpResponse {
            status: 200,
            headers: &[("date", "x"), ("retry-after", " 7 "), ("Retry-After", "8")],
            body: b"",
        };
        assert_eq!(response.header("Retry-After"), Some("7"));
        assert_eq!(response.header("retry"), None);
    }
}
