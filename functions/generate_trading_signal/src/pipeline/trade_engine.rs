//! The trade engine: whether a brain decision may become a trade, and of what size.
//!
//! The rules are asked in the order of [`Reason`]; the first that refuses names the reason, and the action is to
//! hold. A decision to hold, on an instrument that is traded, is accepted with no amount.

use bulkhead_kernel::trace::Action;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

/// The instruments that are traded.
const SUPPORTED_INSTRUMENTS: [&str; 2] = ["BTC-USD", "ETH-USD"];
/// What stands for an instrument that is not known.
const UNKNOWN_INSTRUMENT: &str = "unknown";
/// The most that may be at stake, in USD: the trade's notional together with the exposure there is.
const EXPOSURE_LIMIT_USD: Decimal = Decimal::from_parts(100_000, 0, 0, false, 0);
/// The most units that one trade may be of.
const MAX_POSITION_UNITS: Decimal = Decimal::from_parts(10, 0, 0, false, 0);
/// The risk score above which a trade is scaled down.
const RISK_SCORE_LIMIT: f64 = 0.7;
/// By how much it is scaled down.
const RISK_SCALE: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// What the engine knows of the account and the market. Absent amounts are 0, an absent instrument is unknown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TradeContext {
    /// What would be traded. None: what the decision names.
    pub instrument: Option<String>,
    /// The units asked for.
    pub amount: Decimal,
    /// The price of a unit, in USD.
    pub price: Decimal,
    /// What is at stake already, in USD.
    pub exposure_usd: Decimal,
    /// From 0, no risk, to 1.
    pub risk_score: f64,
    /// Trading is blocked.
    pub blocked: bool,
    /// A cooldown after an earlier trade is running.
    pub cooldown_active: bool,
}

impl TradeContext {
    /// Reads the task's `context`.
    ///
    /// # Errors
    /// The text says which field is wrong.
    pub fn read(context: &Value) -> Result<Self, String> {
        let context = Self::deserialize(context).map_err(|error| format!("`context`: {error}"))?;
        let amounts = [
            ("amount", context.amount),
            ("price", context.price),
            ("exposure_usd", context.exposure_usd),
        ];
        match amounts
            .into_iter()
            .find(|(_, amount)| amount.is_sign_negative() && !amount.is_zero())
        {
            Some((field, amount)) => Err(format!(
                "`context`: `{field}` must not be negative: {amount}"
            )),
            None => Ok(context),
        }
    }
}

/// Why the engine answers as it does, in the order of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The decision is not a mapping.
    InvalidType,
    /// The instrument is not traded here.
    UnsupportedInstrument,
    /// The decision's action is none of buy, sell and hold.
    UnsupportedAction,
    /// Trading is blocked.
    BlockedState,
    /// A cooldown is running.
    CooldownActive,
    /// Notional and exposure together exceed 100000 USD.
    ExposureLimit,
    /// The trade is of more than 10 units.
    MaxPosition,
    /// No rule refuses.
    Accepted,
}

impl Reason {
    /// The stable word for the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidType => "invalid_type",
            Self::UnsupportedInstrument => "unsupported_instrument",
            Self::UnsupportedAction => "unsupported_action",
            Self::BlockedState => "blocked_state",
            Self::CooldownActive => "cooldown_active",
            Self::ExposureLimit => "exposure_limit",
            Self::MaxPosition => "max_position",
            Self::Accepted => "accepted",
        }
    }
}

/// What the engine answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `{action, envelope, reason}`.
    pub trade_action: Value,
    /// The counters raised, `{name, labels}` each.
    pub metrics: Vec<Value>,
}

/// The trade action of the engine's own fake.
#[must_use]
pub fn fake() -> Value {
    let metadata = json!({ "risk_flags": ["fake_mode"], "fake": true });
    trade_action(
        Action::Hold,
        0.0,
        0.0,
        UNKNOWN_INSTRUMENT,
        metadata,
        "fake_mode",
    )
}

