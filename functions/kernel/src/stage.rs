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

/// The most documents that [`list_all`] gives.
pub const MAX_LISTED: usize = 10_000;

/// All documents of a collection, by their ids.
///
/// # Errors
/// The store; [`StageError::Internal`] when there are more than [`MAX_LISTED`]: a part of them would look like all.
pub async fn list_all(
    documents: &impl Documents,
    collection: &str,
) -> Result<Vec<Document>, StageError> {
    let mut all: Vec<Document> = vec![];
    loop {
        let last = all.last().map(|document| document.key.clone());
        let query = Query {
            collection: collection.to_owned(),
            prefix: None,
            start: last.as_ref().map(|key| key.id.clone()),
            limit: MAX_LIST_LIMIT,
        };
        let page = documents.list(query).await?;
        let is_last = page.len() < MAX_LIST_LIMIT as usize;
        // The last one so far comes again, unless somebody deleted it.
        all.extend(
            page.into_iter()
                .filter(|document| Some(&document.key) != last.as_ref()),
        );
        if all.len() > MAX_LISTED {
            return Err(StageError::Internal(format!(
                "`{collection}` holds more than {MAX_LISTED} documents; delete those that nobody needs"
            )));
        }
        if is_last {
            return Ok(all);
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::memory::{Memory, ready};

    fn with_documents(count: usize) -> Memory {
        let memory = Memory::default();
        for number in 0..count {
            memory.put("signalState", &format!("{number:05}"), &json!({}));
        }
        memory
    }

    #[test]
    fn all_documents_of_a_collection_are_listed_over_every_page() {
        for count in [0, 999, 1_000, 1_001, 2_500] {
            let memory = with_documents(count);
            let listed = ready(list_all(&memory, "signalState")).unwrap();
            let ids: Vec<&str> = listed
                .iter()
                .map(|document| document.key.id.as_str())
                .collect();
            assert_eq!(ids, memory.ids("signalState"));
        }
    }

    #[test]
    fn more_documents_than_can_be_listed_are_an_error_and_not_a_part_of_them() {
        let error = ready(list_all(&with_documents(MAX_LISTED + 1), "signalState")).unwrap_err();
        assert!(matches!(error, StageError::Internal(_)), "{error:?}");
    }
}
