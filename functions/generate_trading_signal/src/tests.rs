use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::memory::{Memory, ready};
use bulkhead_kernel::stage::{
    BarsQuery, Configuration, Document, Documents, Key, MarketData, Outcome, Query, Report,
    StageError, Write,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::fusion::MAX_SIGNALS_PER_STRATEGY;
use crate::record::{FULL_SHARES, MAX_METADATA_BYTES};
use crate::strategies::{Strategies, StrategyAction, StrategyInfo, StrategySignal, Window};
use crate::task;
use crate::walk::{EVALUATIONS_PER_COMMIT, MAX_FAILURES_PER_RUN, MAX_STRATEGIES};

const MINUTE_MS: i64 = 60_000;
const NOW_MS: i64 = 1_000_000 * MINUTE_MS;

/// The most bytes of a document's body and of all bodies of a commit, as the store has them (`host/store`).
const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// A market in memory and one strategy or many, which are of one mind: they buy where the last close is 200, sell where it is
/// 100, leave at 150 and fail at 13. One that is called `broken` always fails.
struct World {
    memory: Memory,
    asked: RefCell<Vec<(usize, i64)>>,
    strategies: Vec<String>,
    kind: String,
    lookback_bars: u32,
    signals_each: usize,
    rationale: String,
    metadata: String,
    /// After so many evaluations the next one has no end.
    hangs_after: Cell<Option<usize>>,
    largest_commit_bytes: Cell<usize>,
}

impl World {
    fn new() -> Self {
        let memory = Memory::default()
            .with_variable("instruments", "BTC-USDT")
            .with_variable("timeframe", "1m")
            .with_variable("order_notional_usd", "1000");
        memory.put(
            "systemStatus",
            "risk_management",
            &json!({ "trading_enabled": true }),
        );
        Self {
            memory,
            asked: RefCell::default(),
            strategies: vec!["level".into()],
            kind: "momentum".into(),
            lookback_bars: 3,
            signals_each: 1,
            rationale: "level".into(),
            metadata: "{}".into(),
            hangs_after: Cell::default(),
            largest_commit_bytes: Cell::default(),
        }
    }

    fn with_strategies(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.strategies = names.into_iter().collect();
        self
    }

    fn with_closes(self, closes: &[i64]) -> Self {
        self.add(0, closes);
        self
    }

    fn add(&self, first: usize, closes: &[i64]) {
        let bars: Vec<Bar> = closes
            .iter()
            .enumerate()
            .map(|(index, close)| {
                let price = Decimal::from(*close);
                Bar {
                    open_time_ms: (first + index) as i64 * MINUTE_MS,
                    open: price,
                    high: price,
                    low: price,
                    close: price,
                    volume: Decimal::ONE,
                }
            })
            .collect();
        self.memory.add_bars("BTC-USDT", "1m", &bars);
    }

    fn run(&self) -> Result<Report, StageError> {
        ready(task::run(self, "", false, NOW_MS))
    }

    /// A run that the host ends at its deadline, while a strategy hangs.
    fn run_until_the_deadline(&self) {
        let run = pin!(task::run(self, "", false, NOW_MS));
        let polled = run.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        self.hangs_after.set(None);
    }

    fn state(&self) -> Value {
        self.memory.body("signalState", "BTC-USDT.1m")
    }
}

impl Documents for World {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        self.memory.get(key).await
    }
    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        self.memory.list(query).await
    }
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        let bytes = writes.iter().map(body_bytes).sum();
        let largest = self.largest_commit_bytes.get().max(bytes);
        self.largest_commit_bytes.set(largest);
        self.memory.commit(writes).await
    }
}

fn body_bytes(write: &Write) -> usize {
    match write {
        Write::Create(_, body) | Write::Replace(_, _, body) | Write::Upsert(_, body) => {
            body.to_string().len()
        }
        Write::Delete(_) => 0,
    }
}

impl MarketData for World {
    async fn read_bars(&self, query: BarsQuery) -> Result<Columns, StageError> {
        self.memory.read_bars(query).await
    }
}

impl Configuration for World {
    fn value(&self, key: &str) -> Result<Option<String>, String> {
        self.memory.value(key)
    }
}

impl Strategies for World {
    async fn catalogue(&self) -> Result<Vec<StrategyInfo>, StageError> {
        let infos = self.strategies.iter().map(|name| StrategyInfo {
            name: name.clone(),
            kind: self.kind.clone(),
            lookback_bars: self.lookback_bars,
        });
        Ok(infos.collect())
    }

