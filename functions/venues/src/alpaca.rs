//! Alpaca market data: REST and websocket streams, of stocks and of crypto. The keys are not known here: the gate of the
//! host adds them to requests, and the host sends the stream's `auth` message.

pub mod bars;
pub mod latest;
pub mod stream;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;

use crate::VenueError;
use crate::error::cut;

/// The most symbols of one request: a query that any proxy lets through. The venue names no bound of its own.
pub const MAX_SYMBOLS: usize = 500;
/// The longest pagination token that is taken from an answer and given back.
const MAX_TOKEN_CHARS: usize = 1_024;

/// What kind of instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Market {
    /// US stocks, under `/v2/stocks`.
    Stocks(Feed),
    /// Crypto on Alpaca's own venue, under `/v1beta3/crypto/us`.
    Crypto,
}

/// Where stock data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Investors Exchange alone: free of charge.
    Iex,
    /// All US exchanges: asks for a subscription.
    Sip,
}

impl Feed {
    /// The venue's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iex => "iex",
            Self::Sip => "sip",
        }
    }
}

/// Which corporate actions the bars of stocks are adjusted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// None.
    Raw,
    /// Splits: price and volume.
    Split,
    /// Cash dividends: price.
    Dividend,
    /// All that the venue knows of.
    All,
}

impl Adjustment {
    /// The venue's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Split => "split",
            Self::Dividend => "dividend",
            Self::All => "all",
        }
    }
}

impl Market {
    const fn path(self) -> &'static str {
        match self {
            Self::Stocks(_) => "/v2/stocks",
            Self::Crypto => "/v1beta3/crypto/us",
        }
    }

    const fn feed(self) -> Option<&'static str> {
        match self {
            Self::Stocks(feed) => Some(feed.as_str()),
            Self::Crypto => None,
        }
    }

    /// The symbol of an instrument: a stock's own name (`SPY`, `BRK.B`), or base and quote joined by a slash (`BTC-USD`
    /// and `BTC/USD` are `BTC/USD`).
    ///
    /// # Errors
    /// The market has no such symbol.
    pub fn symbol(self, instrument: &Instrument) -> Result<String, VenueError> {
        let name = instrument.as_str();
        let (symbol, is_symbol, pattern) = match self {
            Self::Stocks(_) => (name.to_owned(), is_stock(name), "^[A-Z0-9.]+$"),
            Self::Crypto => {
                let pair = name.replace('-', "/");
                let is_pair = is_pair(&pair);
                (pair, is_pair, "^[A-Z0-9]+/[A-Z0-9]+$")
            }
        };
        if is_symbol {
            return Ok(symbol);
        }
        Err(VenueError::Symbol {
            name: cut(name),
            pattern,
        })
    }
}

fn is_stock(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'.')
}

fn is_pair(name: &str) -> bool {
    let is_asset = |asset: &str| !asset.is_empty() && !asset.contains('.') && is_stock(asset);
    name.split_once('/')
        .is_some_and(|(base, quote)| is_asset(base) && is_asset(quote))
}

/// The bar's length as the venue writes it: `1Min`, `5Min`, `1Hour`, `1Day`, `1Week`.
///
/// # Errors
/// The venue has no bars of this length: it has 1 to 59 minutes, 1 to 23 hours, one day and one week.
pub fn timeframe(timeframe: Timeframe) -> Result<String, VenueError> {
    let written = timeframe.to_string();
    let (count, unit) = written.split_at(written.len() - 1);
    let count: u32 = count.parse().unwrap_or(u32::MAX);
    match (unit, count) {
        ("m", 1..=59) => Ok(format!("{count}Min")),
        ("h", 1..=23) => Ok(format!("{count}Hour")),
        ("d", 1) => Ok("1Day".to_owned()),
        ("w", 1) => Ok("1Week".to_owned()),
        _ => Err(VenueError::Request {
            parameter: "timeframe",
            detail: format!("`{written}` is not served: use 1m to 59m, 1h to 23h, 1d or 1w"),
        }),
    }
}

/// Symbols as the parameter `symbols` of a request.
fn joined(symbols: &[String]) -> Result<String, VenueError> {
    if symbols.is_empty() || symbols.len() > MAX_SYMBOLS {
        return Err(VenueError::Request {
            parameter: "symbols",
            detail: format!("names {}: use 1 to {MAX_SYMBOLS}", symbols.len()),
        });
    }
    Ok(symbols.join(","))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::{Feed, Market, timeframe};

    #[test]
    fn an_instrument_becomes_the_symbol_of_its_market() {
        for (market, instrument, expect) in [
            (Market::Stocks(Feed::Iex), "spy", "SPY"),
            (Market::Stocks(Feed::Sip), "BRK.B", "BRK.B"),
            (Market::Crypto, "BTC-USD", "BTC/USD"),
            (Market::Crypto, "eth/usdt", "ETH/USDT"),
        ] {
            let symbol = market.symbol(&instrument.parse().unwrap());
            assert_eq!(symbol.unwrap(), expect);
        }
    }

    #[test]
    fn an_instrument_of_the_other_market_is_refused() {
        for (market, instrument) in [
            (Market::Stocks(Feed::Iex), "BTC-USD"),
            (Market::Stocks(Feed::Iex), "BTC/USD"),
            (Market::Crypto, "SPY"),
            (Market::Crypto, "A-B-C"),
            (Market::Crypto, "A.B-C"),
        ] {
            let symbol = market.symbol(&instrument.parse().unwrap());
            assert!(symbol.is_err(), "{instrument}");
        }
    }

    #[test]
    fn a_timeframe_is_written_as_the_venue_writes_it_or_refused() {
        for (ours, venue) in [
            ("1m", Some("1Min")),
            ("5m", Some("5Min")),
            ("59m", Some("59Min")),
            ("60m", None),
            ("1h", Some("1Hour")),
            ("23h", Some("23Hour")),
            ("24h", None),
            ("1d", Some("1Day")),
            ("2d", None),
            ("1w", Some("1Week")),
            ("2w", None),
            ("1s", None),
        ] {
            let written = timeframe(ours.parse().unwrap());
            assert_eq!(written.ok().as_deref(), venue, "{ours}");
        }
    }
}
