//! The risk flags: equity, its high-water mark, the drawdown from it, and whether trading is on.
//!
//! A drawdown strictly above 5 % turns trading off, and so does an equity below 100. Neither a recovery nor anything else that
//! this stage sees turns it on again, nor does anything lower the mark: only a person does, with `bulkhead kill off --enable-trading`.
//! While the drawdown still stands, that alone lasts until the next beat. With `--reset-high-water-mark` the person accepts the
//! loss: `high_water_mark` becomes the `current_equity` of the last beat, drawdowns count from there, and trading stays on. No mark
//! helps an equity below 100.

use bulkhead_kernel::money::Notional;
use rust_decimal::prelude::{Decimal, ToPrimitive};
use serde_json::{Map, Value, json};

/// The drawdown beyond which trading is turned off, as a fraction: 5 %.
pub const MAX_DRAWDOWN: Decimal = Decimal::from_parts(5, 0, 0, false, 2);
/// The equity under which trading is turned off, in USD.
pub const MIN_EQUITY: Decimal = Decimal::ONE_HUNDRED;

/// What became of the risk flags.
#[derive(Debug, Clone, PartialEq)]
pub struct Flags {
    /// The document's new body. Fields that this stage does not know stay as they are.
    pub body: Value,
    /// Whether trading is on.
    pub trading_enabled: bool,
    /// Why this beat turned trading off. None: it did not.
    pub turned_off: Option<&'static str>,
    /// The drawdown, as a fraction.
    pub drawdown: Decimal,
}

/// The risk document is not what this stage can go on from. Trading counts as off while it is so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RiskError {
    /// It is no JSON object.
    #[error("read the risk flags: the document is no JSON object")]
    NotAnObject,
    /// The high-water mark is missing or no decimal in a text.
    #[error("read the risk flags: `high_water_mark` is {0}, expected a decimal as text")]
    HighWaterMark(Value),
    /// The drawdown is too large for a decimal.
    #[error("compute the drawdown from {high_water_mark} to {equity}")]
    Drawdown {
        /// From where.
        high_water_mark: Notional,
        /// To where.
        equity: Notional,
    },
}

/// What the risk flags become at `equity`. `stored` is the document's body; none: it does not exist yet, and trading begins
/// turned on. `now` is the instant as RFC 3339 text.
///
/// # Errors
/// See [`RiskError`]; the document is to be left as it is.
pub fn decide(stored: Option<&str>, equity: Notional, now: &str) -> Result<Flags, RiskError> {
    let (mut body, before, was_enabled) = match stored {
        None => (Map::new(), None, true),
        Some(text) => {
            let Ok(Value::Object(body)) = serde_json::from_str::<Value>(text) else {
                return Err(RiskError::NotAnObject);
            };
            let mark = body.get("high_water_mark").cloned().unwrap_or_default();
            let mark = mark
                .as_str()
                .and_then(|text| text.parse::<Notional>().ok())
                .ok_or(RiskError::HighWaterMark(mark.clone()))?;
            let was_enabled = body.get("trading_enabled") == Some(&Value::Bool(true));
            (body, Some(mark), was_enabled)
        }
    };
    let high_water_mark = before.map_or(equity, |mark| mark.max(equity));
    let drawdown = drawdown(high_water_mark, equity).ok_or(RiskError::Drawdown {
        high_water_mark,
        equity,
    })?;
    let breached = drawdown > MAX_DRAWDOWN;
    let reason = if breached {
        Some("drawdown_breached")
    } else if equity.get() < MIN_EQUITY {
        Some("equity_below_minimum")
    } else {
        None
    };
    let turned_off = reason.filter(|_| was_enabled);
    let trading_enabled = was_enabled && reason.is_none();
    let breached_at = match body.get("drawdown_breached_at") {
        _ if !breached => Value::Null,
        Some(Value::String(since)) => json!(since),
        _ => json!(now),
    };
    let mut set = |field: &str, value: Value| body.insert(field.to_owned(), value);
    set("high_water_mark", json!(high_water_mark));
    set("current_equity", json!(equity));
    set(
        "drawdown_percent",
        json!(drawdown.round_dp(8).to_f64().unwrap_or(1.0)),
    );
    set("trading_enabled", json!(trading_enabled));
    set("last_updated", json!(now));
    if before != Some(high_water_mark) {
        set("last_hwm_update", json!(now));
    }
    set("drawdown_breached_at", breached_at);
    if let Some(reason) = turned_off {
        set("disabled_reason", json!(reason));
    } else if trading_enabled {
        set("disabled_reason", Value::Null);
    }
    Ok(Flags {
        body: Value::Object(body),
        trading_enabled,
        turned_off,
        drawdown,
    })
}

