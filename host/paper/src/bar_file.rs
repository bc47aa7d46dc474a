use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bulkhead_kernel::bar::Bar;
use chrono::NaiveDateTime;
use csv::{ByteRecord, ReaderBuilder};
use rust_decimal::Decimal;

/// The columns, in their order.
const COLUMNS: [&str; 6] = ["timestamp", "open", "high", "low", "close", "volume"];
/// The most bars of one file: nine years of minutes, a few hundred megabytes in memory.
const MAX_BARS: usize = 5_000_000;
/// The longest field that an error repeats, in characters.
const MAX_FIELD_CHARS: usize = 60;
/// How timestamps are written: UTC, with or without a fraction of a second.
const TIMESTAMP_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";

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
    /// The file cannot be read as CSV.
    #[error("read bar file as CSV")]
    Csv(#[source] csv::Error),
    /// The first line is not the header.
    #[error("line 1: the header must be `{}`", COLUMNS.join(","))]
    Header,
    /// One field is malformed.
    #[error("line {line}, column {column} (`{name}`): {detail}")]
    Field {
        /// The line.
        line: u64,
        /// The field of the line.
        column: usize,
        /// The field's name.
        name: &'static str,
        /// What is wrong with it.
        detail: String,
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

/// Bars from a CSV file with the header `timestamp,open,high,low,close,volume`.
///
/// A timestamp is when the bar opens, as `2021-12-31 23:01:00.000000` (UTC) or in Unix milliseconds. Bars ascend
/// strictly; gaps are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct BarFile {
    /// The bars, ascending by open time; at least one.
    pub bars: Vec<Bar>,
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
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(source);
        let mut record = ByteRecord::new();
        let has_header = reader
            .read_byte_record(&mut record)
            .map_err(BarFileError::Csv)?;
        if !has_header || !record.iter().eq(COLUMNS.iter().map(|name| name.as_bytes())) {
            return Err(BarFileError::Header);
        }
        let mut bars: Vec<Bar> = Vec::new();
        while reader
            .read_byte_record(&mut record)
            .map_err(BarFileError::Csv)?
        {
            let line = record.position().map_or(0, csv::Position::line);
            if bars.len() == MAX_BARS {
                return Err(BarFileError::TooLong { line });
            }
            bars.push(read_bar(&record, line, bars.last())?);
        }
        if bars.is_empty() {
            return Err(BarFileError::Empty);
        }
        Ok(Self { bars })
    }
}

fn read_bar(record: &ByteRecord, line: u64, previous: Option<&Bar>) -> Result<Bar, BarFileError> {
    let at = |place: usize, detail: String| BarFileError::Field {
        line,
        column: place + 1,
        name: COLUMNS.get(place).copied().unwrap_or("none"),
        detail,
    };
    if record.len() > COLUMNS.len() {
        return Err(at(COLUMNS.len(), "one field too many".to_owned()));
    }
    let text = |place: usize| {
        let field = record
            .get(place)
            .ok_or_else(|| at(place, "the field is missing".to_owned()))?;
        std::str::from_utf8(field).map_err(|_| at(place, "the field is not UTF-8".to_owned()))
    };
    let decimal = |place: usize| {
        let text = text(place)?;
        let is_plain = text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        Decimal::from_str_exact(text)
            .ok()
            .filter(|_| is_plain)
            .ok_or_else(|| at(place, format!("`{}` is no exact decimal", cut(text))))
    };
    let opens = text(0)?;
    let open_time_ms = timestamp(opens).ok_or_else(|| {
        at(
            0,
            format!(
                "`{}` is neither `2021-12-31 23:01:00` nor Unix milliseconds",
                cut(opens)
            ),
        )
    })?;
    if previous.is_some_and(|previous| previous.open_time_ms >= open_time_ms) {
        return Err(at(
            0,
            format!("`{}` is not later than the line before", cut(opens)),
        ));
    }
    let bar = Bar {
        open_time_ms,
        open: decimal(1)?,
        high: decimal(2)?,
        low: decimal(3)?,
        close: decimal(4)?,
        volume: decimal(5)?,
    };
    bar.validate().map_err(|error| BarFileError::Bar {
        line,
        detail: error.to_string(),
    })?;
    Ok(bar)
}

fn timestamp(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let parsed = NaiveDateTime::parse_from_str(text, TIMESTAMP_FORMAT).ok()?;
    Some(parsed.and_utc().timestamp_millis())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_FIELD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::BarFile;

    fn parse(lines: &str) -> Result<BarFile, String> {
        BarFile::parse(format!("timestamp,open,high,low,close,volume\n{lines}").as_bytes())
            .map_err(|error| error.to_string())
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
    fn an_error_names_line_and_column() {
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
            ("60000,1,2,-1,1,5\n", "line 2, column 4 (`low`)"),
            ("60000,1,2,1,1_0,5\n", "line 2, column 5 (`close`)"),
            ("60000,1,2,1,1\n", "line 2, column 6 (`volume`)"),
            ("60000,1,2,1,1,5,9\n", "line 2, column 7"),
            ("60000,1,2,3,1,5\n", "line 2, columns 2 to 6"),
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
