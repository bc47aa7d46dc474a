//! Where a feed connects to: `ws://host:port/path` or `wss://host:port/path`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::egress::PathPattern;
use crate::host::{HostPattern, OutboundHost, PortPattern, SchemePattern};
use crate::problem::quoted;

/// A feed's URL. It has no query: the venue's protocol makes that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedUrl {
    /// As written, its templates substituted.
    pub text: String,
    /// Whether TLS is spoken: `wss`.
    pub is_tls: bool,
    /// Host and port.
    pub authority: String,
    /// The path, from its `/`.
    pub path: String,
    /// Scheme, host and port, as an egress rule has them.
    pub(crate) host: OutboundHost,
}

impl FeedUrl {
    /// Reads a URL whose templates are substituted.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub(crate) fn parse(text: &str, line: usize) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!(
                "{} has no scheme, for example `wss://`",
                quoted(text)
            ));
        };
        let is_tls = match scheme {
            "ws" => false,
            "wss" => true,
            other => {
                return Err(format!(
                    "the scheme of a feed is `ws` or `wss`, not {}",
                    quoted(other)
                ));
            }
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => {
                return Err(format!(
                    "{} has no path, for example `/stream`",
                    quoted(text)
                ));
            }
        };
        check_path(path)?;
        let host = OutboundHost::parse(&format!("{scheme}://{authority}"), line)?;
        let is_one_host = matches!(host.host, HostPattern::Name(_) | HostPattern::Address(_));
        let is_one_port = matches!(host.port, PortPattern::Range { first, last } if first == last);
        if !is_one_host || !is_one_port || host.is_internal() {
            return Err(format!(
                "{} is not one host and one port outside the application",
                quoted(authority)
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            is_tls,
            authority: authority.to_owned(),
            path: path.to_owned(),
            host,
        })
    }
}

/// A path is what a pattern is, without its wildcards.
fn check_path(path: &str) -> Result<(), String> {
    if path.contains('?') {
        return Err(format!(
            "the path {} has a query, which the venue's protocol makes",
            quoted(path)
        ));
    }
    if path.contains('*') {
        return Err(format!(
            "the path {} has a wildcard: a feed connects to one path",
            quoted(path)
        ));
    }
    PathPattern::parse(path).map(|_| ())
}

impl FeedUrl {
    /// Whether what is sent there can be read on the way: `ws` beyond loopback.
    pub fn is_in_clear(&self) -> bool {
        !self.is_tls && !self.host.is_loopback()
    }
}

impl OutboundHost {
    /// Whether this is for feeds: its scheme is `ws` or `wss`.
    pub fn is_websocket(&self) -> bool {
        matches!(&self.scheme, SchemePattern::Exactly(scheme) if scheme == "ws" || scheme == "wss")
    }
}

impl fmt::Display for FeedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for FeedUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_ws_or_wss_with_one_host_one_port_and_a_path() {
        let url = FeedUrl::parse("wss://stream.example.com:9443/v2/iex", 1).unwrap();
        assert!(url.is_tls);
        assert_eq!(
            (url.authority.as_str(), url.path.as_str()),
            ("stream.example.com:9443", "/v2/iex")
        );
        for text in [
            "ws://127.0.0.1:7878/stream",
            "ws://[::1]:80/",
            "wss://localhost:1/a",
        ] {
            assert!(FeedUrl::parse(text, 1).is_ok(), "{text}");
        }
    }

    #[test]
    fn ws_beyond_loopback_is_in_the_clear() {
        for (text, expect) in [
            ("ws://stream.example.com:80/stream", true),
            ("ws://10.0.0.1:80/stream", true),
            ("ws://localhost.example.com:80/stream", true),
            ("wss://stream.example.com:443/stream", false),
            ("ws://localhost:80/stream", false),
            ("ws://127.0.0.1:80/stream", false),
            ("ws://[::1]:80/stream", false),
        ] {
            let url = FeedUrl::parse(text, 1).unwrap();
            assert_eq!(url.is_in_clear(), expect, "{text}");
        }
    }

    #[test]
    fn what_the_gate_would_read_otherwise_is_no_url_of_a_feed() {
        for text in [
            "",
            "stream.example.com:443/stream",
            "https://stream.example.com/stream",
            "WSS://stream.example.com:443/stream",
            "wss://stream.example.com/stream",
            "wss://stream.example.com:443",
            "wss://stream.example.com:443/stream?streams=a",
            "wss://stream.example.com:443/stream#a",
            "wss://stream.example.com:443/*",
            "wss://*.example.com:443/stream",
            "wss://*:443/stream",
            "wss://stream.example.com:*/stream",
            "wss://stream.example.com:1..9/stream",
            "wss://user@stream.example.com:443/stream",
            "wss://10.0.0.0/8:443/stream",
            "ws://self:80/stream",
            "ws://ingest.spin.internal:80/stream",
            "wss://Stream.example.com:443/stream",
            "wss://stream.example.com:443/a/../b",
        ] {
            assert!(FeedUrl::parse(text, 1).is_err(), "{text}");
        }
    }
}
