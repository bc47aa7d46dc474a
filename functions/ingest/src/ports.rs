//! What the stage needs from outside, as the imports of the world `ingest` give it.

use bulkhead_kernel::bar::Columns;
use bulkhead_kernel::stage::{Documents, MarketData, StageError};
use bulkhead_venues::HttpRequest;
use serde::{Deserialize, Serialize};

use crate::settings::Origin;

/// An answer of the market-data host, read to its end.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The headers that tell of the venue's budget, see [`is_kept`].
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Whether a header of this name tells of the venue's budget.
pub fn is_kept(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "retry-after"
        || name.starts_with("x-mbx-used-weight")
        || name.starts_with("x-ratelimit-")
}

/// Why a request gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The grants do not cover the request.
    Denied(String),
    /// The host did not answer.
    Unavailable(String),
    /// The body is longer than the bound, in bytes.
    TooLarge(usize),
}

/// The longest that the answer to one request may take, in milliseconds: a source that drips must not use up the run.
pub const MAX_REQUEST_MS: f64 = 5_000.0;
/// After so long a run reads no answer to its end any more, in milliseconds: below the manifest's `deadline` of 30 s.
pub const MAX_FETCHING_MS: f64 = 25_000.0;

/// Why an answer is not waited for any longer: its request began so many milliseconds ago, and the run. None: it is.
pub fn overdue(request_ms: f64, run_ms: f64) -> Option<FetchError> {
    let is_overdue = request_ms > MAX_REQUEST_MS || run_ms > MAX_FETCHING_MS;
    is_overdue.then(|| {
        FetchError::Unavailable(format!(
            "the answer is not whole after {:.1} s",
            request_ms / 1_000.0
        ))
    })
}

/// What an append of bars changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Bars that were not there.
    pub inserted: u32,
    /// Bars that were there with other values.
    pub updated: u32,
    /// Bars that were there already, the same.
    pub unchanged: u32,
}

impl Appended {
    /// Counts another append.
    pub fn add(&mut self, other: Self) {
        self.inserted = self.inserted.saturating_add(other.inserted);
        self.updated = self.updated.saturating_add(other.updated);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
    }

    /// How many bars were inserted or updated.
    pub fn rows(self) -> u32 {
        self.inserted.saturating_add(self.updated)
    }
}

/// The imports of the stage.
#[allow(
    async_fn_in_trait,
    reason = "a component runs on one thread: its futures need not be Send"
)]
pub trait Ports: Documents + MarketData {
    /// Sends a request and reads the answer, of whose body at most `max_bytes` are accepted.
    async fn fetch(
        &self,
        origin: &Origin,
        request: &HttpRequest,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError>;
    /// The open time of the newest stored bar, in Unix milliseconds.
    async fn latest(&self, instrument: &str, timeframe: &str) -> Result<Option<i64>, StageError>;
    /// Stores bars, all or none.
    async fn append(
        &self,
        instrument: &str,
        timeframe: &str,
        bars: Columns,
    ) -> Result<Appended, StageError>;
    /// The clock, in Unix milliseconds: when a venue's windows begin anew.
    fn now_ms(&self) -> i64;
    /// How long the run has taken so far, in milliseconds; always more than zero.
    fn elapsed_ms(&self) -> f64;
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::pass::MAX_ASKING_MS;

    #[test]
    fn an_answer_that_drips_is_given_up_after_five_seconds_and_long_before_the_run_ends() {
        assert_eq!(overdue(MAX_REQUEST_MS, MAX_FETCHING_MS), None);
        for (request_ms, run_ms) in [(5_001.0, 5_001.0), (10.0, 25_001.0)] {
            assert!(matches!(
                overdue(request_ms, run_ms),
                Some(FetchError::Unavailable(_))
            ));
        }
        const { assert!(MAX_ASKING_MS + MAX_REQUEST_MS <= MAX_FETCHING_MS) };
    }
}
