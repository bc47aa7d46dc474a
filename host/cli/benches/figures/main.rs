//! What Bulkhead costs, in one process and in one table, each figure against a floor measured beside it: `cargo bench`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![allow(clippy::disallowed_methods, reason = "a bench is what reads the time")]

mod egress;
mod http;
mod ingest;
mod load;
mod measure;
mod process;
mod sandbox;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_manifest::App;
use bulkhead_sandbox::{CodeCache, Foundation, Sandbox, specs};
use bulkhead_stage::SystemClock;
use bulkhead_store::Store;
use bulkhead_tests::guest;

/// What the stage is given: the canary's frame.
const INPUT: &str = r#"{"task":"normalise","path":"ingest_frame","fake":true,"frame":{"instrument":"BTC-USD","timestamp":1700000000,"features":{"price":10000.0},"raw":{"source":"ingest_canary"}}}"#;

/// The deadline of the guests that are meant to reach one.
const DEADLINE: Duration = Duration::from_millis(100);

const CANARY_FLAGS: [&str; 8] = [
    "signals_ingest_enabled",
    "signals_mock_feed_enabled",
    "signals_fake_mode",
    "brain_fake_mode",
    "trade_engine_fake_mode",
    "runtime_router_fake_mode",
    "intent_preview_fake_mode",
    "intent_preview_enabled",
];

/// `cargo bench --bench figures -- sandbox http` measures those two alone; without a name, all.
#[tokio::main]
async fn main() {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|asked| asked == name);
    println!("{}", measure::HEAD);
    if wanted("sandbox") {
        sandbox::figures().await;
    }
    if wanted("state") {
        state::figures().await;
    }
    if wanted("egress") {
        egress::figures().await;
    }
    if wanted("ingest") {
        ingest::figures().await;
    }
    if wanted("process") {
        process::figures();
    }
    if wanted("http") {
        http::figures().await;
    }
}

/// The project's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The components of the project's own manifest.
fn deployed(store: Arc<dyn Store>, variables: &[(&str, &str)]) -> Sandbox {
    let root = root();
    let text = std::fs::read_to_string(root.join("spin.toml")).unwrap();
    let app = App::parse("spin.toml", &text).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let app = app.resolve(&variables).unwrap();
    let mut specs = specs(&app, "spin.toml", &root).unwrap();
    specs.push({
        let mut endless = guest("endless");
        endless.limits.deadline = DEADLINE;
        endless
    });
    let foundation = Foundation {
        clock: Arc::new(SystemClock),
        store,
        resolver: Arc::new(bulkhead_grants::egress::StaticResolver::new()),
        dialer: bulkhead_grants::dial::Dialer::new().unwrap(),
        cache: CodeCache::none(),
    };
    Sandbox::new(foundation, specs).unwrap()
}
