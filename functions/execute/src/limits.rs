//! The limits of one order, and of the age of the trade action behind it.
//!
//! A denial carries the actual value, the limit, and the variable that sets it.

use std::num::NonZeroU32;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::intent::{Intent, Side};
use bulkhead_kernel::money::{MoneyError, Notional, Quantity};
use bulkhead_kernel::stage::{Configuration, StageError, required};
use bulkhead_kernel::trade::{TradeAction, TradeVerb};
use serde::Serialize;

/// The variable of [`Limits::max_action_age_seconds`].
const MAX_ACTION_AGE_SECONDS: &str = "max_action_age_seconds";
/// The age of that limit when the variable is not set: a few runs of a schedule of once a minute.
const DEFAULT_MAX_ACTION_AGE_SECONDS: NonZeroU32 = NonZeroU32::new(300).unwrap();

/// The limits, as they are configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The variable `symbol_allow_list`: names parted by commas. Empty: nothing may be traded.
    pub symbol_allow_list: Vec<Instrument>,
    /// The variable `max_order_usd`: the most that one order may cost.
    pub max_order: Notional,
    /// The variable `max_position_usd`: the most that a position may be worth, long or short.
    pub max_position: Notional,
    /// The variable `max_action_age_seconds`: how long ago a trade action that is routed may have been made. Not set: 300.
    pub max_action_age_seconds: NonZeroU32,
}

/// Why an order is not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// Which limit, in a stable word.
    pub code: &'static str,
    /// What the order asked for.
    pub actual: String,
    /// What is allowed.
    pub limit: String,
    /// The variable that sets the limit. None: it cannot be set.
    pub variable: Option<&'static str>,
    /// All of it in words.
    pub message: String,
}

impl Limits {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`StageError::Internal`] names the variable and what is wrong with it.
    pub fn read(configuration: &impl Configuration) -> Result<Self, StageError> {
        let names: String = required(configuration, "symbol_allow_list")?;
        let symbol_allow_list = Instrument::parse_list(&names).map_err(|error| {
            StageError::Internal(format!("read the variable `symbol_allow_list`: {error}"))
        })?;
        let max_action_age_seconds = match configuration.value(MAX_ACTION_AGE_SECONDS) {
            Ok(None) => DEFAULT_MAX_ACTION_AGE_SECONDS,
            _ => required(configuration, MAX_ACTION_AGE_SECONDS)?,
        };
        Ok(Self {
            symbol_allow_list,
            max_order: required(configuration, "max_order_usd")?,
            max_position: required(configuration, "max_position_usd")?,
            max_action_age_seconds,
        })
    }

    /// Checks how long ago, at `now_ms` (Unix milliseconds), a trade action was made. The time between the two runs counts,
    /// not the time of the bars, which in a replay are years old. To leave a position is never too late.
    ///
    /// # Errors
    /// The action is too old: the price and the position that it was decided on are gone.
    pub fn check_age(&self, action: &TradeAction, now_ms: i64) -> Result<(), Denied> {
        let age_ms = now_ms.saturating_sub(action.created_at_ms);
        let limit_seconds = self.max_action_age_seconds.get();
        if action.action == TradeVerb::CloseAll || age_ms <= i64::from(limit_seconds) * 1_000 {
            return Ok(());
        }
        Err(denied(
            "stale_action",
            "the trade action's age in seconds",
            (age_ms / 1_000).to_string(),
            limit_seconds.to_string(),
            MAX_ACTION_AGE_SECONDS,
        ))
    }

    /// Checks an intent against the limits. `position` is what is held now, below zero when short.
    ///
    /// An order that brings a position nearer to zero, and not beyond, may be made whatever it and the position are worth:
    /// a limit must not keep anyone in a position.
    ///
    /// # Errors
    /// The first limit that the order breaks.
    pub fn check(&self, intent: &Intent, position: Quantity) -> Result<(), Denied> {
        let impossible = |error: MoneyError| Denied {
            code: "not_computable",
            actual: error.to_string(),
            limit: "28 decimal digits".to_owned(),
            variable: None,
            message: format!("check the order's limits: {error}"),
        };
        if !self.symbol_allow_list.contains(&intent.symbol) {
            let names: Vec<&str> = self
                .symbol_allow_list
                .iter()
                .map(Instrument::as_str)
                .collect();
            return Err(denied(
                "symbol_not_allowed",
                "symbol",
                intent.symbol.to_string(),
                names.join(","),
                "symbol_allow_list",
            ));
        }
        if !intent.qty.is_positive() || !intent.notional.is_positive() {
            return Err(Denied {
                code: "quantity_not_positive",
                actual: intent.qty.to_string(),
                limit: "above 0".to_owned(),
                variable: None,
                message: format!("the order's quantity is {}, expected above 0", intent.qty),
            });
        }
        if reduces(intent, position) {
            return Ok(());
        }
        if intent.notional > self.max_order {
            let (actual, limit) = (intent.notional.to_string(), self.max_order.to_string());
            return Err(denied(
                "max_order_usd",
                "order notional",
                actual,
                limit,
                "max_order_usd",
            ));
        }
        let projected = projected(intent, position).map_err(impossible)?;
        let worth = intent
            .reference_price
            .times(projected.abs())
            .map_err(impossible)?
            .normalize();
        if worth > self.max_position {
            let (actual, limit) = (worth.to_string(), self.max_position.to_string());
            return Err(denied(
                "max_position_usd",
                "projected position",
                actual,
                limit,
                "max_position_usd",
            ));
        }
        Ok(())
    }
}

