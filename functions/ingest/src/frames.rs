//! The task `frames`: what a feed received. Each text is one message of the venue's stream; what is wrong with one is told and takes no
//! other with it. Pure; [`store()`] carries it out.
//!
//! Closed bars are appended, the latest quote of an instrument is `live_quotes/{INSTRUMENT}`, and its latest trades are
//! `live_trades/{INSTRUMENT}`. A batch that comes again changes nothing.

use std::collections::BTreeMap;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::frame::Frame;
use bulkhead_venues::{VenueError, alpaca, binance};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, calendar};
use crate::poll::Rules;
use crate::settings::{Settings, Venue};

mod health;
mod input;
mod live;
mod store;
#[cfg(test)]
mod tests;

pub use input::{Input, MAX_FRAMES};
pub use live::{LiveQuote, LiveTrade, LiveTrades, MAX_TRADES_KEPT};
pub use store::{Outcome, store};

/// The most quarantined elements that a run tells of one by one; those beyond are counted.
pub const MAX_QUARANTINED_KEPT: usize = 50;
/// How much of a reason is kept, in characters.
const MAX_REASON_CHARS: usize = 300;
/// The reason of an element whose symbol nobody planned: a venue may not open series and documents of its own.
const UNPLANNED: &str = "unplanned";
/// How much of a symbol is kept, in characters.
const MAX_SYMBOL_CHARS: usize = 40;

/// An element of a frame that was not stored, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedFrame {
    /// Which of the input's frames, from 0.
    pub frame: usize,
    /// What it is about, where that can be told.
    pub symbol: Option<String>,
    /// `malformed: …`, `invalid_bar: …`, `invalid_quote: …`, `invalid_trade: …`, `clock_skew`, `off_grid`, `market_closed` or
    /// `absurd_jump: …`, or `unplanned`.
    pub reason: String,
}

/// What a batch holds.
#[derive(Debug, Default)]
pub struct Batch {
    /// Closed bars by series, and in a series by when they open: the last of several counts.
    pub bars: BTreeMap<(Instrument, String), Series>,
    /// The latest quote of each instrument.
    pub quotes: BTreeMap<Instrument, LiveQuote>,
    /// The trades of each instrument.
    pub trades: BTreeMap<Instrument, Vec<LiveTrade>>,
    /// How many trades there were.
    pub trade_count: usize,
    /// How many quotes there were.
    pub quote_count: usize,
    /// What is not stored.
    pub quarantined: Vec<QuarantinedFrame>,
    /// How many elements are not stored.
    pub quarantined_count: usize,
}

/// The bars of a series in a batch.
#[derive(Debug)]
pub struct Series {
    /// What they have to keep to.
    pub rules: Rules,
    /// By when they open, with the frame that each came in.
    pub bars: BTreeMap<i64, (usize, Bar)>,
}

impl Batch {
    /// Reads the frames of a batch.
    pub fn read(input: &Input, plan: &Plan, settings: &Settings) -> Self {
        let names = Names::new(input.venue, plan, settings);
        let mut batch = Self::default();
        for (place, text) in input.frames.iter().enumerate() {
            for element in elements(input.venue, text.as_bytes()) {
                match element {
                    Ok(frame) => batch.take(place, frame, input, &names, settings),
                    Err(error) => batch.quarantine(place, None, &format!("malformed: {error}")),
                }
            }
        }
        batch
    }

