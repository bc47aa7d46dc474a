//! How good a series is, and why.

use bulkhead_evaluators::ingest_quality::{self, score};
use bulkhead_kernel::assessment::{Ladder, Severity};

use bulkhead_kernel::timeframe::Timeframe;

use super::{Known, Ledger, MAX_WHY_BYTES, Shape, age_ms, cut};
use crate::assess::{AT_LEAST_EVERY_MS, health_policy};

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

impl Ledger {
    /// What the document says, at a later instant: ages are those of `now_ms`, and what has become too old since it was graded is
    /// graded down. For whoever shows it: while ingest does not run nobody grades anew.
    #[must_use]
    pub fn as_of(mut self, now_ms: i64) -> Self {
        let limits = health_policy(Some(self.timeframe)).limits;
        let limit = limits.of(self.dimension).freshness_limit_seconds;
        let is_old_grade = now_ms.saturating_sub(self.graded_at_ms) > AT_LEAST_EVERY_MS;
        for known in self.symbols.values_mut() {
            known.grow_old(self.timeframe, limit, is_old_grade, now_ms);
        }
        self
    }
}

impl Known {
    fn grow_old(&mut self, timeframe: Timeframe, limit: f64, is_old_grade: bool, now_ms: i64) {
        let Some(age) = self.age_by_due(timeframe, now_ms) else {
            return;
        };
        self.freshness_seconds = Some(age);
        let now = score(
            1,
            None,
            Some(age),
            limit,
            &ingest_quality::Policy::default(),
        );
        self.score = self.score.map(|score| score.min(now.score));
        let mut severity = self.severity();
        let is_worse = now.severity > severity;
        severity.escalate(now.severity);
        self.status = LADDER.word(severity).to_owned();
        if !now.reasons.is_empty() && (is_worse || is_old_grade) {
            let why = format!("{}; when last graded: {}", now.reasons, self.why);
            self.why = cut(&why, MAX_WHY_BYTES);
        }
    }

    /// The age in seconds, of what the document has alone. None: there is no bar, or it was never graded.
    fn age_by_due(&self, timeframe: Timeframe, now_ms: i64) -> Option<f64> {
        let overdue_ms = now_ms.saturating_sub(self.due_at_ms?);
        let since_close_ms =
            now_ms.saturating_sub(timeframe.close_time_ms(self.newest_open_time_ms?));
        Some(age_ms(timeframe, since_close_ms, overdue_ms) as f64 / 1_000.0)
    }
}
