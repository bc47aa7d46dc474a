//! The built-in market-data server, and the end of a replay.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_paper::{BarFile, Replay, VirtualClock, demo};
use bulkhead_stage::{Clock, TriggerKind};
use bulkhead_supervisor::RunRequest;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::status;
use crate::arguments::{Speed, Up};
use crate::deployment::Deployment;

/// How often the replay is asked whether it has been consumed.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// Rounds of the pipeline after the last bar was served, before the drain gives up. Each round walks up to a
/// thousand bars on.
const MAX_ROUNDS: usize = 10_000;

/// The market-data server of a deployment whose `market_data_url` names its address.
pub struct Venue {
    listener: TcpListener,
    replay: Arc<Replay>,
    /// What is replayed, for the banner.
    pub description: String,
}

impl Venue {
    /// Binds the server and reads its bars. None: the deployment polls another venue.
    pub async fn prepare(
        app: &ResolvedApp,
        command: &Up,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(ingest) = app
            .components
            .values()
            .find(|component| component.role.stage() == Some(StageKind::Ingest))
        else {
            return Ok(None);
        };
        let variable = |name: &str| {
            ingest
                .variables
                .get(name)
                .map(|value| value.value.as_str())
                .unwrap_or_default()
        };
        if variable("market_data_url") != format!("http://{}", command.paper) {
            if command.bars.is_some() {
                bail!(
                    "--bars is for the built-in market-data server, and the variable `market_data_url` names another: {}",
                    variable("market_data_url")
                );
            }
            return Ok(None);
        }
        let (file, name) = match &command.bars {
            Some(path) => (BarFile::read(path)?, path.display().to_string()),
            None => (BarFile::parse(demo::FILE.as_bytes())?, "the demo".into()),
        };
        let instruments = variable("instruments");
        let instrument = match instruments.split(',').map(str::trim).collect::<Vec<_>>()[..] {
            [one] if !one.is_empty() => one,
            _ => bail!(
                "the built-in market-data server replays one instrument; the variable `instruments` names {instruments:?}"
            ),
        };
        let timeframe: Timeframe = variable("timeframe")
            .parse()
            .map_err(|error| anyhow!("the variable `timeframe`: {error}"))?;
        let first_ms = file.bars.first().map_or(0, |bar| bar.open_time_ms);
        let (virtual_clock, pace) = match command.speed {
            Speed::Max => (VirtualClock::immediate(), "all at once".to_owned()),
            Speed::Times(times) => (
                VirtualClock::paced(first_ms, times, Arc::clone(clock)),
                format!("{times} times faster than the market"),
            ),
        };
        let listener = TcpListener::bind(command.paper).await.with_context(|| {
            format!(
                "serving market data on {} failed\n\nhint: end what listens there, or choose another address with --paper and --variable market_data_url=http://ADDRESS",
                command.paper
            )
        })?;
        let replay = Replay::new(&file.bars, instrument, timeframe, virtual_clock)?;
        let mut description = format!(
            "{} bars of {instrument} {timeframe} from {name}, {pace}",
            file.bars.len()
        );
        if replay.rounded() > 0 {
            description.push_str(&format!(
                ", {} values rounded to the venue's 8 decimal places",
                replay.rounded()
            ));
        }
        Ok(Some(Self {
            listener,
            replay: Arc::new(replay),
            description,
        }))
    }

    /// The bars that are replayed.
    pub fn replay(&self) -> Arc<Replay> {
        Arc::clone(&self.replay)
    }

    /// Serves until `stop` is ready.
    pub fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(bulkhead_paper::serve(self.listener, self.replay, stop))
    }
}

/// Returns once the last bar has been served.
pub async fn consumed(replay: &Replay) {
    while !replay.is_finished() {
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Runs the stages in order until a whole round changes nothing more: what was served last goes all the way through.
pub async fn drain(deployment: &Deployment) -> anyhow::Result<()> {
    const ORDER: [StageKind; 4] = [
        StageKind::Ingest,
        StageKind::GenerateTradingSignal,
        StageKind::Execute,
        StageKind::Pulse,
    ];
    let mut before = Vec::new();
    for _ in 0..MAX_ROUNDS {
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
                if let Err(failure) = completed.finished.result {
                    bail!("run {} of {}: {failure}", completed.run_id, component.name);
                }
            }
        }
        let now = progress_of(deployment).await?;
        if now == before {
            return Ok(());
        }
        before = now;
    }
    bail!("the pipeline did not come to rest in {MAX_ROUNDS} rounds")
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
