//! Bars as CSV: the header `timestamp,open,high,low,close,volume`, and a row for each bar, as
//! [`bulkhead_kernel::bar_row`] says. Fields may stand in double quotes.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::ops::Range;

use bulkhead_kernel::bar_row::{BarRow, FIELDS, write_timestamp};
use bulkhead_store::Bars;

use crate::file::BarWriter;
use crate::{BATCH_BARS, BarReader, FileError, Place, SourceRow};

/// The longest line that is read, in bytes: ten times what a bar needs.
pub const MAX_LINE_BYTES: usize = 1_024;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// What some programs put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a CSV file. Lines end with `\n` or `\r\n`; blank ones are skipped.
#[derive(Debug)]
pub struct CsvReader<R> {
    source: BufReader<R>,
    line: Vec<u8>,
    /// The number of the line, from 1.
    number: u64,
    round_to: Option<u8>,
}

impl<R: Read> CsvReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`FileError::Header`], or the file cannot be read.
    pub fn new(source: R) -> Result<Self, FileError> {
        let mut reader = Self {
            source: BufReader::with_capacity(BUFFER_BYTES, source),
            line: Vec::new(),
            number: 0,
            round_to: None,
        };
        reader.advance()?;
        let header = &reader.line;
        let header = header.strip_prefix(BYTE_ORDER_MARK).unwrap_or(header);
        if fields(header).eq(FIELDS.map(str::as_bytes)) {
            Ok(reader)
        } else {
            Err(FileError::Header)
        }
    }

    /// Rounds values half to even to so many digits after the decimal point. None: they are exact.
    #[must_use]
    pub fn round_to(self, round_to: Option<u8>) -> Self {
        Self { round_to, ..self }
    }

    fn row(&self) -> SourceRow {
        let fields = fields(&self.line);
        let row = match self.round_to {
            None => BarRow::parse(fields).map(|row| (row, 0)),
            Some(places) => BarRow::parse_rounded(fields, places),
        };
        SourceRow {
            place: Place::Line(self.number),
            rounded: row.as_ref().map_or(0, |(_, rounded)| *rounded),
            row: row.map(|(row, _)| row),
        }
    }

    /// Reads the next line, without its end. False: there is none.
    fn advance(&mut self) -> Result<bool, FileError> {
        self.line.clear();
        self.number += 1;
        // One byte more tells a line that is too long.
        let most = MAX_LINE_BYTES as u64 + 1;
        let count = self
            .source
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.line)
            .map_err(FileError::ReadCsv)?;
        if count > MAX_LINE_BYTES {
            return Err(FileError::LongLine { line: self.number });
        }
        while let Some(b'\n' | b'\r') = self.line.last() {
            self.line.pop();
        }
        Ok(count > 0)
    }
}

impl<R: Read> BarReader for CsvReader<R> {
    fn read(&mut self, rows: &mut Vec<SourceRow>) -> Result<(), FileError> {
        rows.clear();
        while rows.len() < BATCH_BARS && self.advance()? {
            if !self.line.is_empty() {
                rows.push(self.row());
            }
        }
        Ok(())
    }

    fn expected_rows(&self) -> Option<u64> {
        None
    }
}

/// No field of a bar has a comma in it, quoted or not.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(unquoted)
}

fn unquoted(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inner @ .., b'"'] => inner,
        _ => field,
    }
}

/// Writes a CSV file, with the timestamps as dates.
#[derive(Debug)]
pub struct CsvWriter<W> {
    target: W,
    lines: Vec<u8>,
    /// Room for one timestamp.
    timestamp: String,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn new(mut target: W) -> Result<Self, FileError> {
        writeln!(target, "{}", FIELDS.join(",")).map_err(FileError::WriteCsv)?;
        Ok(Self {
            target,
            lines: Vec::new(),
            timestamp: String::new(),
        })
    }

    /// Writes some of the bars, which open in the years 0 to 9999 and have one length of columns.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), FileError> {
        self.lines.clear();
        for at in which {
            self.timestamp.clear();
            write_timestamp(bars.open_time_ms[at], &mut self.timestamp);
            self.lines.extend_from_slice(self.timestamp.as_bytes());
            for price in [&bars.open, &bars.high, &bars.low, &bars.close] {
                self.lines.push(b',');
                write_decimal(price[at], bars.price_scale, &mut self.lines);
            }
            self.lines.push(b',');
            write_decimal(bars.volume[at], bars.volume_scale, &mut self.lines);
            self.lines.push(b'\n');
        }
        self.target
            .write_all(&self.lines)
            .map_err(FileError::WriteCsv)
    }

    /// Hands what was written to the operating system, and gives the target back.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn finish(mut self) -> Result<W, FileError> {
        self.target.flush().map_err(FileError::WriteCsv)?;
        Ok(self.target)
    }
}

