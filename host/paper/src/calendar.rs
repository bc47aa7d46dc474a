use std::path::{Path, PathBuf};

use bulkhead_kernel::instant::rfc3339;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Answer, Asked};

/// Where dated events are served.
pub const CALENDAR_PATH: &str = "/macro_events";
/// The most events of one file.
pub const MAX_EVENTS: usize = 10_000;
/// The longest file, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The longest name of an event or a country, in characters.
const MAX_NAME_CHARS: usize = 200;
/// The header of a CSV file.
const COLUMNS: [&str; 4] = ["time", "name", "country", "importance"];

/// Dated events: when figures are published, when a central bank decides.
///
/// A file is JSON (`{"events":[{"time":RFC 3339,"name":…,"country":…,"importance":"low"|"medium"|"high"}]}`) or CSV
/// with the header `time,name,country,importance`. They are served in the order of their times, all of them: a calendar
/// knows the future.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar(Vec<Event>);

/// A dated event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in Unix milliseconds.
    pub time_ms: i64,
    /// What, for example `CPI y/y`.
    pub name: String,
    /// Where, as the file has it, for example `US`.
    pub country: String,
    /// How much it is expected to move.
    pub importance: Importance,
}

/// How much an event is expected to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Little.
    Low,
    /// Something.
    Medium,
    /// Much.
    High,
}

/// Why a file of events cannot be used. Events count from 1.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// The file cannot be read.
    #[error("read the events file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is longer than is read.
    #[error("read the events file: longer than {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// The file is not the JSON that it should be.
    #[error("read the events file as JSON")]
    Json(#[source] serde_json::Error),
    /// The file is not the CSV that it should be.
    #[error("read the events file as CSV")]
    Csv(#[source] csv::Error),
    /// An event is not what it should be.
    #[error("event {place}: {detail}")]
    Event {
        /// Its place in the file.
        place: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// There are more events than are read.
    #[error("read the events file: more than {MAX_EVENTS} events")]
    TooMany,
}

/// An event as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    time: String,
    name: String,
    country: String,
    importance: Importance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    events: Vec<Written>,
}

impl Calendar {
    /// Reads the file at `path`: JSON where it begins with `{`, CSV otherwise.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be; the error names the event.
    pub fn read(path: &Path) -> Result<Self, CalendarError> {
        use std::io::Read as _;
        let unreadable = |source| CalendarError::Read {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::parse(&text)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// As [`Calendar::read`].
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(CalendarError::TooLong);
        }
        let written = if text.trim_start().starts_with('{') {
            let document: Document = serde_json::from_str(text).map_err(CalendarError::Json)?;
            document.events
        } else {
            read_csv(text)?
        };
        if written.len() > MAX_EVENTS {
            return Err(CalendarError::TooMany);
        }
        let events = written.into_iter().zip(1..);
        let events: Result<Vec<Event>, CalendarError> = events
            .map(|(written, place)| {
                written
                    .check()
                    .map_err(|detail| CalendarError::Event { place, detail })
            })
            .collect();
        let mut events = events?;
        events.sort_by_key(|event| event.time_ms);
        Ok(Self(events))
    }

    /// The events, by their times.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.0
    }

    /// Answers `GET /macro_events`, with `start` and `end` (RFC 3339, both included) if need be.
    pub(crate) fn answer(&self, asked: &Asked<'_>) -> Answer {
        let refused = |detail: String| {
            Answer::json(http::StatusCode::BAD_REQUEST, &json!({ "message": detail }))
        };
        let Ok([start, end]) = asked.query.all(["start", "end"]) else {
            return refused("expected `start` and `end`, once each at most".to_owned());
        };
        let (start_ms, end_ms) = match (bound(start), bound(end)) {
            (Ok(start), Ok(end)) => (start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX)),
            (Err(text), _) | (_, Err(text)) => {
                return refused(format!("`{text}` is no RFC 3339 time"));
            }
        };
        let within = self
            .0
            .iter()
            .filter(|event| (start_ms..=end_ms).contains(&event.time_ms));
        let events: Vec<_> = within
            .map(|event| {
                json!({
                    "time": rfc3339(event.time_ms),
                    "name": event.name,
                    "country": event.country,
                    "importance": event.importance,
                })
            })
            .collect();
        Answer::json(http::StatusCode::OK, &json!({ "events": events }))
    }
}

/// A bound of a range, or the text that is none.
fn bound(text: Option<&str>) -> Result<Option<i64>, &str> {
    text.map(|text| instant(text).ok_or(text)).transpose()
}

fn read_csv(text: &str) -> Result<Vec<Written>, CalendarError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader.headers().map_err(CalendarError::Csv)?;
    if !headers.iter().eq(COLUMNS) {
        return Err(CalendarError::Event {
            place: 0,
            detail: format!("the header must be `{}`", COLUMNS.join(",")),
        });
    }
    let rows = reader.deserialize().take(MAX_EVENTS + 1);
    rows.collect::<Result<_, _>>().map_err(CalendarError::Csv)
}

impl Written {
    fn check(self) -> Result<Event, String> {
        for (field, text) in [("name", &self.name), ("country", &self.country)] {
            if text.trim().is_empty() || text.chars().count() > MAX_NAME_CHARS {
                return Err(format!(
                    "`{field}` must have 1 to {MAX_NAME_CHARS} characters"
                ));
            }
        }
        let time_ms = instant(&self.time).ok_or_else(|| {
            let shown: String = self.time.chars().take(MAX_NAME_CHARS).collect();
            format!("`time` is `{shown}`, expected RFC 3339, for example `2024-01-11T13:30:00Z`")
        })?;
        Ok(Event {
            time_ms,
            name: self.name,
            country: self.country,
            importance: self.importance,
        })
    }
}

/// An RFC 3339 time, in Unix milliseconds.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    Some(instant.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::{Calendar, Importance};

    const JSON: &str = r#"{"events":[
        {"time":"2024-01-31T19:00:00Z","name":"FOMC rate decision","country":"US","importance":"high"},
        {"time":"2024-01-11T14:30:00+01:00","name":"CPI, y/y","country":"US","importance":"medium"}]}"#;
    const CSV: &str = "time,name,country,importance\n2024-01-11T13:30:00Z,\"CPI, y/y\",US,medium\n2024-01-31T19:00:00Z,FOMC rate decision,US,high\n";

    #[test]
    fn both_forms_of_a_file_give_the_same_events_in_the_order_of_their_times() {
        let calendar = Calendar::parse(JSON).unwrap();
        assert_eq!(calendar, Calendar::parse(CSV).unwrap());
        let event = &calendar.events()[0];
        assert_eq!(event.time_ms, 1_704_979_800_000);
        assert_eq!(
            (event.name.as_str(), event.importance),
            ("CPI, y/y", Importance::Medium)
        );
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_place() {
        for (from, to, text) in [
            ("2024-01-31T19:00:00Z", "soon", "event 1: `time` is `soon`"),
            ("CPI, y/y", "", "event 2: `name`"),
            ("\"high\"", "\"huge\"", "as JSON"),
            ("\"importance\":\"high\"", "\"colour\":1", "as JSON"),
        ] {
            let error = Calendar::parse(&JSON.replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(error.contains(text), "{error}");
        }
        for text in ["", "time,name\n", "time,name,country,importance\n1,2,3\n"] {
            assert!(Calendar::parse(text).is_err(), "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Calendar::read(&folder.path().join("none.json")).unwrap_err();
        assert!(error.to_string().contains("none.json"), "{error}");
    }
}
