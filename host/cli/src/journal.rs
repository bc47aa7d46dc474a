//! The supervisor's journal, kept in the store.

use std::sync::Arc;

use bulkhead_store::{RunRecord, Store};
use bulkhead_supervisor::{Journal, JournalEntry, JournalError};
use futures::future::BoxFuture;

/// Writes entries into the store's journal.
pub struct StoreJournal(pub Arc<dyn Store>);

impl Journal for StoreJournal {
    fn record(&self, entries: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            let runs = entries.into_iter().map(record).collect();
            self.0.record_runs(runs).await.map_err(JournalError::new)
        })
    }
}

fn record(entry: JournalEntry) -> RunRecord {
    RunRecord {
        run_id: entry.run_id,
        component: entry.component,
        stage: entry.stage,
        trigger: entry.trigger.as_str().to_owned(),
        scheduled_at_ms: entry.scheduled_at_ms,
        started_at_ms: entry.started_at_ms,
        finished_at_ms: entry.finished_at_ms,
        attempt: entry.attempt,
        status: entry.status.as_str().to_owned(),
        reason: entry.reason,
        detail: entry.detail,
        host_calls: entry.host_calls,
        denials: entry.denials,
    }
}
