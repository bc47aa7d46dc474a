//! How long to wait before the same is tried again.

use std::time::Duration;

use bulkhead_supervisor::Entropy;

/// The longest pause after the first failure. It doubles with each further one.
pub const RECONNECT_BASE: Duration = Duration::from_secs(1);

/// Beyond which the pause does not grow.
pub const RECONNECT_MAX: Duration = Duration::from_secs(60);

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure: from nothing to the longest, so that feeds that failed together do not come
    /// back together.
    pub fn pause(&mut self, entropy: &dyn Entropy) -> Duration {
        let longest_ms = millis(RECONNECT_BASE)
            .saturating_mul(1_u64.checked_shl(self.failures).unwrap_or(u64::MAX))
            .min(millis(RECONNECT_MAX));
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(entropy.up_to(longest_ms))
    }

    /// What failed works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);
    impl Entropy for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    fn pauses_ms(entropy: u64, count: usize) -> Vec<u128> {
        let mut backoff = Backoff::default();
        (0..count)
            .map(|_| backoff.pause(&Fixed(entropy)).as_millis())
            .collect()
    }

    #[test]
    fn the_longest_pause_doubles_from_a_second_up_to_a_minute() {
        assert_eq!(
            pauses_ms(u64::MAX, 8),
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        );
        assert_eq!(pauses_ms(u64::MAX, 100).last(), Some(&60_000));
    }

    #[test]
    fn the_whole_of_a_pause_is_left_to_chance() {
        assert_eq!(pauses_ms(0, 3), [0, 0, 0]);
        assert_eq!(pauses_ms(u64::MAX / 2, 2), [500, 1_000]);
    }

    #[test]
    fn after_a_reset_it_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.pause(&Fixed(u64::MAX));
        }
        backoff.reset();
        assert_eq!(backoff.pause(&Fixed(u64::MAX)), RECONNECT_BASE);
    }
}
