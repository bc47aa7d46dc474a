use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::Replay;
use crate::answer::answer;

/// The most connections at once; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;
/// The most headers of one request.
const MAX_HEADERS: usize = 32;
/// The most bytes of one request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests have to end once the server is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// How long accepting pauses after it failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `replay` on `listener` until `shutdown` is ready; then lets open requests end and returns.
///
/// The listener is not checked: bind it to loopback.
pub async fn serve(listener: TcpListener, replay: Arc<Replay>, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
            }
        };
        let replay = Arc::clone(&replay);
        let service = service_fn(move |request| {
            let response = respond(&replay, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                debug!(%error, "a connection of the paper venue ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("the paper venue stopped with requests still open");
    }
}

/// Waits for a place, then for a connection. None: accepting failed, which is logged.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small answers would otherwise wait for the peer's delayed acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "set TCP_NODELAY on a connection of the paper venue");
            }
            Some((stream, place))
        }
        Err(error) => {
            warn!(%error, "accept a connection of the paper venue");
            None
        }
    }
}

fn respond(replay: &Replay, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let (status, body) = answer(
        replay,
        request.method(),
        uri.path(),
        uri.query().unwrap_or_default(),
    );
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    response
}
