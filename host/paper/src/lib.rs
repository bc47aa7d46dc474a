//! The paper venue: a market-data server over loopback that replays bar files.
//!
//! A [`BarFile`] is read or [generated](demo), a [`VirtualClock`] says which of its bars have opened, a [`Replay`]
//! holds one or several [`Series`] under one clock and counts what has been served, a [`Venue`] adds [`Faults`],
//! [`Keys`], [`Budgets`] and a [`Calendar`], and [`serve`] answers as Binance and Alpaca do, by REST and by websocket.

mod alpaca;
mod answer;
mod bar_file;
mod binance;
mod calendar;
mod clock;
pub mod demo;
mod fault;
#[cfg(test)]
mod fixture;
mod market;
mod meter;
mod query;
mod replay;
mod series;
mod server;
mod stream;
mod venue;

pub use bar_file::{BarFile, BarFileError, MAX_BARS, VENUE_DECIMAL_PLACES};
pub use calendar::{CALENDAR_PATH, Calendar, CalendarError, Event, Importance, MAX_EVENTS};
pub use clock::{Stepper, VirtualClock};
pub use fault::{Disorder, Fault, FaultError, FaultKind, Faults, MAX_FAULTS, Target};
pub use replay::{MAX_SERIES, Progress, Replay, ReplayError};
pub use series::Series;
pub use server::serve;
pub use stream::replies;
pub use venue::{Budgets, Keys, Venue};
