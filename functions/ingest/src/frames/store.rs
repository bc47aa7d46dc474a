//! Carries a batch out. Bars first, series by series; then the documents, in commits of bounded size. Each part can be done
//! again without a difference, so that a batch that was cut short is simply given again.

use std::cell::RefCell;

use bulkhead_kernel::assessment::history;
use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::{BarsQuery, Document, Event, Key, StageError, Write, read_body};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, Input, LiveQuote, LiveTrade, LiveTrades, Series, health};
use crate::join;
use crate::plan::{self, Plan};
use crate::poll::Rules;
use crate::ports::{Appended, Ports};
use crate::run::{VALIDATION_FAILED, oldest};
use crate::series::{MAX_ERROR_BYTES, cut};
use crate::settings::Settings;

/// The most writes of one commit.
const MAX_WRITES: usize = 450;
/// The most bars of one append.
const MAX_APPEND_BARS: usize = 5_000;
/// The most documents of the feed's journal.
const MAX_JOURNAL_DOCUMENTS: u32 = 500;
/// How many of the oldest one commit takes away at most.
const MAX_PRUNED: u32 = 50;
/// The collection of the feed's journal, by `<received_at_ms, 13 digits>-<run_id>`.
const JOURNAL: &str = "ingest/feed_journal";

/// What became of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The task's output, and the journal's document.
    pub output: Value,
    /// Bars that were inserted or updated.
    pub rows: u32,
    /// Why nothing was taken, as a word: the plan is halted, or cannot be read.
    pub held: Option<&'static str>,
    /// What is told to the event bus.
    pub events: Vec<Event>,
}

/// The body of `ingest/feed`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct FeedState {
    journal_documents: u32,
    last_journal_id: String,
    last_received_at_ms: i64,
    /// When the feed was last graded, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graded_at_ms: Option<i64>,
    feed: Value,
}

fn state_key() -> Key {
    Key::new("ingest", "feed")
}

/// Stores a batch, unless the plan forbids it: a plan that is halted or cannot be read halts feeds as it does polls, and the batch can
/// be given again later.
///
/// # Errors
/// The store; the batch can be given again.
pub async fn store(
    ports: &impl Ports,
    settings: &Settings,
    input: &Input,
    run_id: &str,
) -> Result<Outcome, StageError> {
    let document = ports.get(plan::key()).await?;
    let body = document.as_ref().map(|document| document.body.as_str());
    let plan = match Plan::read(settings, body) {
        Err(why) => return Ok(held(input, &why)),
        Ok(Plan {
            halted: Some(why), ..
        }) => return Ok(held(input, &why)),
        Ok(plan) => plan,
    };
    let mut batch = Batch::read(input, &plan, settings);
    let appended = bars(ports, &mut batch).await?;
    let mut writes = quotes(ports, &batch).await?;
    writes.extend(trades(ports, &batch).await?);
    let output = json!({
        "status": if batch.quarantined_count == 0 { "success" } else { "partial" },
        "frames": input.frames.len(),
        "bars": appended.inserted + appended.updated + appended.unchanged,
        "trades": batch.trade_count,
        "quotes": batch.quote_count,
        "quarantined_count": batch.quarantined_count,
        "quarantined": batch.quarantined,
    });
    let (kept, events) = keep(ports, (input, &batch), run_id, &output).await?;
    writes.extend(kept);
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(MAX_WRITES));
        ports.commit(writes).await?;
        writes = rest;
    }
    Ok(Outcome {
        output,
        rows: appended.rows(),
        held: None,
        events,
    })
}

/// The end of a batch that was not taken.
fn held(input: &Input, why: &str) -> Outcome {
    Outcome {
        output: json!({
            "status": "aborted",
            "frames": input.frames.len(),
            "bars": 0,
            "trades": 0,
            "quotes": 0,
            "quarantined_count": 0,
            "quarantined": [],
            "error": cut(why, MAX_ERROR_BYTES),
        }),
        rows: 0,
        held: Some(VALIDATION_FAILED),
        events: vec![],
    }
}

/// Appends the closed bars; those that jump away from what is stored are quarantined, and come again by polling.
async fn bars(ports: &impl Ports, batch: &mut Batch) -> Result<Appended, StageError> {
    let appended = RefCell::new(Appended::default());
    let aside = RefCell::new(vec![]);
    join::each(&batch.bars, |((instrument, timeframe), series)| {
        let (appended, aside) = (&appended, &aside);
        async move {
            let (good, jumps) = judged(ports, instrument, timeframe, series).await?;
            aside
                .borrow_mut()
                .extend(jumps.into_iter().map(|jump| (instrument.clone(), jump)));
            for chunk in good.chunks(MAX_APPEND_BARS) {
                let columns = Columns::from_bars(chunk)
                    .map_err(|error| StageError::Other(error.to_string()))?;
                let changed = ports
                    .append(instrument.as_str(), timeframe, columns)
                    .await?;
                appended.borrow_mut().add(changed);
            }
            Ok::<(), StageError>(())
        }
    })
    .await?;
    for (instrument, (frame, reason)) in aside.into_inner() {
        batch.quarantine(frame, Some(instrument.as_str()), &reason);
    }
    Ok(appended.into_inner())
}

type Judged = (Vec<Bar>, Vec<(usize, String)>);

