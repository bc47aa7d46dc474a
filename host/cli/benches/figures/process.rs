//! The command as a process: how fast it starts, and what it holds while it idles.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{middle, row};
use crate::{CANARY_FLAGS, root};

/// How long `up` idles before its memory is read: some rounds of every schedule.
const IDLE: Duration = Duration::from_secs(12);

fn command(folder: &Path) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_bulkhead")));
    command
        .current_dir(folder)
        .arg("--manifest")
        .arg(root().join("spin.toml"))
        .args(["--data-dir", "data"]);
    command
}

pub fn figures() {
    let folder = tempfile::tempdir().unwrap();
    cold_start(folder.path());
    idle(folder.path());
}

/// `bulkhead canary`, its compiled code in the cache.
fn cold_start(folder: &Path) {
    let start = || {
        let started = Instant::now();
        let status = command(folder)
            .arg("canary")
            .envs(CANARY_FLAGS.map(|flag| (flag.to_ascii_uppercase(), "1")))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        started.elapsed()
    };
    let empty_cache = start();
    let took = middle((0..20).map(|_| start()).collect());
    row(
        "`bulkhead canary` as a process, warm code cache",
        took,
        &format!("empty cache: {:.0} ms", empty_cache.as_secs_f64() * 1e3),
    );
}

/// `bulkhead up` at the market's own speed, where hardly a bar a minute comes in.
fn idle(folder: &Path) {
    let paper = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap();
    let mut up = command(folder)
        .arg("--variable")
        .arg(format!("market_data_url=http://{paper}"))
        .args(["up", "--listen", "127.0.0.1:0", "--speed", "1"])
        .args(["--paper", &paper.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut banner = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(banner.next().is_some(), "`up` said nothing");
    std::thread::sleep(IDLE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.id()));
    up.kill().unwrap();
    up.wait().unwrap();
    match status {
        Ok(status) => {
            let of = |field: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(field));
                let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
                kib.unwrap_or(f64::NAN) / 1024.0
            };
            println!(
                "| idle `bulkhead up`, resident | {:.1} MiB | peak {:.1} MiB |",
                of("VmRSS:"),
                of("VmHWM:")
            );
        }
        Err(error) => println!("| idle `bulkhead up`, resident | not measured | {error} |"),
    }
}
