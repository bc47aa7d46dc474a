//! `bulkhead kill`: the switch, and what it stops.

use serde_json::Value;

use crate::{Deployment, stderr, stdout};

#[test]
fn a_new_deployment_refuses_order_entry_until_the_risk_flags_are_written() {
    let deployment = Deployment::new();
    let output = deployment.run(&["kill", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("on   systemStatus/risk_management.trading_enabled"));
    let pulse = deployment.run(&["invoke", "pulse"]);
    assert!(pulse.status.success(), "{}", stderr(&pulse));
    let output = deployment.run(&["kill", "status"]);
    assert!(output.status.success(), "{}", stdout(&output));
}

#[test]
fn the_execute_stage_holds_while_the_switch_is_on() {
    let deployment = Deployment::new();
    deployment.run(&["invoke", "pulse"]);
    let on = deployment.run(&["kill", "on", "--reason", "drill"]);
    assert!(on.status.success(), "{}", stderr(&on));
    let report: Value = deployment.json(&["invoke", "execute"]);
    assert_eq!(report["outcome"], "hold");
    assert_eq!(report["reason"], "execution_kill_switch");
    deployment.run(&["kill", "off"]);
    let report: Value = deployment.json(&["invoke", "execute"]);
    assert_ne!(report["reason"], "execution_kill_switch");
}

#[test]
fn the_variable_stops_it_too() {
    let deployment = Deployment::new();
    deployment.run(&["invoke", "pulse"]);
    let report = deployment.json(&["--variable", "exec_kill_switch=on", "invoke", "execute"]);
    assert_eq!(report["outcome"], "hold");
    assert_eq!(report["reason"], "exec_kill_switch");
}
