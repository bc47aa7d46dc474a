//! A strategy: buy when the fast exponential moving average crosses above the slow one, sell when it crosses below.
//!
//! [`evaluate`] is a pure function of what it is shown. On `wasm32-unknown-unknown` the crate is the component of the
//! world `strategy-component`, which imports nothing; elsewhere it is an ordinary library with the same two functions.
//!
//! # Rules
//! - An average of period `n` begins as the plain mean of the first `n` closes and goes on with the smoothing
//!   factor `2 / (n + 1)`.
//! - A cross is looked for on the last bar only: the fast average was at or below the slow one on the bar before and is
//!   above it now (buy), or was at or above and is below (sell). Else: hold, strength 0, confidence 0.
//! - The averages' relative distance, `|fast - slow| / slow`, is the confidence in units of
//!   [`FULL_CONFIDENCE_DISTANCE`], clamped to [`MIN_CONFIDENCE`] and 1. The strength of a cross is 1 or -1.
//! - Shown fewer than `slow + 1` bars, it holds.

#[cfg(all(target_arch = "wasm32", target_os = "unknown", not(test)))]
mod component;
mod ema;

use serde::Deserialize;

pub use ema::Ema;

/// Its name.
pub const NAME: &str = "ema-cross";
/// What kind of signal it gives.
pub const KIND: &str = "momentum";
/// How many bars it wants to see: five slow periods, after which the beginning weighs less than a thousandth.
pub const LOOKBACK_BARS: u32 = 130;
/// The most bars that a view may have.
pub const MAX_BARS: usize = 10_000;
/// The longest slow period.
pub const MAX_PERIOD: u32 = 1_000;
/// The most digits after the decimal point of a column.
pub const MAX_SCALE: u8 = 12;
/// The relative distance of the averages at which a cross is certain: 10 basis points. On the bar of the cross itself the
/// averages have only begun to part, so the distance is small.
pub const FULL_CONFIDENCE_DISTANCE: f64 = 0.001;
/// The confidence of the faintest cross: not 0, which would take it out of the fusion.
pub const MIN_CONFIDENCE: f64 = 0.05;

/// JSON Schema of [`View::parameters`].
pub const PARAMETERS_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"fast":{"type":"integer","minimum":1,"maximum":999,"default":12,"description":"period of the fast average, in bars; below slow"},"slow":{"type":"integer","minimum":2,"maximum":1000,"default":26,"description":"period of the slow average, in bars"}},"additionalProperties":false}"#;

/// What the strategy says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: &'static str,
    /// Its version (SemVer).
    pub version: &'static str,
    /// What kind of signal it gives, which decides its weight when signals are fused.
    pub kind: &'static str,
    /// How many bars it wants to see. It bears to be shown fewer.
    pub lookback_bars: u32,
    /// JSON Schema of [`View::parameters`].
    pub parameters_schema: &'static str,
}

/// What the strategy is shown. The columns are of one length, ascending by open time.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The instrument, for example `BTC-USDT`.
    pub instrument: &'a str,
    /// The bars' length, for example `1m`.
    pub timeframe: &'a str,
    /// The instant of the decision, in Unix milliseconds.
    pub as_of_ms: i64,
    /// Digits after the decimal point of the price columns; 0 to [`MAX_SCALE`].
    pub price_scale: u8,
    /// Digits after the decimal point of the volume column.
    pub volume_scale: u8,
    /// When each bar opens, in Unix milliseconds.
    pub open_time_ms: &'a [i64],
    /// First price of each bar, scaled.
    pub open: &'a [i64],
    /// Highest price of each bar, scaled.
    pub high: &'a [i64],
    /// Lowest price of each bar, scaled.
    pub low: &'a [i64],
    /// Last price of each bar, scaled.
    pub close: &'a [i64],
    /// Volume of each bar, scaled.
    pub volume: &'a [i64],
    /// JSON object of the parameters. Empty text means `{}`.
    pub parameters: &'a str,
}

/// What the strategy would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Go long.
    Buy,
    /// Go short.
    Sell,
    /// Stay as it is.
    Hold,
}

/// The strategy's opinion.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// What to do.
    pub action: Action,
    /// 1 to buy, -1 to sell, 0 to hold.
    pub strength: f64,
    /// How sure, from 0 to 1.
    pub confidence: f64,
    /// Why, in words.
    pub rationale: String,
    /// JSON object: `fast_ema`, `slow_ema` and `distance` when there were bars enough; else `{}`.
    pub metadata: String,
}

