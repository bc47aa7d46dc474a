//! The mock feed: a fixed signal consumed by the deployed normaliser, and the pipeline run on what comes of it.

use serde_json::{Value, json};

use crate::frames;
use crate::pipeline;
use crate::settings::Settings;
use crate::stages::{Failure, Stages};
use crate::telemetry::{MOCK_FEED_METRIC, Metric};

/// What came of the mock feed, and the counters raised on the way.
#[derive(Clone, Debug)]
pub struct MockRun {
    /// The pipeline's response, or the normaliser's error, or `{status: skipped, reason}`.
    pub result: Value,
    /// In the order they were raised.
    pub metrics: Vec<Metric>,
    /// What the stage said that failed by an exception.
    pub cause: Option<Failure>,
}

/// Runs the mock feed, if its flag or `signals_fake_mode` is on.
///
/// # Errors
/// The normaliser failed by other than refusing the signal.
pub async fn run(stages: &mut impl Stages, settings: &Settings) -> Result<MockRun, Failure> {
    if !settings.flags.mock_feed_runs() {
        let result = json!({ "status": "skipped", "reason": "mock_feed_disabled" });
        return Ok(MockRun {
            result,
            metrics: vec![counter("skipped")],
            cause: None,
        });
    }
    let payload = frames::mock_payload(settings.mock_feed_seed.as_ref());
    let consumed = crate::run::normalise(stages, "consume_signal", &payload, settings).await?;
    if consumed["status"] != "success" {
        return Ok(MockRun {
            result: consumed,
            metrics: vec![counter("error")],
            cause: None,
        });
    }
    let pipeline::Run {
        response,
        mut metrics,
        cause,
    } = pipeline::run(stages, &consumed["envelope"], settings).await;
    metrics.push(counter(if response["status"] == "success" {
        "success"
    } else {
        "error"
    }));
    Ok(MockRun {
        result: response,
        metrics,
        cause,
    })
}

fn counter(outcome: &str) -> Metric {
    Metric::new(MOCK_FEED_METRIC, &[("outcome", outcome)])
}
