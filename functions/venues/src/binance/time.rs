//! `GET /api/v3/time`: the venue's clock, against which ours can be compared.

use serde::Deserializer;

use crate::error::accepted;
use crate::http::Query;
use crate::json::{self, Context, Read};
use crate::{HttpRequest, HttpResponse, VenueError};

/// Where the time is served.
pub const PATH: &str = "/api/v3/time";
/// What one request costs of the venue's `REQUEST_WEIGHT`.
pub const WEIGHT: u32 = 1;

/// The request on the wire.
pub fn to_http() -> HttpRequest {
    Query::new(PATH).get()
}

/// Reads the venue's time, in Unix milliseconds.
///
/// # Errors
/// A status other than 200, or a body that has no `serverTime`.
pub fn parse(response: &HttpResponse<'_>) -> Result<i64, VenueError> {
    let ServerTime(millis) = json::read(accepted(response)?, 1)?;
    Ok(millis)
}

struct ServerTime(i64);

impl<'a> Read<'a> for ServerTime {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, ["serverTime"], |[time]| {
            Ok(Self(time.integer()?))
        })
    }
}
