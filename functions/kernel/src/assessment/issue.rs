//! What was found, and the catalogue of it.

use serde_json::{Map, Value, json};

use super::{Ladder, Severity};

/// The keys of the catalogue of issues in an assessment's metadata.
pub(super) const CATALOGUE_KEYS: [&str; 5] = [
    "issue_details",
    "issue_counts",
    "issue_catalog",
    "issue_category_severity",
    "highest_issue_severity",
];

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// What kind of thing, in a stable word, for example `missing_symbols`.
    pub category: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
}

impl Issue {
    /// An issue without detail.
    pub fn new(
        category: impl Into<String>,
        severity: Severity,
        message: impl Into<String>,
    ) -> Self {
        Self {
            category: category.into(),
            severity,
            message: message.into(),
            detail: None,
        }
    }

    /// Says more about it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn to_json(&self, ladder: Ladder) -> Value {
        let mut entry = json!({
            "category": self.category,
            "severity": ladder.word(self.severity),
            "message": self.message,
        });
        if let Some(detail) = &self.detail {
            entry["detail"] = json!(detail);
        }
        entry
    }
}

/// The issues from several sides: all in order, how many of each severity, by category, the worst of each category, the
/// worst of all. Empty when there is no issue.
pub(super) fn catalogue(issues: &[Issue], ladder: Ladder) -> Map<String, Value> {
    let mut catalogue = Map::new();
    let Some(highest) = issues.iter().map(|issue| issue.severity).max() else {
        return catalogue;
    };
    let mut counts = Map::new();
    for severity in Severity::ALL {
        let count = issues.iter().filter(|issue| issue.severity == severity);
        match count.count() {
            0 => {}
            count => {
                counts.insert(ladder.word(severity).to_owned(), json!(count));
            }
        }
    }
    let mut by_category = Map::new();
    let mut category_severity = Map::new();
    for issue in issues {
        if by_category.contains_key(&issue.category) {
            continue;
        }
        let alike = || {
            issues
                .iter()
                .filter(|other| other.category == issue.category)
        };
        let worst = alike()
            .map(|issue| issue.severity)
            .max()
            .unwrap_or_default();
        let entries: Vec<Value> = alike().map(|issue| issue.to_json(ladder)).collect();
        by_category.insert(issue.category.clone(), json!(entries));
        category_severity.insert(issue.category.clone(), json!(ladder.word(worst)));
    }
    let details: Vec<Value> = issues.iter().map(|issue| issue.to_json(ladder)).collect();
    catalogue.insert("issue_details".to_owned(), json!(details));
    catalogue.insert("issue_counts".to_owned(), json!(counts));
    catalogue.insert("issue_catalog".to_owned(), json!(by_category));
    catalogue.insert(
        "issue_category_severity".to_owned(),
        json!(category_severity),
    );
    catalogue.insert(
        "highest_issue_severity".to_owned(),
        json!(ladder.word(highest)),
    );
    catalogue
}
