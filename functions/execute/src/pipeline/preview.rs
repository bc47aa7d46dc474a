//! The intent preview: what a decision would ask for, under the caps.
//!
//! The size, in units, is the smaller cap times the decision's risk fraction, divided by the price. The price is
//! the snapshot's `price`, else what its `prices` hold for the instrument.

use bulkhead_kernel::literal::literal;
use bulkhead_kernel::trace::{Action, Digest};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The part of the caps that a decision risks when it does not say.
const DEFAULT_RISK_FRACTION: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// The default of [`Caps::max_position_usd`].
const DEFAULT_MAX_POSITION_USD: Decimal = Decimal::from_parts(50_000, 0, 0, false, 0);
/// The default of [`Caps::max_order_usd`].
const DEFAULT_MAX_ORDER_USD: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

/// The most that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest position, in USD.
    pub max_position_usd: Decimal,
    /// The largest order, in USD.
    pub max_order_usd: Decimal,
}

impl Caps {
    /// Reads the caps as they are configured. None: 50000 and 10000.
    ///
    /// # Errors
    /// The text names the cap that is not an amount, or is negative.
    pub fn read(
        max_position_usd: Option<&str>,
        max_order_usd: Option<&str>,
    ) -> Result<Self, String> {
        let read = |name: &str, text: Option<&str>, default: Decimal| match text {
            None => Ok(default),
            Some(text) => match text.trim().parse::<Decimal>() {
                Ok(cap) if cap.is_zero() || cap.is_sign_positive() => Ok(cap),
                _ => Err(format!("`{name}` is not an amount: `{text}`")),
            },
        };
        Ok(Self {
            max_position_usd: read(
                "max_position_usd",
                max_position_usd,
                DEFAULT_MAX_POSITION_USD,
            )?,
            max_order_usd: read("max_order_usd", max_order_usd, DEFAULT_MAX_ORDER_USD)?,
        })
    }
}

/// The intent preview of a fake pipeline.
#[must_use]
pub fn of_digest(digest: &Digest) -> Value {
    intent_preview(
        digest.action(),
        digest.preview_size(),
        digest.confidence(),
        &["fake_mode"],
        &["fake_mode"],
        json!({ "fake": true, "trace_id": digest.trace_id() }),
    )
}

/// The preview's own fake in a real pipeline: read off the digest of the decision's text, a bar, the snapshot's text.
#[must_use]
pub fn fake(decision: &Value, snapshot: &Value) -> Value {
    let digest = Digest::of_text(&format!("{}|{}", literal(decision), literal(snapshot)));
    intent_preview(
        digest.stage_preview_action(),
        digest.stage_preview_size(),
        digest.stage_preview_confidence(),
        &["fake_mode"],
        &["fake_mode"],
        json!({ "fake": true }),
    )
}

/// The intent preview of a real pipeline. A decision that is none gives `invalid_decision`, and nothing to do.
#[must_use]
pub fn preview(decision: &Value, envelope: &Value, caps: &Caps) -> Value {
    let Some(action) = decision["action"].as_str().and_then(Action::from_word) else {
        return intent_preview(
            Action::Hold,
            0.0,
            0.0,
            &[],
            &["invalid_decision"],
            json!({}),
        );
    };
    let confidence = decision["confidence"].as_f64().unwrap_or_default();
    let (mut size, mut risk_notes) = (Decimal::ZERO, Vec::new());
    match price(envelope) {
        None => risk_notes.push("missing_price"),
        // To hold asks for nothing.
        Some(_) if action == Action::Hold => {}
        Some(price) => {
            let capital = caps.max_order_usd.min(caps.max_position_usd);
            // A price so small that the division overflows is no price to size by.
            let allowed = capital
                .checked_mul(risk_fraction(decision))
                .and_then(|at_risk| at_risk.checked_div(price))
                .unwrap_or_default();
            size = decimal(&decision["size"])
                .filter(|size| !size.is_sign_negative())
                .unwrap_or(allowed);
            if size > allowed {
                size = allowed;
                risk_notes.push("capped_by_risk_limits");
            }
        }
    }
    intent_preview(
        action,
        as_number(size),
        confidence,
        &[],
        &risk_notes,
        json!({}),
    )
}

fn risk_fraction(decision: &Value) -> Decimal {
    [&decision["risk_pct"], &decision["meta"]["risk_pct"]]
        .into_iter()
        .find_map(decimal)
        .unwrap_or(DEFAULT_RISK_FRACTION)
        .clamp(Decimal::ZERO, Decimal::ONE)
}

fn price(envelope: &Value) -> Option<Decimal> {
    let snapshot = &envelope["snapshot"];
    let instrument = envelope["instrument"].as_str().unwrap_or_default();
    [&snapshot["price"], &snapshot["prices"][instrument]]
        .into_iter()
        .filter_map(decimal)
        .find(|price| !price.is_zero() && price.is_sign_positive())
}

