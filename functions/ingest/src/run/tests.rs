//! The poll against a venue and a store in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll as Ready, Waker};

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_venues::HttpRequest;
use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Polled, Run, poll};
use crate::StageError;
use crate::journal::{JOURNAL, MAX_JOURNAL_DOCUMENTS, Status};
use crate::poll::MAX_PAGES;
use crate::ports::{Appended, FetchError, Fetched, Key, Ports, Stored, Write};
use crate::settings::{Origin, Settings};

/// When the first bar of the tests opens: a whole minute, in Unix milliseconds.
const FIRST_MS: i64 = 1_700_000_040_000;
/// Later than every bar of the tests has closed.
const LATER_MS: i64 = FIRST_MS + 1_000_000 * 60_000;

type Answer = Result<Fetched, FetchError>;

#[derive(Default)]
struct World {
    /// What the venue answers next; when none is left it serves `bars`.
    answers: RefCell<VecDeque<Answer>>,
    /// The venue's bars of every symbol.
    bars: RefCell<Vec<Value>>,
    requests: RefCell<Vec<String>>,
    stored: RefCell<BTreeMap<String, BTreeMap<i64, Bar>>>,
    documents: RefCell<BTreeMap<(String, String), (u64, String)>>,
    commits: RefCell<Vec<usize>>,
    append_fails: RefCell<Option<StageError>>,
}

fn kline(minute: i64, close: &str) -> Value {
    json!([
        FIRST_MS + minute * 60_000,
        close,
        close,
        close,
        close,
        "1",
        0
    ])
}

fn answered(status: u16, body: impl ToString) -> Answer {
    Ok(Fetched {
        status,
        retry_after: None,
        body: body.to_string().into_bytes(),
    })
}

impl World {
    fn with_bars(minutes: std::ops::Range<i64>) -> Self {
        let world = Self::default();
        world
            .bars
            .replace(minutes.map(|minute| kline(minute, "100.5")).collect());
        world
    }

    fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.borrow_mut().extend(answers);
        self
    }

    fn poll_at(&self, scheduled_at_ms: i64, run_id: &str) -> Result<Polled, StageError> {
        self.attempt(scheduled_at_ms, run_id, 1, "BTC-USDT")
    }

    fn attempt(
        &self,
        scheduled_at_ms: i64,
        run_id: &str,
        attempt: u32,
        instruments: &str,
    ) -> Result<Polled, StageError> {
        let settings = Settings::read(|key| {
            Ok(Some(
                match key {
                    "market_data_url" => "http://venue.test",
                    "instruments" => instruments,
                    "timeframe" => "1m",
                    _ => "earliest",
                }
                .to_owned(),
            ))
        })
        .unwrap();
        let run = Run {
            run_id,
            scheduled_at_ms,
            attempt,
        };
        ready(poll(self, &settings, run))
    }

    fn stored_minutes(&self, instrument: &str) -> Vec<i64> {
        let stored = self.stored.borrow();
        let series = stored.get(instrument).into_iter().flatten();
        series
            .map(|(opens, _)| (opens - FIRST_MS) / 60_000)
            .collect()
    }

    fn journal(&self) -> Vec<(String, Value)> {
        let documents = self.documents.borrow();
        let journal = documents
            .iter()
            .filter(|((collection, _), _)| collection == JOURNAL);
        journal
            .map(|((_, id), (_, body))| (id.clone(), serde_json::from_str(body).unwrap()))
            .collect()
    }

    fn state(&self) -> Value {
        let documents = self.documents.borrow();
        serde_json::from_str(&documents[&("ingest".to_owned(), "state".to_owned())].1).unwrap()
    }
}

/// Every answer in memory is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Ready::Ready(value) => value,
        Ready::Pending => panic!("nothing in memory is waited for"),
    }
}

