//! `bulkhead bars backfill`: the stage `ingest`, again and again, until it has what it is asked for.
//!
//! The stage runs in its sandbox, with its grants and its record of the venue's rate limits, as a schedule would run it. What
//! the command line names goes before what is planned, and for a range that is there already the store seems not to have it
//! ([`Repoll`]).

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_stage::{Clock as _, Outcome, Report, SystemClock, TriggerKind};
use bulkhead_store::{Series, Store};
use bulkhead_supervisor::RunRequest;
use ingest::run::SERIES_FAILED;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Progress;
use super::repoll::Repoll;
use crate::arguments::{Backfill, Global};
use crate::deployment::{self, Deployment};
use crate::output::{self, WrongUsage};

/// Runs of one backfill: at ten pages of a thousand bars each, a hundred million bars.
const MAX_RUNS: u32 = 10_000;
/// The longest that a venue's rate limit is waited for; what takes longer is the operator's decision.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// How often it is waited for.
const MAX_WAITS: u32 = 100;

/// The reason of a run that stored bars while no source gave some series.
const PARTIAL: &str = "partial";

/// What a run says of a series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct OfSeries {
    instrument: String,
    inserted: u64,
    updated: u64,
    unchanged: u64,
    quarantined: u64,
    newest_open_time_ms: Option<i64>,
    filled_to_ms: Option<i64>,
    is_behind: bool,
}

/// What a run says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    /// Some of the series that were asked for.
    symbols: Vec<OfSeries>,
    /// Of how many series there is more, whether they are among those or not.
    behind: u64,
    /// Bars that were inserted or updated, of all series.
    rows: u64,
    not_before_ms: Option<i64>,
    error: Option<String>,
}

/// How it stands after a run.
#[derive(Debug, PartialEq)]
enum Standing {
    /// There is nothing more to ask for.
    Done,
    /// The venue has more, and the run came further or did not.
    Behind { has_moved: bool },
    /// The venue limits the rate, until this instant in Unix milliseconds.
    Wait(i64),
}

pub async fn run(global: &Global, command: Backfill) -> anyhow::Result<ExitCode> {
    let mut app = deployment::manifest(global)?;
    let component = configure(&mut app, &command)?;
    let timeframe = variable(&app, &component, "timeframe")?
        .parse::<Timeframe>()
        .context("the variable `timeframe` of the manifest")?;
    let now_ms = SystemClock.now_ms();
    let end_ms = command.to.map_or(now_ms, |to| to.min(now_ms));
    let database: Arc<dyn Store> = Arc::new(deployment::open_store(global)?);
    let repoll = match (command.from, &command.instrument) {
        (Some(from), Some(instrument)) => {
            if from >= end_ms {
                let what = "--from must be earlier than --to, and lie in the past";
                return Err(WrongUsage(what.into()).into());
            }
            let series = Series::new(instrument, timeframe.to_string())?;
            let database = Arc::clone(&database);
            Some(Arc::new(Repoll::of_range(database, series, from..end_ms)))
        }
        _ if command.instrument.is_some() || command.timeframe.is_some() => {
            Some(Arc::new(Repoll::unplanned(Arc::clone(&database))))
        }
        _ => None,
    };
    let store = repoll
        .clone()
        .map_or(database, |repoll| repoll as Arc<dyn Store>);
    let mut work = Work {
        deployment: Deployment::over(global, app, store)?,
        component,
        range: command.from.map(|from| (from, end_ms)),
        repoll,
        step_ms: timeframe.millis(),
        progress: Progress::new("bars")?,
        totals: BTreeMap::new(),
        behind: 0,
        runs: 0,
    };
    let ended = work.until_done().await;
    // What was stored is told, and in the journal, however it ended.
    work.deployment.supervisor.flush().await;
    let Work {
        progress,
        totals,
        runs,
        ..
    } = work;
    drop(progress);
    say(global, &timeframe, runs, &totals, ended.is_ok())?;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Puts what is asked for in the place of the manifest's variables, and gives the component's name.
fn configure(app: &mut ResolvedApp, command: &Backfill) -> anyhow::Result<String> {
    let stage = app
        .components
        .values_mut()
        .find(|component| component.role.stage() == Some(StageKind::Ingest))
        .ok_or_else(|| anyhow!("the manifest has no component of the stage `ingest`"))?;
    let timeframe = command.timeframe.map(|timeframe| timeframe.to_string());
    let from = command.from.map(|from| from.to_string());
    for (name, value) in [
        ("instruments", command.instrument.clone()),
        ("timeframe", timeframe),
        ("backfill_start", from),
    ] {
        let Some(value) = value else { continue };
        let variable = stage.variables.get_mut(name).ok_or_else(|| {
            anyhow!(
                "the component `{}` has no variable `{name}` to ask for this with",
                stage.name
            )
        })?;
        variable.value = value;
    }
    // Who names an instrument asks for nothing else.
    if command.instrument.is_some()
        && let Some(daily) = stage.variables.get_mut("daily_bars")
    {
        daily.value.clear();
    }
    Ok(stage.name.clone())
}

fn variable<'a>(app: &'a ResolvedApp, component: &str, name: &str) -> anyhow::Result<&'a str> {
    app.components
        .get(component)
        .and_then(|component| component.variables.get(name))
        .map(|variable| variable.value.trim())
        .ok_or_else(|| anyhow!("the component `{component}` has no variable `{name}`"))
}

