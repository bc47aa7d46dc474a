//! What a decision leaves behind: the signal, the trade action, the shadow trade it opens and those it closes.

use std::collections::BTreeMap;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::intent::{OrderType, Side, TimeInForce};
use bulkhead_kernel::money::{Notional, Price};
use bulkhead_kernel::stage::{Key, StageError, Write};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_kernel::trade::{
    SHADOW_TRADES, SIGNAL_STATE, ShadowTrade, ShadowTradeStatus, SignalState, TRADE_ACTIONS,
    TradeAction, TradeActionStatus, TradeVerb, series_id,
};
use serde_json::{Value, json};

use crate::fusion::Decision;
use crate::record::{MAX_RATIONALE_BYTES, excerpt};

/// The collection of signals.
pub const SIGNALS: &str = "signals";
/// Who decides when the strategies' answers are fused.
pub const STRATEGY_ID: &str = "brain";
/// The most shadow trades of one series that are open at a time. A decision beyond it is recorded without one.
pub const MAX_OPEN_SHADOW_TRADES: usize = 50;
/// Digits after the decimal point of a quantity: the finest step of Binance spot (`LOT_SIZE`).
pub const QUANTITY_PLACES: u32 = 8;

/// A decision in its place and time.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// What was decided.
    pub decision: &'a Decision,
    /// When the last bar closed, in Unix milliseconds.
    pub as_of_ms: i64,
    /// The last close.
    pub price: Price,
    /// For how much money is traded.
    pub notional: Notional,
    /// The instant of the run, in Unix milliseconds.
    pub now_ms: i64,
}

/// The documents of one commit in the making, for one series.
#[derive(Debug)]
pub struct Batch {
    /// Where the walk stands once the batch is stored.
    pub state: SignalState,
    revision: Option<u64>,
    writes: Vec<Write>,
    trades: BTreeMap<String, (Option<u64>, ShadowTrade)>,
}

impl Batch {
    /// An empty batch behind a state. `revision` is the state document's; none: it does not exist yet.
    #[must_use]
    pub fn new(state: SignalState, revision: Option<u64>) -> Self {
        Self {
            state,
            revision,
            writes: vec![],
            trades: BTreeMap::new(),
        }
    }

    /// The open shadow trades that a decision closes and that the batch does not hold yet.
    #[must_use]
    pub fn missing_trades(&self) -> Vec<String> {
        self.state
            .open_shadow_trades
            .iter()
            .filter(|id| !self.trades.contains_key(*id))
            .cloned()
            .collect()
    }

    /// Takes a stored shadow trade in, at the revision that was read.
    pub fn hold_trade(&mut self, revision: u64, trade: ShadowTrade) {
        self.trades
            .insert(trade.shadow_id.clone(), (Some(revision), trade));
    }

    /// Records a decision that is not to hold. Gives the trade action.
    ///
    /// # Errors
    /// [`StageError::Internal`] when a quantity or a profit cannot be computed.
    pub fn record(
        &mut self,
        verb: TradeVerb,
        occasion: Occasion<'_>,
    ) -> Result<TradeAction, StageError> {
        let Occasion {
            decision,
            as_of_ms,
            price,
            notional,
            now_ms,
        } = occasion;
        let closed = self.close_trades(verb, price, now_ms)?;
        let series = series_id(&self.state.instrument, self.state.timeframe);
        let signal_id = format!("{as_of_ms:013}-{series}");
        let quantity = notional
            .quantity_at(price, QUANTITY_PLACES)
            .map_err(broken)?;
        let action = TradeAction {
            trade_action_id: format!("{series}-{as_of_ms:013}"),
            instrument: self.state.instrument.clone(),
            timeframe: self.state.timeframe,
            action: verb,
            status: TradeActionStatus::Pending,
            strategy_id: STRATEGY_ID.to_owned(),
            notional,
            quantity,
            reference_price: price,
            signal_id: signal_id.clone(),
            as_of_ms,
            created_at_ms: now_ms,
        };
        let execution = match verb.side() {
            None => json!({ "success": true, "trade_id": null, "closed": closed }),
            Some(_) if self.state.open_shadow_trades.len() >= MAX_OPEN_SHADOW_TRADES => json!({
                "success": false, "trade_id": null, "closed": closed, "reason": "too_many_open_shadow_trades",
            }),
            Some(side) => {
                self.open_trade(&action, side, &signal_id, &decision.brain)?;
                json!({ "success": true, "trade_id": signal_id, "closed": closed })
            }
        };
        let key = Key::new(SIGNALS, &signal_id);
        self.writes
            .push(Write::Create(key, signal(&action, decision, execution)));
        let key = Key::new(TRADE_ACTIONS, &action.trade_action_id);
        self.writes.push(Write::Create(key, json_of(&action)?));
        Ok(action)
    }

