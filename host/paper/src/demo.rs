//! The demo's bars: a seeded random walk with alternating trends, in integers only, so that every machine makes
//! the same bytes.

use std::fmt::Write as _;

use chrono::DateTime;

/// The seed of the file that ships with the project.
pub const SEED: u64 = 20_240_101;
/// How many one-minute bars the file holds: two days.
pub const BARS: usize = 2_880;
/// When the first bar opens, in Unix milliseconds: 2024-01-01 00:00 UTC.
pub const FIRST_OPEN_MS: i64 = 1_704_067_200_000;
/// The file as it ships.
pub const FILE: &str = include_str!("../data/demo-btcusdt-1m.csv");

/// The first price, in cents.
const START_CENTS: i64 = 4_228_000;
/// Prices stay above this, in cents.
const FLOOR_CENTS: i64 = 1_000_000;
/// One bar's length, in milliseconds.
const BAR_MS: i64 = 60_000;
/// Shortest and longest trend, in bars: longer than the slow average of an EMA 12/26 cross needs to turn.
const TREND_BARS: (u64, u64) = (25, 90);
/// Slowest and fastest trend, in cents a bar.
const DRIFT_CENTS: (u64, u64) = (300, 1_400);
/// The most that chance moves a close away from the trend, in cents.
const NOISE_CENTS: u64 = 1_800;
/// The most that a wick goes beyond the body, in cents.
const WICK_CENTS: u64 = 900;
/// Smallest and largest volume, in ten-thousandths.
const VOLUME_E4: (u64, u64) = (15_000, 480_000);

/// Writes `bars` bars as CSV, as [`crate::BarFile`] reads it.
pub fn generate(seed: u64, bars: usize) -> String {
    let mut random = SplitMix64(seed);
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    let mut open_time_ms = FIRST_OPEN_MS;
    let mut open = START_CENTS;
    let mut trend = Trend {
        bars_left: 0,
        drift: -1,
    };
    for _ in 0..bars {
        if trend.bars_left == 0 {
            trend = trend.next(&mut random);
        }
        trend.bars_left -= 1;
        let noise = random.signed(NOISE_CENTS);
        let close = (open + trend.drift + noise).max(FLOOR_CENTS);
        let high = open.max(close) + random.signed(WICK_CENTS).abs();
        let low = open.min(close) - random.signed(WICK_CENTS).abs();
        let volume = random.between(VOLUME_E4);
        write_line(&mut text, open_time_ms, [open, high, low, close], volume);
        open = close;
        open_time_ms += BAR_MS;
    }
    text
}

fn write_line(text: &mut String, open_time_ms: i64, prices: [i64; 4], volume_e4: u64) {
    let opens = DateTime::from_timestamp_millis(open_time_ms).unwrap_or_default();
    text.push_str(&opens.format("%Y-%m-%d %H:%M:%S%.6f").to_string());
    for cents in prices {
        // Writing to a String cannot fail.
        let _ = write!(text, ",{}.{:02}", cents / 100, cents % 100);
    }
    let _ = writeln!(text, ",{}.{:04}", volume_e4 / 10_000, volume_e4 % 10_000);
}

/// A stretch of bars that lean one way.
struct Trend {
    bars_left: u64,
    /// Cents a bar.
    drift: i64,
}

impl Trend {
    /// The next trend leans the other way.
    fn next(&self, random: &mut SplitMix64) -> Self {
        let strength = i64::try_from(random.between(DRIFT_CENTS)).unwrap_or(i64::MAX);
        Self {
            bars_left: random.between(TREND_BARS),
            drift: if self.drift < 0 { strength } else { -strength },
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    const fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// From `-most` to `most`.
    fn signed(&mut self, most: u64) -> i64 {
        let upwards = i64::try_from(self.between((0, 2 * most))).unwrap_or(i64::MAX);
        upwards - i64::try_from(most).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::prelude::ToPrimitive;

    use super::{BARS, FILE, FIRST_OPEN_MS, SEED, generate};
    use crate::BarFile;

    #[test]
    fn generating_the_demo_again_gives_the_same_bytes() {
        assert!(
            generate(SEED, BARS) == FILE,
            "data/demo-btcusdt-1m.csv is not what `generate` makes"
        );
    }

    #[test]
    fn another_seed_gives_other_bars() {
        assert_ne!(generate(SEED, 10), generate(SEED + 1, 10));
    }

    #[test]
    fn the_demo_is_a_bar_file_of_every_minute_of_two_days() {
        let bars = BarFile::parse(FILE.as_bytes()).unwrap().bars;
        assert_eq!(bars.len(), BARS);
        for (bar, open_time_ms) in bars.iter().zip((FIRST_OPEN_MS..).step_by(60_000)) {
            assert_eq!(bar.open_time_ms, open_time_ms);
        }
    }

    #[test]
    fn the_demo_crosses_its_averages_at_least_forty_times() {
        let bars = BarFile::parse(FILE.as_bytes()).unwrap().bars;
        let closes = bars.iter().map(|bar| bar.close.to_f64().unwrap());
        let (mut fast, mut slow, mut crosses, mut was_above) = (0.0, 0.0, 0, None);
        for (index, close) in closes.enumerate() {
            if index == 0 {
                (fast, slow) = (close, close);
            }
            fast += (close - fast) * 2.0 / 13.0;
            slow += (close - slow) * 2.0 / 27.0;
            if index >= 26 {
                let is_above = fast > slow;
                crosses += usize::from(was_above.is_some_and(|was| was != is_above));
                was_above = Some(is_above);
            }
        }
        assert!(crosses >= 40, "{crosses} crosses");
    }
}
