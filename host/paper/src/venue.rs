use std::sync::Arc;

use bulkhead_venues::rate_limit::{ALPACA_REQUESTS_PER_MINUTE, BINANCE_WEIGHT_PER_MINUTE};

use crate::fault::Injector;
use crate::meter::{Meter, Standing};
use crate::{Calendar, Faults, Replay};

/// What the API for Alpaca asks for in the headers `APCA-API-KEY-ID` and `APCA-API-SECRET-KEY`, and in a stream's `auth`.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key's id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What may be asked for in a minute of the venue's clock, of each API, by all that ask together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Binance: `REQUEST_WEIGHT`.
    pub binance_weight: u32,
    /// Alpaca: requests.
    pub alpaca_requests: u32,
}

impl Default for Budgets {
    /// As the venues have them: 6,000 and 200.
    fn default() -> Self {
        Self {
            binance_weight: BINANCE_WEIGHT_PER_MINUTE,
            alpaca_requests: ALPACA_REQUESTS_PER_MINUTE,
        }
    }
}

/// The whole venue: bars under a clock, and how they are served.
pub struct Venue {
    pub(crate) replay: Arc<Replay>,
    pub(crate) calendar: Calendar,
    pub(crate) keys: Option<Keys>,
    pub(crate) faults: Injector,
    budgets: Budgets,
    binance: Meter,
    alpaca: Meter,
}

impl Venue {
    /// A venue without faults, keys and dated events, with the budgets that the real ones have.
    pub fn new(replay: Arc<Replay>) -> Self {
        Self {
            replay,
            calendar: Calendar::default(),
            keys: None,
            faults: Injector::default(),
            budgets: Budgets::default(),
            binance: Meter::new(BINANCE_WEIGHT_PER_MINUTE),
            alpaca: Meter::new(ALPACA_REQUESTS_PER_MINUTE),
        }
    }

    /// Serves these events at `/macro_events`.
    #[must_use]
    pub fn with_calendar(self, calendar: Calendar) -> Self {
        Self { calendar, ..self }
    }

    /// Asks for these keys wherever Alpaca does.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self {
            keys: Some(keys),
            ..self
        }
    }

    /// Injects these faults.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self {
            faults: Injector::new(faults),
            ..self
        }
    }

    /// Allows so much in a minute.
    #[must_use]
    pub fn with_budgets(self, budgets: Budgets) -> Self {
        Self {
            budgets,
            binance: Meter::new(budgets.binance_weight),
            alpaca: Meter::new(budgets.alpaca_requests),
            ..self
        }
    }

    pub(crate) const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Counts a request to the API for Binance.
    pub(crate) fn spend_weight(&self, weight: u32) -> Standing {
        self.spend(&self.binance, weight)
    }

    /// Counts a request to the API for Alpaca.
    pub(crate) fn spend_request(&self) -> Standing {
        self.spend(&self.alpaca, 1)
    }

    fn spend(&self, meter: &Meter, weight: u32) -> Standing {
        let is_still = self.replay.clock().now_ms().is_none();
        meter.spend(weight, self.replay.now_ms(), is_still)
    }

    /// `Retry-After` of a refusal for so long: whole seconds for whoever waits, at least one.
    pub(crate) fn retry_after_seconds(&self, refused_for_ms: i64) -> i64 {
        let waiting_ms = self.replay.clock().waiting_ms(refused_for_ms);
        (waiting_ms.saturating_add(999) / 1_000).max(1)
    }
}

impl From<Arc<Replay>> for Venue {
    fn from(replay: Arc<Replay>) -> Self {
        Self::new(replay)
    }
}
