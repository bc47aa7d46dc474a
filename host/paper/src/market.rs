//! What a series trades at, read off its ticks.

use bulkhead_kernel::bar::Bar;
use rust_decimal::Decimal;

use crate::series::{Candle, EVENTS, Series, Tick};

/// The best bid and ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Book {
    /// When, in Unix milliseconds; 0 before the first bar has opened.
    pub time_ms: i64,
    pub bid_price: Decimal,
    pub bid_size: Decimal,
    pub ask_price: Decimal,
    pub ask_size: Decimal,
}

impl Book {
    /// The book around a tick: one step of the file's prices to either side, with its size, so that the middle is its
    /// price.
    pub(crate) fn around(series: &Series, tick: &Tick) -> Self {
        let bid = tick.price.saturating_sub(series.price_step);
        let size = tick.size.max(series.size_step);
        Self {
            time_ms: tick.time_ms,
            bid_price: if bid > Decimal::ZERO { bid } else { tick.price },
            bid_size: size,
            ask_price: tick.price.saturating_add(series.price_step),
            ask_size: size,
        }
    }
}

/// The book now: all zero before the first bar has opened.
pub(crate) fn book(series: &Series, now_ms: Option<i64>) -> Book {
    match series.last_tick(now_ms) {
        Some(tick) => Book::around(series, &tick),
        None => Book {
            time_ms: 0,
            bid_price: Decimal::ZERO,
            bid_size: Decimal::ZERO,
            ask_price: Decimal::ZERO,
            ask_size: Decimal::ZERO,
        },
    }
}

/// The ticks after `since_ms` up to `now_ms` (None: all). None: there are none.
pub(crate) fn window(series: &Series, since_ms: i64, now_ms: Option<i64>) -> Option<Candle> {
    let first = series.happened(Some(since_ms));
    series.candle_of(first..series.happened(now_ms).max(first))
}

/// A window in which nothing happened: the last price, and zero before there is one.
pub(crate) fn quiet(series: &Series, now_ms: Option<i64>) -> Candle {
    let price = series
        .last_tick(now_ms)
        .map_or(Decimal::ZERO, |tick| tick.price);
    Candle {
        bar: Bar {
            open_time_ms: 0,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Decimal::ZERO,
        },
        quote_volume: Decimal::ZERO,
        trades: 0,
        taker_buy_volume: Decimal::ZERO,
        taker_buy_quote_volume: Decimal::ZERO,
        first_id: -1,
        last_id: -1,
    }
}

/// The last price at an instant. None: no bar had opened.
pub(crate) fn price_before(series: &Series, at_ms: i64) -> Option<Decimal> {
    series.last_tick(Some(at_ms)).map(|tick| tick.price)
}

/// The last trade. None: there was none.
pub(crate) fn last_trade(series: &Series, now_ms: Option<i64>) -> Option<Tick> {
    let mut events = (0..series.happened(now_ms)).rev();
    events.find_map(|event| series.tick(event).filter(|tick| !tick.size.is_zero()))
}

/// The last bar that is over. None: there is none.
pub(crate) fn last_closed(series: &Series, now_ms: Option<i64>) -> Option<usize> {
    (series.happened(now_ms) / EVENTS).checked_sub(1)
}
