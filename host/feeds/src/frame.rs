//! One message of the venue taken apart: what goes to the stage, and what is for the host.

use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::FeedVenue;
use bulkhead_venues::frame::{Control, Frame as VenueFrame, MAX_ELEMENTS};
use bulkhead_venues::{VenueError, alpaca, binance};
use serde_json::value::RawValue;

/// The longest message that is read, in bytes. JSON makes at most six bytes of one, so that every message fits a batch.
pub const MAX_MESSAGE_BYTES: usize = 160 * 1024;

/// What a frame holds, as far as the queue cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bar that has closed.
    Bar,
    /// What there is so far of a bar of this length, which a newer one of its symbol and length may replace.
    OpenBar(Timeframe),
    /// A trade.
    Trade,
    /// A quote, which a newer one of its symbol may replace.
    Quote,
    /// Nothing that the venue's protocol knows: the stage keeps it aside, with its reason.
    Unreadable,
}

/// A frame on its way to the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What it holds.
    pub kind: Kind,
    /// The venue's symbol. Empty: it names none.
    pub symbol: String,
    /// The venue's text as a JSON string, in quotation marks.
    pub json: String,
    /// When it came, in Unix milliseconds.
    pub received_at_ms: i64,
}

/// What the venue says again and again, each time in place of what it said before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Renewed {
    /// A symbol's quote.
    Quote(String),
    /// A symbol's open bar of one length.
    OpenBar(String, Timeframe),
}

impl Frame {
    /// What a newer one takes the place of. None: it is said once, and must reach the stage.
    pub fn renewed(&self) -> Option<Renewed> {
        match self.kind {
            Kind::Quote => Some(Renewed::Quote(self.symbol.clone())),
            Kind::OpenBar(timeframe) => Some(Renewed::OpenBar(self.symbol.clone(), timeframe)),
            Kind::Bar | Kind::Trade | Kind::Unreadable => None,
        }
    }
}

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// For the stage.
    Frame(Frame),
    /// For the host.
    Control(Control),
    /// Of a type that nobody reads.
    Ignored,
}

/// Takes a message apart, in order. Alpaca puts several elements into one message; each becomes a message of its own, so
/// that a quote can be replaced without what came with it.
pub(crate) fn parts(venue: FeedVenue, text: &str, received_at_ms: i64) -> Vec<Part> {
    match venue {
        FeedVenue::Binance => {
            let frame = binance::stream::parse(text.as_bytes());
            vec![part(frame, text, received_at_ms)]
        }
        FeedVenue::Alpaca => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(elements) if elements.len() <= MAX_ELEMENTS => elements
                .into_iter()
                .map(|element| alone(element.get(), received_at_ms))
                .collect(),
            _ => vec![unreadable(text, received_at_ms)],
        },
    }
}

/// What of a message is for the stage: each frame as the JSON string that it is given, in order. For tests of what a venue may send.
pub fn frames(venue: FeedVenue, text: &str) -> Vec<String> {
    let parts = parts(venue, text, 0);
    let frames = parts.into_iter().filter_map(|part| match part {
        Part::Frame(frame) => Some(frame.json),
        Part::Control(_) | Part::Ignored => None,
    });
    frames.collect()
}

/// An element of an Alpaca message as a message.
fn alone(element: &str, received_at_ms: i64) -> Part {
    let text = format!("[{element}]");
    match alpaca::stream::parse(text.as_bytes()).map(|mut frames| frames.pop()) {
        Ok(Some(frame)) => part(frame, &text, received_at_ms),
        Ok(None) | Err(_) => unreadable(&text, received_at_ms),
    }
}

fn part(frame: Result<VenueFrame, VenueError>, text: &str, received_at_ms: i64) -> Part {
    let (kind, symbol) = match frame {
        Ok(VenueFrame::Bar {
            symbol,
            timeframe,
            is_closed,
            ..
        }) => match is_closed {
            true => (Kind::Bar, symbol),
            false => (Kind::OpenBar(timeframe), symbol),
        },
        Ok(VenueFrame::Trade { symbol, .. }) => (Kind::Trade, symbol),
        Ok(VenueFrame::Quote { symbol, .. }) => (Kind::Quote, symbol),
        Ok(VenueFrame::Control(control)) => return Part::Control(control),
        Ok(VenueFrame::Ignored { .. }) => return Part::Ignored,
        Err(_) => return unreadable(text, received_at_ms),
    };
    Part::Frame(Frame {
        kind,
        symbol,
        json: as_json(text),
        received_at_ms,
    })
}

