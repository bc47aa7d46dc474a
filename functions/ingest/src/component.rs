//! The component: the contract's types and imports around the stage.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "ingest",
        generate_all,
    });
}
mod http;

use bindings::bulkhead::pipeline::{documents, market_data};
use bindings::exports::bulkhead::pipeline::stage;
use bindings::wasi::clocks::{monotonic_clock, system_clock};
use bindings::wasi::config::store;
use bulkhead_kernel::bar::Columns;
use bulkhead_kernel::stage::{
    BarsQuery, Document, Documents, Key, MarketData, Query, Write, json_text,
};
use bulkhead_venues::HttpRequest;

use crate::StageError;
use crate::frames;
use crate::ports::{Appended, FetchError, Fetched, Ports};
use crate::run::{Run, poll};
use crate::settings::{Origin, Settings};
use crate::task::{self, Outcome, Report, Task};

struct Component;

bindings::export!(Component with_types_in bindings);

impl stage::Guest for Component {
    fn describe() -> stage::Descriptor {
        stage::Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            input_schema: task::INPUT_SCHEMA.to_owned(),
            output_schema: task::OUTPUT_SCHEMA.to_owned(),
        }
    }

    async fn run(invocation: stage::Invocation) -> Result<stage::Report, stage::StageError> {
        let imports = Imports {
            started: monotonic_clock::now(),
        };
        run(&imports, &invocation)
            .await
            .map(Into::into)
            .map_err(Into::into)
    }
}

async fn run(imports: &Imports, invocation: &stage::Invocation) -> Result<Report, StageError> {
    match Task::read(&invocation.input)? {
        Task::Normalise(input) => task::normalise(&input, unix_seconds(), || imports.elapsed_ms()),
        Task::Poll | Task::Frames(_) if invocation.fake_mode => Ok(task::nothing_in_fake_mode()),
        Task::Poll => {
            let this = Run {
                run_id: &invocation.run_id,
                scheduled_at_ms: invocation.scheduled_at_ms,
                attempt: invocation.attempt,
                is_scheduled: matches!(invocation.trigger, stage::TriggerKind::Cron),
            };
            poll(imports, &settings()?, this).await.map(task::polled)
        }
        Task::Frames(input) => frames::store(imports, &settings()?, &input, &invocation.run_id)
            .await
            .map(task::framed),
    }
}

fn settings() -> Result<Settings, StageError> {
    Settings::read(|key| {
        store::get(key).map_err(|error| format!("read the configuration `{key}`: {error:?}"))
    })
    .map_err(StageError::Internal)
}

fn unix_seconds() -> f64 {
    let now = system_clock::now();
    now.seconds as f64 + f64::from(now.nanoseconds) / 1e9
}

/// The imports of the world, and when the run began on the monotonic clock, in nanoseconds.
struct Imports {
    started: u64,
}

impl Ports for Imports {
    async fn fetch(
        &self,
        origin: &Origin,
        request: &HttpRequest,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        http::fetch(origin, request, max_bytes, || self.elapsed_ms()).await
    }

    async fn latest(&self, instrument: &str, timeframe: &str) -> Result<Option<i64>, StageError> {
        market_data::latest(series(instrument, timeframe))
            .await
            .map_err(Into::into)
    }

    async fn append(
        &self,
        instrument: &str,
        timeframe: &str,
        bars: Columns,
    ) -> Result<Appended, StageError> {
        let bars = market_data::Bars {
            price_scale: bars.price_scale,
            volume_scale: bars.volume_scale,
            open_time_ms: bars.open_time_ms,
            open: bars.open,
            high: bars.high,
            low: bars.low,
            close: bars.close,
            volume: bars.volume,
        };
        let summary = market_data::append_bars(series(instrument, timeframe), bars).await?;
        Ok(Appended {
            inserted: summary.inserted,
            updated: summary.updated,
            unchanged: summary.unchanged,
        })
    }

    fn now_ms(&self) -> i64 {
        let now = system_clock::now();
        let millis = i64::from(now.nanoseconds / 1_000_000);
        now.seconds.saturating_mul(1_000).saturating_add(millis)
    }

    fn elapsed_ms(&self) -> f64 {
        // A clock too coarse to see the run still has to tell that it took some time.
        monotonic_clock::now().saturating_sub(self.started).max(1) as f64 / 1e6
    }
}

