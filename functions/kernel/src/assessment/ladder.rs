use super::Severity;

/// The three words of a family of evaluators, the best one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ladder([&'static str; 3]);

impl Ladder {
    /// Ingest health, ingest quality, observability, failover decisions.
    pub const OK_WARN_ERROR: Self = Self(["ok", "warn", "error"]);
    /// What has no ladder of its own.
    pub const OK_WARN_FAIL: Self = Self(["ok", "warn", "fail"]);
    /// Execution, security, audits.
    pub const PASS_WARN_FAIL: Self = Self(["pass", "warn", "fail"]);
    /// Drift and strategy performance.
    pub const NORMAL_WARN_ALERT: Self = Self(["normal", "warn", "alert"]);
    /// Risk posture.
    pub const OK_WARN_ALERT: Self = Self(["ok", "warn", "alert"]);
    /// Risk policy.
    pub const OK_WARN_VIOLATION: Self = Self(["ok", "warn", "violation"]);
    /// Service level objectives.
    pub const MET_AT_RISK_BREACHED: Self = Self(["met", "at_risk", "breached"]);
    /// Alert events.
    pub const INFO_WARNING_CRITICAL: Self = Self(["info", "warning", "critical"]);

    /// The ladders above.
    pub const ALL: [Self; 8] = [
        Self::OK_WARN_ERROR,
        Self::OK_WARN_FAIL,
        Self::PASS_WARN_FAIL,
        Self::NORMAL_WARN_ALERT,
        Self::OK_WARN_ALERT,
        Self::OK_WARN_VIOLATION,
        Self::MET_AT_RISK_BREACHED,
        Self::INFO_WARNING_CRITICAL,
    ];

    /// The ladder of three words, the best one first.
    #[must_use]
    pub const fn new(ok: &'static str, warn: &'static str, fail: &'static str) -> Self {
        Self([ok, warn, fail])
    }

    /// The word of a severity.
    #[must_use]
    pub fn word(self, severity: Severity) -> &'static str {
        let [ok, warn, fail] = self.0;
        match severity {
            Severity::Ok => ok,
            Severity::Warn => warn,
            Severity::Fail => fail,
        }
    }

    /// The severity of a word. None: the word is not one of this ladder.
    #[must_use]
    pub fn parse(self, word: &str) -> Option<Severity> {
        Severity::ALL
            .into_iter()
            .find(|severity| self.word(*severity) == word)
    }
}
