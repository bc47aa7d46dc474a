use std::fmt;

use bulkhead_kernel::bar::BarError;
use bulkhead_kernel::bar_row::{BarRow, FieldError};
use bulkhead_kernel::instant::rfc3339;

/// Where in its file a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line of a text file, from 1, which is the header.
    Line(u64),
    /// The row of a Parquet file, from 1.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// A row as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Where it stands.
    pub place: Place,
    /// Its values, or the field that has none.
    pub row: Result<BarRow, FieldError>,
    /// How many of its values were rounded.
    pub rounded: u32,
}

/// A row that is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, {reason}")]
pub struct RowError {
    /// Where it stands.
    pub place: Place,
    /// Why not.
    pub reason: Reason,
}

/// Why a row is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A field is malformed.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The fields do not make a bar, or do not fit one column with the bars before.
    #[error("columns 2 to 6: {0}")]
    Bar(#[from] BarError),
    /// It opens when the bar before it does.
    #[error("column 1 (`timestamp`): a bar that opens at {} is there already", rfc3339(*open_time_ms))]
    Duplicate {
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
    },
    /// It opens earlier than the bar before it.
    #[error(
        "column 1 (`timestamp`): {} is not later than {}, the row before",
        rfc3339(*open_time_ms), rfc3339(*previous_ms)
    )]
    OutOfOrder {
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
        /// When the last good bar opens, in Unix milliseconds.
        previous_ms: i64,
    },
    /// It opens between two bars of the timeframe.
    #[error(
        "column 1 (`timestamp`): {} is not where a bar of {step_ms} ms opens",
        rfc3339(*open_time_ms)
    )]
    OffGrid {
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
        /// The length of a bar, in milliseconds.
        step_ms: i64,
    },
    /// It opens later than now.
    #[error("column 1 (`timestamp`): {} is in the future", rfc3339(*open_time_ms))]
    InFuture {
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
    },
    /// Its first price is absurdly far from the last price of the bar before.
    #[error(
        "column 2 (`open`): {open} is more than a factor of {max_jump} from {previous_close}, the last price before"
    )]
    Jump {
        /// The bar's first price.
        open: String,
        /// The last price of the last good bar.
        previous_close: String,
        /// The largest factor between the two.
        max_jump: u32,
    },
}

impl Reason {
    /// One word for it, under which rows are counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Field(_) => "malformed",
            Self::Bar(_) => "invalid",
            Self::Duplicate { .. } => "duplicate",
            Self::OutOfOrder { .. } => "out of order",
            Self::OffGrid { .. } => "off grid",
            Self::InFuture { .. } => "in the future",
            Self::Jump { .. } => "jump",
        }
    }
}
