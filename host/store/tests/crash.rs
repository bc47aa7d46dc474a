//! A process that is killed loses no commit that it was told is durable, and leaves no half of one.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulkhead_store::{Key, Query, SqliteOptions, SqliteStore, Store as _, Write};
use futures::executor::block_on;
use futures::stream::{FuturesUnordered, StreamExt as _};

/// Names the store to the child. Without it, the child's test has nothing to do.
const STORE: &str = "BULKHEAD_CRASH_TEST_STORE";
/// Names the first number to commit.
const FIRST: &str = "BULKHEAD_CRASH_TEST_FIRST";
/// Commits that the child has under way at once, so that it dies amid groups of them.
const CONCURRENT: usize = 8;
/// Where the child ends by itself, should nobody kill it.
const MAX_COMMITS: u64 = 200_000;
/// Acknowledgements read before each kill: right after opening, amid work, and past a checkpoint of the log.
const KILL_AFTER: [u64; 10] = [0, 1, 2, 3, 9, 30, 77, 150, 400, 1500];

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

/// Both documents of commit `number`.
fn pair(number: u64) -> Vec<Write> {
    ["left", "right"]
        .map(|collection| Write::Create {
            key: Key::new(collection, format!("{number:09}")).unwrap(),
            body: format!(
                "{{\"number\":{number},\"filling\":\"{}\"}}",
                "x".repeat(700)
            ),
        })
        .into()
}

#[test]
fn the_child_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = open(Path::new(&path));
    let store = &store;
    let commit = |number| async move {
        store.commit(pair(number), 0).await.unwrap();
        number
    };
    block_on(async {
        let mut numbers = first..first + MAX_COMMITS;
        let mut under_way: FuturesUnordered<_> =
            numbers.by_ref().take(CONCURRENT).map(commit).collect();
        let mut stdout = std::io::stdout();
        while let Some(number) = under_way.next().await {
            writeln!(stdout, "\nacknowledged {number}").unwrap();
            stdout.flush().unwrap();
            under_way.extend(numbers.next().map(commit));
        }
    });
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

/// Starts the child, kills it after `kill_after` acknowledgements, and gives every number that it acknowledged.
fn commit_and_kill(path: &Path, first: u64, kill_after: u64) -> BTreeSet<u64> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_commits_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut acknowledged = BTreeSet::new();
    if kill_after == 0 {
        child.0.kill().unwrap();
    }
    // What it had written before it died counts too: an acknowledgement is one, whoever reads it when.
    for line in stdout.lines() {
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("acknowledged ") else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        acknowledged.insert(number);
        if acknowledged.len() as u64 == kill_after {
            child.0.kill().unwrap();
        }
    }
    let status = child.0.wait().unwrap();
    assert!(!status.success(), "the child ended by itself");
    assert!(acknowledged.len() as u64 >= kill_after);
    acknowledged
}

fn numbers(store: &SqliteStore, collection: &str) -> BTreeSet<u64> {
    let mut query = Query::all(collection);
    let mut found = BTreeSet::new();
    loop {
        let page = block_on(store.list(&query)).unwrap();
        found.extend(
            page.documents
                .iter()
                .map(|document| document.key.id.parse::<u64>().unwrap()),
        );
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return found,
        }
    }
}

#[test]
fn no_acknowledged_commit_is_lost_and_none_is_halved_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut acknowledged = BTreeSet::new();
    let mut first = 0;
    for kill_after in KILL_AFTER {
        acknowledged.extend(commit_and_kill(&path, first, kill_after));

        let store = open(&path);
        let left = numbers(&store, "left");
        assert_eq!(left, numbers(&store, "right"), "after {kill_after}");
        let lost: Vec<_> = acknowledged.difference(&left).collect();
        assert!(lost.is_empty(), "after {kill_after}: lost {lost:?}");
        assert_eq!(block_on(store.count("left")).unwrap(), left.len() as u64);
        let switch = Key::new("ops", "execution_kill_switch").unwrap();
        assert!(block_on(store.get(&switch)).unwrap().is_some());
        drop(store);

        let check: String = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "after {kill_after}");
        first = left.last().map_or(0, |last| last + 1);
    }
    assert!(acknowledged.len() as u64 >= KILL_AFTER.iter().sum());
}
