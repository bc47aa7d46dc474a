//! The ingest stage: raw frames become envelopes, market-data responses become bars.
//!
//! The task `poll` brings in what the [`plan`] says from the sources of the [`settings`]. Without I/O: [`poll`] (what of an
//! answer is stored), [`source`] (what is asked in which protocol), [`mod@series`] (what is known of each series), [`assess`] (which
//! evaluators are asked, and when), [`journal`] and [`state`] (what is kept), [`macro_events`], [`stored`] (what a host makes of what is kept). [`pass`] and [`run`] carry it out
//! through the [`ports::Ports`] they are given. The task `frames` takes what a feed received ([`frames`]), and `normalise` is
//! [`normalise`].

pub mod assess;
pub mod frames;
pub mod join;
pub mod journal;
pub mod macro_events;
pub mod normalise;
pub mod pass;
pub mod plan;
pub mod poll;
pub mod ports;
pub mod run;
pub mod series;
pub mod settings;
pub mod source;
pub mod state;
pub mod stored;
pub mod task;

pub use bulkhead_kernel::stage::StageError;

#[cfg(target_os = "wasi")]
mod component;
#[cfg(test)]
mod world;
