//! Why a feed cannot be started, and why a connection ended.

use std::error::Error;
use std::time::Duration;

use bulkhead_grants::dial::SendError;
use bulkhead_grants::{Denied, reason};
use bulkhead_kernel::instrument::InstrumentError;
use bulkhead_kernel::timeframe::TimeframeError;
use bulkhead_venues::VenueError;
use tokio_tungstenite::tungstenite;

/// What of a feed the venue's protocol has no word for.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An instrument's name is malformed.
    #[error("feed `{feed}` (line {line} of the manifest): read its instruments")]
    Instruments {
        /// The feed's name.
        feed: String,
        /// Its line in the manifest, from 1.
        line: usize,
        /// The cause.
        source: InstrumentError,
    },
    /// The timeframe is malformed.
    #[error("feed `{feed}` (line {line} of the manifest): read its timeframe")]
    Timeframe {
        /// The feed's name.
        feed: String,
        /// Its line in the manifest, from 1.
        line: usize,
        /// The cause.
        source: TimeframeError,
    },
    /// The venue has no such symbol.
    #[error("feed `{feed}` (line {line} of the manifest): name its symbols")]
    Symbol {
        /// The feed's name.
        feed: String,
        /// Its line in the manifest, from 1.
        line: usize,
        /// The cause.
        source: VenueError,
    },
    /// Its credentials could be read on the way.
    #[error(
        "feed `{feed}` (line {line} of the manifest): its credentials go over `wss`, or over `ws` to loopback alone"
    )]
    InClear {
        /// The feed's name.
        feed: String,
        /// Its line in the manifest, from 1.
        line: usize,
    },
    /// The venue cannot stream what is asked for.
    #[error("feed `{feed}` (line {line} of the manifest): {detail}")]
    Unserved {
        /// The feed's name.
        feed: String,
        /// Its line in the manifest, from 1.
        line: usize,
        /// What cannot be served, and what can.
        detail: String,
    },
}

/// Why a connection was not made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The egress gate refused it. No connection was opened.
    #[error("refused by the egress gate: {}: {}", .0.reason, .0.detail)]
    Denied(Denied),
    /// The permitted address could not be connected to.
    #[error("connect")]
    Dial(#[source] SendError),
    /// The venue answered the handshake otherwise than with a websocket.
    #[error("the venue answered the handshake with HTTP {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What the venue asks to wait.
        retry_after: Option<Duration>,
    },
    /// The handshake went wrong.
    #[error("websocket handshake")]
    Handshake(#[source] Box<tungstenite::Error>),
    /// The handshake took too long.
    #[error("no websocket handshake within {} s", limit.as_secs())]
    HandshakeTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The venue did not say that it streams what was asked for.
    #[error("no subscription within {} s", limit.as_secs())]
    SubscribeTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The venue refused credentials or subscription, or said that something failed.
    #[error("the venue says: {message} (code {code})")]
    Venue {
        /// The venue's code.
        code: i64,
        /// The venue's text.
        message: String,
        /// Whether the same would be refused again.
        is_final: bool,
    },
    /// Nothing came, not even the answer to a ping.
    #[error("silent for {} s", silence.as_secs())]
    Silent {
        /// For how long.
        silence: Duration,
    },
    /// A message is longer than is read.
    #[error("a message has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A message is not text.
    #[error("a message is not text")]
    NotText,
    /// The venue closed the connection.
    #[error("closed by the venue: {0}")]
    Closed(String),
    /// The connection broke.
    #[error("read from the websocket")]
    Read(#[source] Box<tungstenite::Error>),
    /// What was to be sent could not be.
    #[error("write to the websocket")]
    Write(#[source] Box<tungstenite::Error>),
    /// The venue does not take what is sent.
    #[error("nothing could be sent for {} s", limit.as_secs())]
    WriteTimeout {
        /// The limit.
        limit: Duration,
    },
}

impl SessionError {
    /// Whether the same would be refused again, until manifest, credentials or grants change.
    ///
    /// What the gate says of a name's addresses may change with the next answer of the name's servers.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Denied(denied) => ![
                reason::NAME_UNRESOLVED,
                reason::ADDRESS_FORBIDDEN,
                reason::TOO_MANY_ADDRESSES,
            ]
            .contains(&denied.reason),
            Self::Status { status, .. } => matches!(status, 401 | 403),
            Self::Venue { is_final, .. } => *is_final,
            _ => false,
        }
    }

    /// What the venue asks to wait before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The error and its causes on one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
