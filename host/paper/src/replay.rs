use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::{VenueError, binance};
use bytes::Bytes;
use rust_decimal::Decimal;

use crate::VirtualClock;

/// Binance gives prices and volumes with 8 decimal places (REST API, klines).
const VENUE_DECIMAL_PLACES: u32 = 8;

/// Why bars cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The instrument has no symbol.
    #[error("name the replayed instrument")]
    Instrument(#[source] VenueError),
    /// The instrument is not written as base and quote.
    #[error("name the replayed instrument: `{0}` is not of the form BASE-QUOTE")]
    Form(String),
    /// The bars do not ascend strictly.
    #[error("order the replayed bars: bar {index} does not open later than the one before")]
    Order {
        /// The first bar out of order, from 0.
        index: usize,
    },
}

/// How far a replay has come, in bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bars that have opened on the virtual clock.
    pub released: usize,
    /// Bars up to the newest one that was served.
    pub served: usize,
    /// Bars of the file.
    pub total: usize,
}

/// One series of bars under a virtual clock, with its answers written in advance.
pub struct Replay {
    pub(crate) symbol: String,
    pub(crate) base: String,
    pub(crate) quote: String,
    pub(crate) interval: Timeframe,
    clock: VirtualClock,
    open_times_ms: Vec<i64>,
    /// Every bar as a kline, joined by commas; any range of bars is a slice of it.
    klines: Bytes,
    /// Where each kline begins in `klines`, and one past the end (as if another followed).
    offsets: Vec<usize>,
    rounded: usize,
    served: AtomicUsize,
}

impl Replay {
    /// Prepares `bars` (ascending) of `instrument` (`BTC-USDT`) for being served.
    ///
    /// # Errors
    /// The instrument is not of the form BASE-QUOTE or has no symbol, or the bars do not ascend.
    pub fn new(
        bars: &[Bar],
        instrument: &str,
        interval: Timeframe,
        clock: VirtualClock,
    ) -> Result<Self, ReplayError> {
        let symbol = binance::symbol(instrument).map_err(ReplayError::Instrument)?;
        let (base, quote) = instrument
            .split_once(['-', '/'])
            .filter(|(base, quote)| !base.is_empty() && !quote.is_empty())
            .ok_or_else(|| ReplayError::Form(instrument.to_owned()))?;
        let descends = |pair: &[Bar]| pair[0].open_time_ms >= pair[1].open_time_ms;
        if let Some(index) = bars.windows(2).position(descends) {
            return Err(ReplayError::Order { index: index + 1 });
        }
        let (klines, offsets, rounded) = write_klines(bars, interval);
        Ok(Self {
            symbol,
            base: base.to_ascii_uppercase(),
            quote: quote.to_ascii_uppercase(),
            interval,
            clock,
            open_times_ms: bars.iter().map(|bar| bar.open_time_ms).collect(),
            klines,
            offsets,
            rounded,
            served: AtomicUsize::new(0),
        })
    }

    /// Values of the file with more decimal places than the venue gives, which are served rounded, half to even.
    pub const fn rounded(&self) -> usize {
        self.rounded
    }

    /// How far the replay has come.
    pub fn progress(&self) -> Progress {
        Progress {
            released: self.released(),
            served: self.served.load(Ordering::Acquire),
            total: self.open_times_ms.len(),
        }
    }

    /// Bars that have not been served yet.
    pub fn remaining(&self) -> usize {
        let progress = self.progress();
        progress.total - progress.served
    }

    /// Whether the last bar has been served.
    pub fn is_finished(&self) -> bool {
        self.remaining() == 0
    }

    /// The time in the replay, in Unix milliseconds. Once every bar is out, when the last one closes.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms().unwrap_or_else(|| {
            let last = self.open_times_ms.last().copied().unwrap_or(0);
            last.saturating_add(self.interval.millis())
        })
    }

    fn released(&self) -> usize {
        match self.clock.now_ms() {
            None => self.open_times_ms.len(),
            Some(now) => self.open_times_ms.partition_point(|&opens| opens <= now),
        }
    }

    /// The klines that a request asks for, as a JSON array; counts them as served.
    ///
    /// With a start the first `limit` of the range, without one the last, as Binance answers.
    pub(crate) fn klines(&self, start_ms: Option<i64>, end_ms: Option<i64>, limit: usize) -> Bytes {
        let range = self.range(start_ms, end_ms, limit);
        if range.is_empty() {
            return Bytes::from_static(b"[]");
        }
        self.served.fetch_max(range.end, Ordering::AcqRel);
        let rows = &self.klines[self.offsets[range.start]..self.offsets[range.end] - 1];
        let mut body = Vec::with_capacity(rows.len() + 2);
        body.push(b'[');
        body.extend_from_slice(rows);
        body.push(b']');
        body.into()
    }

    fn range(&self, start_ms: Option<i64>, end_ms: Option<i64>, limit: usize) -> Range<usize> {
        let released = &self.open_times_ms[..self.released()];
        let first = start_ms.map_or(0, |start| released.partition_point(|&opens| opens < start));
        let past = end_ms.map_or(released.len(), |end| {
            released.partition_point(|&opens| opens <= end)
        });
        if first >= past {
            return 0..0;
        }
        if start_ms.is_some() {
            first..past.min(first.saturating_add(limit))
        } else {
            past.saturating_sub(limit)..past
        }
    }
}

/// What a bar file does not tell of a kline (quote volume, trades, taker volumes) is served as zero.
fn write_klines(bars: &[Bar], interval: Timeframe) -> (Bytes, Vec<usize>, usize) {
    let mut klines = Vec::new();
    let mut rounded = 0;
    let mut venue = |value: Decimal| {
        let served = value.round_dp(VENUE_DECIMAL_PLACES);
        rounded += usize::from(served != value);
        served
    };
    let mut offsets = Vec::with_capacity(bars.len() + 1);
    for bar in bars {
        offsets.push(klines.len());
        let closes = bar.open_time_ms.saturating_add(interval.millis() - 1);
        klines.extend_from_slice(
            format!(
                r#"[{},"{}","{}","{}","{}","{}",{closes},"0",0,"0","0","0"],"#,
                bar.open_time_ms,
                venue(bar.open),
                venue(bar.high),
                venue(bar.low),
                venue(bar.close),
                venue(bar.volume),
            )
            .as_bytes(),
        );
    }
    offsets.push(klines.len());
    (klines.into(), offsets, rounded)
}
