//! Why a permitted request got no answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Any error that a request's body can give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One variant for each operation that can fail.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The TLS configuration was refused.
    #[error("configure TLS")]
    TlsConfiguration {
        /// The cause.
        source: rustls::Error,
    },
    /// The request is not the one that was permitted.
    #[error("the permit is for `{permitted}`, not for `{asked}`")]
    NotPermitted {
        /// Method and path of the permit.
        permitted: String,
        /// Method and path of the request.
        asked: String,
    },
    /// The permit's host is no header value.
    #[error("write the `Host` header")]
    Host {
        /// The cause.
        source: http::header::InvalidHeaderValue,
    },
    /// The permit's host is no name that TLS knows.
    #[error("`{name}` is no TLS server name")]
    ServerName {
        /// The name.
        name: String,
        /// The cause.
        source: rustls::pki_types::InvalidDnsNameError,
    },
    /// The TCP connection failed.
    #[error("connect to {address}")]
    Connect {
        /// The checked address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {address}")]
    Tls {
        /// The checked address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// TCP connection and TLS handshake took too long.
    #[error("no connection to {address} within {} ms", limit.as_millis())]
    ConnectTimeout {
        /// The checked address.
        address: SocketAddr,
        /// The limit.
        limit: Duration,
    },
    /// The response's head did not come in time.
    #[error("no response within {} ms", limit.as_millis())]
    FirstByteTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The response's body stopped coming.
    #[error("the response's body paused for more than {} ms", limit.as_millis())]
    BetweenBytesTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The response's head has too many headers or too many bytes.
    #[error("the response's head has more than {limit} bytes or {headers} headers")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
        /// The limit in headers.
        headers: usize,
        /// What the HTTP client said, if it was the one who found it.
        source: Option<hyper::Error>,
    },
    /// The response's body is too large.
    #[error("the response has more than {limit} bytes")]
    ResponseTooLarge {
        /// The limit.
        limit: u64,
    },
    /// Anything else between the request's first byte and the response's last.
    #[error("exchange request and response")]
    Exchange {
        /// The cause.
        source: hyper::Error,
    },
}

impl SendError {
    /// A stable machine-readable word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TlsConfiguration { .. } => "tls-configuration",
            Self::NotPermitted { .. } => "not-permitted",
            Self::Host { .. } | Self::ServerName { .. } => "server-name",
            Self::Connect { .. } => "connect-failed",
            Self::Tls { .. } => "tls-failed",
            Self::ConnectTimeout { .. } => "connect-timeout",
            Self::FirstByteTimeout { .. } => "first-byte-timeout",
            Self::BetweenBytesTimeout { .. } => "between-bytes-timeout",
            Self::HeadTooLarge { .. } => "response-head-too-large",
            Self::ResponseTooLarge { .. } => "response-too-large",
            Self::Exchange { .. } => "exchange-failed",
        }
    }
}
