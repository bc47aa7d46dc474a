use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instrument::InstrumentError;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::VenueError;

use crate::VirtualClock;
use crate::series::{Api, Series};

/// The most series of one venue.
pub const MAX_SERIES: usize = 1_000;
/// The most series that are put together of shorter ones and kept; each is at most half as long as its source.
const MAX_PUT_TOGETHER: usize = 2_000;

/// Why bars cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The instrument is malformed.
    #[error("name the replayed instrument")]
    Instrument(#[from] InstrumentError),
    /// The instrument has no symbol.
    #[error("name the replayed instrument")]
    Symbol(#[source] VenueError),
    /// The instrument is neither base and quote nor a ticker.
    #[error("name the replayed instrument: `{0}` is neither of the form BASE-QUOTE nor a ticker")]
    Form(String),
    /// The bars do not ascend strictly.
    #[error("order the replayed bars: bar {index} does not open later than the one before")]
    Order {
        /// The first bar out of order, from 0.
        index: usize,
    },
    /// One series comes twice.
    #[error(
        "replay `{instrument}` {timeframe} once: it is given twice, or another instrument has the same symbol"
    )]
    Twice {
        /// The instrument that came later.
        instrument: String,
        /// The bars' length.
        timeframe: Timeframe,
    },
    /// There are no series, or too many.
    #[error("replay 1 to {MAX_SERIES} series: {0} are given")]
    Count(usize),
}

/// How far a replay has come, in bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bars that have opened on the virtual clock.
    pub released: usize,
    /// Bars up to the newest one that was served, of each series.
    pub served: usize,
    /// Bars of the files.
    pub total: usize,
}

/// One or several series of bars under a virtual clock.
///
/// A bar has its final values from the moment it opens; only streams and tickers show it grow.
pub struct Replay {
    series: Vec<Counted>,
    clock: VirtualClock,
    /// Series made of shorter ones, by the place of their source.
    put_together: Mutex<HashMap<(usize, Timeframe), Arc<Series>>>,
    read_to_end: AtomicUsize,
}

/// A connection whose client has read all that its streams will ever have, for as long as it is open.
pub(crate) struct ReadToEnd(Arc<Replay>);

