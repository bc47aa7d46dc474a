//! What the host says to a venue so that it streams.

use std::fmt;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::{FeedChannel, FeedVenue};
use bulkhead_venues::alpaca::stream::Subscription;
use bulkhead_venues::alpaca::{self, Market};
use bulkhead_venues::binance;
use bulkhead_venues::binance::stream::Channel;
use bulkhead_venues::frame::Control;
use serde_json::json;

/// The length of the bars that Alpaca streams.
const ALPACA_TIMEFRAME: &str = "1m";

/// A venue's key and what goes with it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub key_id: String,
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// How a venue is asked to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The streams stand in the URL: who is connected is subscribed.
    Binance {
        /// Their names.
        streams: Vec<String>,
    },
    /// The venue greets, takes the credentials, then the subscription.
    Alpaca {
        /// The account's.
        credentials: Credentials,
        /// What to stream.
        subscription: Subscription,
    },
}

/// What a feed is to stream.
pub(crate) struct Wanted<'a> {
    pub venue: FeedVenue,
    pub path: &'a str,
    pub instruments: &'a [Instrument],
    pub timeframe: Timeframe,
    pub channels: &'a [FeedChannel],
    pub credentials: Option<Credentials>,
}

/// What the venue's protocol has no word for.
#[derive(Debug)]
pub(crate) enum Unworded {
    /// A symbol.
    Symbol(bulkhead_venues::VenueError),
    /// Anything else: what, and what there is instead.
    Other(String),
}

impl From<bulkhead_venues::VenueError> for Unworded {
    fn from(error: bulkhead_venues::VenueError) -> Self {
        Self::Symbol(error)
    }
}

impl Protocol {
    pub fn of(wanted: Wanted<'_>) -> Result<Self, Unworded> {
        match wanted.venue {
            FeedVenue::Binance => binance_streams(&wanted),
            FeedVenue::Alpaca => alpaca_subscription(wanted),
        }
    }

    /// The query of the connection's URL. None: it has none.
    pub fn query(&self) -> Option<String> {
        match self {
            Self::Binance { streams } => Some(format!("streams={}", streams.join("/"))),
            Self::Alpaca { .. } => None,
        }
    }

    /// Whether a connection that stands is a subscription.
    pub fn subscribes_by_connecting(&self) -> bool {
        matches!(self, Self::Binance { .. })
    }

    /// What is to be said when the venue has said this.
    pub fn answer(&self, control: &Control) -> Option<String> {
        let Self::Alpaca {
            credentials,
            subscription,
        } = self
        else {
            return None;
        };
        match control {
            Control::Connected => Some(
                json!({
                    "action": "auth",
                    "key": credentials.key_id,
                    "secret": credentials.secret_key,
                })
                .to_string(),
            ),
            Control::Authenticated => Some(subscription.subscribe()),
            _ => None,
        }
    }
}

fn binance_streams(wanted: &Wanted<'_>) -> Result<Protocol, Unworded> {
    let mut streams = Vec::new();
    for instrument in wanted.instruments {
        let symbol = binance::symbol(instrument.as_str())?;
        for channel in wanted.channels {
            let channel = match channel {
                FeedChannel::Bars => Channel::Kline(wanted.timeframe),
                FeedChannel::Trades => Channel::Trade,
                FeedChannel::Quotes => Channel::BookTicker,
            };
            streams.push(binance::stream::name(&symbol, channel));
        }
    }
    if streams.len() > binance::stream::MAX_STREAMS {
        return Err(Unworded::Other(format!(
            "it asks for {} streams, and a connection to `binance` has at most {}",
            streams.len(),
            binance::stream::MAX_STREAMS
        )));
    }
    Ok(Protocol::Binance { streams })
}

