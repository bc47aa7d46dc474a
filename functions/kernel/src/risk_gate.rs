//! The risk gate: whether anything may be decided or ordered at all.
//!
//! `systemStatus/risk_management` must exist and have `trading_enabled` true. `systemStatus/trading_gate` need not exist;
//! where it does, it must have the same. `EMERGENCY_HALT` as the `status` of either halts. Fields other than these two do
//! not matter. The gate fails closed: what is missing, cannot be read or says one thing twice counts as halted.

use serde::Deserialize;
use serde_json::Value;

use crate::flag;
use crate::stage::{Document, Documents, Key, StageError};

/// The collection of the system's flags.
pub const SYSTEM_STATUS: &str = "systemStatus";
/// The document of the risk flags. `pulse` creates it on its first run.
pub const RISK_MANAGEMENT: &str = "risk_management";
/// The document that an emergency halt writes. It need not exist.
pub const TRADING_GATE: &str = "trading_gate";
/// The value of `status` during an emergency halt.
const EMERGENCY_HALT: &str = "EMERGENCY_HALT";

/// Why nothing may be decided or ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// There is no risk document yet.
    #[error("the document `systemStatus/risk_management` does not exist")]
    RiskManagementMissing,
    /// The risk document could not be read.
    #[error("the document `systemStatus/risk_management` cannot be read: {0}")]
    RiskManagementUnreadable(String),
    /// `trading_enabled` is not true, in the named document.
    #[error("`trading_enabled` of `systemStatus/{0}` is not true")]
    TradingDisabled(&'static str),
    /// `status` is `EMERGENCY_HALT`, in the named document.
    #[error("`status` of `systemStatus/{0}` is `EMERGENCY_HALT`")]
    EmergencyHalt(&'static str),
    /// The trading gate could not be read.
    #[error("the document `systemStatus/trading_gate` cannot be read: {0}")]
    TradingGateUnreadable(String),
}

impl Halt {
    /// The reason of a report.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RiskManagementMissing => "risk_management_missing",
            Self::RiskManagementUnreadable(_) => "risk_management_unreadable",
            Self::TradingDisabled(_) => "trading_disabled",
            Self::EmergencyHalt(_) => "emergency_halt",
            Self::TradingGateUnreadable(_) => "trading_gate_unreadable",
        }
    }
}

/// What a read of a document gave.
pub type Reading = Result<Option<Document>, StageError>;

/// Reads the gate's documents and decides.
pub async fn check(documents: &impl Documents) -> Option<Halt> {
    let risk = documents
        .get(Key::new(SYSTEM_STATUS, RISK_MANAGEMENT))
        .await;
    let gate = documents.get(Key::new(SYSTEM_STATUS, TRADING_GATE)).await;
    decide(&risk, &gate)
}

/// Decides from what the reads of `risk_management` and `trading_gate` gave. None: trading may go on.
#[must_use]
pub fn decide(risk: &Reading, gate: &Reading) -> Option<Halt> {
    let risk = match read(risk) {
        Err(why) => return Some(Halt::RiskManagementUnreadable(why)),
        Ok(None) => return Some(Halt::RiskManagementMissing),
        Ok(Some(flags)) => flags,
    };
    let gate = match read(gate) {
        Err(why) => return Some(Halt::TradingGateUnreadable(why)),
        Ok(gate) => gate,
    };
    let mut documents = vec![(RISK_MANAGEMENT, risk)];
    documents.extend(gate.map(|flags| (TRADING_GATE, flags)));
    let halted = documents
        .iter()
        .find(|(_, flags)| flags.status == EMERGENCY_HALT)
        .map(|(name, _)| Halt::EmergencyHalt(name));
    halted.or_else(|| {
        documents
            .iter()
            .find(|(_, flags)| flags.trading_enabled != true)
            .map(|(name, _)| Halt::TradingDisabled(name))
    })
}

/// What the gate looks at in a document. Null: the field is not there.
#[derive(Deserialize)]
struct Flags {
    #[serde(default)]
    trading_enabled: Value,
    #[serde(default)]
    status: Value,
}

