//! Bars in files.
//!
//! - [`csv`] and [`parquet`] read and write one file, a batch of at most [`BATCH_BARS`] rows at a time: what is held
//!   in memory does not grow with the history.
//! - [`import()`] checks rows and puts them into a store. A row that cannot be right stops it, or is quarantined with
//!   the reason. A second import of the same file changes nothing.
//! - [`export()`] writes series as files partitioned by symbol, timeframe and date, with a [`Manifest`] of rows, bytes
//!   and checksums; [`verify`] checks them, and [`import_root`] reads them back, bit for bit.
//! - [`import_file`] reads a file whole before it stores any of it, and says what rounding it would need.
//! - [`read_back`] compares what is stored with an exported root, value by value.
//! - [`overview()`] says of every series what is there, what is missing and how old the newest bar is.
//! - [`gaps()`] lists the bars that a series should have and has not.
//! - [`stress()`] exports again and again, for the drill of that name.
//!
//! Files are read and written on the caller's thread.
#![deny(missing_docs)]

mod batch;
mod check;
pub mod csv;
mod export;
mod file;
mod gaps;
mod import;
mod manifest;
mod overview;
pub mod parquet;
mod read_back;
mod row;
mod source;
mod stress;
mod survey;
mod verify;

#[cfg(test)]
mod fixture;

pub use check::{Checks, DEFAULT_MAX_JUMP};
pub use export::{ExportError, ExportRequest, Exported, export};
pub use file::{BATCH_BARS, BarReader, FileError, Format, open};
pub use gaps::{Gap, Gaps, GapsError, GapsQuery, MAX_EXPECTED_BARS, MAX_GAPS_LISTED, gaps};
pub use import::{
    BadRows, BarFile, FileProgress, ImportError, ImportFileError, ImportOptions, Imported,
    MAX_QUARANTINE_LISTED, Quarantine, RootError, import, import_file, import_root,
};
pub use manifest::{
    FileEntry, MANIFEST_NAME, MANIFEST_VERSION, MAX_FILES, MAX_MANIFEST_BYTES, Manifest,
    ManifestError,
};
pub use overview::{
    Freshness, MAX_SCANNED_BARS, OverviewError, STALE_AFTER_BARS, SeriesOverview, overview,
};
pub use read_back::{ReadBackError, read_back};
pub use row::{Place, Reason, RowError, SourceRow};
pub use stress::{MAX_CYCLES, StressCycle, StressError, stress};
pub use survey::VENUE_PLACES;
pub use verify::{MAX_PROBLEMS_LISTED, Problem, Problems, VerifyError, verify};
