//! The websocket streams of Binance: `/ws/<stream>` raw, `/stream?streams=<a>/<b>` combined.

use std::sync::Arc;

use serde_json::{Value, json};

use super::klines::select;
use crate::market::Book;
use crate::series::{Api, EVENTS, Series};
use crate::stream::connection::{Opening, Session};
use crate::stream::{Channel, Due, MAX_STREAMS, Stream, Timeline};
use crate::venue::Venue;

/// The path of raw streams; names follow after a slash.
const RAW_PATH: &str = "/ws";
/// The path of combined streams.
const COMBINED_PATH: &str = "/stream";
/// The longest text id of a request, in characters.
const MAX_ID_CHARS: usize = 36;
/// The request is malformed.
const INVALID_REQUEST: i32 = 2;
/// The request is no JSON.
const INVALID_JSON: i32 = 3;

struct BinanceSession {
    venue: Arc<Venue>,
    /// Whether events are wrapped with the name of their stream.
    is_combined: bool,
}

/// A connection on one of the paths. None: the path is another's. An error: what is wrong with the streams.
pub(crate) fn open(
    venue: &Arc<Venue>,
    path: &str,
    streams: Option<&str>,
) -> Option<Result<Opening, String>> {
    let (is_combined, names) = match path.strip_prefix(RAW_PATH) {
        Some(names) if names.is_empty() || names.starts_with('/') => (false, names),
        _ if path == COMBINED_PATH => (true, streams.unwrap_or_default()),
        _ => return None,
    };
    let mut timeline = Timeline::default();
    for name in names.split('/').filter(|name| !name.is_empty()) {
        if let Err(fault) = subscribe(venue, name, &mut timeline) {
            return Some(Err(fault));
        }
    }
    let session = BinanceSession {
        venue: Arc::clone(venue),
        is_combined,
    };
    Some(Ok(Opening {
        session: Box::new(session),
        timeline,
    }))
}

fn subscribe(venue: &Venue, name: &str, timeline: &mut Timeline) -> Result<(), String> {
    let stream = stream(venue, name).ok_or_else(|| {
        let shown: String = name.chars().take(MAX_ID_CHARS).collect();
        format!("no such stream: {shown}")
    })?;
    if timeline.add(stream, venue.replay.clock()) {
        Ok(())
    } else {
        Err(format!("more than {MAX_STREAMS} streams"))
    }
}

fn stream(venue: &Venue, name: &str) -> Option<Stream> {
    let (symbol, channel) = name.split_once('@')?;
    if symbol.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let symbol = symbol.to_ascii_uppercase();
    let replay = &venue.replay;
    let (channel, selected) = match channel.strip_prefix("kline_") {
        Some(interval) => (Channel::Kline, select(replay, &symbol, interval)?),
        None => {
            let channel = match channel {
                "trade" => Channel::Trade,
                "aggTrade" => Channel::AggTrade,
                "bookTicker" => Channel::Quote,
                _ => return None,
            };
            (channel, replay.finest(Api::Binance, &symbol)?)
        }
    };
    Some(Stream {
        name: name.to_owned(),
        channel,
        symbol,
        selected,
    })
}