/// Why there is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The parameters are not what the schema asks for.
    #[error("read the parameters: {0}")]
    InvalidParameters(String),
    /// The view is malformed.
    #[error("read the view: {0}")]
    InvalidView(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Parameters {
    fast: u32,
    slow: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { fast: 12, slow: 26 }
    }
}

impl Parameters {
    fn read(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let refuse = |error: serde_json::Error| Error::InvalidParameters(error.to_string());
        // An object first: a list of the right length is not one.
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(refuse)?;
        let parameters: Self = serde_json::from_value(object.into()).map_err(refuse)?;
        let Self { fast, slow } = parameters;
        if fast == 0 || fast >= slow || slow > MAX_PERIOD {
            return Err(Error::InvalidParameters(format!(
                "fast is {fast} and slow is {slow}, expected 0 < fast < slow <= {MAX_PERIOD}"
            )));
        }
        Ok(parameters)
    }
}

/// Says what the strategy is.
#[must_use]
pub fn describe() -> Info {
    Info {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        kind: KIND,
        lookback_bars: LOOKBACK_BARS,
        parameters_schema: PARAMETERS_SCHEMA,
    }
}

/// Gives the one signal for a view.
///
/// # Errors
/// Parameters against the schema; columns of several lengths, more than [`MAX_BARS`] bars, a scale above
/// [`MAX_SCALE`], or a close that is not positive.
pub fn evaluate(view: &View<'_>) -> Result<Vec<Signal>, Error> {
    let Parameters { fast, slow } = Parameters::read(view.parameters)?;
    check(view)?;
    let unit = 10_f64.powi(i32::from(view.price_scale));
    let closes = || view.close.iter().map(|close| *close as f64 / unit);
    let (Some(fast_ema), Some(slow_ema)) =
        (Ema::last_two(fast, closes()), Ema::last_two(slow, closes()))
    else {
        return Ok(vec![hold(
            format!("{} bars of the {} needed", view.close.len(), slow + 1),
            "{}".to_owned(),
        )]);
    };
    let distance = (fast_ema.last - slow_ema.last).abs() / slow_ema.last;
    let metadata = serde_json::json!({
        "fast_ema": fast_ema.last,
        "slow_ema": slow_ema.last,
        "distance": distance,
    })
    .to_string();
    let crossed_above = fast_ema.previous <= slow_ema.previous && fast_ema.last > slow_ema.last;
    let crossed_below = fast_ema.previous >= slow_ema.previous && fast_ema.last < slow_ema.last;
    let (action, strength, word) = match (crossed_above, crossed_below) {
        (true, _) => (Action::Buy, 1.0, "above"),
        (_, true) => (Action::Sell, -1.0, "below"),
        _ => {
            return Ok(vec![hold(
                format!("no cross of EMA {fast} and EMA {slow}"),
                metadata,
            )]);
        }
    };
    Ok(vec![Signal {
        action,
        strength,
        confidence: (distance / FULL_CONFIDENCE_DISTANCE).clamp(MIN_CONFIDENCE, 1.0),
        rationale: format!("EMA {fast} crossed {word} EMA {slow}"),
        metadata,
    }])
}

fn hold(rationale: String, metadata: String) -> Signal {
    Signal {
        action: Action::Hold,
        strength: 0.0,
        confidence: 0.0,
        rationale,
        metadata,
    }
}

fn check(view: &View<'_>) -> Result<(), Error> {
    let bars = view.open_time_ms.len();
    let lengths = [
        view.open.len(),
        view.high.len(),
        view.low.len(),
        view.close.len(),
        view.volume.len(),
    ];
    if lengths.iter().any(|length| *length != bars) {
        return Err(Error::InvalidView(format!(
            "columns of {lengths:?} values for {bars} bars"
        )));
    }
    if bars > MAX_BARS {
        return Err(Error::InvalidView(format!(
            "{bars} bars, expected at most {MAX_BARS}"
        )));
    }
    if view.price_scale > MAX_SCALE {
        return Err(Error::InvalidView(format!(
            "price scale {}, expected at most {MAX_SCALE}",
            view.price_scale
        )));
    }
    match view.close.iter().find(|close| **close <= 0) {
        Some(close) => Err(Error::InvalidView(format!(
            "a close of {close}, expected above zero"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
