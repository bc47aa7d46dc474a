//! `bulkhead doctor`: what would keep the deployment from running.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use bulkhead_manifest::ResolvedApp;
use bulkhead_sandbox::CodeCache;
use bulkhead_stage::{Clock, SystemClock};
use bulkhead_store::{MemoryStore, Store, StoreError};
use serde::Serialize;

use super::{kill, up};
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

impl Finding {
    fn new(check: &'static str, severity: Severity, detail: String) -> Self {
        Self {
            check,
            severity,
            detail,
        }
    }

    fn failure(check: &'static str, error: &anyhow::Error) -> Self {
        Self::new(check, Severity::Fail, format!("{error:#}"))
    }
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

/// The deployment's state, as far as there is any.
enum State {
    Opened(Arc<dyn Store>),
    /// It was never started.
    Missing,
    Unusable,
}

async fn examine(global: &Global, command: &Doctor) -> Vec<Finding> {
    let mut findings = vec![clock()];
    findings.push(listen(command.listen).await);
    findings.extend(
        up::exposure(command.listen)
            .map(|warning| Finding::new("exposure", Severity::Warn, warning)),
    );
    let (state, finding) = store(global);
    findings.push(finding);
    let app = match deployment::manifest(global) {
        Ok(app) => {
            let detail = format!("{}: no problem", global.manifest.display());
            findings.push(Finding::new("manifest", Severity::Ok, detail));
            app
        }
        Err(error) => {
            findings.push(Finding::failure("manifest", &error));
            return findings;
        }
    };
    if let State::Opened(store) = &state {
        findings.extend(switches(&app, &**store).await);
    }
    findings.extend(feeds(global, &app));
    findings.extend(components(global, &app, state));
    findings
}

/// Whether the feeds that are on could be started. Nothing where none is.
fn feeds(global: &Global, app: &ResolvedApp) -> Option<Finding> {
    match up::feeds::plans(global, app) {
        Ok(plans) if plans.is_empty() => None,
        Ok(plans) => {
            let urls: Vec<&str> = plans.iter().map(|plan| plan.url.text.as_str()).collect();
            Some(Finding::new("feeds", Severity::Ok, urls.join(", ")))
        }
        Err(error) => Some(Finding::failure("feeds", &error)),
    }
}

fn clock() -> Finding {
    let now_ms = SystemClock.now_ms();
    let now = output::instant(now_ms);
    if now_ms < EARLIEST_SANE_MS {
        let detail = format!("{now} is in the past: set the machine's clock");
        return Finding::new("clock", Severity::Fail, detail);
    }
    Finding::new("clock", Severity::Ok, now)
}

async fn listen(address: SocketAddr) -> Finding {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Finding::new("listen", Severity::Ok, format!("{address} is free")),
        Err(error) => Finding::new(
            "listen",
            Severity::Warn,
            format!("{address} cannot be served: {error}"),
        ),
    }
}

fn store(global: &Global) -> (State, Finding) {
    let path = deployment::database(global);
    match deployment::find_store(global) {
        Ok(store) => (
            State::Opened(Arc::new(store)),
            Finding::new("store", Severity::Ok, format!("{} opens", path.display())),
        ),
        Err(StoreError::Missing { .. }) => (
            State::Missing,
            Finding::new(
                "store",
                Severity::Warn,
                format!(
                    "{} is not there: `bulkhead up` makes it; name another folder with --data-dir",
                    path.display()
                ),
            ),
        ),
        Err(error) => (
            State::Unusable,
            Finding::failure("store", &anyhow::Error::new(error)),
        ),
    }
}

async fn switches(app: &ResolvedApp, store: &dyn Store) -> Vec<Finding> {
    match kill::switches(app, store).await {
        Ok(state) => kill::named(&state)
            .into_iter()
            .map(|(name, stops)| match stops {
                Some(why) => Finding::new(
                    "switch",
                    Severity::Warn,
                    format!("{name} stops order entry: {why}"),
                ),
                None => Finding::new("switch", Severity::Ok, format!("{name} is off")),
            })
            .collect(),
        Err(error) => vec![Finding::failure("switch", &error)],
    }
}

/// Loads every component. Where there is no state, none is made: nothing is run, and compiled code is not kept.
fn components(global: &Global, app: &ResolvedApp, state: State) -> Option<Finding> {
    let clock = Arc::new(SystemClock);
    let loaded = match state {
        State::Opened(store) => deployment::code_cache(global)
            .and_then(|cache| deployment::sandbox(global, app, store, clock, cache)),
        State::Missing => {
            let store = Arc::new(MemoryStore::new(clock.now_ms()));
            deployment::sandbox(global, app, store, clock, CodeCache::none())
        }
        State::Unusable => return None,
    };
    Some(match loaded {
        Ok(sandbox) => Finding::new(
            "components",
            Severity::Ok,
            format!("{} load and fit their roles", sandbox.components().count()),
        ),
        Err(error) => Finding::failure("components", &error),
    })
}