impl<W: Write> BarWriter for CsvWriter<W> {
    fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), FileError> {
        Self::write(self, bars, which)
    }

    fn finish(self: Box<Self>) -> Result<(), FileError> {
        Self::finish(*self).map(|_| ())
    }
}

/// Writes `mantissa` / 10^`scale` with all the digits of the scale.
fn write_decimal(mantissa: i64, scale: u8, text: &mut Vec<u8>) {
    /// Digits of the widest value: 19, or a zero and the digits of the largest scale.
    const MAX_DIGITS: usize = 20;
    let mut digits = [b'0'; MAX_DIGITS];
    let mut rest = mantissa.unsigned_abs();
    let mut first = MAX_DIGITS;
    while rest > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let point = MAX_DIGITS - usize::from(scale);
    let first = first.min(point - 1);
    if mantissa < 0 {
        text.push(b'-');
    }
    text.extend_from_slice(&digits[first..point]);
    if scale > 0 {
        text.push(b'.');
        text.extend_from_slice(&digits[point..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{bars, read_all};

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<SourceRow>, FileError> {
        read_all(&mut CsvReader::new(text.as_ref())?)
    }

    #[test]
    fn a_malformed_row_says_its_line_and_the_rows_around_it_are_read() {
        let text = "timestamp,open,high,low,close,volume\n60000,1,2,1,1,5\n\nx,1,2,1,1,5\n\"120000\",\"1.5\",2,1,1,5\n";
        let rows = read(text).unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows[0].row.is_ok() && rows[1].row.is_err() && rows[2].row.is_ok());
        assert_eq!(rows[1].place, Place::Line(4));
        assert_eq!(rows[1].place.to_string(), "line 4");
    }

    #[test]
    fn a_file_without_its_header_is_refused() {
        for text in ["", "60000,1,2,1,1,5\n", "timestamp,open,high,low,close\n"] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, FileError::Header), "{error}");
        }
    }

    #[test]
    fn a_line_that_does_not_end_is_not_read_to_its_end() {
        let mut text = b"timestamp,open,high,low,close,volume\n".to_vec();
        text.resize(10_000_000, b'1');
        let mut reader = CsvReader::new(text.as_slice()).unwrap();
        let error = reader.read(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, FileError::LongLine { line: 2 }), "{error}");
        assert!(reader.line.len() <= MAX_LINE_BYTES + 1);
    }

    #[test]
    fn lines_may_end_as_on_windows_after_a_byte_order_mark() {
        let text =
            "\u{feff}timestamp,open,high,low,close,volume\r\n60000,1,2,1,1,5\r\n60000,1,2,1,1,5";
        let rows = read(text).unwrap();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.row.is_ok()));
    }

    #[test]
    fn a_batch_has_a_bounded_number_of_rows() {
        let text = format!(
            "{}\n{}",
            FIELDS.join(","),
            "0,1,1,1,1,1\n".repeat(BATCH_BARS + 1)
        );
        let mut reader = CsvReader::new(text.as_bytes()).unwrap();
        let mut rows = Vec::new();
        let mut lengths = Vec::new();
        for _ in 0..3 {
            reader.read(&mut rows).unwrap();
            lengths.push(rows.len());
        }
        assert_eq!(lengths, [BATCH_BARS, 1, 0]);
    }

    #[test]
    fn a_decimal_is_written_with_the_digits_of_its_scale() {
        for (mantissa, scale, expect) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (4_631_950, 2, "46319.50"),
            (i64::MAX, 0, "9223372036854775807"),
            (i64::MIN, 12, "-9223372.036854775808"),
            (1, 12, "0.000000000001"),
        ] {
            let mut text = Vec::new();
            write_decimal(mantissa, scale, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expect);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bars in bars(40)) {
            let mut writer = CsvWriter::new(Vec::new()).unwrap();
            writer.write(&bars, 0..bars.len()).unwrap();
            let rows = read(writer.finish().unwrap()).unwrap();
            prop_assert_eq!(crate::fixture::collected(&rows, &bars), bars);
        }

        #[test]
        fn any_bytes_are_rows_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), has_header in any::<bool>()) {
            let mut text = if has_header { b"timestamp,open,high,low,close,volume\n".to_vec() } else { vec![] };
            text.extend(bytes);
            let _ = read(text);
        }
    }
}
