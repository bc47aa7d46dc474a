//! What every stage is given and gives back, in plain values: the words of the interfaces `stage`, `documents` and
//! `market-data` of the contract, without any component behind them.
//!
//! A stage is written against the traits of this module. Its component carries them out through its imports
//! (see [`component_ports!`](crate::component_ports)); a test gives it [`crate::memory::Memory`].

use serde_json::Value;

use crate::bar::Columns;

/// The most documents that one listing gives.
pub const MAX_LIST_LIMIT: u32 = 1_000;

/// Why a stage could not come to its end: the cases of `stage-error` in the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The input is not what the schema asks for.
    #[error("read the input: {0}")]
    InvalidInput(String),
    /// A grant, a limit or a switch forbade what the stage needed.
    #[error("denied: {0}")]
    Denied(String),
    /// Something outside did not answer.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Another run changed the same document first.
    #[error("lost a race: {0}")]
    Conflict(String),
    /// The stage found its own state or configuration broken.
    #[error("internal: {0}")]
    Internal(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StageError {
    /// The text of the case.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::InvalidInput(detail)
            | Self::Denied(detail)
            | Self::Unavailable(detail)
            | Self::Conflict(detail)
            | Self::Internal(detail)
            | Self::Other(detail) => detail,
        }
    }

    /// The same case, its text followed by what went wrong after it.
    #[must_use]
    pub fn followed_by(mut self, more: &str) -> Self {
        let (Self::InvalidInput(detail)
        | Self::Denied(detail)
        | Self::Unavailable(detail)
        | Self::Conflict(detail)
        | Self::Internal(detail)
        | Self::Other(detail)) = &mut self;
        detail.push_str("; ");
        detail.push_str(more);
        self
    }
}

/// The address of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The collection.
    pub collection: String,
    /// The id.
    pub id: String,
}

impl Key {
    /// The address of the document `id` in `collection`.
    pub fn new(collection: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            id: id.into(),
        }
    }
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is.
    pub key: Key,
    /// 1 when created, one more on each change.
    pub revision: u64,
    /// JSON.
    pub body: String,
}

/// Which documents of a collection to list, ascending by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The collection.
    pub collection: String,
    /// Only ids that begin so.
    pub prefix: Option<String>,
    /// Only ids at or after this one.
    pub start: Option<String>,
    /// At most so many, from 1 to [`MAX_LIST_LIMIT`].
    pub limit: u32,
}

/// One change of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The document must not exist.
    Create(Key, Value),
    /// The document must have this revision.
    Replace(Key, u64, Value),
    /// Whether it exists or not.
    Upsert(Key, Value),
    /// Take it away, whatever revision it has; taking away what is not there changes nothing.
    Delete(Key),
}

impl Write {
    /// Creates the document, or replaces the revision that was read.
    #[must_use]
    pub fn over(revision: Option<u64>, key: Key, body: Value) -> Self {
        match revision {
            None => Self::Create(key, body),
            Some(revision) => Self::Replace(key, revision, body),
        }
    }
}

/// Which bars to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarsQuery {
    /// The instrument.
    pub instrument: String,
    /// The bars' length.
    pub timeframe: String,
    /// Only bars that open at or after this instant, in Unix milliseconds.
    pub start_ms: Option<i64>,
    /// Only bars that open before this instant, in Unix milliseconds.
    pub end_ms: Option<i64>,
    /// At most so many, from 1 to 10000.
    pub limit: u32,
    /// True: the last `limit` bars of the range. False: the first.
    pub last: bool,
}

/// The interface `documents`.
#[allow(
    async_fn_in_trait,
    reason = "a component runs on one thread: its futures need not be Send"
)]
pub trait Documents {
    /// Reads one document.
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError>;
    /// Lists the first documents that match.
    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError>;
    /// Carries out all the writes or none of them. A lost race is [`StageError::Conflict`].
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError>;
}

