use serde::{Deserialize, Serialize};

/// Scheduled runs of one component that may wait under [`Overlap::Queue`]. More would only be late: at one firing a
/// second, sixteen are a quarter of a minute.
pub const QUEUE_LENGTH: usize = 16;

/// What happens when a schedule fires while the component's last scheduled run is still going.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The new run is skipped.
    #[default]
    Forbid,
    /// The new run waits, at most [`QUEUE_LENGTH`] of them, in order.
    Queue,
    /// The old run is cancelled, then the new one starts.
    Replace,
}

/// How often, and after which pauses, a run is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Attempts in all, the first included. 0 counts as 1.
    pub attempts: u32,
    /// The pause after the first failed attempt, in milliseconds. It doubles with each further one.
    pub initial_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_ms: u64,
}

impl Retries {
    /// One attempt, and no other.
    pub const NONE: Self = Self {
        attempts: 1,
        initial_ms: 0,
        max_ms: 0,
    };
}

/// How the runs of one component are supervised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPolicy {
    /// The stage that the component is, for the journal.
    pub stage: String,
    /// For scheduled runs.
    pub overlap: Overlap,
    /// For transient failures.
    pub retries: Retries,
    /// Runs at once of all triggers but the schedule.
    pub concurrent_runs: usize,
    /// How long one attempt may take, in milliseconds. The sandbox ends the run at this instant; the supervisor
    /// lets go of a runner that has not answered [`DEADLINE_GRACE_MS`](crate::DEADLINE_GRACE_MS) later.
    pub deadline_ms: u64,
}
