//! What a source is asked, in its venue's protocol, and what it answered.

use std::collections::BTreeMap;

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::alpaca::{self, Market, bars};
use bulkhead_venues::binance::{self, klines};
use bulkhead_venues::rate_limit::Budget;
use bulkhead_venues::{HttpRequest, HttpResponse, VenueError};

use crate::plan::is_pair;
use crate::settings::{Settings, Venue};

/// The most symbols of one request.
pub const MAX_SYMBOLS_PER_REQUEST: usize = 100;
/// The most bars of one page of Alpaca's, so that it fits the bytes that are read of an answer.
const ALPACA_PAGE_BARS: u16 = 5_000;

/// A page to ask a source for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Of one symbol.
    Binance(klines::Request),
    /// Of several.
    Alpaca(bars::Request),
}

/// What a source answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Bars of the symbol that was asked for, and whether there may be more.
    One(Vec<Bar>, bool),
    /// Bars by symbol, and what asks for the next page.
    Several(BTreeMap<String, Vec<Bar>>, Option<String>),
}

impl Venue {
    /// The budget of a venue that was not asked yet.
    pub fn budget(self) -> Budget {
        match self {
            Self::Binance => Budget::binance(),
            Self::Alpaca => Budget::alpaca(),
        }
    }

    /// The symbol of an instrument.
    ///
    /// # Errors
    /// The venue has no such symbol.
    pub fn symbol(
        self,
        instrument: &Instrument,
        settings: &Settings,
    ) -> Result<String, VenueError> {
        match self {
            Self::Binance => binance::symbol(instrument.as_str()),
            Self::Alpaca => market(instrument, settings).symbol(instrument),
        }
    }

    /// How many symbols a request may name.
    pub const fn symbols_per_request(self) -> usize {
        match self {
            Self::Binance => 1,
            Self::Alpaca => MAX_SYMBOLS_PER_REQUEST,
        }
    }
}

/// Where Alpaca has an instrument: a pair among crypto, a single ticker among stocks.
pub fn market(instrument: &Instrument, settings: &Settings) -> Market {
    if is_pair(instrument) {
        Market::Crypto
    } else {
        Market::Stocks(settings.feed)
    }
}

/// What is asked of a source in one page.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Whose protocol.
    pub venue: Venue,
    /// Whose market, at Alpaca.
    pub market: Market,
    /// The venue's symbols.
    pub symbols: Vec<String>,
    /// The bars' length.
    pub timeframe: Timeframe,
    /// From this instant on, in Unix milliseconds. None: the most recent ones.
    pub start_ms: Option<i64>,
    /// Up to this one.
    pub end_ms: Option<i64>,
    /// What asks for the next page, where the venue gave it.
    pub page_token: Option<&'a str>,
}

impl Ask {
    /// Words it for the venue.
    pub fn new(wanted: &Wanted<'_>, settings: &Settings) -> Self {
        match wanted.venue {
            Venue::Binance => Self::Binance(klines::Request {
                symbol: wanted.symbols.first().cloned().unwrap_or_default(),
                interval: wanted.timeframe,
                start_time_ms: wanted.start_ms,
                end_time_ms: wanted.end_ms,
                limit: klines::MAX_LIMIT,
            }),
            Venue::Alpaca => Self::Alpaca(bars::Request {
                market: wanted.market,
                symbols: wanted.symbols.clone(),
                timeframe: wanted.timeframe,
                adjustment: settings.adjustment,
                start_ms: wanted.start_ms,
                end_ms: wanted.end_ms,
                limit: ALPACA_PAGE_BARS,
                page_token: wanted.page_token.map(str::to_owned),
            }),
        }
    }

    /// What it costs of the venue's budget.
    pub const fn weight(&self) -> u32 {
        match self {
            Self::Binance(_) => klines::WEIGHT,
            Self::Alpaca(_) => alpaca::bars::WEIGHT,
        }
    }

    /// The request on the wire.
    ///
    /// # Errors
    /// The venue has no word for it.
    pub fn to_http(&self) -> Result<HttpRequest, VenueError> {
        match self {
            Self::Binance(request) => Ok(request.to_http()),
            Self::Alpaca(request) => request.to_http(),
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What the venue said instead.
    pub fn parse(&self, response: &HttpResponse<'_>) -> Result<Answer, VenueError> {
        match self {
            Self::Binance(request) => {
                let page = klines::parse(response, request.limit)?;
                let is_full = page.len() >= usize::from(request.limit);
                Ok(Answer::One(page, is_full))
            }
            Self::Alpaca(request) => {
                let page = bars::parse(response, request.limit)?;
                Ok(Answer::Several(page.bars, page.next_page_token))
            }
        }
    }
}
