use std::path::Path;

use bulkhead_kernel::instant::rfc3339;
use bulkhead_store::{Bars, BarsQuery, MAX_READ_LIMIT, Store, StoreError};

use crate::batch::{self, Scales};
use crate::{FileEntry, FileError, Manifest, RowError};

/// What is stored is not what the root has, or one of them cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// A file cannot be read.
    #[error("read back `{path}`")]
    File {
        /// The file, from the root.
        path: String,
        /// Why not.
        #[source]
        source: FileError,
    },
    /// A row has no bar.
    #[error("read back `{path}`")]
    Row {
        /// The file, from the root.
        path: String,
        /// Which, and why not.
        #[source]
        source: RowError,
    },
    /// The stored bars cannot be read.
    #[error("read back `{path}`: read the stored bars")]
    Store {
        /// The file, from the root.
        path: String,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// A bar is not stored, or not the same.
    #[error("read back `{path}`: the bar at {} is stored {found}", rfc3339(*open_time_ms))]
    Differs {
        /// The file, from the root.
        path: String,
        /// When the bar opens, in Unix milliseconds.
        open_time_ms: i64,
        /// In what way.
        found: &'static str,
    },
}

/// Reads the bars of a verified root from the store again, and compares each value with its file's: all of them must be
/// there, with no other bar between those of a file. Gives how many bars that were.
///
/// Prices and volumes are compared exactly; a series that already had finer values holds the same ones with more zeros.
///
/// # Errors
/// The first difference, or what cannot be read.
pub async fn read_back<S: Store + ?Sized>(
    store: &S,
    root: &Path,
    manifest: &Manifest,
) -> Result<u64, ReadBackError> {
    let mut bars = 0;
    for entry in &manifest.files {
        bars += read_back_file(store, root, manifest, entry).await?;
    }
    Ok(bars)
}

async fn read_back_file<S: Store + ?Sized>(
    store: &S,
    root: &Path,
    manifest: &Manifest,
    entry: &FileEntry,
) -> Result<u64, ReadBackError> {
    let path = || entry.path.clone();
    let failed = |source| ReadBackError::File {
        path: path(),
        source,
    };
    let mut reader = crate::open(&root.join(&entry.path), manifest.format, None).map_err(failed)?;
    let (mut rows, mut count) = (Vec::new(), 0);
    loop {
        reader.read(&mut rows).map_err(failed)?;
        if rows.is_empty() {
            return Ok(count);
        }
        let mut expected = batch::empty(Scales {
            price: entry.price_scale,
            volume: entry.volume_scale,
        });
        for row in rows.drain(..) {
            let place = row.place;
            let bad = |reason| ReadBackError::Row {
                path: path(),
                source: RowError { place, reason },
            };
            let bar = row.row.map_err(|error| bad(error.into()))?;
            batch::push(&mut expected, &bar).map_err(bad)?;
        }
        let stored = stored_between(store, entry, &expected).await?;
        if let Some((open_time_ms, found)) = difference(&expected, &stored) {
            return Err(ReadBackError::Differs {
                path: path(),
                open_time_ms,
                found,
            });
        }
        count += expected.len() as u64;
    }
}

/// The stored bars from the first to the last of those expected, and one more than expected where there are.
async fn stored_between<S: Store + ?Sized>(
    store: &S,
    entry: &FileEntry,
    expected: &Bars,
) -> Result<Bars, ReadBackError> {
    let one_more = u32::try_from(expected.len()).map_or(u32::MAX, |count| count.saturating_add(1));
    let query = BarsQuery {
        series: entry.series.clone(),
        start_ms: expected.open_time_ms.first().copied(),
        end_ms: expected
            .open_time_ms
            .last()
            .and_then(|last| last.checked_add(1)),
        limit: one_more.min(MAX_READ_LIMIT),
        last: false,
    };
    store
        .read_bars(&query)
        .await
        .map_err(|source| ReadBackError::Store {
            path: entry.path.clone(),
            source,
        })
}

