//! `bulkhead status`: how the deployment stands.

mod market;

use std::collections::BTreeMap;
use std::process::ExitCode;

use bulkhead_grants::switches::SwitchState;
use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{Key, Store, StoreError};
use serde_json::{Value, json};

use super::kill;
use crate::arguments::{Global, Status};
use crate::deployment;
use crate::output;

/// Collections that are counted, with the words for their documents.
pub const COUNTED: [(&str, &str); 4] = [
    ("signals", "signals"),
    ("shadowTradeHistory", "shadow trades"),
    ("tradeActions", "trade actions"),
    ("orders", "orders"),
];

pub async fn run(global: &Global, _command: &Status) -> anyhow::Result<ExitCode> {
    let app = deployment::manifest(global)?;
    let store = deployment::existing_store(global)?;
    let now_ms = SystemClock.now_ms();
    let standing = Standing {
        switches: kill::switches(&app, &store).await?,
        risk: document(&store, "systemStatus", "risk_management").await?,
        pulse: document(&store, "systemStatus", "last_pulse").await?,
        market: market::of(market::look(&app, &store).await?, now_ms),
        counts: counts(&store).await?,
        runs: store.run_counts().await?,
        application: app.name,
        now_ms,
    };
    if global.json {
        output::json(&standing.to_json())?;
    } else {
        for line in standing.lines() {
            output::line(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All that is told.
struct Standing {
    application: String,
    now_ms: i64,
    switches: SwitchState,
    risk: Option<Value>,
    pulse: Option<Value>,
    market: market::Market,
    counts: Vec<(&'static str, &'static str, u64)>,
    runs: BTreeMap<String, u64>,
}

impl Standing {
    fn to_json(&self) -> Value {
        let switches: Vec<Value> = kill::named(&self.switches)
            .iter()
            .map(|(name, stops)| json!({"switch": name, "stops_order_entry": stops.is_some(), "why": stops}))
            .collect();
        let counts: serde_json::Map<String, Value> = self
            .counts
            .iter()
            .map(|(collection, _, count)| ((*collection).to_owned(), (*count).into()))
            .collect();
        json!({
            "application": self.application,
            "at": output::instant(self.now_ms),
            "switches": switches,
            "risk_management": self.risk,
            "last_pulse": self.pulse,
            "series": self.market.series_json(),
            "market": self.market.to_json(),
            "documents": counts,
            "runs": self.runs,
        })
    }

    fn lines(&self) -> Vec<String> {
        let at = output::instant(self.now_ms);
        let mut lines = vec![format!("{} at {at}", self.application)];
        lines.extend(
            kill::named(&self.switches)
                .iter()
                .map(|(name, stops)| match stops {
                    Some(why) => format!("  switch   on   {name}: {why}"),
                    None => format!("  switch   off  {name}"),
                }),
        );
        lines.push(match &self.risk {
            Some(risk) => format!(
                "  risk     equity {} USD, high-water mark {} USD, drawdown {}",
                word(&risk["current_equity"]),
                word(&risk["high_water_mark"]),
                percent(&risk["drawdown_percent"]),
            ),
            None => "  risk     unknown: the pulse stage has not run".to_owned(),
        });
        lines.extend(self.market.lines());
        let counts = self.counts.iter();
        lines.extend(counts.map(|(_, words, count)| format!("  {words:<14} {count}")));
        let runs = self.runs.iter();
        let runs: Vec<String> = runs
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        let runs = match runs.is_empty() {
            true => "none".to_owned(),
            false => runs.join(", "),
        };
        lines.push(format!("  runs     {runs}"));
        lines
    }
}

/// How many documents each counted collection has.
pub async fn counts(
    store: &dyn Store,
) -> Result<Vec<(&'static str, &'static str, u64)>, StoreError> {
    let mut counts = Vec::with_capacity(COUNTED.len());
    for (collection, words) in COUNTED {
        counts.push((collection, words, store.count(collection).await?));
    }
    Ok(counts)
}

async fn document(store: &dyn Store, collection: &str, id: &str) -> anyhow::Result<Option<Value>> {
    let key = Key::new(collection, id)?;
    let Some(document) = store.get(&key).await? else {
        return Ok(None);
    };
    Ok(Some(serde_json::from_str(&document.body)?))
}

/// A fraction, which is what `drawdown_percent` holds in spite of its name, in percent.
fn percent(fraction: &Value) -> String {
    match fraction.as_f64() {
        Some(fraction) => format!("{:.2} %", fraction * 100.0),
        None => word(fraction),
    }
}

/// A JSON value as a person writes it.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawdown_is_shown_in_percent() {
        assert_eq!(percent(&json!(0.0625)), "6.25 %");
        assert_eq!(percent(&json!(0)), "0.00 %");
        assert_eq!(percent(&Value::Null), "unknown");
    }
}