/// The reading part of the interface `market-data`.
#[allow(
    async_fn_in_trait,
    reason = "a component runs on one thread: its futures need not be Send"
)]
pub trait MarketData {
    /// Reads bars, ascending.
    async fn read_bars(&self, query: BarsQuery) -> Result<Columns, StageError>;
}

/// The configuration.
pub trait Configuration {
    /// The value of a key. None: it is not set.
    ///
    /// # Errors
    /// The configuration cannot be read; the text says why.
    fn value(&self, key: &str) -> Result<Option<String>, String>;
}

/// How a run that came to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The stage did its work.
    Success,
    /// The stage decided, for the named reason, that nothing may be done.
    Hold,
    /// There was nothing to do.
    Skipped,
}

/// A counter raised by the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The counter's name.
    pub name: String,
    /// Label names and values.
    pub labels: Vec<(String, String)>,
    /// By how much it rose.
    pub value: f64,
}

impl Metric {
    /// A counter raised by one, from the form `{"name": text, "labels": {name: text}}`.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        let labels = value["labels"].as_object().into_iter().flatten();
        Self {
            name: value["name"].as_str().unwrap_or_default().to_owned(),
            labels: labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            value: 1.0,
        }
    }
}

/// Something that happened, for the event bus.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The topic.
    pub topic: String,
    /// What it is about.
    pub subject: Option<String>,
    /// Its data.
    pub data: Value,
}

/// What a run gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why; required when the outcome is not a success.
    pub reason: Option<String>,
    /// What the stage's output schema describes.
    pub output: Value,
    /// For the event bus.
    pub events: Vec<Event>,
    /// Counters.
    pub metrics: Vec<Metric>,
}

impl Report {
    /// The report of a run that did its work.
    #[must_use]
    pub fn success(output: Value) -> Self {
        Self {
            outcome: Outcome::Success,
            reason: None,
            output,
            events: vec![],
            metrics: vec![],
        }
    }

    /// The report of a run that may do nothing.
    #[must_use]
    pub fn hold(reason: &str, output: Value) -> Self {
        Self {
            outcome: Outcome::Hold,
            reason: Some(reason.to_owned()),
            ..Self::success(output)
        }
    }

    /// The report of a run that had nothing to do.
    #[must_use]
    pub fn skipped(reason: &str, output: Value) -> Self {
        Self {
            outcome: Outcome::Skipped,
            reason: Some(reason.to_owned()),
            ..Self::success(output)
        }
    }

    /// Adds a counter that rose by `value`, unless it did not rise.
    #[must_use]
    pub fn counted(mut self, name: &str, value: usize) -> Self {
        if value > 0 {
            self.metrics.push(Metric {
                name: name.to_owned(),
                labels: vec![],
                value: value as f64,
            });
        }
        self
    }
}

/// A value as JSON text. Its `Display` gives the same text in twice the time, since it goes through a formatter piece by piece.
#[must_use]
pub fn json_text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// Reads the input's JSON object and its `task`. Empty text means `{}`; without a `task` it is `default`.
///
/// # Errors
/// [`StageError::InvalidInput`] when the text is no JSON object, or `task` is no text.
pub fn read_input(input: &str, default: &str) -> Result<(String, Value), StageError> {
    let text = if input.trim().is_empty() { "{}" } else { input };
    let value: Value =
        serde_json::from_str(text).map_err(|error| StageError::InvalidInput(error.to_string()))?;
    let Some(fields) = value.as_object() else {
        return Err(StageError::InvalidInput("expected an object".to_owned()));
    };
    let task = match fields.get("task") {
        None => default.to_owned(),
        Some(Value::String(task)) => task.clone(),
        Some(other) => {
            return Err(StageError::InvalidInput(format!(
                "`task` must be text, not {other}"
            )));
        }
    };
    Ok((task, value))
}