/// The first bar that is not the same, by its open time, and in what way.
fn difference(expected: &Bars, stored: &Bars) -> Option<(i64, &'static str)> {
    let price = factors(expected.price_scale, stored.price_scale);
    let volume = factors(expected.volume_scale, stored.volume_scale);
    let same = |column: &[i64], other: &[i64], (ours, theirs): (i128, i128), at: usize| {
        column.get(at).map(|value| i128::from(*value) * ours)
            == other.get(at).map(|value| i128::from(*value) * theirs)
    };
    for (at, open_time_ms) in expected.open_time_ms.iter().enumerate() {
        match stored.open_time_ms.get(at) {
            None => return Some((*open_time_ms, "nowhere")),
            Some(other) if other > open_time_ms => return Some((*open_time_ms, "nowhere")),
            Some(other) if other < open_time_ms => return Some((*other, "and not in the file")),
            Some(_) => {}
        }
        let is_same = same(&expected.open, &stored.open, price, at)
            && same(&expected.high, &stored.high, price, at)
            && same(&expected.low, &stored.low, price, at)
            && same(&expected.close, &stored.close, price, at)
            && same(&expected.volume, &stored.volume, volume, at);
        if !is_same {
            return Some((*open_time_ms, "with other values"));
        }
    }
    let surplus = stored.open_time_ms.get(expected.len())?;
    Some((*surplus, "and not in the file"))
}

/// By what values under two scales are multiplied to be compared: at most 10^12, so that 64 bits become no more than 128.
fn factors(ours: u8, theirs: u8) -> (i128, i128) {
    let power = |places: u8| 10_i128.pow(u32::from(places));
    (
        power(theirs.saturating_sub(ours)),
        power(ours.saturating_sub(theirs)),
    )
}

#[cfg(test)]
mod tests {
    use bulkhead_store::MemoryStore;
    use futures::executor::block_on;
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::{flat, put, series};
    use crate::{BadRows, ExportRequest, Format, ImportOptions, export, import_root};

    const MINUTE: i64 = 60_000;

    fn exported(store: &MemoryStore, format: Format) -> (TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let request = ExportRequest {
            series: vec![series()],
            start_ms: None,
            end_ms: None,
            format,
            now_ms: 0,
        };
        let root = folder.path().join("root");
        let manifest = block_on(export(store, &request, &root, |_| {})).unwrap();
        (folder, manifest)
    }

    fn compared(store: &MemoryStore, exported: &(TempDir, Manifest)) -> Result<u64, String> {
        let root = exported.0.path().join("root");
        block_on(read_back(store, &root, &exported.1)).map_err(|error| error.to_string())
    }

    fn of_minutes(minutes: impl IntoIterator<Item = i64>) -> MemoryStore {
        let store = MemoryStore::new(0);
        put(&store, minutes.into_iter().map(|minute| minute * MINUTE));
        store
    }

    #[test]
    fn an_export_that_is_imported_again_is_read_back_value_by_value() {
        let source = of_minutes(0..25_000);
        for format in [Format::Csv, Format::Parquet] {
            let exported = exported(&source, format);
            let target = MemoryStore::new(0);
            let options = ImportOptions {
                now_ms: i64::MAX,
                bad_rows: BadRows::Refuse,
                max_jump: None,
            };
            let root = exported.0.path().join("root");
            block_on(import_root(&target, &root, &options, |_| {})).unwrap();
            assert_eq!(compared(&target, &exported), Ok(25_000));
        }
    }

    #[test]
    fn every_difference_is_named_at_its_bar() {
        let exported = exported(&of_minutes([1, 2, 3]), Format::Csv);
        let differs = |store: &MemoryStore| compared(store, &exported).unwrap_err();
        let at = |minute: i64| rfc3339(minute * MINUTE);
        for (store, expect) in [
            (of_minutes([1, 3]), format!("{} is stored nowhere", at(2))),
            (of_minutes([1, 2]), format!("{} is stored nowhere", at(3))),
            (of_minutes([]), format!("{} is stored nowhere", at(1))),
        ] {
            let said = differs(&store);
            assert!(said.ends_with(&expect), "{said}");
        }
        let between = of_minutes([1, 2, 3]);
        block_on(between.append_bars(series(), flat(vec![2 * MINUTE + 1]), 0)).unwrap();
        let said = differs(&between);
        assert!(
            said.ends_with("00:02:00.001Z is stored and not in the file"),
            "{said}"
        );
        let changed = of_minutes([1, 2, 3]);
        let mut other = flat(vec![2 * MINUTE]);
        other.volume[0] += 1;
        block_on(changed.append_bars(series(), other, 0)).unwrap();
        let said = differs(&changed);
        assert!(
            said.ends_with(&format!("{} is stored with other values", at(2))),
            "{said}"
        );
    }

    #[test]
    fn bars_outside_the_root_and_finer_scales_are_no_difference() {
        let exported = exported(&of_minutes([2, 3]), Format::Csv);
        let store = of_minutes([1, 2, 3, 4]);
        let mut finer = flat(vec![5 * MINUTE]);
        (finer.price_scale, finer.volume_scale) = (9, 9);
        block_on(store.append_bars(series(), finer, 0)).unwrap();
        assert_eq!(compared(&store, &exported), Ok(2));
    }
}
