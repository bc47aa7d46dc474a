//! The kill switches, read from what the variables and the store answered.
//!
//! | switch | where | stops order entry when |
//! | --- | --- | --- |
//! | `EXEC_KILL_SWITCH` | variable | `1`, `true`, `yes`, `on` |
//! | `ops/execution_kill_switch` | document | `enabled` is true |
//! | `systemStatus/risk_management` | document | `trading_enabled` is false, or `status` is `EMERGENCY_HALT` |
//! | `systemStatus/trading_gate` | document that need not exist | `trading_enabled` is false, or `status` is `EMERGENCY_HALT` |
//!
//! A switch that cannot be read counts as on: a document that is missing, malformed or not answered, a variable that the
//! component does not have or with any other text. Only the trading gate may be missing: it is there during a halt alone.
//! Only the class [`EgressClass::OrderEntry`] is stopped; cancels, account and market data stay possible.

use serde::Deserialize;
use serde_json::Value;

use crate::denied::quoted;
use crate::egress::EgressClass;
use crate::{Denied, reason};

/// The value of `status` during an emergency halt.
const EMERGENCY_HALT: &str = "EMERGENCY_HALT";

/// The state of one kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// Order entry is possible.
    Off,
    /// Order entry is stopped.
    On {
        /// What says so.
        why: String,
    },
    /// Nobody knows: order entry is stopped.
    Unreadable {
        /// What was missing or malformed.
        why: String,
    },
}

impl Switch {
    /// Why order entry is stopped, or `None` when this switch does not stop it.
    #[must_use]
    pub fn stops(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::On { why } | Self::Unreadable { why } => Some(why),
        }
    }

    fn on(why: impl Into<String>) -> Self {
        Self::On { why: why.into() }
    }

    fn unreadable(why: impl Into<String>) -> Self {
        Self::Unreadable { why: why.into() }
    }
}

/// A switch nobody has read yet is unreadable.
impl Default for Switch {
    fn default() -> Self {
        Self::unreadable("the switch was not read")
    }
}

/// The kill switches together. The default is unreadable, hence on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SwitchState {
    /// The variable `EXEC_KILL_SWITCH`.
    pub exec_kill_switch: Switch,
    /// The document `ops/execution_kill_switch`.
    pub execution_kill_switch: Switch,
    /// The document `systemStatus/risk_management`.
    pub trading_enabled: Switch,
    /// The document `systemStatus/trading_gate`.
    pub trading_gate: Switch,
}

impl SwitchState {
    /// The state from the variable's text and two documents' bodies; `None` is what does not exist or was not answered.
    /// The trading gate stays unread, hence on, until [`SwitchState::with_trading_gate`].
    #[must_use]
    pub fn read(
        variable: Option<&str>,
        execution_kill_switch: Option<&str>,
        risk_management: Option<&str>,
    ) -> Self {
        Self {
            exec_kill_switch: exec_kill_switch(variable),
            execution_kill_switch: self::execution_kill_switch(execution_kill_switch),
            trading_enabled: trading_enabled(risk_management),
            trading_gate: Switch::default(),
        }
    }

    /// The same with the trading gate as the store answered it.
    #[must_use]
    pub fn with_trading_gate(mut self, answered: Answered<'_>) -> Self {
        self.trading_gate = trading_gate(answered);
        self
    }

    /// Whether a request of `class` may leave.
    ///
    /// # Errors
    /// Order entry while any switch is on or unreadable; the first one in the order of the fields is named.
    pub fn check(&self, class: EgressClass) -> Result<(), Denied> {
        if class != EgressClass::OrderEntry {
            return Ok(());
        }
        let switches = [
            (reason::EXEC_KILL_SWITCH, &self.exec_kill_switch),
            (reason::EXECUTION_KILL_SWITCH, &self.execution_kill_switch),
            (reason::TRADING_DISABLED, &self.trading_enabled),
            (reason::TRADING_GATE_CLOSED, &self.trading_gate),
        ];
        for (word, switch) in switches {
            if let Some(why) = switch.stops() {
                return Err(Denied::new(
                    word,
                    format!("order entry is stopped: {why}; cancels stay possible"),
                ));
            }
        }
        Ok(())
    }
}

