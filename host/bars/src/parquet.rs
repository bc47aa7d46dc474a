//! Bars as Parquet: the columns `open_time`, `open`, `high`, `low`, `close`, `volume`; others are not looked at.
//!
//! Written are `timestamp(ms, UTC)` and `decimal(38, scale)`, compressed with Snappy. Read are, besides:
//!
//! - the open time under the name `open_time_ms` or `timestamp`, as a timestamp of any unit (without a zone: UTC), or
//!   as an integer in Unix milliseconds;
//! - prices and volume as decimals of up to 38 digits, integers, or plain decimal text. Binary floats do not hold
//!   them exactly and are refused.

use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use ::parquet::basic::{Compression, Encoding};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::ChunkReader;
use ::parquet::schema::types::ColumnPath;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bulkhead_kernel::bar_row::{BarRow, FieldError};
use bulkhead_kernel::scaled::Scaled;
use bulkhead_store::Bars;

use crate::file::BarWriter;
use crate::{BATCH_BARS, BarReader, FileError, Place, SourceRow};

/// Rows of a row group: what a writer holds before it goes to the file.
const ROW_GROUP_ROWS: usize = 10 * BATCH_BARS;
/// The widest decimal of 128 bits.
const PRECISION: u8 = 38;
/// The names of the open time, in the order of preference.
const OPEN_TIME: [&str; 3] = ["open_time", "open_time_ms", "timestamp"];
/// The columns of values.
const VALUES: [&str; 5] = ["open", "high", "low", "close", "volume"];

const WRITE_EXACTLY: &str = "write it as decimal(38, scale) or as decimal text";
const WRITE_TIMESTAMP: &str =
    "write it as timestamp(ms, UTC) or as an integer in Unix milliseconds";

/// Reads a Parquet file.
pub struct ParquetReader {
    batches: ParquetRecordBatchReader,
    /// Where in a batch the open time and the values are.
    places: [usize; 6],
    rows_read: u64,
    expected_rows: u64,
    round_to: Option<u8>,
}

impl ParquetReader {
    /// Reads the file's end, where it says what it has.
    ///
    /// # Errors
    /// The file is no Parquet, is damaged, or lacks a column of a type that is exact.
    pub fn new(file: impl ChunkReader + 'static) -> Result<Self, FileError> {
        guarded(|| Self::begin(file))
    }

    fn begin(file: impl ChunkReader + 'static) -> Result<Self, FileError> {
        // Types are what Parquet itself says, not what a writer of some language noted beside it.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(FileError::ReadParquet)?;
        let roots = roots(builder.schema())?;
        let expected_rows = builder.metadata().file_metadata().num_rows();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let batches = builder
            .with_projection(mask)
            .with_batch_size(BATCH_BARS)
            .build()
            .map_err(FileError::ReadParquet)?;
        // The columns that are read keep the order of the file.
        let places = roots.map(|root| roots.iter().filter(|other| **other < root).count());
        Ok(Self {
            batches,
            places,
            rows_read: 0,
            expected_rows: u64::try_from(expected_rows).unwrap_or(0),
            round_to: None,
        })
    }

    /// Rounds values half to even to so many digits after the decimal point. None: they are exact.
    #[must_use]
    pub fn round_to(self, round_to: Option<u8>) -> Self {
        Self { round_to, ..self }
    }
}

impl BarReader for ParquetReader {
    fn read(&mut self, rows: &mut Vec<SourceRow>) -> Result<(), FileError> {
        rows.clear();
        let batch = guarded(|| match self.batches.next() {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => Err(FileError::ReadParquet(ParquetError::from(error))),
        })?;
        let Some(batch) = batch else {
            return Ok(());
        };
        let columns = self.places.map(|place| batch.column(place));
        let [open_time, values @ ..] = columns;
        let open_times = OpenTimes::new(open_time)?;
        let [open, high, low, close, volume] = values.map(Values::new);
        let values = [open?, high?, low?, close?, volume?];
        rows.extend((0..batch.num_rows()).map(|at| {
            self.rows_read += 1;
            let row = row(&open_times, &values, at, self.round_to);
            SourceRow {
                place: Place::Row(self.rows_read),
                rounded: row.as_ref().map_or(0, |(_, rounded)| *rounded),
                row: row.map(|(row, _)| row),
            }
        }));
        Ok(())
    }