fn unreadable(text: &str, received_at_ms: i64) -> Part {
    Part::Frame(Frame {
        kind: Kind::Unreadable,
        symbol: String::new(),
        json: as_json(text),
        received_at_ms,
    })
}

fn as_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(venue: FeedVenue, text: &str) -> Vec<(Kind, String)> {
        parts(venue, text, 7)
            .into_iter()
            .filter_map(|part| match part {
                Part::Frame(frame) => Some((frame.kind, frame.symbol)),
                Part::Control(_) | Part::Ignored => None,
            })
            .collect()
    }

    const QUOTE: &str = r#"{"u":1,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1","A":"3.0"}"#;

    #[test]
    fn a_binance_message_is_one_frame_wrapped_or_not() {
        let wrapped = format!(r#"{{"stream":"btcusdt@bookTicker","data":{QUOTE}}}"#);
        for text in [QUOTE, wrapped.as_str()] {
            let expect = vec![(Kind::Quote, "BTCUSDT".to_owned())];
            assert_eq!(kinds(FeedVenue::Binance, text), expect);
        }
    }

    #[test]
    fn a_bar_is_open_until_the_venue_says_that_it_has_closed() {
        for (is_closed, expect) in [
            (true, Kind::Bar),
            (false, Kind::OpenBar("1m".parse().unwrap())),
        ] {
            let text = format!(
                r#"{{"e":"kline","s":"BTCUSDT","k":{{"t":1767225600000,"i":"1m","o":"1","h":"2","l":"1","c":"2","v":"3","x":{is_closed}}}}}"#
            );
            let expect = vec![(expect, "BTCUSDT".to_owned())];
            assert_eq!(kinds(FeedVenue::Binance, &text), expect);
        }
    }

    #[test]
    fn an_alpaca_message_becomes_a_message_for_each_of_its_elements() {
        let quote = r#"{"T":"q","S":"SPY","t":"2024-01-02T15:00:00Z","bp":1,"bs":1,"ap":2,"as":1}"#;
        let text =
            format!(r#"[{quote}, {{"T":"t"}} ,{{"T":"x"}},{{"T":"success","msg":"connected"}}]"#);
        let parts = parts(FeedVenue::Alpaca, &text, 7);
        let Part::Frame(frame) = &parts[0] else {
            panic!("{parts:?}")
        };
        assert_eq!((&frame.kind, frame.symbol.as_str()), (&Kind::Quote, "SPY"));
        let text: String = serde_json::from_str(&frame.json).unwrap();
        assert_eq!(text, format!("[{quote}]"));
        assert!(matches!(&parts[1], Part::Frame(frame) if frame.kind == Kind::Unreadable));
        assert_eq!(parts[2], Part::Ignored);
        assert_eq!(parts[3], Part::Control(Control::Connected));
    }

    #[test]
    fn what_cannot_be_read_goes_to_the_stage_as_it_came() {
        for (venue, text) in [
            (FeedVenue::Binance, "not json"),
            (FeedVenue::Binance, r#"{"e":"trade","s":"BTCUSDT"}"#),
            (FeedVenue::Alpaca, r#"{"T":"q"}"#),
            (FeedVenue::Alpaca, "[1,"),
        ] {
            let parts = parts(venue, text, 7);
            let [Part::Frame(frame)] = &parts[..] else {
                panic!("{parts:?}")
            };
            assert_eq!(frame.kind, Kind::Unreadable);
            assert_eq!(serde_json::from_str::<String>(&frame.json).unwrap(), text);
        }
    }

    #[test]
    fn the_longest_message_fits_a_batch_however_it_is_escaped() {
        let text = "\u{1}".repeat(MAX_MESSAGE_BYTES);
        assert!(as_json(&text).len() < crate::courier::MAX_FRAMES_BYTES);
    }
}
