use arrow_array::{
    Date32Array, Float64Array, Int32Array, Int64Array, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fixture::{bars, collected, flat, read_all};

fn written(bars: &Bars) -> Vec<u8> {
    let mut writer = ParquetWriter::new(Vec::new(), bars.price_scale, bars.volume_scale).unwrap();
    writer.write(bars, 0..bars.len()).unwrap();
    writer.finish().unwrap()
}

fn read(file: Vec<u8>) -> Result<Vec<SourceRow>, FileError> {
    read_all(&mut ParquetReader::new(Bytes::from(file))?)
}

/// A file of other columns than ours.
fn file_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn whole(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

/// A file of one row in which one column is another.
fn file_with(name: &str, column: ArrayRef) -> Vec<u8> {
    let mut columns: Vec<(&str, ArrayRef)> = VALUES.map(|name| (name, whole(2))).into();
    columns.push(("open_time", whole(60_000)));
    columns.push(("trades", Arc::new(Float64Array::from(vec![1.5]))));
    match columns.iter_mut().find(|(other, _)| *other == name) {
        Some(place) => place.1 = column,
        None => {
            columns.retain(|(other, _)| *other != "open_time");
            columns.push((name, column));
        }
    }
    file_of(columns)
}

fn one_row(file: Vec<u8>) -> Result<BarRow, String> {
    let rows = read(file).map_err(|error| error.to_string())?;
    assert_eq!((rows.len(), rows[0].place), (1, Place::Row(1)));
    rows[0].row.clone().map_err(|error| error.to_string())
}

#[test]
fn values_are_read_from_every_type_that_holds_them_exactly() {
    let decimal = |value: i128, precision, scale| -> ArrayRef {
        let array = Decimal128Array::from(vec![value]);
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
    };
    for (column, expect) in [
        (decimal(463_195, 38, 1), "46319.5"),
        (decimal(463_195, 9, 1), "46319.5"),
        (decimal(463_195, 18, 1), "46319.5"),
        (decimal(463_195 * 10_i128.pow(20), 38, 21), "46319.5"),
        (whole(46_319), "46319"),
        (Arc::new(Int32Array::from(vec![7])), "7"),
        (Arc::new(StringArray::from(vec!["46319.50"])), "46319.5"),
    ] {
        let kind = column.data_type().clone();
        let row = one_row(file_with("open", column)).unwrap();
        assert_eq!(row.open.to_decimal().to_string(), expect, "{kind}");
    }
}

#[test]
fn values_are_rounded_when_the_reader_is_told_to() {
    for column in [
        Arc::new(StringArray::from(vec!["0.30000000000000004"])) as ArrayRef,
        Arc::new(
            Decimal128Array::from(vec![30_000_000_000_000_004])
                .with_precision_and_scale(38, 17)
                .unwrap(),
        ),
    ] {
        let file = Bytes::from(file_with("volume", column));
        let mut reader = ParquetReader::new(file).unwrap().round_to(Some(8));
        let rows = read_all(&mut reader).unwrap();
        let volume = rows[0].row.as_ref().unwrap().volume;
        assert_eq!((volume, rows[0].rounded), (Scaled::new(3, 1).unwrap(), 1));
    }
}

#[test]
fn open_times_are_read_from_every_unit() {
    let columns: [(&str, ArrayRef); 6] = [
        ("open_time", whole(60_000)),
        ("open_time_ms", whole(60_000)),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![60_000])),
        ),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![60_000]).with_timezone("UTC")),
        ),
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from(vec![60_000_000])),
        ),
        (
            "timestamp",
            Arc::new(TimestampNanosecondArray::from(vec![60_000_000_000])),
        ),
    ];
    for (name, column) in columns {
        let kind = column.data_type().clone();
        let row = one_row(file_with(name, column)).unwrap();
        assert_eq!(row.open_time_ms, 60_000, "{kind}");
    }
}

#[test]
fn a_column_that_is_not_exact_is_refused_with_what_to_do() {
    for (name, column, hint) in [
        (
            "high",
            Arc::new(Float64Array::from(vec![1.5])) as ArrayRef,
            "decimal(38, scale)",
        ),
        (
            "volume",
            Arc::new(Date32Array::from(vec![1])),
            "decimal(38, scale)",
        ),
        (
            "open_time",
            Arc::new(Float64Array::from(vec![1.5])),
            "timestamp(ms, UTC)",
        ),
        (
            "open_time",
            Arc::new(StringArray::from(vec!["60000"])),
            "timestamp(ms, UTC)",
        ),
    ] {
        let error = one_row(file_with(name, column)).unwrap_err();
        assert!(
            error.contains(&format!("`{name}`")) && error.contains(hint),
            "{error}"
        );
    }
}

#[test]
fn a_column_that_is_missing_is_named() {
    let error = one_row(file_with("when", whole(1))).unwrap_err();
    assert!(error.contains("no column `open_time`"), "{error}");
    let error = one_row(file_of(vec![("open_time", whole(1)), ("open", whole(1))])).unwrap_err();
    assert!(error.contains("no column `high`"), "{error}");
}

#[test]
fn a_value_that_is_null_or_does_not_fit_is_an_error_of_its_row() {
    for (name, column) in [
        ("low", Arc::new(Int64Array::from(vec![None])) as ArrayRef),
        ("low", Arc::new(StringArray::from(vec!["1e3"]))),
        (
            "low",
            Arc::new(Decimal128Array::from(vec![i128::from(i64::MAX) + 1])),
        ),
    ] {
        let error = one_row(file_with(name, column)).unwrap_err();
        assert!(error.contains("column 4 (`low`)"), "{error}");
    }
    for column in [
        Arc::new(Int64Array::from(vec![None])) as ArrayRef,
        Arc::new(TimestampMicrosecondArray::from(vec![1])),
    ] {
        let error = one_row(file_with("open_time", column)).unwrap_err();
        assert!(error.contains("column 1 (`timestamp`)"), "{error}");
    }
}

#[test]
fn a_batch_has_a_bounded_number_of_rows_and_the_file_says_how_many_there_are() {
    let bars = flat((0..25_000).collect());
    let mut reader = ParquetReader::new(Bytes::from(written(&bars))).unwrap();
    assert_eq!(reader.expected_rows(), Some(25_000));
    let rows = read_all(&mut reader).unwrap();
    assert_eq!(rows.last().unwrap().place, Place::Row(25_000));
    assert_eq!(collected(&rows, &bars), bars);
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let whole = written(&flat((0..100).collect()));
    for length in 0..whole.len() {
        assert!(read(whole[..length].to_vec()).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(bars in bars(40)) {
        let rows = read(written(&bars)).unwrap();
        prop_assert_eq!(collected(&rows, &bars), bars);
    }

    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(bytes);
    }

    #[test]
    fn a_damaged_file_is_rows_or_an_error(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = written(&flat((0..50).collect()));
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        let _ = read(file);
    }
}
