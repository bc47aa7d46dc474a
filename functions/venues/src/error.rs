/// Why a venue's answer gave no data.
#[derive(Debug, thiserror::Error)]
pub enum VenueError {
    /// A name cannot be a symbol of the venue.
    #[error("name the symbol: `{name}` does not match {pattern}")]
    Symbol {
        /// The name, cut to a readable length.
        name: String,
        /// What the venue accepts.
        pattern: &'static str,
    },
    /// The venue asks to come back later.
    #[error("rate limited by the venue (HTTP {status})")]
    RateLimited {
        /// 429: too many requests. 418: banned for going on after 429.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// The venue refused the request.
    #[error("refused by the venue (HTTP {status}, code {code}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The venue's own error code; 0 when the body has none.
        code: i64,
        /// The venue's text, cut to a readable length.
        message: String,
    },
    /// The venue failed, or answered with a status that its protocol does not know.
    #[error("answered by the venue with HTTP {status}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
    },
    /// The body is not the JSON that the protocol asks for.
    #[error("read the venue's answer as JSON")]
    Body(#[source] serde_json::Error),
    /// One field of one element is missing or ill-typed.
    #[error("read element {index}, field `{field}`: {detail}")]
    Field {
        /// Which element of the answer, from 0.
        index: usize,
        /// The field's name in the venue's documentation.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// More elements than were asked for.
    #[error("read the venue's answer: more than the {limit} elements asked for")]
    TooMany {
        /// How many were asked for.
        limit: usize,
    },
}

impl VenueError {
    /// Whether the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Unexpected { status } => *status >= 500,
            _ => false,
        }
    }
}
