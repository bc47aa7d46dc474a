//! Feeds against a venue of a few lines on loopback. Time moves when the test says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod connection;
mod delivery;
mod health;
mod refusal;
mod shutdown;
mod support;