/// Applies the rules to a brain decision.
#[must_use]
pub fn act(decision: &Value, context: &TradeContext) -> Answer {
    let asked = decision["action"].as_str();
    let instrument = context
        .instrument
        .as_deref()
        .or_else(|| decision["instrument"].as_str())
        .unwrap_or(UNKNOWN_INSTRUMENT);
    let scaled = context.risk_score > RISK_SCORE_LIMIT;
    let amount = if scaled {
        context.amount * RISK_SCALE
    } else {
        context.amount
    };
    let reason = judge(decision, instrument, amount, context);
    let accepted = reason == Reason::Accepted;
    let action = asked
        .and_then(Action::from_word)
        .filter(|_| accepted)
        .unwrap_or(Action::Hold);
    let trades = action != Action::Hold;
    let risk_flags = if scaled && trades {
        vec!["scaled_for_risk"]
    } else {
        Vec::new()
    };
    let trade_action = trade_action(
        action,
        if trades { as_number(amount) } else { 0.0 },
        if accepted {
            decision["confidence"].as_f64().unwrap_or_default()
        } else {
            0.0
        },
        instrument,
        json!({ "risk_flags": risk_flags }),
        reason.as_str(),
    );
    let metric =
        |name: &str, label: &str, value: &str| json!({ "name": name, "labels": { label: value } });
    let mut metrics = vec![metric("engine_decisions_total", "action", action.as_str())];
    if !accepted {
        metrics.push(metric("engine_failures_total", "reason", reason.as_str()));
    }
    let outcome = if accepted { "success" } else { "fail" };
    metrics.push(metric("trade_engine_requests_total", "outcome", outcome));
    metrics.push(metric(
        "trade_engine_actions_total",
        "action",
        action.as_str(),
    ));
    Answer {
        trade_action,
        metrics,
    }
}

fn judge(decision: &Value, instrument: &str, amount: Decimal, context: &TradeContext) -> Reason {
    if !decision.is_object() {
        return Reason::InvalidType;
    }
    if !SUPPORTED_INSTRUMENTS.contains(&instrument) {
        return Reason::UnsupportedInstrument;
    }
    let Some(action) = decision["action"].as_str().and_then(Action::from_word) else {
        return Reason::UnsupportedAction;
    };
    if context.blocked {
        return Reason::BlockedState;
    }
    if context.cooldown_active {
        return Reason::CooldownActive;
    }
    if action == Action::Hold {
        return Reason::Accepted;
    }
    // An amount too large to be multiplied or added up exceeds every limit.
    let at_stake = amount
        .checked_mul(context.price)
        .and_then(|notional| notional.checked_add(context.exposure_usd));
    if at_stake.is_none_or(|at_stake| at_stake > EXPOSURE_LIMIT_USD) {
        return Reason::ExposureLimit;
    }
    if amount > MAX_POSITION_UNITS {
        return Reason::MaxPosition;
    }
    Reason::Accepted
}

fn trade_action(
    action: Action,
    amount: f64,
    confidence: f64,
    instrument: &str,
    metadata: Value,
    reason: &str,
) -> Value {
    json!({
        "action": action.as_str(),
        "envelope": {
            "action": action.as_str(),
            "amount": amount,
            "confidence": confidence,
            "instrument": instrument,
            "metadata": metadata,
            "reason": reason,
        },
        "reason": reason,
    })
}

