//! The application of `spin.toml`, deployed over a database of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bulkhead_conformance::{Application, Runtime, Spin};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_paper::{BarFile, Replay, VirtualClock, demo, serve};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const MANIFEST: &str = include_str!("../../../../spin.toml");
const DOCUMENTS: &str = include_str!("../../../../functions/spin/store/sql/documents.sql");
const SWITCH_OFF: &str = include_str!("../../../../functions/spin/store/sql/kill-switch-off.sql");

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub struct Deployed {
    spin: Spin,
    folder: TempDir,
}

impl Deployed {
    /// With some of the manifest's variables given other values.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        Self::with_manifest(variables, str::to_owned)
    }

    pub fn with_manifest(variables: &[(&str, &str)], edit: impl Fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let application = Application::read(&edit(MANIFEST), variables).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let spin = Spin::deploy(&RUNTIME, &application, &root, &database(&folder)).unwrap();
        Self { spin, folder }
    }

    /// Status, content type and JSON body of the answer.
    pub async fn send(&self, method: &str, uri: &str, body: &str) -> (u16, String, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:3000{uri}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let response = self.spin.request(request).await.unwrap();
        let content_type = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = serde_json::from_slice(response.body()).unwrap();
        (response.status().as_u16(), content_type, body)
    }

    /// The answer to a run, which must be one.
    pub async fn post(&self, uri: &str, input: &Value) -> Value {
        let (status, content_type, answer) = self.send("POST", uri, &input.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(content_type, "application/json");
        answer
    }

    fn database(&self) -> Connection {
        Connection::open(database(&self.folder)).unwrap()
    }

    /// Rows of a table; 0 where no component has made it yet.
    pub fn count(&self, table: &str) -> u64 {
        let database = self.database();
        if !database.table_exists(None, table).unwrap() {
            return 0;
        }
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        rows.cast_unsigned()
    }

    /// How many documents a collection has.
    pub fn documents(&self, collection: &str) -> u64 {
        let sql = "SELECT count(*) FROM documents WHERE collection = ?1";
        let rows: i64 = self
            .database()
            .query_row(sql, [collection], |row| row.get(0))
            .unwrap();
        rows.cast_unsigned()
    }

    pub fn document(&self, collection: &str, id: &str) -> Option<Value> {
        let sql = "SELECT body FROM documents WHERE collection = ?1 AND id = ?2";
        let body: Option<String> = self
            .database()
            .query_row(sql, [collection, id], |row| row.get(0))
            .ok();
        body.map(|body| serde_json::from_str(&body).unwrap())
    }

    /// As `spin up --sqlite @documents.sql --sqlite @kill-switch-off.sql` does.
    pub fn turn_the_kill_switch_off(&self) {
        let database = self.database();
        database.execute_batch(DOCUMENTS).unwrap();
        database.execute_batch(SWITCH_OFF).unwrap();
    }
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("sqlite_db.db")
}

/// The paper venue on a port of its own, with all bars of the demo out.
pub struct Venue {
    pub url: String,
    server: JoinHandle<()>,
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub async fn venue() -> Venue {
    let bars = BarFile::parse(demo::FILE.as_bytes()).unwrap().bars;
    let interval: Timeframe = "1m".parse().unwrap();
    let replay = Replay::new(&bars, "BTC-USDT", interval, VirtualClock::immediate()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener, Arc::new(replay), std::future::pending()));
    Venue { url, server }
}
