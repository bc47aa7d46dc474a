//! What was found about one part of an assessment: the check's severity and summary, and an issue for each.

use bulkhead_kernel::assessment::{Assessment, Check, Issue, Severity};

/// How many names a message lists.
const MAX_NAMES_LISTED: usize = 10;

/// What was found about one part, in order of evaluation.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Issue>);

impl Findings {
    pub(crate) fn add(&mut self, category: &str, severity: Severity, message: impl Into<String>) {
        self.0.push(Issue::new(category, severity, message));
    }

    pub(crate) fn severity(&self) -> Severity {
        let severities = self.0.iter().map(|issue| issue.severity);
        severities.max().unwrap_or_default()
    }

    /// The messages, joined; `otherwise` when there are none.
    pub(crate) fn summary(&self, otherwise: &str) -> String {
        if self.0.is_empty() {
            return otherwise.to_owned();
        }
        let messages: Vec<&str> = self.0.iter().map(|issue| issue.message.as_str()).collect();
        messages.join("; ")
    }

    /// A check of them.
    pub(crate) fn check(&self, name: &str, otherwise: &str) -> Check {
        Check::new(name, self.severity(), self.summary(otherwise))
    }

    /// Adds them to an assessment, each led by the name of the part.
    pub(crate) fn raise_in(self, assessment: &mut Assessment, name: &str) {
        for mut issue in self.0 {
            issue.message = format!("{name}: {}", issue.message);
            assessment.raise(issue);
        }
    }
}

/// Names for a message: the first of them, and how many more there are.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names
        .iter()
        .take(MAX_NAMES_LISTED)
        .map(AsRef::as_ref)
        .collect();
    let text = shown.join(", ");
    match names.len().saturating_sub(MAX_NAMES_LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_message_lists_ten_names_and_counts_the_rest() {
        let names: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
        assert_eq!(listed(&names[..2]), "1, 2");
        assert_eq!(listed(&names[..10]), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
        assert_eq!(listed(&names), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
    }
}
