//! `bulkhead bars`: bars in, out, over and again.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;

use bulkhead_store::{Bars, BarsQuery, Key, Series, Store as _, Write};
use futures::executor::block_on;
use serde_json::Value;

use crate::{Deployment, stderr, stdout};

const HEADER: &str = "timestamp,open,high,low,close,volume\n";
/// 2022-01-01.
const FIRST_MS: i64 = 1_640_995_200_000;
const MINUTE_MS: i64 = 60_000;

/// A row for each of the minutes after [`FIRST_MS`].
pub fn rows(minutes: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from(HEADER);
    for minute in minutes {
        let (open_ms, price) = (FIRST_MS + minute * MINUTE_MS, 46_000 + minute % 97);
        writeln!(
            text,
            "{open_ms},{price}.5,{price}.75,{price},{price}.25,{minute}.0625"
        )
        .unwrap();
    }
    text
}

/// Writes `bars.csv` and gives how it is imported.
pub fn write(deployment: &Deployment, text: &str) -> [&'static str; 7] {
    std::fs::write(deployment.path("bars.csv"), text).unwrap();
    [
        "bars",
        "import",
        "bars.csv",
        "--instrument",
        "btc-usdt",
        "--timeframe",
        "1m",
    ]
}

fn stored(deployment: &Deployment) -> Bars {
    let query = BarsQuery {
        series: Series::new("BTC-USDT", "1m").unwrap(),
        start_ms: None,
        end_ms: None,
        limit: 10_000,
        last: false,
    };
    block_on(deployment.store().read_bars(&query)).unwrap()
}