/// What the store answered to the question for a document that need not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered<'a> {
    /// The document, with this body.
    Body(&'a str),
    /// There is no such document.
    Missing,
    /// Nothing: nobody knows whether there is one.
    Nothing,
}

/// The switch in the variable `EXEC_KILL_SWITCH`; case and blanks around it do not matter. `None`: the component does not
/// have the variable, so that whoever turns it on turns on nothing.
#[must_use]
pub fn exec_kill_switch(variable: Option<&str>) -> Switch {
    let Some(text) = variable.map(str::trim) else {
        return Switch::unreadable(
            "the component does not have the variable `exec_kill_switch`; map it under the component's `variables`",
        );
    };
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["", "0", "false", "no", "off"]) {
        Switch::Off
    } else if is_one_of(&["1", "true", "yes", "on"]) {
        Switch::on(format!(
            "the variable `EXEC_KILL_SWITCH` is {}",
            quoted(text)
        ))
    } else {
        Switch::unreadable(format!(
            "the variable `EXEC_KILL_SWITCH` is {}, which is neither on (1, true, yes, on) nor off (0, false, no, off)",
            quoted(text)
        ))
    }
}

/// The switch in the body of the document `ops/execution_kill_switch`: `{"enabled": bool}`.
#[must_use]
pub fn execution_kill_switch(body: Option<&str>) -> Switch {
    #[derive(Deserialize)]
    struct Document {
        enabled: bool,
    }
    match document::<Document>("ops/execution_kill_switch", body) {
        Ok(Document { enabled: false }) => Switch::Off,
        Ok(Document { enabled: true }) => {
            Switch::on("the document `ops/execution_kill_switch` has `enabled` = true")
        }
        Err(why) => Switch::unreadable(why),
    }
}

/// The switch in the body of the document `systemStatus/risk_management`: off when `trading_enabled` is true and `status`
/// is not `EMERGENCY_HALT`.
#[must_use]
pub fn trading_enabled(body: Option<&str>) -> Switch {
    trading_flags("systemStatus/risk_management", body)
}

/// The switch in the document `systemStatus/trading_gate`: off when there is none, or it says what a risk document that is
/// off says.
#[must_use]
pub fn trading_gate(answered: Answered<'_>) -> Switch {
    match answered {
        Answered::Missing => Switch::Off,
        Answered::Nothing => trading_flags("systemStatus/trading_gate", None),
        Answered::Body(body) => trading_flags("systemStatus/trading_gate", Some(body)),
    }
}

fn trading_flags(name: &str, body: Option<&str>) -> Switch {
    #[derive(Deserialize)]
    struct Document {
        trading_enabled: bool,
        status: Option<Value>,
    }
    let document = match document::<Document>(name, body) {
        Ok(document) => document,
        Err(why) => return Switch::unreadable(why),
    };
    if document
        .status
        .is_some_and(|status| status == EMERGENCY_HALT)
    {
        return Switch::on(format!(
            "the document `{name}` has `status` = \"{EMERGENCY_HALT}\""
        ));
    }
    if document.trading_enabled {
        return Switch::Off;
    }
    Switch::on(format!(
        "the document `{name}` has `trading_enabled` = false"
    ))
}

/// A document's fields, or why they cannot be read. A field that stands twice cannot; unknown fields do not matter.
fn document<'a, T: Deserialize<'a>>(name: &str, body: Option<&'a str>) -> Result<T, String> {
    let body =
        body.ok_or_else(|| format!("the document `{name}` does not exist or was not answered"))?;
    // A struct is also read from a JSON array; a document is an object.
    if !body.trim_start().starts_with('{') {
        return Err(format!("the document `{name}` is no JSON object"));
    }
    serde_json::from_str(body)
        .map_err(|error| format!("the document `{name}` is malformed: {error}"))
}
