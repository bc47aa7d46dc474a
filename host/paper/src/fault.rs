//! What the venue does wrong, on purpose: which fault, at which request or message, counted and never by chance.

mod parse;

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// The most faults of one plan.
pub const MAX_FAULTS: usize = 100;

/// Faults to inject. Written as `KIND@TARGET:WHICH`, several parted by commas: `429@klines:3,cut@stream:100`.
///
/// | Kind | What happens |
/// |---|---|
/// | `429`, `429=7` | refused, with `Retry-After` of 1 or so many seconds |
/// | `500` to `599` | refused with this status |
/// | `slow`, `slow=250` | half of it comes at once, the rest 1,000 or so many milliseconds later |
/// | `cut` | half of the answer comes, then the connection is cut; a stream's connection is cut before the message |
/// | `malformed` | the second half of the JSON is missing |
/// | `gap` | a bar, or a stream's message, is left out |
/// | `duplicate` | it comes twice |
/// | `out-of-order` | it comes after the next one |
///
/// | Target | What is counted |
/// |---|---|
/// | `any` | requests |
/// | `klines`, `bars`, `ticker`, … | requests whose path has this segment |
/// | `/api/v3/klines` | requests of this path |
/// | `connect` | websocket handshakes |
/// | `stream` | messages with market data, of all streams |
/// | `btcusdt@kline_1m`, `bars:BTC/USD` | messages of this stream of Binance, or of Alpaca |
///
/// WHICH counts from 1 since the venue began: `3` is the third, `3-5` the third to the fifth, `3+` the third and all that
/// follow. Without it: all. Where several faults meet, the first of the plan counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// To what.
    pub target: Target,
    /// The first of the target's requests or messages that it happens to, from 1.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// HTTP 429.
    TooManyRequests {
        /// The header `Retry-After`.
        retry_after_seconds: u32,
    },
    /// A status from 500 to 599.
    Failure(StatusCode),
    /// A pause in the middle of an answer, or before a message.
    Slow {
        /// How long, in milliseconds: of real time, or of a stepped clock.
        pause_ms: u32,
    },
    /// The connection is cut.
    Cut,
    /// The JSON ends in its middle.
    Malformed,
    /// What is served is not what should be.
    Disorder(Disorder),
}

/// What happens to a series of bars or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disorder {
    /// One is left out.
    Gap,
    /// One comes twice.
    Duplicate,
    /// One comes after the next one.
    OutOfOrder,
}

/// What a fault happens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Any request.
    Any,
    /// Requests whose path has this segment.
    Segment(String),
    /// Requests of this path.
    Path(String),
    /// Websocket handshakes.
    Connect,
    /// Messages of any stream.
    AnyStream,
    /// Messages of this stream.
    Stream(String),
}

impl Faults {
    /// A plan.
    ///
    /// # Errors
    /// There are more than [`MAX_FAULTS`], or one cannot happen to its target.
    pub fn new(faults: Vec<Fault>) -> Result<Self, FaultError> {
        if faults.len() > MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        match faults.iter().find(|fault| !fault.is_possible()) {
            Some(fault) => Err(FaultError::Impossible(format!("{fault:?}"))),
            None => Ok(Self(faults)),
        }
    }

    /// Several plans as one, in this order.
    ///
    /// # Errors
    /// Together they have more than [`MAX_FAULTS`].
    pub fn joined(plans: impl IntoIterator<Item = Self>) -> Result<Self, FaultError> {
        Self::new(plans.into_iter().flat_map(|Self(faults)| faults).collect())
    }

    /// How many faults the plan has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the plan has no fault.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Fault {
    /// A message has no status, and a handshake no bars.
    const fn is_possible(&self) -> bool {
        let has_status = matches!(
            self.kind,
            FaultKind::TooManyRequests { .. } | FaultKind::Failure(_)
        );
        match self.target {
            Target::AnyStream | Target::Stream(_) => !has_status,
            Target::Connect => has_status || matches!(self.kind, FaultKind::Cut),
            Target::Any | Target::Segment(_) | Target::Path(_) => true,
        }
    }
}

/// A text is not a plan of faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A fault is not of the form.
    #[error(
        "read the fault `{0}`: expected KIND@TARGET or KIND@TARGET:WHICH, for example `429@klines:3`"
    )]
    Form(String),
    /// There is no such kind.
    #[error(
        "read the fault `{0}`: expected the kind 429, 500 to 599, slow, cut, malformed, gap, duplicate or out-of-order"
    )]
    Kind(String),
    /// The count is malformed.
    #[error("read the fault `{0}`: expected a count from 1 (`3`, `3-5` or `3+`)")]
    Count(String),
    /// The fault cannot happen to its target.
    #[error(
        "read the fault `{0}`: a stream's message has no status, and of a handshake only a status or `cut` is possible"
    )]
    Impossible(String),
    /// There are too many.
    #[error("read the faults: more than {MAX_FAULTS}")]
    TooMany,
}

