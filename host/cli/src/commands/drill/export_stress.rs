//! `bulkhead drill export-stress`: does an export come to its end, again and again, whole and in good time?

use bulkhead_bars::{ExportRequest, stress};
use bulkhead_evaluators::export_stress::{Cycle, Inputs, Policy, assess};
use bulkhead_kernel::assessment::Assessment;
use bulkhead_stage::{Clock as _, SystemClock};
use tokio::time::Instant;

use super::super::bars::Progress;
use crate::arguments::{ExportStress, Global};
use crate::deployment;
use crate::output;

/// What the drill is called in its assessment.
const LABEL: &str = "export-stress";

pub async fn run(global: &Global, command: ExportStress) -> anyhow::Result<Assessment> {
    let store = deployment::existing_store(global)?;
    let now_ms = SystemClock.now_ms();
    let request = ExportRequest {
        series: command.selection.of(&store).await?,
        start_ms: None,
        end_ms: None,
        format: command.format.into(),
        now_ms,
    };
    let progress = Progress::new("cycles")?;
    progress.at(0, Some(command.cycles.into()));
    let begun = Instant::now();
    let mut done: u64 = 0;
    // Each cycle has a folder of its own there, and leaves none.
    let scratch = std::env::temp_dir();
    let cycles = stress(
        &store,
        &request,
        command.cycles,
        &scratch,
        || begun.elapsed(),
        |_| {
            done += 1;
            progress.at(done, None);
        },
    )
    .await;
    drop(progress);
    for (number, cycle) in (1..).zip(&cycles) {
        if let Err(error) = &cycle.outcome {
            output::talk(format!("cycle {number}: {}", chain(error)));
        }
    }
    let cycles: Vec<Cycle> = cycles.iter().map(Cycle::from).collect();
    let policy = Policy {
        cycles: command.cycles,
        warn_after_seconds: command.warn_after,
        fail_after_seconds: command.fail_after,
        label: LABEL.to_owned(),
    };
    let inputs = Inputs {
        cycles: Ok(&cycles),
    };
    Ok(assess(&inputs, &policy, now_ms))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
