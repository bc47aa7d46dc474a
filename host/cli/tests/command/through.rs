//! A whole bar file comes through the paper venue, the sandbox and the store, by REST and by websocket, whatever goes wrong on
//! the way: what is stored in the end is the file, bar for bar.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use bulkhead_paper::demo;
use bulkhead_store::{Bars, BarsQuery, Query, Series, SqliteStore, Store as _};
use futures::executor::block_on;
use serde_json::Value;

use crate::{Deployment, stderr, stdout};

/// Bars of the file: two whole pages of klines and a part of one.
const BARS: usize = 2_500;
/// Another seed than the demo's.
const SEED: u64 = 7;
/// More than one page of a feed's journal is never written here.
const JOURNAL_PAGE: usize = 500;

fn file() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| demo::generate(SEED, BARS))
}

/// Every stored bar of a series.
fn stored(store: &SqliteStore, instrument: &str) -> Bars {
    let mut query = BarsQuery {
        series: Series::new(instrument, "1m").unwrap(),
        start_ms: None,
        end_ms: None,
        limit: bulkhead_store::MAX_READ_LIMIT,
        last: false,
    };
    let mut all = block_on(store.read_bars(&query)).unwrap();
    while let Some(last_ms) = all.open_time_ms.last() {
        query.start_ms = Some(last_ms + 1);
        let page = block_on(store.read_bars(&query)).unwrap();
        if page.open_time_ms.is_empty() {
            break;
        }
        assert_eq!(page.price_scale, all.price_scale);
        assert_eq!(page.volume_scale, all.volume_scale);
        all.open_time_ms.extend(page.open_time_ms);
        all.open.extend(page.open);
        all.high.extend(page.high);
        all.low.extend(page.low);
        all.close.extend(page.close);
        all.volume.extend(page.volume);
    }
    all
}

/// The bars of the file as an import stores them.
fn imported() -> &'static Bars {
    static IMPORTED: OnceLock<Bars> = OnceLock::new();
    IMPORTED.get_or_init(|| {
        let deployment = with_file();
        let of = ["--instrument", "BTC-USDT", "--timeframe", "1m"];
        let output = deployment.run(&[&["bars", "import", "bars.csv"], &of[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let bars = stored(&deployment.store(), "BTC-USDT");
        assert_eq!(bars.open_time_ms.len(), BARS);
        bars
    })
}

fn with_file() -> Deployment {
    let deployment = Deployment::new();
    std::fs::write(deployment.path("bars.csv"), file()).unwrap();
    deployment
}

/// `up` with variables.
fn up(deployment: &Deployment, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = deployment.up(arguments);
    for (name, value) in variables {
        command.env(format!("SPIN_VARIABLE_{name}"), value);
    }
    command.output().unwrap()
}

/// How many replays run at once: each waits most of the time.
const AT_ONCE: usize = 3;

/// Checks all cases, several at a time.
fn check_each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    imported();
    for some in cases.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            for case in some {
                let check = &check;
                scope.spawn(move || check(case));
            }
        });
    }
}

const WHOLE: [&str; 3] = ["--speed", "max", "--exit-when-replayed"];

/// The variables that make a source and a feed of the replay as Alpaca.
const ALPACA: [(&str, &str); 5] = [
    ("MARKET_DATA_VENUE", "alpaca"),
    ("MARKET_DATA_FEED_VENUE", "alpaca"),
    ("MARKET_DATA_FEED_PATH", "/v1beta3/crypto/us"),
    ("ALPACA_KEY_ID", "key"),
    ("ALPACA_SECRET_KEY", "secret"),
];

/// What `faults` do, the bars of the file are stored in the end. `feed`: `0` by REST alone, `1` by websocket as well.
fn check(faults: &str, feed: &str) -> Deployment {
    check_with(&[], faults, feed)
}

fn check_with(venue: &[(&str, &str)], faults: &str, feed: &str) -> Deployment {
    let deployment = with_file();
    let arguments = ["--bars", "bars.csv", "--fault", faults];
    let url = format!("ws://{}", deployment.paper);
    let feed = [
        ("MARKET_DATA_FEED_ENABLED", feed),
        ("MARKET_DATA_FEED_URL", &url),
    ];
    let variables = [venue, &feed].concat();
    let output = up(&deployment, &[&WHOLE[..], &arguments].concat(), &variables);
    let said = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{faults}: {said:?}");
    assert!(said.0.contains(" 0 failed"), "{faults}: {said:?}");
    assert!(
        stored(&deployment.store(), "BTC-USDT") == *imported(),
        "{faults}: other bars are stored than the file has: {said:?}"
    );
    deployment
}

/// How many closed bars the feed brought, those that were there already included.
fn bars_of_the_feed(deployment: &Deployment) -> u64 {
    let store = deployment.store();
    let page = block_on(store.list(&Query::all("ingest/feed_journal"))).unwrap();
    assert!(page.documents.len() < JOURNAL_PAGE);
    let batches = page.documents.iter();
    let bars = batches.map(|batch| {
        let batch: Value = serde_json::from_str(&batch.body).unwrap();
        batch["bars"].as_u64().unwrap()
    });
    bars.sum()
}

#[test]
fn by_rest_every_bar_of_the_file_is_stored_whatever_goes_wrong() {
    let faults = [
        "",
        "429=2@klines:2",
        "503@klines:2",
        "slow=300@klines:2",
        "cut@klines:2",
        "malformed@klines:2",
        "gap@klines:1-2",
        "duplicate@klines:2",
        "out-of-order@klines:2-3",
    ];
    check_each(&faults, |faults| {
        check(faults, "0");
    });
}

#[test]
fn by_websocket_alone_every_bar_of_the_file_is_stored() {
    let deployment = check("503@klines", "1");
    assert_eq!(bars_of_the_feed(&deployment), BARS as u64);
}

