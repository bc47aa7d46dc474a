//! The signal stage: strategies are asked, their answers fused into a brain decision and a trade action.
//!
//! [`pipeline`] is the task `decide`, pure. For the task `evaluate`, [`bulkhead_kernel::risk_gate`] says whether trading is on, [`fusion`]
//! makes one decision of the strategies' answers, [`record`] bounds what is kept of their words and [`ledger`] makes documents of
//! a decision, all without I/O; [`walk`] reads the bars, asks the strategies and stores what was decided. [`task`] reads the input.

pub mod fusion;
pub mod ledger;
pub mod pipeline;
pub mod record;
pub mod strategies;
pub mod task;
pub mod walk;

#[cfg(test)]
mod tests;

#[cfg(target_os = "wasi")]
mod component;
