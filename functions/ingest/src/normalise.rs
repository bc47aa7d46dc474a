//! Raw frames into envelopes, over the two paths `ingest_frame` and `consume_signal`.
//!
//! An instrument is the first text among `instrument`, `symbol` and `pair` that is not blank. A value that is blank
//! or no text never becomes an instrument, on no path and in no mode; *empty* (absent, null, empty text) means
//! that the frame names none, which only the fake form of `consume_signal` accepts.

use serde::Serialize;
use serde_json::{Map, Value};

/// The name that a fake envelope carries when the frame names no instrument.
const FAKE_INSTRUMENT: &str = "BTC-USD";
/// The timestamp of a fake snapshot when the frame has none, in Unix seconds.
const FAKE_TIMESTAMP_S: i64 = 1_700_000_000;
/// The price of every fake snapshot.
const FAKE_PRICE: f64 = 10_000.0;
/// The signal strength of every fake snapshot.
const FAKE_SIGNAL_STRENGTH: f64 = 0.75;
/// Where an instrument may stand, in the order of the lookup.
const INSTRUMENT_KEYS: [&str; 3] = ["instrument", "symbol", "pair"];
/// The counter raised once for each invocation.
pub const INVOCATIONS_METRIC: &str = "signals.ingest.invocations_total";

/// The way a frame came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// A frame pulled or received by the ingest stage itself.
    IngestFrame,
    /// A signal handed over by another part of the pipeline.
    ConsumeSignal,
}

impl Path {
    /// The label of the path in spans and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IngestFrame => "ingest_frame",
            Self::ConsumeSignal => "consume_signal",
        }
    }
}

/// Why a frame gives no envelope. Displayed as `reason: message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormaliseError {
    /// The frame is not a mapping.
    InvalidFrame,
    /// The signal is not a mapping.
    InvalidSignal,
    /// No key names an instrument.
    MissingInstrument,
}

impl NormaliseError {
    /// The stable word for the reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidFrame => "invalid_frame",
            Self::InvalidSignal => "invalid_signal",
            Self::MissingInstrument => "missing_instrument",
        }
    }

    /// What is wrong, for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidFrame => "frame must be a dict",
            Self::InvalidSignal => "signal must be a dict",
            Self::MissingInstrument => "instrument/symbol is required",
        }
    }
}

impl std::fmt::Display for NormaliseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason(), self.message())
    }
}

impl std::error::Error for NormaliseError {}

/// The answer of the task `normalise`. It borrows the frame, which stands in it up to three times, and is
/// written as JSON without a copy of it.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    status: &'static str,
    envelope: Envelope<'a>,
    telemetry: Telemetry,
}

#[derive(Debug, Serialize)]
struct Telemetry {
    spans: [Span; 1],
    metrics: [Metric; 1],
}

#[derive(Debug, Serialize)]
struct Span {
    name: &'static str,
    duration_ms: f64,
}

#[derive(Debug, Serialize)]
struct Metric {
    name: &'static str,
    labels: Labels,
}

#[derive(Debug, Serialize)]
struct Labels {
    outcome: &'static str,
    path: &'static str,
}

impl Answer<'_> {
    /// The answer as JSON text.
    ///
    /// # Errors
    /// None is known: keys are texts, and no number is infinite.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// Runs the task `normalise`: `{"task":"normalise","path":…,"frame":…,"fake":bool}` into
/// `{"status":"success","envelope":…,"telemetry":{"spans":[…],"metrics":[…]}}`.
///
/// `now_s` is the current time in Unix seconds, used when a real frame has no timestamp. `duration_ms` is asked once,
/// after the work, how long it took.
///
/// # Errors
/// The text says what the input lacks, or `reason: message` of a [`NormaliseError`].
pub fn run_task(
    input: &Value,
    now_s: f64,
    duration_ms: impl FnOnce() -> f64,
) -> Result<Answer<'_>, String> {
    let request = Request::read(input)?;
    let envelope = normalise(request.path, request.frame, request.fake, now_s)
        .map_err(|error| error.to_string())?;
    let path = request.path.as_str();
    Ok(Answer {
        status: "success",
        envelope,
        telemetry: Telemetry {
            spans: [Span {
                name: path,
                duration_ms: duration_ms(),
            }],
            metrics: [Metric {
                name: INVOCATIONS_METRIC,
                labels: Labels {
                    outcome: "success",
                    path,
                },
            }],
        },
    })
}

struct Request<'a> {
    path: Path,
    frame: &'a Value,
    fake: bool,
}

