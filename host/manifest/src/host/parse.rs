//! How an entry of `allowed_outbound_hosts` is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{HostPattern, Network, OutboundHost, PortPattern, SchemePattern};
use crate::problem::quoted;

/// The longest host name, in characters (RFC 1035, section 2.3.4).
const MAX_HOST_CHARS: usize = 253;
/// The longest label of a host name, in characters (RFC 1035, section 2.3.4).
const MAX_LABEL_CHARS: usize = 63;

impl OutboundHost {
    /// Reads an entry whose templates are substituted already.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn parse(text: &str, line: usize) -> Result<Self, String> {
        let Some((scheme, authority)) = text.split_once("://") else {
            return Err(format!(
                "{} has no scheme, for example `https://`",
                quoted(text)
            ));
        };
        let (host, port) = split_port(authority);
        let port = match port.split_once('/') {
            Some((port, "")) => port,
            Some(_) => {
                return Err(format!(
                    "{} has a path: only scheme, host and port stand here",
                    quoted(text)
                ));
            }
            None => port,
        };
        Ok(Self {
            text: text.to_owned(),
            scheme: parse_scheme(scheme)?,
            host: parse_host(host)?,
            port: parse_port(port, scheme)?,
            line,
        })
    }
}

/// Parts an authority at the colon before its port. The colons of an IPv6 address stand in brackets, behind which
/// the prefix length of a network may stand.
fn split_port(authority: &str) -> (&str, &str) {
    if let Some(end) = authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        let (_, behind) = authority.split_at(end + 2);
        let prefix_bytes = prefix_length_bytes(behind);
        let (host, rest) = authority.split_at(end + 2 + prefix_bytes);
        return match rest.strip_prefix(':') {
            Some(port) => (host, port),
            None if rest.is_empty() || rest.starts_with('/') => (host, rest),
            None => (authority, ""),
        };
    }
    if let Some(parts) = authority.rsplit_once(':') {
        return parts;
    }
    (authority.strip_suffix('/').unwrap_or(authority), "")
}

/// How much of the text is `/` and digits after it. A `/` alone is none.
fn prefix_length_bytes(text: &str) -> usize {
    let digits = text.strip_prefix('/').map_or(0, |rest| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    if digits == 0 { 0 } else { digits + 1 }
}

fn parse_scheme(scheme: &str) -> Result<SchemePattern, String> {
    if scheme == "*" {
        return Ok(SchemePattern::Any);
    }
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(format!(
            "the scheme {} must be lower-case letters, or `*`",
            quoted(scheme)
        ));
    }
    Ok(SchemePattern::Exactly(scheme.to_owned()))
}

fn parse_host(host: &str) -> Result<HostPattern, String> {
    match host {
        "" => return Err("the host is missing".to_owned()),
        "*" => return Ok(HostPattern::Any),
        "self" => return Ok(HostPattern::Application),
        _ => {}
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let address: Result<Ipv6Addr, _> = address.parse();
        return match address {
            Ok(address) => Ok(HostPattern::Address(IpAddr::V6(address))),
            Err(_) => Err(format!("{} is not an IPv6 address", quoted(host))),
        };
    }
    if host.contains('/') {
        return Network::parse(host).map(HostPattern::Network);
    }
    if host.contains('@') {
        return Err(format!(
            "{} has user information, which no grant can hold",
            quoted(host)
        ));
    }
    if let Some(domain) = host.strip_prefix("*.") {
        check_name(domain)?;
        return Ok(HostPattern::Subdomains(domain.to_owned()));
    }
    // The URL standard takes a name whose last label is a number for an IPv4 address.
    let last_label = host.rsplit('.').next().unwrap_or(host);
    if last_label.starts_with("0x")
        || (!last_label.is_empty() && last_label.bytes().all(|b| b.is_ascii_digit()))
    {
        let address: Result<Ipv4Addr, _> = host.parse();
        return match address {
            Ok(address) => Ok(HostPattern::Address(IpAddr::V4(address))),
            Err(_) => Err(format!(
                "{} is not an IPv4 address of four decimal numbers",
                quoted(host)
            )),
        };
    }
    check_name(host)?;
    Ok(HostPattern::Name(host.to_owned()))
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() > MAX_HOST_CHARS {
        return Err(format!(
            "the host {} is longer than {MAX_HOST_CHARS} characters",
            quoted(name)
        ));
    }
    if name.contains('*') {
        return Err(format!(
            "{}: `*` may stand only alone or as the first label",
            quoted(name)
        ));
    }
    if !name.is_ascii() {
        return Err(format!(
            "the host {} is not ASCII: write its punycode form, `xn--…`",
            quoted(name)
        ));
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL_CHARS {
            return Err(format!(
                "the host {} has an empty or too long label",
                quoted(name)
            ));
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        {
            return Err(format!(
                "the host {} may hold only `a-z 0-9 - _` and dots",
                quoted(name)
            ));
        }
    }
    Ok(())
}

fn parse_port(port: &str, scheme: &str) -> Result<PortPattern, String> {
    if port == "*" {
        return Ok(PortPattern::Any);
    }
    if port.is_empty() {
        let Some(port) = well_known_port(scheme) else {
            return Err(format!(
                "a port must be given: the scheme {} has none of its own",
                quoted(scheme)
            ));
        };
        return Ok(PortPattern::Range {
            first: port,
            last: port,
        });
    }
    if let Some((first, end)) = port.split_once("..") {
        let (first, end) = (parse_port_number(first)?, parse_port_number(end)?);
        return if first < end {
            Ok(PortPattern::Range {
                first,
                last: end - 1,
            })
        } else {
            Err(format!(
                "the port range {} is empty: its end is not part of it",
                quoted(port)
            ))
        };
    }
    let port = parse_port_number(port)?;
    Ok(PortPattern::Range {
        first: port,
        last: port,
    })
}

fn parse_port_number(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port: Option<u16> = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port > 0)
        .ok_or_else(|| format!("{} is not a port from 1 to 65535", quoted(text)))
}

/// The schemes for which Spin knows a port.
fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "mqtt" => Some(1883),
        "mysql" => Some(3306),
        "postgres" => Some(5432),
        "redis" => Some(6379),
        _ => None,
    }
}