    fn expected_rows(&self) -> Option<u64> {
        Some(self.expected_rows)
    }
}

/// The reader of Parquet checks most of what it reads, but not all: what makes it panic is a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let detail = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("its reader panicked");
        Err(FileError::Damaged {
            detail: detail.to_owned(),
        })
    })
}

/// Where in the file's schema the columns are, once it is sure that each has a type that is read.
fn roots(schema: &SchemaRef) -> Result<[usize; 6], FileError> {
    let find = |name| schema.index_of(name).ok();
    let open_time = OPEN_TIME
        .into_iter()
        .find_map(find)
        .ok_or(FileError::NoColumn { name: OPEN_TIME[0] })?;
    let refuse = |place: usize, hint| {
        let field = schema.field(place);
        Err(FileError::ColumnType {
            name: field.name().clone(),
            found: field.data_type().to_string(),
            hint,
        })
    };
    if !matches!(
        schema.field(open_time).data_type(),
        DataType::Int64 | DataType::Timestamp(..)
    ) {
        return refuse(open_time, WRITE_TIMESTAMP);
    }
    let mut roots = [open_time; 6];
    for (root, name) in roots[1..].iter_mut().zip(VALUES) {
        *root = find(name).ok_or(FileError::NoColumn { name })?;
        match schema.field(*root).data_type() {
            DataType::Decimal128(..) | DataType::Int64 | DataType::Int32 | DataType::Utf8 => {}
            _ => return refuse(*root, WRITE_EXACTLY),
        }
    }
    Ok(roots)
}

/// The bar of a row, and how many of its values were rounded.
fn row(
    open_times: &OpenTimes<'_>,
    values: &[Values<'_>; 5],
    at: usize,
    round_to: Option<u8>,
) -> Result<(BarRow, u32), FieldError> {
    let mut rounded = 0;
    let mut value = |place: usize| {
        let (value, is_rounded) = values[place].get(at, round_to).ok_or_else(|| FieldError {
            place: place + 1,
            detail: "it is null, no plain decimal, or does not fit 64 bits with at most 12 decimal places"
                .to_owned(),
        })?;
        rounded += u32::from(is_rounded);
        Ok(value)
    };
    let row = BarRow {
        open_time_ms: open_times.get(at).ok_or_else(|| FieldError {
            place: 0,
            detail: "it is null, or not on a millisecond".to_owned(),
        })?,
        open: value(0)?,
        high: value(1)?,
        low: value(2)?,
        close: value(3)?,
        volume: value(4)?,
    };
    Ok((row, rounded))
}

/// A column of open times: its integers, and how many of them are a millisecond.
struct OpenTimes<'a> {
    column: &'a dyn Array,
    values: &'a [i64],
    per_ms: i64,
}

impl<'a> OpenTimes<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, FileError> {
        let (values, per_ms): (&[i64], _) = match column.data_type() {
            DataType::Int64 => (column.as_primitive::<Int64Type>().values(), 1),
            DataType::Timestamp(TimeUnit::Millisecond, _) => (
                column.as_primitive::<TimestampMillisecondType>().values(),
                1,
            ),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (
                column.as_primitive::<TimestampMicrosecondType>().values(),
                1_000,
            ),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (
                column.as_primitive::<TimestampNanosecondType>().values(),
                1_000_000,
            ),
            // Parquet has no timestamps in seconds.
            found => {
                return Err(FileError::ColumnType {
                    name: OPEN_TIME[0].to_owned(),
                    found: found.to_string(),
                    hint: WRITE_TIMESTAMP,
                });
            }
        };
        Ok(Self {
            column,
            values,
            per_ms,
        })
    }

    fn get(&self, at: usize) -> Option<i64> {
        let value = self.values[at];
        (self.column.is_valid(at) && value % self.per_ms == 0).then(|| value / self.per_ms)
    }
}

