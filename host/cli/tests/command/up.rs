//! `bulkhead up`: the demo goes through the pipeline, by itself and across a crash.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::{Deployment, Running, stderr, stdout};

/// What a whole replay leaves behind.
fn made(deployment: &Deployment) -> Value {
    let status = deployment.json(&["status", "--json"]);
    json!({"bars": status["series"][0]["bars"], "documents": status["documents"]})
}

fn replay(deployment: &Deployment) {
    let output = deployment
        .up(&["--speed", "max", "--exit-when-replayed"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(" 0 failed"), "{}", stdout(&output));
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
fn a_host_killed_at_any_moment_goes_on_where_it_was_and_ends_with_the_same() {
    let undisturbed = Deployment::new();
    replay(&undisturbed);
    let killed = Deployment::new();
    for _ in 0..3 {
        let mut running = Running::start(killed.up(&["--speed", "max"]));
        let mut talk = BufReader::new(running.0.stderr.take().unwrap());
        // The first line of progress: bars are stored, and the stages behind are at work.
        let mut line = String::new();
        talk.read_line(&mut line).unwrap();
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }
    replay(&killed);
    assert_eq!(made(&killed), made(&undisturbed));
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
        "POST {path} HTTP/1.1\r\nhost: bulkhead\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
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