    async fn evaluate(
        &self,
        name: &str,
        window: Window<'_>,
    ) -> Result<Vec<StrategySignal>, String> {
        let shown = &window.columns.open_time_ms[window.first..window.end];
        self.asked
            .borrow_mut()
            .push((shown.len(), shown[shown.len() - 1]));
        let evaluations = self.asked.borrow().len();
        if self
            .hangs_after
            .get()
            .is_some_and(|after| evaluations > after)
        {
            std::future::pending::<()>().await;
        }
        if name == "broken" {
            return Err("trapped: it exceeded its deadline".into());
        }
        let (action, strength) = match window.columns.close[window.end - 1] {
            200 => (StrategyAction::Buy, 1.0),
            100 => (StrategyAction::Sell, -1.0),
            150 => (StrategyAction::CloseAll, 0.0),
            13 => return Err("unlucky".into()),
            _ => (StrategyAction::Hold, 0.0),
        };
        let signal = StrategySignal {
            action,
            strength,
            confidence: 0.9,
            rationale: self.rationale.clone(),
            metadata: self.metadata.clone(),
        };
        Ok(vec![signal; self.signals_each])
    }
}

#[test]
fn a_buy_leaves_a_signal_an_open_shadow_trade_and_a_pending_trade_action() {
    let world = World::new().with_closes(&[120, 200]);
    let report = world.run().unwrap();
    assert_eq!(
        (report.outcome, &report.output["signals"]),
        (Outcome::Success, &json!(1))
    );
    let id = "0000000120000-BTC-USDT.1m";
    let signal = world.memory.body("signals", id);
    assert_eq!(
        (&signal["action"], &signal["confidence"]),
        (&json!("buy"), &json!(0.9))
    );
    assert_eq!(
        signal["execution"],
        json!({ "success": true, "trade_id": id, "closed": [] })
    );
    let trade = world.memory.body("shadowTradeHistory", id);
    assert_eq!(
        (&trade["status"], &trade["side"]),
        (&json!("OPEN"), &json!("buy"))
    );
    assert_eq!(
        (&trade["entry_price"], &trade["quantity"]),
        (&json!("200"), &json!("5"))
    );
    let action = world
        .memory
        .body("tradeActions", "BTC-USDT.1m-0000000120000");
    assert_eq!(
        (&action["status"], &action["action"]),
        (&json!("pending"), &json!("buy"))
    );
    assert_eq!(world.state()["open_shadow_trades"], json!([id]));
}

#[test]
fn an_opposite_signal_closes_the_open_shadow_trades_with_their_final_profit() {
    let world = World::new().with_closes(&[200, 200, 120, 100]);
    world.run().unwrap();
    for id in ["0000000060000-BTC-USDT.1m", "0000000120000-BTC-USDT.1m"] {
        let trade = world.memory.body("shadowTradeHistory", id);
        assert_eq!(
            (&trade["status"], &trade["exit_reason"]),
            (&json!("CLOSED"), &json!("opposite_signal"))
        );
        assert_eq!(
            (&trade["exit_price"], &trade["final_pnl"]),
            (&json!("100"), &json!("-500"))
        );
        assert_eq!(trade["final_pnl_percent"], json!("-50.00"));
    }
    assert_eq!(world.state()["realized_pnl"], json!("-1000"));
    assert_eq!(
        world.state()["open_shadow_trades"],
        json!(["0000000240000-BTC-USDT.1m"])
    );
}

#[test]
fn leaving_the_market_closes_everything_and_opens_nothing() {
    let world = World::new().with_closes(&[200, 150]);
    let report = world.run().unwrap();
    assert_eq!(
        report.output["latest_decision"]["brain_decision"]["action"],
        "close_all"
    );
    assert_eq!(world.state()["open_shadow_trades"], json!([]));
    assert_eq!(world.memory.ids("shadowTradeHistory").len(), 1);
    assert_eq!(
        world
            .memory
            .body("tradeActions", "BTC-USDT.1m-0000000120000")["action"],
        "close_all"
    );
}

#[test]
fn every_closed_bar_is_evaluated_once_over_many_runs() {
    let world = World::new().with_closes(&[120; 2_500]);
    for expected in [1_000, 1_000, 500] {
        assert_eq!(world.run().unwrap().output["bars_evaluated"], expected);
    }
    assert_eq!(world.run().unwrap().reason.as_deref(), Some("no_new_bars"));
    let asked = world.asked.borrow();
    assert!(
        asked
            .iter()
            .enumerate()
            .all(|(index, (_, open))| *open == index as i64 * MINUTE_MS)
    );
    assert_eq!(asked.len(), 2_500);
    assert!(
        asked.iter().skip(2).all(|(shown, _)| *shown == 3),
        "the lookback reaches over the border of a run"
    );
}

#[test]
fn a_bar_that_is_not_closed_yet_waits() {
    let world = World::new();
    world.add(999_999, &[200]);
    world.add(1_000_000, &[200]);
    assert_eq!(world.run().unwrap().output["bars_evaluated"], 1);
}

