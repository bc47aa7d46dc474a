//! `bulkhead doctor`: what would keep the deployment from running.

use std::process::ExitCode;
use std::sync::Arc;

use bulkhead_stage::{Clock, SystemClock};
use bulkhead_store::Store;
use serde::Serialize;

use super::kill;
use crate::arguments::{Doctor, Global};
use crate::deployment;
use crate::output;

/// A clock before this instant (2026-01-01) has not been set. Unix milliseconds.
const EARLIEST_SANE_MS: i64 = 1_767_225_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    severity: Severity,
    detail: String,
}

pub async fn run(global: &Global, command: &Doctor) -> anyhow::Result<ExitCode> {
    let findings = examine(global, command).await;
    let failed = findings
        .iter()
        .any(|finding| finding.severity == Severity::Fail);
    if global.json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            let word = match finding.severity {
                Severity::Ok => "ok  ",
                Severity::Warn => "warn",
                Severity::Fail => "FAIL",
            };
            output::line(format!("{word}  {:<11} {}", finding.check, finding.detail))?;
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn examine(global: &Global, command: &Doctor) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |check, severity, detail: String| {
        findings.push(Finding {
            check,
            severity,
            detail,
        });
    };

    let now_ms = SystemClock.now_ms();
    if now_ms < EARLIEST_SANE_MS {
        find(
            "clock",
            Severity::Fail,
            format!(
                "{} is in the past: set the machine's clock",
                output::instant(now_ms)
            ),
        );
    } else {
        find("clock", Severity::Ok, output::instant(now_ms));
    }

    match tokio::net::TcpListener::bind(command.listen).await {
        Ok(_) => find(
            "listen",
            Severity::Ok,
            format!("{} is free", command.listen),
        ),
        Err(error) => find(
            "listen",
            Severity::Warn,
            format!("{} cannot be served: {error}", command.listen),
        ),
    }
    if !command.listen.ip().is_loopback() {
        find(
            "exposure",
            Severity::Warn,
            format!(
                "{} can be reached from other machines, and whoever reaches it can run stages",
                command.listen
            ),
        );
    }

    let store: Option<Arc<dyn Store>> = match deployment::open_store(global) {
        Ok(store) => {
            find(
                "store",
                Severity::Ok,
                format!("{} opens", deployment::database(global).display()),
            );
            Some(Arc::new(store))
        }
        Err(error) => {
            find("store", Severity::Fail, format!("{error:#}"));
            None
        }
    };

    let app = match deployment::manifest(global) {
        Ok(app) => {
            find(
                "manifest",
                Severity::Ok,
                format!("{}: no problem", global.manifest.display()),
            );
            app
        }
        Err(error) => {
            find("manifest", Severity::Fail, format!("{error:#}"));
            return findings;
        }
    };
    let Some(store) = store else {
        return findings;
    };
    match kill::switches(&app, &*store).await {
        Ok(state) => {
            for (name, stops) in kill::named(&state) {
                match stops {
                    Some(why) => find(
                        "switch",
                        Severity::Warn,
                        format!("{name} stops order entry: {why}"),
                    ),
                    None => find("switch", Severity::Ok, format!("{name} is off")),
                }
            }
        }
        Err(error) => find("switch", Severity::Fail, format!("{error:#}")),
    }
    match deployment::sandbox(global, &app, store, Arc::new(SystemClock)) {
        Ok(sandbox) => find(
            "components",
            Severity::Ok,
            format!("{} load and fit their roles", sandbox.components().count()),
        ),
        Err(error) => find("components", Severity::Fail, format!("{error:#}")),
    }
    findings
}
