//! What a websocket message holds, whichever venue sent it.

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::intent::Side;
use bulkhead_kernel::timeframe::Timeframe;
use rust_decimal::Decimal;

use crate::VenueError;

/// The longest message that is read, in bytes. Alpaca puts many elements into one; Binance's are below a kilobyte.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// The most elements of one message.
pub const MAX_ELEMENTS: usize = 10_000;

/// One element of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A bar, or what there is of it so far.
    Bar {
        /// The venue's symbol.
        symbol: String,
        /// The bar's length.
        timeframe: Timeframe,
        /// False: it will come again with other values.
        is_closed: bool,
        /// The bar.
        bar: Bar,
    },
    /// A trade.
    Trade {
        /// The venue's symbol.
        symbol: String,
        /// The trade.
        trade: Trade,
    },
    /// The best bid and ask.
    Quote {
        /// The venue's symbol.
        symbol: String,
        /// Bid and ask.
        quote: Quote,
    },
    /// What the venue says about the connection.
    Control(Control),
    /// An element of a type that nothing here reads.
    Ignored {
        /// The venue's name of the type.
        kind: String,
    },
}

/// Something that changed hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The venue's identifier: unique within the symbol and, at Alpaca, the exchange. An aggregate's at `aggTrade`.
    pub id: String,
    /// When, in Unix nanoseconds.
    pub time_ns: i64,
    /// The price.
    pub price: Decimal,
    /// How much, in units of the instrument.
    pub size: Decimal,
    /// The side of whoever took the offer. None: the venue does not say.
    pub taker_side: Option<Side>,
}

/// The best bid and ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// When, in Unix nanoseconds. None: the venue does not say.
    pub time_ns: Option<i64>,
    /// The highest price that is bid. Alpaca: zero when there is none.
    pub bid_price: Decimal,
    /// For how much, in units of the instrument.
    pub bid_size: Decimal,
    /// The lowest price that is asked. Alpaca: zero when there is none.
    pub ask_price: Decimal,
    /// For how much, in units of the instrument.
    pub ask_size: Decimal,
}

/// What a venue says about the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The connection stands.
    Connected,
    /// The credentials were accepted.
    Authenticated,
    /// A request was carried out.
    Acknowledged {
        /// The request's id, where it had one.
        id: Option<String>,
    },
    /// What is subscribed now, as the venue's channels and symbols: `trades:AAPL`, `btcusdt@trade`.
    Subscribed(Vec<String>),
    /// Something was refused, or the connection is about to end.
    Error(StreamError),
    /// The connection was lost and is being made again; what came in between is missing.
    Reconnecting,
}

/// An error that came over the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// The venue's code.
    pub code: i64,
    /// The venue's text, cut to a readable length.
    pub message: String,
    /// What to do about it.
    pub remedy: Remedy,
}

/// What an error of a stream asks of whoever holds the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Connect again, after the usual wait.
    Reconnect,
    /// Stop: the same would be refused again until credentials, subscription or configuration change.
    Stop,
}

/// A message that is not too long to be read.
///
/// # Errors
/// It is longer than [`MAX_MESSAGE_BYTES`].
pub(crate) fn bounded(message: &[u8]) -> Result<&[u8], VenueError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(VenueError::TooLarge {
            bytes: message.len(),
            limit: MAX_MESSAGE_BYTES,
        });
    }
    Ok(message)
}
