use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_kernel::bar_row::BarRow;
use bulkhead_store::{AppendSummary, Bars, Series, Store, StoreError};
use futures::future::{MaybeDone, maybe_done};
use futures::poll;

use crate::batch::{self, Scales};
use crate::{BATCH_BARS, BarReader, Checks, FileError, Reason, RowError, SourceRow, VerifyError};

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
    /// How many of each [`Reason::name`].
    pub counts: BTreeMap<&'static str, u64>,
}

impl Quarantine {
    /// How many rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    fn add(&mut self, row: RowError) {
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
    let mut source = Source {
        reader,
        checks: Checks {
            max_jump: options.max_jump,
            ..Checks::of(series, options.now_ms)
        },
        bad_rows: options.bad_rows,
        scales,
        rows: Vec::new(),
        rows_read: 0,
        rounded: 0,
        previous: None,
        quarantine: Quarantine::default(),
    };
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

/// The good rows of a file, in columns.
struct Source<'a, R: ?Sized> {
    reader: &'a mut R,
    checks: Checks,
    bad_rows: BadRows,
    scales: Scales,
    rows: Vec<SourceRow>,
    rows_read: u64,
    rounded: u64,
    previous: Option<BarRow>,
    quarantine: Quarantine,
}

impl<R: BarReader + ?Sized> Source<'_, R> {
    /// The next bars. None: there are no more.
    fn next(&mut self) -> Result<Option<Bars>, ImportError> {
        loop {
            self.reader.read(&mut self.rows)?;
            if self.rows.is_empty() {
                return Ok(None);
            }
            self.rows_read += self.rows.len() as u64;
            let bars = self.good_rows()?;
            if !bars.is_empty() {
                return Ok(Some(bars));
            }
        }
    }

    fn good_rows(&mut self) -> Result<Bars, RowError> {
        let mut bars = batch::empty(self.scales);
        for SourceRow {
            place,
            row,
            rounded,
        } in self.rows.drain(..)
        {
            let good = row.map_err(Reason::from).and_then(|row| {
                self.checks.check(&row, self.previous.as_ref())?;
                batch::push(&mut bars, &row)?;
                Ok(row)
            });
            match (good, self.bad_rows) {
                (Ok(row), _) => {
                    self.previous = Some(row);
                    self.rounded += u64::from(rounded);
                }
                (Err(reason), BadRows::Refuse) => return Err(RowError { place, reason }),
                (Err(reason), BadRows::Quarantine) => {
                    self.quarantine.add(RowError { place, reason });
                }
            }
        }
        debug_assert!(bars.len() <= BATCH_BARS);
        Ok(bars)
    }
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
mod tests {
    use bulkhead_store::MemoryStore;
    use futures::executor::block_on;

    use super::*;
    use crate::csv::CsvReader;
    use crate::fixture::{all_bars, series};

    const OPTIONS: ImportOptions = ImportOptions {
        now_ms: i64::MAX,
        bad_rows: BadRows::Refuse,
        max_jump: Some(10),
    };

    fn import_text(
        store: &MemoryStore,
        lines: &str,
        bad_rows: BadRows,
    ) -> Result<Imported, ImportError> {
        let text = format!("timestamp,open,high,low,close,volume\n{lines}");
        let mut reader = CsvReader::new(text.as_bytes()).unwrap();
        let options = ImportOptions {
            bad_rows,
            ..OPTIONS
        };
        block_on(import(store, &series(), &mut reader, &options, |_| {}))
    }

    fn minutes(range: std::ops::Range<usize>) -> String {
        range
            .map(|minute| format!("{},2,3,1,2.5,{minute}\n", minute * 60_000))
            .collect()
    }

    #[test]
    fn a_second_import_changes_nothing() {
        let store = MemoryStore::new(0);
        let first = import_text(&store, &minutes(0..20_001), BadRows::Refuse).unwrap();
        assert_eq!(
            (first.rows, first.inserted, first.unchanged),
            (20_001, 20_001, 0)
        );
        let before = all_bars(&store);
        let second = import_text(&store, &minutes(0..20_001), BadRows::Refuse).unwrap();
        assert_eq!(
            (second.inserted, second.updated, second.unchanged),
            (0, 0, 20_001)
        );
        assert_eq!(all_bars(&store), before);
        assert_eq!(before.len(), 20_001);
    }

