//! `bulkhead kill`: the switches that stop order entry.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bulkhead_grants::switches::{Switch, SwitchState};
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Key, Store, StoreError, Write};
use serde_json::{Value, json};

use crate::arguments::{Global, Kill, KillAction};
use crate::deployment;
use crate::output;

/// The variable of the first switch, as the manifest spells it.
const EXEC_KILL_SWITCH: &str = "exec_kill_switch";

/// How often a change is tried again when a stage changed the same document first.
const MAX_TRIES: u32 = 10;

pub async fn run(global: &Global, command: Kill) -> anyhow::Result<ExitCode> {
    let store = deployment::open_store(global)?;
    let now_ms = SystemClock.now_ms();
    let asks = matches!(command.action, KillAction::Status);
    match command.action {
        KillAction::On { reason } => set(&store, true, &reason, now_ms).await?,
        KillAction::Off {
            reason,
            enable_trading,
        } => {
            set(&store, false, &reason, now_ms).await?;
            if enable_trading {
                turn_trading_on(&store, &reason, now_ms).await?;
            }
        }
        KillAction::Status => {}
    }
    let state = switches(&deployment::manifest(global)?, &store).await?;
    let stopped = print(global, &state)?;
    Ok(if asks && stopped {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The three switches as the egress gate reads them.
pub async fn switches(app: &ResolvedApp, store: &dyn Store) -> anyhow::Result<SwitchState> {
    let variable = app
        .components
        .values()
        .find(|component| component.role.stage() == Some(StageKind::Execute))
        .and_then(|execute| execute.variables.get(EXEC_KILL_SWITCH))
        .map(|value| value.value.as_str());
    let kill = body(store, KILL_SWITCH_COLLECTION, KILL_SWITCH_ID).await?;
    let risk = body(store, "systemStatus", "risk_management").await?;
    Ok(SwitchState::read(
        variable,
        kill.as_deref(),
        risk.as_deref(),
    ))
}

/// The switches by name, each with the reason why it stops order entry, if it does.
pub fn named(state: &SwitchState) -> [(&'static str, Option<&str>); 3] {
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
    ]
}

async fn body(store: &dyn Store, collection: &str, id: &str) -> anyhow::Result<Option<String>> {
    let key = Key::new(collection, id)?;
    Ok(store.get(&key).await?.map(|document| document.body))
}

async fn set(store: &dyn Store, enabled: bool, reason: &str, now_ms: i64) -> anyhow::Result<()> {
    let body = json!({
        "enabled": enabled,
        "reason": reason,
        "changed_at": output::instant(now_ms),
    });
    let write = Write::Upsert {
        key: Key::new(KILL_SWITCH_COLLECTION, KILL_SWITCH_ID)?,
        body: body.to_string(),
    };
    store.commit(vec![write], now_ms).await?;
    Ok(())
}

/// Turns trading on in the document that the pulse stage keeps, and leaves the rest of it as it is.
async fn turn_trading_on(store: &dyn Store, reason: &str, now_ms: i64) -> anyhow::Result<()> {
    let key = Key::new("systemStatus", "risk_management")?;
    for _ in 0..MAX_TRIES {
        let Some(document) = store.get(&key).await? else {
            bail!(
                "`{key}` does not exist yet: the pulse stage writes it\n\nhint: `bulkhead invoke pulse` runs it once"
            );
        };
        let mut risk: Value =
            serde_json::from_str(&document.body).with_context(|| format!("`{key}` is not JSON"))?;
        let Some(fields) = risk.as_object_mut() else {
            bail!("`{key}` is not a JSON object");
        };
        fields.insert("trading_enabled".into(), true.into());
        fields.insert("enabled_by_hand_at".into(), output::instant(now_ms).into());
        fields.insert("enabled_by_hand_reason".into(), reason.into());
        let write = Write::Replace {
            key: key.clone(),
            expected_revision: document.revision,
            body: risk.to_string(),
        };
        match store.commit(vec![write], now_ms).await {
            Err(StoreError::Conflict { .. }) => {}
            result => {
                result?;
                return Ok(());
            }
        }
    }
    bail!("`{key}` changed {MAX_TRIES} times while it was being written\n\nhint: try again")
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
