//! The host's words for one run of a stage: what goes in, what comes out, how it can fail.
//!
//! These are the types of `wit/stage.wit` as the native side speaks them, and the two interfaces that let the
//! supervisor and the triggers be tested without an engine: [`Runner`] runs a component once, [`Clock`] tells time.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

mod clock;
mod failure;

pub use clock::{Clock, ManualClock, SystemClock};
pub use failure::{Denial, Failure, Limit, StageError};

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerKind {
    /// A schedule fired.
    Cron,
    /// An HTTP request came in on the stage's route.
    Http,
    /// A batch of frames arrived from a feed.
    Feed,
    /// An event was delivered.
    Event,
    /// A person asked for it on the command line.
    Manual,
    /// Another stage asked for it.
    Pipeline,
}

impl TriggerKind {
    /// The lower-case word used in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Http => "http",
            Self::Feed => "feed",
            Self::Event => "event",
            Self::Manual => "manual",
            Self::Pipeline => "pipeline",
        }
    }
}

/// One request to run a stage once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// Identity of the run, unique in one deployment. A retry keeps it.
    pub run_id: String,
    /// What started the run.
    pub trigger: TriggerKind,
    /// The instant the run was meant for, in Unix milliseconds.
    pub scheduled_at_ms: i64,
    /// 1 on the first attempt, one more on each retry.
    pub attempt: u32,
    /// W3C Trace Context `traceparent` of the caller.
    pub traceparent: Option<String>,
    /// True when the run must have no effect outside itself.
    pub fake_mode: bool,
    /// JSON. Empty text means `{}`.
    pub input: String,
}

/// How a run that came to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The stage did its work.
    Success,
    /// The stage decided, for the named reason, that nothing may be done.
    Hold,
    /// There was nothing to do.
    Skipped,
}

impl Outcome {
    /// The lower-case word used in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Hold => "hold",
            Self::Skipped => "skipped",
        }
    }
}

/// Something that happened, for the event bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The topic, for example `telemetry.ingest.health`.
    pub topic: String,
    /// What the event is about.
    pub subject: Option<String>,
    /// JSON.
    pub data: String,
}

/// A timed piece of work inside the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The span's name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// A counter raised by the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The counter's name.
    pub name: String,
    /// Label names and values.
    pub labels: Vec<(String, String)>,
    /// By how much it rose.
    pub value: f64,
}

/// What a run gives back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How the run ended.
    pub outcome: Outcome,
    /// Why, in a stable machine-readable word.
    pub reason: Option<String>,
    /// JSON.
    pub output: String,
    /// For the event bus, in order.
    pub events: Vec<Event>,
    /// Spans, in the order they ended.
    pub spans: Vec<Span>,
    /// Counters, in the order they were raised.
    pub metrics: Vec<Metric>,
}

/// What one run cost and what it tried, whether it came to its end or not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls from the guest into the host.
    pub host_calls: u64,
    /// Bytes the guest wrote to its log. What is over the limit is not kept.
    pub log_bytes: u64,
    /// Largest linear memory, in bytes.
    pub memory_bytes: u64,
    /// Requests and document accesses that the grants refused, in order, at most [`MAX_DENIALS_KEPT`].
    pub denials: Vec<Denial>,
    /// What the guest logged, cut at the limit, invalid UTF-8 replaced.
    pub log: String,
}

/// Denials kept of one run: enough to see the pattern, few enough to bound the journal's row.
pub const MAX_DENIALS_KEPT: usize = 16;

/// A run's end: its report or its failure, and what it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The report, or why there is none.
    pub result: Result<Report, Failure>,
    /// What it cost and tried.
    pub usage: Usage,
}

/// Runs a component once, in a sandbox of its own.
pub trait Runner: Send + Sync + 'static {
    /// Runs `component` (its name in the manifest) once. Never panics on what a guest does.
    fn run<'a>(&'a self, component: &'a str, invocation: Invocation) -> BoxFuture<'a, Finished>;
}
