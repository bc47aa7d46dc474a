use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::memory::{Memory, ready};
use bulkhead_kernel::stage::{Documents, Key, Outcome, Report, StageError, Write};
use rust_decimal::Decimal;
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::beat::PRUNED_PER_BEAT;
use crate::task;

/// 2023-11-14T22:13:20Z
const NOW_MS: i64 = 1_700_000_000_000;
const SERIES: &str = "BTC-USDT.1m";

fn world() -> Memory {
    Memory::default().with_variable("starting_equity_usd", "1000")
}

fn close_at(memory: &Memory, minute: i64, close: i64) {
    let price = Decimal::from(close);
    let bar = Bar {
        open_time_ms: minute * 60_000,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Decimal::ONE,
    };
    memory.add_bars("BTC-USDT", "1m", &[bar]);
}

fn state(memory: &Memory, open: &[&str], realized: &str) {
    let state = json!({
        "instrument": "BTC-USDT", "timeframe": "1m", "last_evaluated_ms": 0,
        "open_shadow_trades": open, "realized_pnl": realized,
    });
    memory.put("signalState", SERIES, &state);
}

fn open_trade(memory: &Memory, id: &str, side: &str) {
    let trade = json!({
        "shadow_id": id, "strategy_id": "brain", "symbol": "BTC-USDT", "timeframe": "1m", "action": side, "side": side,
        "quantity": "2", "entry_price": "100", "notional": "200", "reasoning": "r", "order_type": "market",
        "time_in_force": "gtc", "status": "OPEN", "current_price": "100", "current_pnl": "0", "unrealized_pnl": "0",
        "pnl_percent": "0", "created_at_ms": 0, "last_pnl_update_ms": 0,
    });
    memory.put("shadowTradeHistory", id, &trade);
}

fn run(memory: &Memory) -> Result<Report, StageError> {
    ready(task::run(memory, "", false, NOW_MS))
}

fn risk(memory: &Memory) -> Value {
    memory.body("systemStatus", "risk_management")
}

#[test]
fn the_first_beat_creates_the_flags_the_heartbeat_and_the_equity() {
    let memory = world();
    let report = run(&memory).unwrap();
    assert_eq!(
        (report.outcome, &report.output["equity"]),
        (Outcome::Success, &json!("1000"))
    );
    assert_eq!(risk(&memory)["trading_enabled"], true);
    assert_eq!(
        memory.body("systemStatus", "last_pulse")["timestamp"],
        "2023-11-14T22:13:20.000Z"
    );
    assert!(
        memory.ids("ops").is_empty(),
        "the kill switch's collection is not this stage's"
    );
    assert_eq!(
        memory.body("equity_history", "202311142213")["equity"],
        "1000"
    );
}

#[test]
fn open_trades_are_marked_at_the_last_close_and_count_with_what_was_realized() {
    let memory = world();
    close_at(&memory, 0, 90);
    close_at(&memory, 1, 110);
    open_trade(&memory, "a", "buy");
    open_trade(&memory, "b", "sell");
    open_trade(&memory, "c", "buy");
    state(&memory, &["a", "b", "c"], "7.5");
    let report = run(&memory).unwrap();
    let output = &report.output;
    assert_eq!(
        (&output["marked"], &output["unrealized_pnl"]),
        (&json!(3), &json!("20"))
    );
    assert_eq!(
        (&output["realized_pnl"], &output["equity"]),
        (&json!("7.5"), &json!("1027.5"))
    );
    let sold = memory.body("shadowTradeHistory", "b");
    assert_eq!(
        (&sold["current_pnl"], &sold["pnl_percent"]),
        (&json!("-20"), &json!("-10.00"))
    );
    assert_eq!(sold["current_price"], "110");
    assert_eq!(
        run(&memory).unwrap().output["marked"],
        0,
        "an unchanged price is not written again"
    );
}

#[test]
fn a_trade_that_was_closed_since_the_state_was_read_counts_once_with_its_final_profit() {
    let memory = world();
    close_at(&memory, 0, 500);
    open_trade(&memory, "a", "buy");
    let mut trade = memory.body("shadowTradeHistory", "a");
    trade["status"] = json!("CLOSED");
    trade["final_pnl"] = json!("30");
    memory.put("shadowTradeHistory", "a", &trade);
    state(&memory, &["a"], "0");
    assert_eq!(run(&memory).unwrap().output["equity"], "1030");
    state(&memory, &[], "30");
    assert_eq!(run(&memory).unwrap().output["equity"], "1030");
}

#[test]
fn a_drawdown_above_five_percent_turns_trading_off_until_a_person_turns_it_on() {
    let memory = world();
    run(&memory).unwrap();
    state(&memory, &[], "-50");
    assert_eq!(
        run(&memory).unwrap().output["trading_enabled"],
        true,
        "exactly 5 %"
    );
    state(&memory, &[], "-50.01");
    let report = run(&memory).unwrap();
    assert_eq!(report.output["turned_off"], "drawdown_breached");
    assert_eq!(report.events.len(), 1);
    state(&memory, &[], "0");
    let report = run(&memory).unwrap();
    assert_eq!(
        (&report.output["trading_enabled"], report.events.len()),
        (&json!(false), 0)
    );
    let mut flags = risk(&memory);
    flags["trading_enabled"] = json!(true);
    memory.put("systemStatus", "risk_management", &flags);
    assert_eq!(run(&memory).unwrap().output["trading_enabled"], true);
}

