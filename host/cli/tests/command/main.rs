//! The command as a process: what it prints, what it leaves behind, how it exits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod bars;
mod canary;
mod drill;
mod kill;
mod restart;
mod signals;
mod through;
mod up;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use bulkhead_store::{SqliteOptions, SqliteStore};
use serde_json::Value;
use tempfile::TempDir;

/// The eight flags of the canary.
const FLAGS: [&str; 8] = [
    "SIGNALS_INGEST_ENABLED",
    "SIGNALS_MOCK_FEED_ENABLED",
    "SIGNALS_FAKE_MODE",
    "BRAIN_FAKE_MODE",
    "TRADE_ENGINE_FAKE_MODE",
    "RUNTIME_ROUTER_FAKE_MODE",
    "INTENT_PREVIEW_FAKE_MODE",
    "INTENT_PREVIEW_ENABLED",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A deployment of the project's own manifest with a data folder and ports of its own.
struct Deployment {
    folder: TempDir,
    manifest: PathBuf,
    paper: String,
}

impl Deployment {
    /// One whose data folder holds compiled code and no more, so that not each test compiles every component.
    fn new() -> Self {
        let deployment = Self::untouched();
        #[cfg(unix)]
        {
            let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
            std::fs::create_dir_all(&compiled).unwrap();
            std::fs::create_dir(deployment.path("data")).unwrap();
            std::os::unix::fs::symlink(compiled, deployment.path("data/cache")).unwrap();
        }
        deployment
    }

    /// One without a data folder.
    fn untouched() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            manifest: root().join("spin.toml"),
            paper: free.local_addr().unwrap().to_string(),
        }
    }

    /// The project's manifest with one text replaced by another.
    fn changed(from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(root().join("spin.toml")).unwrap();
        assert!(text.contains(from), "the manifest has no `{from}`");
        let text = text.replace(from, to).replace(
            "\"target/components",
            &format!("\"{}/target/components", root().display()),
        );
        let mut deployment = Self::new();
        deployment.manifest = deployment.folder.path().join("changed.toml");
        std::fs::write(&deployment.manifest, text).unwrap();
        deployment
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the database is, or will be.
    fn database(&self) -> PathBuf {
        self.path("data/bulkhead.db")
    }

    /// The database, made where it is not there.
    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.database(), SqliteOptions::default()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command
            .current_dir(self.folder.path())
            .arg("--manifest")
            .arg(&self.manifest)
            .args(["--data-dir", "data"])
            .arg("--variable")
            .arg(format!("market_data_url=http://{}", self.paper))
            .args(arguments)
            .env("NO_COLOR", "1");
        for flag in FLAGS {
            command.env_remove(flag);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that prints JSON and succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `up` with ports of its own.
    fn up(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["up", "--listen", "127.0.0.1:0", "--paper", &self.paper]);
        command.args(arguments);
        command
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `up`, ended when the test ends.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The address that its banner names.
    fn address(&mut self) -> String {
        let first = self.first_line();
        let (_, address) = first.split_once("http://").unwrap();
        address.to_owned()
    }

    /// The first line that it prints.
    fn first_line(&mut self) -> String {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        // The rest of the banner must be read, or the command would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        first
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
