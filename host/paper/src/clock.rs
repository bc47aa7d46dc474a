use std::num::NonZeroU32;
use std::sync::Arc;

use bulkhead_stage::Clock;

/// The time inside a replay: which bars of the file have opened.
pub struct VirtualClock(Pace);

enum Pace {
    /// Everything has happened.
    Immediate,
    /// Runs `speed` times as fast as `real`.
    Paced {
        start_ms: i64,
        started_ms: i64,
        speed: NonZeroU32,
        real: Arc<dyn Clock>,
    },
}

impl VirtualClock {
    /// A clock on which every bar of the file has opened.
    pub const fn immediate() -> Self {
        Self(Pace::Immediate)
    }

    /// A clock that shows `start_ms` (Unix milliseconds; the open time of the first bar that is to be released) now,
    /// and from here on goes `speed` times as fast as `real`.
    pub fn paced(start_ms: i64, speed: NonZeroU32, real: Arc<dyn Clock>) -> Self {
        Self(Pace::Paced {
            start_ms,
            started_ms: real.now_ms(),
            speed,
            real,
        })
    }

    /// The time in the replay, in Unix milliseconds. None: later than every bar.
    pub fn now_ms(&self) -> Option<i64> {
        match &self.0 {
            Pace::Immediate => None,
            Pace::Paced {
                start_ms,
                started_ms,
                speed,
                real,
            } => {
                // A real clock that is set back must not close bars again that have opened: it only stands still.
                let passed = real.now_ms().saturating_sub(*started_ms).max(0);
                Some(start_ms.saturating_add(passed.saturating_mul(i64::from(speed.get()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bulkhead_stage::ManualClock;

    use super::VirtualClock;

    #[test]
    fn a_paced_clock_starts_where_it_is_told_and_goes_as_many_times_as_fast() {
        let real = ManualClock::at(5_000);
        let clock = VirtualClock::paced(100, NonZeroU32::new(60).unwrap(), Arc::new(real.clone()));
        assert_eq!(clock.now_ms(), Some(100));
        real.advance(1_000);
        assert_eq!(clock.now_ms(), Some(60_100));
        real.set(0);
        assert_eq!(clock.now_ms(), Some(100));
    }

    #[test]
    fn an_immediate_clock_is_later_than_every_bar() {
        assert_eq!(VirtualClock::immediate().now_ms(), None);
    }
}
