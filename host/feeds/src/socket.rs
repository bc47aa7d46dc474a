//! From a plan to an open websocket: gate, dialler, handshake.

use std::time::Duration;

use bulkhead_grants::dial::Stream;
use bulkhead_grants::egress::{Permit, RequestHead, RunMode, admit};
use bulkhead_grants::switches::SwitchState;
use http::header::{
    CONNECTION, HOST, RETRY_AFTER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Request};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::error::SessionError;
use crate::feeds::Host;
use crate::frame::MAX_MESSAGE_BYTES;
use crate::plan::FeedPlan;

/// For the TCP connection and the TLS handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For the websocket handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a venue's `Retry-After` is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Bytes of one read. A message may be longer.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that may wait to be written: pongs, credentials, a subscription.
const MAX_WRITE_BUFFER_BYTES: usize = 256 * 1024;

pub(crate) type Socket = WebSocketStream<Stream>;

/// Opens the websocket of a plan.
pub(crate) async fn connect(plan: &FeedPlan, host: &Host) -> Result<Socket, SessionError> {
    let path_and_query = plan.path_and_query();
    let permit = permit(plan, &path_and_query, host).await?;
    let stream = host
        .dialer
        .connect(&permit, CONNECT_TIMEOUT)
        .await
        .map_err(SessionError::Dial)?;
    let request = request(&permit, &path_and_query)?;
    let handshake = client_async_with_config(request, stream, Some(bounds()));
    let limit = HANDSHAKE_TIMEOUT;
    let (socket, _) = tokio::select! {
        biased;
        shaken = handshake => shaken.map_err(refused)?,
        () = host.timer.sleep(limit) => return Err(SessionError::HandshakeTimeout { limit }),
    };
    Ok(socket)
}

/// Asks the egress gate. A websocket begins as an HTTP request, and is judged as one.
async fn permit(
    plan: &FeedPlan,
    path_and_query: &str,
    host: &Host,
) -> Result<Permit, SessionError> {
    let head = RequestHead {
        method: "GET",
        scheme: Some(if plan.url.is_tls { "https" } else { "http" }),
        authority: &plan.url.authority,
        path_and_query,
        headers: Vec::new(),
    };
    // The switches stop order entry, which no feed is; unread, they count as on.
    let switches = SwitchState::default();
    admit(
        &head,
        &plan.grant,
        RunMode::Live,
        &switches,
        &*host.resolver,
    )
    .await
    .map_err(SessionError::Denied)
}

/// The handshake's request (RFC 6455, 4.1), to the host of the permit.
fn request(permit: &Permit, path_and_query: &str) -> Result<Request<()>, SessionError> {
    let authority = permit.target().authority();
    Request::get(format!("ws://{authority}{path_and_query}"))
        .header(HOST, &authority)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, generate_key())
        .body(())
        .map_err(|error| SessionError::Handshake(Box::new(error.into())))
}

fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Why the handshake brought no websocket.
fn refused(error: tungstenite::Error) -> SessionError {
    match error {
        Error::Http(response) => SessionError::Status {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        },
        other => SessionError::Handshake(Box::new(other)),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
