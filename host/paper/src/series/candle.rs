use bulkhead_kernel::bar::Bar;
use rust_decimal::Decimal;

use super::{Tick, VENUE_DECIMAL_PLACES};

/// A bar, or what there is of it so far, with what follows from its trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candle {
    pub bar: Bar,
    pub quote_volume: Decimal,
    pub trades: u32,
    pub taker_buy_volume: Decimal,
    pub taker_buy_quote_volume: Decimal,
    pub first_id: i64,
    pub last_id: i64,
}

impl Candle {
    /// What was paid for a unit on average; the last price where nothing was traded.
    pub(crate) fn average_price(&self) -> Decimal {
        self.quote_volume
            .checked_div(self.bar.volume)
            .map_or(self.bar.close, |price| price.round_dp(VENUE_DECIMAL_PLACES))
    }
}

impl Candle {
    /// A candle of one tick.
    pub(super) fn begin(tick: &Tick) -> Self {
        let mut candle = Self {
            bar: Bar {
                open_time_ms: tick.time_ms,
                open: tick.price,
                high: tick.price,
                low: tick.price,
                close: tick.price,
                volume: Decimal::ZERO,
            },
            quote_volume: Decimal::ZERO,
            trades: 0,
            taker_buy_volume: Decimal::ZERO,
            taker_buy_quote_volume: Decimal::ZERO,
            first_id: -1,
            last_id: -1,
        };
        candle.add(tick);
        candle
    }

    /// A foreign bar may hold any decimals, so that sums and products stay at the largest instead of ending the venue.
    pub(super) fn add(&mut self, tick: &Tick) {
        self.bar.high = self.bar.high.max(tick.price);
        self.bar.low = self.bar.low.min(tick.price);
        self.bar.close = tick.price;
        if tick.size.is_zero() {
            return;
        }
        let paid = tick.price.saturating_mul(tick.size);
        let paid = paid.round_dp(VENUE_DECIMAL_PLACES).normalize();
        self.bar.volume = self.bar.volume.saturating_add(tick.size).normalize();
        self.quote_volume = self.quote_volume.saturating_add(paid);
        if !tick.is_buyer_maker {
            self.taker_buy_volume = self.taker_buy_volume.saturating_add(tick.size);
            self.taker_buy_quote_volume = self.taker_buy_quote_volume.saturating_add(paid);
        }
        self.trades += 1;
        self.last_id = tick.id;
        if self.trades == 1 {
            self.first_id = tick.id;
        }
    }
}
