//! Hostile guests: each ends for a named reason, in bounded memory, beside an undisturbed neighbour, and the next run is
//! clean.
//!
//! No time is measured here: a loop that ends for the reason `deadline-exceeded` was ended by the host. How long after
//! its deadline is a figure of the benches.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use bulkhead_stage::Finished;
use tokio::sync::{Mutex, MutexGuard};

mod components;
mod grants;
mod kill_switches;
mod linker;
mod memory;
mod programs;
mod strategies;
mod venue;

/// The stable word for how a run ended: the outcome of its report, or the reason of its failure.
fn word(finished: &Finished) -> &'static str {
    match &finished.result {
        Ok(report) => report.outcome.as_str(),
        Err(failure) => failure.reason(),
    }
}

/// Lets one test at a time run guests, so that the memory that it sees taken is its own.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