#[test]
fn a_failing_strategy_holds_and_the_walk_goes_on() {
    let world = World::new().with_closes(&[13, 200]);
    let report = world.run().unwrap();
    assert_eq!(
        (
            &report.output["strategy_failures"],
            &report.output["signals"]
        ),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_run_that_ends_at_its_deadline_keeps_what_it_walked_though_nothing_was_decided() {
    let world = World::new().with_closes(&[120; 100]);
    world.hangs_after.set(Some(40));
    world.run_until_the_deadline();
    let walked = 40 / EVALUATIONS_PER_COMMIT * EVALUATIONS_PER_COMMIT;
    let last = (walked as i64 - 1) * MINUTE_MS;
    assert_eq!(world.state()["last_evaluated_ms"], last);
    let report = world.run().unwrap();
    assert_eq!(report.output["bars_evaluated"], 100 - walked);
}

#[test]
fn the_more_strategies_are_asked_the_fewer_bars_wait_for_a_commit() {
    for (strategies, commits) in [(1, 3), (2, 5), (5, 12), (16, 34), (MAX_STRATEGIES, 34)] {
        let world = World::new()
            .with_strategies((0..strategies).map(|index| format!("level-{index}")))
            .with_closes(&[120; 34]);
        world.run().unwrap();
        assert_eq!(world.memory.commits(), commits, "{strategies} strategies");
    }
}

#[test]
fn a_strategy_that_keeps_failing_is_suspended_for_the_run_and_the_others_are_asked_all_the_same() {
    let world = World::new()
        .with_strategies(["broken".into(), "level".into()])
        .with_closes(&[&[120; 99][..], &[200]].concat());
    let report = world.run().unwrap();
    let output = &report.output;
    assert_eq!(output["bars_evaluated"], 100);
    assert_eq!(output["strategies_evaluated"], 100 + MAX_FAILURES_PER_RUN);
    assert_eq!(output["strategy_failures"], 100);
    let signal = world.memory.body("signals", "0000006000000-BTC-USDT.1m");
    let signals = &signal["metadata"]["signals"];
    assert_eq!(signals["level"]["action"], "buy");
    assert_eq!(
        (
            &signals["broken"]["action"],
            &signals["broken"]["confidence"]
        ),
        (&json!("hold"), &json!(0.0))
    );
    assert_eq!(
        signals["broken"]["metadata"]["error"],
        "suspended for this run after 3 failures"
    );
}

#[test]
fn a_suspended_strategy_is_asked_again_in_the_next_run() {
    let world = World::new().with_closes(&[13, 13, 13, 200]);
    assert_eq!(world.run().unwrap().output["signals"], 0);
    world.add(4, &[200]);
    let report = world.run().unwrap();
    assert_eq!(
        (
            &report.output["strategy_failures"],
            &report.output["signals"]
        ),
        (&json!(0), &json!(1))
    );
}

#[test]
fn a_catalogue_without_any_strategy_holds_and_the_walk_stands_still() {
    let world = World::new().with_strategies([]).with_closes(&[200]);
    let before = world.memory.everything();
    let report = world.run().unwrap();
    assert_eq!(
        (report.outcome, report.reason.as_deref()),
        (Outcome::Hold, Some("no_strategies"))
    );
    assert_eq!(world.memory.everything(), before);
}

/// The bytes of the largest text that is kept as metadata of each of so many entries.
fn largest_text(entries: usize) -> usize {
    let frame = json!({ "text": "" }).to_string().len();
    MAX_METADATA_BYTES * FULL_SHARES / entries.max(FULL_SHARES) - frame
}

#[test]
fn whatever_strategies_say_the_store_takes_the_commit() {
    // Fifty open trades that are closed, and decisions behind them.
    let closes = [&[200; 50][..], &[150], &[200; 13]].concat();
    for strategies in [1, 3, 16, MAX_STRATEGIES] {
        let mut world = World::new()
            .with_strategies((0..strategies).map(|index| format!("{index:-<64}")))
            .with_closes(&closes);
        world.kind = "k".repeat(64);
        world.signals_each = MAX_SIGNALS_PER_STRATEGY + 1;
        world.rationale = "\u{1}".repeat(3_000);
        world.metadata = "x".repeat(largest_text(strategies * MAX_SIGNALS_PER_STRATEGY));
        world.run().unwrap();
        assert_eq!(world.memory.ids("signals").len(), closes.len());
        let signal = world.memory.body("signals", "0000000060000-BTC-USDT.1m");
        let entry = &signal["metadata"]["signals"][&world.strategies[0]];
        assert_eq!(entry["metadata"]["text"], world.metadata);
        for (key, (_, body)) in world.memory.everything() {
            assert!(
                body.len() <= MAX_BODY_BYTES,
                "{strategies} strategies: {key:?} has {} bytes",
                body.len()
            );
        }
        let bytes = world.largest_commit_bytes.get();
        assert!(
            bytes <= MAX_COMMIT_BYTES,
            "{strategies} strategies: {bytes} bytes"
        );
    }
}

#[test]
fn while_the_risk_gate_holds_no_strategy_is_asked_and_the_walk_stands_still() {
    let world = World::new().with_closes(&[200]);
    world.memory.put(
        "systemStatus",
        "risk_management",
        &json!({ "trading_enabled": false }),
    );
    let before = world.memory.everything();
    let report = world.run().unwrap();
    assert_eq!(
        (report.outcome, report.reason.as_deref()),
        (Outcome::Hold, Some("trading_disabled"))
    );
    assert!(world.asked.borrow().is_empty());
    assert_eq!(world.memory.everything(), before);
    world.memory.put(
        "systemStatus",
        "risk_management",
        &json!({ "trading_enabled": true }),
    );
    assert_eq!(world.run().unwrap().output["signals"], 1);
}

#[test]
fn a_run_cut_short_at_any_commit_neither_loses_nor_doubles_a_signal() {
    let closes: Vec<i64> = (0..100)
        .map(|index| if index % 2 == 0 { 200 } else { 100 })
        .collect();
    let whole = World::new().with_closes(&closes);
    whole.run().unwrap();
    let commits = whole.memory.commits();
    assert!(commits > 3);
    for after in 0..commits {
        let world = World::new().with_closes(&closes);
        world.memory.fail_commit_after(after);
        assert!(matches!(world.run(), Err(StageError::Unavailable(_))));
        world.run().unwrap();
        for collection in ["signals", "tradeActions", "shadowTradeHistory"] {
            let ids = whole.memory.ids(collection);
            assert_eq!(world.memory.ids(collection), ids);
            for id in ids {
                assert_eq!(
                    world.memory.body(collection, &id),
                    whole.memory.body(collection, &id),
                    "{after} {id}"
                );
            }
        }
        assert_eq!(world.state(), whole.state());
    }
}

#[test]
fn shadow_trades_of_one_series_are_bounded() {
    let world = World::new().with_closes(&[200; 60]);
    let report = world.run().unwrap();
    assert_eq!(
        (
            &report.output["signals"],
            &report.output["shadow_trades_opened"]
        ),
        (&json!(60), &json!(50))
    );
    let last = world.memory.body("signals", "0000003600000-BTC-USDT.1m");
    assert_eq!(last["execution"]["reason"], "too_many_open_shadow_trades");
}

#[test]
fn a_month_of_minutes_is_walked_in_bounded_steps() {
    let mut world = World::new();
    world.lookback_bars = 130;
    let closes: Vec<i64> = (0..5_000)
        .map(|index| {
            if index % 30 == 0 {
                200
            } else {
                120 + index % 7
            }
        })
        .collect();
    world.add(0, &closes);
    for _ in 0..5 {
        world.run().unwrap();
    }
    assert_eq!(world.asked.borrow().len(), 5_000);
    assert!(world.asked.borrow().iter().all(|(shown, _)| *shown <= 130));
}

#[test]
fn an_input_against_the_schema_is_refused() {
    let world = World::new();
    for input in [
        "[]",
        "{",
        r#"{"task":7}"#,
        r#"{"task":"trade"}"#,
        r#"{"symbol":"SPY"}"#,
        r#"{"task":"decide"}"#,
    ] {
        assert!(
            matches!(
                ready(task::run(&world, input, false, NOW_MS)),
                Err(StageError::InvalidInput(_))
            ),
            "{input}"
        );
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (key, value) in [
        ("timeframe", "1x"),
        ("order_notional_usd", "0"),
        ("instruments", "!"),
    ] {
        let mut world = World::new();
        world.memory = world.memory.with_variable(key, value);
        let error = world.run().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn fake_mode_decides_envelopes_and_evaluates_nothing() {
    let world = World::new().with_closes(&[200]);
    let before = world.memory.everything();
    let report = ready(task::run(&world, "{}", true, NOW_MS)).unwrap();
    assert_eq!(
        (report.outcome, report.reason.as_deref()),
        (Outcome::Skipped, Some("fake_mode"))
    );
    let input = r#"{"task":"decide","envelope":{"instrument":"BTC-USD"},"fake":true}"#;
    let report = ready(task::run(&world, input, true, NOW_MS)).unwrap();
    assert!(report.output["brain_decision"].is_object());
    assert!(!report.metrics.is_empty());
    assert_eq!(world.memory.everything(), before);
}

#[test]
fn the_schemas_are_json() {
    for schema in [task::INPUT_SCHEMA, task::OUTPUT_SCHEMA] {
        assert!(serde_json::from_str::<Value>(schema).unwrap().is_object());
    }
}
