//! What stages tell each other about trades: trade actions, shadow trades, and where the walk over a series stands.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::instrument::Instrument;
use crate::intent::Side;
use crate::money::{Notional, Price, Quantity};
use crate::timeframe::Timeframe;

/// The collection of [`TradeAction`]s.
pub const TRADE_ACTIONS: &str = "tradeActions";
/// The collection of [`ShadowTrade`]s.
pub const SHADOW_TRADES: &str = "shadowTradeHistory";
/// The collection of [`SignalState`]s.
pub const SIGNAL_STATE: &str = "signalState";

/// What a decision asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeVerb {
    /// Buy for the notional.
    Buy,
    /// Sell for the notional.
    Sell,
    /// Leave the position, whichever it is.
    CloseAll,
}

impl TradeVerb {
    /// The side of the trade that it opens. None: it opens none.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Buy => Some(Side::Buy),
            Self::Sell => Some(Side::Sell),
            Self::CloseAll => None,
        }
    }

    /// `buy`, `sell` or `close_all`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::CloseAll => "close_all",
        }
    }
}

/// Whether a trade action may be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeActionStatus {
    /// It waits to be routed. What became of it stands in the order ledger.
    Pending,
}

/// A decision to trade, not yet an order.
///
/// Its id is `<instrument>.<timeframe>-<as_of_ms, 13 digits>`: within a series, ids ascend in the order of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeAction {
    /// Its id.
    pub trade_action_id: String,
    /// What is to be traded.
    pub instrument: Instrument,
    /// The bars that the decision was made on.
    pub timeframe: Timeframe,
    /// What is to be done.
    pub action: TradeVerb,
    /// Whether it may be routed.
    pub status: TradeActionStatus,
    /// Who decided.
    pub strategy_id: String,
    /// For how much money.
    pub notional: Notional,
    /// For how many units, at the reference price.
    pub quantity: Quantity,
    /// The last close at the decision.
    pub reference_price: Price,
    /// The signal document behind it.
    pub signal_id: String,
    /// The instant of the decision, in Unix milliseconds: when the last bar closed.
    pub as_of_ms: i64,
    /// The instant of the run that made it, in Unix milliseconds.
    pub created_at_ms: i64,
}

/// Where the walk over the bars of a series stands, and what it holds. Its id is [`series_id`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalState {
    /// The instrument.
    pub instrument: Instrument,
    /// The bars' length.
    pub timeframe: Timeframe,
    /// The open time of the last bar that was evaluated, in Unix milliseconds.
    pub last_evaluated_ms: i64,
    /// The ids of the shadow trades that are open, oldest first.
    pub open_shadow_trades: Vec<String>,
    /// The sum of `final_pnl` of the shadow trades that were closed. It changes in the commit that closes them, so each
    /// counts once.
    pub realized_pnl: Notional,
}

/// The id of a series: `BTC-USDT.1m`.
#[must_use]
pub fn series_id(instrument: &Instrument, timeframe: Timeframe) -> String {
    format!("{}.{timeframe}", instrument.document_id())
}

/// Whether a shadow trade is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ShadowTradeStatus {
    /// It is marked against the market.
    Open,
    /// It has its final profit or loss.
    Closed,
}

/// A trade on paper: what would have come of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowTrade {
    /// Its id.
    pub shadow_id: String,
    /// Who decided.
    pub strategy_id: String,
    /// What is traded.
    pub symbol: Instrument,
    /// The bars that it is marked with.
    pub timeframe: Timeframe,
    /// The action of the signal behind it.
    pub action: TradeVerb,
    /// Buy or sell.
    pub side: Side,
    /// How many units; above zero.
    pub quantity: Quantity,
    /// The last close at the decision.
    pub entry_price: Price,
    /// What it costs at the entry price.
    pub notional: Notional,
    /// Why.
    pub reasoning: String,
    /// `market`.
    pub order_type: crate::intent::OrderType,
    /// How long the order would stay.
    pub time_in_force: crate::intent::TimeInForce,
    /// Open or closed.
    pub status: ShadowTradeStatus,
    /// The close it was last marked with.
    pub current_price: Price,
    /// Profit or loss at that price.
    pub current_pnl: Notional,
    /// The same while it is open; zero once it is closed.
    pub unrealized_pnl: Notional,
    /// `current_pnl` in percent of the notional, to two places.
    pub pnl_percent: Decimal,
    /// The instant of the decision, in Unix milliseconds.
    pub created_at_ms: i64,
    /// When it was last marked, in Unix milliseconds.
    pub last_pnl_update_ms: i64,
    /// The close it was left at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_price: Option<Price>,
    /// Why it was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_reason: Option<String>,
    /// When it was left, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at_ms: Option<i64>,
    /// Profit or loss at the exit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_pnl: Option<Notional>,
    /// The same in percent of the notional, to two places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_pnl_percent: Option<Decimal>,
}

/// A profit or loss could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "mark the shadow trade `{shadow_id}` at {price}: the result is too large, or its entry is worth nothing"
)]
pub struct MarkError {
    /// Which trade.
    pub shadow_id: String,
    /// At which price.
    pub price: Price,
}

