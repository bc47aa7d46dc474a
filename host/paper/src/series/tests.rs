use bulkhead_kernel::bar::Bar;
use rust_decimal::Decimal;

use super::{Api, EVENTS, Series};
use crate::{BarFile, Replay, VirtualClock, demo};

fn bar(open_time_ms: i64, prices: [i64; 4], volume: &str) -> Bar {
    let [open, high, low, close] = prices.map(Decimal::from);
    Bar {
        open_time_ms,
        open,
        high,
        low,
        close,
        volume: volume.parse().unwrap(),
    }
}

fn series(bars: &[Bar]) -> Series {
    Series::new(bars, "BTC-USDT", "1m".parse().unwrap()).unwrap()
}

#[test]
fn the_trades_of_a_bar_come_to_the_bar_exactly() {
    let bars = BarFile::parse(demo::generate(3, 500).as_bytes())
        .unwrap()
        .bars;
    let series = series(&bars);
    for (place, bar) in series.bars.iter().enumerate() {
        assert_eq!(series.candle(place, EVENTS).unwrap().bar, *bar);
    }
}

#[test]
fn a_rising_bar_falls_first_and_a_falling_one_rises_first() {
    let series = series(&[
        bar(0, [5, 9, 1, 6], "8"),
        bar(60_000, [6, 9, 1, 5], "0.00000001"),
    ]);
    let ticks = (0..EVENTS * 2).filter_map(|event| series.tick(event));
    let ticks: Vec<_> = ticks
        .map(|tick| (tick.time_ms, tick.price.to_string(), tick.size.to_string()))
        .collect();
    let expect = [
        (0, "5", "2"),
        (15_000, "1", "2"),
        (30_000, "9", "2"),
        (45_000, "6", "2"),
        (60_000, "6", "0"),
        (75_000, "9", "0"),
        (90_000, "1", "0"),
        (105_000, "5", "0.00000001"),
    ];
    let expect = expect.map(|(at_ms, price, size)| (at_ms, price.to_owned(), size.to_owned()));
    assert_eq!(ticks.len(), expect.len());
    for (tick, expect) in ticks.iter().zip(&expect) {
        assert_eq!((tick.0, &tick.1), (expect.0, &expect.1));
        assert_eq!(
            tick.2.parse::<Decimal>().unwrap(),
            expect.2.parse::<Decimal>().unwrap()
        );
    }
}

#[test]
fn events_happen_in_the_order_of_their_times() {
    let series = series(&[
        bar(0, [5, 9, 1, 6], "8"),
        // Overlaps with the one before, and is followed by a gap.
        bar(30_000, [5, 9, 1, 6], "8"),
        bar(600_000, [5, 9, 1, 6], "8"),
    ]);
    let times: Vec<i64> = (0..EVENTS * 3).map(|event| series.time_ms(event)).collect();
    assert!(times.is_sorted(), "{times:?}");
    for now_ms in [
        -1, 0, 14_999, 15_000, 30_000, 89_999, 90_000, 600_000, 700_000,
    ] {
        let happened = times.iter().filter(|at_ms| **at_ms <= now_ms).count();
        assert_eq!(series.happened(Some(now_ms)), happened, "{now_ms}");
    }
    assert_eq!(series.happened(None), times.len());
}

#[test]
fn longer_bars_are_put_together_on_the_grid_of_their_length() {
    let minute = |minute: i64, high: i64| bar(minute * 60_000, [5, high, 1, 6], "1.5");
    let series = series(&[minute(3, 7), minute(4, 9), minute(5, 8), minute(12, 8)]);
    let fives = series.put_together("5m".parse().unwrap()).unwrap();
    let bars: Vec<_> = fives
        .bars
        .iter()
        .map(|bar| {
            (
                bar.open_time_ms / 60_000,
                bar.high.to_string(),
                bar.volume.to_string(),
            )
        })
        .collect();
    let expect = [(0, "9", "3.0"), (5, "8", "1.5"), (10, "8", "1.5")];
    assert_eq!(
        bars,
        expect.map(|(at, high, volume)| (at, high.to_owned(), volume.to_owned()))
    );
    for other in ["1m", "30s", "90s"] {
        assert!(
            series.put_together(other.parse().unwrap()).is_none(),
            "{other}"
        );
    }
    let weeks = series.put_together("1w".parse().unwrap()).unwrap();
    // The epoch was a Thursday.
    assert_eq!(weeks.bars[0].open_time_ms, -3 * 86_400_000);
}

#[test]
fn decimals_too_large_to_be_added_up_stay_at_the_largest() {
    let mut large = bar(0, [5, 9, 1, 6], "0");
    (large.open, large.high, large.volume) = (Decimal::MAX, Decimal::MAX, Decimal::MAX);
    let series = series(&[large]);
    assert_eq!(series.candle(0, EVENTS).unwrap().quote_volume, Decimal::MAX);
}

#[test]
fn an_instrument_has_the_names_of_those_that_serve_it() {
    let named = |instrument: &str| Series::new(&[], instrument, "1m".parse().unwrap());
    let pair = named("btc-usdt").unwrap();
    let names = [Api::Binance, Api::Crypto, Api::Stocks].map(|api| pair.symbol(api));
    assert_eq!(names, [Some("BTCUSDT"), Some("BTC/USDT"), None]);
    let ticker = named("BRK.B").unwrap();
    let names = [Api::Binance, Api::Crypto, Api::Stocks].map(|api| ticker.symbol(api));
    assert_eq!(names, [None, None, Some("BRK.B")]);
    for malformed in ["-USDT", "BTC-", "B C-USDT", "A-B-C", ""] {
        assert!(named(malformed).is_err(), "{malformed}");
    }
}

#[test]
fn bars_must_ascend_and_series_be_told_apart() {
    let bars = [
        bar(60_000, [5, 9, 1, 6], "8"),
        bar(60_000, [5, 9, 1, 6], "8"),
    ];
    let error = Series::new(&bars, "BTC-USDT", "1m".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("bar 1"), "{error}");
    let twice = vec![series(&bars[..1]), series(&bars[..1])];
    assert!(Replay::of(twice, VirtualClock::immediate()).is_err());
    assert!(Replay::of(Vec::new(), VirtualClock::immediate()).is_err());
}
