use bulkhead_stage::{Clock, Denial, Failure, Report, Usage};

use crate::stats::Counters;
use crate::supervisor::Active;
use crate::{JournalEntry, RunStatus, reason};

/// Longest `detail` of an entry, in bytes: a guest writes part of it.
const MAX_DETAIL_BYTES: usize = 2_048;

/// Longest `reason` of an entry, in bytes: a guest may choose it.
const MAX_REASON_BYTES: usize = 128;

/// A run between its beginning and its journal entry. Dropped before it is closed, it is entered as cancelled, so
/// that no run leaves the journal without a trace.
pub(crate) struct OpenRun<'a> {
    entry: Option<JournalEntry>,
    counters: &'a Counters,
    active: Active<'a>,
    first_denial: Option<Denial>,
}

impl<'a> OpenRun<'a> {
    pub fn new(entry: JournalEntry, counters: &'a Counters, active: Active<'a>) -> Self {
        Self {
            entry: Some(entry),
            counters,
            active,
            first_denial: None,
        }
    }

    /// Adds what an attempt used.
    pub fn attempted(&mut self, attempt: u32, usage: &Usage) {
        if let Some(entry) = &mut self.entry {
            entry.attempt = attempt;
            entry.host_calls = entry.host_calls.saturating_add(usage.host_calls);
            let denials = u32::try_from(usage.denials.len()).unwrap_or(u32::MAX);
            entry.denials = entry.denials.saturating_add(denials);
        }
        if self.first_denial.is_none() {
            self.first_denial = usage.denials.first().cloned();
        }
    }

    /// Enters the run as ended by its stage, or failed.
    pub async fn close_with(self, result: &Result<Report, Failure>) {
        match result {
            Ok(report) => {
                let status = report.outcome.into();
                self.close(status, report.reason.as_deref(), None).await;
            }
            Err(failure) => {
                let detail = failure.to_string();
                self.close(RunStatus::Failed, Some(failure.reason()), Some(detail))
                    .await;
            }
        }
    }

    /// Enters the run.
    pub async fn close(mut self, status: RunStatus, reason: Option<&str>, detail: Option<String>) {
        if let Some(entry) = self.finish(status, reason, detail) {
            self.active.supervisor().journal.enter(entry).await;
        }
    }

    /// Counts the request as refused; refusals are not in the journal.
    pub fn turn_away(mut self) {
        self.entry = None;
        self.counters.count_refused();
    }

    fn finish(
        &mut self,
        status: RunStatus,
        reason: Option<&str>,
        detail: Option<String>,
    ) -> Option<JournalEntry> {
        let mut entry = self.entry.take()?;
        self.counters.count(status);
        entry.status = status;
        entry.reason = reason.map(|reason| cut(reason, MAX_REASON_BYTES).to_owned());
        let denial = self.first_denial.take().map(|denial| denial.detail);
        entry.detail = detail
            .or(denial)
            .map(|detail| cut(&detail, MAX_DETAIL_BYTES).to_owned());
        entry.finished_at_ms = self.active.supervisor().clock.now_ms();
        Some(entry)
    }
}

impl Drop for OpenRun<'_> {
    fn drop(&mut self) {
        let detail = "whoever asked for the run stopped waiting for it".to_owned();
        if let Some(entry) = self.finish(RunStatus::Failed, Some(reason::CANCELLED), Some(detail)) {
            self.active.supervisor().journal.enter_now(entry);
        }
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
