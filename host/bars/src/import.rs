use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_kernel::bar_row::FIELDS;
use bulkhead_store::{AppendSummary, Series, Store, StoreError};
use futures::future::{MaybeDone, maybe_done};
use futures::poll;

use crate::batch::Scales;
use crate::source::Source;
use crate::survey::{self, is_about_precision, round_to_that_fits, stored_scales};
use crate::{BarReader, FileError, Format, RowError, VerifyError};

/// Quarantined rows that are listed; more are only counted.
pub const MAX_QUARANTINE_LISTED: usize = 1_000;

/// What becomes of a row that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadRows {
    /// It ends the import.
    #[default]
    Refuse,
    /// It is left out, with the reason.
    Quarantine,
}

/// How to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// Now, in Unix milliseconds: the series' last change. No bar opens later.
    pub now_ms: i64,
    /// What becomes of bad rows.
    pub bad_rows: BadRows,
    /// The largest factor from one bar's last price to the next bar's first, up or down. None: any.
    pub max_jump: Option<u32>,
}

/// Rows that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// The first [`MAX_QUARANTINE_LISTED`], in order.
    pub rows: Vec<RowError>,
    /// How many of each [`crate::Reason::name`].
    pub counts: BTreeMap<&'static str, u64>,
}

impl Quarantine {
    /// How many rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn add(&mut self, row: RowError) {
        *self.counts.entry(row.reason.name()).or_default() += 1;
        if self.rows.len() < MAX_QUARANTINE_LISTED {
            self.rows.push(row);
        }
    }

    fn append(&mut self, later: Self) {
        for (name, count) in later.counts {
            *self.counts.entry(name).or_default() += count;
        }
        let room = MAX_QUARANTINE_LISTED - self.rows.len();
        self.rows.extend(later.rows.into_iter().take(room));
    }
}

/// What an import has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows whose fate is decided: they are stored, or quarantined.
    pub rows: u64,
    /// Bars that were not there.
    pub inserted: u64,
    /// Bars that were there with other values.
    pub updated: u64,
    /// Bars that were there already, the same.
    pub unchanged: u64,
    /// Values of good rows that were rounded; none unless the reader was told to.
    pub rounded: u64,
    /// Rows that were left out.
    pub quarantine: Quarantine,
}

impl Imported {
    fn add(&mut self, summary: AppendSummary) {
        self.inserted += u64::from(summary.inserted);
        self.updated += u64::from(summary.updated);
        self.unchanged += u64::from(summary.unchanged);
    }

    fn append(&mut self, later: Self) {
        self.rows += later.rows;
        self.inserted += later.inserted;
        self.updated += later.updated;
        self.unchanged += later.unchanged;
        self.rounded += later.rounded;
        self.quarantine.append(later.quarantine);
    }
}

/// An import ended early. The batches before are stored; the same import, once it can, completes what is missing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read on.
    #[error(transparent)]
    File(#[from] FileError),
    /// A row cannot be right.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The file has a header and no row.
    #[error("the bar file has no bars")]
    Empty,
    /// The largest value of a column and its finest do not fit the same 64-bit integers.
    #[error(
        "column {} (`{column}`): its largest value has {digits} digit(s) before the decimal point and its finest {places} \
         after it, which do not fit 64 bits together",
        FIELDS.iter().position(|field| field == column).unwrap_or(0) + 1
    )]
    TooFine {
        /// Which.
        column: &'static str,
        /// Digits before the decimal point of its largest value.
        digits: u32,
        /// Digits after the decimal point of its finest value, in the file or in the series that is there.
        places: u8,
    },
    /// The store refused or failed.
    #[error("store a batch of bars")]
    Store(#[source] StoreError),
}

/// Puts the rows of a file into a series. `on_progress` is told after each batch.
///
/// Batches are stored one after the other, each whole; while one is being stored the next is read.
///
/// # Errors
/// The first that is met; see [`ImportError`].
pub async fn import<S, R>(
    store: &S,
    series: &Series,
    reader: &mut R,
    options: &ImportOptions,
    on_progress: impl FnMut(&Imported),
) -> Result<Imported, ImportError>
where
    S: Store + ?Sized,
    R: BarReader + ?Sized,
{
    import_scaled(
        store,
        series,
        reader,
        options,
        Scales::default(),
        on_progress,
    )
    .await
}

/// Imports under scales that are not smaller than those given.
async fn import_scaled<S, R>(
    store: &S,
    series: &Series,
    reader: &mut R,
    options: &ImportOptions,
    scales: Scales,
    mut on_progress: impl FnMut(&Imported),
) -> Result<Imported, ImportError>
where
    S: Store + ?Sized,
    R: BarReader + ?Sized,
{
    series.validate().map_err(ImportError::Store)?;
    let mut source = Source::new(reader, series, options, scales);
    let mut imported = Imported::default();
    let mut next = source.next();
    while let Some(bars) = next? {
        let rows_read = source.rows_read;
        let mut append = maybe_done(store.append_bars(series.clone(), bars, options.now_ms));
        // Hands the bars over: the store has them while the next are read.
        let _ = poll!(&mut append);
        next = source.next();
        imported.add(outcome(append).await.map_err(ImportError::Store)?);
        imported.rows = rows_read;
        on_progress(&imported);
    }
    if source.rows_read == 0 {
        return Err(ImportError::Empty);
    }
    imported.rows = source.rows_read;
    imported.rounded = source.rounded;
    imported.quarantine = source.quarantine;
    Ok(imported)
}

