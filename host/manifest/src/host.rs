//! Where a component may connect to: `allowed_outbound_hosts`, with Spin's meaning.
//!
//! An entry is `scheme://host[:port]`, after its templates were substituted.
//!
//! - **scheme**: lower-case letters, or `*` for any.
//! - **host**: a name (`api.example.com`), all names below one (`*.example.com`, which does not cover
//!   `example.com`), an IPv4 address, an IPv6 address in brackets, a network (`10.0.0.0/8`, `[fd00::]/8`), `*` for
//!   any, `self` for the application's own routes, or `NAME.spin.internal` for one of its components.
//! - **port**: a number, a range without its end (`8000..9000`), or `*` for any. Absent: the port that is
//!   well known for the scheme; without such a one, and for `*`, a port must be given.
//!
//! An empty list permits nothing. Stricter than Spin: a name that no request could ever match (upper case, a
//! trailing dot, an octal or shortened IPv4 address, user information) is refused instead of kept. Looser in one
//! place: the egress gate's forms of IPv6 (a network in brackets, an address without a port) are read as well, and
//! refused in `allowed_outbound_hosts`, where Spin would stumble over them (`OutboundHost::spin_form`).

mod network;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

pub use network::Network;

/// The domain under which Spin serves an application's components to each other.
const SERVICE_CHAINING_DOMAIN: &str = "spin.internal";

/// The scheme of an [`OutboundHost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemePattern {
    /// `*`.
    Any,
    /// One scheme, in lower case, for example `https`.
    Exactly(String),
}

/// The host of an [`OutboundHost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostPattern {
    /// `*`.
    Any,
    /// `self`: the application's own routes.
    Application,
    /// `*.DOMAIN`: every name below the domain, but not the domain itself. Lower case, without the `*.`.
    Subdomains(String),
    /// One host name, in lower case.
    Name(String),
    /// One address.
    Address(IpAddr),
    /// Every address of a network.
    Network(Network),
}

/// The ports of an [`OutboundHost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortPattern {
    /// `*`.
    Any,
    /// All ports from the first to the last, both included; the same for a single port. Never 0.
    Range {
        /// The lowest port.
        first: u16,
        /// The highest port.
        last: u16,
    },
}

/// One entry of `allowed_outbound_hosts`, or the host of an egress rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboundHost {
    /// The entry as written, its templates substituted.
    pub text: String,
    /// Which schemes.
    pub scheme: SchemePattern,
    /// Which hosts.
    pub host: HostPattern,
    /// Which ports.
    pub port: PortPattern,
    /// The line of the manifest on which the entry stands, from 1.
    pub line: usize,
}

impl OutboundHost {
    /// Whether every destination that `other` permits is permitted by this entry too.
    pub fn covers(&self, other: &Self) -> bool {
        let scheme = matches!(self.scheme, SchemePattern::Any) || self.scheme == other.scheme;
        scheme && self.host.covers(&other.host) && self.port.covers(other.port)
    }

    /// Whether this leads back into the application (`self`, `*.spin.internal`) and not to the network.
    pub fn is_internal(&self) -> bool {
        match &self.host {
            HostPattern::Application => true,
            HostPattern::Name(name) | HostPattern::Subdomains(name) => {
                name == SERVICE_CHAINING_DOMAIN || is_below(name, SERVICE_CHAINING_DOMAIN)
            }
            HostPattern::Any | HostPattern::Address(_) | HostPattern::Network(_) => false,
        }
    }

    /// Whether this is the machine itself: `localhost`, or an address of loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            HostPattern::Name(name) => name == "localhost",
            HostPattern::Address(address) => address.is_loopback(),
            _ => false,
        }
    }

    /// What must be written instead where Spin is to read this too. None: it can read it as it is.
    ///
    /// Spin takes the last colon for the one before the port, and knows no network in brackets.
    pub(crate) fn spin_form(&self) -> Option<String> {
        let (scheme, authority) = self.text.split_once("://")?;
        let bracketed = authority.strip_prefix('[')?;
        let port = match self.port {
            PortPattern::Any => "*".to_owned(),
            PortPattern::Range { first, last } if first == last => first.to_string(),
            PortPattern::Range { first, last } => format!("{first}..{}", u32::from(last) + 1),
        };
        match &self.host {
            HostPattern::Network(network) => Some(format!("{scheme}://{network}:{port}")),
            _ if bracketed.contains("]:") => None,
            _ => {
                let (address, _) = bracketed.split_once(']')?;
                Some(format!("{scheme}://[{address}]:{port}"))
            }
        }
    }

    /// Whether HTTP or HTTPS is among the schemes.
    pub fn is_http(&self) -> bool {
        match &self.scheme {
            SchemePattern::Any => true,
            SchemePattern::Exactly(scheme) => scheme == "http" || scheme == "https",
        }
    }
}

impl fmt::Display for OutboundHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Subdomains(domain), Self::Name(name)) => is_below(name, domain),
            (Self::Subdomains(domain), Self::Subdomains(other)) => {
                other == domain || is_below(other, domain)
            }
            (Self::Network(network), Self::Address(address)) => network.contains(*address),
            (Self::Network(network), Self::Network(other)) => network.covers(other),
            _ => self == other,
        }
    }
}

impl PortPattern {
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Range { .. }, Self::Any) => false,
            (
                Self::Range { first, last },
                Self::Range {
                    first: from,
                    last: to,
                },
            ) => first <= from && to <= last,
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}
