//! What bars in files cost, in one process and in one table, each figure against a floor measured beside it:
//! `cargo bench -p bulkhead-bars`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![allow(clippy::disallowed_methods, reason = "a bench is what reads the time")]

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_schema::{DataType, Field, Schema};
use bulkhead_bars::csv::CsvWriter;
use bulkhead_bars::parquet::ParquetWriter;
use bulkhead_bars::{
    BATCH_BARS, BadRows, BarFile, ExportRequest, Format, GapsQuery, ImportOptions, export, gaps,
    import_file, import_root, open, overview, read_back, verify,
};
use bulkhead_kernel::calendar::Calendar;
use bulkhead_store::{
    Bars, BarsQuery, RetentionPolicy, Series, SqliteOptions, SqliteStore, Store as _,
    apply_retention,
};
use futures::executor::block_on;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const BARS: usize = 1_000_000;
/// Series of the second part, and the bars that each is asked for.
const MANY_SERIES: usize = 500;
const LAST_BARS: usize = 1_000;
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
    println!("| figure | median | bars/s | against |\n|---|---:|---:|---|");
    files(folder.path());
    one_long_series(folder.path());
    many_series(folder.path());
}

/// What is read from a file, and put into a new store.
fn files(folder: &Path) {
    for format in [Format::Csv, Format::Parquet] {
        let path = folder.join(format!("bars.{format}"));
        write(&path, format);
        let floor = figure(
            &format!("{format}: read the batches, `arrow`"),
            BARS,
            None,
            || match format {
                Format::Csv => read_csv_with_arrow(&path),
                Format::Parquet => read_parquet(&path),
            },
        );
        if format == Format::Csv {
            figure("csv: read the records, `csv`", BARS, Some(floor), || {
                read_csv(&path)
            });
        }
        figure(
            &format!("{format}: read the rows"),
            BARS,
            Some(floor),
            || read(&path),
        );
        figure(
            &format!("{format}: import into a new store"),
            BARS,
            Some(floor),
            || {
                let store = new_store(folder);
                assert_eq!(import_into(&store, &path), BARS as u64);
            },
        );
        let kept = kept_store(folder);
        import_into(&kept, &path);
        figure(
            &format!("{format}: import what is there already"),
            BARS,
            Some(floor),
            || {
                assert_eq!(import_into(&kept, &path), 0);
            },
        );
    }
}

/// What is done with a series of a million bars.
fn one_long_series(folder: &Path) {
    let append_floor = figure(
        "append the bars to a new store, nothing read",
        BARS,
        None,
        || {
            append(folder);
        },
    );
    let kept = kept_store(folder);
    for format in [Format::Csv, Format::Parquet] {
        let root = folder.join(format!("root-{format}"));
        figure(
            &format!("{format}: export, a file a day"),
            BARS,
            None,
            || {
                let _ = std::fs::remove_dir_all(&root);
                export_to(&kept, &root, format);
            },
        );
        figure(&format!("{format}: verify the export"), BARS, None, || {
            verify(&root).unwrap();
        });
        let verify_and_import = format!("{format}: verify and import the export");
        figure(&verify_and_import, BARS, Some(append_floor), || {
            let store = new_store(folder);
            block_on(import_root(&store, &root, &OPTIONS, |_| {})).unwrap();
        });
        let manifest = verify(&root).unwrap();
        figure(
            &format!("{format}: read the export back"),
            BARS,
            None,
            || {
                block_on(read_back(&kept, &root, &manifest)).unwrap();
            },
        );
    }
    figure("look for gaps", BARS, None, || {
        let query = GapsQuery {
            series: series(),
            timeframe: "1m".parse().unwrap(),
            calendar: Calendar::AroundTheClock,
            start_ms: None,
            end_ms: None,
        };
        assert_eq!(block_on(gaps(&kept, &query, |_| true)).unwrap().count, 0);
    });
    drop(kept);
    let path = folder.join("kept");
    figure("delete all of them, in batches", BARS, None, || {
        let store = copy_of(folder, &path);
        let policy = RetentionPolicy::default();
        let now_ms = FIRST_MS + 10_000 * 86_400_000;
        let pruned = apply_retention(&store, &policy, now_ms, |_| true, 1_000, |_| {});
        assert_eq!(block_on(pruned).unwrap()[0].deleted, BARS as u64);
    });
}