fn read(reading: &Reading) -> Result<Option<Flags>, String> {
    match reading {
        Err(error) => Err(error.to_string()),
        Ok(None) => Ok(None),
        Ok(Some(document)) => flag::in_document(&document.body).map(Some),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::memory::{Memory, ready};

    const ON: &str = r#"{"trading_enabled":true}"#;

    fn memory(risk: Option<&str>, gate: Option<&str>) -> Memory {
        let memory = Memory::default();
        for (id, body) in [(RISK_MANAGEMENT, risk), (TRADING_GATE, gate)] {
            if let Some(body) = body {
                memory.put_text(SYSTEM_STATUS, id, body);
            }
        }
        memory
    }

    fn expect(risk: Option<&str>, gate: Option<&str>, reason: Option<&str>) {
        let halt = ready(check(&memory(risk, gate)));
        assert_eq!(
            halt.as_ref().map(Halt::reason),
            reason,
            "{risk:?} {gate:?}: {halt:?}"
        );
    }

    #[test]
    fn only_a_risk_document_that_says_true_lets_trading_go_on() {
        for (body, reason) in [
            (ON, None),
            (r#"{"trading_enabled":true,"status":"NORMAL"}"#, None),
            (r#"{"trading_enabled":false}"#, Some("trading_disabled")),
            (r#"{"trading_enabled":"true"}"#, Some("trading_disabled")),
            (r#"{"trading_enabled":1}"#, Some("trading_disabled")),
            ("{}", Some("trading_disabled")),
            (
                r#"{"trading_enabled":true,"status":"EMERGENCY_HALT"}"#,
                Some("emergency_halt"),
            ),
            ("[]", Some("risk_management_unreadable")),
            ("[true]", Some("risk_management_unreadable")),
            ("{", Some("risk_management_unreadable")),
        ] {
            expect(Some(body), None, reason);
        }
        expect(None, None, Some("risk_management_missing"));
    }

    #[test]
    fn a_trading_gate_that_exists_must_be_open() {
        for (body, reason) in [
            (r#"{"trading_enabled":true,"status":"NORMAL"}"#, None),
            (
                r#"{"trading_enabled":false,"status":"EMERGENCY_HALT"}"#,
                Some("emergency_halt"),
            ),
            (
                r#"{"trading_enabled":true,"status":"EMERGENCY_HALT"}"#,
                Some("emergency_halt"),
            ),
            (r#"{"trading_enabled":false}"#, Some("trading_disabled")),
            ("{}", Some("trading_disabled")),
            ("7", Some("trading_gate_unreadable")),
        ] {
            expect(Some(ON), Some(body), reason);
        }
    }

    #[test]
    fn a_document_that_says_one_thing_twice_cannot_be_read() {
        for twice in [
            r#"{"trading_enabled":false,"trading_enabled":true}"#,
            r#"{"trading_enabled":true,"status":"EMERGENCY_HALT","status":"NORMAL"}"#,
        ] {
            expect(Some(twice), None, Some("risk_management_unreadable"));
            expect(Some(ON), Some(twice), Some("trading_gate_unreadable"));
        }
    }

    #[test]
    fn a_store_that_does_not_answer_counts_as_halted() {
        let gone = || Err(StageError::Unavailable("gone".to_owned()));
        let risk = ready(memory(Some(ON), None).get(Key::new(SYSTEM_STATUS, RISK_MANAGEMENT)));
        assert!(matches!(
            decide(&gone(), &Ok(None)),
            Some(Halt::RiskManagementUnreadable(_))
        ));
        assert!(matches!(
            decide(&risk, &gone()),
            Some(Halt::TradingGateUnreadable(_))
        ));
        assert_eq!(decide(&risk, &Ok(None)), None);
    }

    #[test]
    fn a_halt_says_which_document_halts() {
        let halt = ready(check(&memory(
            Some(ON),
            Some(r#"{"status":"EMERGENCY_HALT"}"#),
        )))
        .unwrap();
        assert_eq!(
            halt.to_string(),
            "`status` of `systemStatus/trading_gate` is `EMERGENCY_HALT`"
        );
    }
}
