//! `bulkhead kill`: the switch, what it stops, and how trading begins again.

use bulkhead_store::{Key, Store as _, Write};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::{Deployment, stderr, stdout};

#[test]
fn a_command_that_looks_at_a_deployment_makes_none_in_the_wrong_folder() {
    let deployment = Deployment::untouched();
    let commands: [&[&str]; 6] = [
        &["kill", "on"],
        &["kill", "off"],
        &["kill", "off", "--enable-trading"],
        &["kill", "status"],
        &["status"],
        &["runs"],
    ];
    for command in commands {
        let output = deployment.run(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let said = stderr(&output);
        assert!(said.contains("data/bulkhead.db"), "{command:?}: {said}");
        assert!(said.contains("--data-dir"), "{command:?}: {said}");
    }
    assert!(!deployment.path("data").exists());
}

#[test]
fn a_doctor_of_a_deployment_that_was_never_started_warns_and_makes_nothing() {
    let deployment = Deployment::untouched();
    let output = deployment.run(&["doctor", "--listen", "127.0.0.1:0"]);
    assert!(output.status.success(), "{}", stdout(&output));
    let said = stdout(&output);
    assert!(said.contains("warn  store"), "{said}");
    assert!(said.contains("load and fit their roles"), "{said}");
    assert!(!deployment.path("data").exists());
}

#[test]
fn the_switch_may_be_on_before_the_first_start() {
    let deployment = Deployment::new();
    let on = deployment.run(&["kill", "on", "--create", "--reason", "not yet"]);
    assert!(on.status.success(), "{}", stderr(&on));
    deployment.run(&["invoke", "pulse"]);
    let report = deployment.json(&["invoke", "execute"]);
    assert_eq!(report["reason"], "execution_kill_switch");
}

#[test]
fn a_new_deployment_refuses_order_entry_until_the_risk_flags_are_written() {
    let deployment = Deployment::new();
    deployment.store();
    let output = deployment.run(&["kill", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("on   systemStatus/risk_management.trading_enabled"));
    let pulse = deployment.run(&["invoke", "pulse"]);
    assert!(pulse.status.success(), "{}", stderr(&pulse));
    let output = deployment.run(&["kill", "status"]);
    assert!(output.status.success(), "{}", stdout(&output));
}

#[test]
fn a_halt_in_the_trading_gate_stops_order_entry_too() {
    let deployment = Deployment::new();
    deployment.run(&["invoke", "pulse"]);
    let halt = Write::Upsert {
        key: Key::new("systemStatus", "trading_gate").unwrap(),
        body: json!({"trading_enabled": true, "status": "EMERGENCY_HALT"}).to_string(),
    };
    block_on(deployment.store().commit(vec![halt], 0)).unwrap();
    let output = deployment.run(&["kill", "status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("on   systemStatus/trading_gate"), "{said}");
    let report: Value = deployment.json(&["invoke", "execute"]);
    assert_eq!(report["reason"], "emergency_halt");
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

#[test]
fn a_mistake_in_the_manifest_does_not_keep_order_entry_from_being_stopped() {
    let deployment = Deployment::changed("overlap = \"forbid\"", "overlap = \"sometimes\"");
    deployment.store();
    let output = deployment.run(&["kill", "on"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(body(&deployment, "ops", "execution_kill_switch")["enabled"] == true);
    let output = deployment.run(&["kill", "off"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(body(&deployment, "ops", "execution_kill_switch")["enabled"] == true);
}

#[test]
fn a_switch_stays_on_when_trading_cannot_be_turned_on_with_it() {
    let deployment = Deployment::new();
    deployment.run(&["kill", "on", "--create"]);
    let output = deployment.run(&["kill", "off", "--enable-trading"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("bulkhead invoke pulse"), "{said}");
    assert_eq!(
        body(&deployment, "ops", "execution_kill_switch")["enabled"],
        true
    );
}

fn body(deployment: &Deployment, collection: &str, id: &str) -> Value {
    let key = Key::new(collection, id).unwrap();
    let document = block_on(deployment.store().get(&key)).unwrap().unwrap();
    serde_json::from_str(&document.body).unwrap()
}

/// Leaves the deployment with an equity of 100000 USD, 6.25 % below its high-water mark, and trading turned off.
fn breach(deployment: &Deployment) {
    deployment.json(&["invoke", "pulse"]);
    let mut risk = body(deployment, "systemStatus", "risk_management");
    risk["high_water_mark"] = json!("106666.67");
    let raised = Write::Upsert {
        key: Key::new("systemStatus", "risk_management").unwrap(),
        body: risk.to_string(),
    };
    block_on(deployment.store().commit(vec![raised], 0)).unwrap();
    let report = deployment.json(&["invoke", "pulse"]);
    assert_eq!(report["output"]["turned_off"], "drawdown_breached");
}

#[test]
fn trading_goes_on_after_a_drawdown_once_a_person_resets_the_high_water_mark() {
    let deployment = Deployment::new();
    breach(&deployment);
    deployment.run(&["kill", "on"]);

    let output = deployment.run(&["kill", "off", "--enable-trading"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("6.25 % below"), "{said}");
    assert!(said.contains("--reset-high-water-mark"), "{said}");
    let risk = body(&deployment, "systemStatus", "risk_management");
    assert_eq!(risk["trading_enabled"], false);
    let switch = body(&deployment, "ops", "execution_kill_switch");
    assert_eq!(switch["enabled"], true, "nothing was written");

    let output = deployment.run(&[
        "kill",
        "off",
        "--enable-trading",
        "--reset-high-water-mark",
        "--reason",
        "the loss is accepted",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = deployment.json(&["invoke", "pulse"]);
    assert_eq!(report["output"]["trading_enabled"], true);
    assert_eq!(report["output"]["high_water_mark"], "100000");
    let output = deployment.run(&["kill", "status"]);
    assert!(output.status.success(), "{}", stdout(&output));
}

#[test]
fn a_high_water_mark_is_reset_only_where_trading_is_turned_on() {
    let output = Deployment::new().run(&["kill", "off", "--reset-high-water-mark"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--enable-trading"));
}

#[test]
fn status_gives_the_drawdown_in_percent() {
    let deployment = Deployment::new();
    breach(&deployment);
    let said = stdout(&deployment.run(&["status"]));
    assert!(said.contains("drawdown 6.25 %"), "{said}");
}
