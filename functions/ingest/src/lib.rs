//! The ingest stage: raw frames become envelopes, market-data responses become bars.
//!
//! [`normalise`] is the task `normalise`, pure. For the task `poll`, [`poll`] decides what is asked for and what of
//! the answer is stored, and [`journal`] what is kept as a record, both without I/O; [`run`] carries the decisions out
//! through the [`ports::Ports`] it is given.

mod failure;
pub mod journal;
pub mod normalise;
pub mod poll;
pub mod ports;
pub mod run;
pub mod settings;
pub mod task;

pub use failure::StageError;

#[cfg(target_os = "wasi")]
mod component;
