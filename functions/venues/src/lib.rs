//! Wire protocols of trading venues as pure transforms between requests, responses and domain values.
//!
//! Nothing here does I/O: a request becomes an [`HttpRequest`] for whoever can send it, and what came back becomes
//! domain values or a [`VenueError`] that names what was wrong.

pub mod binance;
mod error;

pub use error::VenueError;

/// A request as the venue's protocol words it, without the authority it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The HTTP method, for example `GET`.
    pub method: &'static str,
    /// The path and the query, percent-encoded, beginning with `/`.
    pub path_and_query: String,
}
