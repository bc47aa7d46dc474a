//! The risk gate: whether strategies may be asked at all.
//!
//! It fails closed: what is missing or cannot be read counts as halted.

use bulkhead_kernel::stage::{Document, Documents, Key, StageError};
use serde_json::Value;

/// The collection of the system's flags.
pub const SYSTEM_STATUS: &str = "systemStatus";
/// The document of the risk flags. `pulse` creates it on its first run.
pub const RISK_MANAGEMENT: &str = "risk_management";
/// The document that an emergency halt writes. It need not exist.
pub const TRADING_GATE: &str = "trading_gate";
/// The value of `status` during an emergency halt.
const EMERGENCY_HALT: &str = "EMERGENCY_HALT";

/// Why nothing may be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// There is no risk document yet.
    RiskManagementMissing,
    /// The risk document could not be read.
    RiskManagementUnreadable,
    /// `trading_enabled` is not true.
    TradingDisabled,
    /// `status` is `EMERGENCY_HALT`, here or in the trading gate.
    EmergencyHalt,
    /// The trading gate could not be read.
    TradingGateUnreadable,
}

impl Halt {
    /// The reason of the report.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::RiskManagementMissing => "risk_management_missing",
            Self::RiskManagementUnreadable => "risk_management_unreadable",
            Self::TradingDisabled => "trading_disabled",
            Self::EmergencyHalt => "emergency_halt",
            Self::TradingGateUnreadable => "trading_gate_unreadable",
        }
    }
}

/// Reads the gate's documents and decides.
pub async fn check(documents: &impl Documents) -> Option<Halt> {
    let risk = documents
        .get(Key::new(SYSTEM_STATUS, RISK_MANAGEMENT))
        .await;
    let gate = documents.get(Key::new(SYSTEM_STATUS, TRADING_GATE)).await;
    decide(risk.as_ref(), gate.as_ref())
}

/// What a read of a document gave.
type Read<'a> = Result<&'a Option<Document>, &'a StageError>;

/// Decides from what the reads of `risk_management` and `trading_gate` gave.
#[must_use]
pub fn decide(risk: Read<'_>, gate: Read<'_>) -> Option<Halt> {
    let risk = match risk {
        Err(_) => return Some(Halt::RiskManagementUnreadable),
        Ok(None) => return Some(Halt::RiskManagementMissing),
        Ok(Some(document)) => match object(document) {
            Some(value) => value,
            None => return Some(Halt::RiskManagementUnreadable),
        },
    };
    let gate = match gate {
        Err(_) => return Some(Halt::TradingGateUnreadable),
        Ok(None) => Value::Null,
        Ok(Some(document)) => match object(document) {
            Some(value) => value,
            None => return Some(Halt::TradingGateUnreadable),
        },
    };
    if risk["status"] == EMERGENCY_HALT || gate["status"] == EMERGENCY_HALT {
        return Some(Halt::EmergencyHalt);
    }
    let gate_closed = !gate.is_null() && gate["trading_enabled"] != true;
    (risk["trading_enabled"] != true || gate_closed).then_some(Halt::TradingDisabled)
}

fn object(document: &Document) -> Option<Value> {
    serde_json::from_str(&document.body)
        .ok()
        .filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn document(body: &str) -> Option<Document> {
        Some(Document {
            key: Key::new(SYSTEM_STATUS, "x"),
            revision: 1,
            body: body.to_owned(),
        })
    }

    #[test]
    fn only_a_risk_document_that_says_true_lets_trading_go_on() {
        for (body, halt) in [
            (r#"{"trading_enabled":true}"#, None),
            (r#"{"trading_enabled":true,"status":"NORMAL"}"#, None),
            (r#"{"trading_enabled":false}"#, Some(Halt::TradingDisabled)),
            (r#"{"trading_enabled":"true"}"#, Some(Halt::TradingDisabled)),
            (r#"{"trading_enabled":1}"#, Some(Halt::TradingDisabled)),
            ("{}", Some(Halt::TradingDisabled)),
            (
                r#"{"trading_enabled":true,"status":"EMERGENCY_HALT"}"#,
                Some(Halt::EmergencyHalt),
            ),
            ("[]", Some(Halt::RiskManagementUnreadable)),
            ("{", Some(Halt::RiskManagementUnreadable)),
        ] {
            assert_eq!(decide(Ok(&document(body)), Ok(&None)), halt, "{body}");
        }
        assert_eq!(
            decide(Ok(&None), Ok(&None)),
            Some(Halt::RiskManagementMissing)
        );
    }

    #[test]
    fn a_trading_gate_that_exists_must_be_open() {
        let risk = document(r#"{"trading_enabled":true}"#);
        for (body, halt) in [
            (r#"{"trading_enabled":true,"status":"NORMAL"}"#, None),
            (
                r#"{"trading_enabled":false,"status":"EMERGENCY_HALT"}"#,
                Some(Halt::EmergencyHalt),
            ),
            (r#"{"trading_enabled":false}"#, Some(Halt::TradingDisabled)),
            ("7", Some(Halt::TradingGateUnreadable)),
        ] {
            assert_eq!(decide(Ok(&risk), Ok(&document(body))), halt, "{body}");
        }
    }

    #[test]
    fn a_store_that_does_not_answer_counts_as_halted() {
        let gone = StageError::Unavailable("gone".to_owned());
        let risk = document(r#"{"trading_enabled":true}"#);
        assert_eq!(
            decide(Err(&gone), Ok(&None)),
            Some(Halt::RiskManagementUnreadable)
        );
        assert_eq!(
            decide(Ok(&risk), Err(&gone)),
            Some(Halt::TradingGateUnreadable)
        );
    }
}
