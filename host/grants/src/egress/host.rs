//! Host patterns: which hosts a rule grants, with the forms and the meaning of Spin's `allowed_outbound_hosts`.
//!
//! Accepted forms, `SCHEME://HOST[:PORT]`:
//!
//! - scheme: `http`, `https`, or `*` for both
//! - host: a name (`api.binance.com`), `*.SUFFIX` (every name below the suffix, not the suffix itself), an address
//!   (`127.0.0.1`, `[::1]`), a network (`10.0.0.0/8`, `[fd00::]/8`), or `*` for every host with a public address
//! - port: a number; `8000..8010`, which leaves 8010 out as in Spin; `*`; absent: the scheme's own (not with scheme `*`)
//!
//! Names are compared without regard to case. A Punycode name (`xn--…`) is granted by that very name only, never by
//! `*` or a suffix. Addresses are granted by `*`, by themselves or by a network; a name never by a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::denied::quoted;

use super::target::{Scheme, Target, TargetHost};

/// Which schemes a pattern grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemeMatch {
    /// `http` and `https`.
    Any,
    /// This one.
    Exact(Scheme),
}

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The network of `address` with `prefix` leading bits, or `None` if the address has fewer.
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix > bits {
            None
        } else {
            Some(Self { address, prefix })
        }
    }

    /// The network's prefix length in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in the network. An IPv4-mapped address lies in no IPv4 network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let difference = network.to_bits() ^ ip.to_bits();
                difference.checked_shr(32 - prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let difference = network.to_bits() ^ ip.to_bits();
                difference.checked_shr(128 - prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Which hosts a pattern grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// Every name without Punycode, and every address; what is not public stays forbidden.
    Any,
    /// This name, in lower case.
    Name(String),
    /// Every name that ends in a dot and this suffix, in lower case.
    Suffix(String),
    /// This address.
    Ip(IpAddr),
    /// Every address of this network.
    Cidr(Cidr),
}

/// Which ports a pattern grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortMatch {
    /// 1 to 65535.
    Any,
    /// This one.
    Exact(u16),
    /// From the first to the last, both included.
    Range(u16, u16),
}

/// Which targets a rule grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// The schemes.
    pub scheme: SchemeMatch,
    /// The hosts.
    pub host: HostMatch,
    /// The ports.
    pub port: PortMatch,
}

impl HostPattern {
    /// Whether the pattern grants the target.
    #[must_use]
    pub fn matches(&self, target: &Target) -> bool {
        self.matches_host(&target.host)
            && self.matches_scheme(target.scheme)
            && self.matches_port(target.port)
    }

    pub(crate) fn matches_scheme(&self, scheme: Scheme) -> bool {
        match self.scheme {
            SchemeMatch::Any => true,
            SchemeMatch::Exact(granted) => granted == scheme,
        }
    }

    pub(crate) fn matches_port(&self, port: u16) -> bool {
        match self.port {
            PortMatch::Any => port != 0,
            PortMatch::Exact(granted) => granted == port,
            PortMatch::Range(first, last) => (first..=last).contains(&port),
        }
    }

    pub(crate) fn matches_host(&self, host: &TargetHost) -> bool {
        match (&self.host, host) {
            (HostMatch::Any, host) => !host.is_punycode(),
            (HostMatch::Name(granted), TargetHost::Name(name)) => granted == name,
            (HostMatch::Suffix(suffix), TargetHost::Name(name)) => {
                let below = name
                    .strip_suffix(suffix.as_str())
                    .and_then(|rest| rest.strip_suffix('.'));
                // The suffix may be Punycode itself; what stands before it may not.
                below.is_some_and(|rest| {
                    !rest.is_empty() && !TargetHost::Name(rest.to_owned()).is_punycode()
                })
            }
            (HostMatch::Ip(granted), TargetHost::Ip(ip)) => granted == ip,
            (HostMatch::Cidr(network), TargetHost::Ip(ip)) => network.contains(*ip),
            _ => false,
        }
    }
}