impl<'a> Request<'a> {
    fn read(input: &'a Value) -> Result<Self, String> {
        let fields = input.as_object().ok_or("the input must be an object")?;
        let known = ["task", "path", "frame", "fake"];
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!(
                "unknown field `{unknown}`: task `normalise` takes `path`, `frame` and `fake`"
            ));
        }
        let path = match fields.get("path").and_then(Value::as_str) {
            Some("ingest_frame") => Path::IngestFrame,
            Some("consume_signal") => Path::ConsumeSignal,
            _ => return Err("`path` must be `ingest_frame` or `consume_signal`".to_owned()),
        };
        let fake = match fields.get("fake") {
            None => false,
            Some(Value::Bool(fake)) => *fake,
            Some(_) => return Err("`fake` must be true or false".to_owned()),
        };
        let frame = fields.get("frame").unwrap_or(&Value::Null);
        Ok(Self { path, frame, fake })
    }
}

/// Normalises one frame into an envelope.
///
/// # Errors
/// The frame is not a mapping, or names no instrument.
pub fn normalise(
    path: Path,
    frame: &Value,
    fake: bool,
    now_s: f64,
) -> Result<Envelope<'_>, NormaliseError> {
    let Value::Object(fields) = frame else {
        return Err(match path {
            Path::IngestFrame => NormaliseError::InvalidFrame,
            Path::ConsumeSignal => NormaliseError::InvalidSignal,
        });
    };
    let named = first_instrument(fields, &INSTRUMENT_KEYS);
    if !fake {
        let instrument = named.ok_or(NormaliseError::MissingInstrument)?.trim();
        return Ok(real_envelope(instrument, frame, fields, now_s));
    }
    let may_name_none = path == Path::ConsumeSignal && names_nothing(fields);
    if named.is_none() && !may_name_none {
        return Err(NormaliseError::MissingInstrument);
    }
    // The fake form keeps the text as it came, and does not look at `pair`.
    let instrument = first_instrument(fields, &INSTRUMENT_KEYS[..2]).unwrap_or(FAKE_INSTRUMENT);
    Ok(fake_envelope(instrument, frame, fields))
}

fn first_instrument<'a>(fields: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter()
        .filter_map(|key| fields.get(*key).and_then(Value::as_str))
        .find(|text| !text.trim().is_empty())
}

fn names_nothing(fields: &Map<String, Value>) -> bool {
    INSTRUMENT_KEYS.iter().all(|key| match fields.get(*key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    })
}

/// What a frame becomes.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    instrument: &'a str,
    signals: Signals<'a>,
    snapshot: Snapshot<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fake_mode: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Signals<'a> {
    Real(&'a Value),
    Fake {
        raw: &'a Value,
        normalized: Snapshot<'a>,
    },
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Snapshot<'a> {
    /// As the frame brought it.
    Given(&'a Value),
    Made {
        instrument: &'a str,
        timestamp: Timestamp<'a>,
        features: Features<'a>,
        raw: Raw<'a>,
    },
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Timestamp<'a> {
    Given(&'a Value),
    Now(f64),
    Fixed(i64),
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Features<'a> {
    Given(&'a Value),
    None {},
    Fake { price: f64, signal_strength: f64 },
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Raw<'a> {
    Frame(&'a Value),
    Fake { source: &'static str },
}

fn real_envelope<'a>(
    instrument: &'a str,
    frame: &'a Value,
    fields: &'a Map<String, Value>,
    now_s: f64,
) -> Envelope<'a> {
    let snapshot = match fields.get("snapshot") {
        Some(snapshot @ Value::Object(_)) => Snapshot::Given(snapshot),
        _ => Snapshot::Made {
            instrument,
            timestamp: truthy(fields, "timestamp").map_or(Timestamp::Now(now_s), Timestamp::Given),
            features: truthy(fields, "features").map_or(Features::None {}, Features::Given),
            raw: Raw::Frame(frame),
        },
    };
    Envelope {
        instrument,
        signals: Signals::Real(frame),
        snapshot,
        fake_mode: None,
    }
}

fn fake_envelope<'a>(
    instrument: &'a str,
    frame: &'a Value,
    fields: &'a Map<String, Value>,
) -> Envelope<'a> {
    let raw = if fields.is_empty() {
        Raw::Fake { source: "fake" }
    } else {
        Raw::Frame(frame)
    };
    let snapshot = Snapshot::Made {
        instrument,
        timestamp: truthy(fields, "timestamp")
            .map_or(Timestamp::Fixed(FAKE_TIMESTAMP_S), Timestamp::Given),
        features: Features::Fake {
            price: FAKE_PRICE,
            signal_strength: FAKE_SIGNAL_STRENGTH,
        },
        raw,
    };
    Envelope {
        instrument,
        signals: Signals::Fake {
            raw: frame,
            normalized: snapshot,
        },
        snapshot,
        fake_mode: Some(true),
    }
}

/// The value of `key`, unless it is empty in the sense of the frames' origin: null, false, zero, an empty text,
/// list or mapping.
fn truthy<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let value = fields.get(key)?;
    let is_truthy = match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    };
    is_truthy.then_some(value)
}

#[cfg(test)]
mod tests;
