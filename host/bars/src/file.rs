use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;
use bulkhead_kernel::bar_row::FIELDS;
use bulkhead_store::{Bars, MAX_APPEND_BARS};
use serde::{Deserialize, Serialize};

use crate::SourceRow;
use crate::csv::{CsvReader, MAX_LINE_BYTES};
use crate::parquet::ParquetReader;

/// The most rows that are held at once, and the bars of one append.
pub const BATCH_BARS: usize = MAX_APPEND_BARS;

/// A file's rows, a batch at a time.
pub trait BarReader {
    /// Puts the next rows, at most [`BATCH_BARS`], in the place of `rows`. None left there: the file is at its end.
    ///
    /// # Errors
    /// The file cannot be read on. A row that is malformed is no error: it says so itself.
    fn read(&mut self, rows: &mut Vec<SourceRow>) -> Result<(), FileError>;

    /// How many rows the whole file says it has. None: it does not say.
    fn expected_rows(&self) -> Option<u64>;
}

/// What takes bars and makes a file of them.
pub(crate) trait BarWriter {
    /// Writes some of the bars.
    fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), FileError>;

    /// Writes what is left.
    fn finish(self: Box<Self>) -> Result<(), FileError>;
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// [`crate::csv`].
    Csv,
    /// [`crate::parquet`].
    Parquet,
}

impl Format {
    /// The ending of a file's name, without its point.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// What the ending of the name says, in upper or lower case.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        [Self::Csv, Self::Parquet]
            .into_iter()
            .find(|format| extension.eq_ignore_ascii_case(format.extension()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error("open bar file `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be read as CSV.
    #[error("read bar file as CSV")]
    ReadCsv(#[source] std::io::Error),
    /// A line is longer than any bar.
    #[error("line {line}: it is longer than {MAX_LINE_BYTES} bytes")]
    LongLine {
        /// Which, from 1.
        line: u64,
    },
    /// The first line is not the header.
    #[error("line 1: the header must be `{}`", FIELDS.join(","))]
    Header,
    /// It cannot be read as Parquet.
    #[error("read bar file as Parquet")]
    ReadParquet(#[source] ParquetError),
    /// It is so damaged that the Parquet reader gave up.
    #[error("read bar file as Parquet: the file is damaged: {detail}")]
    Damaged {
        /// What the reader said.
        detail: String,
    },
    /// A column is missing.
    #[error(
        "read bar file as Parquet: there is no column `{name}`, expected `open_time`, `open`, `high`, `low`, `close`, `volume`"
    )]
    NoColumn {
        /// Which.
        name: &'static str,
    },
    /// A column has a type that does not hold it exactly.
    #[error("read bar file as Parquet: column `{name}` is {found}; {hint}")]
    ColumnType {
        /// Which.
        name: String,
        /// Its type.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// It cannot be written as CSV.
    #[error("write bar file as CSV")]
    WriteCsv(#[source] std::io::Error),
    /// It cannot be written as Parquet.
    #[error("write bar file as Parquet")]
    WriteParquet(#[source] ParquetError),
}

/// Opens a file. With `round_to` its values are rounded half to even to so many digits after the decimal point: recorded
/// files hold such as `218102.59507500002`, the trace of a binary float. Without it they are exact.
///
/// # Errors
/// It cannot be opened, or does not begin as a file of the format does.
pub fn open(
    path: &Path,
    format: Format,
    round_to: Option<u8>,
) -> Result<Box<dyn BarReader + Send>, FileError> {
    let file = File::open(path).map_err(|source| FileError::Open {
        path: path.to_owned(),
        source,
    })?;
    Ok(match format {
        Format::Csv => Box::new(CsvReader::new(file)?.round_to(round_to)),
        Format::Parquet => Box::new(ParquetReader::new(file)?.round_to(round_to)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_says_the_format() {
        for (path, expect) in [
            ("a/b.csv", Some(Format::Csv)),
            ("b.PARQUET", Some(Format::Parquet)),
            ("b.json", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of(Path::new(path)), expect, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for format in [Format::Csv, Format::Parquet] {
            let error = open(&folder.path().join("none"), format, None)
                .err()
                .unwrap();
            assert!(error.to_string().contains("none"), "{error}");
        }
    }
}
