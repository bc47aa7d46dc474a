use std::fmt;

use bulkhead_kernel::bar::BarError;
use bulkhead_kernel::bar_row::{BarRow, FIELDS, FieldError};
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
    /// The fields do not make a bar.
    #[error("{column}: {0}", column = column_of(.0))]
    Bar(#[from] BarError),
    /// A value and the bars before it do not fit one column.
    #[error(
        "column {} (`{}`): {value} and the bars before it do not fit 64 bits together, with {places} digit(s) after the decimal point",
        place + 1, FIELDS.get(*place).unwrap_or(&"none")
    )]
    TooFine {
        /// The value's place in the row, from 0.
        place: usize,
        /// The value.
        value: String,
        /// Digits after the decimal point that the column would need.
        places: u8,
    },
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

/// The column that a rule of bars was broken in, as it is shown.
fn column_of(error: &BarError) -> String {
    let (BarError::PriceNotPositive { column, .. }
    | BarError::OutsideRange { column, .. }
    | BarError::DoesNotFit { column, .. }) = error
    else {
        return match error {
            BarError::VolumeNegative { .. } => "column 6 (`volume`)".to_owned(),
            _ => "columns 2 to 6".to_owned(),
        };
    };
    match FIELDS.iter().position(|field| field == column) {
        Some(place) => format!("column {} (`{column}`)", place + 1),
        None => format!("`{column}`"),
    }
}

impl Reason {
    /// One word for it, under which rows are counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Field(_) => "malformed",
            Self::Bar(_) => "invalid",
            Self::TooFine { .. } => "too fine",
            Self::Duplicate { .. } => "duplicate",
            Self::OutOfOrder { .. } => "out of order",
            Self::OffGrid { .. } => "off grid",
            Self::InFuture { .. } => "in the future",
            Self::Jump { .. } => "jump",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_cannot_be_is_named_by_its_column() {
        for (line, expect) in [
            ("0,1,2,0,1,1", "column 4 (`low`): "),
            ("0,3,2,1,1,1", "column 2 (`open`): "),
            ("0,1,2,1,3,1", "column 5 (`close`): "),
            ("0,1,2,1,1,-1", "column 6 (`volume`): "),
        ] {
            let row = BarRow::parse(line.split(',').map(str::as_bytes)).unwrap();
            let said = Reason::from(row.validate().unwrap_err()).to_string();
            assert!(said.starts_with(expect), "{line}: {said}");
        }
    }
}
