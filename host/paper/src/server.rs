mod body;
mod respond;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, warn};

use crate::Venue;
use respond::Responder;

/// The most connections at once; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: u32 = 256;
/// The most headers of one request.
const MAX_HEADERS: usize = 32;
/// The most bytes of one request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests and streams have to end once the server is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// How long accepting pauses after it failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `venue` (or a [`Replay`](crate::Replay), as a venue without anything else) on `listener` until `shutdown` is
/// ready; then lets open requests end, closes streams, and returns.
///
/// The listener is not checked: bind it to loopback.
pub async fn serve(
    listener: TcpListener,
    venue: impl Into<Venue>,
    shutdown: impl Future<Output = ()>,
) {
    let venue = Arc::new(venue.into());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let (stop, is_stopped) = watch::channel(false);
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
        let responder = Responder {
            venue: Arc::clone(&venue),
            is_stopped: is_stopped.clone(),
            place: Arc::new(place),
        };
        let service = service_fn(move |request| std::future::ready(responder.respond(request)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let is_stopped = is_stopped.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped(is_stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "a connection of the paper venue ended early");
            }
        });
    }
    drop(listener);
    stop.send_replace(true);
    // Each connection and each stream gives its place back when it ends.
    let all_ended = places.acquire_many(MAX_CONNECTIONS);
    if tokio::time::timeout(SHUTDOWN_GRACE, all_ended)
        .await
        .is_err()
    {
        warn!("the paper venue stopped with requests or streams still open");
    }
}

/// Is ready once the server is told to stop, or is gone.
pub(crate) async fn stopped(mut is_stopped: watch::Receiver<bool>) {
    let _is_gone = is_stopped.wait_for(|is_stopped| *is_stopped).await.is_err();
}

/// Waits for a place, then for a connection. None: accepting failed, which is logged.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
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
