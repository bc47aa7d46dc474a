//! `bulkhead drill`: rehearsals, each in a file of its own. A drill that fails is exit status 1.

mod export_stress;
mod failover;

use std::process::ExitCode;

use bulkhead_kernel::assessment::{Assessment, Severity};

use crate::arguments::{Drill, DrillAction, Global};
use crate::output;

pub async fn run(global: &Global, command: Drill) -> anyhow::Result<ExitCode> {
    let assessment = match command.action {
        DrillAction::ExportStress(command) => export_stress::run(global, command).await?,
        DrillAction::Failover(command) => failover::run(global, command).await?,
    };
    tell(global, &assessment)
}

/// Prints how a drill was graded.
fn tell(global: &Global, assessment: &Assessment) -> anyhow::Result<ExitCode> {
    if global.json {
        output::json(&assessment.to_json())?;
    } else {
        output::print(&assessment.to_markdown())?;
    }
    Ok(if assessment.severity == Severity::Fail {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
