//! A bounded GET through `wasi:http/client`.

use super::bindings::wasi::http::client;
use super::bindings::wasi::http::types::{
    ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme,
};
use super::bindings::wit_future;
use crate::ports::{FetchError, Fetched, is_kept, overdue};
use crate::settings::Origin;
use bulkhead_venues::HttpRequest;
use wit_bindgen::StreamResult;

/// How much of the body is asked for at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a connection may take, in nanoseconds. With the other two, an answer comes or is given up within eight seconds of its
/// request: the last one of a run is begun after twenty.
const CONNECT_TIMEOUT_NS: u64 = 2_000_000_000;
/// How long the head of an answer may take after that.
const FIRST_BYTE_TIMEOUT_NS: u64 = 4_000_000_000;
/// How long one part of a body may take after another.
const BETWEEN_BYTES_TIMEOUT_NS: u64 = 2_000_000_000;
/// The most headers that are kept of an answer.
const MAX_HEADERS_KEPT: usize = 16;

/// Sends `request` to `origin` and reads the whole answer, of whose body at most `max_bytes` are accepted, and which may not take
/// longer than [`overdue`] allows. `elapsed_ms` is how long the run has taken.
pub(super) async fn fetch(
    origin: &Origin,
    request: &HttpRequest,
    max_bytes: usize,
    elapsed_ms: impl Fn() -> f64,
) -> Result<Fetched, FetchError> {
    let began_ms = elapsed_ms();
    let is_late = || {
        let now_ms = elapsed_ms();
        overdue(now_ms - began_ms, now_ms)
    };
    let response = client::send(outgoing(origin, request)?)
        .await
        .map_err(refusal)?;
    let status = response.get_status_code();
    let headers = kept(response.get_headers().copy_all());
    let body = read_body(response, max_bytes, is_late).await?;
    Ok(Fetched {
        status,
        headers,
        body,
    })
}

/// The headers that tell of the venue's budget.
fn kept(headers: Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
    let kept = headers.into_iter().filter(|(name, _)| is_kept(name));
    kept.take(MAX_HEADERS_KEPT)
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect()
}

fn outgoing(origin: &Origin, request: &HttpRequest) -> Result<Request, FetchError> {
    // Neither body nor trailers: the writer goes at once, which leaves its default for the host to read.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _transmitted) = Request::new(Fields::new(), None, trailers, Some(timeouts()));
    let scheme = if origin.is_tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let path = format!("{}{}", origin.base_path, request.path_and_query);
    outgoing
        .set_method(&method(request.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&origin.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&path)))
        .map_err(|()| FetchError::Denied("the host takes it for no valid request".to_owned()))?;
    Ok(outgoing)
}

/// How long the host waits. One that knows no timeouts has its own.
fn timeouts() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(CONNECT_TIMEOUT_NS));
    let _ = options.set_first_byte_timeout(Some(FIRST_BYTE_TIMEOUT_NS));
    let _ = options.set_between_bytes_timeout(Some(BETWEEN_BYTES_TIMEOUT_NS));
    options
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        other => Method::Other(other.to_owned()),
    }
}

async fn read_body(
    response: Response,
    max_bytes: usize,
    is_late: impl Fn() -> Option<FetchError>,
) -> Result<Vec<u8>, FetchError> {
    // Nothing goes wrong on this side that the host would have to hear of.
    let (_, received) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = Response::consume_body(response, received);
    let mut body = Vec::new();
    loop {
        if body.capacity() - body.len() < CHUNK_BYTES {
            body.reserve(CHUNK_BYTES);
        }
        let (status, read) = stream.read(body).await;
        body = read;
        if body.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        match status {
            StreamResult::Complete(_) => {
                if let Some(late) = is_late() {
                    return Err(late);
                }
            }
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
    }
    drop(stream);
    // A body that was cut off ends its stream like one that is whole: only the trailers tell.
    trailers.await.map_err(refusal)?;
    Ok(body)
}

fn refusal(code: ErrorCode) -> FetchError {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            FetchError::Denied(format!("{code:?}"))
        }
        ErrorCode::HttpResponseBodySize(_) => {
            FetchError::Unavailable("the answer is larger than the host passes on".to_owned())
        }
        other => FetchError::Unavailable(format!("{other:?}")),
    }
}
