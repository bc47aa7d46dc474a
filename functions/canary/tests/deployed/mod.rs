//! The stages that a canary invokes, as their real cores, with a place to make one of them fail.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use canary::run::Evidence;
use canary::settings::{Flags, Settings};
use canary::stages::{Failure, Stage, Stages};
use serde::Serialize;
use serde_json::Value;

/// How long every ingest span takes, in milliseconds.
pub const DURATION_MS: f64 = 0.25;
/// What the clock of the ingest stage says, in Unix seconds.
const NOW_S: f64 = 1_800_000_000.5;

/// What a test puts in the place of a stage's answer, or does to its input. None: the stage answers itself.
type Intercept<'a> = dyn FnMut(Stage, &mut Value) -> Option<Result<Value, String>> + 'a;

struct Deployed<'a> {
    intercept: &'a mut Intercept<'a>,
}

impl Stages for Deployed<'_> {
    async fn invoke(&mut self, stage: Stage, input: &impl Serialize) -> Result<Value, Failure> {
        let mut input = serde_json::to_value(input).unwrap();
        if let Some(answer) = (self.intercept)(stage, &mut input) {
            return answer.map_err(|text| Failure::Failed { stage, text });
        }
        // As over the wire: the input and the output are texts.
        let input: Value = serde_json::from_str(&input.to_string()).unwrap();
        let output = match stage {
            Stage::Ingest => ingest::normalise::run_task(&input, NOW_S, || DURATION_MS)
                .map(|answer| serde_json::to_value(answer).unwrap()),
            Stage::GenerateTradingSignal => generate_trading_signal::pipeline::run_task(&input),
            Stage::Execute => execute::pipeline::run_task(&input),
        };
        let output = output.map_err(|text| Failure::InvalidInput { stage, text })?;
        Ok(serde_json::from_str(&output.to_string()).unwrap())
    }
}

/// Runs the canary, every stage answering itself.
pub fn run(settings: &Settings) -> Evidence {
    run_with(settings, &mut |_, _| None)
}

/// Runs the canary, with some answers put in the place of the stages' own.
pub fn run_with(settings: &Settings, intercept: &mut Intercept<'_>) -> Evidence {
    let mut deployed = Deployed {
        intercept: &mut |stage, input| intercept(stage, input),
    };
    let future = pin!(canary::run::run(&mut deployed, settings));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(evidence) => evidence,
        Poll::Pending => panic!("no stage of these waits"),
    }
}

/// Settings with the named flags on.
pub fn settings(names: &[&str]) -> Settings {
    let mut settings = Settings::default();
    for name in names {
        assert!(settings.flags.set(name, true), "{name} is no flag");
    }
    settings
}

/// Settings with every flag on but the named ones.
pub fn all_but(names: &[&str]) -> Settings {
    let mut settings = Settings {
        flags: Flags::all(),
        ..Settings::default()
    };
    for name in names {
        assert!(settings.flags.set(name, false), "{name} is no flag");
    }
    settings
}
