//! The latest quote and the latest trades of an instrument, as documents.

use bulkhead_kernel::instant::rfc3339;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::intent::Side;
use bulkhead_venues::frame::{Quote, Trade};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Input;
use crate::poll::MAX_CLOCK_SKEW_MS;

/// The most trades of an instrument that are kept: the latest.
pub const MAX_TRADES_KEPT: usize = 256;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// The body of `live_quotes/{INSTRUMENT}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveQuote {
    /// The instrument.
    pub symbol: String,
    /// The highest price that is bid. None: there is none.
    pub bid: Option<Decimal>,
    /// The lowest price that is asked. None: there is none.
    pub ask: Option<Decimal>,
    /// The middle between them, or the one that there is.
    pub price: Decimal,
    /// When, in RFC 3339: the venue's time, or else when it was received.
    pub ts: String,
    /// The same in Unix milliseconds.
    pub time_ms: i64,
    /// The venue.
    pub source: String,
}

impl LiveQuote {
    /// A quote as it was received.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub(super) fn new(
        instrument: &Instrument,
        quote: &Quote,
        input: &Input,
    ) -> Result<Self, String> {
        let time_ms = match quote.time_ns {
            Some(time_ns) => time_ns.div_euclid(NANOS_PER_MILLI),
            None => input.received_at_ms,
        };
        of_now(time_ms, input)?;
        let invalid = |why: String| format!("invalid_quote: {why}");
        let (bid, ask) = (quote.bid_price, quote.ask_price);
        if bid < Decimal::ZERO || ask < Decimal::ZERO {
            return Err(invalid(format!("bid {bid} or ask {ask} is below zero")));
        }
        let some = |price: Decimal| (price > Decimal::ZERO).then(|| price.normalize());
        let price = match (some(bid), some(ask)) {
            (None, None) => return Err(invalid("there is neither a bid nor an ask".to_owned())),
            (Some(bid), Some(ask)) if bid > ask => {
                return Err(invalid(format!("bid {bid} is above ask {ask}")));
            }
            (Some(bid), Some(ask)) => bid
                .checked_add(ask)
                .and_then(|sum| sum.checked_div(Decimal::TWO))
                .ok_or_else(|| invalid("the middle is too large".to_owned()))?,
            (Some(one), None) | (None, Some(one)) => one,
        };
        Ok(Self {
            symbol: instrument.to_string(),
            bid: some(bid),
            ask: some(ask),
            price: price.normalize(),
            ts: rfc3339(time_ms),
            time_ms,
            source: input.venue.as_str().to_owned(),
        })
    }
}

/// A trade of `live_trades/{INSTRUMENT}`. Ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LiveTrade {
    /// When, in Unix nanoseconds.
    pub time_ns: i64,
    /// The venue's identifier.
    pub id: String,
    /// The price.
    pub price: Decimal,
    /// How much, in units of the instrument.
    pub size: Decimal,
    /// `buy` or `sell`: the side of whoever took the offer. None: the venue does not say.
    pub taker_side: Option<String>,
}

impl LiveTrade {
    /// A trade as it was received.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub(super) fn new(trade: Trade, input: &Input) -> Result<Self, String> {
        of_now(trade.time_ns.div_euclid(NANOS_PER_MILLI), input)?;
        let (price, size) = (trade.price, trade.size);
        if price <= Decimal::ZERO || size <= Decimal::ZERO {
            return Err(format!(
                "invalid_trade: {size} at {price}, expected both above zero"
            ));
        }
        let word = |side| match side {
            Side::Buy => "buy".to_owned(),
            Side::Sell => "sell".to_owned(),
        };
        Ok(Self {
            time_ns: trade.time_ns,
            id: trade.id,
            price: price.normalize(),
            size: size.normalize(),
            taker_side: trade.taker_side.map(word),
        })
    }
}

fn of_now(time_ms: i64, input: &Input) -> Result<(), String> {
    if time_ms.saturating_sub(input.received_at_ms) > MAX_CLOCK_SKEW_MS {
        return Err("clock_skew: it is of a later time than it was received at".to_owned());
    }
    Ok(())
}

/// The body of `live_trades/{INSTRUMENT}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTrades {
    /// The instrument.
    pub symbol: String,
    /// Ascending by time; at most [`MAX_TRADES_KEPT`].
    pub trades: Vec<LiveTrade>,
}

impl LiveTrades {
    /// Puts further trades among them, each once, and lets go of the oldest beyond the bound.
    pub fn add(&mut self, trades: Vec<LiveTrade>) {
        self.trades.extend(trades);
        self.trades.sort();
        self.trades
            .dedup_by(|one, other| (one.time_ns, &one.id) == (other.time_ns, &other.id));
        let surplus = self.trades.len().saturating_sub(MAX_TRADES_KEPT);
        self.trades.drain(..surplus);
    }
}
