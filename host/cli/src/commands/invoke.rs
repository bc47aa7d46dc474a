//! `bulkhead invoke`: one stage, once.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bulkhead_stage::TriggerKind;
use bulkhead_supervisor::RunRequest;
use serde_json::{Value, json};

use crate::arguments::{Global, Invoke};
use crate::deployment::{self, Deployment, Keeping};
use crate::output;

/// The largest input that is read.
const MAX_INPUT_BYTES: u64 = 1 << 20;

pub async fn run(global: &Global, command: Invoke) -> anyhow::Result<ExitCode> {
    let input = input(&command)?;
    let app = deployment::manifest(global)?;
    let deployment = Deployment::open(global, app, Keeping::Database)?;
    let completed = deployment
        .supervisor
        .run(RunRequest {
            component: command.stage,
            trigger: TriggerKind::Manual,
            scheduled_at_ms: deployment.clock.now_ms(),
            input,
            traceparent: None,
            fake_mode: command.fake,
        })
        .await;
    deployment.supervisor.flush().await;
    for denial in &completed.finished.usage.denials {
        output::talk(format!("denied: {}: {}", denial.reason, denial.detail));
    }
    match completed.finished.result {
        Ok(report) => {
            let output: Value =
                serde_json::from_str(&report.output).context("the stage's output is not JSON")?;
            output::json(&json!({
                "run_id": completed.run_id,
                "outcome": report.outcome,
                "reason": report.reason,
                "attempts": completed.attempts,
                "output": output,
                "events": report.events,
                "spans": report.spans,
                "metrics": report.metrics,
            }))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => bail!("run {}: {failure}", completed.run_id),
    }
}

/// The input as text, checked to be JSON here so that the mistake is named at its line.
fn input(command: &Invoke) -> anyhow::Result<String> {
    let Some(path) = &command.input else {
        return Ok("{}".into());
    };
    let name = path.display();
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin()
            .take(MAX_INPUT_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_INPUT_BYTES + 1).read_to_string(&mut text))
    };
    let bytes = read.with_context(|| format!("reading the input {name} failed"))?;
    if bytes as u64 > MAX_INPUT_BYTES {
        bail!("the input {name} is larger than {MAX_INPUT_BYTES} bytes");
    }
    serde_json::from_str::<Value>(&text)
        .with_context(|| format!("the input {name} is not JSON"))?;
    Ok(text)
}
