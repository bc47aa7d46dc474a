use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::header::{HOST, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::problem::Problem;

/// Whom a request may name as its host.
///
/// A page can have its own name resolve to 127.0.0.1 (DNS rebinding): to the browser its requests to a listener on
/// loopback are then of the same site. What gives them away is `Host`, which still has the page's name. So a listener
/// on loopback answers to the names of loopback alone. One that is open to other machines has names that it cannot
/// know; whoever opens it puts a proxy in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostRule {
    Loopback,
    Any,
}

impl HostRule {
    /// The rule of a listener, by its local address. One that is not known is taken for loopback.
    pub fn of_listener(local: Option<SocketAddr>) -> Self {
        match local.map(|local| local.ip().to_canonical()) {
            Some(ip) if !ip.is_loopback() => Self::Any,
            _ => Self::Loopback,
        }
    }

    /// Checks `Host`, and the authority of an absolute target, which goes before it (RFC 9112, section 3.2.2).
    pub fn check(self, target: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut hosts = headers.get_all(HOST).iter();
        let is_local = match (hosts.next(), hosts.next()) {
            (Some(host), None) => {
                is_loopback(host.as_bytes())
                    && target
                        .authority()
                        .is_none_or(|authority| is_loopback(authority.as_str().as_bytes()))
            }
            _ => false,
        };
        if self == Self::Any || is_local {
            return Ok(());
        }
        Err(Problem::closing(
            StatusCode::MISDIRECTED_REQUEST,
            "host-not-loopback",
            "this listener is on loopback and answers only where `Host` is `localhost`, `127.0.0.1` or `[::1]`, with \
             any port: write one of these into the URL, or have the proxy send it",
        ))
    }
}

/// Whether a host, with or without a port, is `localhost` or an address of loopback.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn loopback_has_its_names_in_their_canonical_spelling_and_any_port() {
        for host in [
            "localhost",
            "LocalHost:3000",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.255.0.9",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_loopback(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a@localhost",
            "localhost@evil.example",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "::1",
            "10.0.0.1",
            "localhost/evil",
        ] {
            assert!(!is_loopback(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn only_a_listener_that_other_machines_reach_takes_any_host() {
        let rule = |ip: IpAddr| HostRule::of_listener(Some((ip, 3000).into()));
        for ip in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(rule(ip.parse().unwrap()), HostRule::Loopback, "{ip}");
        }
        for ip in ["0.0.0.0", "::", "10.0.0.1"] {
            assert_eq!(rule(ip.parse().unwrap()), HostRule::Any, "{ip}");
        }
        assert_eq!(HostRule::of_listener(None), HostRule::Loopback);
    }

    #[test]
    fn an_absolute_target_must_name_loopback_as_well() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        for (target, passes) in [
            ("/pulse", true),
            ("http://127.0.0.1:3000/pulse", true),
            ("http://evil.example/pulse", false),
        ] {
            let checked = HostRule::Loopback.check(&target.parse().unwrap(), &headers);
            assert_eq!(checked.is_ok(), passes, "{target}");
        }
    }
}
