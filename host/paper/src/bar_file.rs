use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use bulkhead_kernel::bar::Bar;
use bulkhead_kernel::bar_row::{BarRow, FIELDS, FieldError};

/// Decimal places of the venue (Binance's REST API, klines), as a row is rounded.
pub const VENUE_DECIMAL_PLACES: u8 = 8;
/// The most bars of one file: nine years of minutes, a few hundred megabytes in memory.
pub const MAX_BARS: usize = 5_000_000;
/// The longest line that is read, in bytes: ten times what a bar needs.
const MAX_LINE_BYTES: usize = 1_024;
/// What some programs put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a bar file cannot be used. Lines and columns count from 1; a column is a field of its line.
#[derive(Debug, thiserror::Error)]
pub enum BarFileError {
    /// The file cannot be opened.
    #[error("open bar file `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read.
    #[error("read the bar file")]
    Read(#[source] std::io::Error),
    /// The first line is not the header.
    #[error("line 1: the header must be `{}`", FIELDS.join(","))]
    Header,
    /// A line is longer than any bar.
    #[error("line {line}: longer than {MAX_LINE_BYTES} bytes")]
    LongLine {
        /// The line.
        line: u64,
    },
    /// One field is malformed.
    #[error("line {line}, {error}")]
    Field {
        /// The line.
        line: u64,
        /// The field, and what is wrong with it.
        error: FieldError,
    },
    /// A line's fields do not make a bar.
    #[error("line {line}, columns 2 to 6: {detail}")]
    Bar {
        /// The line.
        line: u64,
        /// What is wrong.
        detail: String,
    },
    /// The file has no bar.
    #[error("the bar file has no bars")]
    Empty,
    /// The file has more bars than are read.
    #[error("line {line}: the bar file has more than {MAX_BARS} bars")]
    TooLong {
        /// The first line too many.
        line: u64,
    },
}

/// Bars from a CSV file with the header `timestamp,open,high,low,close,volume`, its rows as
/// [`bulkhead_kernel::bar_row`] says. Fields may stand in double quotes, and blank lines are skipped.
///
/// Bars ascend strictly; gaps are allowed. Values with more decimal places than the venue gives (8) are rounded half to even.
#[derive(Debug, Clone, PartialEq)]
pub struct BarFile {
    /// The bars, ascending by open time; at least one.
    pub bars: Vec<Bar>,
    /// How many values were rounded to other ones.
    pub rounded: usize,
}

impl BarFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not what it should be; the error names the place.
    pub fn read(path: &Path) -> Result<Self, BarFileError> {
        let file = File::open(path).map_err(|source| BarFileError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(file)
    }

    /// Reads the same format from anything that can be read.
    ///
    /// # Errors
    /// As [`BarFile::read`].
    pub fn parse(source: impl Read) -> Result<Self, BarFileError> {
        let mut lines = Lines {
            source: BufReader::new(source),
            line: Vec::new(),
            number: 0,
        };
        lines.advance()?;
        let header = lines.line.strip_prefix(BYTE_ORDER_MARK);
        let header = header.unwrap_or(&lines.line);
        if !fields(header).eq(FIELDS.map(str::as_bytes)) {
            return Err(BarFileError::Header);
        }
        let mut bars: Vec<Bar> = Vec::new();
        let mut rounded = 0;
        while lines.advance()? {
            if lines.line.is_empty() {
                continue;
            }
            let line = lines.number;
            if bars.len() == MAX_BARS {
                return Err(BarFileError::TooLong { line });
            }
            bars.push(read_bar(&lines.line, line, bars.last(), &mut rounded)?);
        }
        if bars.is_empty() {
            return Err(BarFileError::Empty);
        }
        Ok(Self { bars, rounded })
    }
}

struct Lines<R> {
    source: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Reads the next line, without its end. False: there is none.
    fn advance(&mut self) -> Result<bool, BarFileError> {
        self.line.clear();
        self.number += 1;
        // One byte more tells a line that is too long.
        let most = MAX_LINE_BYTES as u64 + 1;
        let mut bounded = self.source.by_ref().take(most);
        let count = bounded
            .read_until(b'\n', &mut self.line)
            .map_err(BarFileError::Read)?;
        if count > MAX_LINE_BYTES {
            return Err(BarFileError::LongLine { line: self.number });
        }
        while let Some(b'\n' | b'\r') = self.line.last() {
            self.line.pop();
        }
        Ok(count > 0)
    }
}

/// No field of a bar has a comma in it, quoted or not.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(|field| match field {
        [b'"', inner @ .., b'"'] => inner,
        _ => field,
    })
}

