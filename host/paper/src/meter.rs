use std::sync::{Mutex, PoisonError};

const MINUTE_MS: i64 = 60_000;

/// What is used of a budget in the running minute of the venue's clock.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: u32,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    minute: i64,
    used: u32,
}

/// How the budget stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub limit: u32,
    pub used: u32,
    /// When the next minute begins, in Unix milliseconds.
    pub resets_at_ms: i64,
    /// For how long nothing more is answered, in milliseconds of the venue's clock. None: this request is.
    pub refused_for_ms: Option<i64>,
}

impl Meter {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            running: Mutex::default(),
        }
    }

    /// Counts a request of this weight at `now_ms` (Unix milliseconds). `is_still`: time has ended, so that each request
    /// falls into a minute of its own.
    pub(crate) fn spend(&self, weight: u32, now_ms: i64, is_still: bool) -> Standing {
        let minute = now_ms.div_euclid(MINUTE_MS);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if is_still || running.minute != minute {
            *running = Running { minute, used: 0 };
        }
        running.used = running.used.saturating_add(weight);
        let resets_at_ms = minute.saturating_add(1).saturating_mul(MINUTE_MS);
        let is_refused = running.used > self.limit;
        Standing {
            limit: self.limit,
            used: running.used,
            resets_at_ms,
            refused_for_ms: is_refused.then(|| resets_at_ms.saturating_sub(now_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn a_budget_is_counted_by_the_minutes_of_the_clock() {
        let meter = Meter::new(5);
        let spend = |at_ms| {
            let standing = meter.spend(2, at_ms, false);
            (standing.used, standing.refused_for_ms)
        };
        assert_eq!(spend(60_000), (2, None));
        assert_eq!(spend(119_000), (4, None));
        assert_eq!(spend(119_500), (6, Some(500)));
        assert_eq!(spend(120_000), (2, None));
    }

    #[test]
    fn without_time_each_request_has_a_minute_of_its_own() {
        let meter = Meter::new(5);
        for _ in 0..10 {
            assert_eq!(meter.spend(5, 7, true).refused_for_ms, None);
        }
        assert!(meter.spend(6, 7, true).refused_for_ms.is_some());
    }
}
