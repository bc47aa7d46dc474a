//! `bulkhead kill`: the switches that stop order entry.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bulkhead_grants::switches::{Answered, Switch, SwitchState};
use bulkhead_kernel::money::Notional;
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Key, Store, StoreError, Write};
use pulse::risk;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::arguments::{Global, Kill, KillAction};
use crate::deployment;
use crate::output;

/// The variable of the first switch, as the manifest spells it.
const EXEC_KILL_SWITCH: &str = "exec_kill_switch";

/// The collection of the flags that stop trading.
const SYSTEM_STATUS: &str = "systemStatus";

/// How often a change is tried again when a stage changed the same document first.
const MAX_TRIES: u32 = 10;

/// How the risk flags are brought up to date.
const PULSE_HINT: &str = "`bulkhead invoke pulse` runs it once";

pub async fn run(global: &Global, command: Kill) -> anyhow::Result<ExitCode> {
    let now_ms = SystemClock.now_ms();
    match command.action {
        KillAction::On { reason, create } => {
            let store = if create {
                deployment::open_store(global)?
            } else {
                deployment::existing_store(global)?
            };
            // Before the manifest is read: a mistake in it must not keep order entry from being stopped.
            store
                .commit(vec![switch(true, &reason, now_ms)?], now_ms)
                .await?;
            let state = switches(&deployment::manifest(global)?, &store).await?;
            print(global, &state)?;
            Ok(ExitCode::SUCCESS)
        }
        KillAction::Off {
            reason,
            enable_trading,
            reset_high_water_mark,
        } => {
            let app = deployment::manifest(global)?;
            let store = deployment::existing_store(global)?;
            let mark = if reset_high_water_mark {
                HighWaterMark::Reset
            } else {
                HighWaterMark::Stands
            };
            allow(&store, &reason, enable_trading.then_some(mark), now_ms).await?;
            print(global, &switches(&app, &store).await?)?;
            Ok(ExitCode::SUCCESS)
        }
        KillAction::Status => {
            let app = deployment::manifest(global)?;
            let store = deployment::existing_store(global)?;
            let stopped = print(global, &switches(&app, &store).await?)?;
            Ok(if stopped {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
    }
}

/// The switches as the egress gate reads them.
pub async fn switches(app: &ResolvedApp, store: &dyn Store) -> anyhow::Result<SwitchState> {
    let variable = app
        .components
        .values()
        .find(|component| component.role.stage() == Some(StageKind::Execute))
        .and_then(|execute| execute.variables.get(EXEC_KILL_SWITCH))
        .map(|value| value.value.as_str());
    let kill = body(store, KILL_SWITCH_COLLECTION, KILL_SWITCH_ID).await?;
    let risk = body(store, SYSTEM_STATUS, "risk_management").await?;
    let gate = body(store, SYSTEM_STATUS, "trading_gate").await?;
    let state = SwitchState::read(variable, kill.as_deref(), risk.as_deref());
    Ok(state.with_trading_gate(match &gate {
        Some(body) => Answered::Body(body),
        None => Answered::Missing,
    }))
}

/// The switches by name, each with the reason why it stops order entry, if it does.
pub fn named(state: &SwitchState) -> [(&'static str, Option<&str>); 4] {
    let stops = |switch| Switch::stops(switch);
    [
        ("EXEC_KILL_SWITCH", stops(&state.exec_kill_switch)),
        (
            "ops/execution_kill_switch",
            stops(&state.execution_kill_switch),
        ),
        (
            "systemStatus/risk_management.trading_enabled",
            stops(&state.trading_enabled),
        ),
        ("systemStatus/trading_gate", stops(&state.trading_gate)),
    ]
}

async fn body(store: &dyn Store, collection: &str, id: &str) -> anyhow::Result<Option<String>> {
    let key = Key::new(collection, id)?;
    Ok(store.get(&key).await?.map(|document| document.body))
}

fn switch(enabled: bool, reason: &str, now_ms: i64) -> anyhow::Result<Write> {
    let body = json!({
        "enabled": enabled,
        "reason": reason,
        "changed_at": output::instant(now_ms),
    });
    Ok(Write::Upsert {
        key: Key::new(KILL_SWITCH_COLLECTION, KILL_SWITCH_ID)?,
        body: body.to_string(),
    })
}

/// What becomes of the equity from which drawdowns count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HighWaterMark {
    Stands,
    /// It becomes the current equity.
    Reset,
}

/// Turns the switch off and, with `trading`, `trading_enabled` on: both, or nothing.
async fn allow(
    store: &dyn Store,
    reason: &str,
    trading: Option<HighWaterMark>,
    now_ms: i64,
) -> anyhow::Result<()> {
    for _ in 0..MAX_TRIES {
        let mut writes = vec![switch(false, reason, now_ms)?];
        if let Some(mark) = trading {
            writes.push(trading_on(store, reason, mark, now_ms).await?);
        }
        match store.commit(writes, now_ms).await {
            Err(StoreError::Conflict { .. }) => {}
            result => {
                result?;
                return Ok(());
            }
        }
    }
    bail!(
        "the risk flags changed {MAX_TRIES} times while they were being written\n\nhint: try again"
    )
}

/// Turns trading on in the document that the pulse stage keeps.
async fn trading_on(
    store: &dyn Store,
    reason: &str,
    mark: HighWaterMark,
    now_ms: i64,
) -> anyhow::Result<Write> {
    let key = Key::new(SYSTEM_STATUS, "risk_management")?;
    let Some(document) = store.get(&key).await? else {
        bail!("`{key}` does not exist yet: the pulse stage writes it\n\nhint: {PULSE_HINT}");
    };
    let body = enabled(&document.body, reason, mark, &output::instant(now_ms))
        .with_context(|| format!("turning trading on in `{key}` failed; nothing was changed"))?;
    Ok(Write::Replace {
        key,
        expected_revision: document.revision,
        body: body.to_string(),
    })
}

/// The risk flags with trading on, as the next beat of the pulse stage would leave them at the same equity.
///
/// # Errors
/// Where that beat would turn trading off again: turned on for seconds only, it would let waiting orders through.
fn enabled(stored: &str, reason: &str, mark: HighWaterMark, now: &str) -> anyhow::Result<Value> {
    let mut risk: Value = serde_json::from_str(stored).context("it is not JSON")?;
    let Some(fields) = risk.as_object_mut() else {
        bail!("it is not a JSON object");
    };
    let equity: Notional = fields
        .get("current_equity")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("its `current_equity` is no decimal\n\nhint: {PULSE_HINT}"))?;
    fields.insert("trading_enabled".into(), true.into());
    fields.insert("enabled_by_hand_at".into(), now.into());
    fields.insert("enabled_by_hand_reason".into(), reason.into());
    if mark == HighWaterMark::Reset {
        let before = fields.insert("high_water_mark".into(), equity.to_string().into());
        fields.insert("high_water_mark_before_reset".into(), before.into());
        fields.insert("last_hwm_update".into(), now.into());
    }
    let flags = risk::decide(Some(&risk.to_string()), equity, now)?;
    if flags.trading_enabled {
        return Ok(flags.body);
    }
    if flags.drawdown > risk::MAX_DRAWDOWN {
        bail!(
            "equity {equity} USD is {} below the high-water mark of {} USD and the limit is {}: pulse would turn trading off again\n\nhint: `bulkhead kill off --enable-trading --reset-high-water-mark` accepts the loss, and drawdowns count from the current equity on",
            percent(flags.drawdown),
            flags.body["high_water_mark"].as_str().unwrap_or_default(),
            percent(risk::MAX_DRAWDOWN),
        );
    }
    bail!(
        "equity {equity} USD is below the minimum of {} USD: pulse would turn trading off again\n\nhint: start `up` with a higher `starting_equity_usd` and let pulse run",
        risk::MIN_EQUITY
    )
}

fn percent(fraction: Decimal) -> String {
    format!("{:.2} %", fraction * Decimal::ONE_HUNDRED)
}

fn print(global: &Global, state: &SwitchState) -> anyhow::Result<bool> {
    let switches = named(state);
    let stopped = switches.iter().any(|(_, stops)| stops.is_some());
    if global.json {
        let list: Vec<Value> = switches
            .iter()
            .map(|(name, stops)| json!({"switch": name, "stops_order_entry": stops.is_some(), "why": stops}))
            .collect();
        output::json(&json!({"order_entry": !stopped, "switches": list}))?;
        return Ok(stopped);
    }
    for (name, stops) in switches {
        match stops {
            Some(why) => output::line(format!("on   {name}: {why}"))?,
            None => output::line(format!("off  {name}"))?,
        }
    }
    output::line(if stopped {
        "order entry is stopped; cancels stay possible"
    } else {
        "order entry is possible"
    })?;
    Ok(stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mark: HighWaterMark, equity: &str) -> anyhow::Result<Value> {
        let stored = json!({
            "high_water_mark": "100000", "current_equity": equity, "trading_enabled": false,
            "disabled_reason": "drawdown_breached", "drawdown_breached_at": "2026-01-01T00:00:00Z", "note": "kept",
        });
        enabled(&stored.to_string(), "seen", mark, "2026-01-02T00:00:00Z")
    }

    #[test]
    fn trading_is_turned_on_where_the_next_beat_leaves_it_on() {
        let risk = at(HighWaterMark::Stands, "95000").unwrap();
        assert_eq!(risk["trading_enabled"], true);
        assert_eq!(risk["disabled_reason"], Value::Null);
        assert_eq!(risk["high_water_mark"], "100000");
        assert_eq!(risk["enabled_by_hand_reason"], "seen");
        assert_eq!(risk["note"], "kept");
    }

    #[test]
    fn a_standing_drawdown_refuses_and_says_what_accepts_it() {
        let error = at(HighWaterMark::Stands, "93750").unwrap_err().to_string();
        assert!(error.contains("6.25 % below"), "{error}");
        assert!(error.contains("--reset-high-water-mark"), "{error}");
    }

    #[test]
    fn a_reset_counts_drawdowns_from_the_current_equity_on() {
        let risk = at(HighWaterMark::Reset, "93750").unwrap();
        assert_eq!(risk["high_water_mark"], "93750");
        assert_eq!(risk["high_water_mark_before_reset"], "100000");
        assert_eq!(risk["trading_enabled"], true);
        assert_eq!(risk["drawdown_percent"], 0.0);
        assert_eq!(risk["drawdown_breached_at"], Value::Null);
    }

    #[test]
    fn no_reset_turns_trading_on_below_the_minimum_equity() {
        let error = at(HighWaterMark::Reset, "99").unwrap_err().to_string();
        assert!(error.contains("minimum of 100 USD"), "{error}");
    }

    #[test]
    fn flags_without_an_equity_are_left_to_the_pulse_stage() {
        let error = at(HighWaterMark::Reset, "much").unwrap_err().to_string();
        assert!(error.contains("bulkhead invoke pulse"), "{error}");
    }
}
