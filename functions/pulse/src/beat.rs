//! The task `pulse`: marks the open shadow trades, adds up the equity, keeps the risk flags.
//!
//! The open shadow trades are those that `signalState` lists, so that no closed one is read again; what the closed ones
//! earned is `realized_pnl` of the same document, which changes in the very commit that closes them. A trade that
//! was closed between the two reads counts with its final profit. So each trade counts once, whenever the beat falls.
//!
//! The history of equities holds the last [`EQUITY_HISTORY_MINUTES`]: older ones leave in the commit that adds.

use bulkhead_kernel::money::{MoneyError, Notional, Price};
use bulkhead_kernel::stage::{
    BarsQuery, Configuration, Documents, Event, Key, MarketData, Query, Report, StageError, Write,
    list_all, read_body, required,
};
use bulkhead_kernel::trade::{
    SHADOW_TRADES, SIGNAL_STATE, ShadowTrade, ShadowTradeStatus, SignalState,
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::risk;

/// The most shadow trades that one commit marks.
pub const MARKS_PER_COMMIT: usize = 100;
/// The collection of the risk flags and of the heartbeat.
pub const SYSTEM_STATUS: &str = "systemStatus";
/// The document of the risk flags.
pub const RISK_MANAGEMENT: &str = "risk_management";
/// The document of the heartbeat.
pub const LAST_PULSE: &str = "last_pulse";
/// The collection of equities, a document for each minute.
pub const EQUITY_HISTORY: &str = "equity_history";
/// How many minutes of equities are kept: a week.
pub const EQUITY_HISTORY_MINUTES: i64 = 7 * 24 * 60;
/// The most outdated equities that one beat takes away. A beat adds at most one, so a surplus melts.
pub const PRUNED_PER_BEAT: u32 = 64;
/// The topic of the event that tells that trading was turned off.
const RISK_TOPIC: &str = "telemetry.pulse.risk";

/// What the shadow trades come to.
#[derive(Debug, Default)]
struct Tally {
    open: usize,
    marked: usize,
    /// Open trades of series without a bar: they count with their last mark.
    unpriced: usize,
    realized: Notional,
    unrealized: Notional,
}

/// Runs the task.
///
/// # Errors
/// The configuration, the store, a document that cannot be read; [`StageError::Conflict`] when somebody else changed a shadow
/// trade or the risk flags meanwhile, whose change then stands.
pub async fn beat(
    ports: &(impl Documents + MarketData + Configuration),
    now_ms: i64,
) -> Result<Report, StageError> {
    let starting_equity: Notional = required(ports, "starting_equity_usd")?;
    let now = DateTime::<Utc>::from_timestamp_millis(now_ms).ok_or_else(|| {
        StageError::InvalidInput(format!("the scheduled instant {now_ms} ms is out of range"))
    })?;
    let mut tally = Tally::default();
    for document in list_all(ports, SIGNAL_STATE).await? {
        series(ports, &read_body(&document)?, now_ms, &mut tally).await?;
    }
    let equity = starting_equity
        .checked_add(tally.realized)
        .and_then(|equity| equity.checked_add(tally.unrealized))
        .map_err(broken)?
        .normalize();
    let flags = keep_flags(ports, equity, now, now_ms, &tally).await?;
    let output = json!({
        "open_shadow_trades": tally.open,
        "marked": tally.marked,
        "unpriced": tally.unpriced,
        "realized_pnl": tally.realized,
        "unrealized_pnl": tally.unrealized,
        "equity": equity,
        "high_water_mark": flags.body["high_water_mark"],
        "drawdown_percent": flags.body["drawdown_percent"],
        "trading_enabled": flags.trading_enabled,
        "turned_off": flags.turned_off,
    });
    let mut report =
        Report::success(output).counted("pulse_shadow_trades_marked_total", tally.marked);
    if let Some(reason) = flags.turned_off {
        let data = json!({ "trading_enabled": false, "reason": reason, "equity": equity, "risk": flags.body });
        let subject = Some(format!("{SYSTEM_STATUS}/{RISK_MANAGEMENT}"));
        report.events.push(Event {
            topic: RISK_TOPIC.to_owned(),
            subject,
            data,
        });
        report = report.counted("pulse_trading_turned_off_total", 1);
    }
    Ok(report)
}

/// Marks the open trades of one series and adds it up.
async fn series(
    ports: &(impl Documents + MarketData),
    state: &SignalState,
    now_ms: i64,
    tally: &mut Tally,
) -> Result<(), StageError> {
    add(&mut tally.realized, state.realized_pnl)?;
    if state.open_shadow_trades.is_empty() {
        return Ok(());
    }
    let query = BarsQuery {
        instrument: state.instrument.to_string(),
        timeframe: state.timeframe.to_string(),
        start_ms: None,
        end_ms: None,
        limit: 1,
        last: true,
    };
    let last = ports.read_bars(query).await?.bars().last();
    let mut writes = vec![];
    for id in &state.open_shadow_trades {
        let Some(document) = ports.get(Key::new(SHADOW_TRADES, id)).await? else {
            return Err(StageError::Internal(format!(
                "the open shadow trade `{id}` does not exist"
            )));
        };
        let mut trade: ShadowTrade = read_body(&document)?;
        if let Some(pnl) = trade
            .final_pnl
            .filter(|_| trade.status == ShadowTradeStatus::Closed)
        {
            add(&mut tally.realized, pnl)?;
            continue;
        }
        tally.open += 1;
        match last {
            Some(bar) if trade.current_price != Price::new(bar.close) => {
                trade.mark(Price::new(bar.close), now_ms).map_err(broken)?;
                let body = serde_json::to_value(&trade).map_err(broken)?;
                writes.push(Write::Replace(document.key, document.revision, body));
                tally.marked += 1;
            }
            Some(_) => {}
            None => tally.unpriced += 1,
        }
        add(&mut tally.unrealized, trade.current_pnl)?;
    }
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(MARKS_PER_COMMIT));
        ports.commit(std::mem::replace(&mut writes, rest)).await?;
    }
    Ok(())
}

