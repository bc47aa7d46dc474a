//! Bodies of answers: as they should be, slow, or cut.

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use crate::venue::Venue;

/// The connection is cut, because a fault says so.
#[derive(Debug, thiserror::Error)]
#[error("cut the connection, as a fault says")]
pub(super) struct Cut;

pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Half of it at once, the rest after a pause.
pub(super) fn slow(venue: &Venue, mut bytes: Bytes, pause_ms: u32) -> Body {
    let first = bytes.split_to(bytes.len() / 2);
    let pause = venue.replay.clock().pause(pause_ms);
    let rest = async move {
        pause.await;
        Ok(Frame::data(bytes))
    };
    let first = async move { Ok(Frame::data(first)) };
    let frames = stream::StreamExt::chain(stream::once(first), stream::once(rest));
    StreamBody::new(frames).boxed_unsync()
}

/// Half of it, then nothing more.
pub(super) fn cut(bytes: &Bytes) -> Body {
    let first = Frame::data(bytes.slice(..bytes.len() / 2));
    StreamBody::new(stream::iter([Ok(first), Err(Cut)])).boxed_unsync()
}
