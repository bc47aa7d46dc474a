/// Why the stage could not come to its end: the cases of `stage-error` in the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageError {
    /// The input is not what the schema asks for.
    InvalidInput(String),
    /// A grant, a limit or a switch forbade what the stage needed.
    Denied(String),
    /// Something outside did not answer.
    Unavailable(String),
    /// Another run changed the same document first.
    Conflict(String),
    /// The stage found its own state or configuration broken.
    Internal(String),
    /// Anything else.
    Other(String),
}

impl StageError {
    /// The text of the case.
    pub fn detail(&self) -> &str {
        match self {
            Self::InvalidInput(detail)
            | Self::Denied(detail)
            | Self::Unavailable(detail)
            | Self::Conflict(detail)
            | Self::Internal(detail)
            | Self::Other(detail) => detail,
        }
    }

    /// The same case, its text followed by what went wrong after it.
    #[must_use]
    pub fn followed_by(mut self, more: &str) -> Self {
        let (Self::InvalidInput(detail)
        | Self::Denied(detail)
        | Self::Unavailable(detail)
        | Self::Conflict(detail)
        | Self::Internal(detail)
        | Self::Other(detail)) = &mut self;
        detail.push_str("; ");
        detail.push_str(more);
        self
    }
}
