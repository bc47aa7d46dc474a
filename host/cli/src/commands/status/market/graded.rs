//! Assessments, in short.

use bulkhead_kernel::assessment::{Assessment, Severity};

use super::short;

/// An assessment, in short.
#[derive(Debug)]
pub(super) struct Graded {
    pub topic: String,
    pub severity: Severity,
    pub status: &'static str,
    pub summary: String,
    pub generated_at_ms: i64,
}

impl Graded {
    pub fn of(assessment: Assessment) -> Self {
        let severity = assessment.severity;
        let mut checks = assessment.checks.iter();
        let check = checks.find(|check| check.severity == severity);
        let issue = assessment.issues.iter().find(|it| it.severity == severity);
        let summary = match (check, issue) {
            _ if severity == Severity::Ok => String::new(),
            (Some(check), _) => format!("{}: {}", check.name, check.summary),
            (None, Some(issue)) => issue.message.clone(),
            (None, None) => String::new(),
        };
        Self {
            severity,
            status: assessment.status(),
            summary,
            topic: assessment.topic,
            generated_at_ms: assessment.generated_at_ms,
        }
    }

    pub fn line(&self) -> String {
        let mut text = format!("  graded   {} {}", self.status, self.topic);
        if !self.summary.is_empty() {
            text.push_str(": ");
            text.push_str(&short(&self.summary));
        }
        text
    }
}
