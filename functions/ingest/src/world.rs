//! Venues and a store in memory, for the stage's tests.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::memory::ready;
use bulkhead_kernel::stage::{
    BarsQuery, Document, Documents, Key, MarketData, Query, StageError, Write,
};
use bulkhead_venues::HttpRequest;
use serde_json::{Value, json};

use crate::journal::JOURNAL;
use crate::ports::{Appended, FetchError, Fetched, Ports};
use crate::run::{Ended, Polled, Run, poll};
use crate::settings::{Origin, Settings};

/// When the first bar of the tests opens: a whole minute, in Unix milliseconds.
pub const FIRST_MS: i64 = 1_700_000_040_000;
/// Later than every bar of the tests has closed.
pub const LATER_MS: i64 = FIRST_MS + 1_000_000 * MINUTE_MS;
/// A minute.
pub const MINUTE_MS: i64 = 60_000;

pub type Answer = Result<Fetched, FetchError>;

#[derive(Default)]
pub struct World {
    /// What the venue answers next; when none is left it serves `bars`.
    pub answers: RefCell<VecDeque<Answer>>,
    /// The venue's bars of every symbol.
    pub bars: RefCell<Vec<Value>>,
    /// Hosts that do not answer.
    pub down: RefCell<BTreeSet<String>>,
    /// Symbols that no venue has.
    pub unknown: RefCell<BTreeSet<String>>,
    /// Whether the grants refuse every request.
    pub denies: Cell<bool>,
    pub requests: RefCell<Vec<String>>,
    pub stored: RefCell<BTreeMap<String, BTreeMap<i64, Bar>>>,
    pub documents: RefCell<BTreeMap<(String, String), (u64, String)>>,
    pub commits: RefCell<Vec<usize>>,
    pub append_fails: RefCell<Option<StageError>>,
    /// So many more appends and commits are carried out before one fails.
    pub cut_after: Cell<Option<usize>>,
    pub variables: RefCell<BTreeMap<String, String>>,
    pub now_ms: Cell<i64>,
    /// How much longer than usual a run has taken so far.
    pub late_ms: Cell<f64>,
}

pub fn kline(minute: i64, close: &str) -> Value {
    let opens = FIRST_MS + minute * MINUTE_MS;
    json!([opens, close, close, close, close, "1", 0])
}

pub fn answered(status: u16, body: impl ToString) -> Answer {
    Ok(Fetched {
        status,
        headers: vec![],
        body: body.to_string().into_bytes(),
    })
}

impl World {
    pub fn with_bars(minutes: std::ops::Range<i64>) -> Self {
        let world = Self::default();
        world.serve(minutes);
        world
    }

    /// The venue has bars of these minutes, and no others.
    pub fn serve(&self, minutes: impl IntoIterator<Item = i64>) {
        let bars = minutes.into_iter().map(|minute| kline(minute, "100.5"));
        self.bars.replace(bars.collect());
    }

