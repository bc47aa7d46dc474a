use bulkhead_stage::{Clock, Denial, Event, Failure, Report, Usage};

use crate::stats::Counters;
use crate::supervisor::Active;
use crate::{JournalEntry, RunStatus, reason};

/// Longest `detail` of an entry, in bytes: a guest writes part of it.
const MAX_DETAIL_BYTES: usize = 2_048;

/// Longest part of a `detail` that tells what the grants refused, in bytes, so that what a guest writes before it
/// cannot push it out.
const MAX_DENIAL_BYTES: usize = 1_024;

/// Longest `reason` of an entry, in bytes: a guest may choose it.
const MAX_REASON_BYTES: usize = 128;

/// A run between its beginning and its journal entry. Dropped before it is closed, it is entered as cancelled, so
/// that no run leaves the journal without a trace.
pub(crate) struct OpenRun<'a> {
    entry: Option<JournalEntry>,
    counters: &'a Counters,
    active: Active<'a>,
    fake_mode: bool,
    first_denial: Option<Denial>,
}

impl<'a> OpenRun<'a> {
    pub fn new(
        entry: JournalEntry,
        counters: &'a Counters,
        active: Active<'a>,
        fake_mode: bool,
    ) -> Self {
        Self {
            entry: Some(entry),
            counters,
            active,
            fake_mode,
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
    pub async fn close_with(mut self, result: &Result<Report, Failure>) {
        match result {
            Ok(report) => {
                let (status, reason) = (report.outcome.into(), report.reason.as_deref());
                if let Some(entry) = self.finish(status, reason, None, &report.events) {
                    self.active.supervisor().journal.enter(entry).await;
                }
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
        if let Some(entry) = self.finish(status, reason, detail, &[]) {
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
        events: &[Event],
    ) -> Option<JournalEntry> {
        let mut entry = self.entry.take()?;
        self.counters.count(status);
        entry.status = status;
        entry.reason = reason.map(|reason| cut(reason, MAX_REASON_BYTES).to_owned());
        entry.detail = with_denial(detail, self.first_denial.take());
        entry.finished_at_ms = self.active.supervisor().clock.now_ms();
        if status == RunStatus::Failed {
            log_failure(&entry);
        }
        let events = if self.fake_mode { &[] } else { events };
        self.active.supervisor().tell(&entry, events);
        Some(entry)
    }
}

/// What went wrong, and the first thing that the grants refused: the line of the manifest that would permit it is
/// often the way to put the run right.
fn with_denial(detail: Option<String>, denial: Option<Denial>) -> Option<String> {
    let denial = denial.map(|Denial { reason, detail }| {
        let text = format!("{reason}: {detail}");
        cut(&text, MAX_DENIAL_BYTES).to_owned()
    });
    let text = match (detail, denial) {
        // A stage may pass on what its import answered.
        (Some(detail), Some(denial)) if !detail.contains(&denial) => {
            let end = format!("; refused was {denial}");
            let room = MAX_DETAIL_BYTES.saturating_sub(end.len());
            format!("{}{end}", cut(&detail, room))
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return None,
    };
    Some(bounded(text))
}

fn log_failure(entry: &JournalEntry) {
    tracing::warn!(
        run_id = entry.run_id,
        component = entry.component,
        trigger = entry.trigger.as_str(),
        attempts = entry.attempt,
        reason = entry.reason.as_deref().unwrap_or_default(),
        detail = entry.detail.as_deref().unwrap_or_default(),
        "run failed"
    );
}

impl Drop for OpenRun<'_> {
    fn drop(&mut self) {
        let detail = "whoever asked for the run stopped waiting for it".to_owned();
        let reason = Some(reason::CANCELLED);
        if let Some(entry) = self.finish(RunStatus::Failed, reason, Some(detail), &[]) {
            self.active.supervisor().journal.enter_now(entry);
        }
    }
}

/// A detail as it is entered and logged.
pub(crate) fn bounded(detail: String) -> String {
    cut(&detail, MAX_DETAIL_BYTES).to_owned()
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