fn alpaca_subscription(wanted: Wanted<'_>) -> Result<Protocol, Unworded> {
    let has_bars = wanted.channels.contains(&FeedChannel::Bars);
    if has_bars && wanted.timeframe.to_string() != ALPACA_TIMEFRAME {
        return Err(Unworded::Other(format!(
            "`alpaca` streams bars of {ALPACA_TIMEFRAME}, not of {}: leave `bars` out of `channels`, or set `timeframe`",
            wanted.timeframe
        )));
    }
    let Some(credentials) = wanted.credentials else {
        return Err(Unworded::Other(
            "`alpaca` asks for `key_id` and `secret_key`".to_owned(),
        ));
    };
    let market = market(wanted.path);
    let symbols: Vec<String> = wanted
        .instruments
        .iter()
        .map(|instrument| market.symbol(instrument))
        .collect::<Result<_, _>>()?;
    let of = |channel| match wanted.channels.contains(&channel) {
        true => symbols.clone(),
        false => Vec::new(),
    };
    let subscription = Subscription {
        trades: of(FeedChannel::Trades),
        quotes: of(FeedChannel::Quotes),
        bars: of(FeedChannel::Bars),
        updated_bars: of(FeedChannel::Bars),
        daily_bars: Vec::new(),
    };
    Ok(Protocol::Alpaca {
        credentials,
        subscription,
    })
}

/// The market behind a path: crypto by its own, stocks by any other.
fn market(path: &str) -> Market {
    if path == alpaca::stream::path(Market::Crypto) {
        Market::Crypto
    } else {
        Market::Stocks(alpaca::Feed::Iex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(
        venue: FeedVenue,
        path: &'static str,
        instruments: &[Instrument],
    ) -> Result<Protocol, Unworded> {
        Protocol::of(Wanted {
            venue,
            path,
            instruments,
            timeframe: "1m".parse().unwrap(),
            channels: &FeedChannel::ALL,
            credentials: Some(Credentials {
                key_id: "PK1".to_owned(),
                secret_key: "hunter2".to_owned(),
            }),
        })
    }

    #[test]
    fn binances_streams_stand_in_the_query() {
        let instruments = Instrument::parse_list("BTC-USDT,ETH-USDT").unwrap();
        let protocol = wanted(FeedVenue::Binance, "/stream", &instruments).unwrap();
        assert_eq!(
            protocol.query().unwrap(),
            "streams=btcusdt@kline_1m/btcusdt@trade/btcusdt@bookTicker/ethusdt@kline_1m/ethusdt@trade/ethusdt@bookTicker"
        );
        assert_eq!(protocol.answer(&Control::Connected), None);
    }

    #[test]
    fn alpaca_is_given_the_credentials_when_it_greets_and_the_subscription_when_it_takes_them() {
        let instruments = Instrument::parse_list("BTC-USD").unwrap();
        let protocol = wanted(FeedVenue::Alpaca, "/v1beta3/crypto/us", &instruments).unwrap();
        assert_eq!(
            protocol.answer(&Control::Connected).unwrap(),
            r#"{"action":"auth","key":"PK1","secret":"hunter2"}"#
        );
        let subscribe = protocol.answer(&Control::Authenticated).unwrap();
        assert!(
            subscribe.contains(r#""action":"subscribe","trades":["BTC/USD"]"#),
            "{subscribe}"
        );
        assert_eq!(protocol.query(), None);
    }

    #[test]
    fn credentials_are_never_shown() {
        let instruments = Instrument::parse_list("SPY").unwrap();
        let protocol = wanted(FeedVenue::Alpaca, "/v2/iex", &instruments).unwrap();
        let shown = format!("{protocol:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("PK1"),
            "{shown}"
        );
    }

    #[test]
    fn what_the_venue_has_no_word_for_is_refused() {
        let malformed = Instrument::parse_list("BRK/B").unwrap();
        assert!(matches!(
            wanted(FeedVenue::Alpaca, "/v2/iex", &malformed),
            Err(Unworded::Symbol(_))
        ));
        let many: Vec<Instrument> = (0..400)
            .map(|number| format!("A{number}-USDT").parse().unwrap())
            .collect();
        assert!(matches!(
            wanted(FeedVenue::Binance, "/stream", &many),
            Err(Unworded::Other(_))
        ));
    }
}