#[test]
fn by_websocket_every_bar_of_the_file_is_stored_whatever_goes_wrong_and_rest_fills_the_gaps() {
    // REST begins to answer when most has come by websocket.
    let cases = [
        ("cut@stream:20000", BARS),
        ("503@connect:1", BARS),
        ("slow=200@stream:1000", BARS),
        // The fifth message of a bar closes it.
        ("gap@btcusdt@kline_1m:500", BARS - 1),
        ("gap@btcusdt@kline_1m:5000-5009", BARS - 2),
        ("malformed@btcusdt@kline_1m:500", BARS - 1),
        ("duplicate@btcusdt@kline_1m:500", BARS),
        ("out-of-order@btcusdt@kline_1m:500", BARS),
        ("out-of-order@btcusdt@kline_1m:12500", BARS),
    ];
    check_each(&cases, |(faults, least)| {
        let deployment = check(&format!("503@klines:1-4,{faults}"), "1");
        let brought = bars_of_the_feed(&deployment);
        assert!(brought >= *least as u64, "{faults}: {brought}");
    });
}

#[test]
fn from_alpaca_every_bar_of_the_file_is_stored_by_rest_and_by_websocket_alone() {
    let cases = [
        ("", "0"),
        ("429=2@bars:1", "0"),
        ("malformed@bars:1", "0"),
        ("out-of-order@bars:1", "0"),
        ("503@bars", "1"),
    ];
    check_each(&cases, |(faults, feed)| {
        let deployment = check_with(&ALPACA, faults, feed);
        if *feed == "1" {
            assert_eq!(bars_of_the_feed(&deployment), BARS as u64);
        }
    });
}

#[test]
fn what_was_exported_as_parquet_is_replayed() {
    let exporter = Deployment::new();
    // Less than a day, so that the export has one file.
    std::fs::write(exporter.path("bars.csv"), demo::generate(SEED, 1_000)).unwrap();
    let of = ["--instrument", "BTC-USDT", "--timeframe", "1m"];
    let imported = exporter.run(&[&["bars", "import", "bars.csv"], &of[..]].concat());
    assert!(imported.status.success(), "{}", stderr(&imported));
    let exported = exporter.run(&["bars", "export", "--out", "export"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    let file = parquet_in(&exporter.path("export"));
    let deployment = Deployment::new();
    std::fs::copy(file, deployment.path("bars.parquet")).unwrap();
    let arguments = [&WHOLE[..], &["--bars", "bars.parquet"]].concat();
    let output = up(&deployment, &arguments, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let [before, after] = [&exporter, &deployment].map(|it| stored(&it.store(), "BTC-USDT"));
    assert_eq!(before.open_time_ms.len(), 1_000);
    assert!(before == after);

    std::fs::write(deployment.path("bars.parquet"), "no Parquet").unwrap();
    let output = up(&deployment, &arguments, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("replaying bars.parquet failed"), "{said}");
}

/// The only Parquet file below a folder.
fn parquet_in(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut found = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "parquet") {
                found.push(path);
            }
        }
    }
    let [file] = <[PathBuf; 1]>::try_from(found).unwrap();
    file
}

#[test]
fn several_files_and_dated_events_are_replayed_side_by_side() {
    let deployment = with_file();
    std::fs::write(deployment.path("eth.csv"), demo::generate(SEED + 1, 1_200)).unwrap();
    let events = "time,name,country,importance\n2024-01-01T13:30:00Z,CPI y/y,US,high\n";
    std::fs::write(deployment.path("events.csv"), events).unwrap();
    let url = format!("http://{}", deployment.paper);
    let files = [
        "--bars",
        "BTC-USDT=bars.csv",
        "--bars",
        "ETH-USDT:1m=eth.csv",
    ];
    let arguments = [&WHOLE[..], &files, &["--macro-events", "events.csv"]].concat();
    let variables = [
        ("INSTRUMENTS", "BTC-USDT,ETH-USDT"),
        ("MACRO_EVENTS_ENABLED", "1"),
        ("MACRO_EVENTS_URL", &url),
    ];
    let output = up(&deployment, &arguments, &variables);
    assert!(output.status.success(), "{}", stderr(&output));
    let store = deployment.store();
    assert!(stored(&store, "BTC-USDT") == *imported());
    assert_eq!(stored(&store, "ETH-USDT").open_time_ms.len(), 1_200);
    let key = bulkhead_store::Key::new("macro_events", "current").unwrap();
    let document = block_on(store.get(&key)).unwrap().unwrap();
    assert!(document.body.contains("CPI y/y"), "{}", document.body);
}

#[test]
fn what_cannot_be_replayed_is_refused_with_what_to_do() {
    let deployment = with_file();
    let two = "BTC-USDT,ETH-USDT";
    let one = "BTC-USDT";
    let of_5m = ["--bars", "BTC-USDT:5m=bars.csv", "--exit-when-replayed"];
    let cases: [(&str, &[&str], i32, &str); 6] = [
        (
            two,
            &["--bars", "bars.csv"],
            1,
            "--bars INSTRUMENT=bars.csv",
        ),
        (
            two,
            &["--bars", "BTC-USDT=bars.csv"],
            1,
            "--bars ETH-USDT=FILE",
        ),
        (two, &[], 1, "--bars INSTRUMENT=FILE"),
        (one, &of_5m, 2, "timeframe=5m"),
        (
            one,
            &["--macro-events", "events.csv"],
            2,
            "macro_events_enabled=1",
        ),
        (one, &["--fault", "explode@klines"], 2, "malformed"),
    ];
    for (instruments, arguments, status, text) in cases {
        let output = up(&deployment, arguments, &[("INSTRUMENTS", instruments)]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
    }
}