    pub fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.borrow_mut().extend(answers);
        self
    }

    pub fn with(self, key: &str, value: &str) -> Self {
        self.variables
            .borrow_mut()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn settings(&self) -> Settings {
        let variables = self.variables.borrow();
        Settings::read(|key| {
            let default = match key {
                "market_data_url" => Some("http://venue.test"),
                "instruments" => Some("BTC-USDT"),
                "timeframe" => Some("1m"),
                "backfill_start" => Some("earliest"),
                _ => None,
            };
            let set = variables.get(key).map(String::as_str);
            Ok(set.or(default).map(str::to_owned))
        })
        .unwrap()
    }

    pub fn poll_at(&self, scheduled_at_ms: i64, run_id: &str) -> Result<Polled, StageError> {
        self.attempt(scheduled_at_ms, run_id, 1)
            .map(|ended| ended.how)
    }

    pub fn attempt(
        &self,
        scheduled_at_ms: i64,
        run_id: &str,
        attempt: u32,
    ) -> Result<Ended, StageError> {
        self.now_ms.set(scheduled_at_ms);
        let run = Run {
            run_id,
            scheduled_at_ms,
            attempt,
            is_scheduled: true,
        };
        ready(poll(self, &self.settings(), run))
    }

    pub fn stored_minutes(&self, instrument: &str) -> Vec<i64> {
        let stored = self.stored.borrow();
        let series = stored.get(instrument).into_iter().flatten();
        series
            .map(|(opens, _)| (opens - FIRST_MS) / MINUTE_MS)
            .collect()
    }

    pub fn journal(&self) -> Vec<(String, Value)> {
        let documents = self.documents.borrow();
        let journal = documents
            .iter()
            .filter(|((collection, _), _)| collection == JOURNAL);
        journal
            .map(|((_, id), (_, body))| (id.clone(), serde_json::from_str(body).unwrap()))
            .collect()
    }

    /// A document's body; null when there is none.
    pub fn body(&self, collection: &str, id: &str) -> Value {
        let documents = self.documents.borrow();
        let found = documents.get(&(collection.to_owned(), id.to_owned()));
        found.map_or(Value::Null, |(_, body)| serde_json::from_str(body).unwrap())
    }

    pub fn put(&self, collection: &str, id: &str, body: &str) {
        let place = (collection.to_owned(), id.to_owned());
        self.documents
            .borrow_mut()
            .insert(place, (1, body.to_owned()));
    }

    pub fn state(&self) -> Value {
        self.body("ingest", "state")
    }

    pub fn series(&self, instrument: &str) -> Value {
        self.body("ingest/series", "intraday_trades")["symbols"][instrument].clone()
    }

    fn may_store(&self) -> Result<(), StageError> {
        match self.cut_after.get() {
            Some(0) => {
                self.cut_after.set(None);
                Err(StageError::Unavailable("the store went away".to_owned()))
            }
            Some(left) => {
                self.cut_after.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The value of a parameter.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = query.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Ports for World {
    async fn fetch(&self, origin: &Origin, request: &HttpRequest, max_bytes: usize) -> Answer {
        assert_eq!(request.method, "GET");
        let query = &request.path_and_query;
        self.requests.borrow_mut().push(format!("{origin}{query}"));
        if self.denies.get() {
            return Err(FetchError::Denied("host-not-granted".to_owned()));
        }
        if self.down.borrow().contains(&origin.authority) {
            return Err(FetchError::Unavailable("connection refused".to_owned()));
        }
        if let Some(answer) = self.answers.borrow_mut().pop_front() {
            return answer;
        }
        let symbol = parameter(query, "symbol").unwrap_or_default();
        if self.unknown.borrow().contains(symbol) {
            return answered(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        }
        let bound = |name, default| {
            parameter(query, name).map_or(default, |text| text.parse::<i64>().unwrap())
        };
        let (start, end) = (bound("startTime", 0), bound("endTime", i64::MAX));
        let bars = self.bars.borrow();
        let page: Vec<&Value> = bars
            .iter()
            .filter(|bar| (start..=end).contains(&bar[0].as_i64().unwrap()))
            .take(1_000)
            .collect();
        let body = json!(page).to_string();
        if body.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        answered(200, body)
    }

    async fn latest(&self, instrument: &str, _: &str) -> Result<Option<i64>, StageError> {
        let stored = self.stored.borrow();
        Ok(stored
            .get(instrument)
            .and_then(|bars| bars.keys().next_back().copied()))
    }

    async fn append(
        &self,
        instrument: &str,
        _: &str,
        bars: Columns,
    ) -> Result<Appended, StageError> {
        self.may_store()?;
        if let Some(error) = self.append_fails.borrow_mut().take() {
            return Err(error);
        }
        let mut appended = Appended::default();
        let mut stored = self.stored.borrow_mut();
        let series = stored.entry(instrument.to_owned()).or_default();
        for bar in bars.bars() {
            match series.insert(bar.open_time_ms, bar) {
                None => appended.inserted += 1,
                Some(before) if before == bar => appended.unchanged += 1,
                Some(_) => appended.updated += 1,
            }
        }
        Ok(appended)
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    fn elapsed_ms(&self) -> f64 {
        1.5 + self.late_ms.get()
    }
}

impl MarketData for World {
    async fn read_bars(&self, query: BarsQuery) -> Result<Columns, StageError> {
        let stored = self.stored.borrow();
        let range = query.start_ms.unwrap_or(i64::MIN)..query.end_ms.unwrap_or(i64::MAX);
        let series = stored.get(&query.instrument);
        let mut bars: Vec<Bar> = series
            .into_iter()
            .flat_map(|bars| bars.range(range.clone()))
            .map(|(_, bar)| *bar)
            .collect();
        let limit = query.limit as usize;
        if query.last {
            bars.drain(..bars.len().saturating_sub(limit));
        }
        bars.truncate(limit);
        Ok(Columns::from_bars(&bars).unwrap())
    }
}

impl Documents for World {
    async fn get(&self, key: Key) -> Result<Option<Document>, StageError> {
        let documents = self.documents.borrow();
        let found = documents.get(&(key.collection.clone(), key.id.clone()));
        Ok(found.map(|(revision, body)| Document {
            key,
            revision: *revision,
            body: body.clone(),
        }))
    }

    async fn list(&self, query: Query) -> Result<Vec<Document>, StageError> {
        let documents = self.documents.borrow();
        let found = documents
            .iter()
            .filter(|((collection, _), _)| *collection == query.collection);
        let documents = found.map(|((collection, id), (revision, body))| Document {
            key: Key::new(collection, id),
            revision: *revision,
            body: body.clone(),
        });
        Ok(documents.take(query.limit as usize).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        self.may_store()?;
        let count = writes.len();
        let mut documents = self.documents.borrow().clone();
        for write in writes {
            let (key, body, expected) = match write {
                Write::Create(key, body) => (key, Some(body), Some(0)),
                Write::Replace(key, revision, body) => (key, Some(body), Some(revision)),
                Write::Upsert(key, body) => (key, Some(body), None),
                Write::Delete(key) => (key, None, None),
            };
            let place = (key.collection, key.id);
            let revision = documents.get(&place).map_or(0, |(revision, _)| *revision);
            if expected.is_some_and(|expected| expected != revision) {
                return Err(StageError::Conflict(place.1));
            }
            match body {
                Some(body) => documents.insert(place, (revision + 1, body.to_string())),
                None => documents.remove(&place),
            };
        }
        self.documents.replace(documents);
        self.commits.borrow_mut().push(count);
        Ok(())
    }
}
