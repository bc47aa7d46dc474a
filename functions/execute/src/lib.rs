//! The execute stage: trade actions become order intents, under kill switches and limits.
//!
//! [`pipeline`] is the task `preview`, pure. For the task `route`, [`switches`] says whether orders may be made at all,
//! [`limits`] whether this one may, and [`ledger`] what is written down, all without I/O; [`route`] reads the trade actions
//! and carries it out. [`task`] reads the input.
//!
//! Orders are dry-run: this stage sends nothing. With `exec_dry_run` off it holds.

pub mod ledger;
pub mod limits;
pub mod pipeline;
pub mod route;
pub mod switches;
pub mod task;

#[cfg(target_os = "wasi")]
mod component;

#[cfg(test)]
mod tests;
