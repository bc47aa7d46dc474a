//! A response's body, bounded in time and bytes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use super::{Limits, SendError};

/// A connection's driver, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Connection(JoinHandle<()>);

impl Connection {
    pub(super) fn spawn<F, T>(driver: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self(tokio::spawn(async move {
            driver.await;
        }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The response's body. After an error it is at its end; dropping it closes the connection.
#[derive(Debug)]
pub struct ResponseBody {
    open: Option<(Incoming, Connection)>,
    limit: u64,
    left: u64,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, connection: Connection, limits: &Limits) -> Self {
        Self {
            open: Some((incoming, connection)),
            limit: limits.response_bytes,
            left: limits.response_bytes,
            pause: limits.between_bytes_timeout,
            waiting: None,
        }
    }

    fn fail(&mut self, error: SendError) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        self.open = None;
        self.waiting = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let this = &mut *self;
        let Some((incoming, _)) = &mut this.open else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            let pause = this.pause;
            ready!(
                this.waiting
                    .get_or_insert_with(|| Box::pin(sleep(pause)))
                    .as_mut()
                    .poll(cx)
            );
            return this.fail(SendError::BetweenBytesTimeout { limit: pause });
        };
        this.waiting = None;
        match frame {
            None => {
                this.open = None;
                Poll::Ready(None)
            }
            Some(Err(source)) => this.fail(SendError::Exchange { source }),
            Some(Ok(frame)) => {
                let bytes = frame
                    .data_ref()
                    .map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                match this.left.checked_sub(bytes) {
                    Some(left) => {
                        this.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => {
                        let limit = this.limit;
                        this.fail(SendError::ResponseTooLarge { limit })
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open
            .as_ref()
            .is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(
            || SizeHint::with_exact(0),
            |(incoming, _)| incoming.size_hint(),
        )
    }
}
