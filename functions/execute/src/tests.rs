use bulkhead_kernel::memory::{Memory, ready};
use bulkhead_kernel::stage::{
    Configuration, Document, Documents, Key, Outcome, Query, Report, StageError, Write,
};
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::task;

const NOW_MS: i64 = 1_700_000_000_000;
const SERIES: &str = "BTC-USDT.1m";

fn world() -> Memory {
    let memory = Memory::default()
        .with_variable("exec_kill_switch", "0")
        .with_variable("symbol_allow_list", "BTC-USDT")
        .with_variable("max_order_usd", "1000")
        .with_variable("max_position_usd", "2500");
    memory.put("ops", "execution_kill_switch", &json!({ "enabled": false }));
    memory.put(
        "systemStatus",
        "risk_management",
        &json!({ "trading_enabled": true }),
    );
    memory.put("signalState", SERIES, &json!({}));
    memory
}

fn act(memory: &Memory, minute: i64, verb: &str) -> String {
    act_at(memory, minute, verb, NOW_MS)
}

fn act_at(memory: &Memory, minute: i64, verb: &str, created_at_ms: i64) -> String {
    let id = format!("{SERIES}-{minute:013}");
    let action = json!({
        "trade_action_id": id, "instrument": "BTC-USDT", "timeframe": "1m", "action": verb, "status": "pending",
        "strategy_id": "brain", "notional": "1000", "quantity": "10", "reference_price": "100",
        "signal_id": "s", "as_of_ms": minute, "created_at_ms": created_at_ms,
    });
    memory.put("tradeActions", &id, &action);
    id
}

fn run(memory: &Memory) -> Result<Report, StageError> {
    ready(task::run(memory, "", false, NOW_MS))
}

fn order(memory: &Memory, index: usize) -> Value {
    memory.body("orders", &memory.ids("orders")[index])
}

#[test]
fn a_trade_action_becomes_a_dry_run_order_and_moves_the_position_and_the_cursor() {
    let memory = world();
    let id = act(&memory, 1, "buy");
    let report = run(&memory).unwrap();
    assert_eq!(
        (report.outcome, &report.output["dry_run"]),
        (Outcome::Success, &json!(1))
    );
    let order = order(&memory, 0);
    assert_eq!(
        (&order["state"], &order["result"]["status"]),
        (&json!("dry_run"), &json!("dry_run"))
    );
    assert_eq!(
        (&order["intent"]["side"], &order["intent"]["notional"]),
        (&json!("buy"), &json!("1000"))
    );
    assert_eq!(order["client_order_id"], json!(memory.ids("orders")[0]));
    assert_eq!(memory.body("positions", "BTC-USDT")["quantity"], "10");
    assert_eq!(
        memory.body("executeState", SERIES)["last_trade_action_id"],
        json!(id)
    );
    assert_eq!(
        report.output["intents"][0]["client_order_id"],
        order["client_order_id"]
    );
    let before = memory.everything();
    assert_eq!(
        run(&memory).unwrap().reason.as_deref(),
        Some("no_trade_actions")
    );
    assert_eq!(memory.everything(), before);
}

#[test]
fn each_kill_switch_stops_the_run_before_anything_is_written() {
    for (reason, engage) in [
        (
            "execution_kill_switch",
            ("ops", "execution_kill_switch", json!({ "enabled": true })),
        ),
        (
            "trading_disabled",
            (
                "systemStatus",
                "risk_management",
                json!({ "trading_enabled": false }),
            ),
        ),
        (
            "emergency_halt",
            (
                "systemStatus",
                "risk_management",
                json!({ "trading_enabled": true, "status": "EMERGENCY_HALT" }),
            ),
        ),
        (
            "emergency_halt",
            (
                "systemStatus",
                "trading_gate",
                json!({ "status": "EMERGENCY_HALT" }),
            ),
        ),
    ] {
        let memory = world();
        act(&memory, 1, "buy");
        memory.put(engage.0, engage.1, &engage.2);
        let before = memory.everything();
        let report = run(&memory).unwrap();
        assert_eq!(
            (report.outcome, report.reason.as_deref()),
            (Outcome::Hold, Some(reason))
        );
        assert_eq!(memory.everything(), before);
    }
    let memory = world().with_variable("exec_kill_switch", "yes");
    act(&memory, 1, "buy");
    assert_eq!(
        run(&memory).unwrap().reason.as_deref(),
        Some("exec_kill_switch")
    );
}

/// A store in which somebody turns the kill switch on once an order has reached the ledger.
struct Stopped(Memory);

impl Documents for Stopped {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        self.0.get(key).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        self.0.list(query).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        self.0.commit(writes).await?;
        let on = json!({ "enabled": true });
        self.0.put("ops", "execution_kill_switch", &on);
        Ok(())
    }
}

