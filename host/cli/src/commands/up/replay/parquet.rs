//! A Parquet file of bars, read for a replay by the rules that a CSV file is read by.

use std::path::Path;

use anyhow::{anyhow, bail, ensure};
use bulkhead_bars::{Format, SourceRow};
use bulkhead_kernel::bar::Bar;
use bulkhead_paper::{BarFile, MAX_BARS, VENUE_DECIMAL_PLACES};

/// Reads the file at `path`.
///
/// # Errors
/// The file cannot be read, or a row is not what it should be; the error names the row.
pub fn read(path: &Path) -> anyhow::Result<BarFile> {
    let mut reader = bulkhead_bars::open(path, Format::Parquet, Some(VENUE_DECIMAL_PLACES))?;
    let mut bars: Vec<Bar> = vec![];
    let mut rounded = 0;
    let mut rows = vec![];
    loop {
        reader.read(&mut rows)?;
        if rows.is_empty() {
            break;
        }
        for row in rows.drain(..) {
            let SourceRow {
                place,
                row,
                rounded: changed,
            } = row;
            let row = row.map_err(|error| anyhow!("{place}, {error}"))?;
            if bars
                .last()
                .is_some_and(|last| last.open_time_ms >= row.open_time_ms)
            {
                bail!("{place}: the bar does not open later than the one before");
            }
            row.validate()
                .map_err(|error| anyhow!("{place}: {error}"))?;
            ensure!(
                bars.len() < MAX_BARS,
                "{place}: the bar file has more than {MAX_BARS} bars"
            );
            bars.push(row.bar());
            rounded += changed as usize;
        }
    }
    ensure!(!bars.is_empty(), "the bar file has no bars");
    Ok(BarFile { bars, rounded })
}
