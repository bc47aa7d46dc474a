//! What the stage is configured with: the manifest's variables.

use std::fmt;

use bulkhead_kernel::flag;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::money::parse_decimal;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::alpaca::{Adjustment, Feed};
use rust_decimal::Decimal;

mod origin;
#[cfg(test)]
pub(crate) mod tests;

pub use origin::Origin;

/// The most symbols of one dimension.
pub const MAX_SYMBOLS: usize = 512;
/// From what distance on a bar jumps, as a fraction of the close before it, unless `max_bar_jump` says otherwise.
const DEFAULT_MAX_BAR_JUMP: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// Whose protocol a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venue {
    /// Binance spot, and the paper venue that serves a bar file.
    Binance,
    /// Alpaca market data.
    Alpaca,
}

impl Venue {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Alpaca => "alpaca",
        }
    }

    fn read(key: &str, text: &str) -> Result<Self, String> {
        match text {
            "binance" => Ok(Self::Binance),
            "alpaca" => Ok(Self::Alpaca),
            other => Err(format!("`{key}` must be `binance` or `alpaca`: `{other}`")),
        }
    }
}

/// Which source one is: they are asked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `market_data_url`.
    Primary,
    /// `fallback_market_data_url`.
    Secondary,
    /// `bar_file_url`.
    BarFile,
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::BarFile => "bar_file",
        }
    }
}

/// Somebody who can be asked for bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which one it is.
    pub role: Role,
    /// Whose protocol it speaks.
    pub venue: Venue,
    /// Where it is.
    pub origin: Origin,
}

impl fmt::Display for Source {
    /// `primary binance https://api.binance.com`: how documents name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, venue) = (self.role.as_str(), self.venue.as_str());
        write!(f, "{role} {venue} {}", self.origin)
    }
}

/// Where a series without any bar begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// At the venue's first bar.
    Earliest,
    /// Where the series' lookback begins.
    Latest,
    /// At this instant, in Unix milliseconds.
    From(i64),
}

/// The configuration of the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who is asked, in order: 1 to 3. Variables `market_data_url` and `market_data_venue`; `fallback_market_data_url` and
    /// `fallback_market_data_venue`; `bar_file_url` and `bar_file_enabled`.
    pub sources: Vec<Source>,
    /// Of stocks at Alpaca, which exchanges: `alpaca_feed`, `iex` or `sip`.
    pub feed: Feed,
    /// Of stocks at Alpaca, what bars are adjusted for: `alpaca_adjustment`, `raw`, `split`, `dividend` or `all`.
    pub adjustment: Adjustment,
    /// Of which instruments bars within the day: `instruments`, parted by commas.
    pub instruments: Vec<Instrument>,
    /// Of which instruments daily bars: `daily_bars`, parted by commas.
    pub daily_bars: Vec<Instrument>,
    /// The length of bars within the day: `timeframe`.
    pub timeframe: Timeframe,
    /// Where a new series begins: `backfill_start`, one of `earliest`, `latest`, or Unix milliseconds.
    pub backfill: Backfill,
    /// Who is asked for macro events, if that is on: `macro_events_url`, `macro_events_enabled`.
    pub macro_events: Option<Origin>,
    /// From what distance on a bar jumps, as a fraction of the close before it: `max_bar_jump`. None: it is `0`.
    pub max_bar_jump: Option<Decimal>,
}

