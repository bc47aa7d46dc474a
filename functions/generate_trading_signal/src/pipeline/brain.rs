//! The brain: several signals fused into one decision.
//!
//! Each signal counts with its confidence and the weight of its type. A score above 0.05 buys, one below -0.05
//! sells. Only mapping-valued entries of the signals count; an entry's missing strength or confidence is 0.

use bulkhead_kernel::trace::Action;
use serde_json::{Value, json};

/// The score beyond which the decision is not to hold.
const DECISION_THRESHOLD: f64 = 0.05;
/// The confidence of the fake decision.
const FAKE_CONFIDENCE: f64 = 0.5;

/// By how much a signal's type counts.
fn weight(signal_type: &str) -> f64 {
    match signal_type {
        "mean_reversion" => 0.8,
        "news" => 1.1,
        "volatility" => 0.6,
        // `momentum`, and every type without a weight of its own.
        _ => 1.0,
    }
}

/// The decision of the brain stage's own fake.
#[must_use]
pub fn fake() -> Value {
    json!({
        "action": Action::Hold.as_str(),
        "confidence": FAKE_CONFIDENCE,
        "rationale": ["fake_mode enabled"],
        "meta": { "source": "fake" },
    })
}

/// Fuses the `signals` of an envelope: a mapping of signals by name, each
/// `{type, provider_id, strength, confidence, timestamp, metadata}`.
#[must_use]
pub fn fuse(signals: &Value) -> Value {
    let used: Vec<(&String, &Value)> = signals
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, signal)| signal.is_object())
        .collect();
    let (mut weighted, mut total, mut confidence) = (0.0, 0.0, 0.0);
    let mut rationale = Vec::with_capacity(used.len());
    for (name, signal) in &used {
        let signal_type = signal["type"].as_str().unwrap_or("other");
        let weight = weight(signal_type);
        let signal_confidence = signal["confidence"].as_f64().unwrap_or_default();
        let contribution =
            signal["strength"].as_f64().unwrap_or_default() * signal_confidence * weight;
        weighted += contribution;
        total += weight.abs() * signal_confidence.max(0.0);
        confidence += weight.abs() * signal_confidence;
        rationale.push(format!("{name} ({signal_type}) {contribution:+.4}"));
    }
    let score = if total > 0.0 { weighted / total } else { 0.0 };
    let action = if score > DECISION_THRESHOLD {
        Action::Buy
    } else if score < -DECISION_THRESHOLD {
        Action::Sell
    } else {
        Action::Hold
    };
    let count = f64::from(u32::try_from(used.len()).unwrap_or(u32::MAX));
    let confidence = if used.is_empty() {
        0.0
    } else {
        (confidence / count).clamp(0.0, 1.0)
    };
    json!({
        "action": action.as_str(),
        "confidence": confidence,
        "rationale": rationale,
        "meta": { "signals_used": used.iter().map(|(name, _)| name).collect::<Vec<_>>() },
    })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn check(signals: &Value, action: &str, confidence: f64) {
        let decision = fuse(signals);
        assert_eq!(decision["action"], action, "{decision}");
        let fused = decision["confidence"].as_f64().unwrap();
        assert!(
            (fused - confidence).abs() < 1e-12,
            "{fused} is not {confidence}"
        );
    }

    #[test]
    fn a_score_above_the_threshold_buys_and_one_below_its_negative_sells() {
        let one = |strength: f64| json!({ "m": { "type": "momentum", "strength": strength, "confidence": 0.5 } });
        check(&one(0.06), "buy", 0.5);
        check(&one(0.05), "hold", 0.5);
        check(&one(-0.05), "hold", 0.5);
        check(&one(-0.06), "sell", 0.5);
    }

    #[test]
    fn types_weigh_differently() {
        let pair = |type_a: &str, type_b: &str| {
            json!({
                "a": { "type": type_a, "strength": 1.0, "confidence": 1.0 },
                "b": { "type": type_b, "strength": -1.0, "confidence": 1.0 },
            })
        };
        // (1.1 - 1.0) / 2.1 is below the threshold, (1.0 - 0.8) / 1.8 above it.
        check(&pair("news", "momentum"), "hold", 1.0);
        check(&pair("momentum", "mean_reversion"), "buy", 0.9);
        check(&pair("volatility", "anything"), "sell", 0.8);
    }

    #[test]
    fn confidence_is_at_most_one() {
        check(
            &json!({ "n": { "type": "news", "strength": 1.0, "confidence": 1.0 } }),
            "buy",
            1.0,
        );
    }

    #[test]
    fn only_mappings_count_as_signals() {
        let decision = fuse(&json!({
            "instrument": "BTC-USD", "timestamp": 1, "m": { "strength": 1.0, "confidence": 0.4 }, "list": [1],
        }));
        assert_eq!(decision["meta"]["signals_used"], json!(["m"]));
        assert_eq!(decision["confidence"], 0.4);
    }

    #[test]
    fn signals_without_any_confidence_hold() {
        check(
            &json!({ "m": { "type": "momentum", "strength": 1.0 } }),
            "hold",
            0.0,
        );
        check(
            &json!({ "m": { "strength": 1.0, "confidence": -1.0 } }),
            "hold",
            0.0,
        );
        check(&json!([]), "hold", 0.0);
        check(&Value::Null, "hold", 0.0);
    }
}