impl Ports for World {
    async fn fetch(&self, origin: &Origin, request: &HttpRequest, max_bytes: usize) -> Answer {
        assert_eq!(request.method, "GET");
        let query = &request.path_and_query;
        self.requests.borrow_mut().push(format!("{origin}{query}"));
        if let Some(answer) = self.answers.borrow_mut().pop_front() {
            return answer;
        }
        let start = query
            .split("startTime=")
            .nth(1)
            .and_then(|rest| rest.split('&').next());
        let start: i64 = start.map_or(0, |text| text.parse().unwrap());
        let bars = self.bars.borrow();
        let page: Vec<&Value> = bars
            .iter()
            .filter(|bar| bar[0].as_i64() >= Some(start))
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
        timeframe: &str,
        bars: Columns,
    ) -> Result<Appended, StageError> {
        assert_eq!(timeframe, "1m");
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

    async fn get(&self, key: &Key) -> Result<Option<Stored>, StageError> {
        let documents = self.documents.borrow();
        let found = documents.get(&(key.collection.to_owned(), key.id.clone()));
        Ok(found.map(|(revision, body)| Stored {
            revision: *revision,
            body: body.clone(),
        }))
    }

    async fn first_ids(&self, collection: &str, limit: u32) -> Result<Vec<String>, StageError> {
        let documents = self.documents.borrow();
        let ids = documents
            .keys()
            .filter(|(name, _)| name == collection)
            .map(|(_, id)| id.clone());
        Ok(ids.take(limit as usize).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StageError> {
        self.commits.borrow_mut().push(writes.len());
        let mut documents = self.documents.borrow_mut();
        for write in writes {
            let (key, body, expected) = match write {
                Write::Create(key, body) => (key, Some(body), Some(0)),
                Write::Replace(key, revision, body) => (key, Some(body), Some(revision)),
                Write::Upsert(key, body) => (key, Some(body), None),
                Write::Delete(key) => (key, None, None),
            };
            let place = (key.collection.to_owned(), key.id);
            let revision = documents.get(&place).map_or(0, |(revision, _)| *revision);
            if expected.is_some_and(|expected| expected != revision) {
                return Err(StageError::Conflict(place.1));
            }
            match body {
                Some(body) => documents.insert(place, (revision + 1, body)),
                None => documents.remove(&place),
            };
        }
        Ok(())
    }

    fn elapsed_ms(&self) -> f64 {
        1.5
    }
}

#[test]
fn a_first_poll_stores_every_closed_bar_and_records_it() {
    let world = World::with_bars(0..2_500);
    let polled = world
        .poll_at(FIRST_MS + 2_450 * 60_000 + 30_000, "r1")
        .unwrap();
    let Polled::Stored(record) = polled else {
        panic!("{polled:?}")
    };
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..2_450).collect::<Vec<_>>()
    );
    assert_eq!(
        (record.rows, record.pages, record.status),
        (2_450, 3, Status::Success)
    );
    assert_eq!(record.freshness_seconds, Some(30.0));
    assert!(!record.symbols[0].is_behind);
    let journal = world.journal();
    assert_eq!(journal[0].0, format!("{}-r1", record.scheduled_at_ms));
    assert_eq!(journal[0].1, json!(record));
    assert_eq!(world.state()["journal_documents"], 1);
    assert_eq!(
        world.requests.borrow()[0],
        "http://venue.test/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=0&limit=1000"
    );
}

#[test]
fn a_run_asks_for_a_bounded_number_of_pages_and_the_next_goes_on() {
    let world = World::with_bars(0..10_500);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!((record.pages, record.rows), (MAX_PAGES, 10_000));
    assert!(record.symbols[0].is_behind);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r2").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!((record.pages, record.rows), (1, 500));
    assert_eq!(record.symbols[0].unchanged, 1);
    assert_eq!(world.stored_minutes("BTC-USDT").len(), 10_500);
}

#[test]
fn a_poll_without_news_brings_the_state_up_to_date_and_leaves_the_journal() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    for run in ["r2", "r3"] {
        assert!(matches!(
            world.poll_at(LATER_MS + 1, run),
            Ok(Polled::NothingNew(_))
        ));
    }
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.state()["last"]["run_id"], "r3");
    assert_eq!(world.commits.borrow().as_slice(), [2, 1, 1]);
}

#[test]
fn a_bar_that_the_venue_corrected_is_brought_up_to_date() {
    let world = World::with_bars(0..3);
    world.poll_at(LATER_MS, "r1").unwrap();
    world.bars.borrow_mut()[2] = kline(2, "99");
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r2").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(
        (record.symbols[0].updated, record.symbols[0].inserted),
        (1, 0)
    );
}