/// What a signal stage asks for: the last bars of each of many series.
fn many_series(folder: &Path) {
    const ALL: usize = MANY_SERIES * LAST_BARS;
    let path = folder.join("many");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    let all: Vec<Series> = (0..MANY_SERIES)
        .map(|number| Series::new(format!("S{number:03}-USD"), "1m").unwrap())
        .collect();
    // Ten times as many as are asked for: a history to find the end of.
    for series in &all {
        let bars = batches().next().unwrap();
        block_on(store.append_bars(series.clone(), bars, 0)).unwrap();
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    let floor = figure("500 × 1,000 bars: bare SQLite", ALL, None, || {
        let rows: usize = (1..)
            .map(|id| select(&connection, id))
            .take(MANY_SERIES)
            .sum();
        assert_eq!(rows, ALL);
    });
    figure("500 × 1,000 bars: `read_bars`", ALL, Some(floor), || {
        for series in &all {
            let query = BarsQuery {
                series: series.clone(),
                start_ms: None,
                end_ms: None,
                limit: u32::try_from(LAST_BARS).unwrap(),
                last: true,
            };
            assert_eq!(block_on(store.read_bars(&query)).unwrap().len(), LAST_BARS);
        }
    });
    figure(
        "list 500 series of 10,000 bars",
        MANY_SERIES * BATCH_BARS,
        None,
        || {
            assert_eq!(
                block_on(overview(&store, |_| Calendar::AroundTheClock, 0))
                    .unwrap()
                    .len(),
                MANY_SERIES
            );
        },
    );
}

/// The last bars of a series into six columns, as plainly as it can be done.
fn select(connection: &rusqlite::Connection, series_id: i64) -> usize {
    let mut statement = connection
        .prepare_cached(
            "SELECT open_time_ms, open, high, low, close, volume FROM bars
             WHERE series_id = ?1 ORDER BY open_time_ms DESC LIMIT ?2",
        )
        .unwrap();
    let mut rows = statement
        .query([series_id, i64::try_from(LAST_BARS).unwrap()])
        .unwrap();
    let mut columns: [Vec<i64>; 6] = std::array::from_fn(|_| Vec::with_capacity(LAST_BARS));
    while let Some(row) = rows.next().unwrap() {
        for (at, column) in columns.iter_mut().enumerate() {
            column.push(row.get(at).unwrap());
        }
    }
    columns.iter_mut().for_each(|column| column.reverse());
    std::hint::black_box(&columns)[0].len()
}

/// Prints one row: the middle time, and how many times longer that is than the floor.
fn figure(name: &str, bars: usize, floor: Option<Duration>, mut work: impl FnMut()) -> Duration {
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
        bars as f64 / seconds / 1e3
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

/// The same types that the Parquet file has.
fn read_csv_with_arrow(path: &Path) {
    let decimal = |name: &str, scale| Field::new(name, DataType::Decimal128(38, scale), false);
    let schema = Schema::new(vec![
        Field::new(
            "timestamp",
            DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None),
            false,
        ),
        decimal("open", 2),
        decimal("high", 2),
        decimal("low", 2),
        decimal("close", 2),
        decimal("volume", 4),
    ]);
    let batches = arrow_csv::ReaderBuilder::new(schema.into())
        .with_header(true)
        .with_batch_size(BATCH_BARS)
        .build(File::open(path).unwrap())
        .unwrap();
    let rows: usize = batches.map(|batch| batch.unwrap().num_rows()).sum();
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

/// The store that figures share.
fn kept_store(folder: &Path) -> SqliteStore {
    store(folder, "kept")
}

/// A store in a copy of a closed one's file.
fn copy_of(folder: &Path, path: &Path) -> SqliteStore {
    drop(new_store(folder));
    std::fs::copy(path, folder.join("new")).unwrap();
    store(folder, "new")
}

/// As the command does: the file is read whole first. Gives how many bars were new.
fn import_into(store: &SqliteStore, path: &Path) -> u64 {
    let file = BarFile {
        path,
        format: Format::of(path).unwrap(),
        round_to: None,
    };
    let series = series();
    let imported = import_file(store, &series, &file, &OPTIONS, |_| {});
    block_on(imported).unwrap().inserted
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
