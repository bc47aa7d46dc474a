/// Why a schedule is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Longer than [`MAX_EXPRESSION_BYTES`](super::MAX_EXPRESSION_BYTES).
    #[error("cron expression of {bytes} bytes: at most {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not six fields.
    #[error(
        "cron expression `{expression}` has {found} fields, and 6 are needed: second, minute, hour, day of month, month, day of week{hint}"
    )]
    FieldCount {
        /// What was written.
        expression: String,
        /// Fields found.
        found: usize,
        /// What to write instead, where that can be said.
        hint: String,
    },
    /// One field is wrong.
    #[error(
        "cron expression `{expression}`, column {column}: `{text}` is no {field}: allowed are {allowed}"
    )]
    Field {
        /// What was written.
        expression: String,
        /// Where the wrong part begins, counted in characters from 1.
        column: usize,
        /// The wrong part.
        text: String,
        /// The field's name.
        field: &'static str,
        /// What the field takes.
        allowed: &'static str,
        /// The parser's words.
        #[source]
        cause: croner::errors::CronError,
    },
    /// Each field is right, and all together are not.
    #[error("cron expression `{expression}` is not valid")]
    Expression {
        /// What was written.
        expression: String,
        /// The parser's words.
        #[source]
        cause: croner::errors::CronError,
    },
    /// No date ever fits, for example 30 February.
    #[error("cron expression `{expression}` never fires: no date fits it")]
    NeverFires {
        /// What was written.
        expression: String,
    },
    /// The IANA database has no such zone.
    #[error("unknown time zone `{zone}`{suggestion}")]
    TimeZone {
        /// What was written.
        zone: String,
        /// `, did you mean …`, or nothing.
        suggestion: String,
    },
}
