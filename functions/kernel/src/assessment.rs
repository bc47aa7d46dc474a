//! What every evaluator answers: how good something is, and why.
//!
//! An [`Assessment`] has a severity, the [`Check`]s it was made of, the [`Issue`]s found, numbers and metadata. Its status
//! word comes from the [`Ladder`] of its family, so that `fail`, `error`, `alert` and `breached` compare alike. How it is written
//! ([`Assessment::to_json`], [`Assessment::to_markdown`]), read ([`Assessment::from_json`]), told to the event bus ([`Assessment::to_event`]) and kept ([`history`])
//! is the same for all.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub mod history;
mod issue;
mod ladder;
mod read;
mod render;
#[cfg(test)]
mod tests;

pub use issue::Issue;
pub use ladder::Ladder;

/// How bad something is. `Ok < Warn < Fail`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    #[default]
    Ok,
    /// Somebody should look.
    Warn,
    /// It must not be relied on.
    Fail,
}

impl Severity {
    /// All of them, ascending.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Warn, Self::Fail];

    /// Takes the place of a candidate that is worse; never becomes better.
    pub fn escalate(&mut self, candidate: Self) {
        *self = (*self).max(candidate);
    }

    /// The level of an alert about it.
    #[must_use]
    pub fn alert_level(self) -> AlertLevel {
        match self {
            Self::Ok => AlertLevel::Info,
            Self::Warn => AlertLevel::Warning,
            Self::Fail => AlertLevel::Critical,
        }
    }
}

/// The severity of an alert event. `Info < Warning < Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertLevel {
    /// Nothing to do.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl AlertLevel {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One part of what was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What was looked at, for example `daily_bars`.
    pub name: String,
    /// How it is.
    pub severity: Severity,
    /// Why, in a sentence.
    pub summary: String,
    /// What the summary leaves out.
    pub metadata: Map<String, Value>,
}

impl Check {
    /// A check without metadata.
    pub fn new(name: impl Into<String>, severity: Severity, summary: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            severity,
            summary: summary.into(),
            metadata: Map::new(),
        }
    }

    /// Adds a value to the metadata. A number that is not finite becomes null.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a value to the metadata if there is one.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }
}

/// What an evaluator answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The topic of the event bus that it is published under, for example `telemetry.ingest.health`.
    pub topic: String,
    /// Who made it.
    pub source: String,
    /// The words of its severities.
    pub ladder: Ladder,
    /// The worst of what counts.
    pub severity: Severity,
    /// What was looked at, in order of evaluation.
    pub checks: Vec<Check>,
    /// What was found, in order of evaluation.
    pub issues: Vec<Issue>,
    /// Numbers by name; the unit is at the end of the name.
    pub metrics: BTreeMap<String, f64>,
    /// What else there is to know.
    pub metadata: Map<String, Value>,
    /// When it was made, in Unix milliseconds.
    pub generated_at_ms: i64,
}

impl Assessment {
    /// An assessment at the lowest rung, of nothing yet.
    pub fn new(topic: &str, source: &str, ladder: Ladder, generated_at_ms: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            source: source.to_owned(),
            ladder,
            severity: Severity::Ok,
            checks: vec![],
            issues: vec![],
            metrics: BTreeMap::new(),
            metadata: Map::new(),
            generated_at_ms,
        }
    }

    /// The word of its severity.
    #[must_use]
    pub fn status(&self) -> &'static str {
        self.ladder.word(self.severity)
    }

    /// Adds a check that counts.
    pub fn check(&mut self, check: Check) {
        self.severity.escalate(check.severity);
        self.checks.push(check);
    }

    /// Adds a check that does not count.
    pub fn inform(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Adds an issue that counts.
    pub fn raise(&mut self, issue: Issue) {
        self.severity.escalate(issue.severity);
        self.issues.push(issue);
    }

    /// Adds an issue that does not count: its severity is its own, or another part of the assessment has it already.
    pub fn remark(&mut self, issue: Issue) {
        self.issues.push(issue);
    }

    /// Adds a number.
    pub fn measure(&mut self, name: impl Into<String>, value: f64) {
        self.metrics.insert(name.into(), value);
    }

    /// Adds a value to the metadata; a later one of the same key wins. A number that is not finite becomes null.
    pub fn annotate(&mut self, key: &str, value: impl Into<Value>) {
        self.metadata.insert(key.to_owned(), value.into());
    }
}
