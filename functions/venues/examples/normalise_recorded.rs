//! Reads a recording and proves that nothing of it is lost:
//! `cargo run -p bulkhead-venues --example normalise_recorded -- FILE BTCUSDT,ETHUSDT,SOLUSDT`
//!
//! Each record that was read is written back in the collector's form and compared with the record of the file, value by
//! value, numbers by their text.

use std::error::Error;

use bulkhead_kernel::intent::Side;
use bulkhead_venues::frame::{Control, Frame};
use bulkhead_venues::recorded::{self, Record};
use serde::Deserialize;
use serde_json::value::RawValue;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(symbols)) = (arguments.next(), arguments.next()) else {
        return Err("usage: normalise_recorded FILE SYMBOL,SYMBOL,…".into());
    };
    let symbols: Vec<&str> = symbols.split(',').collect();
    let recording = std::fs::read(&path)?;
    let records = recorded::parse(&recording, &symbols)?;
    let lines: Vec<&RawValue> = serde_json::from_slice(&recording)?;
    let (mut trades, mut reconnects) = (0, 0);
    for (place, (record, line)) in records.iter().zip(&lines).enumerate() {
        match &record.frame {
            Frame::Trade { .. } => trades += 1,
            Frame::Control(Control::Reconnecting) => reconnects += 1,
            other => return Err(format!("record {place}: {other:?} is not compared").into()),
        }
        if !is_lossless(record, line.get(), &symbols)? {
            return Err(format!("record {place} differs: {record:?} of {line}").into());
        }
    }
    if records.len() != lines.len() {
        return Err(format!("{} records of {}", records.len(), lines.len()).into());
    }
    println!(
        "{trades} trades and {reconnects} reconnects, all of {} records, the same to the last digit",
        lines.len()
    );
    Ok(())
}

/// A record of a trade, its numbers as they are written.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "Item")]
    item: Option<Item<'a>>,
    #[serde(rename = "Reconnecting")]
    reconnecting: Option<String>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "Ok")]
    ok: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    time_exchange: chrono::DateTime<chrono::Utc>,
    time_received: chrono::DateTime<chrono::Utc>,
    exchange: &'a str,
    instrument: usize,
    #[serde(borrow)]
    kind: Kind<'a>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "Trade")]
    trade: Trade<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    id: &'a str,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    amount: &'a RawValue,
    side: &'a str,
}

fn is_lossless(record: &Record, line: &str, symbols: &[&str]) -> Result<bool, Box<dyn Error>> {
    let line: Line<'_> = serde_json::from_str(line)?;
    let Some(Item { ok: event }) = line.item else {
        let is_reconnect = record.frame == Frame::Control(Control::Reconnecting);
        return Ok(is_reconnect && line.reconnecting.as_deref() == Some(&record.exchange));
    };
    let Frame::Trade { symbol, trade } = &record.frame else {
        return Ok(false);
    };
    let side = match trade.taker_side {
        Some(Side::Buy) => "Buy",
        Some(Side::Sell) => "Sell",
        None => "",
    };
    let texts = [
        (event.exchange, record.exchange.as_str()),
        (symbols[event.instrument], symbol.as_str()),
        (event.kind.trade.id, trade.id.as_str()),
        (event.kind.trade.price.get(), &trade.price.to_string()),
        (event.kind.trade.amount.get(), &trade.size.to_string()),
        (event.kind.trade.side, side),
    ];
    let times = [
        (
            event.time_exchange.timestamp_nanos_opt(),
            Some(trade.time_ns),
        ),
        (
            event.time_received.timestamp_nanos_opt(),
            record.received_ns,
        ),
    ];
    Ok(texts.iter().all(|(file, ours)| file == ours)
        && times.iter().all(|(file, ours)| file == ours))
}
