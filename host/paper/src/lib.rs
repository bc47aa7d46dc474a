//! The paper venue: a market-data server over loopback that replays a bar file.
//!
//! A [`BarFile`] is read or [generated](demo), a [`VirtualClock`] says which of its bars have opened, a [`Replay`]
//! holds both and counts what has been served, and [`serve`] answers in the shapes of the Binance spot REST API.

mod answer;
mod bar_file;
mod clock;
pub mod demo;
mod replay;
mod server;

pub use bar_file::{BarFile, BarFileError};
pub use clock::VirtualClock;
pub use replay::{Progress, Replay, ReplayError};
pub use server::serve;