/// Refuses every field of the input but `task`.
///
/// # Errors
/// [`StageError::InvalidInput`] names the first other field.
pub fn expect_no_fields(task: &str, input: &Value) -> Result<(), StageError> {
    match input
        .as_object()
        .and_then(|fields| fields.keys().find(|key| *key != "task"))
    {
        None => Ok(()),
        Some(field) => Err(StageError::InvalidInput(format!(
            "unknown field `{field}`: task `{task}` takes none"
        ))),
    }
}

/// Reads a document's body as `T`.
///
/// # Errors
/// [`StageError::Internal`] names the document and what is wrong with it.
pub fn read_body<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, StageError> {
    serde_json::from_str(&document.body).map_err(|error| {
        StageError::Internal(format!(
            "read the document `{}/{}`: {error}",
            document.key.collection, document.key.id
        ))
    })
}

/// Reads a value of the configuration that must be set, as `T`.
///
/// # Errors
/// [`StageError::Internal`] names the key and what is wrong with it.
pub fn required<T: std::str::FromStr>(
    configuration: &impl Configuration,
    key: &str,
) -> Result<T, StageError>
where
    T::Err: std::fmt::Display,
{
    let wrong = |why: String| StageError::Internal(format!("read the variable `{key}`: {why}"));
    let text = configuration
        .value(key)
        .map_err(wrong)?
        .ok_or_else(|| wrong("it is not set".to_owned()))?;
    text.trim()
        .parse()
        .map_err(|error: T::Err| wrong(error.to_string()))
}

