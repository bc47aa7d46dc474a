//! The built-in market-data server, and the end of a replay.

mod drain;
mod parquet;
mod settings;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_feeds::{Board, FeedPlan};
use bulkhead_paper::{BarFile, Replay, Series as PaperSeries, Venue as PaperVenue, VirtualClock};
use bulkhead_stage::Clock;
use bulkhead_store::{Series, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::arguments::Speed;
use crate::output;
pub use drain::{Expected, drain, missing};
use settings::Replayed;
pub use settings::Settings;
use standing::Standing;

/// How often the replay is asked whether it has been consumed.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// The built-in market-data server.
pub struct Venue {
    listener: TcpListener,
    served: PaperVenue,
    replay: Arc<Replay>,
    standings: Vec<Standing>,
    expected: Vec<Expected>,
    /// How many feeds connect to this server.
    feeds: usize,
    /// What is replayed, for the banner.
    pub description: String,
}

impl Venue {
    /// Binds the server, and lets the replay go on where the stored bars end.
    pub async fn prepare(
        settings: Settings,
        plans: &[FeedPlan],
        store: &dyn Store,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let address = settings.address;
        let mut stood = Vec::with_capacity(settings.files.len());
        for file in settings.files {
            let series = Series::new(file.instrument.as_str(), file.timeframe.to_string())?;
            let standing = Standing::of(&file.file.bars, store.latest(&series).await?);
            stood.push((file, series, standing));
        }
        let (virtual_clock, pace) = match settings.speed {
            Speed::Max => (VirtualClock::immediate(), "all at once".to_owned()),
            Speed::Times(times) => (
                VirtualClock::paced(starts_at_ms(&stood), times, Arc::clone(clock)),
                format!("{times} times faster than the market"),
            ),
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "serving market data on {address} failed\n\nhint: end what listens there, or choose another address with --paper and --variable market_data_url=http://ADDRESS"
            )
        })?;
        let mut description: Vec<String> = stood
            .iter()
            .map(|(file, _, standing)| describe(file, *standing))
            .collect();
        description.push(pace);
        if !settings.faults.is_empty() {
            description.push(format!("with {} faults injected", settings.faults.len()));
        }
        let mut of_paper = Vec::with_capacity(stood.len());
        let mut expected = Vec::with_capacity(stood.len());
        let mut standings = Vec::with_capacity(stood.len());
        for (file, series, standing) in stood {
            let bars = &file.file.bars;
            of_paper.push(PaperSeries::new(
                bars,
                file.instrument.as_str(),
                file.timeframe,
            )?);
            standings.push(standing);
            if let (Some(first), Some(last)) = (bars.first(), bars.last())
                && standing.has_news()
            {
                expected.push(Expected {
                    series,
                    first_ms: first.open_time_ms,
                    last_ms: last.open_time_ms,
                    bars: bars.len() as u64,
                });
            }
        }
        let replay = Arc::new(Replay::of(of_paper, virtual_clock)?);
        let served = PaperVenue::new(Arc::clone(&replay))
            .with_faults(settings.faults)
            .with_calendar(settings.calendar.unwrap_or_default());
        let here = format!("ws://{address}/");
        let is_here = |plan: &&FeedPlan| plan.url.text.starts_with(&here);
        Ok(Self {
            listener,
            feeds: plans.iter().filter(is_here).count(),
            served,
            replay,
            standings,
            expected,
            description: description.join(", "),
        })
    }

    /// The bars that are replayed.
    pub fn replay(&self) -> Arc<Replay> {
        Arc::clone(&self.replay)
    }

    /// What is to be in the store at the end.
    pub fn expected(&self) -> Vec<Expected> {
        self.expected.clone()
    }

    /// Serves until `stop` is ready.
    pub fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(bulkhead_paper::serve(self.listener, self.served, stop))
    }
}

/// Where a paced clock begins: with the first bar of all that is still to come.
fn starts_at_ms(stood: &[(Replayed, Series, Standing)]) -> i64 {
    let starts = |is_wanted: fn(Standing) -> bool| {
        stood
            .iter()
            .filter(move |(_, _, standing)| is_wanted(*standing))
            .map(|(file, _, standing)| standing.starts_at_ms(&file.file.bars))
    };
    let first_news = starts(Standing::has_news).min();
    first_news.or(starts(|_| true).max()).unwrap_or(0)
}

fn describe(file: &Replayed, standing: Standing) -> String {
    let BarFile { bars, rounded } = &file.file;
    let mut text = format!(
        "{} bars of {} {} from {}",
        bars.len(),
        file.instrument,
        file.timeframe,
        file.name
    );
    if *rounded > 0 {
        text.push_str(&format!(
            " ({rounded} values rounded to the venue's 8 decimal places)"
        ));
    }
    if let Some(words) = standing.words() {
        text.push_str(&format!(" ({words})"));
    }
    text
}

/// Is ready once the last bar of each series has been served or none will be, and each feed of this server has read its streams to
/// their end or never will. Without a venue: never.
pub fn consumed(
    venue: Option<&Venue>,
    board: Option<Arc<Board>>,
) -> impl Future<Output = ()> + use<> {
    let awaited = venue.map(|venue| (venue.replay(), venue.standings.clone(), venue.feeds));
    async move {
        let Some((replay, standings, feeds)) = awaited else {
            return std::future::pending().await;
        };
        let is_behind = |standing: &Standing| matches!(standing, Standing::Behind(_));
        if standings.iter().all(is_behind) {
            return;
        }
        let is_served = || {
            let mut series = replay.progress_by_series().zip(&standings);
            series.all(|(progress, standing)| {
                progress.served == progress.total || is_behind(standing)
            })
        };
        let is_streamed = || {
            let refused = board.as_ref().map_or(0, |board| board.refused_for_good());
            replay.connections_read_to_end().saturating_add(refused) >= feeds
        };
        while !(is_served() && is_streamed()) {
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }
}

/// Says what of the replay is not stored although nothing more comes.
pub async fn tell_what_is_missing(store: &dyn Store, expected: &[Expected]) -> anyhow::Result<()> {
    let missing = missing(store, expected).await?;
    if missing > 0 {
        output::talk(format!(
            "warning: {missing} of the replayed bars are not stored: `bulkhead events --topic telemetry.ingest` and the documents of `ingest/journal` say why"
        ));
    }
    Ok(())
}
