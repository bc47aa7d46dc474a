//! One event as CloudEvents 1.0 has it, in its structured JSON form.

use bulkhead_kernel::instant::rfc3339;
use serde::de::IgnoredAny;

use crate::topic::{self, MAX_TOPIC_BYTES};

/// The longest event as JSON, in bytes: what `limits.output_bytes` allows a stage to answer by default.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 1_024;

/// The version of the specification.
const SPEC_VERSION: &str = "1.0";

/// An event to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft<'a> {
    /// Tells it apart from all others of its source. Not empty.
    pub id: &'a str,
    /// The application's name.
    pub application: &'a str,
    /// The component that it comes from, or whose runs it is about.
    pub component: &'a str,
    /// The topic, which becomes its `type`.
    pub topic: &'a str,
    /// What it is about. An empty one counts as none.
    pub subject: Option<&'a str>,
    /// When it happened, in Unix milliseconds.
    pub time_ms: i64,
    /// JSON.
    pub data: &'a str,
}

/// An event, checked and written: its attributes are what the specification allows, and its JSON stands on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent {
    id: String,
    topic: String,
    json: String,
}

/// Why a draft is no event.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// The topic has another form.
    #[error(
        "its topic is not words of letters, digits, `_` and `-`, joined by dots, of at most {MAX_TOPIC_BYTES} bytes"
    )]
    Topic,
    /// The topic is the host's own.
    #[error("its topic `{0}` is the host's own")]
    HostTopic(String),
    /// An attribute is empty, too long, or has a character that the specification does not allow.
    #[error(
        "its {0} is empty, longer than {MAX_SUBJECT_BYTES} bytes, or has a control character or a noncharacter"
    )]
    Attribute(&'static str),
    /// The data is not JSON.
    #[error("its data is not JSON")]
    Data {
        /// Where it is not.
        source: serde_json::Error,
    },
    /// It is longer than [`MAX_EVENT_BYTES`].
    #[error("it is longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
}

impl CloudEvent {
    /// Checks a draft and writes it. The same draft gives the same bytes.
    ///
    /// # Errors
    /// What of it the specification does not allow, or one of this crate's bounds.
    pub fn new(draft: &Draft<'_>) -> Result<Self, InvalidEvent> {
        if !topic::is_topic(draft.topic) {
            return Err(InvalidEvent::Topic);
        }
        if !is_attribute(draft.id) {
            return Err(InvalidEvent::Attribute("id"));
        }
        let subject = draft.subject.filter(|subject| !subject.is_empty());
        if !subject.is_none_or(is_attribute) {
            return Err(InvalidEvent::Attribute("subject"));
        }
        if draft.data.len() > MAX_EVENT_BYTES {
            return Err(InvalidEvent::TooLong);
        }
        serde_json::from_str::<IgnoredAny>(draft.data)
            .map_err(|source| InvalidEvent::Data { source })?;
        let json = written(draft, subject);
        if json.len() > MAX_EVENT_BYTES {
            return Err(InvalidEvent::TooLong);
        }
        Ok(Self {
            id: draft.id.to_owned(),
            topic: draft.topic.to_owned(),
            json,
        })
    }

    /// Its `id`: unique among the events of its source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its `type`.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The whole event in structured JSON, on one line.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }
}

fn written(draft: &Draft<'_>, subject: Option<&str>) -> String {
    let mut json = String::with_capacity(draft.data.len() + 256);
    json.push('{');
    let mut attribute = |name: &str, value: &str| {
        let text = serde_json::Value::from(value).to_string();
        json.push_str(&format!("\"{name}\":{text},"));
    };
    attribute("specversion", SPEC_VERSION);
    attribute("id", draft.id);
    let application = path_segment(draft.application);
    let component = path_segment(draft.component);
    attribute("source", &format!("/bulkhead/{application}/{component}"));
    attribute("type", draft.topic);
    if let Some(subject) = subject {
        attribute("subject", subject);
    }
    attribute("time", &rfc3339(draft.time_ms));
    attribute("datacontenttype", "application/json");
    json.push_str("\"data\":");
    // In JSON a line break stands between tokens only, where a blank means the same.
    json.extend(
        draft
            .data
            .trim()
            .chars()
            .map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }),
    );
    json.push('}');
    json
}

/// Whether a text may be the value of an attribute: CloudEvents 1.0, section "Type System", `String`, and not empty.
fn is_attribute(text: &str) -> bool {
    let is_noncharacter =
        |c: char| matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    (1..=MAX_SUBJECT_BYTES).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || is_noncharacter(c))
}

