//! An assessment from its JSON.

use serde_json::{Map, Value};

use super::issue::CATALOGUE_KEYS;
use super::{Assessment, Check, Issue, Ladder, Severity};
use crate::bar_row::parse_timestamp;

impl Assessment {
    /// Reads what [`Assessment::to_json`] wrote; other keys, such as those of the history, are passed over. Of several
    /// ladders that have all the words it takes the first in [`Ladder::ALL`].
    ///
    /// None: it is not an assessment, or no ladder of this crate has its words.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str();
        let level = text("alert_level")?;
        let severity = Severity::ALL
            .into_iter()
            .find(|severity| severity.alert_level().as_str() == level)?;
        let listed = |key: &str| match value.get(key) {
            None => Some(&[][..]),
            Some(list) => list.as_array().map(Vec::as_slice),
        };
        let (checks, messages) = (listed("checks")?, listed("issues")?);
        let mut metadata = match value.get("metadata") {
            None => Map::new(),
            Some(metadata) => metadata.as_object()?.clone(),
        };
        let details = if messages.is_empty() {
            Vec::new()
        } else {
            let details = metadata.get("issue_details")?.as_array()?.clone();
            metadata.retain(|key, _| !CATALOGUE_KEYS.contains(&key.as_str()));
            details
        };
        let words: Vec<&str> = checks
            .iter()
            .map(|check| check.get("status")?.as_str())
            .chain(details.iter().map(|issue| issue.get("severity")?.as_str()))
            .collect::<Option<_>>()?;
        let status = text("status")?;
        let ladder = Ladder::ALL.into_iter().find(|ladder| {
            ladder.parse(status) == Some(severity)
                && words.iter().all(|word| ladder.parse(word).is_some())
        })?;
        let metrics = match value.get("metrics") {
            None => Default::default(),
            Some(metrics) => metrics
                .as_object()?
                .iter()
                .map(|(name, number)| Some((name.clone(), number.as_f64().unwrap_or(f64::NAN))))
                .collect::<Option<_>>()?,
        };
        Some(Self {
            topic: text("topic")?.to_owned(),
            source: text("source")?.to_owned(),
            ladder,
            severity,
            checks: checks
                .iter()
                .map(|it| check(it, ladder))
                .collect::<Option<_>>()?,
            issues: details
                .iter()
                .map(|it| issue(it, ladder))
                .collect::<Option<_>>()?,
            metrics,
            metadata,
            generated_at_ms: instant(text("generated_at")?)?,
        })
    }
}

fn check(value: &Value, ladder: Ladder) -> Option<Check> {
    let text = |key: &str| value.get(key)?.as_str();
    Some(Check {
        name: text("name")?.to_owned(),
        severity: ladder.parse(text("status")?)?,
        summary: text("summary")?.to_owned(),
        metadata: match value.get("metadata") {
            None => Map::new(),
            Some(metadata) => metadata.as_object()?.clone(),
        },
    })
}

fn issue(value: &Value, ladder: Ladder) -> Option<Issue> {
    let text = |key: &str| value.get(key)?.as_str();
    Some(Issue {
        category: text("category")?.to_owned(),
        severity: ladder.parse(text("severity")?)?,
        message: text("message")?.to_owned(),
        detail: text("detail").map(str::to_owned),
    })
}

/// An instant as [`crate::instant::rfc3339`] writes it, in Unix milliseconds.
fn instant(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 10 {
        return None;
    }
    parse_timestamp(format!("{date} {time}").as_bytes())
}