/// The checksums of an exported root, in the order of its manifest.
fn checksums(root: &Path) -> Vec<String> {
    let manifest = std::fs::read(root.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap().iter();
    files
        .map(|file| file["sha256"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn bars_come_in_go_out_and_come_in_again_bit_for_bit() {
    let (here, there) = (Deployment::untouched(), Deployment::untouched());
    let imported = here.json(&[&write(&here, &rows(0..3_000))[..], &["--json"]].concat());
    assert_eq!(imported["imported"][0]["inserted"], 3_000);
    for format in ["csv", "parquet"] {
        let root = here.path(format);
        let root_name = root.to_str().unwrap();
        let export = [
            "bars", "export", "--out", root_name, "--format", format, "--json",
        ];
        let exported = here.json(&export);
        // 3,000 minutes are two days and a bit.
        assert_eq!(
            (&exported["bars"], &exported["files"]),
            (&3_000.into(), &3.into())
        );
        let imported = there.json(&["bars", "import", root_name, "--json"]);
        assert_eq!(imported["imported"][0]["read_back"], 3_000);
        assert_eq!(stored(&there), stored(&here));
        let again = there.path(format);
        there.json(&[
            "bars",
            "export",
            "--out",
            again.to_str().unwrap(),
            "--format",
            format,
            "--json",
        ]);
        assert_eq!(checksums(&again), checksums(&root));
    }
}

#[test]
fn a_range_of_one_series_is_exported_alone() {
    let deployment = Deployment::untouched();
    deployment.json(&[&write(&deployment, &rows(0..3_000))[..], &["--json"]].concat());
    let exported = deployment.json(&[
        "bars",
        "export",
        "--out",
        "out",
        "--instrument",
        "BTC-USDT",
        "--from",
        "2022-01-01T23:00:00Z",
        "--to",
        "2022-01-02",
        "--json",
    ]);
    assert_eq!(exported["bars"], 60);
    let output = deployment.run(&[
        "bars",
        "export",
        "--out",
        "out2",
        "--instrument",
        "ETH-USDT",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("there are BTC-USDT 1m"),
        "{}",
        stderr(&output)
    );
    let output = deployment.run(&["bars", "export", "--out", "out"]);
    assert_eq!(output.status.code(), Some(1), "a root is not written over");
}

#[test]
fn a_bad_row_is_named_by_file_line_and_column_and_nothing_is_stored() {
    let deployment = Deployment::untouched();
    let text = rows(0..12_000) + "1641715200000,1,2,x,1,5\n";
    let import = write(&deployment, &text);
    let output = deployment.run(&import);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("bars.csv: line 12002, column 4 (`low`): `x`"),
        "{said}"
    );
    assert!(
        said.contains("hint:") && said.contains("--quarantine"),
        "{said}"
    );
    assert!(stored(&deployment).is_empty());
    let output = deployment.run(&[&import[..], &["--quarantine"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("left out: 1 malformed"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("line 12002, column 4"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_that_needs_rounding_says_which_and_is_then_taken() {
    let deployment = Deployment::untouched();
    let text = format!(
        "{HEADER}60000,46319,46319,46319,46319,218102.59507500002\n120000,46319,46319,46319,46319,134919000.5\n"
    );
    let import = write(&deployment, &text);
    let output = deployment.run(&import);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("`--round-to 8`"),
        "{}",
        stderr(&output)
    );
    let rounded = deployment.json(&[&import[..], &["--round-to", "8", "--json"]].concat());
    assert_eq!(rounded["imported"][0]["rounded_values"], 1);
    assert_eq!(
        stored(&deployment).volume,
        [218_102_595_075, 134_919_000_500_000]
    );
}

#[test]
fn an_export_that_was_changed_is_refused_before_anything_is_stored() {
    let (here, there) = (Deployment::untouched(), Deployment::untouched());
    here.json(&[&write(&here, &rows(0..10))[..], &["--json"]].concat());
    let root = here.path("out");
    here.json(&[
        "bars", "export", "--out", "out", "--format", "csv", "--json",
    ]);
    let file = root.join("symbol=BTC-USDT/timeframe=1m/date=2022-01-01/00000.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("46001.50", "46001.60")).unwrap();
    let output = there.run(&["bars", "import", root.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("its sha256 is"),
        "{}",
        stderr(&output)
    );
    assert!(stored(&there).is_empty());
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let deployment = Deployment::untouched();
    let import = write(&deployment, &rows(0..1));
    std::fs::write(deployment.path("bars.txt"), rows(0..1)).unwrap();
    let whose = &import[3..];
    for (arguments, says) in [
        (import[..3].to_vec(), "--instrument"),
        (
            [&["bars", "import", "bars.txt"][..], whose].concat(),
            "--format",
        ),
        ([&["bars", "import", "."][..], whose].concat(), "manifest"),
        (vec!["bars", "prune", "--as-of", "2999-01-01"], "future"),
        (vec!["bars", "prune", "--daily", "0"], "forever"),
        (vec!["bars", "gaps", "--from", "yesterday"], "2022-01-31"),
        (
            vec!["bars", "backfill", "--from", "2022-01-01"],
            "--instrument",
        ),
    ] {
        let output = deployment.run(&arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    assert!(!deployment.path("data").exists(), "nothing was opened");
}

#[test]
fn what_is_missing_is_listed_and_counted() {
    let deployment = Deployment::untouched();
    let minutes = (0..100).filter(|minute| ![7, 50, 51].contains(minute));
    deployment.json(&[&write(&deployment, &rows(minutes))[..], &["--json"]].concat());
    let list = deployment.json(&["bars", "list", "--json"]);
    let series = &list[0];
    assert_eq!(
        (&series["bars"], &series["missing_bars"], &series["gaps"]),
        (&97.into(), &3.into(), &2.into())
    );
    assert_eq!(series["is_stale"], true);
    let output = deployment.run(&["bars", "gaps"]);
    assert_eq!(
        stdout(&output),
        "BTC-USDT 1m  2022-01-01T00:07:00.000Z to 2022-01-01T00:07:00.000Z  1 missing\n\
         BTC-USDT 1m  2022-01-01T00:50:00.000Z to 2022-01-01T00:51:00.000Z  2 missing\n"
    );
    // 2022-01-01 was a Saturday.
    let weekdays = deployment.json(&["bars", "gaps", "--weekdays", "--json"]);
    assert_eq!(weekdays[0]["missing_bars"], 0);
}

#[test]
fn the_nights_of_a_stock_are_missing_only_where_no_source_knows_stocks() {
    let deployment = Deployment::untouched();
    // The last minute of Friday 2024-07-05 and the first of the Monday after it.
    let text = format!("{HEADER}1720209540000,1,1,1,1,1\n1720445400000,1,1,1,1,1\n");
    let mut import = write(&deployment, &text);
    import[4] = "spy";
    deployment.json(&[&import[..], &["--json"]].concat());
    for (venue, missing) in [("binance", 3_930), ("alpaca", 0)] {
        let variable = format!("market_data_venue={venue}");
        for command in ["list", "gaps"] {
            let found = deployment.json(&["--variable", &variable, "bars", command, "--json"]);
            assert_eq!(found[0]["missing_bars"], missing, "{venue} {command}");
        }
    }
}

#[test]
fn prune_deletes_what_a_dry_run_said() {
    let deployment = Deployment::untouched();
    deployment.json(&[&write(&deployment, &rows(0..3_000))[..], &["--json"]].concat());
    let prune = [
        "bars",
        "prune",
        "--keep",
        "1m=1",
        "--as-of",
        "2022-01-02T12:00:00Z",
        "--json",
    ];
    let planned = deployment.json(&[&prune[..], &["--dry-run"]].concat());
    assert_eq!(stored(&deployment).len(), 3_000);
    let pruned = deployment.json(&prune);
    assert_eq!(planned["series"], pruned["series"]);
    // What closed by noon of the first day is gone; the bar that covers the noon after is there.
    assert_eq!(pruned["series"][0]["bars"], 720);
    assert_eq!(
        stored(&deployment).open_time_ms[0],
        FIRST_MS + 720 * MINUTE_MS
    );
}

/// A venue that has a bar for each minute since [`FIRST_MS`], so many of a symbol, and nothing but klines. It ends with the test.
fn venue(listener: TcpListener, bars: impl Fn(&str) -> i64, close: i64) {
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
        let request = lines.next().unwrap().unwrap();
        // The rest of the head is none of its business.
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
        let parameter = |name: &str| {
            let mut parts = request.split(['?', '&', ' ']);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let bars = bars(parameter("symbol").unwrap());
        let start = parameter("startTime").map_or(FIRST_MS, |start| start.parse().unwrap());
        let first = ((start - FIRST_MS + MINUTE_MS - 1) / MINUTE_MS).max(0);
        let klines: Vec<String> = (first..bars.min(first + 1_000))
            .map(|minute| {
                let open_ms = FIRST_MS + minute * MINUTE_MS;
                format!(
                    r#"[{open_ms},"46000","46100","45000","{close}","1",{},"1",1,"1","1","0"]"#,
                    open_ms + 59_999
                )
            })
            .collect();
        let (status, body) = match bars {
            0.. => ("200 OK", format!("[{}]", klines.join(","))),
            _ => (
                "400 Bad Request",
                r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned(),
            ),
        };
        write!(
            connection,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
}

/// A deployment whose venue is one of those.
fn with_venue(bars: i64, close: i64) -> Deployment {
    with_venue_of(move |_| bars, close)
}

fn with_venue_of(bars: impl Fn(&str) -> i64 + Send + 'static, close: i64) -> Deployment {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut deployment = Deployment::new();
    deployment.paper = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || venue(listener, bars, close));
    deployment
}

#[test]
fn backfill_runs_the_stage_until_the_series_is_no_longer_behind() {
    // One run asks for ten pages of a thousand bars.
    let deployment = with_venue(12_500, 46_050);
    let filled = deployment.json(&["bars", "backfill", "--json"]);
    assert_eq!(filled["is_complete"], true);
    assert_eq!(filled["runs"], 2);
    assert_eq!(filled["series"][0]["inserted"], 12_500);
    let list = deployment.json(&["bars", "list", "--json"]);
    assert_eq!(
        (&list[0]["bars"], &list[0]["missing_bars"]),
        (&12_500.into(), &0.into())
    );
    let runs = deployment.json(&["runs", "--component", "ingest", "--json"]);
    assert_eq!(
        runs.as_array().unwrap().len(),
        2,
        "each run is in the journal"
    );
}

/// Plans the bars of these instruments, a minute each.
fn plan(deployment: &Deployment, instruments: &[String]) {
    let plan = serde_json::json!({
        "intraday_trades": {"symbols": instruments, "interval": "1m"},
    });
    let write = Write::Upsert {
        key: Key::new("ingest_plan", "current").unwrap(),
        body: plan.to_string(),
    };
    block_on(deployment.store().commit(vec![write], 0)).unwrap();
}

#[test]
fn backfill_of_more_series_than_a_record_names_goes_on_until_the_last_one_is_whole() {
    let names: Vec<String> = (10..90).map(|number| format!("A{number}-USDT")).collect();
    let bars = |symbol: &str| if symbol == "A89USDT" { 12_500 } else { 3 };
    let deployment = with_venue_of(bars, 46_050);
    plan(&deployment, &names);
    let filled = deployment.json(&["bars", "backfill", "--json"]);
    assert_eq!(
        (&filled["is_complete"], &filled["runs"]),
        (&true.into(), &2.into())
    );
    let list = deployment.json(&["bars", "list", "--json"]);
    let bars: Vec<i64> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["bars"].as_i64().unwrap())
        .collect();
    assert_eq!((bars.len(), bars[0], bars[79]), (80, 3, 12_500));
}

#[test]
fn backfill_with_a_series_that_no_source_gives_is_no_success() {
    let bars = |symbol: &str| if symbol == "NONEUSDT" { -1 } else { 3 };
    let deployment = with_venue_of(bars, 46_050);
    plan(&deployment, &["A-USDT".to_owned(), "NONE-USDT".to_owned()]);
    let output = deployment.run(&["bars", "backfill", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("series_failed") && said.contains("NONEUSDT"),
        "{said}"
    );
    let filled: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(filled["is_complete"], false);
}

#[test]
fn backfill_of_a_range_of_more_bars_than_a_run_asks_for_goes_on_where_the_last_run_came_to() {
    let deployment = with_venue(25_000, 46_050);
    let filled = deployment.json(&[
        "bars",
        "backfill",
        "--instrument",
        "BTC-USDT",
        "--from",
        "2022-01-01",
        "--to",
        "2022-01-15",
        "--json",
    ]);
    assert_eq!(
        (&filled["is_complete"], &filled["series"][0]["inserted"]),
        (&true.into(), &(14 * 1_440).into()),
        "{filled}"
    );
}

#[test]
fn backfill_asks_for_a_range_again_and_leaves_what_is_outside_it() {
    let deployment = with_venue(3_000, 46_099);
    let import = write(
        &deployment,
        &rows((0..3_000).filter(|minute| *minute != 1_500)),
    );
    deployment.json(&[&import[..], &["--json"]].concat());
    let before = stored(&deployment);
    let filled = deployment.json(&[
        "bars",
        "backfill",
        "--instrument",
        "BTC-USDT",
        "--from",
        "2022-01-02",
        "--to",
        "2022-01-02T02:00:00Z",
        "--json",
    ]);
    let series = &filled["series"][0];
    assert_eq!(
        (&series["inserted"], &series["updated"]),
        (&1.into(), &119.into()),
        "{filled}"
    );
    let after = stored(&deployment);
    assert_eq!(after.len(), 3_000);
    let of = |bars: &Bars, minute: i64| {
        let at = bars
            .open_time_ms
            .iter()
            .position(|open| *open == FIRST_MS + minute * MINUTE_MS);
        at.map(|at| bars.close[at])
    };
    assert_eq!(of(&before, 1_500), None);
    assert_eq!(
        of(&after, 1_500),
        Some(460_990_000 / 10_i64.pow(4 - u32::from(after.price_scale)))
    );
    for outside in [0, 1_439, 1_560, 2_999] {
        assert_eq!(of(&after, outside), of(&before, outside), "{outside}");
    }
}

#[test]
fn backfill_asks_for_a_range_again_however_fresh_its_series_is_and_whatever_is_planned() {
    let deployment = with_venue(3_000, 46_099);
    let import = write(&deployment, &rows(0..3_000));
    deployment.json(&[&import[..], &["--json"]].concat());
    // No bar of it is due before the year 2100, and another instrument is planned.
    let documents = [
        (
            "ingest/series",
            "intraday_trades",
            r#"{"dimension":"intraday_trades","timeframe":"1m","graded_at_ms":0,"symbols":{"BTC-USDT":{"status":"ok","newest_open_time_ms":4102444800000}}}"#,
        ),
        (
            "ingest_plan",
            "current",
            r#"{"intraday_trades":{"symbols":["ETH-USDT"],"interval":"1m"}}"#,
        ),
    ];
    let writes = documents.map(|(collection, id, body)| Write::Upsert {
        key: Key::new(collection, id).unwrap(),
        body: body.to_owned(),
    });
    block_on(deployment.store().commit(writes.to_vec(), 0)).unwrap();
    let filled = deployment.json(&[
        "bars",
        "backfill",
        "--instrument",
        "BTC-USDT",
        "--from",
        "2022-01-02",
        "--to",
        "2022-01-02T02:00:00Z",
        "--json",
    ]);
    assert_eq!(filled["series"][0]["instrument"], "BTC-USDT", "{filled}");
    assert_eq!(filled["series"][0]["updated"], 120, "{filled}");
    assert_eq!(stored(&deployment).len(), 3_000);
    for (collection, id, body) in documents {
        let key = Key::new(collection, id).unwrap();
        let found = block_on(deployment.store().get(&key)).unwrap().unwrap();
        assert_eq!((found.revision, found.body.as_str()), (1, body));
    }
}

#[test]
fn a_range_of_which_no_bar_comes_is_no_success() {
    let deployment = with_venue(3_000, 46_099);
    let output = deployment.run(&[
        "bars",
        "backfill",
        "--instrument",
        "BTC-USDT",
        "--from",
        "2023-01-01",
        "--to",
        "2023-01-02",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

#[test]
fn a_venue_that_is_not_there_ends_the_backfill_and_says_so() {
    let deployment = Deployment::new();
    let output = deployment.run(&["bars", "backfill"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("all_sources_failed"),
        "{}",
        stderr(&output)
    );
}