fn read_bar(
    text: &[u8],
    line: u64,
    previous: Option<&Bar>,
    rounded: &mut usize,
) -> Result<Bar, BarFileError> {
    let (row, changed) = BarRow::parse_rounded(fields(text), VENUE_DECIMAL_PLACES)
        .map_err(|error| BarFileError::Field { line, error })?;
    *rounded += changed as usize;
    if previous.is_some_and(|previous| previous.open_time_ms >= row.open_time_ms) {
        return Err(BarFileError::Field {
            line,
            error: FieldError {
                place: 0,
                detail: "the bar does not open later than the one before".to_owned(),
            },
        });
    }
    row.validate().map_err(|error| BarFileError::Bar {
        line,
        detail: error.to_string(),
    })?;
    Ok(row.bar())
}

#[cfg(test)]
mod tests {
    use super::BarFile;

    const HEADER: &str = "timestamp,open,high,low,close,volume\n";

    fn parse(lines: &str) -> Result<BarFile, String> {
        BarFile::parse(format!("{HEADER}{lines}").as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_of_a_timestamp_are_read() {
        let file = parse(
            "2021-12-31 23:01:00.000000,46319.0,46385.0,46319.0,46377.0,2300413.7295\n1640991720000,1,2,0.5,1,0\n",
        )
        .unwrap();
        assert_eq!(file.bars[0].open_time_ms, 1_640_991_660_000);
        assert_eq!(file.bars[0].volume.to_string(), "2300413.7295");
        assert_eq!(file.bars[1].open_time_ms, 1_640_991_720_000);
    }

    #[test]
    fn values_are_rounded_half_to_even_to_the_venues_decimal_places_and_counted() {
        let file = parse("60000,0.30000000000000004,2,0.1,1,218102.595075025\n").unwrap();
        assert_eq!(file.bars[0].open.to_string(), "0.3");
        assert_eq!(file.bars[0].volume.to_string(), "218102.59507502");
        assert_eq!(file.rounded, 2);
    }

    #[test]
    fn a_mark_before_the_header_quotes_blank_lines_and_either_end_of_a_line_are_read() {
        let text = format!("\u{feff}{HEADER}\r\n\"60000\",1,2,1,\"1\",5\r\n\n120000,1,2,1,1,5");
        let file = BarFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.bars.len(), 2);
    }

    #[test]
    fn an_error_names_line_and_column() {
        let long = format!("60000,1,2,1,1,{}\n", "5".repeat(2_000));
        for (lines, text) in [
            (
                "60000,1,2,1,1,5\nyesterday,1,2,1,1,5\n",
                "line 3, column 1 (`timestamp`)",
            ),
            (
                "60000,1,2,1,1,5\n60000,1,2,1,1,5\n",
                "line 3, column 1 (`timestamp`)",
            ),
            ("60000,1,2e3,1,1,5\n", "line 2, column 3 (`high`)"),
            ("60000,1,2,-1,1,5\n", "line 2, columns 2 to 6"),
            ("60000,1,2,1,1_0,5\n", "line 2, column 5 (`close`)"),
            ("60000,1.,2,1,1,5\n", "line 2, column 2 (`open`)"),
            ("1970-01-01 00:00:00.0001,1,2,1,1,5\n", "line 2, column 1"),
            ("60000,1,2,1,1\n", "line 2, column 6 (`volume`)"),
            ("60000,1,2,1,1,5,9\n", "line 2, column 7"),
            ("60000,1,2,3,1,5\n", "line 2, columns 2 to 6"),
            (&long, "line 2: longer than 1024 bytes"),
            ("", "no bars"),
        ] {
            let error = parse(lines).unwrap_err();
            assert!(error.contains(text), "{lines}: {error}");
        }
    }

    #[test]
    fn a_file_without_its_header_is_refused() {
        for text in ["", "60000,1,2,1,1,5\n", "timestamp,open,high,low,close\n"] {
            let error = BarFile::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("line 1"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = BarFile::read(&folder.path().join("none.csv")).unwrap_err();
        assert!(error.to_string().contains("none.csv"), "{error}");
    }
}
