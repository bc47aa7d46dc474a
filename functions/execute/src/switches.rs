//! The kill switches: whether orders may be made at all.
//!
//! All of them fail closed: a switch that cannot be read counts as on.

use bulkhead_kernel::flag;
use bulkhead_kernel::stage::{Configuration, Document, Documents, Key, StageError};
use serde_json::Value;

/// The variable of the first switch: 1, true, yes and on are on; not set is off.
pub const EXEC_KILL_SWITCH: &str = "exec_kill_switch";
/// The collection of the second switch.
pub const OPS: &str = "ops";
/// The document of the second switch: off only while `enabled` is false.
pub const EXECUTION_KILL_SWITCH: &str = "execution_kill_switch";
/// The collection of the third switch.
pub const SYSTEM_STATUS: &str = "systemStatus";
/// The document of the third switch: off only while `trading_enabled` is true.
pub const RISK_MANAGEMENT: &str = "risk_management";

/// A switch that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillSwitch {
    /// The variable `exec_kill_switch`.
    ExecKillSwitch,
    /// The document `ops/execution_kill_switch`.
    ExecutionKillSwitch,
    /// `trading_enabled` of `systemStatus/risk_management`.
    TradingDisabled,
}

impl KillSwitch {
    /// The reason of the report.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ExecKillSwitch => "exec_kill_switch",
            Self::ExecutionKillSwitch => "execution_kill_switch",
            Self::TradingDisabled => "trading_disabled",
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

/// What the reads of the three switches gave.
#[derive(Debug)]
pub struct Readings {
    /// The variable.
    pub variable: Result<Option<String>, String>,
    /// The kill switch's document.
    pub kill_switch: Result<Option<Document>, StageError>,
    /// The risk document.
    pub risk: Result<Option<Document>, StageError>,
}

/// Reads the switches and decides.
pub async fn check(ports: &(impl Documents + Configuration)) -> Option<Engaged> {
    decide(&Readings {
        variable: ports.value(EXEC_KILL_SWITCH),
        kill_switch: ports.get(Key::new(OPS, EXECUTION_KILL_SWITCH)).await,
        risk: ports.get(Key::new(SYSTEM_STATUS, RISK_MANAGEMENT)).await,
    })
}

/// The first switch that is on. None: all are off.
#[must_use]
pub fn decide(readings: &Readings) -> Option<Engaged> {
    let engaged = |switch, detail| Some(Engaged { switch, detail });
    match &readings.variable {
        Err(why) => {
            return engaged(
                KillSwitch::ExecKillSwitch,
                format!("the variable cannot be read: {why}"),
            );
        }
        Ok(Some(text)) if flag::is_true(text) => {
            return engaged(
                KillSwitch::ExecKillSwitch,
                format!("the variable is `{text}`"),
            );
        }
        Ok(_) => {}
    }
    match boolean(&readings.kill_switch, "enabled") {
        Ok(false) => {}
        Ok(true) => {
            return engaged(
                KillSwitch::ExecutionKillSwitch,
                "`enabled` is true".to_owned(),
            );
        }
        Err(detail) => return engaged(KillSwitch::ExecutionKillSwitch, detail),
    }
    match boolean(&readings.risk, "trading_enabled") {
        Ok(true) => None,
        Ok(false) => engaged(
            KillSwitch::TradingDisabled,
            "`trading_enabled` is false".to_owned(),
        ),
        Err(detail) => engaged(KillSwitch::TradingDisabled, detail),
    }
}

fn boolean(reading: &Result<Option<Document>, StageError>, field: &str) -> Result<bool, String> {
    let document = match reading {
        Ok(Some(document)) => document,
        Ok(None) => return Err("the document does not exist".to_owned()),
        Err(error) => return Err(format!("the document cannot be read: {error}")),
    };
    let body: Value = serde_json::from_str(&document.body)
        .map_err(|error| format!("the document is no JSON: {error}"))?;
    body.get(field)
        .and_then(Value::as_bool)
        .ok_or_else(|| format!("`{field}` is not true or false"))
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
            variable: Ok(None),
            kill_switch: document(r#"{"enabled":false}"#),
            risk: document(r#"{"trading_enabled":true}"#),
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
    fn the_variable_is_on_for_true_words_and_when_it_cannot_be_read() {
        for text in ["1", "true", "YES", " on "] {
            check(
                &Readings {
                    variable: Ok(Some(text.into())),
                    ..all_off()
                },
                Some(KillSwitch::ExecKillSwitch),
            );
        }
        for text in ["0", "", "false", "off"] {
            check(
                &Readings {
                    variable: Ok(Some(text.into())),
                    ..all_off()
                },
                None,
            );
        }
        check(
            &Readings {
                variable: Err("gone".into()),
                ..all_off()
            },
            Some(KillSwitch::ExecKillSwitch),
        );
    }

    #[test]
    fn the_kill_switch_document_is_off_only_when_it_says_false() {
        for body in [
            r#"{"enabled":true}"#,
            "{}",
            r#"{"enabled":"false"}"#,
            r#"{"enabled":0}"#,
            "[]",
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
}
