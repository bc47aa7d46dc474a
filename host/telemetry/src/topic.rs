//! Topics, and which of them a subscriber asks for.
//!
//! A topic is one or more words joined by dots, such as `telemetry.ingest.health`; a word has ASCII letters, digits, `_` and
//! `-`. A prefix covers whole words: `telemetry.ingest` covers itself and `telemetry.ingest.health`, not
//! `telemetry.ingestion`. The empty prefix covers every topic.

use std::fmt;
use std::str::FromStr;

/// The longest topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 128;

/// A run gave no report. Its data is the run's journal entry.
pub const RUN_FAILED: &str = "run.failed";

/// A firing of a schedule never became a run. Its data is the journal entry.
pub const SCHEDULE_MISSED: &str = "schedule.missed";

/// A run of a component was the first to be held by a kill switch. Its data is the run's journal entry.
pub const KILL_SWITCH_ON: &str = "kill_switch.on";

/// The first words of the host's own topics. A stage's event under one of them is refused, so that none can be mistaken
/// for the host's.
pub const HOST_WORDS: [&str; 3] = ["run", "schedule", "kill_switch"];

/// Whether a text has the form of a topic.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    text.len() <= MAX_TOPIC_BYTES && text.split('.').all(is_word)
}

/// Whether a topic is one of the host's own.
#[must_use]
pub fn is_of_host(topic: &str) -> bool {
    let first = topic.split('.').next().unwrap_or_default();
    HOST_WORDS.contains(&first)
}

/// The topics that begin with some words. The default covers every topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPrefix(String);

/// A text that is no prefix of topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a topic is words of letters, digits, `_` and `-`, joined by dots, at most {MAX_TOPIC_BYTES} bytes, such as `telemetry.ingest`"
)]
pub struct MalformedPrefix;

impl TopicPrefix {
    /// Whether the prefix covers a topic.
    #[must_use]
    pub fn covers(&self, topic: &str) -> bool {
        self.0.is_empty()
            || topic
                .strip_prefix(self.0.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Its words; empty where it covers every topic.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicPrefix {
    type Err = MalformedPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || is_topic(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedPrefix)
        }
    }
}

impl fmt::Display for TopicPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, topic: &str) -> bool {
        prefix.parse::<TopicPrefix>().unwrap().covers(topic)
    }

    #[test]
    fn a_prefix_covers_its_own_topic_and_those_with_more_words() {
        for topic in ["telemetry.ingest", "telemetry.ingest.health"] {
            assert!(covers("telemetry.ingest", topic), "{topic}");
        }
        for topic in ["telemetry", "telemetry.ingestion", "telemetry.execute"] {
            assert!(!covers("telemetry.ingest", topic), "{topic}");
        }
        assert!(covers("", "telemetry.ingest"));
    }

    #[test]
    fn a_topic_is_words_joined_by_dots() {
        let longest = "a".repeat(MAX_TOPIC_BYTES);
        for text in ["a", "a.b-c.D_1", longest.as_str()] {
            assert!(is_topic(text), "{text}");
        }
        let too_long = "a".repeat(MAX_TOPIC_BYTES + 1);
        for text in ["", ".", "a.", ".a", "a..b", "a b", "é", "a\n", &too_long] {
            assert!(!is_topic(text), "{text}");
            assert_eq!(text.parse::<TopicPrefix>().is_err(), !text.is_empty());
        }
    }

    #[test]
    fn the_topics_of_the_host_begin_with_its_words() {
        for topic in [RUN_FAILED, SCHEDULE_MISSED, KILL_SWITCH_ON, "run", "run.x"] {
            assert!(is_topic(topic) && is_of_host(topic), "{topic}");
        }
        for topic in ["running", "telemetry.run.failed"] {
            assert!(!is_of_host(topic), "{topic}");
        }
    }
}
