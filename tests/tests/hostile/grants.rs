//! Guests that ask for bars, stages and strategies that their grants do not name.

use bulkhead_sandbox::{ComponentSpec, MarketDataGrant, Role, StageKind};
use bulkhead_stage::{Failure, Finished, StageError};
use bulkhead_tests::{Bench, guest, wasm};
use guests::Program;
use serde_json::json;

use crate::components::{asking, invoking};
use crate::{alone, word};

/// The input with which the guest answers [`ECHO`].
const WELL_BEHAVED: &str = r#"{"program":"well-behaved","echo":7}"#;

const ECHO: &str = r#"{"echo":7}"#;

/// The error with which a stage ended.
fn stage_error(finished: Finished) -> StageError {
    match finished.result {
        Err(Failure::Stage(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bars_are_read_and_appended_by_those_alone_whose_grant_says_so() {
    let _alone = alone().await;
    for (read, append) in [(false, false), (true, false), (false, true)] {
        let mut spec = guest("guest");
        spec.market_data = MarketDataGrant { read, append };
        let bench = Bench::new(vec![spec]);
        for (program, granted, key) in [
            (Program::AppendBar, append, "market-data.append = true"),
            (Program::NewestBar, read, "market-data.read = true"),
        ] {
            let input = json!({"program": program.name()}).to_string();
            let finished = bench.run("guest", &input).await;
            if granted {
                assert_eq!(word(&finished), "success", "{finished:?}");
                assert_eq!(finished.usage.denials, []);
                continue;
            }
            assert_eq!(word(&finished), "denied", "{finished:?}");
            let [denial] = &finished.usage.denials[..] else {
                panic!("{finished:?}");
            };
            assert_eq!(denial.reason, "market-data-not-granted");
            assert!(denial.detail.contains(key), "{denial:?}");
        }
    }
}

/// A stage that invokes the stage `invoked`, and may invoke those that are granted.
fn canary(name: &str, invoked: &str, granted: &[&str]) -> ComponentSpec {
    ComponentSpec {
        role: Role::Stage(StageKind::Canary),
        wasm: invoking(invoked),
        invoke: granted.iter().map(|&name| name.to_owned()).collect(),
        ..guest(name)
    }
}

#[tokio::test]
async fn a_granted_stage_is_invoked_in_fake_mode_and_in_no_other() {
    let _alone = alone().await;
    let bench = Bench::new(vec![canary("canary", "guest", &["guest"]), guest("guest")]);
    let fake = bench.run_fake("canary", WELL_BEHAVED).await;
    assert_eq!(fake.result.unwrap().output, ECHO);
    let real = stage_error(bench.run("canary", WELL_BEHAVED).await);
    assert!(matches!(real, StageError::Denied(_)), "{real:?}");
}

#[tokio::test]
async fn a_stage_that_is_not_granted_or_not_deployed_is_unknown() {
    let _alone = alone().await;
    let bench = Bench::new(vec![
        canary("not-granted", "guest", &["other"]),
        canary("not-deployed", "nobody", &["nobody"]),
        guest("guest"),
        guest("other"),
    ]);
    for (component, unknown) in [("not-granted", "`guest`"), ("not-deployed", "`nobody`")] {
        match stage_error(bench.run_fake(component, WELL_BEHAVED).await) {
            StageError::InvalidInput(text) => assert!(text.contains(unknown), "{text}"),
            other => panic!("{component}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stage_that_was_invoked_invokes_none() {
    let _alone = alone().await;
    let bench = Bench::new(vec![
        canary("outer", "inner", &["inner"]),
        canary("inner", "guest", &["guest"]),
        guest("guest"),
    ]);
    let alone = bench.run_fake("inner", WELL_BEHAVED).await;
    assert_eq!(alone.result.unwrap().output, ECHO);
    match stage_error(bench.run_fake("outer", WELL_BEHAVED).await) {
        StageError::Other(text) => assert_eq!(text, "runs may nest 2 deep"),
        other => panic!("{other:?}"),
    }
}

/// A stage that asks the strategy `asked`, and may ask those that are granted.
fn signals(name: &str, asked: &str, granted: &[&str]) -> ComponentSpec {
    ComponentSpec {
        role: Role::Stage(StageKind::GenerateTradingSignal),
        wasm: asking(asked),
        strategies: granted.iter().map(|&name| name.to_owned()).collect(),
        ..guest(name)
    }
}

#[tokio::test]
async fn a_strategy_that_is_not_listed_is_unknown() {
    let _alone = alone().await;
    let strategy = |name| ComponentSpec {
        role: Role::Strategy,
        wasm: wasm("ema_cross"),
        ..guest(name)
    };
    let bench = Bench::new(vec![
        signals("listed", "ema-cross", &["ema-cross"]),
        signals("not-listed", "ema-cross", &["other"]),
        strategy("ema-cross"),
        strategy("other"),
    ]);
    let listed = bench.run("listed", "{}").await;
    assert_eq!(word(&listed), "success", "{listed:?}");
    match stage_error(bench.run("not-listed", "{}").await) {
        StageError::InvalidInput(text) => assert_eq!(text, "ema-cross"),
        other => panic!("{other:?}"),
    }
}
