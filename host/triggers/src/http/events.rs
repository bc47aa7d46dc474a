//! The events of the bus as server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_telemetry::{Bus, CloudEvent, SubscribeError, Subscription, TopicPrefix};
use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::problem::Problem;

/// Streams of events at once. The bus has room for more subscribers, so that streams leave some to the host.
pub const MAX_EVENT_STREAMS: usize = 32;

/// How often a stream without events says that it is still there, so that a client that is gone is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a stream begins with: after how many milliseconds a client that was cut off comes back.
const PREAMBLE: &str = "retry: 3000\n\n";

/// A body whose end is not known when it begins.
pub(super) type StreamedBody = UnsyncBoxBody<Bytes, Infallible>;

/// Where streams get their events from.
pub(super) struct Events {
    bus: Arc<Bus>,
    places: Arc<Semaphore>,
    /// Becomes true when the server stops.
    stopping: watch::Receiver<bool>,
}

impl Events {
    pub fn new(bus: Arc<Bus>, stopping: watch::Receiver<bool>) -> Self {
        Self {
            bus,
            places: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
            stopping,
        }
    }

    /// The events of the topics that the query asks for, from now on, until the client hangs up or the server stops.
    pub fn stream(&self, query: &str) -> Result<Response<StreamedBody>, Problem> {
        let prefix = prefix(query)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            let detail =
                format!("there are {MAX_EVENT_STREAMS} streams of events, which is the most");
            Problem::too_many("too-many-streams", detail)
        })?;
        let subscription = self.bus.subscribe(prefix).map_err(|error| match error {
            SubscribeError::Stopped => Problem::shutting_down(),
            SubscribeError::TooMany => Problem::too_many("too-many-streams", error.to_string()),
        })?;
        let stream = Stream {
            subscription,
            stopping: self.stopping.clone(),
            has_begun: false,
            _place: place,
        };
        let chunks = stream::unfold(stream, |mut stream| async {
            let chunk = stream.next().await?;
            Some((Ok(Frame::data(Bytes::from(chunk))), stream))
        });
        let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
        let headers = response.headers_mut();
        let event_stream = HeaderValue::from_static("text/event-stream");
        headers.insert(CONTENT_TYPE, event_stream);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// One client's stream.
struct Stream {
    subscription: Subscription,
    stopping: watch::Receiver<bool>,
    has_begun: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// The next piece of the stream. None: it ends.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(PREAMBLE.to_owned());
        }
        tokio::select! {
            biased;
            // A sender that is gone means the same as one that says stop.
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
            event = self.subscription.next() => {
                let event = event?;
                let lagged = self.subscription.take_lagged();
                Some(written(&event, lagged))
            }
            () = tokio::time::sleep(KEEP_ALIVE) => Some(": still here\n\n".to_owned()),
        }
    }
}

/// An event, behind a note of those that were lost before it. Both are one line of JSON.
fn written(event: &CloudEvent, lagged: u64) -> String {
    let note = match lagged {
        0 => String::new(),
        lagged => format!("event: lagged\ndata: {{\"lost\":{lagged}}}\n\n"),
    };
    format!("{note}id: {}\ndata: {}\n\n", event.id(), event.as_json())
}

fn prefix(query: &str) -> Result<TopicPrefix, Problem> {
    let mut topics = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("topic="));
    let topic = topics.next().unwrap_or_default();
    if topics.next().is_some() {
        let detail = "`topic` stands once at most";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-query",
            detail,
        ));
    }
    topic.parse().map_err(|error| {
        let detail = format!("`topic`: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid-query", detail)
    })
}
