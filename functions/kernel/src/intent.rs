//! Order intents and their identity.
//!
//! An [`Intent`] is the order we mean to place. Its [`ClientOrderId`] is derived from it, so the same intent has the same
//! id in every run, and a second attempt at it finds what the first one left.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

use crate::instrument::Instrument;
use crate::money::{Notional, Price, Quantity};

/// The side of an order. FIX tag 54, Binance `side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

impl Side {
    /// `buy` or `sell`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of an order. FIX tag 40, Binance `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At the best price there is.
    Market,
    /// At the limit price or better.
    Limit,
}

/// How long an order stays. FIX tag 59, Binance `timeInForce`, Alpaca `time_in_force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForce {
    /// Until the trading day ends.
    Day,
    /// Good till cancelled.
    Gtc,
    /// Immediate or cancel.
    Ioc,
    /// Fill or kill.
    Fok,
}

/// An order that is meant to be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The trade action that asked for it.
    pub trade_action_id: String,
    /// The strategy, or the fusion of strategies, behind it.
    pub strategy_id: String,
    /// What is traded.
    pub symbol: Instrument,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Quantity,
    /// Market or limit.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// The limit price of a limit order.
    pub limit_price: Option<Price>,
    /// The price that quantity and notional were computed with.
    pub reference_price: Price,
    /// What it costs at the reference price.
    pub notional: Notional,
}

impl Intent {
    /// The id under which a venue and the ledger know this order.
    #[must_use]
    pub fn client_order_id(&self) -> ClientOrderId {
        ClientOrderId::of(self)
    }

    /// What identifies it: its fields in a fixed order, a line each, decimals without trailing zeros.
    fn canonical(&self) -> String {
        let limit_price = self
            .limit_price
            .map_or_else(String::new, |price| price.normalize().to_string());
        // JSON text of each free field: no value can end a line and pass for the next field.
        let text = |value: &str| serde_json::Value::from(value).to_string();
        format!(
            "trade_action_id={}\nstrategy_id={}\nsymbol={}\nside={}\nqty={}\norder_type={:?}\ntime_in_force={:?}\n\
             limit_price={limit_price}\nreference_price={}\nnotional={}\n",
            text(&self.trade_action_id),
            text(&self.strategy_id),
            self.symbol,
            self.side,
            self.qty.normalize(),
            self.order_type,
            self.time_in_force,
            self.reference_price.normalize(),
            self.notional.normalize(),
        )
    }
}

/// The id that we give an order: `bh-` and the first 32 hex digits of the SHA-256 of the intent.
///
/// Binance spot REST allows `newClientOrderId` to be `^[a-zA-Z0-9-_]{1,36}$`; Alpaca allows 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ClientOrderId(String);

/// A text is not a client order id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{text}` as a client order id: expected `bh-` and 32 lower-case hex digits")]
pub struct ClientOrderIdError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl ClientOrderId {
    const PREFIX: &'static str = "bh-";
    const HEX_DIGITS: usize = 32;

