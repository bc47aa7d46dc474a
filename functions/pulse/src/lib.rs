//! The pulse stage: shadow trades are marked, risk flags kept.
//!
//! [`risk`] decides what the risk flags become, without I/O; [`beat`] reads the open shadow trades and the bars, and
//! carries it out. [`task`] reads the input.

pub mod beat;
pub mod risk;
pub mod task;

#[cfg(target_os = "wasi")]
mod component;

#[cfg(test)]
mod tests;
