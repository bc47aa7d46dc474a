//! Feeds: the websockets that the host holds for `ingest`.
//!
//! A stage is a fresh instance each time it runs, so it cannot hold a connection. The host does: for each feed of the
//! manifest a task connects, subscribes and reads, a bounded queue keeps what came, and batches of it are handed to the
//! stage as runs of the trigger `feed`. The frames stay the venue's own text; what they mean the stage says.
//!
//! - **Connecting** goes through the egress gate: the URL is judged against the component's rules for `ws` and `wss`, the
//!   name resolved once, and the very address that was checked is dialled.
//! - **Nothing is silently lost.** A closed bar or a trade waits until it is taken; when the queue is full of those, the
//!   socket is not read. Only a quote or an open bar that a newer one follows may be left out, and is counted.
//! - **A batch that the stage does not take is kept** at the head and tried again, whatever comes behind it.
//! - **A connection that was lost is made again** after a pause that doubles up to a minute, of which all is left to
//!   chance; each one that stands asks `ingest` for a poll, which fills the gap.
//! - **Refused credentials are final.** The feed stands still and says why.

mod backoff;
mod board;
mod courier;
mod error;
mod feeds;
mod frame;
mod gap;
mod heartbeat;
mod plan;
mod protocol;
mod queue;
mod session;
mod socket;
mod status;
mod timer;

pub use backoff::{RECONNECT_BASE, RECONNECT_MAX};
pub use board::{Board, Health, SERVICE};
pub use courier::MAX_INPUT_BYTES;
pub use error::{PlanError, SessionError};
pub use feeds::{Feeds, Host, StopSummary};
pub use frame::{MAX_MESSAGE_BYTES, frames};
pub use heartbeat::{HEARTBEAT_COLLECTION, HEARTBEAT_EVERY, HEARTBEAT_ID};
pub use plan::FeedPlan;
pub use queue::MAX_QUEUE_BYTES;
pub use session::{IDLE_TIMEOUT, PONG_TIMEOUT, SUBSCRIBE_TIMEOUT};
pub use socket::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
pub use status::{ConnectionState, STALE_AFTER_MS};
pub use timer::{Timer, TokioTimer};