async fn keep_flags(
    ports: &impl Documents,
    equity: Notional,
    now: DateTime<Utc>,
    now_ms: i64,
    tally: &Tally,
) -> Result<risk::Flags, StageError> {
    let now_text = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let key = Key::new(SYSTEM_STATUS, RISK_MANAGEMENT);
    let stored = ports.get(key.clone()).await?;
    let body = stored.as_ref().map(|document| document.body.as_str());
    let flags = risk::decide(body, equity, &now_text).map_err(broken)?;
    let heartbeat: Value = json!({
        "timestamp": now_text,
        "timestamp_ms": now_ms,
        "success_count": tally.open - tally.unpriced,
        "error_count": 0,
        "skipped_count": tally.unpriced,
    });
    let mut writes = vec![
        Write::over(
            stored.map(|document| document.revision),
            key,
            flags.body.clone(),
        ),
        Write::Upsert(Key::new(SYSTEM_STATUS, LAST_PULSE), heartbeat),
        Write::Upsert(
            Key::new(EQUITY_HISTORY, minute_id(now)),
            json!({ "ts": now_text, "equity": equity }),
        ),
    ];
    let outdated = outdated_equities(ports, now).await?;
    writes.extend(outdated.into_iter().map(Write::Delete));
    ports.commit(writes).await?;
    Ok(flags)
}

/// The oldest equities that the history no longer keeps, at most [`PRUNED_PER_BEAT`].
async fn outdated_equities(
    ports: &impl Documents,
    now: DateTime<Utc>,
) -> Result<Vec<Key>, StageError> {
    let kept = TimeDelta::minutes(EQUITY_HISTORY_MINUTES - 1);
    let Some(oldest_kept) = now.checked_sub_signed(kept).map(minute_id) else {
        return Ok(vec![]);
    };
    let query = Query {
        collection: EQUITY_HISTORY.to_owned(),
        prefix: None,
        start: None,
        limit: PRUNED_PER_BEAT,
    };
    let oldest = ports.list(query).await?.into_iter();
    Ok(oldest
        .map(|document| document.key)
        .filter(|key| key.id < oldest_kept)
        .collect())
}

/// The id of a minute's equity: `YYYYMMDDHHMM` in UTC, so that ids ascend with time.
fn minute_id(instant: DateTime<Utc>) -> String {
    instant.format("%Y%m%d%H%M").to_string()
}

fn add(sum: &mut Notional, more: Notional) -> Result<(), StageError> {
    *sum = sum
        .checked_add(more)
        .map_err(|error: MoneyError| broken(error))?
        .normalize();
    Ok(())
}

fn broken(error: impl std::fmt::Display) -> StageError {
    StageError::Internal(error.to_string())
}
