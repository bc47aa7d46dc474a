use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_kernel::instant::{MAX_RFC3339_MS, MIN_RFC3339_MS, rfc3339};
use bulkhead_store::{Bars, BarsQuery, MAX_READ_LIMIT, Series, Store, StoreError};
use sha2::{Digest as _, Sha256};

use crate::csv::CsvWriter;
use crate::file::BarWriter;
use crate::parquet::ParquetWriter;
use crate::{FileEntry, FileError, Format, MANIFEST_VERSION, MAX_FILES, Manifest, ManifestError};

const DAY_MS: i64 = 86_400_000;

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// The series; one that is named twice is exported once.
    pub series: Vec<Series>,
    /// Only bars that open at or after this instant, in Unix milliseconds. None: from the first.
    pub start_ms: Option<i64>,
    /// Only bars that open before this instant, in Unix milliseconds. None: to the last.
    pub end_ms: Option<i64>,
    /// The form of the files.
    pub format: Format,
    /// Now, in Unix milliseconds: when the export is made.
    pub now_ms: i64,
}

/// What an export has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Series that are written whole.
    pub series: u64,
    /// Files that are written whole.
    pub files: u64,
    /// Bars of those files.
    pub rows: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// An export failed. There is no root, and what was written beside it is removed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The root is there already.
    #[error("export to `{}`: it exists and is not an empty folder; name a new one", root.display())]
    RootExists {
        /// The root.
        root: PathBuf,
    },
    /// A folder or a file cannot be made.
    #[error("export to `{}`: {operation} `{}`", root.display(), path.display())]
    Io {
        /// The root.
        root: PathBuf,
        /// What was to be done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Bars cannot be read from the store.
    #[error("export {} {}: read its bars", series.instrument, series.timeframe)]
    Store {
        /// Whose.
        series: Series,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// A series has no bar in the range.
    #[error("export {} {}: it has no bar in the range", series.instrument, series.timeframe)]
    NoBars {
        /// Which.
        series: Series,
    },
    /// A bar opens in no year from 0 to 9999, so that it has no date.
    #[error(
        "export {} {}: the bar at {open_time_ms} opens in no year from 0 to 9999; leave it out of the range",
        series.instrument, series.timeframe
    )]
    NoDate {
        /// Whose.
        series: Series,
        /// When it opens, in Unix milliseconds.
        open_time_ms: i64,
    },
    /// There would be more than [`MAX_FILES`] files.
    #[error("export: more than {MAX_FILES} files; export fewer series or a shorter range")]
    TooManyFiles,
    /// A file cannot be written.
    #[error("export to `{path}`")]
    File {
        /// The file, from the root.
        path: String,
        /// Why not.
        #[source]
        source: FileError,
    },
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl ExportError {
    /// The series that it is about. None: it is about the whole export.
    #[must_use]
    pub fn series(&self) -> Option<&Series> {
        match self {
            Self::Store { series, .. } | Self::NoBars { series } | Self::NoDate { series, .. } => {
                Some(series)
            }
            _ => None,
        }
    }
}

/// Writes series as files under `root`, which must not exist or be an empty folder:
/// `symbol=BTC-USDT/timeframe=1m/date=2022-01-01/00000.parquet`, and `manifest.json`. In names, what is no letter or
/// digit of ASCII and not one of `-._` is written as `%` and two hexadecimal digits for each byte.
///
/// All is written to a folder beside the root, which takes the root's name at the end: a root is whole. Bars that are
/// changed meanwhile are exported as they were or as they are. `on_progress` is told after each file.
///
/// # Errors
/// The first that is met; see [`ExportError`].
pub async fn export<S: Store + ?Sized>(
    store: &S,
    request: &ExportRequest,
    root: &Path,
    mut on_progress: impl FnMut(&Exported),
) -> Result<Manifest, ExportError> {
    let beside = folder_beside(root)?;
    let mut tree = Tree {
        root,
        folder: beside.path(),
        format: request.format,
        files: Vec::new(),
        exported: Exported::default(),
    };
    let mut series: Vec<&Series> = request.series.iter().collect();
    series.sort();
    series.dedup();
    for series in series {
        export_series(store, request, series, &mut tree, &mut on_progress).await?;
        tree.exported.series += 1;
    }
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        generated_at: rfc3339(request.now_ms),
        format: request.format,
        rows: tree.exported.rows,
        bytes: tree.exported.bytes,
        files: tree.files,
    };
    manifest.write(beside.path())?;
    put_in_place(&beside, root)?;
    // It is the root now: nothing is left to remove.
    let _ = beside.keep();
    Ok(manifest)
}

