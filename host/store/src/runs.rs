use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Runs that the journal keeps; the oldest go first. At one run a second that is 27 hours of history, at the three and a
/// bit of the project's own manifest under nine. Beyond it the journal keeps the last firing of each component's
/// schedule, so that a rare one is not forgotten over frequent ones.
pub const MAX_RUNS_KEPT: u64 = 100_000;
/// [`RunRecord::trigger`] of a run that a schedule asked for.
pub const CRON_TRIGGER: &str = "cron";
/// Most records of one call.
pub const MAX_RUNS_RECORDED: usize = 1000;
/// Most runs that one call reads.
pub const MAX_RUNS_LIMIT: u32 = 1000;
/// Most bytes of a record's detail. What is over is cut.
pub const MAX_DETAIL_BYTES: usize = 4096;
/// Most bytes of each other text of a record. What is over is cut.
pub const MAX_LABEL_BYTES: usize = 256;
/// How a run can have ended.
pub const RUN_STATUSES: [&str; 5] = ["success", "hold", "skipped", "failed", "missed"];

/// One run of a component with all its attempts, or a firing that never became one, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Identity of the run.
    pub run_id: String,
    /// The component's name in the manifest.
    pub component: String,
    /// The stage that the component is.
    pub stage: String,
    /// What started the run: `cron`, `http`, `feed`, `event`, `manual`, `pipeline`.
    pub trigger: String,
    /// The instant the run was meant for, in Unix milliseconds.
    pub scheduled_at_ms: i64,
    /// When it started, in Unix milliseconds. For a missed run, when the miss was noticed.
    pub started_at_ms: i64,
    /// When it ended, in Unix milliseconds.
    pub finished_at_ms: i64,
    /// Attempts made. 0: the run never started.
    pub attempt: u32,
    /// One of [`RUN_STATUSES`].
    pub status: String,
    /// Why, in a stable machine-readable word.
    pub reason: Option<String>,
    /// Why, for people.
    pub detail: Option<String>,
    /// Calls from the guest into the host, over all attempts.
    pub host_calls: u64,
    /// What the grants refused, counted over all attempts.
    pub denials: u32,
}

impl RunRecord {
    /// Cuts texts that are too long, and a count that no database holds: a journal would rather lose the end of an
    /// explanation than the run.
    pub(crate) fn cut_to_bounds(&mut self) {
        for text in [
            &mut self.run_id,
            &mut self.component,
            &mut self.stage,
            &mut self.trigger,
        ] {
            cut(text, MAX_LABEL_BYTES);
        }
        if let Some(reason) = &mut self.reason {
            cut(reason, MAX_LABEL_BYTES);
        }
        if let Some(detail) = &mut self.detail {
            cut(detail, MAX_DETAIL_BYTES);
        }
        self.host_calls = self.host_calls.min(i64::MAX.cast_unsigned());
    }
}

fn cut(text: &mut String, max_bytes: usize) {
    text.truncate(text.floor_char_boundary(max_bytes));
}

/// Checks the records of one call, and cuts their texts to the bounds.
pub(crate) fn prepare(mut records: Vec<RunRecord>) -> Result<Vec<RunRecord>, StoreError> {
    if records.len() > MAX_RUNS_RECORDED {
        return Err(StoreError::Invalid(format!(
            "journal: {} records, the limit is {MAX_RUNS_RECORDED}",
            records.len()
        )));
    }
    for record in &mut records {
        if !RUN_STATUSES.contains(&record.status.as_str()) {
            return Err(StoreError::Invalid(format!(
                "run status {:?}: it must be one of {}",
                record.status,
                RUN_STATUSES.join(", ")
            )));
        }
        record.cut_to_bounds();
    }
    Ok(records)
}

/// Which runs to read. All that is left out does not filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of this component.
    pub component: Option<String>,
    /// Only runs that ended so, one of [`RUN_STATUSES`].
    pub status: Option<String>,
    /// Only runs that were started so, in the words of [`RunRecord::trigger`].
    pub trigger: Option<String>,
    /// At most so many, from 1 to [`MAX_RUNS_LIMIT`].
    pub limit: u32,
    /// Only runs that started before this instant, in Unix milliseconds.
    pub before_ms: Option<i64>,
}

impl Default for RunFilter {
    /// The newest [`MAX_RUNS_LIMIT`] runs.
    fn default() -> Self {
        Self {
            component: None,
            status: None,
            trigger: None,
            limit: MAX_RUNS_LIMIT,
            before_ms: None,
        }
    }
}

impl RunFilter {
    /// Checks the limit and the status. The store does so on each call.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for the first rule broken.
    pub fn validate(&self) -> Result<(), StoreError> {
        if self.limit == 0 || self.limit > MAX_RUNS_LIMIT {
            return Err(StoreError::Invalid(format!(
                "limit {}: it must be from 1 to {MAX_RUNS_LIMIT}",
                self.limit
            )));
        }
        match &self.status {
            Some(status) if !RUN_STATUSES.contains(&status.as_str()) => {
                Err(StoreError::Invalid(format!(
                    "run status {status:?}: it must be one of {}",
                    RUN_STATUSES.join(", ")
                )))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn admits(&self, run: &RunRecord) -> bool {
        self.component
            .as_ref()
            .is_none_or(|component| *component == run.component)
            && self
                .status
                .as_ref()
                .is_none_or(|status| *status == run.status)
            && self
                .trigger
                .as_ref()
                .is_none_or(|trigger| *trigger == run.trigger)
            && self
                .before_ms
                .is_none_or(|before_ms| run.started_at_ms < before_ms)
    }
}
