use std::time::Duration;

use crate::{Entropy, Retries};

/// How long to pause after failed attempt number `attempt` (1 for the first): the initial pause, doubled with each
/// further attempt up to the longest, of which the upper half is left to chance, so that runs that failed together
/// do not come back together.
pub(crate) fn pause_after(attempt: u32, retries: &Retries, entropy: &dyn Entropy) -> Duration {
    let doublings = attempt.saturating_sub(1);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let whole_ms = retries
        .initial_ms
        .saturating_mul(factor)
        .min(retries.max_ms);
    let sure_ms = whole_ms - whole_ms / 2;
    Duration::from_millis(sure_ms + entropy.up_to(whole_ms / 2))
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

    const RETRIES: Retries = Retries {
        attempts: 9,
        initial_ms: 200,
        max_ms: 5_000,
    };

    fn check(entropy: u64, attempt: u32, expect_ms: u64) {
        let pause = pause_after(attempt, &RETRIES, &Fixed(entropy));
        assert_eq!(pause, Duration::from_millis(expect_ms), "attempt {attempt}");
    }

    #[test]
    fn the_longest_pause_doubles_with_each_attempt_up_to_the_bound() {
        for (attempt, expect_ms) in [(1, 200), (2, 400), (3, 800), (6, 5_000), (90, 5_000)] {
            check(u64::MAX, attempt, expect_ms);
        }
    }

    #[test]
    fn the_shortest_pause_is_half_the_longest() {
        for (attempt, expect_ms) in [(1, 100), (2, 200), (3, 400), (6, 2_500), (90, 2_500)] {
            check(0, attempt, expect_ms);
        }
    }
}
