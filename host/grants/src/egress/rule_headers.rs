//! The headers that the host adds to the requests of a rule: a venue's credentials, which no guest sees.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::denied::quoted;
use crate::{Denied, MANIFEST, reason};

use super::head::FORBIDDEN_HEADERS;
use super::{Scheme, Target, TargetHost};

/// The most headers of one rule.
pub const MAX_RULE_HEADERS: usize = 16;

/// The longest name of a rule's header, in bytes.
pub const MAX_RULE_HEADER_NAME_BYTES: usize = 128;

/// The longest value of a rule's header, in bytes.
pub const MAX_RULE_HEADER_VALUE_BYTES: usize = 8 * 1024;

/// Headers that say where a message goes and how long it is.
const MESSAGE_HEADERS: &[&str] = &["host", "content-length"];

/// A header of a rule. Its value is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RuleHeader {
    name: HeaderName,
    /// None: empty, so that the header is not added.
    value: Option<HeaderValue>,
    variables: Vec<String>,
}

/// Why something is no header of a rule. It says nothing of a value but whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHeader {
    /// The name is no header name.
    #[error("{} is no header name of at most {MAX_RULE_HEADER_NAME_BYTES} bytes", quoted(.0))]
    Name(String),
    /// The header is not a rule's to set.
    #[error("the header `{0}` frames the message or says where it goes, which no rule may")]
    Forbidden(String),
    /// The value is no header value.
    #[error(
        "the value of the header `{0}` is longer than {MAX_RULE_HEADER_VALUE_BYTES} bytes, begins or ends with a blank, or has a character outside printable ASCII"
    )]
    Value(String),
    /// The header stands twice.
    #[error("the header `{0}` stands twice")]
    Twice(String),
    /// There are too many.
    #[error("a rule has at most {MAX_RULE_HEADERS} headers")]
    TooMany,
}

impl RuleHeader {
    /// A header of this value, which came from these variables. An empty value means that the header is not added.
    ///
    /// # Errors
    /// Name or value are none, or the header is not a rule's to set.
    pub fn new(name: &str, value: &str, variables: Vec<String>) -> Result<Self, MalformedHeader> {
        let malformed = || MalformedHeader::Name(name.to_owned());
        if name.len() > MAX_RULE_HEADER_NAME_BYTES {
            return Err(malformed());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let is_forbidden = |list: &[&str]| list.contains(&name.as_str());
        if is_forbidden(FORBIDDEN_HEADERS) || is_forbidden(MESSAGE_HEADERS) {
            return Err(MalformedHeader::Forbidden(name.to_string()));
        }
        let is_value = value.len() <= MAX_RULE_HEADER_VALUE_BYTES
            && value.trim() == value
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let made = is_value
            .then(|| HeaderValue::from_str(value).ok())
            .flatten();
        let Some(mut made) = made else {
            return Err(MalformedHeader::Value(name.to_string()));
        };
        made.set_sensitive(true);
        Ok(Self {
            name,
            value: (!value.is_empty()).then_some(made),
            variables,
        })
    }
}

impl fmt::Debug for RuleHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleHeader")
            .field("name", &self.name)
            .field("has_value", &self.value.is_some())
            .field("variables", &self.variables)
            .finish()
    }
}

/// The headers of a rule. The default adds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleHeaders {
    headers: Vec<RuleHeader>,
    required: bool,
}

impl RuleHeaders {
    /// These headers. Where they are `required`, a request is refused while one of them is empty.
    ///
    /// # Errors
    /// There are too many, or one stands twice.
    pub fn new(headers: Vec<RuleHeader>, required: bool) -> Result<Self, MalformedHeader> {
        if headers.len() > MAX_RULE_HEADERS {
            return Err(MalformedHeader::TooMany);
        }
        for (index, header) in headers.iter().enumerate() {
            if headers[..index].iter().any(|it| it.name == header.name) {
                return Err(MalformedHeader::Twice(header.name.to_string()));
            }
        }
        Ok(Self { headers, required })
    }

    /// Refuses a request that would carry credentials in the clear, and one that lacks a required header.
    pub(crate) fn check(&self, component: &str, target: &Target, line: u32) -> Result<(), Denied> {
        let is_in_clear = target.scheme == Scheme::Http && !is_loopback(&target.host);
        if is_in_clear && self.headers.iter().any(|header| header.value.is_some()) {
            return Err(Denied::new(
                reason::CREDENTIALS_IN_CLEAR,
                format!(
                    "component `{component}` may not reach {} with the headers of the egress rule, which go over `https`, \
                     or over `http` to loopback alone ({MANIFEST}:{line})",
                    quoted(&target.to_string())
                ),
            ));
        }
        let empty = self.headers.iter().find(|header| header.value.is_none());
        let Some(header) = empty.filter(|_| self.required) else {
            return Ok(());
        };
        let from = match header.variables.as_slice() {
            [] => "is empty".to_owned(),
            variables => format!(
                "comes from the variable `{}`, which is empty",
                variables.join("`, `")
            ),
        };
        Err(Denied::new(
            reason::HEADER_VALUE_MISSING,
            format!(
                "component `{component}` may reach {} only with the header `{}`, whose value {from}: give it a value \
                 when the host is started, or take `headers_required` from the egress rule ({MANIFEST}:{line})",
                quoted(&target.to_string()),
                header.name,
            ),
        ))
    }

    /// Sets the headers. One of the same name that the guest set goes, whether there is a value for it or not.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        for header in &self.headers {
            headers.remove(&header.name);
            if let Some(value) = &header.value {
                headers.insert(header.name.clone(), value.clone());
            }
        }
    }
}

fn is_loopback(host: &TargetHost) -> bool {
    match host {
        TargetHost::Name(name) => name == "localhost",
        TargetHost::Ip(ip) => ip.is_loopback(),
    }
}