    fn of(intent: &Intent) -> Self {
        let digest = Sha256::digest(intent.canonical().as_bytes());
        let mut id = String::from(Self::PREFIX);
        for byte in &digest[..Self::HEX_DIGITS / 2] {
            id.push_str(&format!("{byte:02x}"));
        }
        Self(id)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClientOrderId {
    type Err = ClientOrderIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(Self::PREFIX).unwrap_or_default();
        if hex.len() != Self::HEX_DIGITS
            || !hex
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ClientOrderIdError {
                text: text.chars().take(64).collect(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ClientOrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Where an order stands in the ledger. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Written down; nothing has been sent.
    Intended,
    /// Refused by our own limits; nothing will be sent.
    Denied,
    /// Would have been sent, had this not been a dry run.
    DryRun,
    /// A request is on its way, or was when we were last seen.
    Submitted,
    /// A request was sent and its answer never came. Settled by asking the venue, never by sending again.
    Unknown,
    /// The venue has it.
    Accepted,
    /// Part of it is done.
    PartiallyFilled,
    /// All of it is done.
    Filled,
    /// Called off.
    Canceled,
    /// Refused by the venue.
    Rejected,
    /// Its time ran out.
    Expired,
}

impl OrderState {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Intended,
        Self::Denied,
        Self::DryRun,
        Self::Submitted,
        Self::Unknown,
        Self::Accepted,
        Self::PartiallyFilled,
        Self::Filled,
        Self::Canceled,
        Self::Rejected,
        Self::Expired,
    ];

    /// Whether it never changes again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        use OrderState::{Canceled, Denied, DryRun, Expired, Filled, Rejected};
        matches!(
            self,
            Denied | DryRun | Filled | Canceled | Rejected | Expired
        )
    }

    /// Whether an order in this state may next be in `next`.
    ///
    /// A venue may report a later state without the ones between (a market order goes from submitted to filled).
    /// `unknown` follows only on `submitted`, and leads to whatever the venue says. What was never sent may still be denied.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        use OrderState::{
            Accepted, Canceled, Denied, DryRun, Expired, Filled, Intended, PartiallyFilled,
            Rejected, Submitted, Unknown,
        };
        match self {
            Intended => matches!(next, Denied | DryRun | Submitted),
            Submitted => {
                matches!(
                    next,
                    Unknown | Accepted | PartiallyFilled | Filled | Canceled | Rejected | Expired
                )
            }
            Unknown => matches!(
                next,
                Accepted | PartiallyFilled | Filled | Canceled | Rejected | Expired
            ),
            Accepted => matches!(
                next,
                PartiallyFilled | Filled | Canceled | Rejected | Expired
            ),
            PartiallyFilled => matches!(next, Filled | Canceled | Expired),
            Denied | DryRun | Filled | Canceled | Rejected | Expired => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn intent() -> Intent {
        Intent {
            trade_action_id: "1641000000000-BTC-USDT".into(),
            strategy_id: "brain".into(),
            symbol: "BTC-USDT".parse().unwrap(),
            side: Side::Buy,
            qty: "0.02158917".parse().unwrap(),
            order_type: OrderType::Market,
            time_in_force: TimeInForce::Gtc,
            limit_price: None,
            reference_price: "46319.5".parse().unwrap(),
            notional: "1000".parse().unwrap(),
        }
    }

    #[test]
    fn the_same_intent_has_the_same_id_however_its_decimals_are_written() {
        let again = Intent {
            notional: "1000.00".parse().unwrap(),
            ..intent()
        };
        assert_eq!(intent().client_order_id(), again.client_order_id());
    }

    #[test]
    fn an_intent_that_differs_in_any_field_has_another_id() {
        let base = intent();
        let others = [
            Intent {
                trade_action_id: "x".into(),
                ..base.clone()
            },
            Intent {
                strategy_id: "x".into(),
                ..base.clone()
            },
            Intent {
                symbol: "ETH-USDT".parse().unwrap(),
                ..base.clone()
            },
            Intent {
                side: Side::Sell,
                ..base.clone()
            },
            Intent {
                qty: "0.02158918".parse().unwrap(),
                ..base.clone()
            },
            Intent {
                order_type: OrderType::Limit,
                ..base.clone()
            },
            Intent {
                time_in_force: TimeInForce::Ioc,
                ..base.clone()
            },
            Intent {
                limit_price: Some("1".parse().unwrap()),
                ..base.clone()
            },
            Intent {
                reference_price: "1".parse().unwrap(),
                ..base.clone()
            },
            Intent {
                notional: "1".parse().unwrap(),
                ..base.clone()
            },
            Intent {
                trade_action_id: "a\"\nstrategy_id=\"b".into(),
                strategy_id: String::new(),
                ..base.clone()
            },
            Intent {
                trade_action_id: "a".into(),
                strategy_id: "b".into(),
                ..base.clone()
            },
        ];
        let mut ids: Vec<_> = others
            .iter()
            .chain([&base])
            .map(Intent::client_order_id)
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), others.len() + 1);
    }

    #[test]
    fn a_client_order_id_is_what_binance_accepts() {
        let id = intent().client_order_id();
        assert_eq!(id.as_str().len(), 35);
        assert!(
            id.as_str()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        );
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(
            serde_json::from_value::<ClientOrderId>(serde_json::to_value(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn a_foreign_id_is_refused() {
        for text in [
            "",
            "bh-",
            "bh-0123456789ABCDEF0123456789ABCDEF",
            "xx-0123456789abcdef0123456789abcdef",
            "bh-0",
        ] {
            assert!(text.parse::<ClientOrderId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_intent_survives_json() {
        let json = serde_json::to_value(intent()).unwrap();
        assert_eq!(json["qty"], "0.02158917");
        assert_eq!(json["side"], "buy");
        assert_eq!(serde_json::from_value::<Intent>(json).unwrap(), intent());
    }

    #[test]
    fn no_order_state_leads_back_to_itself_by_any_path() {
        for start in OrderState::ALL {
            let mut reached: Vec<OrderState> = vec![];
            let mut open = vec![start];
            while let Some(state) = open.pop() {
                for next in OrderState::ALL
                    .into_iter()
                    .filter(|next| state.can_become(*next))
                {
                    if !reached.contains(&next) {
                        reached.push(next);
                        open.push(next);
                    }
                }
            }
            assert!(!reached.contains(&start), "{start:?}");
            assert_eq!(reached.is_empty(), start.is_terminal(), "{start:?}");
        }
    }

    #[test]
    fn an_order_in_doubt_is_never_sent_again() {
        assert!(!OrderState::Unknown.can_become(OrderState::Submitted));
        assert!(!OrderState::Unknown.can_become(OrderState::Intended));
        assert!(OrderState::Unknown.can_become(OrderState::Filled));
    }
}
