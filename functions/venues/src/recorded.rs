//! Market data as a collector recorded it: a JSON array of `{"Item":{"Ok":{…}}}` for what a venue's stream gave and
//! `{"Reconnecting":"…"}` where the connection was lost. The form is that of the collector `barter-data`; prices and amounts are JSON
//! numbers, and are read from their text.

use bulkhead_kernel::intent::Side;
use serde::Deserializer;

use crate::VenueError;
use crate::frame::{Control, Frame, Trade};
use crate::json::{self, Context, Read};

/// The most records of one recording.
pub const MAX_RECORDS: usize = 10_000_000;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The venue, as the collector names it: `binance_spot`.
    pub exchange: String,
    /// When the collector received it, in Unix nanoseconds. None: it was not received but noticed.
    pub received_ns: Option<i64>,
    /// What it was.
    pub frame: Frame,
}

/// Reads a recording. `symbols` are the names of the collector's instruments, which it numbers from 0.
///
/// # Errors
/// The recording is no JSON array, or a field of a record is missing, ill-typed or numbers no instrument.
pub fn parse(recording: &[u8], symbols: &[&str]) -> Result<Vec<Record>, VenueError> {
    let lines: Vec<Line> = json::read(recording, MAX_RECORDS)?;
    let records = lines
        .into_iter()
        .enumerate()
        .map(|(place, line)| match line {
            Line::Reconnecting(exchange) => Ok(Record {
                exchange,
                received_ns: None,
                frame: Frame::Control(Control::Reconnecting),
            }),
            Line::Event(event) => record(place, event, symbols),
        });
    records.collect()
}

fn record(place: usize, event: Event, symbols: &[&str]) -> Result<Record, VenueError> {
    let symbol = usize::try_from(event.instrument)
        .ok()
        .and_then(|number| symbols.get(number))
        .ok_or_else(|| VenueError::Field {
            element: format!("{place}.Item.Ok"),
            field: "instrument",
            detail: format!("{} of {} instruments", event.instrument, symbols.len()),
        })?;
    Ok(Record {
        exchange: event.exchange,
        received_ns: Some(event.received_ns),
        frame: match event.trade {
            Some(trade) => Frame::Trade {
                symbol: (*symbol).to_owned(),
                trade: Trade {
                    time_ns: event.exchange_ns,
                    ..trade
                },
            },
            None => Frame::Ignored {
                kind: "no trade".to_owned(),
            },
        },
    })
}

enum Line {
    Event(Event),
    Reconnecting(String),
}

impl<'a> Read<'a> for Line {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["Reconnecting"];
        json::nested_optional(
            source,
            context,
            "Item",
            names,
            |item, [reconnecting]| match item {
                Some(Item(event)) => Ok(Self::Event(event)),
                None => Ok(Self::Reconnecting(reconnecting.string()?)),
            },
        )
    }
}

struct Item(Event);

impl<'a> Read<'a> for Item {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested(source, context, "Ok", [], |event, []| Ok(Self(event)))
    }
}

struct Event {
    exchange: String,
    exchange_ns: i64,
    received_ns: i64,
    instrument: u32,
    trade: Option<Trade>,
}

impl<'a> Read<'a> for Event {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["time_exchange", "time_received", "exchange", "instrument"];
        json::nested(source, context, "kind", names, |Kind(trade), fields| {
            let [exchange_time, received_time, exchange, instrument] = fields;
            Ok(Self {
                exchange: exchange.string()?,
                exchange_ns: exchange_time.time_ns()?,
                received_ns: received_time.time_ns()?,
                instrument: instrument.count()?,
                trade,
            })
        })
    }
}

/// What kind of event it is: an object with one member, of which `Trade` is read.
struct Kind(Option<Trade>);

impl<'a> Read<'a> for Kind {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::nested_optional(source, context, "Trade", [], |trade, []| {
            Ok(Self(trade.map(|RecordedTrade(trade)| trade)))
        })
    }
}

struct RecordedTrade(Trade);

impl<'a> Read<'a> for RecordedTrade {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        let names = ["id", "price", "amount", "side"];
        json::object(source, context, names, |[id, price, amount, side]| {
            Ok(Self(Trade {
                id: id.id()?,
                // The event has it.
                time_ns: 0,
                price: price.number_decimal()?,
                size: amount.number_decimal()?,
                taker_side: Some(match side.text()?.as_ref() {
                    "Buy" => Side::Buy,
                    "Sell" => Side::Sell,
                    other => return Err(side.fault(format!("`{other}` is no side"))),
                }),
            }))
        })
    }
}

#[cfg(test)]
mod tests;