impl Drop for ReadToEnd {
    fn drop(&mut self) {
        self.0.read_to_end.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Counted {
    series: Arc<Series>,
    served: AtomicUsize,
}

/// A series that a request asks for.
#[derive(Clone)]
pub(crate) struct Selected {
    pub series: Arc<Series>,
    /// Where it stands among those whose bars are counted. None: it was put together.
    place: Option<usize>,
}

impl Replay {
    /// Prepares `bars` (ascending) of one instrument (`BTC-USDT`, `SPY`) for being served.
    ///
    /// # Errors
    /// As [`Series::new`].
    pub fn new(
        bars: &[Bar],
        instrument: &str,
        interval: Timeframe,
        clock: VirtualClock,
    ) -> Result<Self, ReplayError> {
        Self::of(vec![Series::new(bars, instrument, interval)?], clock)
    }

    /// Puts several series under one clock.
    ///
    /// # Errors
    /// There are none or more than [`MAX_SERIES`], or two have the same symbol and length.
    pub fn of(series: Vec<Series>, clock: VirtualClock) -> Result<Self, ReplayError> {
        if !(1..=MAX_SERIES).contains(&series.len()) {
            return Err(ReplayError::Count(series.len()));
        }
        for (place, later) in series.iter().enumerate() {
            let same = |earlier: &Series| {
                earlier.timeframe == later.timeframe
                    && [Api::Binance, Api::Crypto, Api::Stocks].iter().any(|api| {
                        later.symbol(*api).is_some() && earlier.symbol(*api) == later.symbol(*api)
                    })
            };
            if series[..place].iter().any(same) {
                return Err(ReplayError::Twice {
                    instrument: later.instrument.to_string(),
                    timeframe: later.timeframe,
                });
            }
        }
        let counted = |series| Counted {
            series: Arc::new(series),
            served: AtomicUsize::new(0),
        };
        Ok(Self {
            series: series.into_iter().map(counted).collect(),
            clock,
            put_together: Mutex::default(),
            read_to_end: AtomicUsize::new(0),
        })
    }

    /// Values of the given bars with more decimal places than the venue gives, which are served rounded, half to even. Those
    /// of a [`BarFile`](crate::BarFile) are rounded already.
    pub fn rounded(&self) -> usize {
        self.series.iter().map(|one| one.series.rounded()).sum()
    }

    /// How far the replay has come, all series together.
    pub fn progress(&self) -> Progress {
        let nothing = Progress {
            released: 0,
            served: 0,
            total: 0,
        };
        self.progress_by_series()
            .fold(nothing, |sum, one| Progress {
                released: sum.released + one.released,
                served: sum.served + one.served,
                total: sum.total + one.total,
            })
    }

    /// How far each series has come, in the order in which they were given.
    pub fn progress_by_series(&self) -> impl Iterator<Item = Progress> {
        let now_ms = self.clock.now_ms();
        self.series.iter().map(move |one| Progress {
            released: one.series.opened(now_ms),
            served: one.served.load(Ordering::Acquire),
            total: one.series.bars.len(),
        })
    }

    /// Open websocket connections with streams whose clients have read everything that these will ever have: each has answered a
    /// ping that was sent after the last message.
    pub fn connections_read_to_end(&self) -> usize {
        self.read_to_end.load(Ordering::Acquire)
    }

    pub(crate) fn note_read_to_end(self: &Arc<Self>) -> ReadToEnd {
        self.read_to_end.fetch_add(1, Ordering::AcqRel);
        ReadToEnd(Arc::clone(self))
    }

    /// Bars that have not been served yet.
    pub fn remaining(&self) -> usize {
        let progress = self.progress();
        progress.total - progress.served
    }

    /// Whether the last bar of each series has been served, by whichever protocol.
    pub fn is_finished(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) const fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// The time in the replay, in Unix milliseconds. Once every bar is out, when the last one closes.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms().unwrap_or_else(|| {
            let ends = self.series.iter().map(|one| one.series.end_ms());
            ends.max().unwrap_or(0)
        })
    }

    /// What the API calls its instruments, in the order of the series.
    pub(crate) fn symbols(&self, api: Api) -> Vec<&str> {
        let mut symbols = Vec::new();
        for symbol in self.series.iter().filter_map(|one| one.series.symbol(api)) {
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        symbols
    }

    /// The series with the shortest bars of a symbol: what it trades at is read off these. None: no such symbol.
    pub(crate) fn finest(&self, api: Api, symbol: &str) -> Option<Selected> {
        let of_symbol = self.of_symbol(api, symbol);
        let finest = of_symbol.min_by_key(|(_, one)| one.series.timeframe.millis());
        finest.map(|(place, one)| one.selected(place))
    }

    /// The bars of a symbol of this length, put together of shorter ones if need be. None: there are none.
    pub(crate) fn select(&self, api: Api, symbol: &str, timeframe: Timeframe) -> Option<Selected> {
        let mut of_symbol = self.of_symbol(api, symbol);
        let exact = of_symbol.find(|(_, one)| one.series.timeframe == timeframe);
        if let Some((place, one)) = exact {
            return Some(one.selected(place));
        }
        let finest = self.finest(api, symbol)?;
        let key = (finest.place?, timeframe);
        let mut kept = self
            .put_together
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let series = match kept.get(&key) {
            Some(series) => Arc::clone(series),
            None => {
                let series = Arc::new(finest.series.put_together(timeframe)?);
                if kept.len() < MAX_PUT_TOGETHER {
                    kept.insert(key, Arc::clone(&series));
                }
                series
            }
        };
        Some(Selected {
            series,
            place: None,
        })
    }

    fn of_symbol<'a>(
        &'a self,
        api: Api,
        symbol: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Counted)> {
        let series = self.series.iter().enumerate();
        series.filter(move |(_, one)| one.series.symbol(api) == Some(symbol))
    }

    /// Counts the bars of a series up to `past` as served.
    pub(crate) fn count_served(&self, selected: &Selected, past: usize) {
        if let Some(one) = selected.place.and_then(|place| self.series.get(place)) {
            one.served.fetch_max(past, Ordering::AcqRel);
        }
    }

    /// The places of the bars that have opened, within a range of open times (both ends included).
    pub(crate) fn range(
        &self,
        selected: &Selected,
        start_ms: Option<i64>,
        end_ms: Option<i64>,
    ) -> Range<usize> {
        let series = &selected.series;
        let opened = series.opened(self.clock.now_ms());
        let before =
            |bars: &[Bar], at_ms: i64| bars.partition_point(|bar| bar.open_time_ms < at_ms);
        let opened = &series.bars[..opened];
        let first = start_ms.map_or(0, |start_ms| before(opened, start_ms));
        let past = end_ms.map_or(opened.len(), |end_ms| {
            opened.partition_point(|bar| bar.open_time_ms <= end_ms)
        });
        first..past.max(first)
    }
}

impl Selected {
    /// Whether it is a file's series, and not one that was put together.
    pub(crate) const fn is_of_a_file(&self) -> bool {
        self.place.is_some()
    }
}

impl Counted {
    fn selected(&self, place: usize) -> Selected {
        Selected {
            series: Arc::clone(&self.series),
            place: Some(place),
        }
    }
}