impl Documents for Imports {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        let document = documents::get(key.into()).await?;
        Ok(document.map(Into::into))
    }

    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        let page = documents::list(documents::Query {
            collection: query.collection,
            prefix: query.prefix,
            start: query.start,
            end: None,
            order: documents::Order::Ascending,
            limit: query.limit,
            cursor: None,
        })
        .await?;
        Ok(page.documents.into_iter().map(Into::into).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        documents::commit(writes.into_iter().map(Into::into).collect()).await?;
        Ok(())
    }
}

impl MarketData for Imports {
    async fn read_bars(&self, query: BarsQuery) -> Result<Columns, StageError> {
        let bars = market_data::read_bars(market_data::BarsQuery {
            series: series(&query.instrument, &query.timeframe),
            start_ms: query.start_ms,
            end_ms: query.end_ms,
            limit: query.limit,
            last: query.last,
        })
        .await?;
        let columns = Columns {
            price_scale: bars.price_scale,
            volume_scale: bars.volume_scale,
            open_time_ms: bars.open_time_ms,
            open: bars.open,
            high: bars.high,
            low: bars.low,
            close: bars.close,
            volume: bars.volume,
        };
        columns
            .validate()
            .map_err(|error| StageError::Internal(error.to_string()))?;
        Ok(columns)
    }
}

fn series(instrument: &str, timeframe: &str) -> market_data::Series {
    market_data::Series {
        instrument: instrument.to_owned(),
        timeframe: timeframe.to_owned(),
    }
}

impl From<Key> for documents::Key {
    fn from(key: Key) -> Self {
        Self {
            collection: key.collection,
            id: key.id,
        }
    }
}

impl From<documents::Document> for Document {
    fn from(document: documents::Document) -> Self {
        Self {
            key: Key::new(document.key.collection, document.key.id),
            revision: document.revision,
            body: document.body,
        }
    }
}

impl From<Write> for documents::Write {
    fn from(write: Write) -> Self {
        match write {
            Write::Create(key, body) => Self::Create(documents::Put {
                key: key.into(),
                body: json_text(&body),
            }),
            Write::Replace(key, expected_revision, body) => Self::Replace(documents::Replacement {
                key: key.into(),
                expected_revision,
                body: json_text(&body),
            }),
            Write::Upsert(key, body) => Self::Upsert(documents::Put {
                key: key.into(),
                body: json_text(&body),
            }),
            Write::Delete(key) => Self::Delete(documents::Removal {
                key: key.into(),
                expected_revision: None,
            }),
        }
    }
}

impl From<documents::Error> for StageError {
    fn from(error: documents::Error) -> Self {
        match error {
            documents::Error::Denied(why) => Self::Denied(why),
            documents::Error::Conflict(race) => Self::Conflict(format!(
                "document `{}/{}` was changed by another run",
                race.key.collection, race.key.id
            )),
            documents::Error::Invalid(why) => Self::Internal(why),
            documents::Error::Unavailable(why) => Self::Unavailable(why),
            documents::Error::Other(why) => Self::Other(why),
        }
    }
}

impl From<market_data::Error> for StageError {
    fn from(error: market_data::Error) -> Self {
        match error {
            market_data::Error::Denied(why) => Self::Denied(why),
            market_data::Error::Invalid(why) => Self::Internal(why),
            market_data::Error::Unavailable(why) => Self::Unavailable(why),
            market_data::Error::Other(why) => Self::Other(why),
        }
    }
}

impl From<StageError> for stage::StageError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::InvalidInput(detail) => Self::InvalidInput(detail),
            StageError::Denied(detail) => Self::Denied(detail),
            StageError::Unavailable(detail) => Self::Unavailable(detail),
            StageError::Conflict(detail) => Self::Conflict(detail),
            StageError::Internal(detail) => Self::Internal(detail),
            StageError::Other(detail) => Self::Other(detail),
        }
    }
}

impl From<Report> for stage::Report {
    fn from(report: Report) -> Self {
        Self {
            outcome: match report.outcome {
                Outcome::Success => stage::Outcome::Success,
                Outcome::Hold => stage::Outcome::Hold,
                Outcome::Skipped => stage::Outcome::Skipped,
            },
            reason: report.reason.map(str::to_owned),
            output: report.output,
            events: report
                .events
                .into_iter()
                .map(|event| stage::Event {
                    topic: event.topic,
                    subject: event.subject,
                    data: json_text(&event.data),
                })
                .collect(),
            spans: report
                .spans
                .into_iter()
                .map(|(name, duration_ms)| stage::Span { name, duration_ms })
                .collect(),
            metrics: report
                .metrics
                .into_iter()
                .map(|metric| stage::Metric {
                    name: metric.name.to_owned(),
                    labels: metric.labels,
                    value: metric.value,
                })
                .collect(),
        }
    }
}