/// The position once the order is filled.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn projected(intent: &Intent, position: Quantity) -> Result<Quantity, MoneyError> {
    match intent.side {
        Side::Buy => position.checked_add(intent.qty),
        Side::Sell => position.checked_sub(intent.qty),
    }
}

/// Whether the order brings the position nearer to zero, or to it, and not beyond.
fn reduces(intent: &Intent, position: Quantity) -> bool {
    let opposes = match intent.side {
        Side::Buy => position < Quantity::ZERO,
        Side::Sell => position > Quantity::ZERO,
    };
    opposes && intent.qty <= position.abs()
}

fn denied(
    code: &'static str,
    what: &str,
    actual: String,
    limit: String,
    variable: &'static str,
) -> Denied {
    let message =
        format!("{what} is {actual}, the limit is {limit}: set by the variable `{variable}`");
    Denied {
        code,
        actual,
        limit,
        variable: Some(variable),
        message,
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_kernel::intent::{OrderType, TimeInForce};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn limits() -> Limits {
        Limits {
            symbol_allow_list: vec!["BTC-USDT".parse().unwrap()],
            max_order: "1000".parse().unwrap(),
            max_position: "1500".parse().unwrap(),
            max_action_age_seconds: DEFAULT_MAX_ACTION_AGE_SECONDS,
        }
    }

    fn action(verb: TradeVerb, created_at_ms: i64) -> TradeAction {
        TradeAction {
            trade_action_id: "a".into(),
            instrument: "BTC-USDT".parse().unwrap(),
            timeframe: "1m".parse().unwrap(),
            action: verb,
            status: bulkhead_kernel::trade::TradeActionStatus::Pending,
            strategy_id: "brain".into(),
            notional: "100".parse().unwrap(),
            quantity: "1".parse().unwrap(),
            reference_price: "100".parse().unwrap(),
            signal_id: "s".into(),
            as_of_ms: 0,
            created_at_ms,
        }
    }

    fn intent(side: Side, qty: &str) -> Intent {
        let qty: Quantity = qty.parse().unwrap();
        let reference_price: bulkhead_kernel::money::Price = "100".parse().unwrap();
        Intent {
            trade_action_id: "a".into(),
            strategy_id: "brain".into(),
            symbol: "BTC-USDT".parse().unwrap(),
            side,
            qty,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::Gtc,
            limit_price: None,
            reference_price,
            notional: reference_price.times(qty).unwrap(),
        }
    }

    fn check(side: Side, qty: &str, position: &str, expected: Option<&str>) {
        let outcome = limits().check(&intent(side, qty), position.parse().unwrap());
        assert_eq!(
            outcome.as_ref().err().map(|denied| denied.code),
            expected,
            "{side} {qty} at {position}: {outcome:?}"
        );
    }

    #[test]
    fn an_order_may_reach_a_limit_but_not_pass_it() {
        check(Side::Buy, "10", "0", None);
        check(Side::Buy, "10.01", "0", Some("max_order_usd"));
        check(Side::Buy, "10", "5", None);
        check(Side::Buy, "10", "5.01", Some("max_position_usd"));
        check(Side::Sell, "10", "-5", None);
        check(Side::Sell, "10", "-5.01", Some("max_position_usd"));
    }

    #[test]
    fn an_order_that_reduces_a_position_may_be_made_above_both_limits() {
        check(Side::Sell, "5", "100", None);
        check(Side::Sell, "100", "100", None);
        check(Side::Buy, "5", "-100", None);
        check(Side::Buy, "100", "-100", None);
    }

    #[test]
    fn an_order_that_adds_to_a_position_or_turns_it_round_is_held_to_both_limits() {
        check(Side::Buy, "5", "100", Some("max_position_usd"));
        check(Side::Sell, "5", "-100", Some("max_position_usd"));
        check(Side::Sell, "100.01", "100", Some("max_order_usd"));
        check(Side::Buy, "100.01", "-100", Some("max_order_usd"));
        check(Side::Sell, "8", "4", None);
    }

    #[test]
    fn a_trade_action_may_reach_the_age_limit_but_not_pass_it() {
        let limits = limits();
        for verb in [TradeVerb::Buy, TradeVerb::Sell] {
            assert_eq!(limits.check_age(&action(verb, 0), 300_000), Ok(()));
            let denied = limits.check_age(&action(verb, 0), 300_001).unwrap_err();
            assert_eq!(
                (denied.code, denied.limit.as_str(), denied.variable),
                ("stale_action", "300", Some("max_action_age_seconds"))
            );
            assert!(limits.check_age(&action(verb, i64::MIN), 0).is_err());
            assert_eq!(limits.check_age(&action(verb, 1), 0), Ok(()));
        }
    }

    #[test]
    fn to_leave_a_position_is_never_too_late() {
        assert_eq!(
            limits().check_age(&action(TradeVerb::CloseAll, 0), i64::MAX),
            Ok(())
        );
    }

    #[test]
    fn an_order_for_nothing_is_denied() {
        check(Side::Buy, "0", "0", Some("quantity_not_positive"));
        check(Side::Sell, "-1", "0", Some("quantity_not_positive"));
    }

    #[test]
    fn a_denial_says_what_was_asked_what_is_allowed_and_where_that_is_set() {
        let other = Intent {
            symbol: "ETH-USDT".parse().unwrap(),
            ..intent(Side::Buy, "1")
        };
        let denied = limits().check(&other, Quantity::ZERO).unwrap_err();
        assert_eq!(
            (denied.actual.as_str(), denied.limit.as_str()),
            ("ETH-USDT", "BTC-USDT")
        );
        assert_eq!(denied.variable, Some("symbol_allow_list"));
        let denied = limits()
            .check(&intent(Side::Buy, "11"), Quantity::ZERO)
            .unwrap_err();
        assert_eq!(
            denied.message,
            "order notional is 1100, the limit is 1000: set by the variable `max_order_usd`"
        );
    }

    #[test]
    fn a_position_that_cannot_be_computed_denies() {
        let most = Quantity::new(rust_decimal::Decimal::MAX);
        assert_eq!(
            limits()
                .check(&intent(Side::Buy, "1"), most)
                .unwrap_err()
                .code,
            "not_computable"
        );
    }
}
