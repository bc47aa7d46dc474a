//! What bars in files cost, in one process and in one table, each figure against a floor measured beside it:
//! `cargo bench -p bulkhead-bars`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![allow(clippy::disallowed_methods, reason = "a bench is what reads the time")]

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulkhead_bars::csv::CsvWriter;
use bulkhead_bars::parquet::ParquetWriter;
use bulkhead_bars::{
    BATCH_BARS, BadRows, ExportRequest, Format, GapsQuery, ImportOptions, export, gaps, import,
    import_root, open, verify,
};
use bulkhead_store::{Bars, Series, SqliteOptions, SqliteStore, Store as _};
use futures::executor::block_on;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const BARS: usize = 1_000_000;
/// Each figure is the middle one of so many.
const TIMES: usize = 3;
const MINUTE_MS: i64 = 60_000;
/// 2022-01-01.
const FIRST_MS: i64 = 1_640_995_200_000;

const OPTIONS: ImportOptions = ImportOptions {
    now_ms: i64::MAX,
    bad_rows: BadRows::Refuse,
    max_jump: Some(10),
};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let [csv, parquet] = [Format::Csv, Format::Parquet].map(|format| {
        let path = folder.path().join(format!("bars.{format}"));
        write(&path, format);
        path
    });
    println!("| {BARS} one-minute bars | median | bars/s | against |\n|---|---:|---:|---|");
    let csv_floor = figure("read the records, `csv`", None, || read_csv(&csv));
    figure("read the rows, CSV", Some(csv_floor), || read(&csv));
    figure("import CSV into a new store", Some(csv_floor), || {
        import_file(folder.path(), &csv);
    });
    let parquet_floor = figure("read the batches, `parquet`", None, || {
        read_parquet(&parquet)
    });
    figure("read the rows, Parquet", Some(parquet_floor), || {
        read(&parquet)
    });
    figure(
        "import Parquet into a new store",
        Some(parquet_floor),
        || {
            import_file(folder.path(), &parquet);
        },
    );
    let append_floor = figure("append the bars to a new store, nothing read", None, || {
        append(folder.path());
    });
    let store = store(folder.path(), "kept");
    block_on(import(
        &store,
        &series(),
        &mut *open(&parquet, Format::Parquet, None).unwrap(),
        &OPTIONS,
        |_| {},
    ))
    .unwrap();
    figure(
        "import Parquet that is there already",
        Some(parquet_floor),
        || {
            let mut reader = open(&parquet, Format::Parquet, None).unwrap();
            block_on(import(&store, &series(), &mut *reader, &OPTIONS, |_| {})).unwrap();
        },
    );
    for format in [Format::Csv, Format::Parquet] {
        let root = folder.path().join(format!("root-{format}"));
        figure(&format!("export {format}, a file a day"), None, || {
            let _ = std::fs::remove_dir_all(&root);
            export_to(&store, &root, format);
        });
        figure(&format!("verify the export, {format}"), None, || {
            verify(&root).unwrap();
        });
        figure(
            &format!("verify and import the export, {format}"),
            Some(append_floor),
            || {
                let store = new_store(folder.path());
                block_on(import_root(&store, &root, &OPTIONS, |_| {})).unwrap();
            },
        );
    }
    figure("look for gaps", None, || {
        let query = GapsQuery {
            series: series(),
            timeframe: "1m".parse().unwrap(),
            start_ms: None,
            end_ms: None,
        };
        assert_eq!(block_on(gaps(&store, &query, |_| true)).unwrap().count, 0);
    });
}

/// Prints one row: the middle time, and how many times longer that is than the floor.
fn figure(name: &str, floor: Option<Duration>, mut work: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    let middle = took[TIMES / 2];
    let seconds = middle.as_secs_f64();
    let against = floor.map_or(String::new(), |floor| {
        format!("{:.1} × its floor", seconds / floor.as_secs_f64())
    });
    println!(
        "| {name} | {:.0} ms | {:.0} k | {against} |",
        seconds * 1e3,
        BARS as f64 / seconds / 1e3
    );
    middle
}

fn series() -> Series {
    Series::new("BTC-USDT", "1m").unwrap()
}

/// Bars that look like a market's, a batch at a time: a walk in cents, and volumes of four decimal places.
fn batches() -> impl Iterator<Item = Bars> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i64::try_from(random % below).unwrap()
    };
    let mut close = 4_631_950;
    (0..BARS / BATCH_BARS).map(move |batch| {
        let mut bars = Bars {
            price_scale: 2,
            volume_scale: 4,
            ..Bars::default()
        };
        for at in 0..BATCH_BARS {
            let minute = i64::try_from(batch * BATCH_BARS + at).unwrap();
            let open = close;
            close = (open + next(2_001) - 1_000).max(100_000);
            bars.open_time_ms.push(FIRST_MS + minute * MINUTE_MS);
            bars.open.push(open);
            bars.close.push(close);
            bars.high.push(open.max(close) + next(500));
            bars.low.push(open.min(close) - next(500));
            bars.volume.push(next(20_000_000_000));
        }
        bars
    })
}

fn write(path: &Path, format: Format) {
    let file = BufWriter::new(File::create_new(path).unwrap());
    match format {
        Format::Csv => {
            let mut writer = CsvWriter::new(file).unwrap();
            batches().for_each(|bars| writer.write(&bars, 0..bars.len()).unwrap());
            writer.finish().unwrap();
        }
        Format::Parquet => {
            let mut writer = ParquetWriter::new(file, 2, 4).unwrap();
            batches().for_each(|bars| writer.write(&bars, 0..bars.len()).unwrap());
            writer.finish().unwrap();
        }
    }
}

fn read_csv(path: &Path) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    while reader.read_byte_record(&mut record).unwrap() {
        rows += 1;
    }
    assert_eq!(rows, BARS);
}

fn read_parquet(path: &Path) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches = builder.with_batch_size(BATCH_BARS).build().unwrap();
    let rows: usize = batches.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, BARS);
}

fn read(path: &Path) {
    let mut reader = open(path, Format::of(path).unwrap(), None).unwrap();
    let mut rows = Vec::new();
    let mut count = 0;
    loop {
        reader.read(&mut rows).unwrap();
        if rows.is_empty() {
            break;
        }
        count += rows.iter().filter(|row| row.row.is_ok()).count();
    }
    assert_eq!(count, BARS);
}

fn store(folder: &Path, name: &str) -> SqliteStore {
    SqliteStore::open(&folder.join(name), SqliteOptions::default()).unwrap()
}

/// A store in a new file that takes the place of the one before.
fn new_store(folder: &Path) -> SqliteStore {
    for ending in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{ending}", folder.join("new").display()));
        let _ = std::fs::remove_file(path);
    }
    store(folder, "new")
}

fn import_file(folder: &Path, path: &Path) {
    let store = new_store(folder);
    let mut reader = open(path, Format::of(path).unwrap(), None).unwrap();
    let imported = block_on(import(&store, &series(), &mut *reader, &OPTIONS, |_| {})).unwrap();
    assert_eq!(imported.inserted, BARS as u64);
}

fn append(folder: &Path) {
    let store = new_store(folder);
    for bars in batches() {
        block_on(store.append_bars(series(), bars, 0)).unwrap();
    }
}

fn export_to(store: &SqliteStore, root: &Path, format: Format) {
    let request = ExportRequest {
        series: vec![series()],
        start_ms: None,
        end_ms: None,
        format,
        now_ms: 0,
    };
    let manifest = block_on(export(store, &request, root, |_| {})).unwrap();
    assert_eq!(manifest.rows, BARS as u64);
}