/// A name as a segment of a URI's path (RFC 3986, section 3.3): what is not unreserved is escaped.
fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const DRAFT: Draft<'_> = Draft {
        id: "01-0",
        application: "bulkhead",
        component: "ingest",
        topic: "telemetry.ingest.health",
        subject: Some("assessments/telemetry.ingest.health"),
        time_ms: 1_640_995_200_000,
        data: r#"{"status":"ok"}"#,
    };

    #[test]
    fn an_event_is_structured_json_with_the_attributes_of_the_specification() {
        let event = CloudEvent::new(&DRAFT).unwrap();
        assert_eq!(
            event.as_json(),
            "{\"specversion\":\"1.0\",\"id\":\"01-0\",\"source\":\"/bulkhead/bulkhead/ingest\",\
             \"type\":\"telemetry.ingest.health\",\"subject\":\"assessments/telemetry.ingest.health\",\
             \"time\":\"2022-01-01T00:00:00.000Z\",\"datacontenttype\":\"application/json\",\
             \"data\":{\"status\":\"ok\"}}"
        );
    }

    #[test]
    fn numbers_in_the_data_keep_their_digits_and_line_breaks_do_not_stay() {
        let draft = Draft {
            data: "{\n\"price\":\r\n 46656.850000000000000001\n}\n",
            subject: Some(""),
            ..DRAFT
        };
        let event = CloudEvent::new(&draft).unwrap();
        assert!(event.as_json().contains("46656.850000000000000001"));
        assert!(!event.as_json().contains(['\n', '\r']));
        assert!(!event.as_json().contains("subject"));
    }

    #[test]
    fn an_application_of_any_name_gives_a_source_that_is_a_uri_reference() {
        let draft = Draft {
            application: "my app/é?",
            ..DRAFT
        };
        let event = CloudEvent::new(&draft).unwrap();
        let value: Value = serde_json::from_str(event.as_json()).unwrap();
        assert_eq!(
            value["source"],
            json!("/bulkhead/my%20app%2F%C3%A9%3F/ingest")
        );
    }

    #[test]
    fn what_the_specification_does_not_allow_in_an_attribute_is_refused() {
        for subject in [
            "a\nb",
            "\u{85}",
            "\u{7f}",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{1fffe}",
        ] {
            let draft = Draft {
                subject: Some(subject),
                ..DRAFT
            };
            let error = CloudEvent::new(&draft).unwrap_err();
            assert!(
                matches!(error, InvalidEvent::Attribute("subject")),
                "{error}"
            );
        }
        let draft = Draft { id: "", ..DRAFT };
        assert!(CloudEvent::new(&draft).is_err());
        let draft = Draft {
            topic: "no topic",
            ..DRAFT
        };
        assert!(matches!(CloudEvent::new(&draft), Err(InvalidEvent::Topic)));
    }

    #[test]
    fn data_that_is_not_json_cannot_break_out_of_the_event() {
        for data in ["", "{", "1,\"type\":\"x\"", "{}}", "nope"] {
            let draft = Draft { data, ..DRAFT };
            let refused = CloudEvent::new(&draft);
            assert!(matches!(refused, Err(InvalidEvent::Data { .. })), "{data}");
        }
    }

    #[test]
    fn an_event_of_exactly_the_bound_passes_and_one_byte_more_does_not() {
        let frame = CloudEvent::new(&DRAFT).unwrap().as_json().len() - DRAFT.data.len();
        let data = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - frame - 2));
        let check = |data: &str| CloudEvent::new(&Draft { data, ..DRAFT });
        assert!(check(&data(MAX_EVENT_BYTES)).is_ok());
        assert!(matches!(
            check(&data(MAX_EVENT_BYTES + 1)),
            Err(InvalidEvent::TooLong)
        ));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_line_of_json_with_the_draft_in_it(
            subject in any::<Option<String>>(),
            application in any::<String>(),
            data in "[ \\n]{0,2}(\"[a-z]{0,4}\"|[0-9]{1,9}|\\{\\}|\\[1, \\n2\\])[ \\r]{0,2}",
        ) {
            let draft = Draft { subject: subject.as_deref(), application: &application, data: &data, ..DRAFT };
            if let Ok(event) = CloudEvent::new(&draft) {
                prop_assert!(!event.as_json().contains('\n'));
                let value: Value = serde_json::from_str(event.as_json()).unwrap();
                prop_assert_eq!(&value["data"], &serde_json::from_str::<Value>(&data).unwrap());
                prop_assert_eq!(value["subject"].as_str(), subject.as_deref().filter(|s| !s.is_empty()));
                prop_assert!(value["source"].as_str().unwrap().is_ascii());
            }
        }
    }
}