    #[test]
    fn a_bad_row_is_an_error_at_its_place_and_the_batches_before_it_are_stored() {
        let store = MemoryStore::new(0);
        let lines = minutes(0..10_500) + "x,1,1,1,1,1\n" + &minutes(10_500..10_600);
        let error = import_text(&store, &lines, BadRows::Refuse).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("line 10502, column 1 (`timestamp`): `x`"),
            "{error}"
        );
        assert_eq!(all_bars(&store).len(), 10_000);
        let completed = import_text(&store, &minutes(0..10_600), BadRows::Refuse).unwrap();
        assert_eq!((completed.inserted, completed.unchanged), (600, 10_000));
    }

    #[test]
    fn a_bad_row_is_quarantined_with_its_reason_and_the_others_are_stored() {
        let store = MemoryStore::new(0);
        let lines = "60000,10,10,10,10,1\n60000,10,10,10,10,2\n0,10,10,10,10,1\n120000,NaN,1,1,1,1\n\
             120000,10,9,10,10,1\n120001,10,10,10,10,1\n120000,1000,1000,1000,1000,1\n120000,11,11,11,11,1\n";
        let imported = import_text(&store, lines, BadRows::Quarantine).unwrap();
        assert_eq!((imported.rows, imported.inserted), (8, 2));
        let quarantine = imported.quarantine;
        assert_eq!(quarantine.count(), 6);
        let reasons: Vec<_> = quarantine
            .rows
            .iter()
            .map(|row| format!("{} {}", row.place, row.reason.name()))
            .collect();
        assert_eq!(
            reasons,
            [
                "line 3 duplicate",
                "line 4 out of order",
                "line 5 malformed",
                "line 6 invalid",
                "line 7 off grid",
                "line 8 jump",
            ]
        );
        assert_eq!(all_bars(&store).open, [10, 11]);
    }

    #[test]
    fn the_list_of_quarantined_rows_is_bounded_and_their_count_is_not() {
        let store = MemoryStore::new(0);
        let lines = "x,1,1,1,1,1\n".repeat(BATCH_BARS + 1_000) + &minutes(1..2);
        let imported = import_text(&store, &lines, BadRows::Quarantine).unwrap();
        assert_eq!(imported.quarantine.rows.len(), MAX_QUARANTINE_LISTED);
        assert_eq!(imported.quarantine.counts["malformed"], 11_000);
        assert_eq!((imported.rows, imported.inserted), (11_001, 1));
    }

    #[test]
    fn a_file_without_bars_is_refused() {
        let error = import_text(&MemoryStore::new(0), "", BadRows::Quarantine).unwrap_err();
        assert!(matches!(error, ImportError::Empty), "{error}");
    }

    #[test]
    fn a_value_that_the_series_cannot_hold_is_refused_by_the_store() {
        let store = MemoryStore::new(0);
        let wide = "0,9e,9e,9e,9e,1\n".replace("9e", "9000000000000000000");
        import_text(&store, &wide, BadRows::Refuse).unwrap();
        let error = import_text(&store, "60000,1.5,1.5,1.5,1.5,1\n", BadRows::Refuse).unwrap_err();
        assert!(matches!(error, ImportError::Store(_)), "{error}");
    }

    #[test]
    fn values_are_rounded_when_the_reader_is_told_to_and_counted() {
        let text = "timestamp,open,high,low,close,volume\n60000,46319,46319,46319,46319,218102.59507500002\n\
             120000,46319,46319,46319,46319,134919000.5\n";
        let exact = CsvReader::new(text.as_bytes()).unwrap();
        let rounded = CsvReader::new(text.as_bytes()).unwrap().round_to(Some(8));
        let import = |mut reader: CsvReader<_>| {
            let store = MemoryStore::new(0);
            block_on(import(&store, &series(), &mut reader, &OPTIONS, |_| {}))
                .map(|imported| (imported.rounded, all_bars(&store).volume))
        };
        let error = import(exact).unwrap_err().to_string();
        assert!(error.contains("line 3, columns 2 to 6"), "{error}");
        assert_eq!(
            import(rounded).unwrap(),
            (1, vec![218_102_595_075, 134_919_000_500_000])
        );
    }

    #[test]
    fn progress_is_told_after_each_batch() {
        let text = format!(
            "timestamp,open,high,low,close,volume\n{}",
            minutes(0..20_001)
        );
        let mut reader = CsvReader::new(text.as_bytes()).unwrap();
        let mut told = Vec::new();
        let store = MemoryStore::new(0);
        block_on(import(
            &store,
            &series(),
            &mut reader,
            &OPTIONS,
            |imported| {
                told.push((imported.rows, imported.inserted));
            },
        ))
        .unwrap();
        assert_eq!(told, [(10_000, 10_000), (20_000, 20_000), (20_001, 20_001)]);
    }
}