async fn outcome<F>(append: MaybeDone<F>) -> Result<AppendSummary, StoreError>
where
    F: Future<Output = Result<AppendSummary, StoreError>> + Unpin,
{
    match append {
        MaybeDone::Future(future) => future.await,
        MaybeDone::Done(summary) => summary,
        // Nobody takes it before.
        MaybeDone::Gone => Ok(AppendSummary::default()),
    }
}

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarFile<'a> {
    /// Where it is: a regular file, since it is read more than once.
    pub path: &'a Path,
    /// Its form.
    pub format: Format,
    /// Digits after the decimal point that its values are rounded to, half to even. None: they are exact.
    pub round_to: Option<u8>,
}

/// How far the import of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileProgress<'a> {
    /// So many rows are checked, of as many as the file says it has.
    Checked {
        /// Rows that are checked.
        rows: u64,
        /// Rows of the file. None: it does not say.
        expected_rows: Option<u64>,
    },
    /// All rows are checked, and some are stored.
    Stored {
        /// What has been done.
        imported: &'a Imported,
        /// Rows of the file.
        rows: u64,
    },
}

/// A file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("import `{}`", path.display())]
pub struct ImportFileError {
    /// The file.
    pub path: PathBuf,
    /// To how many digits after the decimal point its values must be rounded to be imported. None: that would not help.
    pub round_to: Option<u8>,
    /// Why not.
    #[source]
    pub source: Box<ImportError>,
}

/// Reads a whole file to find out whether it can be imported, and then imports it: what is wrong in its last row is
/// known before its first is stored.
///
/// # Errors
/// See [`ImportError`]; [`ImportFileError::round_to`] says whether rounding would help. What the store alone can know, such
/// as that it fails, is found when the batches before are stored.
pub async fn import_file<S: Store + ?Sized>(
    store: &S,
    series: &Series,
    file: &BarFile<'_>,
    options: &ImportOptions,
    mut on_progress: impl FnMut(FileProgress<'_>),
) -> Result<Imported, ImportFileError> {
    let failed = |round_to, source| ImportFileError {
        path: file.path.to_owned(),
        round_to,
        source: Box::new(source),
    };
    let refused = |error: ImportError| failed(None, error);
    let open = || crate::open(file.path, file.format, file.round_to);
    series
        .validate()
        .map_err(|error| refused(ImportError::Store(error)))?;
    let scales = stored_scales(store, series).await.map_err(refused)?;
    let mut reader = open().map_err(|error| refused(error.into()))?;
    let expected_rows = reader.expected_rows();
    let found = survey::survey(&mut *reader, series, options, scales, |rows| {
        on_progress(FileProgress::Checked {
            rows,
            expected_rows,
        });
    });
    let found = found.map_err(|error| {
        let round_to = is_about_precision(&error)
            .then(|| round_to_that_fits(file.path, file.format, series, options, scales));
        failed(round_to.flatten(), error)
    })?;
    let mut reader = open().map_err(|error| refused(error.into()))?;
    import(store, series, &mut *reader, options, |imported| {
        on_progress(FileProgress::Stored {
            imported,
            rows: found.rows,
        });
    })
    .await
    .map_err(refused)
}

/// An exported root cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It is not what its manifest says. Nothing was imported.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// One of its files cannot be imported. Those before it are.
    #[error("import `{}`", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ImportError,
    },
}

/// Verifies an exported root, and puts all its files into the series that they came from, with the scales that those
/// had. `on_progress` is told after each batch what has been done of the whole.
///
/// # Errors
/// The root is not what its manifest says, or a file cannot be imported.
pub async fn import_root<S: Store + ?Sized>(
    store: &S,
    root: &Path,
    options: &ImportOptions,
    mut on_progress: impl FnMut(&Imported),
) -> Result<Imported, RootError> {
    let manifest = crate::verify(root)?;
    let mut imported = Imported::default();
    for entry in &manifest.files {
        let path = root.join(&entry.path);
        let failed = |source| RootError::Import {
            path: path.clone(),
            source,
        };
        let mut reader =
            crate::open(&path, manifest.format, None).map_err(|error| failed(error.into()))?;
        let scales = Scales {
            price: entry.price_scale,
            volume: entry.volume_scale,
        };
        let before = imported.clone();
        let of_file = import_scaled(
            store,
            &entry.series,
            &mut *reader,
            options,
            scales,
            |of_file| {
                let mut of_root = before.clone();
                of_root.append(of_file.clone());
                on_progress(&of_root);
            },
        )
        .await
        .map_err(failed)?;
        imported.append(of_file);
    }
    Ok(imported)
}

#[cfg(test)]
mod tests;
