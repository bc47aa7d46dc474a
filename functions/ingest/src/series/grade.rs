//! How good a series is, and why.

use bulkhead_evaluators::ingest_quality::{self, score};
use bulkhead_kernel::assessment::{Ladder, Severity};

use super::{Known, MAX_WHY_BYTES, Shape, cut};

/// The words of a series' status.
const LADDER: Ladder = Ladder::OK_WARN_ERROR;

impl Known {
    /// Says how good it is at `now_ms`. Above `freshness_limit_seconds` it is too old.
    pub fn grade(
        &mut self,
        shape: &Shape,
        freshness_limit_seconds: f64,
        policy: &ingest_quality::Policy,
        now_ms: i64,
    ) {
        self.due_at_ms = self.next_due_ms(shape);
        self.freshness_seconds = self.age_seconds(shape, now_ms);
        let Some(age) = self.freshness_seconds else {
            self.coverage = None;
            self.score = Some(0.0);
            self.status = LADDER.word(Severity::Fail).to_owned();
            self.why = match &self.error {
                Some(error) => format!("no bar is stored: {error}"),
                None => "no bar is stored: no source had one".to_owned(),
            };
            return;
        };
        let scored = score(
            self.held_bars(shape),
            Some(self.expected_bars(shape)),
            Some(age),
            freshness_limit_seconds,
            policy,
        );
        self.coverage = scored.coverage;
        self.score = Some(scored.score);
        let mut severity = scored.severity;
        let mut reasons: Vec<String> = vec![];
        if !scored.reasons.is_empty() {
            reasons.push(scored.reasons);
        }
        if self.missing_bars > 0 {
            reasons.push(format!(
                "{} bars are missing between others",
                self.missing_bars
            ));
        }
        if let Some(error) = &self.error {
            severity.escalate(Severity::Warn);
            reasons.push(format!("the last request failed: {error}"));
        }
        if self.is_behind {
            reasons.push("the source has more than was asked for so far".to_owned());
        }
        self.status = LADDER.word(severity).to_owned();
        self.why = if reasons.is_empty() {
            "complete, and no bar is overdue".to_owned()
        } else {
            cut(&reasons.join("; "), MAX_WHY_BYTES)
        };
    }

    /// The severity of its status.
    pub fn severity(&self) -> Severity {
        LADDER.parse(&self.status).unwrap_or(Severity::Fail)
    }
}
