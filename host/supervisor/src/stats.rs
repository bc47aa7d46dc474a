use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::RunStatus;

/// Counts since the supervisor started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// By component.
    pub components: BTreeMap<String, ComponentStats>,
    /// Runs that are going or waiting now.
    pub running: usize,
    /// Journal entries that could not be written and were given up.
    pub journal_lost: u64,
}

impl Stats {
    /// The counts of all components together.
    pub fn total(&self) -> ComponentStats {
        let mut total = ComponentStats::default();
        for component in self.components.values() {
            total.success += component.success;
            total.hold += component.hold;
            total.skipped += component.skipped;
            total.missed += component.missed;
            total.failed += component.failed;
            total.refused += component.refused;
        }
        total
    }
}

/// Counts of one component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ComponentStats {
    /// Runs that did their work.
    pub success: u64,
    /// Runs that decided that nothing may be done.
    pub hold: u64,
    /// Runs with nothing to do, and runs that the overlap policy kept from starting.
    pub skipped: u64,
    /// Firings that never became a run.
    pub missed: u64,
    /// Runs that gave no report.
    pub failed: u64,
    /// Requests turned away: too many runs at once, or the host is stopping. They are not in the journal.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    success: AtomicU64,
    hold: AtomicU64,
    skipped: AtomicU64,
    missed: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub fn count(&self, status: RunStatus) {
        let counter = match status {
            RunStatus::Success => &self.success,
            RunStatus::Hold => &self.hold,
            RunStatus::Skipped => &self.skipped,
            RunStatus::Missed => &self.missed,
            RunStatus::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> ComponentStats {
        ComponentStats {
            success: self.success.load(Ordering::Relaxed),
            hold: self.hold.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