struct Work {
    deployment: Deployment,
    component: String,
    /// From when until when, in Unix milliseconds. None: to the newest bar.
    range: Option<(i64, i64)>,
    repoll: Option<Arc<Repoll>>,
    step_ms: i64,
    progress: Progress,
    totals: BTreeMap<String, OfSeries>,
    /// Of how many series there was more after the last run.
    behind: u64,
    runs: u32,
}

impl Work {
    async fn until_done(&mut self) -> anyhow::Result<()> {
        let mut waits = 0;
        while self.runs < MAX_RUNS {
            match self.once().await? {
                Standing::Done => return self.check_came(),
                Standing::Wait(not_before_ms) if waits < MAX_WAITS => {
                    waits += 1;
                    self.wait(not_before_ms).await?;
                }
                Standing::Wait(_) => bail!("the venue limited the rate {MAX_WAITS} times"),
                Standing::Behind { .. } if self.is_reached() => return Ok(()),
                Standing::Behind { has_moved: false } => bail!(
                    "the venue has more bars and gives none later than {}\n\nhint: `bulkhead runs --component {}` says what came",
                    self.newest()
                        .map_or_else(|| "none".to_owned(), output::instant),
                    self.component,
                ),
                Standing::Behind { has_moved: true } => {}
            }
        }
        bail!("still behind after {MAX_RUNS} runs\n\nhint: run it again, it goes on where it is")
    }

    /// That some of the range has come: a run that asked for nothing has not done what it was to do.
    fn check_came(&self) -> anyhow::Result<()> {
        let Some((from, to)) = self.range.filter(|_| self.newest().is_none()) else {
            return Ok(());
        };
        bail!(
            "no bar came that opens at {} or later, before {}\n\nhint: `bulkhead runs --component {}` says what was asked for",
            output::instant(from),
            output::instant(to),
            self.component,
        )
    }

    /// One run of the stage.
    async fn once(&mut self) -> anyhow::Result<Standing> {
        self.runs += 1;
        let completed = self
            .deployment
            .supervisor
            .run(RunRequest {
                component: self.component.clone(),
                trigger: TriggerKind::Manual,
                scheduled_at_ms: self.deployment.clock.now_ms(),
                input: json!({"task": "poll"}).to_string(),
                traceparent: None,
                fake_mode: false,
            })
            .await;
        for denial in &completed.finished.usage.denials {
            output::talk(format!("denied: {}: {}", denial.reason, denial.detail));
        }
        let report = completed.finished.result.map_err(|failure| {
            anyhow!(
                "run {}: {failure}\n\nhint: what came before is stored; the same command asks again",
                completed.run_id
            )
        })?;
        self.take(&report)
    }

