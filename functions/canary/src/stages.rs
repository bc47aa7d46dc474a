//! The way to the deployed stages.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A stage that the canary invokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Normalises frames.
    Ingest,
    /// Decides upon an envelope.
    GenerateTradingSignal,
    /// Routes and previews.
    Execute,
}

impl Stage {
    /// The name by which the stage is deployed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::GenerateTradingSignal => "generate-trading-signal",
            Self::Execute => "execute",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a stage gave no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The stage refused its input, for the reason in the text.
    #[error("{stage} refused its input: {text}")]
    InvalidInput {
        /// Which stage.
        stage: Stage,
        /// What the stage said.
        text: String,
    },
    /// The stage failed otherwise: it is not deployed, ended with another error, trapped, or answered what is no JSON.
    #[error("{stage} failed: {text}")]
    Failed {
        /// Which stage.
        stage: Stage,
        /// What is known of it.
        text: String,
    },
}

impl Failure {
    /// What the stage, or its host, said.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::InvalidInput { text, .. } | Self::Failed { text, .. } => text,
        }
    }
}

/// Invokes deployed stages.
pub trait Stages {
    /// Runs a stage once on an input that is written as JSON, and gives its JSON output.
    fn invoke(
        &mut self,
        stage: Stage,
        input: &impl Serialize,
    ) -> impl Future<Output = Result<Value, Failure>>;
}
