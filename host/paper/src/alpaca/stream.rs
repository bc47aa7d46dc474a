//! The websocket streams of Alpaca: `/v2/iex`, `/v2/sip` and `/v1beta3/crypto/us`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::latest::{quote_fields, trade_fields};
use super::{bar_fields, check_keys};
use crate::market::Book;
use crate::series::{Api, EVENTS};
use crate::stream::connection::{Opening, Session};
use crate::stream::{Channel, Due, MAX_STREAMS, Stream, Timeline};
use crate::venue::Venue;

/// The length of streamed bars.
const BAR: &str = "1m";
/// All symbols.
const ALL: &str = "*";
/// The channels that have data, and those that are accepted and stay silent: nothing of theirs is in a bar file.
const CHANNELS: [(&str, Option<Channel>); 5] = [
    ("trades", Some(Channel::Trade)),
    ("quotes", Some(Channel::Quote)),
    ("bars", Some(Channel::ClosedBar)),
    ("updatedBars", None),
    ("dailyBars", None),
];

struct AlpacaSession {
    venue: Arc<Venue>,
    api: Api,
    is_admitted: bool,
    /// What was asked for, by channel.
    subscribed: BTreeMap<&'static str, BTreeSet<String>>,
}

/// A connection on one of the paths. None: the path is another's.
pub(crate) fn open(venue: &Arc<Venue>, path: &str, headers: &HeaderMap) -> Option<Opening> {
    let api = match path {
        "/v2/iex" | "/v2/sip" => Api::Stocks,
        "/v1beta3/crypto/us" => Api::Crypto,
        _ => return None,
    };
    let has_keys = |keys| check_keys(keys, headers).is_ok();
    let session = AlpacaSession {
        is_admitted: venue.keys.as_ref().is_some_and(has_keys),
        venue: Arc::clone(venue),
        api,
        subscribed: BTreeMap::new(),
    };
    Some(Opening {
        session: Box::new(session),
        timeline: Timeline::default(),
    })
}

impl Session for AlpacaSession {
    fn greeting(&mut self) -> Vec<String> {
        let mut greeting = vec![success("connected")];
        if self.is_admitted {
            greeting.push(success("authenticated"));
        }
        greeting
    }

    fn hear(&mut self, text: &str, timeline: &mut Timeline) -> Vec<String> {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let answer = match request["action"].as_str() {
            Some("auth") => self.admit(&request),
            Some("subscribe" | "unsubscribe") if !self.is_admitted => {
                failure(401, "not authenticated")
            }
            Some("subscribe") => self.change(&request, timeline, true),
            Some("unsubscribe") => self.change(&request, timeline, false),
            _ => failure(400, "invalid syntax"),
        };
        vec![answer]
    }

    fn write(&self, due: &Due) -> Option<String> {
        let series = due.series();
        let symbol = &due.stream.symbol;
        let (kind, fields) = match due.stream.channel {
            Channel::ClosedBar => ("b", bar_fields(&series.candle(due.place(), EVENTS)?)),
            Channel::Quote => {
                let book = Book::around(series, &series.tick(due.event)?);
                ("q", quote_fields(self.api, &book))
            }
            _ => ("t", trade_fields(self.api, &series.tick(due.event)?)),
        };
        Some(format!(r#"[{{"T":"{kind}","S":"{symbol}",{fields}}}]"#))
    }

    fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    fn too_late(&self) -> Option<String> {
        Some(failure(404, "auth timeout"))
    }

    fn too_slow(&self) -> Option<String> {
        Some(failure(407, "slow client"))
    }
}

fn success(message: &str) -> String {
    json!([{ "T": "success", "msg": message }]).to_string()
}

fn failure(code: u16, message: &str) -> String {
    json!([{ "T": "error", "code": code, "msg": message }]).to_string()
}

impl AlpacaSession {
    /// Without keys of its own the venue takes any.
    fn admit(&mut self, request: &Value) -> String {
        if self.is_admitted {
            return failure(403, "already authenticated");
        }
        let (Some(id), Some(secret)) = (request["key"].as_str(), request["secret"].as_str()) else {
            return failure(400, "invalid syntax");
        };
        let keys = self.venue.keys.as_ref();
        self.is_admitted = keys.is_none_or(|keys| keys.id == id && keys.secret == secret);
        if self.is_admitted {
            success("authenticated")
        } else {
            failure(402, "auth failed")
        }
    }

    fn change(&mut self, request: &Value, timeline: &mut Timeline, is_more: bool) -> String {
        let mut changed = self.subscribed.clone();
        for (name, _) in CHANNELS {
            let symbols = match &request[name] {
                Value::Null => continue,
                Value::Array(symbols) => symbols,
                _ => return failure(400, "invalid syntax"),
            };
            let symbols: Option<Vec<&str>> = symbols.iter().map(Value::as_str).collect();
            let Some(symbols) = symbols else {
                return failure(400, "invalid syntax");
            };
            let of_channel = changed.entry(name).or_default();
            for symbol in symbols {
                if is_more {
                    of_channel.insert(symbol.to_owned());
                } else {
                    of_channel.remove(symbol);
                }
            }
        }
        if changed.values().map(BTreeSet::len).sum::<usize>() > MAX_STREAMS {
            return failure(405, "symbol limit exceeded");
        }
        let before = std::mem::replace(&mut self.subscribed, changed);
        if self.follow(timeline) {
            return self.subscription();
        }
        self.subscribed = before;
        let _ = self.follow(timeline);
        failure(405, "symbol limit exceeded")
    }

    /// Brings the streams up to what is subscribed. False: there are too many.
    fn follow(&self, timeline: &mut Timeline) -> bool {
        let wanted = self.wanted();
        let names: BTreeSet<&str> = wanted.iter().map(|stream| stream.name.as_str()).collect();
        timeline.keep(|name| names.contains(name));
        let clock = self.venue.replay.clock();
        wanted.into_iter().all(|stream| timeline.add(stream, clock))
    }

    fn wanted(&self) -> Vec<Stream> {
        let replay = &self.venue.replay;
        let mut wanted = Vec::new();
        for (name, channel) in CHANNELS {
            let (Some(channel), Some(symbols)) = (channel, self.subscribed.get(name)) else {
                continue;
            };
            let symbols: Vec<&str> = if symbols.contains(ALL) {
                replay.symbols(self.api)
            } else {
                symbols.iter().map(String::as_str).collect()
            };
            for symbol in symbols {
                let selected = match channel {
                    Channel::ClosedBar => BAR
                        .parse()
                        .ok()
                        .and_then(|bar| replay.select(self.api, symbol, bar)),
                    _ => replay.finest(self.api, symbol),
                };
                wanted.extend(selected.map(|selected| Stream {
                    name: format!("{name}:{symbol}"),
                    channel,
                    symbol: symbol.to_owned(),
                    selected,
                }));
            }
        }
        wanted
    }

    /// All that is subscribed.
    fn subscription(&self) -> String {
        let mut message = Map::from_iter([("T".to_owned(), "subscription".into())]);
        for (name, _) in CHANNELS {
            let symbols = self.subscribed.get(name);
            let symbols: Vec<&String> = symbols.into_iter().flatten().collect();
            message.insert(name.to_owned(), json!(symbols));
        }
        json!([message]).to_string()
    }
}
