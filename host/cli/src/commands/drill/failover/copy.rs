//! A throw-away copy of what the stage `ingest` needs: its documents, and the newest bars but for the very newest, which the
//! fallback has to bring.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use bulkhead_evaluators::dimension::Dimension;
use bulkhead_store::{Bars, BarsQuery, Key, MemoryStore, Series, Store, StoreError, Write};
use ingest::journal::{self, State};
use ingest::plan::{self, Plan};
use ingest::series::{self, Known, Ledger};
use ingest::stored::Bodies;
use serde_json::{Map, Value, json};

/// So many of a series' newest bars are left out: a source that is a bar or two behind the one that gave them still has one of them.
const LEFT_OUT_BARS: usize = 3;
/// So many bars before those are copied: enough to see whether a price jumps.
const COPIED_BARS: usize = 32;

/// The documents of the stage that the drill looks at. None: there is no such document.
#[derive(Debug)]
pub struct Documents {
    plan: Option<String>,
    state: Option<String>,
    daily_bars: Option<String>,
    intraday_trades: Option<String>,
}

impl Documents {
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let ledger = |dimension| body(store, series::key(dimension));
        Ok(Self {
            plan: body(store, plan::key()).await?,
            state: body(store, journal::state_key()).await?,
            daily_bars: ledger(Dimension::DailyBars).await?,
            intraday_trades: ledger(Dimension::IntradayTrades).await?,
        })
    }

    pub fn bodies(&self) -> Bodies<'_> {
        Bodies {
            plan: self.plan.as_deref(),
            state: self.state.as_deref(),
            daily_bars: self.daily_bars.as_deref(),
            intraday_trades: self.intraday_trades.as_deref(),
        }
    }

    /// Whether no run has ended yet.
    pub fn are_missing(&self) -> bool {
        self.state.is_none()
    }

    /// The state in which nothing is known against any source, so that each is asked, out of the budget that is left of it.
    fn fresh_state(&self) -> anyhow::Result<Option<Value>> {
        let Some(body) = &self.state else {
            return Ok(None);
        };
        let mut state: State =
            serde_json::from_str(body).context("reading the document `ingest/state` failed")?;
        for source in state.sources.values_mut() {
            source.answered();
        }
        // The run is to say how things stand, however lately another one did.
        state.memory.assessed_at_ms = None;
        Ok(Some(serde_json::to_value(state)?))
    }
}

async fn body(
    store: &dyn Store,
    key: bulkhead_kernel::stage::Key,
) -> Result<Option<String>, StoreError> {
    let document = store.get(&Key::new(key.collection, key.id)?).await?;
    Ok(document.map(|document| document.body))
}

/// A series of the copy.
#[derive(Debug)]
pub struct Copied {
    pub series: Series,
    /// When the newest copied bar opens, in Unix milliseconds. None: there is none.
    pub newest_ms: Option<i64>,
}

/// The copy.
pub struct StoreCopy {
    pub store: Arc<MemoryStore>,
    pub series: Vec<Copied>,
    pub dimensions: Vec<Dimension>,
}

/// Copies what a run needs that brings in these dimensions and no others.
pub async fn of(
    store: &dyn Store,
    documents: &Documents,
    plan: &Plan,
    dimensions: &[Dimension],
    now_ms: i64,
) -> anyhow::Result<StoreCopy> {
    let copy = MemoryStore::new(now_ms);
    let mut writes = vec![upsert(plan::key(), only(plan, dimensions))?];
    if let Some(state) = documents.fresh_state()? {
        writes.push(upsert(journal::state_key(), state)?);
    }
    let mut copied = vec![];
    for dimension in dimensions {
        let Some(planned) = plan.bars(*dimension) else {
            continue;
        };
        let mut symbols = BTreeMap::new();
        for instrument in &planned.symbols {
            let series = Series::new(instrument.as_str(), planned.timeframe.to_string())?;
            let bars = older(store.read_bars(&newest(&series)).await?);
            let newest_ms = bars.open_time_ms.last().copied();
            if newest_ms.is_some() {
                copy.append_bars(series.clone(), bars, now_ms).await?;
            }
            // As if polling had come so far: the run goes on there.
            let known = Known {
                filled_to_ms: newest_ms,
                ..Known::default()
            };
            symbols.insert(series.instrument.clone(), known);
            copied.push(Copied { series, newest_ms });
        }
        let ledger = Ledger {
            dimension: *dimension,
            timeframe: planned.timeframe,
            graded_at_ms: now_ms,
            symbols,
        };
        writes.push(upsert(series::key(*dimension), json!(ledger))?);
    }
    copy.commit(writes, now_ms).await?;
    Ok(StoreCopy {
        store: Arc::new(copy),
        series: copied,
        dimensions: dimensions.to_vec(),
    })
}

fn upsert(key: bulkhead_kernel::stage::Key, body: Value) -> Result<Write, StoreError> {
    Ok(Write::Upsert {
        key: Key::new(key.collection, key.id)?,
        body: body.to_string(),
    })
}

/// The plan's document, with these dimensions alone.
fn only(plan: &Plan, dimensions: &[Dimension]) -> Value {
    let mut document = Map::new();
    for dimension in Dimension::ALL {
        let bars = plan
            .bars(dimension)
            .filter(|_| dimensions.contains(&dimension));
        let mut slice = bars.map(|bars| {
            let symbols = bars.symbols.iter().map(|symbol| symbol.as_str());
            json!({
                "symbols": symbols.collect::<Vec<_>>(),
                "lookback_days": bars.lookback_days,
            })
        });
        if let (Dimension::IntradayTrades, Some(bars), Some(slice)) = (dimension, bars, &mut slice)
        {
            slice["interval"] = json!(bars.timeframe);
        }
        document.insert(dimension.as_str().to_owned(), json!(slice));
    }
    Value::Object(document)
}

fn newest(series: &Series) -> BarsQuery {
    BarsQuery {
        series: series.clone(),
        start_ms: None,
        end_ms: None,
        limit: (COPIED_BARS + LEFT_OUT_BARS) as u32,
        last: true,
    }
}

/// The bars without the newest ones.
fn older(mut bars: Bars) -> Bars {
    let count = bars.open_time_ms.len().saturating_sub(LEFT_OUT_BARS);
    for column in [
        &mut bars.open_time_ms,
        &mut bars.open,
        &mut bars.high,
        &mut bars.low,
        &mut bars.close,
        &mut bars.volume,
    ] {
        column.truncate(count);
    }
    bars
}
