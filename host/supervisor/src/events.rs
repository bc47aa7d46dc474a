use bulkhead_stage::Event;

use crate::JournalEntry;

/// A run at its end, or a firing that never became one, with what it leaves for the event bus.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnded {
    /// As it goes into the journal.
    pub entry: JournalEntry,
    /// The events of its report, in order. None of a run in fake mode, which has no effect outside itself.
    pub events: Vec<Event>,
}

/// Where the ends of runs are told.
pub trait EventSink: Send + Sync + 'static {
    /// Takes a run's end. It returns at once, since runs wait for it; what it has no room for it drops and counts.
    fn publish(&self, ended: RunEnded);
}
