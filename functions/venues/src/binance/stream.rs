//! Websocket market streams: combined (`/stream`, each event in `{"stream":…,"data":…}`) and raw (`/ws`, bare events).
//! Of both, `trade`, `aggTrade`, `kline` and `bookTicker` are read, and what answers a request or tells of an error.

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::intent::Side;
use bulkhead_kernel::timeframe::Timeframe;
use serde::Deserializer;
use serde_json::json;

use crate::VenueError;
use crate::error::cut;
use crate::frame::{self, Control, Frame, Quote, Remedy, StreamError, Trade};
use crate::json::{self, Context, Field, FieldFault, Read, Text};

/// The path of the connection, on which streams are subscribed by [`subscribe`].
pub const PATH: &str = "/stream";
/// The most streams of one connection.
pub const MAX_STREAMS: usize = 1_024;
/// The most messages that a connection may send in a second; the venue ends one that sends more.
pub const MAX_SENT_PER_SECOND: u32 = 5;

/// A stream of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Each trade.
    Trade,
    /// Trades of one order at one price and time, together.
    AggTrade,
    /// Bars of this length, each second or two while they are open, and once when they close.
    Kline(Timeframe),
    /// The best bid and ask, whenever either changes.
    BookTicker,
}

/// The stream's name, for example `btcusdt@kline_1m`.
pub fn name(symbol: &str, channel: Channel) -> String {
    let symbol = symbol.to_ascii_lowercase();
    match channel {
        Channel::Trade => format!("{symbol}@trade"),
        Channel::AggTrade => format!("{symbol}@aggTrade"),
        Channel::Kline(timeframe) => format!("{symbol}@kline_{timeframe}"),
        Channel::BookTicker => format!("{symbol}@bookTicker"),
    }
}

/// The message that asks for streams besides those that run; its acknowledgement has the same `id`.
pub fn subscribe(streams: &[String], id: u32) -> String {
    json!({ "method": "SUBSCRIBE", "params": streams, "id": id }).to_string()
}

/// The message that ends streams; its acknowledgement has the same `id`.
pub fn unsubscribe(streams: &[String], id: u32) -> String {
    json!({ "method": "UNSUBSCRIBE", "params": streams, "id": id }).to_string()
}

/// Reads one message.
///
/// # Errors
/// It is too long, is no JSON object, or a field is missing or ill-typed.
pub fn parse(message: &[u8]) -> Result<Frame, VenueError> {
    let Message(frame) = json::read(frame::bounded(message)?, frame::MAX_ELEMENTS)?;
    Ok(frame)
}

/// All fields that an event or an answer has; which of them one has, its type (`e`) says.
const NAMES: [&str; 18] = [
    "e", "s", "t", "p", "q", "T", "m", "a", "b", "B", "A", "u", "k", "result", "error", "code",
    "msg", "id",
];

struct Message(Frame);

impl<'a> Read<'a> for Message {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested_optional(source, context, "data", NAMES, |data, fields| match data {
            Some(Event(frame)) => Ok(Self(frame)),
            None => frame_of(fields).map(Self),
        })
    }
}

/// What a combined stream wraps. It wraps nothing itself, so that a message cannot nest for ever.
struct Event(Frame);

impl<'a> Read<'a> for Event {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, NAMES, |fields| frame_of(fields).map(Self))
    }
}

fn frame_of(fields: [Field<'_>; 18]) -> Result<Frame, FieldFault> {
    let [
        event,
        symbol,
        trade_id,
        price,
        quantity,
        time,
        is_buyer_maker,
        a,
        b,
        bids,
        asks,
        update_id,
        kline,
        result,
        error,
        code,
        msg,
        id,
    ] = fields;
    if error.optional().is_some() {
        return error
            .read::<ErrorElement>(1)
            .map(|ErrorElement(frame)| frame);
    }
    if code.optional().is_some() {
        return stream_error(code, msg);
    }
    if !result.is_missing() {
        return answer(result, id);
    }
    let trade = |id: Field<'_>| {
        Ok(Frame::Trade {
            symbol: symbol.string()?,
            trade: Trade {
                id: id.id()?,
                time_ns: time.millis_as_ns()?,
                price: price.text_decimal()?,
                size: quantity.text_decimal()?,
                // The buyer waited in the book, so the seller took.
                taker_side: Some(match is_buyer_maker.boolean()? {
                    true => Side::Sell,
                    false => Side::Buy,
                }),
            },
        })
    };
    if event.is_missing() && !update_id.is_missing() {
        // `bookTicker` alone names neither its type nor its time.
        return Ok(Frame::Quote {
            symbol: symbol.string()?,
            quote: Quote {
                time_ns: None,
                bid_price: b.text_decimal()?,
                bid_size: bids.text_decimal()?,
                ask_price: a.text_decimal()?,
                ask_size: asks.text_decimal()?,
            },
        });
    }
    match event.text()?.as_ref() {
        "trade" => trade(trade_id),
        "aggTrade" => trade(a),
        "kline" => {
            let Kline {
                timeframe,
                is_closed,
                bar,
            } = kline.read(1)?;
            Ok(Frame::Bar {
                symbol: symbol.string()?,
                timeframe,
                is_closed,
                bar,
            })
        }
        other => Ok(Frame::Ignored { kind: cut(other) }),
    }
}

/// The answer to a request: null when it was carried out, a list when it asked for the subscriptions.
fn answer(result: Field<'_>, id: Field<'_>) -> Result<Frame, FieldFault> {
    let control = match result.optional() {
        None => Control::Acknowledged {
            id: id.optional().map(|id| id.id()).transpose()?,
        },
        Some(result) => {
            let streams: Vec<Text> = result.read(MAX_STREAMS)?;
            Control::Subscribed(streams.into_iter().map(|Text(name)| name).collect())
        }
    };
    Ok(Frame::Control(control))
}

struct ErrorElement(Frame);

impl<'a> Read<'a> for ErrorElement {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, ["code", "msg"], |[code, msg]| {
            stream_error(code, msg).map(Self)
        })
    }
}

fn stream_error(code: Field<'_>, msg: Field<'_>) -> Result<Frame, FieldFault> {
    let code = code.integer()?;
    Ok(Frame::Control(Control::Error(StreamError {
        code,
        message: cut(&msg.text()?),
        // 0 to 4: the request is malformed, and would be again.
        remedy: match code {
            0..=4 => Remedy::Stop,
            _ => Remedy::Reconnect,
        },
    })))
}

struct Kline {
    timeframe: Timeframe,
    is_closed: bool,
    bar: Bar,
}

impl<'a> Read<'a> for Kline {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["t", "i", "o", "h", "l", "c", "v", "x"];
        json::object(source, context, names, |[t, i, o, h, l, c, v, x]| {
            Ok(Self {
                timeframe: i.text()?.parse().map_err(
                    |error: bulkhead_kernel::timeframe::TimeframeError| i.fault(error.to_string()),
                )?,
                is_closed: x.boolean()?,
                bar: Bar {
                    open_time_ms: t.integer()?,
                    open: o.text_decimal()?,
                    high: h.text_decimal()?,
                    low: l.text_decimal()?,
                    close: c.text_decimal()?,
                    volume: v.text_decimal()?,
                },
            })
        })
    }
}

#[cfg(test)]
mod tests;