#[test]
fn after_a_drawdown_a_person_who_resets_the_high_water_mark_turns_trading_on_for_good() {
    let memory = world();
    run(&memory).unwrap();
    state(&memory, &[], "-200");
    assert_eq!(
        run(&memory).unwrap().output["turned_off"],
        "drawdown_breached"
    );
    let mut flags = risk(&memory);
    flags["trading_enabled"] = json!(true);
    flags["high_water_mark"] = flags["current_equity"].clone();
    memory.put("systemStatus", "risk_management", &flags);
    for _ in 0..2 {
        let report = run(&memory).unwrap();
        assert_eq!(report.output["trading_enabled"], true);
        assert_eq!(report.output["high_water_mark"], "800");
    }
}

#[test]
fn a_beat_takes_away_the_oldest_equities_beyond_a_week_and_a_bounded_number_of_them() {
    let memory = world();
    for surplus in 0..100 {
        let id = format!("2023110100{surplus:02}");
        memory.put("equity_history", &id, &json!({ "equity": "1" }));
    }
    let (outdated, oldest_kept) = ("202311072213", "202311072214");
    for id in [outdated, oldest_kept] {
        memory.put("equity_history", id, &json!({ "equity": "1" }));
    }
    run(&memory).unwrap();
    assert_eq!(
        memory.ids("equity_history").len(),
        100 + 2 + 1 - PRUNED_PER_BEAT as usize
    );
    assert_eq!(memory.ids("equity_history")[0], "202311010064");
    run(&memory).unwrap();
    assert_eq!(memory.ids("equity_history"), [oldest_kept, "202311142213"]);
}

/// A store in which a person turns trading off right after the stage has read the flags.
struct Interrupted(Memory);

impl Documents for Interrupted {
    async fn get(&self, key: Key) -> Result<Option<bulkhead_kernel::stage::Document>, StageError> {
        let document = self.0.get(key.clone()).await?;
        if key.id == "risk_management" {
            let off = json!({ "high_water_mark": "1000", "trading_enabled": false });
            self.0.put("systemStatus", "risk_management", &off);
        }
        Ok(document)
    }
    async fn list(
        &self,
        query: bulkhead_kernel::stage::Query,
    ) -> Result<Vec<bulkhead_kernel::stage::Document>, StageError> {
        self.0.list(query).await
    }
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        self.0.commit(writes).await
    }
}

impl bulkhead_kernel::stage::MarketData for Interrupted {
    async fn read_bars(
        &self,
        query: bulkhead_kernel::stage::BarsQuery,
    ) -> Result<bulkhead_kernel::bar::Columns, StageError> {
        self.0.read_bars(query).await
    }
}

impl bulkhead_kernel::stage::Configuration for Interrupted {
    fn value(&self, key: &str) -> Result<Option<String>, String> {
        self.0.value(key)
    }
}

#[test]
fn a_change_that_a_person_makes_meanwhile_is_not_overwritten() {
    let memory = world();
    run(&memory).unwrap();
    let interrupted = Interrupted(memory);
    let outcome = ready(task::run(&interrupted, "", false, NOW_MS + 60_000));
    assert!(
        matches!(outcome, Err(StageError::Conflict(_))),
        "{outcome:?}"
    );
    assert_eq!(risk(&interrupted.0)["trading_enabled"], false);
    assert_eq!(
        interrupted.0.ids("equity_history").len(),
        1,
        "nothing of the beat was stored"
    );
}

#[test]
fn flags_that_cannot_be_read_are_left_as_they_are() {
    let memory = world();
    memory.put_text("systemStatus", "risk_management", "{");
    assert!(matches!(run(&memory), Err(StageError::Internal(_))));
    assert_eq!(risk(&memory), Value::Null);
}

#[test]
fn a_series_without_bars_counts_with_its_last_mark() {
    let memory = world();
    open_trade(&memory, "a", "buy");
    state(&memory, &["a"], "0");
    let report = run(&memory).unwrap();
    assert_eq!(
        (&report.output["unpriced"], &report.output["equity"]),
        (&json!(1), &json!("1000"))
    );
}

#[test]
fn an_open_trade_that_does_not_exist_is_reported() {
    let memory = world();
    state(&memory, &["ghost"], "0");
    assert!(run(&memory).unwrap_err().to_string().contains("ghost"));
}

#[test]
fn an_input_against_the_schema_is_refused() {
    for input in ["[]", "{", r#"{"task":"beat"}"#, r#"{"user":"me"}"#] {
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
fn fake_mode_writes_nothing() {
    let memory = world();
    assert_eq!(
        ready(task::run(&memory, "", true, NOW_MS)).unwrap().outcome,
        Outcome::Skipped
    );
    assert!(memory.everything().is_empty());
}

#[test]
fn the_schemas_are_json() {
    for schema in [task::INPUT_SCHEMA, task::OUTPUT_SCHEMA] {
        assert!(serde_json::from_str::<Value>(schema).unwrap().is_object());
    }
}