    fn take(&mut self, report: &Report) -> anyhow::Result<Standing> {
        let said: Said = serde_json::from_str(&report.output)
            .context("the stage's output is not as its schema says")?;
        let mut has_moved = said.rows > 0 || said.behind != self.behind;
        self.behind = said.behind;
        for series in said.symbols {
            let total = self.totals.entry(series.instrument.clone()).or_default();
            total.inserted += series.inserted;
            total.updated += series.updated;
            total.unchanged += series.unchanged;
            total.quarantined += series.quarantined;
            has_moved |= series.filled_to_ms > total.filled_to_ms;
            total.filled_to_ms = total.filled_to_ms.max(series.filled_to_ms);
            total.newest_open_time_ms = series.newest_open_time_ms;
            total.is_behind = series.is_behind;
            total.instrument = series.instrument;
        }
        self.show();
        // A run may store bars and then come to the end of the venue's budget.
        if let Some(not_before_ms) = said.not_before_ms {
            return Ok(Standing::Wait(not_before_ms));
        }
        let reason = report.reason.as_deref().unwrap_or("no reason given");
        let goes_on = reason == SERIES_FAILED && has_moved && said.behind > 0;
        if report.outcome == Outcome::Hold && !goes_on {
            let why = said.error.map(|why| format!(": {why}"));
            bail!("the stage holds: {reason}{}", why.unwrap_or_default());
        }
        // Where a series failed that others do not wait for, the next run holds unless it comes.
        if said.behind > 0 || reason == PARTIAL {
            return Ok(Standing::Behind { has_moved });
        }
        Ok(Standing::Done)
    }

    /// When the newest bar opens that has come. Of several series, of the one that is furthest behind.
    fn newest(&self) -> Option<i64> {
        match (&self.repoll, self.range) {
            (Some(repoll), Some(_)) => repoll.newest_ms(),
            _ => {
                let behind = self.totals.values().filter(|series| series.is_behind);
                behind.filter_map(|series| series.newest_open_time_ms).min()
            }
        }
    }

    /// Whether all of the range has come.
    fn is_reached(&self) -> bool {
        let last_ms = self
            .range
            .map(|(_, end_ms)| end_ms.saturating_sub(self.step_ms));
        last_ms.is_some_and(|last_ms| self.newest() >= Some(last_ms))
    }

    fn show(&self) {
        match (self.range, self.newest()) {
            (Some((from, to)), Some(newest)) => {
                let bars = |until: i64| {
                    let bars = until.saturating_sub(from) / self.step_ms;
                    u64::try_from(bars).unwrap_or(0)
                };
                self.progress.at(bars(newest.min(to)), Some(bars(to)));
                self.progress
                    .says(format!("at {}", output::instant(newest)));
            }
            (_, newest) => {
                let came = self.totals.values();
                let came = came.map(|series| series.inserted + series.updated + series.unchanged);
                self.progress.at(came.sum(), None);
                if let Some(newest) = newest {
                    self.progress
                        .says(format!("at {}", output::instant(newest)));
                }
            }
        }
    }

    async fn wait(&self, not_before_ms: i64) -> anyhow::Result<()> {
        let wait_ms = not_before_ms.saturating_sub(self.deployment.clock.now_ms());
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        let until = output::instant(not_before_ms);
        if wait > MAX_WAIT {
            bail!("the venue limits the rate until {until}\n\nhint: run the same command then");
        }
        output::talk(format!("the venue limits the rate: waiting until {until}"));
        // One millisecond more: the run is then surely not too early.
        tokio::time::sleep(wait + Duration::from_millis(1)).await;
        Ok(())
    }
}

fn say(
    global: &Global,
    timeframe: &Timeframe,
    runs: u32,
    totals: &BTreeMap<String, OfSeries>,
    is_complete: bool,
) -> anyhow::Result<()> {
    if global.json {
        let series: Vec<Value> = totals
            .values()
            .map(|series| {
                json!({
                    "instrument": series.instrument,
                    "timeframe": timeframe,
                    "inserted": series.inserted,
                    "updated": series.updated,
                    "unchanged": series.unchanged,
                    "quarantined": series.quarantined,
                    "newest": series.newest_open_time_ms.map(output::instant),
                })
            })
            .collect();
        return output::json(&json!({
            "runs": runs,
            "is_complete": is_complete,
            "series": series,
        }));
    }
    for series in totals.values() {
        output::line(format!(
            "{} {timeframe}: {} inserted, {} updated, {} unchanged, {} quarantined in {runs} runs; newest {}",
            series.instrument,
            series.inserted,
            series.updated,
            series.unchanged,
            series.quarantined,
            series
                .newest_open_time_ms
                .map_or_else(|| "none".to_owned(), output::instant),
        ))?;
    }
    Ok(())
}