async fn judged(
    ports: &impl Ports,
    instrument: &Instrument,
    timeframe: &str,
    series: &Series,
) -> Result<Judged, StageError> {
    let mut aside = vec![];
    let mut good: Vec<Bar> = vec![];
    for (frame, bar) in series.bars.values() {
        match Columns::from_bars(std::slice::from_ref(bar)) {
            Ok(_) => good.push(*bar),
            Err(error) => aside.push((*frame, format!("invalid_bar: {error}"))),
        }
    }
    let before = BarsQuery {
        instrument: instrument.to_string(),
        timeframe: timeframe.to_owned(),
        start_ms: None,
        end_ms: good.first().map(|bar| bar.open_time_ms),
        limit: 1,
        last: true,
    };
    let stored = ports.read_bars(before).await?;
    let reference = stored.bar(0).map(|bar| bar.close);
    let rules = Rules {
        stored_open_ms: stored.open_time_ms.first().copied(),
        ..series.rules
    };
    good.retain(|bar| {
        let is_off_grid = rules.is_off_own_grid(bar.open_time_ms);
        if let Some((frame, _)) = series.bars.get(&bar.open_time_ms).filter(|_| is_off_grid) {
            aside.push((*frame, "off_grid".to_owned()));
        }
        !is_off_grid
    });
    for (open_time_ms, reason) in series.rules.put_jumps_aside(&mut good, reference) {
        let frame = series
            .bars
            .get(&open_time_ms)
            .map_or(0, |(frame, _)| *frame);
        aside.push((frame, reason));
    }
    Ok((good, aside))
}

async fn quotes(ports: &impl Ports, batch: &Batch) -> Result<Vec<Write>, StageError> {
    let writes = RefCell::new(vec![]);
    join::each(&batch.quotes, |(instrument, quote)| {
        let writes = &writes;
        async move {
            let key = Key::new("live_quotes", instrument.document_id());
            let stored = ports.get(key.clone()).await?;
            // What cannot be read is no later quote.
            let known: Option<LiveQuote> = readable(stored.as_ref());
            if known.is_none_or(|known| known.time_ms < quote.time_ms) {
                let revision = stored.map(|document| document.revision);
                writes
                    .borrow_mut()
                    .push(Write::over(revision, key, json!(quote)));
            }
            Ok::<(), StageError>(())
        }
    })
    .await?;
    Ok(writes.into_inner())
}

async fn trades(ports: &impl Ports, batch: &Batch) -> Result<Vec<Write>, StageError> {
    let writes = RefCell::new(vec![]);
    join::each(&batch.trades, |(instrument, trades)| {
        let writes = &writes;
        async move {
            let key = Key::new("live_trades", instrument.document_id());
            let stored = ports.get(key.clone()).await?;
            let known: LiveTrades = readable(stored.as_ref()).unwrap_or_default();
            let mut all = LiveTrades {
                symbol: instrument.to_string(),
                trades: known.trades.clone(),
            };
            let trades: Vec<LiveTrade> = trades.clone();
            all.add(trades);
            if all != known {
                let revision = stored.map(|document| document.revision);
                writes
                    .borrow_mut()
                    .push(Write::over(revision, key, json!(all)));
            }
            Ok::<(), StageError>(())
        }
    })
    .await?;
    Ok(writes.into_inner())
}

pub(super) fn readable<T: serde::de::DeserializeOwned>(document: Option<&Document>) -> Option<T> {
    serde_json::from_str(&document?.body).ok()
}

/// What is kept of a batch besides what it brought: its document in the journal, if it has news, and how good the feed is, if that
/// is due. And what the event bus is told of it.
async fn keep(
    ports: &impl Ports,
    (input, batch): (&Input, &Batch),
    run_id: &str,
    output: &Value,
) -> Result<(Vec<Write>, Vec<Event>), StageError> {
    let stored = ports.get(state_key()).await?;
    let mut state: FeedState = stored
        .as_ref()
        .map(read_body)
        .transpose()?
        .unwrap_or_default();
    let now_ms = input.received_at_ms;
    let (mut writes, mut events) = (vec![], vec![]);
    if !batch.bars.is_empty() || batch.quarantined_count > 0 {
        writes.extend(journal(ports, &mut state, input, run_id, output).await?);
    }
    if health::is_due(state.graded_at_ms, now_ms)
        && let Some(assessment) = health::assess(ports, batch, now_ms).await?
    {
        state.graded_at_ms = Some(now_ms);
        writes.extend(history::writes(ports, &assessment, run_id).await?);
        events.push(assessment.to_event());
    }
    if !writes.is_empty() {
        let revision = stored.map(|document| document.revision);
        writes.push(Write::over(revision, state_key(), json!(state)));
    }
    Ok((writes, events))
}

/// The batch's document in the feed's journal, which keeps its newest [`MAX_JOURNAL_DOCUMENTS`].
async fn journal(
    ports: &impl Ports,
    state: &mut FeedState,
    input: &Input,
    run_id: &str,
    output: &Value,
) -> Result<Vec<Write>, StageError> {
    let id = format!("{:013}-{run_id}", input.received_at_ms.max(0));
    let mut body = output.clone();
    body["run_id"] = json!(run_id);
    body["received_at_ms"] = json!(input.received_at_ms);
    body["venue"] = json!(input.venue.as_str());
    body["feed"] = input.feed.clone();
    let mut writes = vec![Write::Upsert(Key::new(JOURNAL, &id), body)];
    if state.last_journal_id != id {
        state.journal_documents = state.journal_documents.saturating_add(1);
        let surplus = state
            .journal_documents
            .saturating_sub(MAX_JOURNAL_DOCUMENTS);
        if surplus > 0 {
            let gone = oldest(ports, JOURNAL, surplus.min(MAX_PRUNED)).await?;
            let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
            state.journal_documents = state.journal_documents.saturating_sub(count);
            writes.extend(gone.into_iter().map(Write::Delete));
        }
    }
    state.last_journal_id = id;
    state.last_received_at_ms = input.received_at_ms;
    state.feed = input.feed.clone();
    Ok(writes)
}
