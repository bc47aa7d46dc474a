//! An assessment as JSON, as Markdown and as an event.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Assessment, Check, Ladder, history, issue};
use crate::instant::rfc3339;
use crate::stage::Event;

impl Check {
    fn to_json(&self, ladder: Ladder) -> Value {
        let mut check = json!({
            "name": self.name,
            "status": ladder.word(self.severity),
            "summary": self.summary,
        });
        if !self.metadata.is_empty() {
            check["metadata"] = json!(self.metadata);
        }
        check
    }
}

impl Assessment {
    /// As a JSON object. Parts that are empty are left out; a number that is not finite is null.
    ///
    /// `issues` are messages; the metadata has the catalogue of them under `issue_details`, `issue_counts`, `issue_catalog`,
    /// `issue_category_severity` and `highest_issue_severity`, unless the assessment has a key of that name itself.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "topic": self.topic,
            "source": self.source,
            "status": self.status(),
            "alert_level": self.severity.alert_level().as_str(),
            "generated_at": rfc3339(self.generated_at_ms),
        });
        if !self.checks.is_empty() {
            let checks = self.checks.iter().map(|check| check.to_json(self.ladder));
            object["checks"] = checks.collect();
        }
        if !self.issues.is_empty() {
            object["issues"] = self
                .issues
                .iter()
                .map(|issue| issue.message.as_str())
                .collect();
        }
        if !self.metrics.is_empty() {
            object["metrics"] = json!(self.metrics);
        }
        let metadata = self.all_metadata();
        if !metadata.is_empty() {
            object["metadata"] = json!(metadata);
        }
        object
    }

    fn all_metadata(&self) -> Map<String, Value> {
        let mut metadata = issue::catalogue(&self.issues, self.ladder);
        metadata.extend(self.metadata.clone());
        metadata
    }

    /// As Markdown: a bold title, a table of the checks, and the issues as a list if there are any.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "**{}: {}**\n\n| Check | Status | Summary |\n| --- | --- | --- |\n",
            one_line(&self.topic),
            self.status().to_uppercase()
        );
        for check in &self.checks {
            let status = self.ladder.word(check.severity).to_uppercase();
            let (name, summary) = (cell(&check.name), cell(&check.summary));
            let _ = writeln!(text, "| {name} | {status} | {summary} |");
        }
        if !self.issues.is_empty() {
            text.push_str("\n**Issues:**\n\n");
        }
        for issue in &self.issues {
            let _ = writeln!(text, "- {}", one_line(&issue.message));
        }
        text
    }

    /// As an event for the bus: its topic, about the document that holds the latest assessment of the topic.
    #[must_use]
    pub fn to_event(&self) -> Event {
        let key = history::latest_key(&self.topic);
        Event {
            topic: self.topic.clone(),
            subject: Some(format!("{}/{}", key.collection, key.id)),
            data: self.to_json(),
        }
    }
}

/// A text without line breaks, which would end a Markdown row or list entry.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn cell(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('|', "\\|")
}