/// The fraction of the high-water mark that is lost; 0 when the mark is not above zero.
fn drawdown(high_water_mark: Notional, equity: Notional) -> Option<Decimal> {
    if !high_water_mark.is_positive() {
        return Some(Decimal::ZERO);
    }
    high_water_mark
        .get()
        .checked_sub(equity.get())?
        .checked_div(high_water_mark.get())
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn at(stored: Option<&Value>, equity: &str) -> Flags {
        let stored = stored.map(Value::to_string);
        decide(
            stored.as_deref(),
            equity.parse().unwrap(),
            "2022-01-01T00:00:00Z",
        )
        .unwrap()
    }

    fn marked(trading_enabled: Value) -> Value {
        json!({ "high_water_mark": "10500", "trading_enabled": trading_enabled, "note": "kept" })
    }

    #[test]
    fn the_first_beat_turns_trading_on() {
        let flags = at(None, "100000");
        assert!(flags.trading_enabled);
        assert_eq!(flags.body["high_water_mark"], "100000");
        assert_eq!(flags.body["drawdown_percent"], 0.0);
        assert_eq!(flags.body["drawdown_breached_at"], Value::Null);
    }

    #[test]
    fn exactly_five_percent_stays_on_and_more_turns_off() {
        for (equity, enabled, breached) in [
            ("9975", true, false),
            ("9974.99", false, true),
            ("9900", false, true),
            ("10000", true, false),
            ("10600", true, false),
        ] {
            let flags = at(Some(&marked(json!(true))), equity);
            assert_eq!(flags.trading_enabled, enabled, "{equity}");
            assert_eq!(
                flags.body["drawdown_breached_at"].is_string(),
                breached,
                "{equity}"
            );
            assert_eq!(
                flags.turned_off,
                breached.then_some("drawdown_breached"),
                "{equity}"
            );
            assert_eq!(flags.body["note"], "kept");
        }
    }

    #[test]
    fn a_recovery_does_not_turn_trading_on_again() {
        let breached = at(Some(&marked(json!(true))), "9900").body;
        let recovered = at(Some(&breached), "11000");
        assert!(!recovered.trading_enabled);
        assert_eq!(recovered.turned_off, None);
        assert_eq!(recovered.body["disabled_reason"], "drawdown_breached");
        assert_eq!(recovered.body["drawdown_breached_at"], Value::Null);
        assert_eq!(recovered.body["high_water_mark"], "11000");
    }

    #[test]
    fn a_person_turns_trading_on_again() {
        let mut breached = at(Some(&marked(json!(true))), "9900").body;
        breached["trading_enabled"] = json!(true);
        assert!(at(Some(&breached), "10400").trading_enabled);
        assert!(
            !at(Some(&breached), "9900").trading_enabled,
            "the drawdown still stands"
        );
    }

    /// What `bulkhead kill off --enable-trading --reset-high-water-mark` makes of the flags.
    fn reset_by_a_person(mut flags: Value) -> Value {
        flags["trading_enabled"] = json!(true);
        flags["high_water_mark"] = flags["current_equity"].clone();
        flags
    }

    #[test]
    fn a_person_who_resets_the_high_water_mark_too_turns_trading_on_for_good() {
        let breached = at(Some(&marked(json!(true))), "9900").body;
        let reset = at(Some(&reset_by_a_person(breached)), "9900");
        assert!(reset.trading_enabled);
        assert_eq!(reset.turned_off, None);
        assert_eq!(reset.drawdown, Decimal::ZERO);
        assert_eq!(reset.body["high_water_mark"], "9900");
        assert_eq!(reset.body["drawdown_breached_at"], Value::Null);
        assert_eq!(reset.body["disabled_reason"], Value::Null);
        assert!(at(Some(&reset.body), "9405").trading_enabled, "exactly 5 %");
        assert_eq!(
            at(Some(&reset.body), "9404").turned_off,
            Some("drawdown_breached"),
            "drawdowns count from the new mark"
        );
    }

    #[test]
    fn no_high_water_mark_keeps_trading_on_below_the_minimum() {
        let low = at(Some(&marked(json!(true))), "99").body;
        assert_eq!(
            at(Some(&reset_by_a_person(low)), "99").turned_off,
            Some("equity_below_minimum")
        );
    }

    #[test]
    fn an_equity_below_the_minimum_turns_trading_off() {
        let stored = json!({ "high_water_mark": "100", "trading_enabled": true });
        assert!(at(Some(&stored), "100").trading_enabled);
        assert_eq!(
            at(Some(&stored), "99.99").turned_off,
            Some("equity_below_minimum")
        );
        assert!(!at(None, "0").trading_enabled);
        assert!(!at(None, "-5").trading_enabled);
    }

    #[test]
    fn what_is_not_true_counts_as_off() {
        for value in [json!("true"), json!(1), Value::Null] {
            assert!(!at(Some(&marked(value)), "10500").trading_enabled);
        }
    }

    #[test]
    fn a_document_that_cannot_be_read_is_not_gone_on_from() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"high_water_mark":10500}"#,
            r#"{"high_water_mark":"much"}"#,
        ] {
            assert!(decide(Some(body), Notional::ZERO, "").is_err(), "{body}");
        }
    }
}