/// An amount that stands as a JSON number or as its text.
fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    text.parse()
        .or_else(|_| Decimal::from_scientific(&text))
        .ok()
}

/// The preview carries its size as a JSON number, for people to look at; no order is made from it.
fn as_number(size: Decimal) -> f64 {
    // Every decimal's text is a number's.
    size.to_string().parse().unwrap_or_default()
}

fn intent_preview(
    action: Action,
    size: f64,
    confidence: f64,
    rationale: &[&str],
    risk_notes: &[&str],
    meta: Value,
) -> Value {
    json!({
        "action": action.as_str(),
        "size": size,
        "confidence": confidence,
        "rationale": rationale,
        "risk_notes": risk_notes,
        "meta": meta,
    })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn caps() -> Caps {
        Caps::read(None, None).unwrap()
    }

    fn check(decision: Value, snapshot: Value, size: f64, risk_notes: &[&str]) {
        let envelope = json!({ "instrument": "BTC-USD", "snapshot": snapshot, "signals": {} });
        let preview = preview(&decision, &envelope, &caps());
        assert_eq!(
            (&preview["size"], &preview["risk_notes"]),
            (&json!(size), &json!(risk_notes)),
            "{decision}"
        );
    }

    #[test]
    fn the_size_is_the_smaller_cap_times_the_risk_fraction_over_the_price() {
        check(
            json!({ "action": "buy", "risk_pct": 0.02 }),
            json!({ "price": 20000 }),
            0.01,
            &[],
        );
        check(
            json!({ "action": "buy", "meta": { "risk_pct": "0.02" } }),
            json!({ "price": "20000" }),
            0.01,
            &[],
        );
        check(
            json!({ "action": "sell" }),
            json!({ "price": 20000.0 }),
            0.005,
            &[],
        );
    }

    #[test]
    fn the_risk_fraction_is_clamped_from_0_to_1() {
        check(
            json!({ "action": "buy", "risk_pct": 7 }),
            json!({ "price": 20000 }),
            0.5,
            &[],
        );
        check(
            json!({ "action": "buy", "risk_pct": -1 }),
            json!({ "price": 20000 }),
            0.0,
            &[],
        );
    }

    #[test]
    fn the_instruments_price_stands_in_for_the_snapshots_own() {
        check(
            json!({ "action": "buy" }),
            json!({ "prices": { "BTC-USD": 20000, "ETH-USD": 1 } }),
            0.005,
            &[],
        );
    }

    #[test]
    fn a_size_above_what_is_allowed_is_capped_and_noted() {
        check(
            json!({ "action": "buy", "size": 3 }),
            json!({ "price": 20000 }),
            0.005,
            &["capped_by_risk_limits"],
        );
        check(
            json!({ "action": "buy", "size": 0.001 }),
            json!({ "price": 20000 }),
            0.001,
            &[],
        );
    }

    #[test]
    fn without_a_price_there_is_no_size_and_a_note() {
        for snapshot in [
            json!({}),
            json!({ "price": 0 }),
            json!({ "price": -1 }),
            json!({ "price": "x" }),
            json!([]),
        ] {
            check(
                json!({ "action": "buy" }),
                snapshot,
                0.0,
                &["missing_price"],
            );
        }
    }

    #[test]
    fn a_decision_that_is_none_previews_nothing() {
        for decision in [
            json!(null),
            json!([]),
            json!({}),
            json!({ "action": "short", "confidence": 0.9 }),
        ] {
            let preview = preview(&decision, &json!({ "snapshot": { "price": 1 } }), &caps());
            assert_eq!(
                preview,
                json!({
                    "action": "hold", "size": 0.0, "confidence": 0.0, "rationale": [],
                    "risk_notes": ["invalid_decision"], "meta": {},
                })
            );
        }
    }

    #[test]
    fn a_cap_that_is_no_amount_is_refused() {
        assert!(Caps::read(Some("50k"), None).is_err());
        assert!(Caps::read(None, Some("-1")).is_err());
        assert_eq!(
            Caps::read(Some(" 5 "), None).unwrap().max_position_usd,
            Decimal::from(5)
        );
    }

    #[test]
    fn the_previews_own_fake_depends_on_decision_and_snapshot() {
        let decision = json!({ "action": "hold" });
        let one = fake(&decision, &json!({ "price": 1 }));
        assert_eq!(one, fake(&decision, &json!({ "price": 1 })));
        assert_ne!(one, fake(&decision, &json!({ "price": 1.0 })));
        assert_ne!(
            one,
            fake(&json!({ "action": "buy" }), &json!({ "price": 1 }))
        );
        assert_eq!(one["meta"], json!({ "fake": true }));
    }
}
