//! What of a venue's request budget is left, as a value that fits a document: ask [`Budget::may_send`], tell
//! [`Budget::spend`] what was sent, and [`Budget::observe`] what came back.
//!
//! A budget is counted over windows of a fixed length. Binance's begin at whole minutes of its clock, and its answers say how
//! much of the running one is used; Alpaca's answers say how much is left and until when. What we sent ourselves counts from
//! the moment it is sent. The caller's clock stands for the venue's: where the two differ, the answers set it right.

mod window;

use serde::{Deserialize, Serialize};

use crate::HttpResponse;
use crate::binance::exchange_info::RateLimit;
use window::{Window, integer};

/// Binance: `REQUEST_WEIGHT` of a minute, by address, as `exchangeInfo` says; see [`Budget::set_limits`].
pub const BINANCE_WEIGHT_PER_MINUTE: u32 = 6_000;
/// Alpaca: requests of a minute, by account, in the basic plan.
pub const ALPACA_REQUESTS_PER_MINUTE: u32 = 200;
/// How long a 429 without `Retry-After` is taken to mean: a window of either venue.
pub const DEFAULT_RETRY_AFTER_SECONDS: i64 = 60;
/// How long a 418 without `Retry-After` is taken to mean: Binance's bans begin at two minutes.
pub const DEFAULT_BAN_SECONDS: i64 = 120;
/// The longest wait that is believed: Binance's bans end at three days.
pub const MAX_RETRY_AFTER_SECONDS: i64 = 3 * 86_400;
/// The most windows that a budget is counted over.
pub const MAX_WINDOWS: usize = 8;

const MINUTE_MS: i64 = 60_000;

/// Whose headers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Venue {
    /// `X-MBX-USED-WEIGHT-…`.
    Binance,
    /// `X-RateLimit-…`.
    Alpaca,
}

/// A venue's request budget. Serialises to the document that keeps it between runs; a document that would allow anything is
/// not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document")]
pub struct Budget {
    venue: Venue,
    windows: Vec<Window>,
    /// Nothing may be sent before this instant, in Unix milliseconds: the venue said so.
    not_before_ms: Option<i64>,
}

/// A budget as it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    venue: Venue,
    windows: Vec<Window>,
    not_before_ms: Option<i64>,
}

impl TryFrom<Document> for Budget {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let count = document.windows.len();
        if !(1..=MAX_WINDOWS).contains(&count) {
            return Err(format!("{count} `windows`, expected 1 to {MAX_WINDOWS}"));
        }
        if !document.windows.iter().all(Window::is_bounded) {
            return Err("`interval_ms` and `limit` must be above zero".to_owned());
        }
        Ok(Self {
            venue: document.venue,
            windows: document.windows,
            not_before_ms: document.not_before_ms,
        })
    }
}

/// A request would exceed the venue's budget now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("send a request: not before {not_before_ms} (Unix ms), because {cause}")]
pub struct NotBefore {
    /// When to ask again, in Unix milliseconds. `i64::MAX`: never, the request is heavier than the whole budget.
    pub not_before_ms: i64,
    /// Why.
    pub cause: Cause,
}

/// Why a request may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The venue answered 429 or 418.
    #[error("the venue asked to wait")]
    VenueAsked,
    /// The window has not enough left.
    #[error("{used} of {limit} are used in {interval_ms} ms and the request weighs {weight}")]
    Spent {
        /// What is used.
        used: u32,
        /// What may be used.
        limit: u32,
        /// Over how long, in milliseconds.
        interval_ms: i64,
        /// What the request needs.
        weight: u32,
    },
}

impl Budget {
    /// Binance's, until [`set_limits`](Self::set_limits) says otherwise.
    #[must_use]
    pub fn binance() -> Self {
        Self::new(Venue::Binance, BINANCE_WEIGHT_PER_MINUTE)
    }

    /// Alpaca's basic plan, until an answer says otherwise.
    #[must_use]
    pub fn alpaca() -> Self {
        Self::new(Venue::Alpaca, ALPACA_REQUESTS_PER_MINUTE)
    }

    fn new(venue: Venue, limit: u32) -> Self {
        Self {
            venue,
            windows: vec![Window::new(MINUTE_MS, limit)],
            not_before_ms: None,
        }
    }

    /// Takes over the `REQUEST_WEIGHT` limits of `exchangeInfo`, at most [`MAX_WINDOWS`]. What is used of a window that stays
    /// is kept. Without such limits, those that stand stay.
    pub fn set_limits(&mut self, limits: &[RateLimit]) {
        let mut windows = Vec::new();
        let weights = limits.iter().filter(|limit| {
            limit.rate_limit_type == "REQUEST_WEIGHT" && limit.interval_ms > 0 && limit.limit > 0
        });
        for limit in weights.take(MAX_WINDOWS) {
            let mut window = Window::new(limit.interval_ms, limit.limit);
            let same = |known: &&Window| known.interval_ms == window.interval_ms;
            if let Some(known) = self.windows.iter().find(same) {
                window.used = known.used;
                window.ends_at_ms = known.ends_at_ms;
            }
            windows.push(window);
        }
        if !windows.is_empty() {
            self.windows = windows;
        }
    }

    /// Whether a request of this weight stays within the budget.
    ///
    /// # Errors
    /// When it can be sent, and why not now.
    pub fn may_send(&self, weight: u32, now_ms: i64) -> Result<(), NotBefore> {
        // An instant that is further away than any wait was written by a clock that was ahead.
        let farthest_ms = after_seconds(now_ms, MAX_RETRY_AFTER_SECONDS);
        let is_believed = |instant: &i64| *instant > now_ms && *instant <= farthest_ms;
        if let Some(not_before_ms) = self.not_before_ms.filter(is_believed) {
            return Err(NotBefore {
                not_before_ms,
                cause: Cause::VenueAsked,
            });
        }
        let refusals = self
            .windows
            .iter()
            .filter_map(|window| window.refusal(weight, now_ms));
        match refusals.max_by_key(|refusal| refusal.not_before_ms) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Counts a request that is being sent.
    pub fn spend(&mut self, weight: u32, now_ms: i64) {
        for window in &mut self.windows {
            window.roll(now_ms);
            window.used = window.used.saturating_add(weight);
        }
    }

    /// Takes over what an answer says about the budget. A header that cannot be read changes nothing, and an answer that comes
    /// late does not lower what is known to be used.
    pub fn observe(&mut self, response: &HttpResponse<'_>, now_ms: i64) {
        for window in &mut self.windows {
            window.roll(now_ms);
            match self.venue {
                Venue::Binance => window.observe_used_weight(response),
                Venue::Alpaca => window.observe_remaining(response, now_ms),
            }
        }
        let default_seconds = match response.status {
            429 => DEFAULT_RETRY_AFTER_SECONDS,
            418 => DEFAULT_BAN_SECONDS,
            _ => return,
        };
        let seconds = integer(response, "Retry-After").unwrap_or(default_seconds);
        let wait = after_seconds(now_ms, seconds.clamp(1, MAX_RETRY_AFTER_SECONDS));
        self.not_before_ms = self.not_before_ms.max(Some(wait));
    }
}

fn after_seconds(now_ms: i64, seconds: i64) -> i64 {
    now_ms.saturating_add(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
