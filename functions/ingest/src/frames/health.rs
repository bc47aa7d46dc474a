//! How good a feed is: the feed's evaluator over the latest trades of the batch's instruments, at most once a minute.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_evaluators::feed_health::{self, Policy, Tick};
use bulkhead_kernel::assessment::Assessment;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::stage::{Documents, Key, StageError};
use rust_decimal::prelude::ToPrimitive;

use super::store::readable;
use super::{Batch, LiveTrade, LiveTrades};

/// The most instruments of a batch that are graded.
const MAX_INSTRUMENTS: usize = 64;
/// How long after an assessment the next one is made, in milliseconds.
const EVERY_MS: i64 = 60_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Whether it is time. A clock that was ahead must not keep the feed from being graded.
pub(super) fn is_due(last_ms: Option<i64>, now_ms: i64) -> bool {
    last_ms.is_none_or(|last_ms| !(0..EVERY_MS).contains(&now_ms.saturating_sub(last_ms)))
}

/// Grades the trades that were stored before the batch and then those of the batch, in the order in which they came. None: its
/// instruments have none, since the feed has no trades.
///
/// # Errors
/// The store does not answer.
pub(super) async fn assess(
    documents: &impl Documents,
    batch: &Batch,
    now_ms: i64,
) -> Result<Option<Assessment>, StageError> {
    let of_trades = batch.trades.keys();
    let of_quotes = batch.quotes.keys();
    let of_bars = batch.bars.keys().map(|(instrument, _)| instrument);
    let named: BTreeSet<&Instrument> = of_trades.chain(of_quotes).chain(of_bars).collect();
    let mut ticks: BTreeMap<String, Vec<Tick>> = BTreeMap::new();
    for instrument in named.into_iter().take(MAX_INSTRUMENTS) {
        let key = Key::new("live_trades", instrument.document_id());
        let stored = documents.get(key).await?;
        let known: LiveTrades = readable(stored.as_ref()).unwrap_or_default();
        let came = batch.trades.get(instrument).map_or(&[][..], Vec::as_slice);
        let of_both = together(&known.trades, came);
        if !of_both.is_empty() {
            ticks.insert(instrument.to_string(), of_both);
        }
    }
    if ticks.is_empty() {
        return Ok(None);
    }
    Ok(Some(feed_health::assess_all(
        &ticks,
        &Policy::default(),
        now_ms,
    )))
}

fn together(known: &[LiveTrade], came: &[LiveTrade]) -> Vec<Tick> {
    let identity = |trade: &LiveTrade| (trade.time_ns, trade.id.clone());
    let of_batch: BTreeSet<_> = came.iter().map(identity).collect();
    let earlier = known
        .iter()
        .filter(|trade| !of_batch.contains(&identity(trade)));
    earlier.chain(came).map(tick).collect()
}

/// What cannot be told as a number counts as a false tick.
fn tick(trade: &LiveTrade) -> Tick {
    Tick {
        at_ms: trade.time_ns.div_euclid(NANOS_PER_MILLI),
        price: trade.price.to_f64().unwrap_or(f64::NAN),
    }
}
