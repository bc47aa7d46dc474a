//! The bars of one instrument, and the trades that the venue makes out of them.
//!
//! A bar file has four prices a bar and no trades. So each bar becomes four trades of a quarter of its volume each, at the
//! beginning of each quarter of its time: the open, then low and high (where the bar rises) or high and low (where it
//! falls), then the close. They come to the bar exactly. A bar without volume has the prices and no trade.

mod candle;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::binance;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::bar_file;
use crate::replay::ReplayError;
pub(crate) use candle::Candle;

/// Binance gives prices and volumes with so many decimal places (REST API, klines).
pub(crate) const VENUE_DECIMAL_PLACES: u32 = bar_file::VENUE_DECIMAL_PLACES as u32;
/// Prices of a bar.
const TICKS: usize = 4;
/// What happens in a bar: its ticks, and its end.
pub(crate) const EVENTS: usize = TICKS + 1;
/// One week, in milliseconds.
const WEEK_MS: i64 = 7 * 86_400_000;
/// The first Monday after the epoch, in Unix milliseconds: weeks begin there.
const MONDAY_MS: i64 = 4 * 86_400_000;

/// Whose names and rules a request follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// Binance: pairs, as `BTCUSDT`.
    Binance,
    /// Alpaca's crypto: pairs, as `BTC/USDT`.
    Crypto,
    /// Alpaca's stocks: tickers, as `SPY`.
    Stocks,
}

/// The bars of one instrument and length.
///
/// An instrument of base and quote (`BTC-USDT`) is served by Binance's API and by Alpaca's for crypto, a ticker (`SPY`)
/// by Alpaca's for stocks.
#[derive(Debug)]
pub struct Series {
    pub(crate) instrument: Instrument,
    names: Names,
    pub(crate) timeframe: Timeframe,
    pub(crate) bars: Vec<Bar>,
    rounded: usize,
    /// The smallest difference between two prices of the file.
    pub(crate) price_step: Decimal,
    /// The same of its volumes.
    pub(crate) size_step: Decimal,
}

#[derive(Debug, Clone)]
enum Names {
    Pair {
        base: String,
        quote: String,
        binance: String,
        alpaca: String,
    },
    Ticker,
}

/// One price, and what was traded at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Unique in its series, ascending.
    pub id: i64,
    pub time_ms: i64,
    pub price: Decimal,
    /// Zero: nothing was traded.
    pub size: Decimal,
    /// Whether the buyer waited in the book, so that the seller took.
    pub is_buyer_maker: bool,
}

impl Series {
    /// Takes over `bars` (ascending) of `instrument`. Values with more than 8 decimal places are rounded half to even.
    ///
    /// # Errors
    /// The instrument is malformed, or is of base and quote and has no symbol; or the bars do not ascend.
    pub fn new(bars: &[Bar], instrument: &str, timeframe: Timeframe) -> Result<Self, ReplayError> {
        let instrument: Instrument = instrument.parse()?;
        let names = names(&instrument)?;
        let descends = |pair: &[Bar]| pair[0].open_time_ms >= pair[1].open_time_ms;
        if let Some(index) = bars.windows(2).position(descends) {
            return Err(ReplayError::Order { index: index + 1 });
        }
        let mut rounded = 0;
        let bars = bars.iter().map(|bar| at_venue(bar, &mut rounded)).collect();
        Ok(Self::of(instrument, names, timeframe, bars, rounded))
    }

    fn of(
        instrument: Instrument,
        names: Names,
        timeframe: Timeframe,
        bars: Vec<Bar>,
        rounded: usize,
    ) -> Self {
        let prices = |bar: &Bar| {
            [bar.open, bar.high, bar.low, bar.close]
                .map(|price| price.scale())
                .into_iter()
                .max()
        };
        let price_places = bars.iter().filter_map(prices).max().unwrap_or(0);
        let size_places = bars.iter().map(|bar| bar.volume.scale()).max().unwrap_or(0);
        Self {
            instrument,
            names,
            timeframe,
            bars,
            rounded,
            price_step: Decimal::new(1, price_places),
            size_step: Decimal::new(1, size_places),
        }
    }

    /// Values of the given bars with more decimal places than the venue gives, which are served rounded, half to even.
    pub const fn rounded(&self) -> usize {
        self.rounded
    }

    /// What the API calls the instrument. None: it does not serve such.
    pub(crate) fn symbol(&self, api: Api) -> Option<&str> {
        match (&self.names, api) {
            (Names::Pair { binance, .. }, Api::Binance) => Some(binance),
            (Names::Pair { alpaca, .. }, Api::Crypto) => Some(alpaca),
            (Names::Ticker, Api::Stocks) => Some(self.instrument.as_str()),
            _ => None,
        }
    }

    /// Base and quote. None: it is a ticker.
    pub(crate) fn assets(&self) -> Option<(&str, &str)> {
        match &self.names {
            Names::Pair { base, quote, .. } => Some((base, quote)),
            Names::Ticker => None,
        }
    }

    /// When the last bar is over, in Unix milliseconds.
    pub(crate) fn end_ms(&self) -> i64 {
        self.bars
            .last()
            .map_or(0, |bar| self.timeframe.close_time_ms(bar.open_time_ms))
    }

    /// How many bars have opened by `now_ms`. None: all.
    pub(crate) fn opened(&self, now_ms: Option<i64>) -> usize {
        match now_ms {
            None => self.bars.len(),
            Some(now_ms) => self.bars.partition_point(|bar| bar.open_time_ms <= now_ms),
        }
    }

