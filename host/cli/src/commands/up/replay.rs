//! The built-in market-data server, and the end of a replay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_paper::{BarFile, Replay, VirtualClock, demo};
use bulkhead_stage::{Clock, TriggerKind};
use bulkhead_store::{Series, Store};
use bulkhead_supervisor::{RunRequest, Verdict};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::status;
use crate::arguments::{Speed, Up};
use crate::deployment::Deployment;
use crate::output::{self, WrongUsage};

/// How often the replay is asked whether it has been consumed.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// Rounds of the pipeline after the last bar was served, before the drain gives up. Each round walks up to a
/// thousand bars on.
const MAX_ROUNDS: usize = 10_000;

/// What the built-in market-data server is to serve.
pub struct Settings {
    address: SocketAddr,
    file: BarFile,
    name: String,
    instrument: Instrument,
    timeframe: Timeframe,
    speed: Speed,
}

impl Settings {
    /// Reads the bars. None: the deployment polls another venue.
    ///
    /// # Errors
    /// [`WrongUsage`] where an option is for this server and the deployment polls another.
    pub fn read(app: &ResolvedApp, command: &Up) -> anyhow::Result<Option<Self>> {
        let ingest = app
            .components
            .values()
            .find(|component| component.role.stage() == Some(StageKind::Ingest));
        let variable = |name: &str| {
            ingest
                .and_then(|ingest| ingest.variables.get(name))
                .map(|value| value.value.as_str())
                .unwrap_or_default()
        };
        let url = variable("market_data_url");
        if url != format!("http://{}", command.paper) {
            refuse_options_of_another_server(command, url)?;
            return Ok(None);
        }
        let (file, name) = match &command.bars {
            Some(path) => (BarFile::read(path)?, path.display().to_string()),
            None => (BarFile::parse(demo::FILE.as_bytes())?, "the demo".into()),
        };
        let instruments = variable("instruments");
        let listed = Instrument::parse_list(instruments)
            .map_err(|error| anyhow!("the variable `instruments`: {error}"))?;
        let [instrument] = <[Instrument; 1]>::try_from(listed).map_err(|_| {
            anyhow!(
                "the built-in market-data server replays one instrument; the variable `instruments` names {instruments:?}"
            )
        })?;
        let timeframe = variable("timeframe")
            .parse()
            .map_err(|error| anyhow!("the variable `timeframe`: {error}"))?;
        Ok(Some(Self {
            address: command.paper,
            file,
            name,
            instrument,
            timeframe,
            speed: command.speed,
        }))
    }
}

fn refuse_options_of_another_server(command: &Up, url: &str) -> Result<(), WrongUsage> {
    let option = if command.bars.is_some() {
        "--bars"
    } else if command.exit_when_replayed {
        "--exit-when-replayed"
    } else {
        return Ok(());
    };
    Err(WrongUsage(format!(
        "{option} is for the built-in market-data server, and the variable `market_data_url` names another: `{url}`\n\nhint: leave it out, or set `market_data_url` to http://{}",
        command.paper
    )))
}

/// How a file stands to the bars that are stored already. `ingest` asks for what follows the newest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// None of the file's bars is stored.
    New,
    /// The replay goes on at this bar, which opens at so many Unix milliseconds.
    GoesOn(i64),
    /// The last bar is stored.
    Replayed,
    /// The newest stored bar, which opens at so many Unix milliseconds, is later than the file's last.
    Behind(i64),
}

impl Standing {
    fn of(bars: &[Bar], newest_stored_ms: Option<i64>) -> Self {
        let (Some(newest_ms), Some(first), Some(last)) =
            (newest_stored_ms, bars.first(), bars.last())
        else {
            return Self::New;
        };
        if newest_ms < first.open_time_ms {
            Self::New
        } else if newest_ms < last.open_time_ms {
            Self::GoesOn(newest_ms)
        } else if newest_ms == last.open_time_ms {
            Self::Replayed
        } else {
            Self::Behind(newest_ms)
        }
    }

    /// What a paced clock shows at the start, in Unix milliseconds.
    fn starts_at_ms(self, bars: &[Bar]) -> i64 {
        let open_time_ms = |bar: Option<&Bar>| bar.map_or(0, |bar| bar.open_time_ms);
        match self {
            Self::New => open_time_ms(bars.first()),
            Self::GoesOn(newest_ms) => newest_ms,
            Self::Replayed | Self::Behind(_) => open_time_ms(bars.last()),
        }
    }

