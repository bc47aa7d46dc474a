//! Any bytes of a file are rows or a named error. Each target reads the bytes as they are, and a file of its corpus in
//! `tests/__fuzz__` after the mutations that the bytes ask for. `cargo test` replays the corpus and tries
//! [`ITERATIONS`] random inputs; `docs/bars.md` says how to search for longer, and guided by coverage.

#[path = "../../../functions/venues/tests/targets/mutator.rs"]
mod mutator;
#[macro_use]
#[path = "../../../functions/venues/tests/targets/target.rs"]
mod target;

use bulkhead_bars::csv::CsvReader;
use bulkhead_bars::parquet::ParquetReader;
use bulkhead_bars::{BATCH_BARS, BarReader, FileError};
use bytes::Bytes;

/// How many random inputs `cargo test` tries on each target.
const ITERATIONS: usize = 20_000;
/// The longest random input, in bytes.
const MAX_LEN: usize = 1_024;

/// Every row of a file: a bar, or where it stands and which field is wrong.
fn read_all(reader: &mut impl BarReader) -> Result<(), FileError> {
    let mut rows = Vec::new();
    loop {
        reader.read(&mut rows)?;
        if rows.is_empty() {
            return Ok(());
        }
        assert!(rows.len() <= BATCH_BARS);
        for row in &rows {
            match &row.row {
                // Whether it can be a bar is another question, which must not panic either.
                Ok(bar) => drop(bar.validate()),
                Err(error) => {
                    assert!(error.to_string().starts_with("column "), "{error}");
                    assert!(!row.place.to_string().is_empty());
                }
            }
        }
    }
}

fn named(outcome: Result<(), FileError>) {
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
    }
}

/// A CSV file, exact and rounded.
fn csv_rows(bytes: &[u8]) {
    for round_to in [None, Some(8)] {
        named(CsvReader::new(bytes).and_then(|reader| read_all(&mut reader.round_to(round_to))));
    }
}

/// The rows of a CSV file, behind a good header.
fn csv_row(bytes: &[u8]) {
    csv_rows(&[b"timestamp,open,high,low,close,volume\n", bytes].concat());
}

/// A Parquet file.
fn parquet_file(bytes: &[u8]) {
    for round_to in [None, Some(8)] {
        let bytes = Bytes::copy_from_slice(bytes);
        named(
            ParquetReader::new(bytes).and_then(|reader| read_all(&mut reader.round_to(round_to))),
        );
    }
}

mod any_bytes_are_rows_or_a_named_error {
    use super::{ITERATIONS, MAX_LEN, mutator};

    target!(csv_rows);
    target!(csv_row);
    target!(parquet_file);
}