impl Settings {
    /// Reads the settings through `get`, which answers by key.
    ///
    /// # Errors
    /// The text names the key that is absent or malformed.
    pub fn read(get: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Self, String> {
        let text = |key: &str| -> Result<Option<String>, String> {
            let value = get(key)?.map(|value| value.trim().to_owned());
            Ok(value.filter(|value| !value.is_empty()))
        };
        let required =
            |key: &str| text(key)?.ok_or_else(|| format!("the configuration has no `{key}`"));
        let timeframe_text = required("timeframe")?;
        let settings = Self {
            sources: read_sources(&text)?,
            feed: read_feed(text("alpaca_feed")?.as_deref())?,
            adjustment: read_adjustment(text("alpaca_adjustment")?.as_deref())?,
            instruments: read_instruments("instruments", &required("instruments")?)?,
            daily_bars: match text("daily_bars")? {
                Some(list) => read_instruments("daily_bars", &list)?,
                None => vec![],
            },
            timeframe: timeframe_text
                .parse()
                .map_err(|error| format!("`timeframe` `{timeframe_text}`: {error}"))?,
            backfill: read_backfill(text("backfill_start")?.as_deref())?,
            macro_events: match read_flag("macro_events_enabled", text("macro_events_enabled")?)? {
                true => Some(Origin::read(
                    "macro_events_url",
                    &required("macro_events_url")?,
                )?),
                false => None,
            },
            max_bar_jump: read_jump(text("max_bar_jump")?.as_deref())?,
        };
        Ok(settings)
    }

    /// Whether one of the sources is Alpaca: an instrument named by a single ticker is then a US stock.
    pub fn knows_stocks(&self) -> bool {
        let is_alpaca = |source: &Source| source.venue == Venue::Alpaca;
        self.sources.iter().any(is_alpaca)
    }
}

type Text<'a> = dyn Fn(&str) -> Result<Option<String>, String> + 'a;

fn read_sources(text: &Text<'_>) -> Result<Vec<Source>, String> {
    let origin = |key: &str| -> Result<Origin, String> {
        let url = text(key)?.ok_or_else(|| format!("the configuration has no `{key}`"))?;
        Origin::read(key, &url)
    };
    let mut sources = vec![Source {
        role: Role::Primary,
        venue: match text("market_data_venue")? {
            Some(venue) => Venue::read("market_data_venue", &venue)?,
            None => Venue::Binance,
        },
        origin: origin("market_data_url")?,
    }];
    if let Some(venue) = text("fallback_market_data_venue")?.filter(|venue| venue != "none") {
        sources.push(Source {
            role: Role::Secondary,
            venue: Venue::read("fallback_market_data_venue", &venue)?,
            origin: origin("fallback_market_data_url")?,
        });
    }
    if read_flag("bar_file_enabled", text("bar_file_enabled")?)? {
        sources.push(Source {
            role: Role::BarFile,
            venue: Venue::Binance,
            origin: origin("bar_file_url")?,
        });
    }
    Ok(sources)
}

fn read_flag(key: &str, text: Option<String>) -> Result<bool, String> {
    let text = text.unwrap_or_default();
    flag::read(&text).ok_or_else(|| format!("`{key}` must be `0` or `1`: `{text}`"))
}

fn read_feed(text: Option<&str>) -> Result<Feed, String> {
    match text {
        None | Some("iex") => Ok(Feed::Iex),
        Some("sip") => Ok(Feed::Sip),
        Some(other) => Err(format!("`alpaca_feed` must be `iex` or `sip`: `{other}`")),
    }
}

fn read_adjustment(text: Option<&str>) -> Result<Adjustment, String> {
    let all = [
        Adjustment::Raw,
        Adjustment::Split,
        Adjustment::Dividend,
        Adjustment::All,
    ];
    let Some(text) = text else {
        return Ok(Adjustment::All);
    };
    all.into_iter()
        .find(|adjustment| adjustment.as_str() == text)
        .ok_or_else(|| {
            format!("`alpaca_adjustment` must be `raw`, `split`, `dividend` or `all`: `{text}`")
        })
}

fn read_backfill(text: Option<&str>) -> Result<Backfill, String> {
    match text {
        None | Some("latest") => Ok(Backfill::Latest),
        Some("earliest") => Ok(Backfill::Earliest),
        Some(text) => match text.parse() {
            Ok(millis) if millis >= 0 => Ok(Backfill::From(millis)),
            _ => Err(format!(
                "`backfill_start` must be `earliest`, `latest` or Unix milliseconds: `{text}`"
            )),
        },
    }
}

fn read_jump(text: Option<&str>) -> Result<Option<Decimal>, String> {
    let Some(text) = text else {
        return Ok(Some(DEFAULT_MAX_BAR_JUMP));
    };
    match parse_decimal(text) {
        Ok(jump) if jump.is_zero() => Ok(None),
        Ok(jump) if jump > Decimal::ZERO => Ok(Some(jump)),
        _ => Err(format!(
            "`max_bar_jump` must be a fraction such as `0.5`, or `0`: `{text}`"
        )),
    }
}

/// Reads the names as every stage does, so that bars are stored under the name that is looked for later.
fn read_instruments(key: &str, list: &str) -> Result<Vec<Instrument>, String> {
    let instruments = Instrument::parse_list(list).map_err(|error| format!("`{key}`: {error}"))?;
    if instruments.is_empty() {
        return Err(format!("`{key}` names none"));
    }
    if instruments.len() > MAX_SYMBOLS {
        return Err(format!("`{key}` names more than {MAX_SYMBOLS}"));
    }
    Ok(instruments)
}
