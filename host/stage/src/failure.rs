use serde::{Deserialize, Serialize};

/// Why a stage says that it could not come to its end (`stage-error` of the contract).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum StageError {
    /// The input is not what the schema asks for.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// A grant, a limit or a switch forbade what the stage needed.
    #[error("denied: {0}")]
    Denied(String),
    /// Something outside did not answer.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Another run changed the same document first.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The stage found its own state broken.
    #[error("internal: {0}")]
    Internal(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StageError {
    /// What the stage said.
    pub fn detail(&self) -> &str {
        match self {
            Self::InvalidInput(text)
            | Self::Denied(text)
            | Self::Unavailable(text)
            | Self::Conflict(text)
            | Self::Internal(text)
            | Self::Other(text) => text,
        }
    }
}

/// A bound that a run broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The run took longer than `limits.deadline`.
    Deadline,
    /// Linear memory would have grown over `limits.memory`.
    Memory,
    /// A table would have grown over the sandbox's bound.
    Table,
    /// The guest's stack overflowed.
    Stack,
    /// More calls into the host than `limits.host_calls`.
    HostCalls,
    /// More bytes logged than `limits.log_bytes`.
    LogBytes,
    /// More bytes answered than `limits.output_bytes`, or sent in requests, or passed in one call.
    OutputBytes,
    /// More handles open at once than the sandbox's bound.
    Handles,
    /// More bytes received from venues than `limits.response_bytes`.
    ResponseBytes,
    /// More runs of the component at once than `limits.concurrent_runs`.
    ConcurrentRuns,
}

impl Limit {
    /// The stable word for the journal, for example `deadline-exceeded`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Deadline => "deadline-exceeded",
            Self::Memory => "memory-limit-exceeded",
            Self::Table => "table-limit-exceeded",
            Self::Stack => "stack-overflow",
            Self::HostCalls => "host-call-limit-exceeded",
            Self::LogBytes => "log-limit-exceeded",
            Self::OutputBytes => "output-limit-exceeded",
            Self::Handles => "handle-limit-exceeded",
            Self::ResponseBytes => "response-limit-exceeded",
            Self::ConcurrentRuns => "concurrent-run-limit-exceeded",
        }
    }
}

/// Why a run gave no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// The stage answered with an error.
    #[error(transparent)]
    Stage(StageError),
    /// The run broke a bound and was ended.
    #[error("{}: {detail}", .limit.reason())]
    Limit {
        /// Which bound.
        limit: Limit,
        /// The bound's value, and where it is set.
        detail: String,
    },
    /// The guest trapped: a panic, an unreachable instruction, memory out of bounds.
    #[error("guest-trapped: {detail}")]
    Trapped {
        /// The trap, and the guest's last words where it left any.
        detail: String,
    },
    /// The manifest has no such component, or it is no stage.
    #[error("unknown-component: {component}")]
    UnknownComponent {
        /// The name asked for.
        component: String,
    },
    /// The host itself could not run it.
    #[error("host-failed: {detail}")]
    Host {
        /// What failed.
        detail: String,
    },
}

impl Failure {
    /// The stable word for the journal.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Stage(error) => match error {
                StageError::InvalidInput(_) => "invalid-input",
                StageError::Denied(_) => "denied",
                StageError::Unavailable(_) => "unavailable",
                StageError::Conflict(_) => "conflict",
                StageError::Internal(_) => "internal",
                StageError::Other(_) => "other",
            },
            Self::Limit { limit, .. } => limit.reason(),
            Self::Trapped { .. } => "guest-trapped",
            Self::UnknownComponent { .. } => "unknown-component",
            Self::Host { .. } => "host-failed",
        }
    }

    /// Whether another attempt may end otherwise. A guest that traps or breaks a limit would only do it again.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Stage(StageError::Unavailable(_) | StageError::Conflict(_))
        )
    }
}

/// What a grant refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The stable word, for example `host-not-granted`.
    pub reason: String,
    /// What was asked, what the limit is, and the manifest line that would permit it.
    pub detail: String,
}
