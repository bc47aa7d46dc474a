//! One window of a budget: how much of it is used, and what the headers of an answer say about that.

use serde::{Deserialize, Serialize};

use super::{Cause, MINUTE_MS, NotBefore};
use crate::HttpResponse;

/// The units that Binance counts windows in, by the letter in the header's name.
const UNITS: [(i64, char); 4] = [
    (86_400_000, 'D'),
    (3_600_000, 'H'),
    (MINUTE_MS, 'M'),
    (1_000, 'S'),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) interval_ms: i64,
    limit: u32,
    pub(super) used: u32,
    /// When `used` begins anew, in Unix milliseconds.
    pub(super) ends_at_ms: i64,
}

impl Window {
    pub(super) const fn new(interval_ms: i64, limit: u32) -> Self {
        Self {
            interval_ms,
            limit,
            used: 0,
            ends_at_ms: 0,
        }
    }

    /// Whether it bounds anything.
    pub(super) const fn is_bounded(&self) -> bool {
        self.interval_ms > 0 && self.limit > 0
    }

    /// Begins the window of `now_ms` if another one was running. One that ends later than it could was written by a clock that
    /// was ahead.
    pub(super) fn roll(&mut self, now_ms: i64) {
        if !self.is_running(now_ms) {
            self.used = 0;
            self.ends_at_ms = self.end_of(now_ms);
        }
    }

    fn is_running(&self, now_ms: i64) -> bool {
        now_ms < self.ends_at_ms && self.ends_at_ms <= now_ms.saturating_add(self.interval_ms)
    }

    fn end_of(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.interval_ms - now_ms.rem_euclid(self.interval_ms))
    }

    pub(super) fn refusal(&self, weight: u32, now_ms: i64) -> Option<NotBefore> {
        let is_running = self.is_running(now_ms);
        let used = if is_running { self.used } else { 0 };
        if used.saturating_add(weight) <= self.limit {
            return None;
        }
        let not_before_ms = if weight > self.limit {
            i64::MAX
        } else {
            self.ends_at_ms
        };
        Some(NotBefore {
            not_before_ms,
            cause: Cause::Spent {
                used,
                limit: self.limit,
                interval_ms: self.interval_ms,
                weight,
            },
        })
    }

    pub(super) fn observe_used_weight(&mut self, response: &HttpResponse<'_>) {
        let unit = UNITS
            .iter()
            .find(|(unit_ms, _)| self.interval_ms % unit_ms == 0);
        let Some((unit_ms, letter)) = unit else {
            return;
        };
        let name = format!("X-MBX-USED-WEIGHT-{}{letter}", self.interval_ms / unit_ms);
        if let Some(used) = integer(response, &name).and_then(|used| u32::try_from(used).ok()) {
            self.used = self.used.max(used);
        }
    }

    pub(super) fn observe_remaining(&mut self, response: &HttpResponse<'_>, now_ms: i64) {
        let count = |name| integer(response, name).and_then(|count| u32::try_from(count).ok());
        // A budget of nothing would never be asked for again, and so never be set right.
        if let Some(limit) = count("X-RateLimit-Limit").filter(|limit| *limit > 0) {
            self.limit = limit;
        }
        if let Some(remaining) = count("X-RateLimit-Remaining") {
            self.used = self.used.max(self.limit.saturating_sub(remaining));
        }
        let reset_ms = integer(response, "X-RateLimit-Reset").and_then(|at| at.checked_mul(1_000));
        if let Some(reset_ms) = reset_ms.filter(|at| *at > now_ms) {
            self.ends_at_ms = reset_ms.min(now_ms.saturating_add(self.interval_ms));
        }
    }
}

/// A header that is a whole number, not below zero.
pub(super) fn integer(response: &HttpResponse<'_>, name: &str) -> Option<i64> {
    response
        .header(name)?
        .parse()
        .ok()
        .filter(|count| *count >= 0)
}
