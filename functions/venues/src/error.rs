use serde::Deserialize;

use crate::HttpResponse;

/// How much of a foreign text an error repeats.
const MAX_TEXT_CHARS: usize = 200;

/// Why a venue's answer gave no data, or a request could not be worded.
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
    /// A request asks for what the venue's protocol has no word for.
    #[error("word the request: `{parameter}` {detail}")]
    Request {
        /// The parameter's name in the venue's documentation.
        parameter: &'static str,
        /// What is wrong with it, and what is accepted.
        detail: String,
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
    /// The message is longer than is read.
    #[error("read the venue's message: {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The text is not UTF-8, as JSON must be.
    #[error("read the venue's answer as UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
    /// The body is not the JSON that the protocol asks for.
    #[error("read the venue's answer as JSON")]
    Body(#[source] serde_json::Error),
    /// One field of one element is missing or ill-typed.
    #[error("read element {element}, field `{field}`: {detail}")]
    Field {
        /// Where the element stands in the answer: keys, and places from 0, parted by points (`bars.AAPL.3`).
        /// `answer` when it is the answer itself.
        element: String,
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

    /// Whether any other request would meet the same: the venue knows the keys, the account or the place not.
    pub const fn is_of_source(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 401 | 403 | 451,
                ..
            }
        )
    }

    /// Whether one symbol of several may be the reason: one that the venue does not have, or an element that cannot be read.
    pub const fn is_of_symbol(&self) -> bool {
        matches!(
            self,
            Self::Field { .. }
                | Self::Refused {
                    status: 400 | 404 | 422,
                    ..
                }
        )
    }
}

/// The body of an answer with status 200.
///
/// # Errors
/// Any other status, with what the venue says about it.
pub(crate) fn accepted<'a>(response: &HttpResponse<'a>) -> Result<&'a [u8], VenueError> {
    /// The error body: `code` and `msg` of Binance, `code` and `message` of Alpaca, which leaves out the code at times.
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        code: i64,
        #[serde(alias = "message")]
        msg: String,
    }
    let status = response.status;
    match status {
        200 => Ok(response.body),
        418 | 429 => Err(VenueError::RateLimited {
            status,
            retry_after_seconds: response
                .header("Retry-After")
                .and_then(|text| text.parse().ok()),
        }),
        400..=499 => Err(match serde_json::from_slice::<Payload>(response.body) {
            Ok(payload) => VenueError::Refused {
                status,
                code: payload.code,
                message: cut(&payload.msg),
            },
            Err(_) => VenueError::Refused {
                status,
                code: 0,
                message: cut(&String::from_utf8_lossy(response.body)),
            },
        }),
        _ => Err(VenueError::Unexpected { status }),
    }
}

/// `text`, no longer than is readable in an error.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}
