//! Carries a batch out. Bars first, series by series; then the documents, in commits of bounded size. Each part can be done
//! again without a difference, so that a batch that was cut short is simply given again.

use std::cell::RefCell;

use bulkhead_kernel::bar::{Bar, Columns};
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::{BarsQuery, Document, Key, StageError, Write, read_body};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, Input, LiveQuote, LiveTrade, LiveTrades, Series};
use crate::join;
use crate::plan::Plan;
use crate::ports::{Appended, Ports};
use crate::run::oldest;
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
}

/// The body of `ingest/feed`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct FeedState {
    journal_documents: u32,
    last_journal_id: String,
    last_received_at_ms: i64,
    feed: Value,
}

fn state_key() -> Key {
    Key::new("ingest", "feed")
}

/// Stores a batch.
///
/// # Errors
/// The store; the batch can be given again.
pub async fn store(
    ports: &impl Ports,
    settings: &Settings,
    plan: &Plan,
    input: &Input,
    run_id: &str,
) -> Result<Outcome, StageError> {
    let mut batch = Batch::read(input, plan, settings);
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
    if !batch.bars.is_empty() || batch.quarantined_count > 0 {
        writes.extend(journal(ports, input, run_id, &output).await?);
    }
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(MAX_WRITES));
        ports.commit(writes).await?;
        writes = rest;
    }
    Ok(Outcome {
        output,
        rows: appended.rows(),
    })
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

fn readable<T: serde::de::DeserializeOwned>(document: Option<&Document>) -> Option<T> {
    serde_json::from_str(&document?.body).ok()
}

/// The batch's document in the feed's journal, which keeps its newest [`MAX_JOURNAL_DOCUMENTS`].
async fn journal(
    ports: &impl Ports,
    input: &Input,
    run_id: &str,
    output: &Value,
) -> Result<Vec<Write>, StageError> {
    let id = format!("{:013}-{run_id}", input.received_at_ms.max(0));
    let stored = ports.get(state_key()).await?;
    let mut state: FeedState = stored
        .as_ref()
        .map(read_body)
        .transpose()?
        .unwrap_or_default();
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
    let revision = stored.map(|document| document.revision);
    writes.push(Write::over(revision, state_key(), json!(state)));
    Ok(writes)
}
