//! Websocket streams: `/v2/iex`, `/v2/sip` and `/v1beta3/crypto/us`. A message is an array of elements, each of which
//! names its type in `T`.

use serde::Deserializer;
use serde_json::json;

use super::{Feed, Market, bars, latest};
use crate::VenueError;
use crate::error::cut;
use crate::frame::{self, Control, Frame, Remedy, StreamError};
use crate::json::{self, Context, Field, FieldFault, Read, Text};

/// The most seconds between connecting and authenticating; the venue ends a connection that takes longer.
pub const AUTH_TIMEOUT_SECONDS: u32 = 10;

/// Which symbols to stream in each channel. `*` is all symbols.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Each trade.
    pub trades: Vec<String>,
    /// The best bid and ask, whenever either changes.
    pub quotes: Vec<String>,
    /// Bars of a minute, when they close.
    pub bars: Vec<String>,
    /// Bars of a minute that late trades changed, half a minute after they closed.
    pub updated_bars: Vec<String>,
    /// The bar of the day, each minute.
    pub daily_bars: Vec<String>,
}

impl Subscription {
    /// The message that asks for these besides those that run.
    pub fn subscribe(&self) -> String {
        self.message("subscribe")
    }

    /// The message that ends these.
    pub fn unsubscribe(&self) -> String {
        self.message("unsubscribe")
    }

    fn message(&self, action: &str) -> String {
        json!({
            "action": action,
            "trades": self.trades,
            "quotes": self.quotes,
            "bars": self.bars,
            "updatedBars": self.updated_bars,
            "dailyBars": self.daily_bars,
        })
        .to_string()
    }
}

/// The path of the connection.
pub const fn path(market: Market) -> &'static str {
    match market {
        Market::Stocks(Feed::Iex) => "/v2/iex",
        Market::Stocks(Feed::Sip) => "/v2/sip",
        Market::Crypto => "/v1beta3/crypto/us",
    }
}

/// Reads one message: its elements in their order, each on its own, so that one that is at fault takes no other with it.
///
/// # Errors
/// The message is too long, is no JSON array, or has too many elements. An element: a field is missing or ill-typed.
pub fn parse(message: &[u8]) -> Result<Vec<Result<Frame, VenueError>>, VenueError> {
    let elements = json::elements(frame::bounded(message)?, frame::MAX_ELEMENTS)?;
    let frames = elements
        .into_iter()
        .enumerate()
        .map(|(place, text)| json::element(text, place).map(|Element(frame)| frame));
    Ok(frames.collect())
}

/// All fields that an element has; which of them one has, its type (`T`) says.
const NAMES: [&str; 28] = [
    "T",
    "S",
    "t",
    "o",
    "h",
    "l",
    "c",
    "v",
    "i",
    "p",
    "s",
    "tks",
    "bp",
    "bs",
    "ap",
    "as",
    "msg",
    "code",
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
    "orderbooks",
];

struct Element(Frame);

impl<'a> Read<'a> for Element {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, NAMES, |fields| frame_of(fields).map(Self))
    }
}

fn frame_of(fields: [Field<'_>; 28]) -> Result<Frame, FieldFault> {
    let [
        kind,
        symbol,
        t,
        o,
        h,
        l,
        c,
        v,
        i,
        p,
        s,
        tks,
        bp,
        bs,
        ap,
        asked,
        msg,
        code,
        channels @ ..,
    ] = fields;
    let bar = |timeframe: &str, is_closed| {
        Ok(Frame::Bar {
            symbol: symbol.string()?,
            timeframe: timeframe
                .parse()
                .map_err(|_| kind.fault("no such timeframe"))?,
            is_closed,
            bar: bars::bar([t, o, h, l, c, v])?,
        })
    };
    match kind.text()?.as_ref() {
        "t" => Ok(Frame::Trade {
            symbol: symbol.string()?,
            trade: latest::trade([t, i, p, s, tks])?,
        }),
        "q" => Ok(Frame::Quote {
            symbol: symbol.string()?,
            quote: latest::quote([t, bp, bs, ap, asked])?,
        }),
        "b" | "u" => bar("1m", true),
        "d" => bar("1d", false),
        "success" => Ok(match msg.text()?.as_ref() {
            "connected" => Frame::Control(Control::Connected),
            "authenticated" => Frame::Control(Control::Authenticated),
            _ => Frame::Control(Control::Acknowledged { id: None }),
        }),
        "subscription" => subscribed(&channels),
        "error" => {
            let code = code.integer()?;
            Ok(Frame::Control(Control::Error(StreamError {
                code,
                message: cut(&msg.text()?),
                remedy: remedy(code),
            })))
        }
        other => Ok(Frame::Ignored { kind: cut(other) }),
    }
}

fn subscribed(channels: &[Field<'_>]) -> Result<Frame, FieldFault> {
    let mut all = Vec::new();
    for channel in channels.iter().filter_map(|channel| channel.optional()) {
        let symbols: Vec<Text> = channel.read(frame::MAX_ELEMENTS)?;
        let named = |Text(symbol)| format!("{}:{symbol}", channel.name());
        all.extend(symbols.into_iter().map(named));
    }
    Ok(Frame::Control(Control::Subscribed(all)))
}

/// The codes of the streaming documentation.
const fn remedy(code: i64) -> Remedy {
    match code {
        // 404: authentication took too long. 406: the connections of the account are taken, at times by one that has
        // just been lost. 407: we read too slowly. 500: the venue failed.
        404 | 406 | 407 | 500 => Remedy::Reconnect,
        // 400: malformed. 401, 402, 403: not authenticated, or wrongly. 405: more symbols than the account may have.
        // 409 to 413: what the account or the feed does not allow.
        400..=499 => Remedy::Stop,
        _ => Remedy::Reconnect,
    }
}

#[cfg(test)]
mod tests;
