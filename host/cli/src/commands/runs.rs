//! `bulkhead runs`: the journal.

use std::process::ExitCode;

use bulkhead_store::{RunFilter, RunRecord, Store as _};
use serde_json::{Value, json};

use crate::arguments::{Global, Runs};
use crate::deployment;
use crate::output;

pub async fn run(global: &Global, command: Runs) -> anyhow::Result<ExitCode> {
    let store = deployment::existing_store(global)?;
    let runs = store
        .runs(&RunFilter {
            component: command.component,
            status: command.status.map(|status| status.word().to_owned()),
            limit: command.limit,
            ..RunFilter::default()
        })
        .await?;
    if global.json {
        output::json(&runs.iter().map(as_json).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        output::talk("no runs: the journal fills while `bulkhead up` runs");
    }
    for run in runs {
        let mut line = format!(
            "{}  {:<8} {:<24} {:<7} {:>6} ms  {}",
            output::instant(run.started_at_ms),
            run.status,
            run.component,
            run.trigger,
            run.finished_at_ms - run.started_at_ms,
            run.run_id,
        );
        if let Some(reason) = run.reason {
            line.push_str("  ");
            line.push_str(&reason);
        }
        if let Some(detail) = run.detail {
            line.push_str(": ");
            line.push_str(detail.lines().next().unwrap_or_default());
        }
        output::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(run: &RunRecord) -> Value {
    json!({
        "run_id": run.run_id,
        "component": run.component,
        "stage": run.stage,
        "trigger": run.trigger,
        "scheduled_at": output::instant(run.scheduled_at_ms),
        "started_at": output::instant(run.started_at_ms),
        "finished_at": output::instant(run.finished_at_ms),
        "attempt": run.attempt,
        "status": run.status,
        "reason": run.reason,
        "detail": run.detail,
        "host_calls": run.host_calls,
        "denials": run.denials,
    })
}
