use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where run id suffixes and jitter come from. Not for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// The next 64 bits.
    fn next_u64(&self) -> u64;

    /// A number from 0 to `bound`, both included, near enough to evenly for jitter.
    fn up_to(&self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * (u128::from(bound) + 1);
        u64::try_from(wide >> 64).unwrap_or(bound)
    }
}

/// Increment of the generator: the golden ratio in 64 bits (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014).
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: the same seed gives the same numbers.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// A generator that starts from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A generator with a seed of the operating system's, other in each process.
    pub fn from_system() -> Self {
        Self::new(RandomState::new().hash_one(GOLDEN_GAMMA))
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        let state = self
            .0
            .fetch_add(GOLDEN_GAMMA, Ordering::Relaxed)
            .wrapping_add(GOLDEN_GAMMA);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_numbers_of_the_reference_implementation() {
        let entropy = SeededEntropy::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| entropy.next_u64()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_bounded_number_reaches_both_of_its_bounds_and_never_leaves_them() {
        let entropy = SeededEntropy::new(7);
        let numbers: Vec<u64> = (0..200).map(|_| entropy.up_to(3)).collect();
        assert_eq!(numbers.iter().max(), Some(&3));
        assert_eq!(numbers.iter().min(), Some(&0));
    }

    #[test]
    fn a_bound_of_the_whole_range_is_no_overflow() {
        struct Ones;
        impl Entropy for Ones {
            fn next_u64(&self) -> u64 {
                u64::MAX
            }
        }
        assert_eq!(Ones.up_to(u64::MAX), u64::MAX);
        assert_eq!(Ones.up_to(0), 0);
    }
}
