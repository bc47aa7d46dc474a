//! The kill switches: whether orders may be made at all.
//!
//! All of them fail closed: a switch that cannot be read counts as on.

use bulkhead_kernel::flag;
use bulkhead_kernel::risk_gate::{self, Halt, RISK_MANAGEMENT, SYSTEM_STATUS, TRADING_GATE};
use bulkhead_kernel::stage::{Configuration, Document, Documents, Key, StageError};
use serde::Deserialize;

/// The variable of the first switch: 0, false, no, off and blank text are off, all else is on, and so is a variable that is not
/// set.
pub const EXEC_KILL_SWITCH: &str = "exec_kill_switch";
/// The collection of the second switch.
pub const OPS: &str = "ops";
/// The document of the second switch: off only while `enabled` is false.
pub const EXECUTION_KILL_SWITCH: &str = "execution_kill_switch";

/// How much of the variable's text a report repeats.
const MAX_TEXT_CHARS: usize = 64;

/// A switch that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillSwitch {
    /// The variable `exec_kill_switch`.
    ExecKillSwitch,
    /// The document `ops/execution_kill_switch`.
    ExecutionKillSwitch,
    /// The risk gate ([`bulkhead_kernel::risk_gate`]) is closed, or cannot be read.
    TradingDisabled,
    /// The risk gate is closed by an emergency halt.
    EmergencyHalt,
}

impl KillSwitch {
    /// The reason of the report.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ExecKillSwitch => "exec_kill_switch",
            Self::ExecutionKillSwitch => "execution_kill_switch",
            Self::TradingDisabled => "trading_disabled",
            Self::EmergencyHalt => "emergency_halt",
        }
    }
}

/// A switch that is on, and why it counts as on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engaged {
    /// Which switch.
    pub switch: KillSwitch,
    /// What was read, in words.
    pub detail: String,
}

/// What the reads of the switches gave.
#[derive(Debug)]
pub struct Readings {
    /// The variable.
    pub variable: Result<Option<String>, String>,
    /// The kill switch's document.
    pub kill_switch: Result<Option<Document>, StageError>,
    /// The risk document.
    pub risk: Result<Option<Document>, StageError>,
    /// The trading gate.
    pub trading_gate: Result<Option<Document>, StageError>,
}

/// Reads the switches and decides.
pub async fn check(ports: &(impl Documents + Configuration)) -> Option<Engaged> {
    decide(&Readings {
        variable: ports.value(EXEC_KILL_SWITCH),
        kill_switch: ports.get(Key::new(OPS, EXECUTION_KILL_SWITCH)).await,
        risk: ports.get(Key::new(SYSTEM_STATUS, RISK_MANAGEMENT)).await,
        trading_gate: ports.get(Key::new(SYSTEM_STATUS, TRADING_GATE)).await,
    })
}

/// The first switch that is on. None: all are off.
#[must_use]
pub fn decide(readings: &Readings) -> Option<Engaged> {
    let engaged = |switch| move |detail| Engaged { switch, detail };
    variable(&readings.variable)
        .map(engaged(KillSwitch::ExecKillSwitch))
        .or_else(|| {
            kill_switch(&readings.kill_switch).map(engaged(KillSwitch::ExecutionKillSwitch))
        })
        .or_else(|| {
            let halt = risk_gate::decide(&readings.risk, &readings.trading_gate)?;
            let switch = match halt {
                Halt::EmergencyHalt(_) => KillSwitch::EmergencyHalt,
                _ => KillSwitch::TradingDisabled,
            };
            Some(engaged(switch)(halt.to_string()))
        })
}

/// Why the variable's switch is on. None: it is off.
fn variable(reading: &Result<Option<String>, String>) -> Option<String> {
    let text = match reading {
        Ok(Some(text)) => text,
        Ok(None) => return Some("the variable is not set".to_owned()),
        Err(why) => return Some(format!("the variable cannot be read: {why}")),
    };
    let shown: String = text.chars().take(MAX_TEXT_CHARS).collect();
    match flag::read(text) {
        Some(false) => None,
        Some(true) => Some(format!("the variable is `{shown}`")),
        None => Some(format!(
            "the variable is unreadable: `{shown}` is neither on (1, true, yes, on) nor off (0, false, no, off)"
        )),
    }
}

