//! One websocket connection, whichever API it speaks.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

use super::{Due, Timeline};
use crate::fault::{Disorder, FaultKind};
use crate::replay::ReadToEnd;
use crate::server::stopped;
use crate::venue::Venue;

/// The longest message that a client may send, in bytes.
const MAX_HEARD_BYTES: usize = 64 * 1024;
/// How much is written at once, in bytes.
const WRITE_BYTES: usize = 64 * 1024;
/// The most that waits for a client to read it, in bytes.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;
/// The most events of one stream that a client may be behind on a clock that goes on by itself.
const MAX_LAG_EVENTS: usize = 16_384;
/// Events between two looks at what the client says.
const EVENTS_AT_ONCE: usize = 64;
/// How long a client may take to read what was written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the venue pings, in milliseconds, as Binance does.
const PING_EVERY_MS: u32 = 20_000;
/// Pings that may stay unanswered: together a minute, as Binance has it.
const MAX_UNANSWERED_PINGS: u32 = 3;
/// How long a client may take to be admitted, in milliseconds, as Alpaca has it.
const ADMISSION_MS: u32 = 10_000;
/// What is in the ping that follows the last message of all streams, and in no other: those have the time.
const END_OF_STREAMS: &[u8] = b"end";

/// What is said on a connection.
pub(crate) trait Session: Send {
    /// What the venue says first.
    fn greeting(&mut self) -> Vec<String>;
    /// What the venue answers to a message.
    fn hear(&mut self, text: &str, timeline: &mut Timeline) -> Vec<String>;
    /// An event in words.
    fn write(&self, due: &Due) -> Option<String>;
    /// Whether the client may stay.
    fn is_admitted(&self) -> bool;
    /// What is said to one that was not admitted in time.
    fn too_late(&self) -> Option<String>;
    /// What is said to one that reads too slowly.
    fn too_slow(&self) -> Option<String>;
}

/// A connection that is about to begin.
pub(crate) struct Opening {
    pub session: Box<dyn Session>,
    pub timeline: Timeline,
}

/// Why a connection ends.
enum End {
    /// The venue ends it.
    Close,
    /// The client ended it, or it broke.
    Gone,
    /// A fault.
    Cut,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        debug!(%error, "a stream of the paper venue ended early");
        Self::Gone
    }
}

struct Connection<S> {
    socket: WebSocketStream<S>,
    session: Box<dyn Session>,
    timeline: Timeline,
    venue: Arc<Venue>,
    /// A message that comes after the next one.
    held: Option<String>,
    unanswered_pings: u32,
    rest: Rest,
}

/// What is left of a connection's streams.
enum Rest {
    /// Events that have not been written, or no stream at all.
    Some,
    /// None; the client is asked whether it has read the last one.
    Asked,
    /// None, and the client has read the last one.
    Read { _noted: ReadToEnd },
}

/// The bounds of a connection.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_HEARD_BYTES))
        .max_frame_size(Some(MAX_HEARD_BYTES))
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(MAX_UNREAD_BYTES)
}

/// Speaks with a client until either ends it, or the server stops.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    opening: Opening,
    venue: Arc<Venue>,
    is_stopped: watch::Receiver<bool>,
) {
    let mut connection = Connection {
        socket,
        session: opening.session,
        timeline: opening.timeline,
        venue,
        held: None,
        unanswered_pings: 0,
        rest: Rest::Some,
    };
    let end = tokio::select! {
        biased;
        () = stopped(is_stopped) => End::Close,
        end = connection.converse() => end,
    };
    if let End::Close = end {
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, connection.socket.close(None)).await;
        if closed.is_err() {
            debug!("a stream of the paper venue did not close in time");
        }
    }
}

