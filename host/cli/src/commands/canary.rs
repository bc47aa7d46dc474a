//! `bulkhead canary`: the deployed pipeline, end to end, in fake mode.

use std::path::Path;
use std::process::ExitCode;

use ::canary::{artifact, promotion};
use anyhow::{Context as _, anyhow, bail};
use bulkhead_stage::TriggerKind;
use bulkhead_supervisor::RunRequest;
use serde_json::{Value, json};

use crate::arguments::{Canary, Global};
use crate::deployment::{self, Deployment, Keeping};
use crate::output;

/// The component that is the canary.
const COMPONENT: &str = "canary";

pub async fn run(global: &Global, command: Canary) -> anyhow::Result<ExitCode> {
    if let Some(path) = &command.promote {
        return promote(global, path);
    }
    // What the canary writes is its evidence, which goes into the artifact: nothing is left in the database.
    let app = deployment::manifest(global)?;
    let deployment = Deployment::open(global, app, Keeping::Memory)?;
    let completed = deployment
        .supervisor
        .run(RunRequest {
            component: COMPONENT.into(),
            trigger: TriggerKind::Manual,
            scheduled_at_ms: deployment.clock.now_ms(),
            input: json!({"fake_mode": !command.real}).to_string(),
            traceparent: None,
            fake_mode: false,
        })
        .await;
    let output = match completed.finished.result {
        Ok(report) => serde_json::from_str::<Value>(&report.output)
            .map_err(|error| anyhow!("the canary's output is not JSON: {error}")),
        Err(failure) => Err(anyhow!("canary failed: {failure}")),
    };
    let output = match output {
        Ok(output) => output,
        Err(failed) => {
            // An older success must not stand where this run left no evidence.
            let hold = ::canary::pipeline::hold("exception", &failed.to_string(), json!({}));
            let written = write_artifact(&command.output, &hold);
            return Err(match written {
                Ok(()) => failed,
                Err(error) => failed.context(format!("{error:#}")),
            });
        }
    };
    let response = &output["response"];
    write_artifact(&command.output, response)?;
    if global.json {
        output::json(&output)?;
    }
    let mut failed = false;
    for check in output["checks"].as_array().into_iter().flatten() {
        if check["passed"] != Value::Bool(true) {
            failed = true;
            output::talk(format!(
                "check failed: {}: {}",
                check["name"].as_str().unwrap_or_default(),
                check["detail"].as_str().unwrap_or_default(),
            ));
        }
    }
    let line = ::canary::checks::console(response).map_err(|text| anyhow!(text))?;
    if failed {
        bail!(
            "canary failed: the evidence in {} does not pass its checks",
            command.output.display()
        );
    }
    if !global.json {
        output::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_artifact(path: &Path, response: &Value) -> anyhow::Result<()> {
    output::write_file(path, artifact::render(response).as_bytes())
        .with_context(|| format!("writing the artifact {} failed", path.display()))
}

/// Checks an artifact of an earlier run.
fn promote(global: &Global, path: &Path) -> anyhow::Result<ExitCode> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context(format!("reading {} failed", path.display())),
    };
    match promotion::validate(&path.display().to_string(), bytes.as_deref()) {
        Ok(summary) if global.json => {
            output::json(&json!({"promotable": true, "summary": summary}))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(summary) => {
            output::line(promotion::SUCCESS_LINE)?;
            output::line(serde_json::to_string(&summary)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if global.json {
                output::json(&json!({"promotable": false, "error": error.to_string()}))?;
            }
            output::talk(format!("{}{error}", promotion::FAILED_PREFIX));
            Ok(ExitCode::FAILURE)
        }
    }
}
