//! The order ledger: what is written down about an order, and in which steps.
//!
//! Each document `orders/<client_order_id>` moves forward only (see [`OrderState`]). In a dry run an order is `intended` in one
//! commit and `dry_run` in the next, the one that also moves the position and the cursor. A run that ends between
//! the two leaves an intended order; the next run meets the same trade action, hence the same id, and goes on from there.

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::intent::{Intent, OrderState, OrderType, Side, TimeInForce};
use bulkhead_kernel::money::{MoneyError, Notional, Price, Quantity};
use bulkhead_kernel::trade::{TradeAction, TradeVerb};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::limits::Denied;

/// The collection of orders.
pub const ORDERS: &str = "orders";
/// The collection of positions, by instrument.
pub const POSITIONS: &str = "positions";
/// The collection of cursors, by series.
pub const EXECUTE_STATE: &str = "executeState";

/// An order as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, derived from the intent. For a trade action that cannot be read: that action's id.
    pub client_order_id: String,
    /// Where it stands.
    pub state: OrderState,
    /// What is meant. None: the trade action cannot be read.
    pub intent: Option<Intent>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Value>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was written down, in Unix milliseconds.
    pub created_at_ms: i64,
    /// When it last changed, in Unix milliseconds.
    pub updated_at_ms: i64,
}

/// What is held of an instrument, in the dry-run ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The instrument.
    pub instrument: Instrument,
    /// How many units; below zero when short.
    pub quantity: Quantity,
    /// The price of the order that changed it last.
    pub reference_price: Price,
    /// What it is worth at that price; below zero when short.
    pub notional: Notional,
    /// Whether no venue knows of it.
    pub dry_run: bool,
    /// The order that changed it last.
    pub client_order_id: String,
    /// When it last changed, in Unix milliseconds.
    pub updated_at_ms: i64,
}

/// How far the trade actions of a series are routed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The id of the last trade action that was routed.
    pub last_trade_action_id: String,
    /// When it was, in Unix milliseconds.
    pub updated_at_ms: i64,
}

/// The order that a trade action asks for. None: it asks to leave a position, and there is none.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn intent(action: &TradeAction, position: Quantity) -> Result<Option<Intent>, MoneyError> {
    let (side, qty) = match action.action {
        TradeVerb::Buy => (Side::Buy, action.quantity),
        TradeVerb::Sell => (Side::Sell, action.quantity),
        TradeVerb::CloseAll if position == Quantity::ZERO => return Ok(None),
        TradeVerb::CloseAll if position.is_positive() => (Side::Sell, position),
        TradeVerb::CloseAll => (Side::Buy, position.abs()),
    };
    Ok(Some(Intent {
        trade_action_id: action.trade_action_id.clone(),
        strategy_id: action.strategy_id.clone(),
        symbol: action.instrument.clone(),
        side,
        qty: qty.normalize(),
        order_type: OrderType::Market,
        time_in_force: TimeInForce::Gtc,
        limit_price: None,
        reference_price: action.reference_price.normalize(),
        notional: action.reference_price.times(qty)?.normalize(),
    }))
}

impl Order {
    /// An order that is meant, and not sent.
    #[must_use]
    pub fn intended(intent: Intent, now_ms: i64) -> Self {
        Self {
            client_order_id: intent.client_order_id().to_string(),
            state: OrderState::Intended,
            intent: Some(intent),
            reason: None,
            result: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// The same order, forbidden by a limit. None: its state does not lead there.
    #[must_use]
    pub fn denied(self, denied: &Denied, now_ms: i64) -> Option<Self> {
        self.state.can_become(OrderState::Denied).then(|| Self {
            state: OrderState::Denied,
            reason: Some(json!(denied)),
            updated_at_ms: now_ms,
            ..self
        })
    }

    /// The record of a trade action that cannot be read.
    #[must_use]
    pub fn unreadable(trade_action_id: &str, why: &str, now_ms: i64) -> Self {
        Self {
            client_order_id: trade_action_id.to_owned(),
            state: OrderState::Denied,
            intent: None,
            reason: Some(json!({ "code": "invalid_trade_action", "message": why })),
            result: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// The same order, dry-run. None: its state does not lead there.
    #[must_use]
    pub fn dry_run(self, now_ms: i64) -> Option<Self> {
        self.state.can_become(OrderState::DryRun).then(|| Self {
            state: OrderState::DryRun,
            result: Some(json!({ "status": "dry_run", "message": "dry_run_enabled" })),
            updated_at_ms: now_ms,
            ..self
        })
    }
}
