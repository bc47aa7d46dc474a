//! The event bus: what stages and the host report, as CloudEvents 1.0.
//!
//! The supervisor hands each run's end to the [`Bus`], which is its [`bulkhead_supervisor::EventSink`]. A task of the bus
//! makes a [`CloudEvent`] of each event of the run's report, adds the host's own ([`topic::HOST_WORDS`]), and gives each to
//! the subscribers whose [`TopicPrefix`] covers its topic. Nobody waits for anybody: what finds the bus full is dropped and
//! counted, and a subscriber that is too slow loses its oldest events, which are counted as well.
//!
//! [`EventFile`] is the handler that keeps events in a file, one a line; [`newest`] and [`Follower`] read them back.

mod bus;
mod cloud_event;
mod file;
mod read;
mod report;
mod statistics;
mod subscription;
pub mod topic;

pub use bus::{
    BUS_QUEUE, BUS_QUEUE_BYTES, Bus, HANDLER_BATCH, Handler, HandlerError, MAX_SUBSCRIBERS,
    SubscribeError,
};
pub use cloud_event::{CloudEvent, Draft, InvalidEvent, MAX_EVENT_BYTES, MAX_SUBJECT_BYTES};
pub use file::{EventFile, FileBounds, FileError};
pub use read::{Follower, Newest, StoredEvent, newest};
pub use report::MAX_EVENTS_OF_RUN;
pub use statistics::Statistics;
pub use subscription::{SUBSCRIBER_QUEUE, SUBSCRIBER_QUEUE_BYTES, Subscription};
pub use topic::TopicPrefix;
