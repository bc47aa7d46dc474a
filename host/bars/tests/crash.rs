//! An import that is killed leaves whole batches behind, and the same import, run again, ends as if nothing had happened.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulkhead_bars::{
    BATCH_BARS, BadRows, BarFile, FileProgress, Format, ImportOptions, Imported, import_file,
};
use bulkhead_store::{Bars, BarsQuery, MAX_READ_LIMIT, Series, SqliteOptions, SqliteStore, Store};
use futures::executor::block_on;

/// Names the folder to the child. Without it, the child's test has nothing to do.
const FOLDER: &str = "BULKHEAD_CRASH_TEST_FOLDER";
/// Rows of the file: seven batches and a half.
const ROWS: usize = 7 * BATCH_BARS + BATCH_BARS / 2;
/// Batches that are acknowledged before each kill: while the file is being checked, and amid the batches.
const KILL_AFTER: [u64; 5] = [0, 1, 2, 4, 6];

fn series() -> Series {
    Series::new("BTC-USDT", "1m").unwrap()
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

/// Imports the folder's file into the folder's store, and tells of each batch that is stored.
fn import(folder: &Path, mut on_batch: impl FnMut(u64)) -> Imported {
    let file = folder.join("bars.csv");
    let options = ImportOptions {
        now_ms: i64::MAX,
        bad_rows: BadRows::Refuse,
        max_jump: None,
    };
    let store = open(&folder.join("state.db"));
    let file = BarFile {
        path: &file,
        format: Format::Csv,
        round_to: None,
    };
    let mut batches = 0;
    block_on(import_file(
        &store,
        &series(),
        &file,
        &options,
        |progress| {
            if let FileProgress::Stored { .. } = progress {
                batches += 1;
                on_batch(batches);
            }
        },
    ))
    .unwrap()
}

fn write_file(folder: &Path) {
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    for row in 0..ROWS {
        let (price, volume) = (46_000 + row % 977, row % 8_191);
        writeln!(
            text,
            "{},{price}.5,{price}.75,{price},{price}.25,{volume}.125",
            row * 60_000
        )
        .unwrap();
    }
    std::fs::write(folder.join("bars.csv"), text).unwrap();
}

#[test]
fn the_child_imports_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut stdout = std::io::stdout();
    import(Path::new(&folder), |batches| {
        writeln!(stdout, "\nstored {batches}").unwrap();
        stdout.flush().unwrap();
    });
    // It waits to be killed, however late that comes.
    writeln!(stdout, "\nstored all").unwrap();
    stdout.flush().unwrap();
    std::io::stdin().lines().for_each(drop);
}

/// Kills the child also where the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the child, kills it after so many batches, and gives how many it had told of.
fn import_and_kill(folder: &Path, kill_after: u64) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_imports_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut told = 0;
    if kill_after == 0 {
        child.0.kill().unwrap();
    }
    // What it had written before it died counts too.
    for line in stdout.lines() {
        let line = line.unwrap();
        let Some(batches) = line.strip_prefix("stored ") else {
            continue;
        };
        let Ok(batches) = batches.parse() else {
            continue;
        };
        told = batches;
        if told == kill_after {
            child.0.kill().unwrap();
        }
    }
    assert!(
        !child.0.wait().unwrap().success(),
        "the child ended by itself"
    );
    assert!(told >= kill_after);
    told
}

/// Every bar of the store, a page at a time.
fn pages(store: &SqliteStore) -> Vec<Bars> {
    let mut query = BarsQuery {
        series: series(),
        start_ms: None,
        end_ms: None,
        limit: MAX_READ_LIMIT,
        last: false,
    };
    let mut pages = Vec::new();
    loop {
        let page = block_on(store.read_bars(&query)).unwrap();
        let Some(last) = page.open_time_ms.last() else {
            return pages;
        };
        query.start_ms = Some(last + 1);
        pages.push(page);
    }
}

#[test]
fn an_import_that_is_killed_and_run_again_ends_with_identical_bars() {
    let (undisturbed, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_file(undisturbed.path());
    write_file(killed.path());
    assert_eq!(import(undisturbed.path(), |_| {}).inserted, ROWS as u64);
    let expect = pages(&open(&undisturbed.path().join("state.db")));

    let path = killed.path().join("state.db");
    for kill_after in KILL_AFTER {
        let told = import_and_kill(killed.path(), kill_after);
        let store = open(&path);
        let found = pages(&store);
        // Each page is a batch: what is there is a beginning of the file, in whole batches, with all that was told of.
        assert!(found.len() as u64 >= told, "after {kill_after}");
        assert_eq!(found, expect[..found.len()], "after {kill_after}");
        let count: usize = found.iter().map(Bars::len).sum();
        let listed = block_on(store.series()).unwrap();
        let listed = listed.first().map_or(0, |summary| summary.count);
        assert_eq!(listed, count as u64, "after {kill_after}");
        drop(store);
        let check: String = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "after {kill_after}");
    }
    let imported = import(killed.path(), |_| {});
    assert_eq!(imported.rows, ROWS as u64);
    assert_eq!(imported.updated, 0);
    assert_eq!(pages(&open(&path)), expect);
}
