//! Macro events: dated events of the economy, as `GET /macro_events` gives them:
//! `{"events":[{"time","name","country","importance"}]}`, `time` in RFC 3339 or Unix milliseconds. Pure.

use bulkhead_kernel::bar_row::parse_timestamp;
use bulkhead_kernel::stage::Key;
use bulkhead_venues::HttpRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where events are served.
pub const PATH: &str = "/macro_events";
/// The most bytes of an answer that are read.
pub const MAX_RESPONSE_BYTES: usize = 1 << 20;
/// The most events of an answer.
pub const MAX_EVENTS_READ: usize = 10_000;
/// The most events that are kept: the latest.
pub const MAX_EVENTS_KEPT: usize = 1_000;
/// The longest name, country or importance that is kept, in characters.
const MAX_TEXT_CHARS: usize = 120;
/// How long events are not asked for again, in milliseconds; a quarter of it after a failure.
pub const EVERY_MS: i64 = 900_000;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// When, in Unix milliseconds.
    pub time_ms: i64,
    /// What.
    pub name: String,
    /// Where.
    pub country: String,
    /// How much it matters, in the source's word.
    pub importance: String,
}

/// The body of the document `macro_events/current`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Who gave them.
    pub source: String,
    /// Ascending by time; at most [`MAX_EVENTS_KEPT`].
    pub events: Vec<Event>,
}

/// Where the events are kept.
pub fn key() -> Key {
    Key::new("macro_events", "current")
}

/// The request.
pub fn request() -> HttpRequest {
    HttpRequest {
        method: "GET",
        path_and_query: PATH.to_owned(),
    }
}

/// Whether events are to be asked for.
pub fn is_due(asked_at_ms: Option<i64>, failed: bool, now_ms: i64) -> bool {
    let pause_ms = if failed { EVERY_MS / 4 } else { EVERY_MS };
    asked_at_ms.is_none_or(|at| !(0..pause_ms).contains(&now_ms.saturating_sub(at)))
}

/// Reads an answer. Of more than [`MAX_EVENTS_KEPT`] events the latest are kept; one that stands twice is kept once.
///
/// # Errors
/// The text names the element and the field.
pub fn parse(body: &[u8]) -> Result<Vec<Event>, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| format!("read macro events as JSON: {error}"))?;
    let Some(items) = value["events"].as_array() else {
        return Err("read macro events: `events` must be a list".to_owned());
    };
    if items.len() > MAX_EVENTS_READ {
        return Err(format!(
            "read macro events: {} of them, at most {MAX_EVENTS_READ}",
            items.len()
        ));
    }
    let mut events = items
        .iter()
        .enumerate()
        .map(|(place, item)| event(item).map_err(|why| format!("read macro event {place}: {why}")))
        .collect::<Result<Vec<Event>, String>>()?;
    events.sort();
    events.dedup();
    let surplus = events.len().saturating_sub(MAX_EVENTS_KEPT);
    events.drain(..surplus);
    Ok(events)
}

fn event(item: &Value) -> Result<Event, String> {
    let text = |field: &str| match &item[field] {
        Value::String(text) if !text.trim().is_empty() => {
            Ok(text.trim().chars().take(MAX_TEXT_CHARS).collect())
        }
        other => Err(format!("`{field}` must be text: {other}")),
    };
    Ok(Event {
        time_ms: time_ms(&item["time"]).ok_or_else(|| {
            format!(
                "`time` must be RFC 3339 in UTC or Unix milliseconds: {}",
                item["time"]
            )
        })?,
        name: text("name")?,
        country: text("country")?,
        importance: text("importance")?,
    })
}

fn time_ms(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let plain = text
                .trim()
                .trim_end_matches(['Z', 'z'])
                .replacen(['T', 't'], " ", 1);
            parse_timestamp(plain.as_bytes())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn cpi(time: Value) -> Value {
        json!({"time": time, "name": "CPI", "country": "US", "importance": "high"})
    }

    fn read(events: Value) -> Result<Vec<Event>, String> {
        parse(json!({ "events": events }).to_string().as_bytes())
    }

    #[test]
    fn events_are_read_in_the_order_of_their_times_and_each_once() {
        let events = read(json!([
            cpi(json!("2024-02-13T13:30:00Z")),
            cpi(json!(1_700_000_000_000_i64)),
            cpi(json!("2024-02-13T13:30:00.000Z")),
        ]))
        .unwrap();
        let times: Vec<i64> = events.iter().map(|event| event.time_ms).collect();
        assert_eq!(times, [1_700_000_000_000, 1_707_831_000_000]);
    }

    #[test]
    fn of_too_many_events_the_latest_are_kept() {
        let many: Vec<Value> = (0..1_500).map(|time| cpi(json!(time))).collect();
        let events = read(json!(many)).unwrap();
        assert_eq!((events.len(), events[0].time_ms), (MAX_EVENTS_KEPT, 500));
    }

    #[test]
    fn an_answer_that_holds_no_events_is_refused_and_the_field_named() {
        for (body, text) in [
            ("<html>".to_owned(), "JSON"),
            ("[]".to_owned(), "`events`"),
            (
                json!({"events": [cpi(json!("tomorrow"))]}).to_string(),
                "macro event 0: `time`",
            ),
            (
                json!({"events": [{"time": 1, "country": "US", "importance": "low"}]}).to_string(),
                "`name`",
            ),
            (
                json!({"events": [{"time": 1, "name": "CPI", "country": 5, "importance": "low"}]})
                    .to_string(),
                "`country`",
            ),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn events_are_asked_for_every_quarter_of_an_hour_and_sooner_after_a_failure() {
        assert!(is_due(None, false, 0));
        assert!(!is_due(Some(0), false, 899_999) && is_due(Some(0), false, 900_000));
        assert!(is_due(Some(0), true, 225_000));
        assert!(is_due(Some(1_000), false, 0));
    }
}