/// Why the document's switch is on. None: it is off.
fn kill_switch(reading: &Result<Option<Document>, StageError>) -> Option<String> {
    #[derive(Deserialize)]
    struct Flags {
        enabled: bool,
    }
    match reading {
        Ok(Some(document)) => match flag::in_document(&document.body) {
            Ok(Flags { enabled: false }) => None,
            Ok(Flags { enabled: true }) => Some("`enabled` is true".to_owned()),
            Err(why) => Some(format!("the document cannot be read: {why}")),
        },
        Ok(None) => Some("the document does not exist".to_owned()),
        Err(error) => Some(format!("the document cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn document(body: &str) -> Result<Option<Document>, StageError> {
        Ok(Some(Document {
            key: Key::new("x", "y"),
            revision: 1,
            body: body.to_owned(),
        }))
    }

    fn all_off() -> Readings {
        Readings {
            variable: Ok(Some("0".into())),
            kill_switch: document(r#"{"enabled":false}"#),
            risk: document(r#"{"trading_enabled":true}"#),
            trading_gate: Ok(None),
        }
    }

    fn check(readings: &Readings, expected: Option<KillSwitch>) {
        assert_eq!(
            decide(readings).map(|engaged| engaged.switch),
            expected,
            "{readings:?}"
        );
    }

    #[test]
    fn orders_may_be_made_while_all_switches_are_off() {
        check(&all_off(), None);
    }

    #[test]
    fn the_variable_is_off_only_for_false_words() {
        for text in [
            "1", "true", "YES", " on ", "ture", "enabled", "y", "2", "o ff",
        ] {
            check(
                &Readings {
                    variable: Ok(Some(text.into())),
                    ..all_off()
                },
                Some(KillSwitch::ExecKillSwitch),
            );
        }
        for text in ["0", "", " ", "false", "No", " OFF "] {
            check(
                &Readings {
                    variable: Ok(Some(text.into())),
                    ..all_off()
                },
                None,
            );
        }
        for variable in [Ok(None), Err("gone".into())] {
            check(
                &Readings {
                    variable,
                    ..all_off()
                },
                Some(KillSwitch::ExecKillSwitch),
            );
        }
    }

    #[test]
    fn a_variable_with_another_text_is_said_to_be_unreadable() {
        let engaged = decide(&Readings {
            variable: Ok(Some("ture".into())),
            ..all_off()
        })
        .unwrap();
        assert!(
            engaged.detail.contains("unreadable: `ture`"),
            "{}",
            engaged.detail
        );
    }

    #[test]
    fn the_kill_switch_document_is_off_only_when_it_says_false() {
        for body in [
            r#"{"enabled":true}"#,
            "{}",
            r#"{"enabled":"false"}"#,
            r#"{"enabled":0}"#,
            r#"{"enabled":true,"enabled":false}"#,
            "[]",
            "[false]",
            "{",
            "null",
        ] {
            check(
                &Readings {
                    kill_switch: document(body),
                    ..all_off()
                },
                Some(KillSwitch::ExecutionKillSwitch),
            );
        }
        check(
            &Readings {
                kill_switch: Ok(None),
                ..all_off()
            },
            Some(KillSwitch::ExecutionKillSwitch),
        );
        let gone = Err(StageError::Unavailable("gone".into()));
        check(
            &Readings {
                kill_switch: gone,
                ..all_off()
            },
            Some(KillSwitch::ExecutionKillSwitch),
        );
    }

    #[test]
    fn trading_is_on_only_when_the_risk_document_says_true() {
        for body in [
            r#"{"trading_enabled":false}"#,
            "{}",
            r#"{"trading_enabled":"true"}"#,
            r#"{"trading_enabled":false,"trading_enabled":true}"#,
            "[]",
            "{",
        ] {
            check(
                &Readings {
                    risk: document(body),
                    ..all_off()
                },
                Some(KillSwitch::TradingDisabled),
            );
        }
        check(
            &Readings {
                risk: Ok(None),
                ..all_off()
            },
            Some(KillSwitch::TradingDisabled),
        );
        let gone = Err(StageError::Denied("no".into()));
        check(
            &Readings {
                risk: gone,
                ..all_off()
            },
            Some(KillSwitch::TradingDisabled),
        );
    }

    #[test]
    fn an_emergency_halt_in_either_document_stops_orders() {
        let halted = || document(r#"{"trading_enabled":true,"status":"EMERGENCY_HALT"}"#);
        check(
            &Readings {
                risk: halted(),
                ..all_off()
            },
            Some(KillSwitch::EmergencyHalt),
        );
        check(
            &Readings {
                trading_gate: halted(),
                ..all_off()
            },
            Some(KillSwitch::EmergencyHalt),
        );
    }

    #[test]
    fn a_trading_gate_that_exists_must_be_open() {
        for body in [r#"{"trading_enabled":false}"#, "{}", "{"] {
            check(
                &Readings {
                    trading_gate: document(body),
                    ..all_off()
                },
                Some(KillSwitch::TradingDisabled),
            );
        }
        check(
            &Readings {
                trading_gate: document(r#"{"trading_enabled":true}"#),
                ..all_off()
            },
            None,
        );
    }
}
