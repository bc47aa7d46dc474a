//! `bulkhead drill failover`: would ingest fall over if dimensions brought in nothing, and does the next source answer?
//!
//! What is stored is read and, without `--record`, not changed: the stage runs over a throw-away [`copy`].

mod copy;
mod fallback;
mod record;

use anyhow::{anyhow, bail};
use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::failover_drill::{Fallback, Inputs, Policy, assess, rehearse};
use bulkhead_kernel::assessment::{Assessment, Check, Severity};
use bulkhead_manifest::{Component, ResolvedApp, StageKind};
use bulkhead_stage::{Clock as _, SystemClock};
use ingest::settings::Settings;
use ingest::stored::{self, Stored};

use crate::arguments::{Failover, Global};
use crate::deployment;
use crate::output;
use copy::Documents;

/// What the drill is called in its assessment.
const LABEL: &str = "failover";

pub async fn run(global: &Global, command: Failover) -> anyhow::Result<Assessment> {
    let app = deployment::manifest(global)?;
    let store = deployment::existing_store(global)?;
    let now_ms = SystemClock.now_ms();
    let settings = settings(stage(&app)?)?;
    let documents = Documents::read(&store).await?;
    let stored =
        stored::read(&settings, &documents.bodies(), now_ms).map_err(|why| anyhow!(why))?;
    if let Some(why) = &stored.plan.halted {
        bail!(
            "the plan is disabled: {why}\n\nhint: there is nothing to rehearse until the document `ingest_plan/current` says otherwise"
        );
    }
    if documents.are_missing() {
        output::talk("`ingest` has not run yet: the drill begins with nothing");
    }
    let policy = policy(&command, &stored);
    let inputs = Inputs {
        plan: &stored.planned,
        results: &stored.results,
    };
    let rehearsal = rehearse(&inputs, &policy, now_ms);
    let wanted = rehearsal.wants_fallback(&policy);
    let ran = match settings.sources.get(1) {
        Some(next) if wanted => {
            output::talk(format!(
                "running `ingest` over a copy, without its first source: `{next}` has to answer"
            ));
            let dimensions = &rehearsal.decision.triggered_dimensions;
            let copy = copy::of(&store, &documents, &stored.plan, dimensions, now_ms).await?;
            Some(fallback::run(global, app, copy, now_ms).await?)
        }
        _ => None,
    };
    let outcome = ran
        .as_ref()
        .map_or(Fallback::NotRun, fallback::Ran::outcome);
    let mut assessment = assess(&rehearsal, &outcome, &policy, now_ms);
    match &ran {
        Some(ran) => ran.tell(&mut assessment),
        None if wanted => assessment.inform(no_source(&settings)),
        None => {}
    }
    if command.record {
        record::keep(&store, &assessment, now_ms).await?;
    }
    Ok(assessment)
}

/// The component of the stage `ingest`.
fn stage(app: &ResolvedApp) -> anyhow::Result<&Component> {
    app.components
        .values()
        .find(|component| component.role.stage() == Some(StageKind::Ingest))
        .ok_or_else(|| anyhow!("the manifest has no component of the stage `ingest`"))
}

/// The stage's settings, as it reads them itself.
fn settings(stage: &Component) -> anyhow::Result<Settings> {
    let value = |key: &str| Ok(stage.variables.get(key).map(|value| value.value.clone()));
    Settings::read(value).map_err(|why| anyhow!("the variables of `{}`: {why}", stage.name))
}

/// What is asked for; without any, the planned dimensions of bars.
fn policy(command: &Failover, stored: &Stored) -> Policy {
    let mut dimensions: Vec<Dimension> = command.dimensions.iter().map(|it| it.0).collect();
    if dimensions.is_empty() {
        dimensions = stored.planned.dimensions();
        dimensions.retain(|dimension| stored.plan.bars(*dimension).is_some());
    }
    dimensions.sort_unstable();
    dimensions.dedup();
    Policy {
        dimensions,
        label: LABEL.to_owned(),
        health: stored.health.clone(),
        ..Policy::default()
    }
}

/// Why no fallback was run. It does not count by itself: the check of the fallback does.
fn no_source(settings: &Settings) -> Check {
    let first = settings.sources.first();
    let first = first.map(ToString::to_string).unwrap_or_default();
    let summary = format!(
        "no source is configured after `{first}`: `fallback_market_data_venue` or `bar_file_enabled` adds one"
    );
    Check::new("answer", Severity::Warn, summary)
}
