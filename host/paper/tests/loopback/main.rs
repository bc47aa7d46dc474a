//! The paper venue over real sockets, its answers read by the parsers of the venues.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers may fail the test where they stand"
)]

mod faults;
mod rest;
mod streams;
mod support;
mod whole_file;