/// The trade action carries its amount as a JSON number, as its digest needs it.
fn as_number(amount: Decimal) -> f64 {
    // Every decimal's text is a number's.
    amount.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn context(fields: Value) -> TradeContext {
        let mut context = json!({ "instrument": "BTC-USD", "amount": "2", "price": "20000" });
        for (key, value) in fields.as_object().unwrap() {
            context[key] = value.clone();
        }
        TradeContext::read(&context).unwrap()
    }

    fn buy() -> Value {
        json!({ "action": "buy", "confidence": 0.6, "rationale": [], "meta": {} })
    }

    fn check(decision: &Value, fields: Value, reason: &str) {
        let answer = act(decision, &context(fields));
        assert_eq!(
            answer.trade_action["reason"], reason,
            "{}",
            answer.trade_action
        );
        assert_eq!(answer.trade_action["envelope"]["reason"], reason);
        if reason != "accepted" {
            assert_eq!(answer.trade_action["action"], "hold");
            assert_eq!(answer.trade_action["envelope"]["amount"], 0.0);
            assert_eq!(
                answer.metrics[1],
                json!({ "name": "engine_failures_total", "labels": { "reason": reason } })
            );
        }
    }

    #[test]
    fn an_accepted_trade_carries_its_amount_and_the_decisions_confidence() {
        let answer = act(&buy(), &context(json!({})));
        assert_eq!(
            answer.trade_action,
            json!({
                "action": "buy",
                "envelope": {
                    "action": "buy", "amount": 2.0, "confidence": 0.6, "instrument": "BTC-USD",
                    "metadata": { "risk_flags": [] }, "reason": "accepted",
                },
                "reason": "accepted",
            })
        );
        assert_eq!(
            answer.metrics,
            [
                json!({ "name": "engine_decisions_total", "labels": { "action": "buy" } }),
                json!({ "name": "trade_engine_requests_total", "labels": { "outcome": "success" } }),
                json!({ "name": "trade_engine_actions_total", "labels": { "action": "buy" } }),
            ]
        );
    }

    #[test]
    fn each_rule_refuses_with_its_own_reason() {
        check(&json!("buy"), json!({}), "invalid_type");
        check(
            &buy(),
            json!({ "instrument": "DOGE-USD" }),
            "unsupported_instrument",
        );
        check(
            &buy(),
            json!({ "instrument": null }),
            "unsupported_instrument",
        );
        check(
            &json!({ "action": "short" }),
            json!({}),
            "unsupported_action",
        );
        check(&json!({}), json!({}), "unsupported_action");
        check(&buy(), json!({ "blocked": true }), "blocked_state");
        check(
            &buy(),
            json!({ "cooldown_active": true }),
            "cooldown_active",
        );
        check(
            &buy(),
            json!({ "exposure_usd": "60000.01" }),
            "exposure_limit",
        );
        check(
            &buy(),
            json!({ "amount": "10.01", "price": "1" }),
            "max_position",
        );
        check(&buy(), json!({ "instrument": "ETH-USD" }), "accepted");
    }

    #[test]
    fn the_first_rule_that_refuses_names_the_reason() {
        let everything = json!({
            "blocked": true, "cooldown_active": true, "exposure_usd": "999999", "amount": "99",
        });
        check(&buy(), everything, "blocked_state");
        check(
            &buy(),
            json!({ "exposure_usd": "999999", "amount": "99" }),
            "exposure_limit",
        );
    }

    #[test]
    fn a_limit_may_be_reached_but_not_passed() {
        check(&buy(), json!({ "exposure_usd": "60000" }), "accepted");
        check(&buy(), json!({ "amount": "10", "price": "1" }), "accepted");
    }

    #[test]
    fn a_high_risk_score_halves_the_amount_before_the_limits_are_asked() {
        let answer = act(
            &buy(),
            &context(json!({ "risk_score": 0.71, "amount": "5" })),
        );
        assert_eq!(answer.trade_action["envelope"]["amount"], 2.5);
        assert_eq!(
            answer.trade_action["envelope"]["metadata"]["risk_flags"],
            json!(["scaled_for_risk"])
        );
        let answer = act(&buy(), &context(json!({ "risk_score": 0.7 })));
        assert_eq!(answer.trade_action["envelope"]["amount"], 2.0);
        assert_eq!(
            answer.trade_action["envelope"]["metadata"]["risk_flags"],
            json!([])
        );
        check(
            &buy(),
            json!({ "risk_score": 0.9, "amount": "12", "price": "1" }),
            "accepted",
        );
    }

    #[test]
    fn a_decision_to_hold_is_accepted_without_an_amount() {
        let answer = act(
            &json!({ "action": "hold", "confidence": 0.2 }),
            &context(json!({})),
        );
        assert_eq!(answer.trade_action["reason"], "accepted");
        assert_eq!(answer.trade_action["envelope"]["amount"], 0.0);
    }

    #[test]
    fn an_amount_too_large_to_be_multiplied_exceeds_the_limit() {
        let largest = Decimal::MAX.to_string();
        check(
            &buy(),
            json!({ "amount": largest, "price": largest }),
            "exposure_limit",
        );
    }

    #[test]
    fn a_context_with_a_field_that_is_not_known_is_refused() {
        assert!(TradeContext::read(&json!({ "leverage": 3 })).is_err());
        assert!(TradeContext::read(&json!({ "amount": "many" })).is_err());
    }

    #[test]
    fn a_negative_amount_is_refused() {
        assert_eq!(
            TradeContext::read(&json!({ "exposure_usd": "-1" })).unwrap_err(),
            "`context`: `exposure_usd` must not be negative: -1"
        );
    }
}