    /// The writes of the commit, and the batch that follows on it.
    ///
    /// # Errors
    /// [`StageError::Internal`] when a document cannot be written as JSON.
    pub fn writes(&self) -> Result<Vec<Write>, StageError> {
        let id = series_id(&self.state.instrument, self.state.timeframe);
        let mut writes = self.writes.clone();
        for (id, (revision, trade)) in &self.trades {
            writes.push(Write::over(
                *revision,
                Key::new(SHADOW_TRADES, id),
                json_of(trade)?,
            ));
        }
        writes.push(Write::over(
            self.revision,
            Key::new(SIGNAL_STATE, id),
            json_of(&self.state)?,
        ));
        Ok(writes)
    }

    /// The empty batch behind this one, once it is stored.
    #[must_use]
    pub fn stored(self) -> Self {
        Self::new(self.state, Some(self.revision.unwrap_or(0) + 1))
    }

    /// Closes the trades of the opposite side, or all of them. Those that somebody else closed leave the list.
    fn close_trades(
        &mut self,
        verb: TradeVerb,
        price: Price,
        now_ms: i64,
    ) -> Result<Vec<String>, StageError> {
        let (mut open, mut closed) = (vec![], vec![]);
        let reason = if verb == TradeVerb::CloseAll {
            "close_all"
        } else {
            "opposite_signal"
        };
        for id in std::mem::take(&mut self.state.open_shadow_trades) {
            let Some((_, trade)) = self.trades.get_mut(&id) else {
                return Err(StageError::Internal(format!(
                    "the open shadow trade `{id}` was not read"
                )));
            };
            if verb.side() == Some(trade.side) {
                open.push(id);
                continue;
            }
            let pnl = match trade
                .final_pnl
                .filter(|_| trade.status == ShadowTradeStatus::Closed)
            {
                Some(pnl) => pnl,
                None => trade.close(price, reason, now_ms).map_err(broken)?,
            };
            self.state.realized_pnl = self
                .state
                .realized_pnl
                .checked_add(pnl)
                .map_err(broken)?
                .normalize();
            closed.push(id);
        }
        self.state.open_shadow_trades = open;
        Ok(closed)
    }

    fn open_trade(
        &mut self,
        action: &TradeAction,
        side: Side,
        id: &str,
        brain: &Value,
    ) -> Result<(), StageError> {
        let reasons = brain["rationale"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        // All open trades may stand in one commit.
        let reasoning = excerpt(&reasons.collect::<Vec<_>>().join("; "), MAX_RATIONALE_BYTES);
        let trade = ShadowTrade {
            shadow_id: id.to_owned(),
            strategy_id: action.strategy_id.clone(),
            symbol: action.instrument.clone(),
            timeframe: action.timeframe,
            action: action.action,
            side,
            quantity: action.quantity,
            entry_price: action.reference_price,
            notional: action
                .reference_price
                .times(action.quantity)
                .map_err(broken)?
                .normalize(),
            reasoning,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::Gtc,
            status: ShadowTradeStatus::Open,
            current_price: action.reference_price,
            current_pnl: Notional::ZERO,
            unrealized_pnl: Notional::ZERO,
            pnl_percent: Default::default(),
            created_at_ms: action.as_of_ms,
            last_pnl_update_ms: action.created_at_ms,
            exit_price: None,
            exit_reason: None,
            closed_at_ms: None,
            final_pnl: None,
            final_pnl_percent: None,
        };
        self.state.open_shadow_trades.push(id.to_owned());
        self.trades.insert(id.to_owned(), (None, trade));
        Ok(())
    }
}

/// The state of a series that was never walked.
#[must_use]
pub fn first_state(instrument: &Instrument, timeframe: Timeframe) -> SignalState {
    SignalState {
        instrument: instrument.clone(),
        timeframe,
        last_evaluated_ms: i64::MIN,
        open_shadow_trades: vec![],
        realized_pnl: Notional::ZERO,
    }
}

fn signal(action: &TradeAction, decision: &Decision, execution: Value) -> Value {
    json!({
        "signal_id": action.signal_id,
        "action": action.action.as_str(),
        "ticker": action.instrument,
        "timeframe": action.timeframe,
        "allocation": action.notional,
        "confidence": decision.brain["confidence"],
        "reasoning": decision.brain["rationale"],
        "metadata": {
            "aggregation_mode": "brain_fusion",
            "strategies_count": decision.signals.as_object().map_or(0, serde_json::Map::len),
            "signals": decision.signals,
            "meta": decision.brain["meta"],
        },
        "timestamp": action.as_of_ms,
        "created_at_ms": action.created_at_ms,
        "market_data": {
            action.instrument.as_str(): { "price": action.reference_price, "timestamp": action.as_of_ms },
        },
        "trade_action_id": action.trade_action_id,
        "execution": execution,
    })
}

fn json_of(value: &impl serde::Serialize) -> Result<Value, StageError> {
    serde_json::to_value(value).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> StageError {
    StageError::Internal(error.to_string())
}
