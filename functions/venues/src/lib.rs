//! Wire protocols of trading venues as pure transforms between requests, responses and domain values.
//!
//! Nothing here does I/O: a request becomes an [`HttpRequest`] for whoever can send it, and what came back, an
//! [`HttpResponse`] or a websocket message, becomes domain values or a [`VenueError`] that names what was wrong.

pub mod alpaca;
pub mod binance;
mod decimal;
mod error;
pub mod frame;
mod http;
mod json;
pub mod rate_limit;
pub mod recorded;
mod time;

pub use error::VenueError;
pub use http::{HttpRequest, HttpResponse};
