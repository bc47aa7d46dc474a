//! Websocket streams: what is subscribed on a connection, and what of it is due.
//!
//! Nothing is queued: a stream remembers its next event, and events are written when they are due and the peer takes them.
//! What a slow peer has not taken is its queue, and that is bounded on a clock that goes on by itself.

pub(crate) mod connection;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use crate::replay::Selected;
use crate::series::{EVENTS, Series};
use crate::{Venue, VirtualClock, alpaca, binance};

/// The most streams of one connection, as Binance has it.
pub(crate) const MAX_STREAMS: usize = 1_024;

/// What a client of the websocket at `path` that sends `messages` is told: the greeting, and an answer to each. No events. For tests of what a client may send. None:
/// there is no websocket.
pub fn replies<'a>(
    venue: &Arc<Venue>,
    path: &str,
    messages: impl IntoIterator<Item = &'a str>,
) -> Option<Vec<String>> {
    let opening = alpaca::stream::open(venue, path, &HeaderMap::new());
    let mut opening = match opening {
        Some(opening) => opening,
        None => binance::stream::open(venue, path, None)?.ok()?,
    };
    let mut said = opening.session.greeting();
    for message in messages {
        said.extend(opening.session.hear(message, &mut opening.timeline));
    }
    Some(said)
}

/// Which events of a series a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Trades.
    Trade,
    /// Trades, as Binance's `aggTrade`.
    AggTrade,
    /// The best bid and ask, at each price.
    Quote,
    /// The bar at each price, and once when it is over.
    Kline,
    /// The bar when it is over.
    ClosedBar,
}

/// A stream that is subscribed.
pub(crate) struct Stream {
    /// As the API calls it.
    pub name: String,
    pub channel: Channel,
    /// As the API calls it.
    pub symbol: String,
    pub selected: Selected,
}

/// An event that is to be written.
pub(crate) struct Due {
    pub stream: Arc<Stream>,
    pub event: usize,
    pub time_ms: i64,
}

impl Due {
    pub(crate) fn series(&self) -> &Series {
        &self.stream.selected.series
    }

    /// The place of the bar that the event belongs to.
    pub(crate) const fn place(&self) -> usize {
        self.event / EVENTS
    }

    /// Whether the event is a bar's end.
    pub(crate) const fn is_closing(&self) -> bool {
        self.event % EVENTS == EVENTS - 1
    }

    /// How many events of the series have happened since, by `now_ms`.
    pub(crate) fn lag(&self, now_ms: Option<i64>) -> usize {
        self.series().happened(now_ms).saturating_sub(self.event)
    }
}

/// The streams of a connection, and the next event of each.
#[derive(Default)]
pub(crate) struct Timeline {
    streams: Vec<Arc<Stream>>,
    /// By time, and at the same time in the order of subscription.
    next: BTreeMap<(i64, u64), (Arc<Stream>, usize)>,
    subscribed: u64,
}

impl Timeline {
    /// The names of the streams, in the order of subscription.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().map(|stream| stream.name.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Subscribes a stream, from the next event on; on a clock that is later than everything, from the first on. One that
    /// is there already stays as it is. False: there are too many.
    #[must_use]
    pub(crate) fn add(&mut self, stream: Stream, clock: &VirtualClock) -> bool {
        if self.has(&stream.name) {
            return true;
        }
        if self.streams.len() >= MAX_STREAMS {
            return false;
        }
        let first = match clock.now_ms() {
            None => 0,
            now_ms => stream.selected.series.happened(now_ms),
        };
        let stream = Arc::new(stream);
        self.streams.push(Arc::clone(&stream));
        self.subscribed += 1;
        self.schedule(stream, first, self.subscribed);
        true
    }

    /// Ends the streams that are not to be kept.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.streams.retain(|stream| is_kept(&stream.name));
        self.next.retain(|_, (stream, _)| is_kept(&stream.name));
    }

    /// When the next event happens, in Unix milliseconds. None: there is none any more.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.next.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self) -> Option<Due> {
        let ((time_ms, order), (stream, event)) = self.next.pop_first()?;
        self.schedule(Arc::clone(&stream), event + 1, order);
        Some(Due {
            stream,
            event,
            time_ms,
        })
    }

    fn schedule(&mut self, stream: Arc<Stream>, from: usize, order: u64) {
        let series = &stream.selected.series;
        if let Some(event) = next_event(series, stream.channel, from) {
            self.next
                .insert((series.time_ms(event), order), (stream, event));
        }
    }
}

/// The first event of a channel at or after `from`.
fn next_event(series: &Series, channel: Channel, from: usize) -> Option<usize> {
    let end = series.bars.len() * EVENTS;
    let has = |event: usize| match channel {
        Channel::Kline => true,
        Channel::ClosedBar => event % EVENTS == EVENTS - 1,
        Channel::Quote => event % EVENTS != EVENTS - 1,
        Channel::Trade | Channel::AggTrade => {
            let tick = series.tick(event);
            tick.is_some_and(|tick| !tick.size.is_zero())
        }
    };
    (from..end).find(|event| has(*event))
}