    fn take(
        &mut self,
        place: usize,
        frame: Frame,
        input: &Input,
        names: &Names,
        settings: &Settings,
    ) {
        match frame {
            Frame::Bar {
                symbol,
                timeframe,
                is_closed: true,
                bar,
            } => {
                let Some(instrument) = self.named(place, &symbol, names) else {
                    return;
                };
                let rules = rules(&instrument, timeframe, input.venue, settings);
                let objection = rules
                    .of_the_future(&bar, input.received_at_ms)
                    .or_else(|| rules.objection(&bar, None, None));
                if let Some(reason) = objection {
                    return self.quarantine(place, Some(&symbol), &reason);
                }
                let series = self.bars.entry((instrument, timeframe.to_string()));
                let bars = &mut series
                    .or_insert_with(|| Series {
                        rules,
                        bars: BTreeMap::new(),
                    })
                    .bars;
                bars.insert(bar.open_time_ms, (place, bar));
            }
            Frame::Quote { symbol, quote } => {
                let Some(instrument) = self.named(place, &symbol, names) else {
                    return;
                };
                match LiveQuote::new(&instrument, &quote, input) {
                    Err(reason) => self.quarantine(place, Some(&symbol), &reason),
                    Ok(quote) => {
                        self.quote_count += 1;
                        let latest = self
                            .quotes
                            .entry(instrument)
                            .or_insert_with(|| quote.clone());
                        if quote.time_ms >= latest.time_ms {
                            *latest = quote;
                        }
                    }
                }
            }
            Frame::Trade { symbol, trade } => {
                let Some(instrument) = self.named(place, &symbol, names) else {
                    return;
                };
                match LiveTrade::new(trade, input) {
                    Err(reason) => self.quarantine(place, Some(&symbol), &reason),
                    Ok(trade) => {
                        self.trade_count += 1;
                        self.trades.entry(instrument).or_default().push(trade);
                    }
                }
            }
            // A bar that is still open comes again. What a venue says about the connection is for whoever holds it.
            Frame::Bar { .. } | Frame::Control(_) | Frame::Ignored { .. } => {}
        }
    }

    fn named(&mut self, place: usize, symbol: &str, names: &Names) -> Option<Instrument> {
        let instrument = names.instrument(symbol);
        if instrument.is_none() {
            self.quarantine(place, Some(symbol), UNPLANNED);
        }
        instrument
    }

    /// Notes what is not stored.
    pub fn quarantine(&mut self, frame: usize, symbol: Option<&str>, reason: &str) {
        self.quarantined_count += 1;
        if self.quarantined.len() < MAX_QUARANTINED_KEPT {
            self.quarantined.push(QuarantinedFrame {
                frame,
                symbol: symbol.map(|symbol| symbol.chars().take(MAX_SYMBOL_CHARS).collect()),
                reason: reason.chars().take(MAX_REASON_CHARS).collect(),
            });
        }
    }
}

fn rules(
    instrument: &Instrument,
    timeframe: Timeframe,
    venue: Venue,
    settings: &Settings,
) -> Rules {
    Rules {
        timeframe,
        calendar: calendar(instrument, settings),
        days_begin_in_utc: venue == Venue::Binance,
        stored_open_ms: None,
        max_jump: settings.max_bar_jump,
    }
}

fn elements(venue: Venue, text: &[u8]) -> Vec<Result<Frame, VenueError>> {
    match venue {
        Venue::Binance => vec![binance::stream::parse(text)],
        Venue::Alpaca => match alpaca::stream::parse(text) {
            Ok(elements) => elements,
            Err(error) => vec![Err(error)],
        },
    }
}

/// Instruments by the venue's symbols: those of the plan and of the variables.
#[derive(Debug)]
struct Names(BTreeMap<String, Instrument>);

impl Names {
    fn new(venue: Venue, plan: &Plan, settings: &Settings) -> Self {
        let planned = [&plan.daily_bars, &plan.intraday_trades];
        let planned = planned.into_iter().flatten().flat_map(|bars| &bars.symbols);
        let configured = settings.daily_bars.iter().chain(&settings.instruments);
        let instruments = configured.chain(planned);
        let named = instruments.filter_map(|instrument| {
            let symbol = venue.symbol(instrument, settings).ok()?;
            Some((symbol, instrument.clone()))
        });
        Self(named.collect())
    }

    fn instrument(&self, symbol: &str) -> Option<Instrument> {
        self.0.get(symbol).cloned()
    }
}
