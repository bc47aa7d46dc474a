//! Schedules: cron expressions in IANA time zones, and the driver that fires them.
//!
//! # Expressions
//!
//! Six fields: second, minute, hour, day of month, month, day of week, with `*`, lists (`,`), ranges (`-`), steps
//! (`/`), names (`JAN`, `MON`), `L` (last day of the month, or the last such weekday: `FRI#L`), `#` (the n-th such
//! weekday: `FRI#3`) and `W` (the nearest working day).
//!
//! # When the clocks change
//!
//! A schedule that leaves out an hour, or fires once an hour, follows the clock on the wall: where the clock is set
//! back, a local time that comes twice fires once, the first time; where it is set forward, a local time that does
//! not exist is reported as [`Firing::Skipped`]. A schedule of all 24 hours that fires more than once in each (every
//! second, every five minutes), however it is written, follows elapsed time: nothing is repeated and nothing is left
//! out, so that a feed polled every second does not fall silent for an hour.

mod driver;
mod error;
mod expression;
mod schedule;
mod timer;
mod zone;

pub use driver::{CronDriver, CronJob, FiringPolicy, Misfire};
pub use error::CronError;
pub use expression::MAX_EXPRESSION_BYTES;
pub use schedule::{CronSchedule, Firing};
pub use timer::{SystemTimer, Timer};

/// The stable words for why a firing never became a run.
pub mod reason {
    /// The local time does not exist: the clocks were set forward over it.
    pub const DST_GAP: &str = "dst-gap";
    /// The host was not there, or was too slow, to start the run within the starting deadline.
    pub const STARTING_DEADLINE_EXCEEDED: &str = "starting-deadline-exceeded";
}
