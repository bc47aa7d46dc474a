//! What both stores must do, and what the SQLite file must do besides.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

mod bars;
mod documents;
mod file;
mod group;
mod journal;
mod properties;
mod retention;
mod stores;
