//! The target of a request: what its authority names, read by the one URL parser.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::denied::quoted;
use crate::{Denied, reason};

/// The longest authority, in bytes: a DNS name of 253, a colon, a port, and room for the brackets of IPv6.
pub const MAX_AUTHORITY_BYTES: usize = 262;

/// The longest DNS name, in bytes (RFC 1035, 2.3.4, without the final dot).
const MAX_NAME_BYTES: usize = 253;

/// The longest label of a DNS name, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// A request's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that the scheme stands for when none is written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Denied> {
        match text {
            Some(text) if text.eq_ignore_ascii_case("http") => Ok(Self::Http),
            Some(text) if text.eq_ignore_ascii_case("https") => Ok(Self::Https),
            Some(other) => Err(Denied::new(
                reason::SCHEME_NOT_HTTP,
                format!("the scheme {} is neither `http` nor `https`", quoted(other)),
            )),
            None => Err(Denied::new(
                reason::SCHEME_NOT_HTTP,
                "the request has no scheme; `http` or `https` is expected",
            )),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host: a name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// A DNS name, in ASCII and lower case, without a final dot.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl TargetHost {
    /// Whether a label of the name is in Punycode (`xn--`).
    #[must_use]
    pub fn is_punycode(&self) -> bool {
        matches!(self, Self::Name(name) if name.split('.').any(|label| label.starts_with("xn--")))
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// How.
    pub scheme: Scheme,
    /// To whom.
    pub host: TargetHost,
    /// At which port, 1 to 65535; the scheme's own when none was written.
    pub port: u16,
}

impl Target {
    /// The authority as a `Host` header says it: without the scheme's own port.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Reads an authority, and refuses every text that is not its canonical form.
    ///
    /// The checks on the text only ever refuse; host and port come from the URL parser.
    ///
    /// # Errors
    /// Userinfo, no host, a malformed host or port, and every other spelling than the canonical one.
    pub(crate) fn parse(scheme: Scheme, authority: &str) -> Result<Self, Denied> {
        let deny = |word, why: &str| {
            Err(Denied::new(
                word,
                format!("the authority {} {why}", quoted(authority)),
            ))
        };
        if authority.contains('@') {
            return deny(
                reason::USERINFO,
                "has a user; credentials never stand in a URL",
            );
        }
        if !authority.is_ascii() {
            return deny(
                reason::HOST_NOT_ASCII,
                "has a character outside ASCII; write the name in its `xn--` form",
            );
        }
        let (host_text, port_text) = split(authority);
        if host_text.is_empty() || host_text == "[]" {
            return deny(reason::HOST_EMPTY, "names no host");
        }
        if authority.starts_with('[') && !authority.contains(']') {
            return deny(
                reason::HOST_MALFORMED,
                "opens a bracket and does not close it",
            );
        }
        if host_text.starts_with('[') && host_text.contains('%') {
            return deny(reason::HOST_ZONE_ID, "has a zone id");
        }
        if authority
            .bytes()
            .any(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\' | b' '))
        {
            return deny(reason::HOST_MALFORMED, "is no host with an optional port");
        }
        if let Err((word, why)) = check_port(port_text) {
            return deny(word, why);
        }
        if host_text.ends_with('.') {
            return deny(reason::HOST_TRAILING_DOT, "ends its host with a dot");
        }
        let Ok(url) = Url::parse(&format!("{scheme}://{authority}/")) else {
            return deny(reason::HOST_MALFORMED, "is no host with an optional port");
        };
        let (Some(host), Some(port), Some(canonical)) =
            (url.host(), url.port_or_known_default(), url.host_str())
        else {
            return deny(reason::HOST_MALFORMED, "is no host with an optional port");
        };
        if !host_text.eq_ignore_ascii_case(canonical) {
            let word = match host {
                Host::Ipv4(_) => reason::IPV4_NOT_DOTTED,
                Host::Domain(_) | Host::Ipv6(_) => reason::HOST_NOT_CANONICAL,
            };
            return deny(
                word,
                &format!("is not in canonical form, which is {}", quoted(canonical)),
            );
        }
        if port_text.is_some_and(|text| text != port.to_string()) {
            return deny(
                reason::PORT_MALFORMED,
                "has a port that is no plain decimal number",
            );
        }
        let host = match host {
            Host::Ipv4(ip) => TargetHost::Ip(IpAddr::V4(ip)),
            Host::Ipv6(ip) => TargetHost::Ip(IpAddr::V6(ip)),
            Host::Domain(name) => {
                let is_label = |label: &str| {
                    (1..=MAX_LABEL_BYTES).contains(&label.len())
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                };
                if name.len() > MAX_NAME_BYTES || !name.split('.').all(is_label) {
                    return deny(
                        reason::HOST_MALFORMED,
                        "is no host name: labels of 1 to 63 letters, digits, `-` and `_`, joined with dots",
                    );
                }
                TargetHost::Name(name.to_owned())
            }
        };
        if host.is_punycode() && host_text != canonical {
            return deny(
                reason::HOST_NOT_CANONICAL,
                "has a Punycode name with capital letters",
            );
        }
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// The text before and after the colon of the port, if there is one.
fn split(authority: &str) -> (&str, Option<&str>) {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_address..].find(':') {
        Some(at) => (
            &authority[..after_address + at],
            Some(&authority[after_address + at + 1..]),
        ),
        None => (authority, None),
    }
}

/// Refuses a port that is not written as 1 to 65535 in plain decimal digits.
fn check_port(text: Option<&str>) -> Result<(), (&'static str, &'static str)> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err((
            reason::PORT_MALFORMED,
            "has a port that is no number from 1 to 65535",
        ));
    }
    match text.parse::<u16>() {
        Ok(0) => Err((reason::PORT_ZERO, "has port 0")),
        Ok(_) if !text.starts_with('0') => Ok(()),
        _ => Err((
            reason::PORT_MALFORMED,
            "has a port that is no number from 1 to 65535",
        )),
    }
}
