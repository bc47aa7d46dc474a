//! One connection, from its opening to its end.

use std::time::Duration;

use bulkhead_venues::frame::{Control, Remedy};
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::backoff::Backoff;
use crate::error::SessionError;
use crate::feeds::{FeedTask, stopped};
use crate::frame::{self, Kind, MAX_MESSAGE_BYTES, Part};
use crate::socket::{self, Socket};

/// How long a venue may take from the handshake to its word that it streams what was asked for.
pub const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long without anything from the venue it is asked for a sign of life.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long that sign may take.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one message may take to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the goodbye of a shutdown may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects, reads, and connects again, until told to stop or finally refused.
pub(crate) async fn read_until_stopped(task: &FeedTask, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::default();
    loop {
        task.status.connecting();
        let mut session = Session::new(task);
        let end = session.run(&mut stop).await;
        if session.has_frame {
            backoff.reset();
        }
        let End::Lost(error) = end else { break };
        task.status.lost(&error, session.is_established);
        let feed = task.plan.name.as_str();
        let detail = error.chain();
        if error.is_final() {
            tracing::error!(feed, detail, "feed refused for good");
            stopped(&mut stop).await;
            break;
        }
        let pause = backoff
            .pause(&*task.host.entropy)
            .max(error.retry_after().unwrap_or_default());
        tracing::warn!(feed, detail, ?pause, "feed lost, will be connected again");
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            () = task.host.timer.sleep(pause) => {}
        }
    }
    task.queue.close();
    task.status.stopped();
}

enum End {
    Stopped,
    Lost(SessionError),
}

struct Session<'a> {
    task: &'a FeedTask,
    /// Whether the venue streams what was asked for.
    is_established: bool,
    /// Whether anything that can be read has come.
    has_frame: bool,
}

impl<'a> Session<'a> {
    fn new(task: &'a FeedTask) -> Self {
        Self {
            task,
            is_established: false,
            has_frame: false,
        }
    }

    async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let connected = tokio::select! {
            biased;
            () = stopped(stop) => return End::Stopped,
            connected = socket::connect(&self.task.plan, &self.task.host) => connected,
        };
        match connected {
            Ok(socket) => self.read(socket, stop).await,
            Err(error) => End::Lost(error),
        }
    }

    async fn read(&mut self, mut socket: Socket, stop: &mut watch::Receiver<bool>) -> End {
        if self.task.plan.protocol.subscribes_by_connecting() {
            self.establish();
        }
        let timer = &self.task.host.timer;
        let mut opening = timer.sleep(SUBSCRIBE_TIMEOUT);
        let mut has_pinged = false;
        loop {
            let idle = timer.sleep(match has_pinged {
                true => PONG_TIMEOUT,
                false => IDLE_TIMEOUT,
            });
            let done = tokio::select! {
                biased;
                () = stopped(stop) => {
                    self.say_goodbye(&mut socket).await;
                    return End::Stopped;
                }
                () = &mut opening, if !self.is_established => {
                    Err(SessionError::SubscribeTimeout { limit: SUBSCRIBE_TIMEOUT })
                }
                message = socket.next() => {
                    has_pinged = false;
                    self.take(message, &mut socket).await
                }
                () = idle => match has_pinged {
                    true => Err(SessionError::Silent { silence: IDLE_TIMEOUT + PONG_TIMEOUT }),
                    false => {
                        has_pinged = true;
                        self.send(&mut socket, Message::Ping(Default::default())).await
                    }
                },
            };
            if let Err(error) = done {
                return End::Lost(error);
            }
        }
    }

    /// Deals with what was read. Pings are answered by the protocol's own layer, with the next read.
    async fn take(
        &mut self,
        message: Option<Result<Message, Error>>,
        socket: &mut Socket,
    ) -> Result<(), SessionError> {
        match message {
            None => Err(SessionError::Closed("the connection ended".to_owned())),
            Some(Err(error)) => Err(read_error(error)),
            Some(Ok(Message::Text(text))) => self.take_text(&text, socket).await,
            Some(Ok(Message::Binary(_))) => Err(SessionError::NotText),
            Some(Ok(Message::Close(frame))) => Err(SessionError::Closed(match frame {
                Some(frame) => format!("{} {}", u16::from(frame.code), frame.reason),
                None => "without a reason".to_owned(),
            })),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
        }
    }

    async fn take_text(&mut self, text: &str, socket: &mut Socket) -> Result<(), SessionError> {
        let now_ms = self.task.host.clock.now_ms();
        for part in frame::parts(self.task.plan.venue, text, now_ms) {
            match part {
                Part::Frame(frame) => {
                    self.has_frame |= frame.kind != Kind::Unreadable;
                    self.task.status.received(&frame);
                    self.task.queue.push(frame).await;
                }
                Part::Control(control) => self.obey(control, socket).await?,
                Part::Ignored => self.task.status.ignored(),
            }
        }
        Ok(())
    }

    async fn obey(&mut self, control: Control, socket: &mut Socket) -> Result<(), SessionError> {
        if let Some(answer) = self.task.plan.protocol.answer(&control) {
            return self.send(socket, Message::text(answer)).await;
        }
        match control {
            Control::Subscribed(_) => self.establish(),
            Control::Reconnecting => self.task.gap.notify_one(),
            Control::Error(error) => {
                return Err(SessionError::Venue {
                    code: error.code,
                    message: error.message,
                    is_final: error.remedy == Remedy::Stop,
                });
            }
            Control::Connected | Control::Authenticated | Control::Acknowledged { .. } => {}
        }
        Ok(())
    }

    /// The venue streams. What came before is missing, so that a poll is asked for.
    fn establish(&mut self) {
        if self.is_established {
            return;
        }
        self.is_established = true;
        self.task.status.established();
        self.task.gap.notify_one();
    }

    async fn send(&self, socket: &mut Socket, message: Message) -> Result<(), SessionError> {
        let limit = SEND_TIMEOUT;
        tokio::select! {
            biased;
            sent = socket.send(message) => sent.map_err(|error| SessionError::Write(Box::new(error))),
            () = self.task.host.timer.sleep(limit) => Err(SessionError::WriteTimeout { limit }),
        }
    }

    async fn say_goodbye(&self, socket: &mut Socket) {
        let ended = tokio::select! {
            biased;
            closed = socket.close(None) => closed.is_ok(),
            () = self.task.host.timer.sleep(CLOSE_TIMEOUT) => false,
        };
        if !ended {
            tracing::debug!(
                feed = self.task.plan.name,
                "connection cut without a goodbye"
            );
        }
    }
}

fn read_error(error: Error) -> SessionError {
    match error {
        Error::Capacity(_) => SessionError::TooLong {
            limit: MAX_MESSAGE_BYTES,
        },
        Error::ConnectionClosed | Error::AlreadyClosed => {
            SessionError::Closed("the connection ended".to_owned())
        }
        other => SessionError::Read(Box::new(other)),
    }
}
