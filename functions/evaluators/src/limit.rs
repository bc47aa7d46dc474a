//! Comparisons with a limit that fail closed: a number that cannot be compared (NaN) is on the bad side of every limit.

use std::cmp::Ordering;

/// Whether `value` is above `limit`, or cannot be compared.
pub(crate) fn above(value: f64, limit: f64) -> bool {
    value.partial_cmp(&limit).is_none_or(Ordering::is_gt)
}

/// Whether `value` is at `limit`, above it, or cannot be compared.
pub(crate) fn at_or_above(value: f64, limit: f64) -> bool {
    value.partial_cmp(&limit).is_none_or(Ordering::is_ge)
}

/// Whether `value` is below `limit`, or cannot be compared.
pub(crate) fn below(value: f64, limit: f64) -> bool {
    value.partial_cmp(&limit).is_none_or(Ordering::is_lt)
}

/// From one instant to another, in seconds; negative when `to_ms` comes first.
pub(crate) fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    (i128::from(to_ms) - i128::from(from_ms)) as f64 / 1_000.0
}

/// Rounds to so many decimals.
pub(crate) fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_number_that_cannot_be_compared_is_beyond_every_limit() {
        for (value, limit) in [(f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(above(value, limit));
            assert!(at_or_above(value, limit));
            assert!(below(value, limit));
        }
    }

    #[test]
    fn the_limit_itself_is_neither_above_nor_below() {
        assert!(!above(1.0, 1.0));
        assert!(!below(1.0, 1.0));
        assert!(at_or_above(1.0, 1.0));
    }

    #[test]
    fn seconds_between_any_two_instants_do_not_overflow() {
        assert_eq!(seconds_between(1_000, 3_500), 2.5);
        assert_eq!(seconds_between(3_500, 1_000), -2.5);
        assert!(seconds_between(i64::MIN, i64::MAX) > 1e16);
    }
}
