//! `bulkhead drill`: rehearsals, and how they are graded.

use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;

use bulkhead_paper::{BarFile, Replay, Series, Venue, VirtualClock, demo, serve};
use bulkhead_store::{Key, Store as _};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::bars::{rows, write};
use crate::{Deployment, stderr, stdout};

fn with_bars() -> Deployment {
    let deployment = Deployment::untouched();
    let output = deployment.run(&write(&deployment, &rows(0..2_000)));
    assert!(output.status.success(), "{}", stderr(&output));
    deployment
}

#[test]
fn an_export_stress_drill_grades_each_cycle() {
    let deployment = with_bars();
    let output = deployment.run(&["drill", "export-stress", "--cycles", "2", "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.starts_with("**telemetry.ingest.spark_stress: OK**"),
        "{said}"
    );
    assert!(said.contains("| cycle 2 | OK | in good time |"), "{said}");
    let graded = deployment.json(&["drill", "export-stress", "--cycles", "1", "--json"]);
    assert_eq!(graded["status"], "ok");
}

#[test]
fn a_cycle_that_takes_too_long_fails_the_drill_with_exit_status_1() {
    let deployment = with_bars();
    let output = deployment.run(&[
        "drill",
        "export-stress",
        "--cycles",
        "1",
        "--fail-after",
        "0.000000001",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let graded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(graded["status"], "fail");
}

#[test]
fn a_drill_without_bars_says_what_to_do() {
    let deployment = Deployment::untouched();
    drop(deployment.store());
    let output = deployment.run(&["drill", "export-stress"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("bulkhead bars import"),
        "{}",
        stderr(&output)
    );
}

/// A paper venue that serves the demo, until the test's process ends. Where it listens.
fn paper() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    let file = BarFile::parse(demo::FILE.as_bytes()).unwrap();
    let series = Series::new(&file.bars, "BTC-USDT", "1m".parse().unwrap()).unwrap();
    let replay = Replay::of(vec![series], VirtualClock::immediate()).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve(
                listener,
                Venue::new(Arc::new(replay)),
                std::future::pending(),
            )
            .await;
        });
    });
    address
}

/// A deployment that has brought in the demo from its first source.
fn with_demo() -> Deployment {
    let mut deployment = Deployment::new();
    deployment.paper = paper();
    let invoked = deployment.json(&["invoke", "ingest"]);
    assert_eq!(invoked["outcome"], "success", "{invoked}");
    deployment
}

/// The variables that configure a second source.
fn fallback(address: &str) -> [String; 4] {
    [
        "--variable".to_owned(),
        "fallback_market_data_venue=binance".to_owned(),
        "--variable".to_owned(),
        format!("fallback_market_data_url=http://{address}"),
    ]
}

fn drill(deployment: &Deployment, more: &[&str], fallback: &[String]) -> Output {
    let fallback = fallback.iter().map(String::as_str);
    let arguments: Vec<&str> = ["drill", "failover"]
        .into_iter()
        .chain(more.iter().copied())
        .chain(fallback)
        .collect();
    deployment.run(&arguments)
}

/// Every row of every table of the database.
fn everything(deployment: &Deployment) -> Vec<String> {
    let database = rusqlite::Connection::open(deployment.database()).unwrap();
    let mut tables = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut found = vec![];
    for table in tables {
        let mut all = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column));
            let values: Vec<_> = values.collect::<Result<_, _>>().unwrap();
            found.push(format!("{table} {values:?}"));
        }
    }
    found
}

#[test]
fn a_failover_drill_lets_the_second_source_answer_and_changes_nothing_that_is_stored() {
    let deployment = with_demo();
    let second = paper();
    let before = everything(&deployment);
    let output = drill(&deployment, &["--json"], &fallback(&second));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(everything(&deployment), before);
    let graded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(graded["status"], "ok", "{graded}");
    let metadata = &graded["metadata"];
    assert_eq!(metadata["targeted_dimensions"], json!(["intraday_trades"]));
    assert_eq!(
        metadata["fallback"],
        json!({"executed": true, "error": null})
    );
    let run = &metadata["fallback_run"];
    assert_eq!(run["source"], format!("secondary binance http://{second}"));
    assert_eq!(run["without_bars"], 0);
    assert!(
        stderr(&output).contains("over a copy"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_failover_drill_without_a_second_source_warns_and_says_what_adds_one() {
    let deployment = with_demo();
    let output = drill(&deployment, &[], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.starts_with("**telemetry.ingest.failover_drill: WARN**"),
        "{said}"
    );
    assert!(
        said.contains("| fallback | WARN | the fallback was not run |"),
        "{said}"
    );
    assert!(said.contains("`fallback_market_data_venue`"), "{said}");
}

#[test]
fn a_second_source_that_does_not_answer_fails_the_drill_with_exit_status_1() {
    let deployment = with_demo();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    let output = drill(&deployment, &["--json"], &fallback(&nobody));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let graded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(graded["status"], "fail");
    let why = graded["metadata"]["fallback"]["error"].as_str().unwrap();
    assert!(
        why.starts_with("1 of 1 series got no newer bar: BTC-USDT 1m"),
        "{why}"
    );
    assert!(
        why.contains("unavailable") || why.contains(&nobody),
        "{why}"
    );
}

#[test]
fn a_failover_drill_is_kept_where_ingest_looks_for_it_when_that_is_asked_for() {
    let deployment = with_demo();
    let key = Key::new("assessments", "telemetry.ingest.failover_drill").unwrap();
    let kept = || block_on(deployment.store().get(&key)).unwrap();
    drill(&deployment, &[], &[]);
    assert_eq!(kept(), None);
    for documents in 1..=2 {
        drill(&deployment, &["--record"], &[]);
        let body: Value = serde_json::from_str(&kept().unwrap().body).unwrap();
        assert_eq!(body["status"], "warn");
        assert_eq!(body["history"]["documents"], documents);
    }
}

#[test]
fn dimensions_that_are_not_planned_cause_no_failover_and_others_are_wrong_usage() {
    let deployment = with_demo();
    let output = drill(&deployment, &["--dimensions", "daily_bars"], &[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(said.contains("the targets caused no failover"), "{said}");
    let output = drill(&deployment, &["--dimensions", "weekly_bars"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("intraday_trades"),
        "{}",
        stderr(&output)
    );
}