/// Carries out [`Documents`] and [`Configuration`] for a type through a stage's imports, and turns this module's
/// values into the contract's: `component_ports!(Imports)`, where `bindings` holds what wit-bindgen made of the world.
#[macro_export]
macro_rules! component_ports {
    ($imports:ty) => {
        use bindings::bulkhead::pipeline::documents;
        use bindings::exports::bulkhead::pipeline::stage;
        use bindings::wasi::config::store;

        impl $crate::stage::Configuration for $imports {
            fn value(&self, key: &str) -> Result<Option<String>, String> {
                store::get(key).map_err(|error| format!("{error:?}"))
            }
        }

        impl $crate::stage::Documents for $imports {
            async fn get(
                &self,
                key: $crate::stage::Key,
            ) -> Result<Option<$crate::stage::Document>, $crate::stage::StageError> {
                Ok(documents::get(contract_key(key))
                    .await
                    .map_err(from_documents)?
                    .map(from_document))
            }

            async fn list(
                &self,
                query: $crate::stage::Query,
            ) -> Result<Vec<$crate::stage::Document>, $crate::stage::StageError> {
                let query = documents::Query {
                    collection: query.collection,
                    prefix: query.prefix,
                    start: query.start,
                    end: None,
                    order: documents::Order::Ascending,
                    limit: query.limit,
                    cursor: None,
                };
                let page = documents::list(query).await.map_err(from_documents)?;
                Ok(page.documents.into_iter().map(from_document).collect())
            }

            async fn commit(
                &self,
                writes: Vec<$crate::stage::Write>,
            ) -> Result<(), $crate::stage::StageError> {
                documents::commit(writes.into_iter().map(contract_write).collect())
                    .await
                    .map_err(from_documents)?;
                Ok(())
            }
        }

        fn contract_key(key: $crate::stage::Key) -> documents::Key {
            documents::Key {
                collection: key.collection,
                id: key.id,
            }
        }

        fn contract_write(write: $crate::stage::Write) -> documents::Write {
            use $crate::stage::Write;
            match write {
                Write::Create(key, body) => documents::Write::Create(documents::Put {
                    key: contract_key(key),
                    body: $crate::stage::json_text(&body),
                }),
                Write::Replace(key, expected_revision, body) => {
                    documents::Write::Replace(documents::Replacement {
                        key: contract_key(key),
                        expected_revision,
                        body: $crate::stage::json_text(&body),
                    })
                }
                Write::Upsert(key, body) => documents::Write::Upsert(documents::Put {
                    key: contract_key(key),
                    body: $crate::stage::json_text(&body),
                }),
                Write::Delete(key) => documents::Write::Delete(documents::Removal {
                    key: contract_key(key),
                    expected_revision: None,
                }),
            }
        }

        fn from_document(document: documents::Document) -> $crate::stage::Document {
            $crate::stage::Document {
                key: $crate::stage::Key::new(document.key.collection, document.key.id),
                revision: document.revision,
                body: document.body,
            }
        }

        fn from_documents(error: documents::Error) -> $crate::stage::StageError {
            use $crate::stage::StageError;
            match error {
                documents::Error::Denied(why) => StageError::Denied(why),
                documents::Error::Conflict(race) => StageError::Conflict(format!(
                    "the document `{}/{}` was changed by another run",
                    race.key.collection, race.key.id
                )),
                documents::Error::Invalid(why) => StageError::Internal(why),
                documents::Error::Unavailable(why) => StageError::Unavailable(why),
                documents::Error::Other(why) => StageError::Other(why),
            }
        }

        fn contract_report(report: $crate::stage::Report) -> stage::Report {
            use $crate::stage::Outcome;
            stage::Report {
                outcome: match report.outcome {
                    Outcome::Success => stage::Outcome::Success,
                    Outcome::Hold => stage::Outcome::Hold,
                    Outcome::Skipped => stage::Outcome::Skipped,
                },
                reason: report.reason,
                output: $crate::stage::json_text(&report.output),
                events: report
                    .events
                    .into_iter()
                    .map(|event| stage::Event {
                        topic: event.topic,
                        subject: event.subject,
                        data: $crate::stage::json_text(&event.data),
                    })
                    .collect(),
                spans: vec![],
                metrics: report
                    .metrics
                    .into_iter()
                    .map(|metric| stage::Metric {
                        name: metric.name,
                        labels: metric.labels,
                        value: metric.value,
                    })
                    .collect(),
            }
        }

        fn contract_error(error: $crate::stage::StageError) -> stage::StageError {
            use $crate::stage::StageError;
            match error {
                StageError::InvalidInput(why) => stage::StageError::InvalidInput(why),
                StageError::Denied(why) => stage::StageError::Denied(why),
                StageError::Unavailable(why) => stage::StageError::Unavailable(why),
                StageError::Conflict(why) => stage::StageError::Conflict(why),
                StageError::Internal(why) => stage::StageError::Internal(why),
                StageError::Other(why) => stage::StageError::Other(why),
            }
        }
    };
}

/// Carries out [`MarketData`] for a type through a stage's imports; see [`component_ports!`](crate::component_ports).
#[macro_export]
macro_rules! component_market_data {
    ($imports:ty) => {
        use bindings::bulkhead::pipeline::market_data;

        impl $crate::stage::MarketData for $imports {
            async fn read_bars(
                &self,
                query: $crate::stage::BarsQuery,
            ) -> Result<$crate::bar::Columns, $crate::stage::StageError> {
                use $crate::stage::StageError;
                let query = market_data::BarsQuery {
                    series: market_data::Series {
                        instrument: query.instrument,
                        timeframe: query.timeframe,
                    },
                    start_ms: query.start_ms,
                    end_ms: query.end_ms,
                    limit: query.limit,
                    last: query.last,
                };
                let bars = market_data::read_bars(query)
                    .await
                    .map_err(|error| match error {
                        market_data::Error::Denied(why) => StageError::Denied(why),
                        market_data::Error::Invalid(why) => StageError::Internal(why),
                        market_data::Error::Unavailable(why) => StageError::Unavailable(why),
                        market_data::Error::Other(why) => StageError::Other(why),
                    })?;
                let columns = $crate::bar::Columns {
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
    };
}
