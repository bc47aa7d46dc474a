//! `bulkhead check`: the manifest, every mistake at its line and column.

use std::process::ExitCode;

use bulkhead_manifest::{App, Role, Trigger};
use serde_json::json;

use crate::arguments::{Check, Global};
use crate::deployment;
use crate::output;

pub fn run(global: &Global, _command: &Check) -> anyhow::Result<ExitCode> {
    let (name, text) = deployment::manifest_text(global)?;
    // A manifest that cannot be read declares no variables for which a value could be asked: its own mistakes come first.
    let resolved = App::parse(&name, &text).and_then(|app| {
        let supplied = deployment::variables(global, &app, |name| std::env::var(name).ok());
        app.resolve(&supplied)
    });
    match resolved {
        Ok(app) if global.json => {
            output::json(&json!({"ok": true, "app": app, "problems": []}))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(app) => {
            let stages = app
                .components
                .values()
                .filter(|component| matches!(component.role, Role::Stage(_)))
                .count();
            let crons = app
                .triggers
                .iter()
                .filter(|trigger| matches!(trigger, Trigger::Cron { .. }))
                .count();
            output::line(format!(
                "{name}: {stages} stages, {} strategies, {crons} schedules, {} routes: no problem",
                app.components.len() - stages,
                app.triggers.len() - crons,
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) if global.json => {
            output::json(&json!({"ok": false, "problems": problems}))?;
            Ok(ExitCode::FAILURE)
        }
        Err(problems) => {
            output::talk(problems.to_string());
            Ok(ExitCode::FAILURE)
        }
    }
}
