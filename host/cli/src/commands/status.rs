//! `bulkhead status`: how the deployment stands.

use std::process::ExitCode;

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
    let switches = kill::switches(&app, &store).await?;
    let risk = document(&store, "systemStatus", "risk_management").await?;
    let pulse = document(&store, "systemStatus", "last_pulse").await?;
    let series = store.series().await?;
    let counts = counts(&store).await?;
    let runs = store.run_counts().await?;
    let now_ms = SystemClock.now_ms();

    if global.json {
        let switches: Vec<Value> = kill::named(&switches)
            .iter()
            .map(|(name, stops)| json!({"switch": name, "stops_order_entry": stops.is_some(), "why": stops}))
            .collect();
        let series: Vec<Value> = series
            .iter()
            .map(|series| {
                json!({
                    "instrument": series.series.instrument,
                    "timeframe": series.series.timeframe,
                    "bars": series.count,
                    "first": output::instant(series.first_ms),
                    "last": output::instant(series.last_ms),
                })
            })
            .collect();
        let counts: serde_json::Map<String, Value> = counts
            .iter()
            .map(|(collection, _, count)| ((*collection).to_owned(), (*count).into()))
            .collect();
        output::json(&json!({
            "application": app.name,
            "at": output::instant(now_ms),
            "switches": switches,
            "risk_management": risk,
            "last_pulse": pulse,
            "series": series,
            "documents": counts,
            "runs": runs,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }

    output::line(format!("{} at {}", app.name, output::instant(now_ms)))?;
    for (name, stops) in kill::named(&switches) {
        output::line(match stops {
            Some(why) => format!("  switch   on   {name}: {why}"),
            None => format!("  switch   off  {name}"),
        })?;
    }
    match &risk {
        Some(risk) => output::line(format!(
            "  risk     equity {} USD, high-water mark {} USD, drawdown {}",
            word(&risk["current_equity"]),
            word(&risk["high_water_mark"]),
            percent(&risk["drawdown_percent"]),
        ))?,
        None => output::line("  risk     unknown: the pulse stage has not run")?,
    }
    if series.is_empty() {
        output::line("  bars     none")?;
    }
    for series in series {
        output::line(format!(
            "  bars     {} {}: {}, {} to {}",
            series.series.instrument,
            series.series.timeframe,
            series.count,
            output::instant(series.first_ms),
            output::instant(series.last_ms),
        ))?;
    }
    for (_, words, count) in counts {
        output::line(format!("  {words:<14} {count}"))?;
    }
    let runs: Vec<String> = runs
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    output::line(format!(
        "  runs     {}",
        if runs.is_empty() {
            "none".to_owned()
        } else {
            runs.join(", ")
        }
    ))?;
    Ok(ExitCode::SUCCESS)
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
