//! How `bulkhead up` ends.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStderr, Command};

use bulkhead_paper::demo;

use crate::{Deployment, Running};

/// Bars whose way through the pipeline takes far longer than a signal to arrive.
const LONG_REPLAY_BARS: usize = 10_000;

type Talk = Lines<BufReader<ChildStderr>>;

fn talk(running: &mut Running) -> Talk {
    BufReader::new(running.0.stderr.take().unwrap()).lines()
}

fn wait_for(talk: &mut Talk, text: &str) {
    let mut said = Vec::new();
    for line in talk {
        let line = line.unwrap();
        if line.contains(text) {
            return;
        }
        said.push(line);
    }
    panic!("`{text}` was never said, but {said:?}");
}

fn send(running: &Running, signal: &str) {
    let process = running.0.id().to_string();
    let sent = Command::new("kill").args([signal, &process]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn one_signal_lets_what_is_going_finish_and_a_second_one_ends_at_once() {
    let deployment = Deployment::new();
    let mut running = Running::start(deployment.up(&["--speed", "1"]));
    let address = running.address();
    // A request whose body never comes keeps the server from ending by itself for a while. That it is read is known
    // by the answer to `expect`.
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = "POST /execute HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    let mut talk = talk(&mut running);
    send(&running, "-INT");
    wait_for(&mut talk, "SIGINT: letting runs finish");
    send(&running, "-TERM");
    wait_for(&mut talk, "SIGTERM again: ended at once");
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_signal_ends_the_last_rounds_of_a_replay_early() {
    let deployment = Deployment::new();
    let bars = demo::generate(demo::SEED, LONG_REPLAY_BARS);
    std::fs::write(deployment.path("long.csv"), bars).unwrap();
    let options = [
        "--bars",
        "long.csv",
        "--speed",
        "max",
        "--exit-when-replayed",
    ];
    let mut running = Running::start(deployment.up(&options));
    let mut talk = talk(&mut running);
    wait_for(&mut talk, "what is left goes through the pipeline");
    send(&running, "-TERM");
    wait_for(&mut talk, "SIGTERM: letting runs finish");
    // Its last lines must be read, or it would wait for a reader.
    talk.for_each(drop);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}
