//! Runs: overlap, retries, deadlines, the journal.
//!
//! A trigger hands a [`RunRequest`] to the [`Supervisor`]. The supervisor decides whether it may start (the overlap
//! policy of scheduled runs, the bound on concurrent runs of all others), starts it through a
//! [`bulkhead_stage::Runner`], tries again after a transient failure, and writes one [`JournalEntry`] for each run
//! to the [`Journal`], in batches and off the caller's path. Each run's end also goes to the [`EventSink`], with the events
//! of its report.
//!
//! Accepted words of the journal's `status`: `success`, `hold`, `skipped` (the three outcomes of a stage; `skipped`
//! also when the overlap policy kept a run from starting), `missed` (a firing that never became a run) and `failed`.

mod admission;
mod backoff;
mod entropy;
mod events;
mod journal;
mod open_run;
mod policy;
mod run_id;
mod stats;
mod supervisor;

pub use entropy::{Entropy, SeededEntropy};
pub use events::{EventSink, RunEnded};
pub use journal::{
    JOURNAL_ATTEMPTS, JOURNAL_BATCH, JOURNAL_QUEUE, Journal, JournalEntry, JournalError, RunStatus,
};
pub use policy::{Overlap, QUEUE_LENGTH, Retries, RunPolicy};
pub use stats::{ComponentStats, Stats};
pub use supervisor::{
    CANCEL_GRACE_MS, Completed, DEADLINE_GRACE_MS, RunRequest, ShutdownSummary, Supervisor, Verdict,
};

/// The stable words for why a run did not come to its own end.
pub mod reason {
    /// The run before was still going, and the policy is `forbid`.
    pub const OVERLAP_FORBIDDEN: &str = "overlap-forbidden";
    /// [`QUEUE_LENGTH`](crate::QUEUE_LENGTH) runs were waiting already.
    pub const QUEUE_FULL: &str = "queue-full";
    /// A newer firing took the place of this run.
    pub const REPLACED: &str = "replaced";
    /// The host is stopping and starts nothing new.
    pub const SHUTTING_DOWN: &str = "shutting-down";
    /// The run was going when the shutdown's deadline passed.
    pub const SHUTDOWN: &str = "shutdown";
    /// Whoever asked for the run stopped waiting for it.
    pub const CANCELLED: &str = "cancelled";
}
