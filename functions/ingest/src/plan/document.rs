//! Reads the plan's document, strictly: a field that is misspelt must not leave a plan as it was.

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use serde_json::{Map, Value};

use super::{
    Bars, DAILY_LOOKBACK_DAYS, INTRADAY_LOOKBACK_DAYS, MAX_LOOKBACK_DAYS, MAX_SYMBOLS, Plan,
};

/// The document's dimensions over those of `plan`.
pub(super) fn read(mut plan: Plan, body: &str) -> Result<Plan, String> {
    let value: Value = serde_json::from_str(body).map_err(|error| format!("as JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("it must be an object".to_owned());
    };
    let (mut enabled, mut reason) = (true, None);
    for (name, value) in &fields {
        match name.as_str() {
            "enabled" => enabled = boolean(name, value)?,
            "reason" if value.is_null() => {}
            "reason" => reason = Some(text(name, value)?.to_owned()),
            "daily_bars" => plan.daily_bars = daily_bars(value)?,
            "intraday_trades" => plan.intraday_trades = intraday_trades(value, &plan)?,
            "macro_events" => plan.macro_events = macro_events(value)?,
            other => return Err(unknown(other)),
        }
    }
    if !enabled {
        plan.halted = Some(reason.unwrap_or_else(|| "no reason given".to_owned()));
    }
    Ok(plan)
}

fn daily_bars(value: &Value) -> Result<Option<Bars>, String> {
    let Some(fields) = object("daily_bars", value)? else {
        return Ok(None);
    };
    only(fields, "daily_bars", &["symbols", "lookback_days"])?;
    Ok(Some(Bars {
        timeframe: Timeframe::DAY,
        symbols: symbols(fields, "daily_bars")?,
        lookback_days: lookback_days(fields, "daily_bars", DAILY_LOOKBACK_DAYS)?,
    }))
}

fn intraday_trades(value: &Value, plan: &Plan) -> Result<Option<Bars>, String> {
    let Some(fields) = object("intraday_trades", value)? else {
        return Ok(None);
    };
    only(
        fields,
        "intraday_trades",
        &["symbols", "lookback_days", "interval"],
    )?;
    let name = "intraday_trades.interval";
    let timeframe = match (fields.get("interval"), &plan.intraday_trades) {
        (Some(interval), _) => text(name, interval)?
            .parse()
            .map_err(|error| format!("`{name}`: {error}"))?,
        (None, Some(planned)) => planned.timeframe,
        (None, None) => return Err(format!("`{name}` is missing")),
    };
    Ok(Some(Bars {
        timeframe,
        symbols: symbols(fields, "intraday_trades")?,
        lookback_days: lookback_days(fields, "intraday_trades", INTRADAY_LOOKBACK_DAYS)?,
    }))
}

fn macro_events(value: &Value) -> Result<bool, String> {
    let Some(fields) = object("macro_events", value)? else {
        return Ok(false);
    };
    only(fields, "macro_events", &["enabled"])?;
    fields
        .get("enabled")
        .map_or(Ok(true), |enabled| boolean("macro_events.enabled", enabled))
}

fn symbols(fields: &Map<String, Value>, dimension: &str) -> Result<Vec<Instrument>, String> {
    let name = format!("{dimension}.symbols");
    let Some(Value::Array(items)) = fields.get("symbols") else {
        return Err(format!("`{name}` must be a list of instruments"));
    };
    if items.is_empty() || items.len() > MAX_SYMBOLS {
        return Err(format!(
            "`{name}` names {}: use 1 to {MAX_SYMBOLS}",
            items.len()
        ));
    }
    let mut symbols: Vec<Instrument> = vec![];
    for item in items {
        let symbol = text(&name, item)?
            .parse()
            .map_err(|error| format!("`{name}`: {error}"))?;
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    Ok(symbols)
}

fn lookback_days(
    fields: &Map<String, Value>,
    dimension: &str,
    default: u32,
) -> Result<u32, String> {
    let Some(value) = fields.get("lookback_days") else {
        return Ok(default);
    };
    value
        .as_u64()
        .and_then(|days| u32::try_from(days).ok())
        .filter(|days| (1..=MAX_LOOKBACK_DAYS).contains(days))
        .ok_or_else(|| {
            format!("`{dimension}.lookback_days` must be 1 to {MAX_LOOKBACK_DAYS}: {value}")
        })
}

/// None: it is null.
fn object<'a>(name: &str, value: &'a Value) -> Result<Option<&'a Map<String, Value>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(fields)),
        other => Err(format!("`{name}` must be an object or null: {other}")),
    }
}

fn only(fields: &Map<String, Value>, dimension: &str, names: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unknown(&format!("{dimension}.{name}"))),
    }
}

fn unknown(name: &str) -> String {
    format!("unknown field `{name}`")
}

fn boolean(name: &str, value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("`{name}` must be true or false: {value}"))
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("`{name}` must be text: {value}"))
}