impl Session for BinanceSession {
    fn greeting(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn hear(&mut self, text: &str, timeline: &mut Timeline) -> Vec<String> {
        let answer = match serde_json::from_str::<Value>(text) {
            Err(error) => failure(
                INVALID_JSON,
                &format!("Invalid JSON: {error}"),
                &Value::Null,
            ),
            Ok(request) => match self.carry_out(&request, timeline) {
                Ok(result) => json!({ "result": result, "id": request["id"] }),
                Err(detail) => {
                    let message = format!("Invalid request: {detail}");
                    failure(INVALID_REQUEST, &message, &request["id"])
                }
            },
        };
        vec![answer.to_string()]
    }

    fn write(&self, due: &Due) -> Option<String> {
        let event = event(due)?;
        Some(if self.is_combined {
            format!(r#"{{"stream":"{}","data":{event}}}"#, due.stream.name)
        } else {
            event
        })
    }

    fn is_admitted(&self) -> bool {
        true
    }

    fn too_late(&self) -> Option<String> {
        None
    }

    fn too_slow(&self) -> Option<String> {
        None
    }
}

fn failure(code: i32, message: &str, id: &Value) -> Value {
    json!({ "error": { "code": code, "msg": message }, "id": id })
}

impl BinanceSession {
    fn carry_out(&self, request: &Value, timeline: &mut Timeline) -> Result<Value, String> {
        let is_id = match &request["id"] {
            Value::Null => true,
            Value::Number(number) => number.is_u64() || number.is_i64(),
            Value::String(id) => id.chars().count() <= MAX_ID_CHARS,
            _ => false,
        };
        if !is_id {
            return Err("request ID must be an unsigned integer".to_owned());
        }
        let method = request["method"].as_str().ok_or("missing field `method`")?;
        match method {
            "LIST_SUBSCRIPTIONS" => Ok(timeline.names().collect()),
            "SUBSCRIBE" => {
                for name in params(request)? {
                    subscribe(&self.venue, name, timeline)?;
                }
                Ok(Value::Null)
            }
            "UNSUBSCRIBE" => {
                let ended = params(request)?;
                timeline.keep(|name| !ended.contains(&name));
                Ok(Value::Null)
            }
            other => {
                let shown: String = other.chars().take(MAX_ID_CHARS).collect();
                Err(format!(
                    "unknown variant {shown}, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS"
                ))
            }
        }
    }
}

fn params(request: &Value) -> Result<Vec<&str>, String> {
    let params = request["params"]
        .as_array()
        .ok_or("missing field `params`")?;
    if params.len() > MAX_STREAMS {
        return Err("too many parameters".to_owned());
    }
    let names: Option<Vec<&str>> = params.iter().map(Value::as_str).collect();
    names.ok_or_else(|| "a stream name must be a string".to_owned())
}

fn event(due: &Due) -> Option<String> {
    let series = due.series();
    let (symbol, at_ms) = (&due.stream.symbol, due.time_ms);
    if due.stream.channel == Channel::Kline {
        return kline(due, series);
    }
    let tick = series.tick(due.event)?;
    let (id, price, size, maker) = (tick.id, tick.price, tick.size, tick.is_buyer_maker);
    Some(match due.stream.channel {
        Channel::Trade => format!(
            r#"{{"e":"trade","E":{at_ms},"s":"{symbol}","t":{id},"p":"{price}","q":"{size}","T":{at_ms},"m":{maker},"M":true}}"#
        ),
        Channel::AggTrade => format!(
            r#"{{"e":"aggTrade","E":{at_ms},"s":"{symbol}","a":{id},"p":"{price}","q":"{size}","f":{id},"l":{id},"T":{at_ms},"m":{maker},"M":true}}"#
        ),
        _ => {
            let book = Book::around(series, &tick);
            format!(
                r#"{{"u":{id},"s":"{symbol}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
                book.bid_price, book.bid_size, book.ask_price, book.ask_size
            )
        }
    })
}

fn kline(due: &Due, series: &Series) -> Option<String> {
    let candle = series.candle(due.place(), due.event % EVENTS + 1)?;
    let bar = if due.is_closing() {
        *series.bars.get(due.place())?
    } else {
        candle.bar
    };
    let (symbol, at_ms) = (&due.stream.symbol, due.time_ms);
    let closes_ms = series.timeframe.close_time_ms(bar.open_time_ms) - 1;
    Some(format!(
        r#"{{"e":"kline","E":{at_ms},"s":"{symbol}","k":{{"t":{},"T":{closes_ms},"s":"{symbol}","i":"{}","f":{},"L":{},"o":"{}","c":"{}","h":"{}","l":"{}","v":"{}","n":{},"x":{},"q":"{}","V":"{}","Q":"{}","B":"0"}}}}"#,
        bar.open_time_ms,
        series.timeframe,
        candle.first_id,
        candle.last_id,
        bar.open,
        bar.close,
        bar.high,
        bar.low,
        bar.volume,
        candle.trades,
        due.is_closing(),
        candle.quote_volume,
        candle.taker_buy_volume,
        candle.taker_buy_quote_volume,
    ))
}