/// A folder next to the root, on the same file system, which is removed when it is dropped.
fn folder_beside(root: &Path) -> Result<tempfile::TempDir, ExportError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Io {
            root: root.to_owned(),
            operation,
            path,
            source,
        }
    };
    refuse_what_is_there(root)?;
    let absolute = std::path::absolute(root).map_err(failed("find", root))?;
    let parent = absolute.parent().unwrap_or(&absolute);
    fs::create_dir_all(parent).map_err(failed("make the folder", parent))?;
    tempfile::Builder::new()
        .prefix(".bars-export-")
        .tempdir_in(parent)
        .map_err(failed("make a folder in", parent))
}

fn refuse_what_is_there(root: &Path) -> Result<(), ExportError> {
    let exists = || ExportError::RootExists {
        root: root.to_owned(),
    };
    match fs::symlink_metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.is_dir() => match fs::read_dir(root).map(|mut names| names.next()) {
            Ok(None) => Ok(()),
            _ => Err(exists()),
        },
        _ => Err(exists()),
    }
}

fn put_in_place(beside: &tempfile::TempDir, root: &Path) -> Result<(), ExportError> {
    let failed = |operation| {
        move |source| ExportError::Io {
            root: root.to_owned(),
            operation,
            path: beside.path().to_owned(),
            source,
        }
    };
    // A rename takes the place of an empty folder only where the system is kind; without one it always does.
    match fs::remove_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("make place for")(error));
        }
        _ => {}
    }
    fs::rename(beside.path(), root).map_err(failed("rename"))
}

async fn export_series<S: Store + ?Sized>(
    store: &S,
    request: &ExportRequest,
    series: &Series,
    tree: &mut Tree<'_>,
    on_progress: &mut impl FnMut(&Exported),
) -> Result<(), ExportError> {
    let mut query = BarsQuery {
        series: series.clone(),
        start_ms: request.start_ms,
        end_ms: request.end_ms,
        limit: MAX_READ_LIMIT,
        last: false,
    };
    let rows_before = tree.exported.rows;
    let mut open: Option<Part> = None;
    loop {
        let bars = store
            .read_bars(&query)
            .await
            .map_err(|source| ExportError::Store {
                series: series.clone(),
                source,
            })?;
        for day in days(&bars) {
            let continues = open.as_ref().is_some_and(|part| part.takes(&bars, &day));
            if !continues {
                tree.finish(open.take(), on_progress)?;
                open = Some(tree.begin(series, &bars, day.start)?);
            }
            if let Some(part) = &mut open {
                part.write(&bars, day)?;
            }
        }
        let after_last = bars
            .open_time_ms
            .last()
            .and_then(|last| last.checked_add(1));
        match after_last {
            Some(start_ms) if bars.len() == MAX_READ_LIMIT as usize => {
                query.start_ms = Some(start_ms);
            }
            _ => break,
        }
    }
    tree.finish(open, on_progress)?;
    if tree.exported.rows == rows_before {
        return Err(ExportError::NoBars {
            series: series.clone(),
        });
    }
    Ok(())
}

/// The bars of each day, in order.
fn days(bars: &Bars) -> impl Iterator<Item = Range<usize>> {
    let times = &bars.open_time_ms;
    let mut start = 0;
    std::iter::from_fn(move || {
        let day = times.get(start)?.div_euclid(DAY_MS);
        let rest = &times[start..];
        let length = rest.partition_point(|time| time.div_euclid(DAY_MS) == day);
        let range = start..start + length;
        start = range.end;
        Some(range)
    })
}

/// The files of a root in the making.
struct Tree<'a> {
    root: &'a Path,
    folder: &'a Path,
    format: Format,
    files: Vec<FileEntry>,
    exported: Exported,
}

