//! The end of a replay: what was served last goes all the way through the pipeline, and what `ingest` did not get is waited for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use bulkhead_manifest::StageKind;
use bulkhead_stage::{Outcome, TriggerKind};
use bulkhead_store::{Series, Store};
use bulkhead_supervisor::{RunRequest, Verdict};

use super::super::super::status;
use crate::deployment::Deployment;

/// Rounds of the pipeline after the last bar was served, before the drain gives up. Each round walks up to a
/// thousand bars on.
const MAX_ROUNDS: usize = 10_000;

/// How long it waits before it asks an `ingest` that holds once more.
const HELD_PAUSE: Duration = Duration::from_millis(250);

/// How often that may happen without anything coming of it: two minutes, longer than a source is left alone.
const MAX_HELD_ROUNDS: u32 = 480;

/// The stages, in the order in which they hand on to each other.
const ORDER: [StageKind; 4] = [
    StageKind::Ingest,
    StageKind::GenerateTradingSignal,
    StageKind::Execute,
    StageKind::Pulse,
];

/// A series that is to be stored whole.
#[derive(Debug, Clone)]
pub struct Expected {
    pub series: Series,
    pub first_ms: i64,
    pub last_ms: i64,
    pub bars: u64,
}

impl Expected {
    /// How many of the bars are not stored.
    async fn missing(&self, store: &dyn Store) -> anyhow::Result<u64> {
        let past_ms = self.last_ms.saturating_add(1);
        let until_last = store.count_bars_before(&self.series, past_ms).await?;
        let before = store.count_bars_before(&self.series, self.first_ms).await?;
        Ok(self.bars.saturating_sub(until_last.saturating_sub(before)))
    }
}

/// How many of the expected bars are not stored.
pub async fn missing(store: &dyn Store, expected: &[Expected]) -> anyhow::Result<u64> {
    let mut missing = 0;
    for one in expected {
        missing += one.missing(store).await?;
    }
    Ok(missing)
}

/// Runs the stages in order until a whole round changes nothing more and either all bars are stored or `ingest` has nothing
/// more to ask for. Ends early, and well, where the host is told to stop.
pub async fn drain(deployment: Arc<Deployment>, expected: Vec<Expected>) -> anyhow::Result<()> {
    // Two runs of one stage would only get in each other's way: the last scheduled ones end first.
    deployment.supervisor.idle().await;
    let mut before = Vec::new();
    let mut held_rounds = 0;
    for _ in 0..MAX_ROUNDS {
        let held = match round(&deployment).await? {
            Round::Stopped => return Ok(()),
            Round::Done => None,
            Round::Held(why) => Some(why),
        };
        let now = progress_of(&deployment).await?;
        if now != before {
            before = now;
            held_rounds = 0;
            continue;
        }
        let missing = missing(&*deployment.store, &expected).await?;
        let Some(why) = held.filter(|_| missing > 0) else {
            return Ok(());
        };
        held_rounds += 1;
        if held_rounds > MAX_HELD_ROUNDS {
            bail!(
                "{missing} of the replayed bars did not come in: ingest holds, {why}\n\nhint: `bulkhead status` says what it is short of; `bulkhead up` goes on where this one ended"
            );
        }
        tokio::time::sleep(HELD_PAUSE).await;
    }
    bail!("the pipeline did not come to rest in {MAX_ROUNDS} rounds")
}

/// How a round of all stages ended.
enum Round {
    /// The host is told to stop.
    Stopped,
    Done,
    /// `ingest` will ask again for what it did not get; why it did not.
    Held(String),
}

async fn round(deployment: &Deployment) -> anyhow::Result<Round> {
    let mut held = None;
    for kind in ORDER {
        let components = deployment
            .app
            .components
            .values()
            .filter(|component| component.role.stage() == Some(kind));
        for component in components {
            let completed = deployment
                .supervisor
                .run(RunRequest {
                    component: component.name.clone(),
                    trigger: TriggerKind::Manual,
                    scheduled_at_ms: deployment.clock.now_ms(),
                    input: "{}".into(),
                    traceparent: None,
                    fake_mode: false,
                })
                .await;
            if matches!(
                completed.verdict,
                Verdict::ShuttingDown | Verdict::Cancelled
            ) {
                return Ok(Round::Stopped);
            }
            match completed.finished.result {
                Err(failure) => bail!("run {} of {}: {failure}", completed.run_id, component.name),
                Ok(report) if kind == StageKind::Ingest && report.outcome == Outcome::Hold => {
                    held = Some(report.reason.unwrap_or_default());
                }
                Ok(_) => {}
            }
        }
    }
    Ok(held.map_or(Round::Done, Round::Held))
}

/// What the pipeline has made so far: how far it walked, and what it wrote.
async fn progress_of(deployment: &Deployment) -> anyhow::Result<Vec<String>> {
    let mut state = Vec::new();
    for (collection, _, count) in status::counts(&*deployment.store).await? {
        state.push(format!("{collection} {count}"));
    }
    for series in deployment.store.series().await? {
        state.push(format!("{:?} {}", series.series, series.count));
    }
    let walks = bulkhead_store::Query::all("signalState");
    for document in deployment.store.list(&walks).await?.documents {
        state.push(document.body);
    }
    Ok(state)
}