    /// What is said of it beside what is replayed. None: nothing, it begins at the beginning.
    fn words(self) -> Option<String> {
        const ANEW: &str = "`bulkhead --data-dir ANOTHER up` begins anew";
        match self {
            Self::New => None,
            Self::GoesOn(newest_ms) => Some(format!(
                "goes on after {}, the newest that is stored",
                output::instant(newest_ms)
            )),
            Self::Replayed => Some(format!(
                "all are stored already, so nothing new comes: {ANEW}"
            )),
            Self::Behind(newest_ms) => Some(format!(
                "they end before {}, the newest that is stored, so nothing new comes: {ANEW}",
                output::instant(newest_ms)
            )),
        }
    }
}

/// The built-in market-data server.
pub struct Venue {
    listener: TcpListener,
    replay: Arc<Replay>,
    standing: Standing,
    /// What is replayed, for the banner.
    pub description: String,
}

impl Venue {
    /// Binds the server, and lets the replay go on where the stored bars end.
    pub async fn prepare(
        settings: Settings,
        store: &dyn Store,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let Settings {
            address,
            file: BarFile { bars, rounded },
            name,
            instrument,
            timeframe,
            speed,
        } = settings;
        let series = Series::new(instrument.as_str(), timeframe.to_string())?;
        let standing = Standing::of(&bars, store.latest(&series).await?);
        let (virtual_clock, pace) = match speed {
            Speed::Max => (VirtualClock::immediate(), "all at once".to_owned()),
            Speed::Times(times) => (
                VirtualClock::paced(standing.starts_at_ms(&bars), times, Arc::clone(clock)),
                format!("{times} times faster than the market"),
            ),
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "serving market data on {address} failed\n\nhint: end what listens there, or choose another address with --paper and --variable market_data_url=http://ADDRESS"
            )
        })?;
        let replay = Replay::new(&bars, instrument.as_str(), timeframe, virtual_clock)?;
        let mut description = format!(
            "{} bars of {instrument} {timeframe} from {name}, {pace}",
            bars.len()
        );
        if rounded > 0 {
            description.push_str(&format!(
                ", {rounded} values rounded to the venue's 8 decimal places"
            ));
        }
        if let Some(words) = standing.words() {
            description.push_str("; ");
            description.push_str(&words);
        }
        Ok(Self {
            listener,
            replay: Arc::new(replay),
            standing,
            description,
        })
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

/// Is ready once the last bar has been served, or none will be. Without a venue: never.
pub fn consumed(venue: Option<&Venue>) -> impl Future<Output = ()> + use<> {
    let waited_for = venue.map(|venue| (venue.replay(), venue.standing));
    async move {
        match waited_for {
            Some((_, Standing::Behind(_))) => {}
            Some((replay, _)) => {
                while !replay.is_finished() {
                    tokio::time::sleep(ASKED_EVERY).await;
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// Runs the stages in order until a whole round changes nothing more: what was served last goes all the way through.
/// Ends early, and well, where the host is told to stop.
pub async fn drain(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    const ORDER: [StageKind; 4] = [
        StageKind::Ingest,
        StageKind::GenerateTradingSignal,
        StageKind::Execute,
        StageKind::Pulse,
    ];
    // Two runs of one stage would only get in each other's way: the last scheduled ones end first.
    deployment.supervisor.idle().await;
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
                if matches!(
                    completed.verdict,
                    Verdict::ShuttingDown | Verdict::Cancelled
                ) {
                    return Ok(());
                }
                if let Err(failure) = completed.finished.result {
                    bail!("run {} of {}: {failure}", completed.run_id, component.name);
                }
            }
        }
        let now = progress_of(&deployment).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_goes_on_where_the_stored_bars_end() {
        let bars = BarFile::parse(demo::FILE.as_bytes()).unwrap().bars;
        let (first_ms, last_ms) = (bars[0].open_time_ms, bars[bars.len() - 1].open_time_ms);
        for (newest_stored_ms, standing, starts_at_ms) in [
            (None, Standing::New, first_ms),
            (Some(first_ms - 1), Standing::New, first_ms),
            (Some(first_ms), Standing::GoesOn(first_ms), first_ms),
            (
                Some(last_ms - 60_000),
                Standing::GoesOn(last_ms - 60_000),
                last_ms - 60_000,
            ),
            (Some(last_ms), Standing::Replayed, last_ms),
            (Some(last_ms + 1), Standing::Behind(last_ms + 1), last_ms),
        ] {
            let found = Standing::of(&bars, newest_stored_ms);
            assert_eq!(found, standing, "{newest_stored_ms:?}");
            assert_eq!(
                found.starts_at_ms(&bars),
                starts_at_ms,
                "{newest_stored_ms:?}"
            );
        }
    }
}
