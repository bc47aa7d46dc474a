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

use bindings::wasi::clocks::{monotonic_clock, system_clock};
use bulkhead_kernel::bar::Columns;
use bulkhead_kernel::stage::{Configuration as _, json_text};
use bulkhead_venues::HttpRequest;

use crate::StageError;
use crate::frames;
use crate::ports::{Appended, FetchError, Fetched, Ports};
use crate::run::{Run, poll};
use crate::settings::{Origin, Settings};
use crate::task::{self, Outcome, Report, Task};

struct Component;

bindings::export!(Component with_types_in bindings);
bulkhead_kernel::component_ports!(Imports);
bulkhead_kernel::component_market_data!(Imports);

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
            .map_err(contract_error)
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
            poll(imports, &settings(imports)?, this)
                .await
                .map(task::polled)
        }
        Task::Frames(input) => {
            frames::store(imports, &settings(imports)?, &input, &invocation.run_id)
                .await
                .map(task::framed)
        }
    }
}

fn settings(imports: &Imports) -> Result<Settings, StageError> {
    Settings::read(|key| {
        let value = imports.value(key);
        value.map_err(|error| format!("read the configuration `{key}`: {error}"))
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
            .map_err(from_market_data)
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
        let summary = market_data::append_bars(series(instrument, timeframe), bars)
            .await
            .map_err(from_market_data)?;
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

fn series(instrument: &str, timeframe: &str) -> market_data::Series {
    market_data::Series {
        instrument: instrument.to_owned(),
        timeframe: timeframe.to_owned(),
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