impl ShadowTrade {
    /// Profit or loss at `price`, in money and in percent of the entry's worth.
    ///
    /// A buy earns (price - entry) times quantity, a sell (entry - price) times quantity.
    ///
    /// # Errors
    /// [`MarkError`] when a decimal cannot hold it, or the entry is worth nothing.
    pub fn pnl_at(&self, price: Price) -> Result<(Notional, Decimal), MarkError> {
        let compute = || {
            let (entry, quantity) = (self.entry_price.get(), self.quantity.get());
            let gain = match self.side {
                Side::Buy => price.get().checked_sub(entry)?,
                Side::Sell => entry.checked_sub(price.get())?,
            };
            let pnl = gain.checked_mul(quantity)?;
            let percent = pnl
                .checked_div(entry.checked_mul(quantity)?)?
                .checked_mul(Decimal::ONE_HUNDRED)?;
            let percent = percent.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            Some((Notional::new(pnl.normalize()), percent))
        };
        compute().ok_or_else(|| MarkError {
            shadow_id: self.shadow_id.clone(),
            price,
        })
    }

    /// Marks it at `price`.
    ///
    /// # Errors
    /// See [`ShadowTrade::pnl_at`]; the trade is as it was.
    pub fn mark(&mut self, price: Price, now_ms: i64) -> Result<(), MarkError> {
        let (pnl, percent) = self.pnl_at(price)?;
        self.current_price = price;
        self.current_pnl = pnl;
        self.unrealized_pnl = pnl;
        self.pnl_percent = percent;
        self.last_pnl_update_ms = now_ms;
        Ok(())
    }

    /// Leaves it at `price`, and gives its final profit or loss.
    ///
    /// # Errors
    /// See [`ShadowTrade::pnl_at`]; the trade is as it was.
    pub fn close(
        &mut self,
        price: Price,
        reason: &str,
        now_ms: i64,
    ) -> Result<Notional, MarkError> {
        self.mark(price, now_ms)?;
        self.unrealized_pnl = Notional::ZERO;
        self.status = ShadowTradeStatus::Closed;
        self.exit_price = Some(price);
        self.exit_reason = Some(reason.to_owned());
        self.closed_at_ms = Some(now_ms);
        self.final_pnl = Some(self.current_pnl);
        self.final_pnl_percent = Some(self.pnl_percent);
        Ok(self.current_pnl)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn trade(side: Side) -> ShadowTrade {
        ShadowTrade {
            shadow_id: "1641000000000-BTC-USDT".into(),
            strategy_id: "brain".into(),
            symbol: "BTC-USDT".parse().unwrap(),
            timeframe: "1m".parse().unwrap(),
            action: TradeVerb::Buy,
            side,
            quantity: "0.5".parse().unwrap(),
            entry_price: "46000".parse().unwrap(),
            notional: "23000".parse().unwrap(),
            reasoning: "EMA 12 crossed above EMA 26".into(),
            order_type: crate::intent::OrderType::Market,
            time_in_force: crate::intent::TimeInForce::Gtc,
            status: ShadowTradeStatus::Open,
            current_price: "46000".parse().unwrap(),
            current_pnl: Notional::ZERO,
            unrealized_pnl: Notional::ZERO,
            pnl_percent: Decimal::ZERO,
            created_at_ms: 1,
            last_pnl_update_ms: 1,
            exit_price: None,
            exit_reason: None,
            closed_at_ms: None,
            final_pnl: None,
            final_pnl_percent: None,
        }
    }

    #[test]
    fn a_buy_earns_when_the_price_rises_and_a_sell_when_it_falls() {
        for (side, price, pnl, percent) in [
            (Side::Buy, "46460", "230", "1.00"),
            (Side::Buy, "45770", "-115", "-0.50"),
            (Side::Sell, "46460", "-230", "-1.00"),
            (Side::Sell, "45770", "115", "0.50"),
            (Side::Buy, "46000.1", "0.05", "0.00"),
        ] {
            let mut trade = trade(side);
            trade.mark(price.parse().unwrap(), 7).unwrap();
            assert_eq!(trade.current_pnl, pnl.parse().unwrap(), "{side} {price}");
            assert_eq!(trade.unrealized_pnl, trade.current_pnl);
            assert_eq!(
                trade.pnl_percent,
                percent.parse().unwrap(),
                "{side} {price}"
            );
        }
    }

    #[test]
    fn a_closed_trade_keeps_its_final_profit_and_survives_json() {
        let mut trade = trade(Side::Sell);
        assert_eq!(
            trade
                .close("45770".parse().unwrap(), "opposite_signal", 9)
                .unwrap()
                .to_string(),
            "115"
        );
        let json = serde_json::to_value(&trade).unwrap();
        assert_eq!(
            (&json["status"], &json["final_pnl"], &json["unrealized_pnl"]),
            (&"CLOSED".into(), &"115".into(), &"0".into())
        );
        assert_eq!(serde_json::from_value::<ShadowTrade>(json).unwrap(), trade);
    }

    #[test]
    fn a_trade_that_cannot_be_marked_stays_as_it_was() {
        let mut worthless = ShadowTrade {
            quantity: Quantity::ZERO,
            ..trade(Side::Buy)
        };
        let before = worthless.clone();
        assert!(worthless.mark("1".parse().unwrap(), 2).is_err());
        assert_eq!(worthless, before);
        assert!(trade(Side::Buy).mark(Price::new(Decimal::MAX), 2).is_ok());
        let huge = ShadowTrade {
            quantity: Quantity::new(Decimal::MAX),
            ..trade(Side::Buy)
        };
        assert!(huge.pnl_at(Price::new(Decimal::MAX)).is_err());
    }
}