#[test]
fn duplicates_disorder_and_invalid_bars_are_quarantined_and_never_stored() {
    let crooked = json!([FIRST_MS + 5 * 60_000, "1", "2", "3", "1", "1"]);
    let too_fine = json!([
        FIRST_MS + 6 * 60_000,
        "0.1234567890123",
        "2",
        "0.1",
        "1",
        "1"
    ]);
    let off_grid = json!([FIRST_MS + 7 * 60_000 + 1, "1", "1", "1", "1", "1"]);
    let page = json!([
        kline(0, "1"),
        kline(2, "1"),
        kline(2, "9"),
        kline(1, "1"),
        crooked,
        too_fine,
        off_grid,
        kline(8, "1")
    ]);
    let world = World::default().answers([answered(200, &page)]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 2, 8]);
    assert_eq!(
        world.stored.borrow()["BTC-USDT"][&(FIRST_MS + 120_000)]
            .close
            .to_string(),
        "1"
    );
    let mut reasons: Vec<_> = record
        .quarantined
        .bars
        .iter()
        .map(|bar| bar.reason.as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons[0], "duplicate");
    assert!(reasons[1].starts_with("invalid_bar: "), "{}", reasons[1]);
    assert!(reasons[2].starts_with("invalid_bar: "), "{}", reasons[2]);
    assert_eq!(reasons[3..], ["off_grid", "out_of_order"]);
    assert_eq!(record.quarantined.count, 5);
    assert_eq!(world.journal()[0].1["quarantined"]["count"], 5);
}

#[test]
fn the_newest_bar_is_the_newest_that_was_stored_and_not_one_that_was_quarantined() {
    let too_fine = |minute: i64| {
        json!([
            FIRST_MS + minute * 60_000,
            "0.1234567890123",
            "2",
            "0.1",
            "1",
            "1"
        ])
    };
    let page = json!([kline(0, "1"), kline(1, "1"), too_fine(2)]);
    let none_fits = json!([too_fine(3)]);
    let world = World::default().answers([answered(200, &page), answered(200, &none_fits)]);
    let now_ms = FIRST_MS + 5 * 60_000;
    for run in ["r1", "r2"] {
        let (Polled::Stored(record) | Polled::NothingNew(record)) =
            world.poll_at(now_ms, run).unwrap()
        else {
            panic!("{run} was not polled")
        };
        let series = &record.symbols[0];
        assert_eq!(series.quarantined, 1, "{run}");
        assert_eq!(series.newest_open_time_ms, Some(FIRST_MS + 60_000), "{run}");
        assert_eq!(record.freshness_seconds, Some(180.0), "{run}");
    }
}

#[test]
fn lower_case_instruments_are_stored_under_the_name_that_the_other_stages_look_for() {
    let world = World::with_bars(0..3);
    let Polled::Stored(record) = world
        .attempt(LATER_MS, "r1", 1, " btc-usdt, Btc-Usdt")
        .unwrap()
    else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);
    assert_eq!(world.stored.borrow().len(), 1);
    assert_eq!(record.symbols[0].instrument, "BTC-USDT");
}

#[test]
fn a_bar_quarantined_again_and_again_enters_the_journal_once() {
    let bad = json!([[FIRST_MS, "0", "0", "0", "0", "1"]]);
    let world = World::default().answers((0..3).map(|_| answered(200, &bad)));
    for run in ["r1", "r2", "r3"] {
        assert!(matches!(
            world.poll_at(LATER_MS, run),
            Ok(Polled::NothingNew(_))
        ));
    }
    assert_eq!(world.journal().len(), 1);
}

#[test]
fn a_venue_that_repeats_its_full_page_for_ever_ends_the_series() {
    let page = json!(
        (0..1_000)
            .map(|minute| kline(minute, "1"))
            .collect::<Vec<_>>()
    );
    let world = World::default().answers((0..20).map(|_| answered(200, &page)));
    world.poll_at(LATER_MS, "r1").unwrap();
    assert_eq!(world.requests.borrow().len(), 2);
    assert_eq!(world.stored_minutes("BTC-USDT").len(), 1_000);
}

#[test]
fn a_venue_that_does_not_answer_makes_the_run_unavailable_and_names_the_url() {
    let refused = || Err(FetchError::Unavailable("connection refused".to_owned()));
    let world = World::with_bars(0..3).answers([refused(), refused()]);
    let Err(StageError::Unavailable(detail)) = world.poll_at(LATER_MS, "r1") else {
        panic!("the venue is down")
    };
    assert!(
        detail.starts_with("GET http://venue.test/api/v3/klines?symbol=BTCUSDT"),
        "{detail}"
    );
    assert!(detail.ends_with("connection refused"), "{detail}");
    assert!(world.attempt(LATER_MS, "r1", 2, "BTC-USDT").is_err());
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.journal()[0].1["status"], "failed");
    // The third attempt gets through: its record takes the place of the failed one.
    world.attempt(LATER_MS, "r1", 3, "BTC-USDT").unwrap();
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.journal()[0].1["status"], "success");
    assert_eq!(world.state()["journal_documents"], 1);
}