/// A plan, with what has been counted.
#[derive(Debug, Default)]
pub(crate) struct Injector(Vec<(Fault, AtomicU64)>);

impl Injector {
    pub(crate) fn new(Faults(faults): Faults) -> Self {
        Self(
            faults
                .into_iter()
                .map(|fault| (fault, AtomicU64::new(0)))
                .collect(),
        )
    }

    /// Counts a request of this path, and says what happens to it.
    pub(crate) fn on_request(&self, path: &str) -> Option<FaultKind> {
        self.count(|target| match target {
            Target::Any => true,
            Target::Segment(name) => path.split('/').any(|segment| segment == name),
            Target::Path(whole) => whole == path,
            Target::Connect | Target::AnyStream | Target::Stream(_) => false,
        })
    }

    /// Counts a handshake, and says what happens to it.
    pub(crate) fn on_connect(&self) -> Option<FaultKind> {
        self.count(|target| matches!(target, Target::Connect))
    }

    /// Counts a message of this stream, and says what happens to it.
    pub(crate) fn on_message(&self, stream: &str) -> Option<FaultKind> {
        self.count(|target| match target {
            Target::AnyStream => true,
            Target::Stream(name) => name == stream,
            _ => false,
        })
    }

    fn count(&self, is_meant: impl Fn(&Target) -> bool) -> Option<FaultKind> {
        let mut happens = None;
        for (fault, counted) in self.0.iter().filter(|(fault, _)| is_meant(&fault.target)) {
            let count = counted.fetch_add(1, Ordering::AcqRel).saturating_add(1);
            if (fault.first..=fault.last).contains(&count) {
                happens = happens.or(Some(fault.kind));
            }
        }
        happens
    }
}

impl Disorder {
    /// How many rows to take so that at most `limit` are served.
    pub(crate) const fn takes(disorder: Option<Self>, limit: usize) -> usize {
        match disorder {
            Some(Self::Duplicate) if limit > 1 => limit - 1,
            _ => limit,
        }
    }

    /// Does it to the middle of the rows. Too few rows, or no place below `limit` for one more: nothing happens.
    pub(crate) fn apply<T: Clone>(self, rows: &mut Vec<T>, limit: usize) {
        let middle = rows.len() / 2;
        match self {
            Self::Gap if !rows.is_empty() => {
                rows.remove(middle);
            }
            Self::Duplicate if !rows.is_empty() && rows.len() < limit => {
                rows.insert(middle, rows[middle].clone());
            }
            Self::OutOfOrder if rows.len() > 1 => rows.swap(middle - 1, middle),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disorder, FaultKind, Faults, Injector};

    #[test]
    fn a_fault_happens_at_the_count_it_names_and_only_there() {
        let faults: Faults = "cut@klines:2,malformed@/api/v3/klines:2-3".parse().unwrap();
        let injector = Injector::new(faults);
        let mut happened = Vec::new();
        for path in [
            "/api/v3/klines",
            "/v2/stocks/bars",
            "/api/v3/klines",
            "/api/v3/klines",
            "/api/v3/klines",
        ] {
            happened.push(injector.on_request(path));
        }
        assert_eq!(
            happened,
            [
                None,
                None,
                Some(FaultKind::Cut),
                Some(FaultKind::Malformed),
                None
            ]
        );
        assert_eq!(injector.on_message("klines"), None);
    }

    #[test]
    fn a_stream_is_counted_by_its_name_and_all_streams_together() {
        let faults: Faults = "gap@bars:BTC/USD:2,cut@stream:3+".parse().unwrap();
        let injector = Injector::new(faults);
        let gap = Some(FaultKind::Disorder(Disorder::Gap));
        let cut = Some(FaultKind::Cut);
        let streams = ["bars:BTC/USD", "bars:BTC/USD", "quotes:BTC/USD", "x"];
        let happened = streams.map(|stream| injector.on_message(stream));
        assert_eq!(happened, [None, gap, cut, cut]);
        assert_eq!(injector.on_connect(), None);
    }

    #[test]
    fn disorder_happens_to_the_middle_and_stays_within_the_limit() {
        for (disorder, limit, expect) in [
            (Disorder::Gap, 3, &[1, 3][..]),
            (Disorder::Duplicate, 4, &[1, 2, 2, 3]),
            (Disorder::Duplicate, 3, &[1, 2, 3]),
            (Disorder::OutOfOrder, 3, &[2, 1, 3]),
        ] {
            let mut rows = vec![1, 2, 3];
            disorder.apply(&mut rows, limit);
            assert_eq!(rows, expect, "{disorder:?}");
            disorder.apply(&mut Vec::<i32>::new(), limit);
        }
        assert_eq!(Disorder::takes(Some(Disorder::Duplicate), 3), 2);
        assert_eq!(Disorder::takes(Some(Disorder::Gap), 3), 3);
    }
}
