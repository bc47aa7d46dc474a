//! Hostile strategies beside a good one, under the real signal stage.

use std::time::Duration;

use bulkhead_sandbox::{
    CALLS_IN_FLIGHT, ComponentSpec, INNER_RUNS, MarketDataGrant, POOL_SLOTS, Role, StageKind,
};
use bulkhead_store::{Bars, Key, Order, Query, Series, Store as _, Write};
use bulkhead_tests::{Bench, NOW_MS, guest, patterns, wasm};
use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::components::{Answer, Strategy, description, many_catalogues_at_once};
use crate::memory::Growth;
use crate::{alone, word};

/// The body of a function that computes without end.
const ENDLESS: &str = "(loop $for_ever (br $for_ever)) unreachable";

/// The body of a function that traps.
const TRAP: &str = "unreachable";

/// What becomes of a hostile strategy.
enum Fate {
    /// It is not in the catalogue.
    LeftOut,
    /// It counts as failed, with this word in its error.
    Failed(&'static str),
    /// Its answer counts, its metadata are not kept.
    Bounded,
}

/// The bars of a market that falls, minute by minute, and the last of which leaps up.
const BARS: i64 = 40;

fn last_open_ms() -> i64 {
    NOW_MS / 60_000 * 60_000 - 60_000
}

/// The bars from `first` to before `end`.
fn bars(first: i64, end: i64) -> Bars {
    let closes: Vec<i64> = (first..end)
        .map(|index| {
            if index == BARS - 1 {
                2_000
            } else {
                1_000 - index
            }
        })
        .collect();
    Bars {
        price_scale: 0,
        volume_scale: 0,
        open_time_ms: (first..end)
            .map(|index| last_open_ms() - (BARS - 1 - index) * 60_000)
            .collect(),
        open: closes.clone(),
        high: closes.clone(),
        low: closes.clone(),
        close: closes.clone(),
        volume: vec![1; closes.len()],
    }
}

async fn append(bench: &Bench, bars: Bars) {
    let series = Series {
        instrument: "BTC-USDT".into(),
        timeframe: "1m".into(),
    };
    bench.store.append_bars(series, bars, NOW_MS).await.unwrap();
}

fn signal_stage() -> ComponentSpec {
    let mut spec = guest("signals");
    spec.role = Role::Stage(StageKind::GenerateTradingSignal);
    spec.wasm = wasm("generate_trading_signal");
    spec.variables = [
        ("instruments", "BTC-USDT"),
        ("timeframe", "1m"),
        ("order_notional_usd", "1000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    spec.limits.deadline = Duration::from_secs(30);
    spec.documents.read = patterns(&["systemStatus", "signalState", "shadowTradeHistory"]);
    spec.documents.write = patterns(&[
        "signals",
        "signalState",
        "shadowTradeHistory",
        "tradeActions",
    ]);
    spec.market_data.append = false;
    spec.strategies = vec!["ema-cross".into(), "hostile".into()];
    spec
}

fn strategy(name: &str, wasm: Vec<u8>, deadline: Duration) -> ComponentSpec {
    let mut spec = guest(name);
    spec.role = Role::Strategy;
    spec.wasm = wasm;
    spec.limits.deadline = deadline;
    spec.documents.read.clear();
    spec.documents.write.clear();
    spec.market_data = MarketDataGrant::default();
    spec
}

/// The one signal that is stored.
async fn signal(bench: &Bench) -> Value {
    let query = Query {
        collection: "signals".into(),
        prefix: None,
        start: None,
        end: None,
        order: Order::Ascending,
        limit: 10,
        cursor: None,
    };
    let page = bench.store.list(&query).await.unwrap();
    assert_eq!(page.documents.len(), 1, "{page:?}");
    serde_json::from_str(&page.documents[0].body).unwrap()
}

/// Runs the signal stage with `ema-cross` and this strategy: over a market that falls, over the bar in which it leaps up, and
/// once more. The good strategy's signal is stored, the cursor moves, and the last run finds nothing left to do.
async fn outlives(hostile: Strategy, fate: Fate) {
    let _alone = alone().await;
    let bench = Bench::new(vec![
        signal_stage(),
        strategy("ema-cross", wasm("ema_cross"), Duration::from_secs(10)),
        strategy("hostile", hostile.component(), Duration::from_millis(100)),
    ]);
    let risk = Write::Create {
        key: Key::new("systemStatus", "risk_management").unwrap(),
        body: r#"{"trading_enabled":true}"#.into(),
    };
    bench.store.commit(vec![risk], NOW_MS).await.unwrap();
    let growth = Growth::begin();

    append(&bench, bars(0, BARS - 1)).await;
    let falls = bench.run("signals", "{}").await;
    assert_eq!(word(&falls), "success", "{falls:?}");
    append(&bench, bars(BARS - 1, BARS)).await;
    let leaps = bench.run("signals", "{}").await;
    assert_eq!(word(&leaps), "success", "{leaps:?}");
    let next = bench.run("signals", "{}").await;
    assert_eq!(word(&next), "skipped", "{next:?}");
    growth.is_bounded();

    let stored = signal(&bench).await;
    assert!(stored.to_string().len() < 64 << 10);
    let signals = &stored["metadata"]["signals"];
    assert_eq!(signals["ema-cross"]["action"], "buy", "{stored}");
    let entry = &signals["hostile"];
    match fate {
        Fate::LeftOut => assert!(entry.is_null(), "{entry}"),
        Fate::Failed(why) => {
            assert_eq!(entry["confidence"], json!(0.0), "{entry}");
            let error = entry["metadata"]["error"].as_str().unwrap();
            assert!(error.contains(why), "{error}");
        }
        Fate::Bounded => {
            assert_eq!(entry["action"], "hold", "{entry}");
            assert!(entry["metadata"]["error"].is_null(), "{entry}");
        }
    }
    let key = Key::new("signalState", "BTC-USDT.1m").unwrap();
    let state = bench.store.get(&key).await.unwrap().unwrap();
    let state: Value = serde_json::from_str(&state.body).unwrap();
    assert_eq!(state["last_evaluated_ms"], last_open_ms());
}

async fn describing(describe: &str, fate: Fate) {
    let describe = describe.to_owned();
    let hostile = Strategy {
        describe,
        ..Strategy::well_behaved()
    };
    outlives(hostile, fate).await;
}

async fn evaluating(evaluate: &str, pages: u32, fate: Fate) {
    let evaluate = evaluate.to_owned();
    let hostile = Strategy {
        evaluate,
        pages,
        ..Strategy::well_behaved()
    };
    outlives(hostile, fate).await;
}

#[tokio::test]
async fn a_strategy_that_holds_is_asked_beside_the_good_one() {
    outlives(Strategy::well_behaved(), Fate::Bounded).await;
}

#[tokio::test]
async fn each_evaluation_finds_the_strategys_memory_as_it_was_in_the_beginning() {
    let hold = Strategy::well_behaved().evaluate;
    let once = format!(
        "(if (i32.load (i32.const 64)) (then unreachable))
        (i32.store (i32.const 64) (i32.const 1)) {hold}"
    );
    evaluating(&once, 4, Fate::Bounded).await;
}

#[tokio::test]
async fn a_strategy_that_traps_when_it_describes_itself_is_left_out() {
    describing(TRAP, Fate::LeftOut).await;
}

#[tokio::test]
async fn a_strategy_that_describes_itself_without_end_is_left_out() {
    describing(ENDLESS, Fate::LeftOut).await;
}

#[tokio::test]
async fn a_strategy_that_describes_itself_at_too_great_a_length_is_left_out() {
    describing(&description(100_000), Fate::LeftOut).await;
}

#[tokio::test]
async fn a_strategy_that_traps_counts_as_failed() {
    evaluating(TRAP, 4, Fate::Failed("guest-trapped")).await;
}

#[tokio::test]
async fn a_strategy_that_computes_without_end_counts_as_failed() {
    evaluating(ENDLESS, 4, Fate::Failed("deadline-exceeded")).await;
}

#[tokio::test]
async fn a_strategy_with_a_million_signals_counts_as_failed() {
    let answer = Answer {
        signals: 1_000_000,
        metadata_bytes: 0,
    };
    evaluating(&answer.body(), 700, Fate::Failed("output-limit-exceeded")).await;
}

#[tokio::test]
async fn a_strategy_with_metadata_of_four_mebibytes_counts_as_failed() {
    let answer = Answer {
        signals: 1,
        metadata_bytes: 4 << 20,
    };
    evaluating(&answer.filled(), 100, Fate::Failed("output-limit-exceeded")).await;
}

#[tokio::test]
async fn large_metadata_within_the_limit_are_not_kept() {
    let answer = Answer {
        signals: 1,
        metadata_bytes: 900 << 10,
    };
    evaluating(&answer.filled(), 100, Fate::Bounded).await;
}

#[tokio::test]
async fn metadata_nested_too_deep_are_not_kept() {
    evaluating(&Answer::nested(120), 4, Fate::Bounded).await;
}

/// Runs at once whose inner runs, were they not bounded, would need more of the pool than there is.
const GREEDY_RUNS: usize = 20;

#[tokio::test]
async fn many_strategies_at_once_leave_the_pool_to_the_neighbours() {
    let _alone = alone().await;
    assert!(GREEDY_RUNS * CALLS_IN_FLIGHT > POOL_SLOTS as usize);
    assert!(GREEDY_RUNS * INNER_RUNS < POOL_SLOTS as usize / 2);
    let mut greedy = signal_stage();
    greedy.wasm = many_catalogues_at_once(600, CALLS_IN_FLIGHT);
    greedy.strategies = vec!["hostile".into()];
    greedy.limits.deadline = Duration::from_millis(500);
    let hostile = Strategy {
        describe: ENDLESS.into(),
        ..Strategy::well_behaved()
    };
    let mut neighbour = guest("neighbour");
    neighbour.limits.deadline = Duration::from_secs(60);
    let bench = Bench::new(vec![
        greedy,
        strategy("hostile", hostile.component(), Duration::from_secs(30)),
        neighbour,
    ]);
    let growth = Growth::begin();
    let runs = (0..GREEDY_RUNS).map(|_| bench.run("signals", "{}"));
    let input = r#"{"program":"well-behaved","echo":1}"#;
    let neighbours = async {
        for _ in 0..3 {
            let finished = bench.run("neighbour", input).await;
            assert_eq!(word(&finished), "success", "{finished:?}");
        }
    };
    let (ended, ()) = join(join_all(runs), neighbours).await;
    growth.is_bounded();
    for finished in ended {
        assert_eq!(word(&finished), "deadline-exceeded", "{finished:?}");
    }
}