#[test]
fn a_request_that_the_grants_refuse_makes_the_run_denied() {
    let world = World::default().answers([Err(FetchError::Denied("host-not-granted".to_owned()))]);
    let error = world.poll_at(LATER_MS, "r1").unwrap_err();
    assert!(
        matches!(&error, StageError::Denied(detail) if detail.contains("http://venue.test")),
        "{error:?}"
    );
}

#[test]
fn answers_that_are_no_klines_are_errors_that_name_the_place() {
    for (answer, text) in [
        (answered(200, "<html>"), "as JSON: expected value"),
        (answered(200, r#"[[1,"1","x"]]"#), "element 0, field `high`"),
        (
            answered(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            "Invalid symbol.",
        ),
        (answered(302, ""), "HTTP 302"),
        (Err(FetchError::TooLarge(7)), "longer than 7 bytes"),
    ] {
        let world = World::default().answers([answer]);
        match world.poll_at(LATER_MS, "r1") {
            Err(StageError::Other(detail)) => {
                assert!(
                    detail.contains(text) && detail.contains("http://venue.test"),
                    "{detail}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let world = World::default().answers([answered(503, "")]);
    assert!(matches!(
        world.poll_at(LATER_MS, "r1"),
        Err(StageError::Unavailable(_))
    ));
}

#[test]
fn one_refused_instrument_does_not_keep_the_others_from_being_polled() {
    let world = World::with_bars(0..3).answers([answered(400, "{}")]);
    let error = world
        .attempt(LATER_MS, "r1", 1, "NONE-USDT,BTC-USDT")
        .unwrap_err();
    assert!(error.detail().contains("NONEUSDT"), "{error:?}");
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);
    assert_eq!(world.journal()[0].1["status"], "partial");
}

#[test]
fn a_rate_limited_feed_waits_as_long_as_the_venue_asks() {
    let limited = Ok(Fetched {
        status: 429,
        retry_after: Some("30".to_owned()),
        body: Vec::new(),
    });
    let world = World::with_bars(0..3).answers([limited]);
    let not_before_ms = LATER_MS + 30_000;
    assert_eq!(
        world.poll_at(LATER_MS, "r1"),
        Ok(Polled::RateLimited { not_before_ms })
    );
    assert_eq!(
        world.poll_at(LATER_MS + 29_999, "r2"),
        Ok(Polled::RateLimited { not_before_ms })
    );
    assert_eq!(world.requests.borrow().len(), 1);
    assert!(matches!(
        world.poll_at(not_before_ms, "r3"),
        Ok(Polled::Stored(_))
    ));
    assert_eq!(world.state()["not_before_ms"], json!(null));
}

#[test]
fn bars_that_the_store_refused_count_as_not_stored() {
    let world = World::with_bars(0..3);
    world
        .append_fails
        .replace(Some(StageError::Unavailable("disk full".to_owned())));
    assert_eq!(
        world.poll_at(LATER_MS, "r1"),
        Err(StageError::Unavailable("disk full".to_owned()))
    );
    let record = &world.journal()[0].1;
    assert_eq!(
        (&record["rows"], &record["status"]),
        (&json!(0), &json!("failed"))
    );
    assert_eq!(record["symbols"][0]["newest_open_time_ms"], json!(null));
}

#[test]
fn the_journal_keeps_its_bound_and_drops_the_oldest() {
    let world = World::default();
    let bound = i64::from(MAX_JOURNAL_DOCUMENTS);
    for minute in 0..bound + 3 {
        world.bars.borrow_mut().push(kline(minute, "1"));
        world.poll_at(LATER_MS + minute, "r").unwrap();
    }
    let journal = world.journal();
    assert_eq!(journal.len(), MAX_JOURNAL_DOCUMENTS as usize);
    assert_eq!(journal[0].0, format!("{}-r", LATER_MS + 3));
    assert_eq!(world.state()["journal_documents"], MAX_JOURNAL_DOCUMENTS);
}

#[test]
fn a_state_that_is_not_ours_is_reported_and_left() {
    let world = World::with_bars(0..3);
    let place = ("ingest".to_owned(), "state".to_owned());
    world
        .documents
        .borrow_mut()
        .insert(place, (4, "{}".to_owned()));
    let error = world.poll_at(LATER_MS, "r1").unwrap_err();
    assert!(
        matches!(&error, StageError::Internal(detail) if detail.contains("ingest/state")),
        "{error:?}"
    );
    assert!(world.commits.borrow().is_empty() && world.requests.borrow().is_empty());
}
