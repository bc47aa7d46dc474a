//! Reading the kill switches.

use bulkhead_grants::egress::EgressClass;
use bulkhead_grants::reason;
use bulkhead_grants::switches::{
    Answered, Switch, SwitchState, exec_kill_switch, execution_kill_switch, trading_enabled,
    trading_gate,
};

fn word(switch: &Switch) -> &'static str {
    match switch {
        Switch::Off => "off",
        Switch::On { .. } => "on",
        Switch::Unreadable { .. } => "unreadable",
    }
}

#[test]
fn the_variable_is_on_off_or_unreadable_by_its_text() {
    let check = |text, expect| assert_eq!(word(&exec_kill_switch(text)), expect, "{text:?}");
    for text in ["1", "true", "yes", "on", "TRUE", " Yes ", "oN\n"] {
        check(Some(text), "on");
    }
    for text in ["", "  ", "0", "false", "no", "off", "OFF", "\tNo"] {
        check(Some(text), "off");
    }
    for text in ["2", "-1", "01", "y", "enabled", "true!", "null", "o n"] {
        check(Some(text), "unreadable");
    }
}

#[test]
fn a_variable_that_the_component_does_not_have_counts_as_on() {
    let switch = exec_kill_switch(None);
    assert_eq!(word(&switch), "unreadable");
    let why = switch.stops().unwrap();
    assert!(why.contains("map it"), "{why}");
}

#[test]
fn the_execution_kill_switch_is_off_only_when_its_document_says_so() {
    let check = |body, expect| assert_eq!(word(&execution_kill_switch(body)), expect, "{body:?}");
    check(Some(r#"{"enabled":false}"#), "off");
    check(Some(r#" {"by":"ops","enabled":false} "#), "off");
    check(Some(r#"{"enabled":true}"#), "on");
    for body in [
        None,
        Some(""),
        Some("{}"),
        Some("[false]"),
        Some("false"),
        Some(r#"{"enabled":"false"}"#),
    ] {
        check(body, "unreadable");
    }
    check(Some(r#"{"enabled":false,"enabled":true}"#), "unreadable");
    check(Some(r#"{"enabled":false} x"#), "unreadable");
}

#[test]
fn trading_is_possible_only_when_the_risk_document_says_so() {
    let check = |body, expect| assert_eq!(word(&trading_enabled(body)), expect, "{body:?}");
    check(Some(r#"{"trading_enabled":true}"#), "off");
    check(Some(r#"{"trading_enabled":true,"drawdown":"0.01"}"#), "off");
    check(Some(r#"{"trading_enabled":false}"#), "on");
    for body in [
        None,
        Some(""),
        Some("{}"),
        Some("[true]"),
        Some("true"),
        Some(r#"{"trading_enabled":1}"#),
    ] {
        check(body, "unreadable");
    }
}

#[test]
fn an_emergency_halt_stops_order_entry_though_trading_is_enabled() {
    let halted = r#"{"trading_enabled":true,"status":"EMERGENCY_HALT"}"#;
    assert_eq!(word(&trading_enabled(Some(halted))), "on");
    assert_eq!(word(&trading_gate(Answered::Body(halted))), "on");
    for status in [r#""NORMAL""#, "null", "7"] {
        let body = format!(r#"{{"trading_enabled":true,"status":{status}}}"#);
        assert_eq!(word(&trading_enabled(Some(&body))), "off", "{body}");
    }
    let twice = r#"{"trading_enabled":true,"status":"EMERGENCY_HALT","status":"NORMAL"}"#;
    assert_eq!(word(&trading_enabled(Some(twice))), "unreadable");
}

#[test]
fn a_trading_gate_may_be_missing_but_not_unanswered() {
    let check = |answered, expect| assert_eq!(word(&trading_gate(answered)), expect);
    check(Answered::Missing, "off");
    check(Answered::Nothing, "unreadable");
    check(Answered::Body(r#"{"trading_enabled":true}"#), "off");
    check(Answered::Body(r#"{"trading_enabled":false}"#), "on");
    for body in ["", "{}", "[true]", r#"{"trading_enabled":"true"}"#] {
        check(Answered::Body(body), "unreadable");
    }
}

#[test]
fn switches_that_nobody_has_read_stop_order_entry() {
    assert_eq!(
        SwitchState::default()
            .check(EgressClass::OrderEntry)
            .unwrap_err()
            .reason,
        reason::EXEC_KILL_SWITCH
    );
}

#[test]
fn any_switch_stops_order_entry_and_none_stops_anything_else() {
    let on = || Switch::On {
        why: "drill".to_owned(),
    };
    let off = || Switch::Off;
    for (first, second, third, fourth, expect) in [
        (on(), off(), off(), off(), reason::EXEC_KILL_SWITCH),
        (off(), on(), off(), off(), reason::EXECUTION_KILL_SWITCH),
        (off(), off(), on(), off(), reason::TRADING_DISABLED),
        (off(), off(), off(), on(), reason::TRADING_GATE_CLOSED),
    ] {
        let state = SwitchState {
            exec_kill_switch: first,
            execution_kill_switch: second,
            trading_enabled: third,
            trading_gate: fourth,
        };
        let denied = state.check(EgressClass::OrderEntry).unwrap_err();
        assert_eq!(denied.reason, expect);
        assert!(denied.detail.contains("drill"), "{denied}");
        for class in [
            EgressClass::Cancel,
            EgressClass::Account,
            EgressClass::MarketData,
        ] {
            assert_eq!(state.check(class), Ok(()));
        }
    }
}
