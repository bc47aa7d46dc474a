use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::Entropy;

/// Makes run ids such as `0197c3a5b6d8-0000002a-9f3c81d2`: milliseconds, a count, a random suffix, in hexadecimal.
///
/// Ids of one process sort as text in the order in which they were made, also when the clock is set back. Ids of
/// several processes differ in their suffix.
#[derive(Debug, Default)]
pub(crate) struct RunIds {
    latest_ms: AtomicI64,
    count: AtomicU32,
}

impl RunIds {
    /// The next id, for a run asked for at `now_ms` (Unix milliseconds).
    pub fn next(&self, now_ms: i64, entropy: &dyn Entropy) -> String {
        let now_ms = now_ms.max(0);
        let ms = self
            .latest_ms
            .fetch_max(now_ms, Ordering::Relaxed)
            .max(now_ms);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let suffix = entropy.next_u64() >> 32;
        format!("{ms:012x}-{count:08x}-{suffix:08x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn ids_sort_in_the_order_of_their_making_even_when_the_clock_is_set_back() {
        let entropy = SeededEntropy::new(1);
        let ids = RunIds::default();
        let made: Vec<String> = [1_000, 1_000, 999, 70_000, 0, 1_767_225_600_000]
            .iter()
            .map(|ms| ids.next(*ms, &entropy))
            .collect();
        let mut sorted = made.clone();
        sorted.sort();
        assert_eq!(made, sorted);
    }

    #[test]
    fn two_processes_make_different_ids_in_the_same_millisecond() {
        let first = RunIds::default().next(5, &SeededEntropy::new(1));
        let second = RunIds::default().next(5, &SeededEntropy::new(2));
        assert_ne!(first, second);
    }
}