/// A column of values.
enum Values<'a> {
    Decimal(&'a Decimal128Array, i32),
    Whole(&'a PrimitiveArray<Int64Type>),
    ShortWhole(&'a PrimitiveArray<Int32Type>),
    Text(&'a StringArray),
}

impl<'a> Values<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, FileError> {
        Ok(match column.data_type() {
            DataType::Decimal128(_, scale) => {
                Self::Decimal(column.as_primitive::<Decimal128Type>(), i32::from(*scale))
            }
            DataType::Int64 => Self::Whole(column.as_primitive()),
            DataType::Int32 => Self::ShortWhole(column.as_primitive()),
            DataType::Utf8 => Self::Text(column.as_string()),
            found => {
                return Err(FileError::ColumnType {
                    name: "open to volume".to_owned(),
                    found: found.to_string(),
                    hint: WRITE_EXACTLY,
                });
            }
        })
    }

    /// A value, and whether it was rounded.
    fn get(&self, at: usize, round_to: Option<u8>) -> Option<(Scaled, bool)> {
        let number = |mantissa: i128, scale| match round_to {
            None => Some((Scaled::new(mantissa, scale)?, false)),
            Some(places) => Scaled::rounded(mantissa, scale, places),
        };
        match self {
            Self::Decimal(column, scale) if column.is_valid(at) => number(column.value(at), *scale),
            Self::Whole(column) if column.is_valid(at) => number(column.value(at).into(), 0),
            Self::ShortWhole(column) if column.is_valid(at) => number(column.value(at).into(), 0),
            Self::Text(column) if column.is_valid(at) => match round_to {
                None => Some((Scaled::parse(column.value(at).as_bytes())?, false)),
                Some(places) => Scaled::parse_rounded(column.value(at).as_bytes(), places),
            },
            _ => None,
        }
    }
}

/// Writes a Parquet file.
pub struct ParquetWriter<W: Write + Send> {
    rows: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file for bars of these scales, 12 at most.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn new(target: W, price_scale: u8, volume_scale: u8) -> Result<Self, FileError> {
        let decimal = |name: &str, scale: u8| {
            Field::new(name, DataType::Decimal128(PRECISION, scale as i8), false)
        };
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new(OPEN_TIME[0], open_time_type(), false),
            decimal("open", price_scale),
            decimal("high", price_scale),
            decimal("low", price_scale),
            decimal("close", price_scale),
            decimal("volume", volume_scale),
        ]));
        let open_time = ColumnPath::from(OPEN_TIME[0]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            // Open times are far apart but evenly so.
            .set_column_dictionary_enabled(open_time.clone(), false)
            .set_column_encoding(open_time, Encoding::DELTA_BINARY_PACKED)
            .build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let rows = ArrowWriter::try_new_with_options(target, Arc::clone(&schema), options)
            .map_err(FileError::WriteParquet)?;
        Ok(Self { rows, schema })
    }

    /// Writes some of the bars, which have the file's scales and one length of columns.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), FileError> {
        let decimals = |column: &[i64], field: usize| -> ArrayRef {
            let values = column[which.clone()].iter().map(|value| i128::from(*value));
            let array = Decimal128Array::from_iter_values(values);
            Arc::new(array.with_data_type(self.schema.field(field).data_type().clone()))
        };
        let open_times = TimestampMillisecondArray::from_iter_values(
            bars.open_time_ms[which.clone()].iter().copied(),
        );
        let columns: Vec<ArrayRef> = vec![
            Arc::new(open_times.with_data_type(open_time_type())),
            decimals(&bars.open, 1),
            decimals(&bars.high, 2),
            decimals(&bars.low, 3),
            decimals(&bars.close, 4),
            decimals(&bars.volume, 5),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| FileError::WriteParquet(ParquetError::from(error)))?;
        self.rows.write(&batch).map_err(FileError::WriteParquet)
    }

    /// Writes the file's end, and gives the target back.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn finish(self) -> Result<W, FileError> {
        self.rows.into_inner().map_err(FileError::WriteParquet)
    }
}

impl<W: Write + Send> BarWriter for ParquetWriter<W> {
    fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), FileError> {
        Self::write(self, bars, which)
    }

    fn finish(self: Box<Self>) -> Result<(), FileError> {
        let mut target = Self::finish(*self)?;
        target
            .flush()
            .map_err(|error| FileError::WriteParquet(ParquetError::from(error)))
    }
}

fn open_time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests;