    /// How many events have happened by `now_ms`. None: all. Events count through: the fifth of a bar is its end.
    pub(crate) fn happened(&self, now_ms: Option<i64>) -> usize {
        let opened = self.opened(now_ms);
        let (Some(now_ms), Some(open)) = (now_ms, opened.checked_sub(1)) else {
            return opened * EVENTS;
        };
        let of_open = (open * EVENTS..opened * EVENTS)
            .take_while(|event| self.time_ms(*event) <= now_ms)
            .count();
        open * EVENTS + of_open
    }

    /// When an event happens, in Unix milliseconds. Past the last one: never.
    pub(crate) fn time_ms(&self, event: usize) -> i64 {
        let (place, part) = (event / EVENTS, event % EVENTS);
        let Some(bar) = self.bars.get(place) else {
            return i64::MAX;
        };
        let part = i64::try_from(part).unwrap_or(0);
        let passed_ms = self.timeframe.millis() / TICKS as i64 * part;
        let passed_ms = match part {
            4 => self.timeframe.millis(),
            _ => passed_ms,
        };
        // A bar that opens before the one before is over ends it.
        let next_ms = self.bars.get(place + 1).map(|next| next.open_time_ms);
        let at_ms = bar.open_time_ms.saturating_add(passed_ms);
        next_ms.map_or(at_ms, |next_ms| at_ms.min(next_ms))
    }

    /// The tick of an event. None: the event is a bar's end, or there is none.
    pub(crate) fn tick(&self, event: usize) -> Option<Tick> {
        let part = event % EVENTS;
        let bar = self.bars.get(event / EVENTS)?;
        let prices = if bar.close >= bar.open {
            [bar.open, bar.low, bar.high, bar.close]
        } else {
            [bar.open, bar.high, bar.low, bar.close]
        };
        let quarter = (bar.volume / Decimal::from(TICKS))
            .round_dp_with_strategy(VENUE_DECIMAL_PLACES, RoundingStrategy::ToZero);
        let size = match part {
            3 => bar.volume - quarter * Decimal::from(3),
            _ => quarter,
        };
        Some(Tick {
            id: i64::try_from(event).unwrap_or(i64::MAX),
            time_ms: self.time_ms(event),
            price: *prices.get(part)?,
            size,
            is_buyer_maker: part > 0 && prices[part] < prices[part - 1],
        })
    }

    /// The last tick by `now_ms`. None: no bar has opened.
    pub(crate) fn last_tick(&self, now_ms: Option<i64>) -> Option<Tick> {
        let last = self.happened(now_ms).checked_sub(1)?;
        self.tick(last).or_else(|| self.tick(last.checked_sub(1)?))
    }

    /// A bar after so many of its events: from the fourth on, whole.
    pub(crate) fn candle(&self, place: usize, events: usize) -> Option<Candle> {
        let first = place.checked_mul(EVENTS)?;
        let mut candle = self.candle_of(first..first + events.clamp(1, TICKS))?;
        candle.bar.open_time_ms = self.bars.get(place)?.open_time_ms;
        Some(candle)
    }

    /// The ticks of a range of events as one candle. None: there is no tick.
    pub(crate) fn candle_of(&self, events: std::ops::Range<usize>) -> Option<Candle> {
        let mut ticks = events.filter_map(|event| self.tick(event));
        let mut candle = Candle::begin(&ticks.next()?);
        for tick in ticks {
            candle.add(&tick);
        }
        Some(candle)
    }

    /// The same bars put together into longer ones. None: they cannot be.
    pub(crate) fn put_together(&self, timeframe: Timeframe) -> Option<Self> {
        let length_ms = timeframe.millis();
        if length_ms <= self.timeframe.millis() || length_ms % self.timeframe.millis() != 0 {
            return None;
        }
        let begins_ms = if length_ms % WEEK_MS == 0 {
            MONDAY_MS
        } else {
            0
        };
        let mut bars: Vec<Bar> = Vec::new();
        for bar in &self.bars {
            let since_ms = bar.open_time_ms.saturating_sub(begins_ms);
            let open_time_ms = bar
                .open_time_ms
                .saturating_sub(since_ms.rem_euclid(length_ms));
            match bars.last_mut() {
                Some(last) if last.open_time_ms == open_time_ms => {
                    last.high = last.high.max(bar.high);
                    last.low = last.low.min(bar.low);
                    last.close = bar.close;
                    last.volume = last.volume.saturating_add(bar.volume);
                }
                _ => bars.push(Bar {
                    open_time_ms,
                    ..*bar
                }),
            }
        }
        let names = self.names.clone();
        Some(Self::of(self.instrument.clone(), names, timeframe, bars, 0))
    }
}

fn names(instrument: &Instrument) -> Result<Names, ReplayError> {
    let name = instrument.as_str();
    let Some((base, quote)) = name.split_once(['-', '/']) else {
        return Ok(Names::Ticker);
    };
    let is_asset = |asset: &str| asset.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if base.is_empty() || quote.is_empty() || !is_asset(base) || !is_asset(quote) {
        return Err(ReplayError::Form(name.to_owned()));
    }
    Ok(Names::Pair {
        base: base.to_owned(),
        quote: quote.to_owned(),
        binance: binance::symbol(name).map_err(ReplayError::Symbol)?,
        alpaca: format!("{base}/{quote}"),
    })
}

fn at_venue(bar: &Bar, rounded: &mut usize) -> Bar {
    let mut venue = |value: Decimal| {
        let served = value.round_dp(VENUE_DECIMAL_PLACES);
        *rounded += usize::from(served != value);
        served.normalize()
    };
    Bar {
        open_time_ms: bar.open_time_ms,
        open: venue(bar.open),
        high: venue(bar.high),
        low: venue(bar.low),
        close: venue(bar.close),
        volume: venue(bar.volume),
    }
}

#[cfg(test)]
mod tests;