enum Happened {
    Heard(Option<Result<Message, Error>>),
    NotAdmitted,
    PingIsDue,
    EventIsDue,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn converse(&mut self) -> End {
        match self.speak().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Goes on until something ends it.
    async fn speak(&mut self) -> Result<Infallible, End> {
        let venue = Arc::clone(&self.venue);
        let clock = venue.replay.clock();
        let mut admission = pin!(clock.pause(ADMISSION_MS));
        let mut ping = Box::pin(clock.pause(PING_EVERY_MS));
        for message in self.session.greeting() {
            self.feed(message).await?;
        }
        self.flush().await?;
        loop {
            let next_ms = self.timeline.next_ms();
            self.look_for_the_end(next_ms).await?;
            let happened = tokio::select! {
                biased;
                heard = self.socket.next() => Happened::Heard(heard),
                () = &mut admission, if !self.session.is_admitted() => Happened::NotAdmitted,
                () = &mut ping => Happened::PingIsDue,
                () = clock.reach(next_ms.unwrap_or(i64::MAX)), if next_ms.is_some() => Happened::EventIsDue,
            };
            match happened {
                Happened::Heard(None) => return Err(End::Gone),
                Happened::Heard(Some(message)) => self.hear(message?).await?,
                Happened::NotAdmitted => {
                    let words = self.session.too_late();
                    return Err(self.end_with(words).await);
                }
                Happened::PingIsDue => {
                    // Whoever hears the ping may step the clock at once: by then the next one is set.
                    ping.set(clock.pause(PING_EVERY_MS));
                    self.ping().await?;
                }
                Happened::EventIsDue => self.write_events().await?,
            }
        }
    }

    /// A client answers a ping once it has read everything before it. So a ping behind the last message tells when that is read.
    async fn look_for_the_end(&mut self, next_ms: Option<i64>) -> Result<(), End> {
        if next_ms.is_some() || self.timeline.names().next().is_none() {
            self.rest = Rest::Some;
            return Ok(());
        }
        if !matches!(self.rest, Rest::Some) {
            return Ok(());
        }
        // There is no next message that it could come after.
        if let Some(held) = self.held.take() {
            self.feed(held).await?;
        }
        self.rest = Rest::Asked;
        self.socket
            .feed(Message::Ping(END_OF_STREAMS.into()))
            .await?;
        self.flush().await
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Text(text) => {
                for answer in self.session.hear(&text, &mut self.timeline) {
                    self.feed(answer).await?;
                }
                self.flush().await
            }
            Message::Pong(payload) => {
                self.unanswered_pings = 0;
                if payload.as_ref() == END_OF_STREAMS && matches!(self.rest, Rest::Asked) {
                    self.rest = Rest::Read {
                        _noted: self.venue.replay.note_read_to_end(),
                    };
                }
                Ok(())
            }
            Message::Close(_) => Err(End::Gone),
            // A ping is answered by the library. No API here has binary messages.
            Message::Ping(_) | Message::Binary(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Whoever steps a clock may do so faster than a client can answer, so there nobody is ended for it.
    async fn ping(&mut self) -> Result<(), End> {
        let is_stepped = self.venue.replay.clock().is_stepped();
        if self.unanswered_pings >= MAX_UNANSWERED_PINGS && !is_stepped {
            return Err(End::Close);
        }
        self.unanswered_pings = self.unanswered_pings.saturating_add(1);
        let payload = self.venue.replay.now_ms().to_string();
        self.socket.feed(Message::Ping(payload.into())).await?;
        self.flush().await
    }

    async fn write_events(&mut self) -> Result<(), End> {
        let venue = Arc::clone(&self.venue);
        let clock = venue.replay.clock();
        let now_ms = clock.now_ms();
        for _ in 0..EVENTS_AT_ONCE {
            let next_ms = self.timeline.next_ms();
            let is_due = next_ms.is_some_and(|at_ms| now_ms.is_none_or(|now_ms| at_ms <= now_ms));
            let Some(due) = is_due.then(|| self.timeline.take()).flatten() else {
                break;
            };
            if clock.is_paced() && due.lag(now_ms) > MAX_LAG_EVENTS {
                let words = self.session.too_slow();
                return Err(self.end_with(words).await);
            }
            self.write_event(&due).await?;
        }
        self.flush().await
    }

    async fn write_event(&mut self, due: &Due) -> Result<(), End> {
        let Some(text) = self.session.write(due) else {
            return Ok(());
        };
        match self.venue.faults.on_message(&due.stream.name) {
            Some(FaultKind::Disorder(Disorder::Gap)) => return Ok(()),
            Some(FaultKind::Disorder(Disorder::OutOfOrder)) if self.held.is_none() => {
                self.held = Some(text);
                return Ok(());
            }
            Some(FaultKind::Cut) => {
                self.flush().await?;
                return Err(End::Cut);
            }
            Some(FaultKind::Slow { pause_ms }) => {
                self.flush().await?;
                let clock = self.venue.replay.clock();
                clock.pause_since(due.time_ms, pause_ms).await;
                self.feed(text).await?;
            }
            Some(FaultKind::Malformed) => {
                let half = text.get(..text.len() / 2).unwrap_or_default();
                self.feed(half.to_owned()).await?;
            }
            Some(FaultKind::Disorder(Disorder::Duplicate)) => {
                self.feed(text.clone()).await?;
                self.feed(text).await?;
            }
            _ => self.feed(text).await?,
        }
        if let Some(held) = self.held.take() {
            self.feed(held).await?;
        }
        if due.is_closing() {
            let replay = &self.venue.replay;
            replay.count_served(&due.stream.selected, due.place() + 1);
        }
        Ok(())
    }

    async fn end_with(&mut self, words: Option<String>) -> End {
        if let Some(words) = words
            && let Err(end) = self.feed(words).await
        {
            return end;
        }
        End::Close
    }

    async fn feed(&mut self, text: String) -> Result<(), End> {
        let fed = self.socket.feed(Message::text(text));
        match tokio::time::timeout(WRITE_TIMEOUT, fed).await {
            Ok(fed) => Ok(fed?),
            Err(_) => Err(End::Gone),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.socket.flush()).await {
            Ok(flushed) => Ok(flushed?),
            Err(_) => Err(End::Gone),
        }
    }
}
