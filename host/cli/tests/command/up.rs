//! `bulkhead up`: the demo goes through the pipeline, and routes run stages.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::{Deployment, Running, stderr, stdout};

/// What a whole replay leaves behind.
pub fn made(deployment: &Deployment) -> Value {
    let status = deployment.json(&["status", "--json"]);
    json!({"bars": status["series"][0]["bars"], "documents": status["documents"]})
}

/// Replays the whole demo. What was printed.
pub fn replay(deployment: &Deployment) -> String {
    let output = deployment
        .up(&["--speed", "max", "--exit-when-replayed"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains(" 0 failed"), "{printed}");
    printed
}

#[test]
fn the_demo_gives_bars_signals_shadow_trades_and_orders_without_a_failed_run() {
    let deployment = Deployment::new();
    replay(&deployment);
    let made = made(&deployment);
    assert_eq!(made["bars"], 2880);
    let signals = made["documents"]["signals"].as_u64().unwrap();
    assert!(signals > 0);
    for collection in ["shadowTradeHistory", "tradeActions", "orders"] {
        assert_eq!(made["documents"][collection], signals, "{collection}");
    }
}

#[test]
fn the_status_says_of_each_series_how_old_and_how_good_it_is_and_that_it_is_a_replay() {
    let deployment = Deployment::new();
    replay(&deployment);
    let said = stdout(&deployment.run(&["status"]));
    let line = |word: &str| {
        let found = said
            .lines()
            .find(|line| line.trim_start().starts_with(word));
        found.unwrap_or_else(|| panic!("no line `{word}`: {said}"))
    };
    assert!(line("replay").contains(&deployment.paper), "{said}");
    let bars = line("bars ");
    assert!(bars.contains("BTC-USDT 1m: 2880, 2024-01-01"), "{bars}");
    assert!(
        bars.contains("; error, ") && bars.contains(" d old: "),
        "{bars}"
    );
    assert!(line("graded").contains("telemetry."), "{said}");
    let json = deployment.json(&["status", "--json"]);
    assert_eq!(json["series"][0]["status"], "error");
    assert_eq!(json["market"]["unreadable"], json!([]));
}

#[test]
fn a_second_replay_says_that_nothing_new_comes_and_ends() {
    let deployment = Deployment::new();
    replay(&deployment);
    let (before, banner) = (made(&deployment), replay(&deployment));
    assert!(banner.contains("all are stored already"), "{banner}");
    assert!(banner.contains("--data-dir"), "{banner}");

    // None of an older file's bars is ever asked for.
    let older = "timestamp,open,high,low,close,volume\n2023-01-01 00:00:00,1,2,0.5,1,5\n";
    std::fs::write(deployment.path("older.csv"), older).unwrap();
    let output = deployment
        .up(&[
            "--bars",
            "older.csv",
            "--speed",
            "max",
            "--exit-when-replayed",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let banner = stdout(&output);
    assert!(banner.contains("nothing new comes"), "{banner}");
    assert_eq!(made(&deployment), before);
}

#[test]
fn options_of_the_built_in_server_are_wrong_usage_where_another_is_polled() {
    let deployment = Deployment::untouched();
    let options: [&[&str]; 2] = [&["--exit-when-replayed"], &["--bars", "bars.csv"]];
    for option in options {
        let elsewhere = ["up", "--listen", "127.0.0.1:0", "--paper", "127.0.0.1:1"];
        let output = deployment.run(&[&elsewhere, option].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(option[0]), "{}", stderr(&output));
    }
    assert!(!deployment.path("data").exists(), "nothing was opened");
}

#[test]
fn a_second_host_on_the_same_data_folder_is_told_who_has_it() {
    let deployment = Deployment::new();
    let mut first = Running::start(deployment.up(&["--speed", "1"]));
    let address = first.address();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let paper = elsewhere.local_addr().unwrap().to_string();
    let second = deployment.run(&["up", "--listen", "127.0.0.1:0", "--paper", &paper]);
    assert_eq!(second.status.code(), Some(1));
    let said = stderr(&second);
    let holder = format!("process {}, http://{address}", first.0.id());
    assert!(said.contains(&holder), "{said}");
    assert!(said.contains("--data-dir"), "{said}");
}

/// Sends one request and gives the answer's head and body.
fn exchange(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_route_runs_its_stage_and_a_bad_frame_is_a_problem_that_says_what_is_wrong() {
    let deployment = Deployment::new();
    let mut running = Running::start(deployment.up(&["--speed", "1"]));
    let address = running.address();
    let frame = r#"{"task":"normalise","path":"ingest_frame","frame":{"symbol":" ETH-USD "}}"#;
    let (head, body) = exchange(&address, &post("/ingest", frame));
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["output"]["envelope"]["instrument"], "ETH-USD");

    let frame = r#"{"task":"normalise","path":"ingest_frame","frame":{}}"#;
    let (head, body) = exchange(&address, &post("/ingest", frame));
    assert!(head.starts_with("http/1.1 422"), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("missing_instrument"),
        "{problem}"
    );

    let (head, body) = exchange(&address, &post("/ingest", "{\n  oops"));
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(body.contains("line 2"), "{body}");
    let (head, _) = exchange(&address, &post("/nowhere", "{}"));
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[test]
fn a_feed_connects_under_its_grant_and_what_becomes_of_it_is_told_by_the_health() {
    let venue = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", venue.local_addr().unwrap());
    let deployment = Deployment::new();
    let mut command = deployment.up(&["--speed", "1"]);
    command
        .env("SPIN_VARIABLE_MARKET_DATA_FEED_ENABLED", "1")
        .env("SPIN_VARIABLE_MARKET_DATA_FEED_URL", url);
    let mut running = Running::start(command);
    let address = running.address();

    let (mut stream, _) = venue.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let asked = "GET /stream?streams=btcusdt@kline_1m/btcusdt@trade/btcusdt@bookTicker HTTP/1.1";
    assert_eq!(head.lines().next(), Some(asked));
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(refusal).unwrap();

    let ask = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let (head, body) = loop {
        let (head, body) = exchange(&address, ask);
        if !head.starts_with("http/1.1 200") {
            break (head, body);
        }
    };
    assert!(head.starts_with("http/1.1 503"), "{head}");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["service"], "market-ingest");
    assert_eq!(health["feeds"][0]["state"], "fatal");
    let reason = health["reason"].as_str().unwrap();
    assert!(reason.contains("HTTP 403"), "{reason}");
}