impl Configuration for Stopped {
    fn value(&self, key: &str) -> Result<Option<String>, String> {
        self.0.value(key)
    }
}

#[test]
fn a_kill_switch_that_is_turned_on_during_a_run_stops_it_before_the_next_order() {
    let stopped = Stopped(world());
    for minute in 1..=3 {
        act(&stopped.0, minute, "buy");
    }
    let report = ready(task::run(&stopped, "", false, NOW_MS)).unwrap();
    assert_eq!(
        (report.outcome, report.reason.as_deref()),
        (Outcome::Hold, Some("execution_kill_switch"))
    );
    assert_eq!(report.output["dry_run"], 1);
    assert_eq!(report.metrics[0].value, 1.0);
    assert_eq!(stopped.0.ids("orders").len(), 1);
    let Stopped(memory) = stopped;
    memory.put("ops", "execution_kill_switch", &json!({ "enabled": false }));
    assert_eq!(run(&memory).unwrap().output["trade_actions"], 2);
}

#[test]
fn a_trade_action_that_waited_too_long_is_denied_and_the_next_one_is_routed() {
    let memory = world().with_variable("max_action_age_seconds", "60");
    let stale = act_at(&memory, 1, "buy", NOW_MS - 60_001);
    act_at(&memory, 2, "buy", NOW_MS - 60_000);
    let report = run(&memory).unwrap();
    let reason = &report.output["intents"][0]["reason"];
    assert_eq!(
        (&reason["code"], &reason["actual"], &reason["limit"]),
        (&json!("stale_action"), &json!("60"), &json!("60"))
    );
    assert_eq!(
        report.output["intents"][0]["intent"]["trade_action_id"],
        json!(stale)
    );
    assert_eq!(
        (&report.output["denied"], &report.output["dry_run"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(memory.body("positions", "BTC-USDT")["quantity"], "10");
    assert_eq!(
        run(&memory).unwrap().reason.as_deref(),
        Some("no_trade_actions")
    );
}

#[test]
fn an_order_left_intended_until_it_is_too_old_is_denied() {
    let memory = world();
    act(&memory, 1, "buy");
    memory.fail_commit_after(1);
    run(&memory).unwrap_err();
    assert_eq!(order(&memory, 0)["state"], "intended");
    let later_ms = NOW_MS + 24 * 3_600_000;
    ready(task::run(&memory, "", false, later_ms)).unwrap();
    assert_eq!(order(&memory, 0)["state"], "denied");
    assert_eq!(order(&memory, 0)["reason"]["code"], "stale_action");
    assert!(memory.ids("positions").is_empty());
}

#[test]
fn a_position_above_every_limit_can_be_left_however_late() {
    let memory = world();
    let position = json!({
        "instrument": "BTC-USDT", "quantity": "500", "reference_price": "100", "notional": "50000",
        "dry_run": true, "client_order_id": "x", "updated_at_ms": 0,
    });
    memory.put("positions", "BTC-USDT", &position);
    act_at(&memory, 1, "close_all", 0);
    let report = run(&memory).unwrap();
    assert_eq!(
        report.output["intents"][0]["intent"]["notional"],
        json!("50000")
    );
    assert_eq!(report.output["intents"][0]["state"], "dry_run");
    assert_eq!(memory.body("positions", "BTC-USDT")["quantity"], "0");
}

#[test]
fn without_dry_run_the_stage_holds() {
    let memory = world().with_variable("exec_dry_run", "0");
    act(&memory, 1, "buy");
    assert_eq!(
        run(&memory).unwrap().reason.as_deref(),
        Some("live_routing_unavailable")
    );
    assert!(memory.ids("orders").is_empty());
}

#[test]
fn an_order_above_a_limit_is_recorded_as_denied_and_the_next_one_is_routed() {
    let memory = world();
    for (minute, verb) in [(1, "buy"), (2, "buy"), (3, "buy"), (4, "sell")] {
        act(&memory, minute, verb);
    }
    let report = run(&memory).unwrap();
    assert_eq!(
        (&report.output["dry_run"], &report.output["denied"]),
        (&json!(3), &json!(1))
    );
    let reason = &report.output["intents"][2]["reason"];
    assert_eq!(
        (
            &reason["code"],
            &reason["actual"],
            &reason["limit"],
            &reason["variable"]
        ),
        (
            &json!("max_position_usd"),
            &json!("3000"),
            &json!("2500"),
            &json!("max_position_usd")
        )
    );
    assert_eq!(memory.body("positions", "BTC-USDT")["quantity"], "10");
}

#[test]
fn leaving_a_position_sells_all_of_it_and_a_second_time_nothing() {
    let memory = world();
    for (minute, verb) in [(1, "sell"), (2, "close_all"), (3, "close_all")] {
        act(&memory, minute, verb);
    }
    let report = run(&memory).unwrap();
    assert_eq!(report.output["nothing_to_close"], 1);
    assert_eq!(report.output["intents"][1]["intent"]["side"], "buy");
    assert_eq!(memory.body("positions", "BTC-USDT")["quantity"], "0");
}

#[test]
fn a_run_cut_short_at_any_commit_neither_loses_nor_doubles_an_order() {
    let fill = |memory: &Memory| {
        for (minute, verb) in [
            (1, "buy"),
            (2, "buy"),
            (3, "buy"),
            (4, "sell"),
            (5, "close_all"),
            (6, "close_all"),
        ] {
            act(memory, minute, verb);
        }
    };
    let whole = world();
    fill(&whole);
    run(&whole).unwrap();
    for after in 0..whole.commits() {
        let memory = world();
        fill(&memory);
        memory.fail_commit_after(after);
        assert!(
            matches!(run(&memory), Err(StageError::Unavailable(_))),
            "{after}"
        );
        run(&memory).unwrap();
        assert_eq!(memory.everything(), whole.everything(), "{after}");
    }
}

#[test]
fn an_order_that_stands_already_is_passed_over_quietly() {
    let memory = world();
    act(&memory, 1, "close_all");
    act(&memory, 2, "buy");
    run(&memory).unwrap();
    memory.put(
        "executeState",
        SERIES,
        &json!({ "last_trade_action_id": format!("{SERIES}-{:013}", 1), "updated_at_ms": 0 }),
    );
    let position = memory.body("positions", "BTC-USDT");
    let report = run(&memory).unwrap();
    assert_eq!(
        (&report.output["repeated"], &report.output["dry_run"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(memory.body("positions", "BTC-USDT"), position);
}

#[test]
fn another_intent_under_the_same_id_is_a_conflict() {
    let memory = world();
    act(&memory, 1, "buy");
    run(&memory).unwrap();
    let id = memory.ids("orders").remove(0);
    let mut order = memory.body("orders", &id);
    order["intent"]["qty"] = json!("11");
    memory.put("orders", &id, &order);
    memory.put(
        "executeState",
        SERIES,
        &json!({ "last_trade_action_id": "", "updated_at_ms": 0 }),
    );
    let before = memory.everything();
    assert!(matches!(run(&memory), Err(StageError::Conflict(_))));
    assert_eq!(memory.everything(), before);
}

#[test]
fn a_trade_action_that_cannot_be_read_is_recorded_and_does_not_stop_the_others() {
    let memory = world();
    let broken = act(&memory, 1, "hodl");
    act(&memory, 2, "buy");
    let report = run(&memory).unwrap();
    assert_eq!(
        (&report.output["denied"], &report.output["dry_run"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        memory.body("orders", &broken)["reason"]["code"],
        "invalid_trade_action"
    );
}

#[test]
fn a_run_routes_a_bounded_number_and_the_next_goes_on() {
    let memory = world();
    for minute in 0..150 {
        act(
            &memory,
            minute,
            if minute % 2 == 0 { "buy" } else { "sell" },
        );
    }
    assert_eq!(run(&memory).unwrap().output["trade_actions"], 100);
    assert_eq!(run(&memory).unwrap().output["trade_actions"], 50);
    assert_eq!(memory.ids("orders").len(), 150);
}

#[test]
fn an_input_against_the_schema_is_refused() {
    for input in [
        "[]",
        "{",
        r#"{"task":7}"#,
        r#"{"task":"buy"}"#,
        r#"{"symbol":"SPY"}"#,
    ] {
        assert!(
            matches!(
                ready(task::run(&world(), input, false, NOW_MS)),
                Err(StageError::InvalidInput(_))
            ),
            "{input}"
        );
    }
}

#[test]
fn a_wrong_limit_is_named() {
    for key in [
        "max_order_usd",
        "max_position_usd",
        "symbol_allow_list",
        "max_action_age_seconds",
    ] {
        let error = run(&world().with_variable(key, "!"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn fake_mode_routes_nothing() {
    let memory = world();
    act(&memory, 1, "buy");
    let before = memory.everything();
    let report = ready(task::run(&memory, "", true, NOW_MS)).unwrap();
    assert_eq!(
        (report.outcome, report.reason.as_deref()),
        (Outcome::Skipped, Some("fake_mode"))
    );
    assert_eq!(memory.everything(), before);
}

#[test]
fn the_schemas_are_json() {
    for schema in [task::INPUT_SCHEMA, task::OUTPUT_SCHEMA] {
        assert!(serde_json::from_str::<Value>(schema).unwrap().is_object());
    }
}