impl Tree<'_> {
    /// Begins the file of the day on which bar `at` opens.
    fn begin(&self, series: &Series, bars: &Bars, at: usize) -> Result<Part, ExportError> {
        let open_time_ms = bars.open_time_ms[at];
        if !(MIN_RFC3339_MS..=MAX_RFC3339_MS).contains(&open_time_ms) {
            return Err(ExportError::NoDate {
                series: series.clone(),
                open_time_ms,
            });
        }
        if self.files.len() == MAX_FILES {
            return Err(ExportError::TooManyFiles);
        }
        let date = rfc3339(open_time_ms)[..10].to_owned();
        let folder = format!(
            "symbol={}/timeframe={}/date={date}",
            escaped(&series.instrument),
            escaped(&series.timeframe)
        );
        // A series whose scale was raised half-way through a day has a second file for it.
        let earlier = self.files.iter().rev();
        let number = earlier
            .take_while(|file| file.series == *series && file.date == date)
            .count();
        let path = format!("{folder}/{number:05}.{}", self.format.extension());
        let failed = |operation| {
            let path = PathBuf::from(&path);
            move |source| ExportError::Io {
                root: self.root.to_owned(),
                operation,
                path,
                source,
            }
        };
        fs::create_dir_all(self.folder.join(&folder)).map_err(failed("make the folder of"))?;
        let file = File::create_new(self.folder.join(&path)).map_err(failed("make"))?;
        let sums = Arc::new(Mutex::new(Sums::default()));
        let target = Summed {
            target: BufWriter::new(file),
            sums: Arc::clone(&sums),
        };
        let writer: Result<Box<dyn BarWriter + Send>, FileError> = match self.format {
            Format::Csv => CsvWriter::new(target).map(|writer| Box::new(writer) as _),
            Format::Parquet => ParquetWriter::new(target, bars.price_scale, bars.volume_scale)
                .map(|writer| Box::new(writer) as _),
        };
        Ok(Part {
            writer: writer.map_err(|source| ExportError::File {
                path: path.clone(),
                source,
            })?,
            sums,
            day: open_time_ms.div_euclid(DAY_MS),
            entry: FileEntry {
                path,
                series: series.clone(),
                date,
                rows: 0,
                bytes: 0,
                sha256: String::new(),
                first_open_time_ms: open_time_ms,
                last_open_time_ms: open_time_ms,
                price_scale: bars.price_scale,
                volume_scale: bars.volume_scale,
            },
        })
    }

    fn finish(
        &mut self,
        part: Option<Part>,
        on_progress: &mut impl FnMut(&Exported),
    ) -> Result<(), ExportError> {
        let Some(part) = part else {
            return Ok(());
        };
        let entry = part.finish()?;
        self.exported.files += 1;
        self.exported.rows += entry.rows;
        self.exported.bytes += entry.bytes;
        self.files.push(entry);
        on_progress(&self.exported);
        Ok(())
    }
}

/// A name as part of a path: it can neither leave its folder nor mean anything to a file system.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A file in the making.
struct Part {
    writer: Box<dyn BarWriter + Send>,
    sums: Arc<Mutex<Sums>>,
    /// The day on which its bars open, counted from 1970-01-01.
    day: i64,
    entry: FileEntry,
}

impl Part {
    /// Whether the bars go into this file: they are of its day, and have its scales.
    fn takes(&self, bars: &Bars, which: &Range<usize>) -> bool {
        self.day == bars.open_time_ms[which.start].div_euclid(DAY_MS)
            && self.entry.price_scale == bars.price_scale
            && self.entry.volume_scale == bars.volume_scale
    }

    fn write(&mut self, bars: &Bars, which: Range<usize>) -> Result<(), ExportError> {
        self.entry.rows += which.len() as u64;
        self.entry.last_open_time_ms = bars.open_time_ms[which.end - 1];
        self.writer
            .write(bars, which)
            .map_err(|source| ExportError::File {
                path: self.entry.path.clone(),
                source,
            })
    }

    fn finish(self) -> Result<FileEntry, ExportError> {
        let mut entry = self.entry;
        self.writer.finish().map_err(|source| ExportError::File {
            path: entry.path.clone(),
            source,
        })?;
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        entry.bytes = sums.bytes;
        entry.sha256 = hexadecimal(sums.sha256.clone());
        Ok(entry)
    }
}

pub(crate) fn hexadecimal(sha256: Sha256) -> String {
    sha256
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Of the bytes of a file.
#[derive(Default)]
struct Sums {
    bytes: u64,
    sha256: Sha256,
}

/// Counts and sums up what is written.
struct Summed<W> {
    target: W,
    sums: Arc<Mutex<Sums>>,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.target.write(bytes)?;
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.bytes += count as u64;
        sums.sha256.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests;