/// A text that is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no host pattern: {why}", quoted(.text))]
pub struct MalformedHost {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for HostPattern {
    type Err = MalformedHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |why: String| MalformedHost {
            text: text.to_owned(),
            why,
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| malformed("expected `SCHEME://HOST[:PORT]`".to_owned()))?;
        let scheme = match scheme {
            "*" => SchemeMatch::Any,
            "http" => SchemeMatch::Exact(Scheme::Http),
            "https" => SchemeMatch::Exact(Scheme::Https),
            other => {
                return Err(malformed(format!(
                    "the scheme {} is not `http`, `https` or `*`",
                    quoted(other)
                )));
            }
        };
        let after_address = rest.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match rest[after_address..].find(':') {
            Some(at) => (
                &rest[..after_address + at],
                Some(&rest[after_address + at + 1..]),
            ),
            None => (rest, None),
        };
        let host = parse_host(host).map_err(malformed)?;
        let port = parse_port(port, scheme).map_err(malformed)?;
        Ok(Self { scheme, host, port })
    }
}

fn parse_host(text: &str) -> Result<HostMatch, String> {
    if text == "*" {
        return Ok(HostMatch::Any);
    }
    // The request's own parser decides what a name or an address is, so that a pattern can be met.
    let target = |text: &str| {
        Target::parse(Scheme::Http, text)
            .map_err(|denied| denied.detail)
            .map(|target| target.host)
    };
    if let Some(suffix) = text.strip_prefix("*.") {
        return match target(suffix)? {
            TargetHost::Name(name) => Ok(HostMatch::Suffix(name)),
            TargetHost::Ip(_) => Err("`*.` stands before a name only".to_owned()),
        };
    }
    if let Some((address, prefix)) = text.split_once('/') {
        let TargetHost::Ip(address) = target(address)? else {
            return Err("only an address can have a prefix length".to_owned());
        };
        let network = prefix
            .parse()
            .ok()
            .and_then(|prefix| Cidr::new(address, prefix));
        return network
            .map(HostMatch::Cidr)
            .ok_or_else(|| format!("{} is no prefix length of it", quoted(prefix)));
    }
    Ok(match target(text)? {
        TargetHost::Name(name) => HostMatch::Name(name),
        TargetHost::Ip(ip) => HostMatch::Ip(ip),
    })
}

fn parse_port(text: Option<&str>, scheme: SchemeMatch) -> Result<PortMatch, String> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(format!("{} is no port from 1 to 65535", quoted(text))),
    };
    match (text, scheme) {
        (None, SchemeMatch::Exact(scheme)) => Ok(PortMatch::Exact(scheme.default_port())),
        (None, SchemeMatch::Any) => {
            Err("the scheme `*` has no port of its own: write one".to_owned())
        }
        (Some("*"), _) => Ok(PortMatch::Any),
        (Some(text), _) => match text.split_once("..") {
            None => Ok(PortMatch::Exact(number(text)?)),
            Some((first, end)) => {
                let (first, last) = (number(first)?, number(end)? - 1);
                if first > last {
                    Err("the range of ports is empty".to_owned())
                } else {
                    Ok(PortMatch::Range(first, last))
                }
            }
        },
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            SchemeMatch::Any => f.write_str("*://")?,
            SchemeMatch::Exact(scheme) => write!(f, "{scheme}://")?,
        }
        match &self.host {
            HostMatch::Any => f.write_str("*")?,
            HostMatch::Name(name) => f.write_str(name)?,
            HostMatch::Suffix(suffix) => write!(f, "*.{suffix}")?,
            HostMatch::Ip(ip) => write!(f, "{}", TargetHost::Ip(*ip))?,
            HostMatch::Cidr(network) => {
                write!(f, "{}/{}", TargetHost::Ip(network.address), network.prefix)?
            }
        }
        match self.port {
            PortMatch::Any => f.write_str(":*"),
            PortMatch::Exact(port) => write!(f, ":{port}"),
            PortMatch::Range(first, last) => write!(f, ":{first}..{}", u32::from(last) + 1),
        }
    }
}
