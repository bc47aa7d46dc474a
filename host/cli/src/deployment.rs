//! A deployment, opened: manifest, store, sandbox, supervisor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bulkhead_grants::dial::Dialer;
use bulkhead_grants::egress::SystemResolver;
use bulkhead_manifest::{App, Component, Overlap, ResolvedApp, Role};
use bulkhead_sandbox::{CodeCache, Foundation, Sandbox};
use bulkhead_stage::{Clock, Runner, SystemClock};
use bulkhead_store::{MemoryStore, SqliteOptions, SqliteStore, Store, StoreError};
use bulkhead_supervisor::{
    self as supervisor, Entropy, Retries, RunPolicy, SeededEntropy, Supervisor,
};

use crate::arguments::Global;
use crate::journal::StoreJournal;

/// The database in the data folder.
const DATABASE: &str = "bulkhead.db";

/// What to do where there is no database.
const MISSING_HINT: &str = "name the deployment's folder with --data-dir; `bulkhead up` makes a new one, and `bulkhead kill on --create` one whose kill switch is on";

/// Compiled code in the data folder.
const CACHE: &str = "cache";

/// Everything that a command may need of a deployment.
pub struct Deployment {
    pub app: ResolvedApp,
    pub store: Arc<dyn Store>,
    pub supervisor: Arc<Supervisor>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Opens what the egress gate permits to the host itself.
    pub dialer: Dialer,
}

/// Where a deployment keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// In the data folder's database.
    Database,
    /// Nowhere: it ends with the process.
    Memory,
}

impl Deployment {
    /// Opens the deployment of `app` that `global` names.
    pub fn open(global: &Global, app: ResolvedApp, keeping: Keeping) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = match keeping {
            Keeping::Database => Arc::new(open_store(global)?),
            Keeping::Memory => Arc::new(MemoryStore::new(SystemClock.now_ms())),
        };
        Self::over(global, app, store)
    }

    /// The same, over a store that is open.
    pub fn over(global: &Global, app: ResolvedApp, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let cache = code_cache(global)?;
        let sandbox = sandbox(global, &app, Arc::clone(&store), Arc::clone(&clock), cache)?;
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::from_system());
        let policies = app
            .components
            .values()
            .filter_map(|component| Some((component.name.clone(), policy(component)?)));
        let supervisor = Supervisor::new(
            Arc::new(sandbox) as Arc<dyn Runner>,
            Arc::new(StoreJournal(Arc::clone(&store))),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            policies,
        );
        Ok(Self {
            app,
            store,
            supervisor: Arc::new(supervisor),
            clock,
            entropy,
            dialer: Dialer::new()?,
        })
    }
}

/// The manifest, checked and with its variables' values put in.
pub fn manifest(global: &Global) -> anyhow::Result<ResolvedApp> {
    let (name, text) = manifest_text(global)?;
    let app = App::parse(&name, &text).map_err(|problems| anyhow!("{problems}"))?;
    let supplied = variables(global, &app, |name| std::env::var(name).ok());
    app.resolve(&supplied)
        .map_err(|problems| anyhow!("{problems}"))
}

/// The manifest's name and text.
pub fn manifest_text(global: &Global) -> anyhow::Result<(String, String)> {
    let path = &global.manifest;
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "reading the manifest {} failed\n\nhint: run this in the folder of the project, or name its manifest with --manifest",
            path.display()
        )
    })?;
    Ok((path.display().to_string(), text))
}

/// The values that are given for the manifest's variables: on the command line, else as SPIN_VARIABLE_NAME, else as
/// NAME. The environment is asked for declared variables alone.
pub fn variables(
    global: &Global,
    app: &App,
    environment: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for name in app.variables.keys() {
        let upper = name.to_ascii_uppercase();
        if let Some(value) =
            environment(&format!("SPIN_VARIABLE_{upper}")).or_else(|| environment(&upper))
        {
            values.insert(name.clone(), value);
        }
    }
    values.extend(global.variables.iter().cloned());
    values
}

/// The folder that the manifest's paths are relative to.
pub fn manifest_folder(global: &Global) -> PathBuf {
    match global.manifest.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The database of the data folder, created when it is not there.
pub fn open_store(global: &Global) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&database(global), options())
}

/// The database of the data folder, for whoever only looks at a deployment or corrects it: a new one in the wrong
/// folder would answer for the one that is meant.
pub fn find_store(global: &Global) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_existing(&database(global), options())
}

/// The same; where there is none, the error says what to do.
pub fn existing_store(global: &Global) -> anyhow::Result<SqliteStore> {
    find_store(global).map_err(|error| match error {
        StoreError::Missing { .. } => anyhow!("{error}\n\nhint: {MISSING_HINT}"),
        other => other.into(),
    })
}

fn options() -> SqliteOptions {
    SqliteOptions {
        now_ms: SystemClock.now_ms(),
        ..SqliteOptions::default()
    }
}

/// The database's file.
pub fn database(global: &Global) -> PathBuf {
    global.data_dir.join(DATABASE)
}

/// The compiled code of the data folder, made when it is not there.
pub fn code_cache(global: &Global) -> anyhow::Result<CodeCache> {
    let folder = global.data_dir.join(CACHE);
    CodeCache::at(&folder)
        .with_context(|| format!("opening the code cache {} failed", folder.display()))
}

/// The components of `app`, loaded and linked.
pub fn sandbox(
    global: &Global,
    app: &ResolvedApp,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cache: CodeCache,
) -> anyhow::Result<Sandbox> {
    let file_name = global.manifest.display().to_string();
    let specs =
        bulkhead_sandbox::specs(app, &file_name, &manifest_folder(global)).map_err(all_of)?;
    let foundation = Foundation {
        clock,
        store,
        resolver: Arc::new(SystemResolver),
        dialer: Dialer::new()?,
        cache,
    };
    Sandbox::new(foundation, specs).map_err(all_of)
}

/// Several errors as one: each with its causes, on a line of its own.
fn all_of(errors: Vec<bulkhead_sandbox::LoadError>) -> anyhow::Error {
    let lines: Vec<String> = errors
        .into_iter()
        .map(|error| format!("{:#}", anyhow::Error::new(error)))
        .collect();
    anyhow!("{}", lines.join("\n"))
}

/// How the supervisor treats a component. None: it is no stage, and never run by itself.
fn policy(component: &Component) -> Option<RunPolicy> {
    let Role::Stage(kind) = component.role else {
        return None;
    };
    let schedule = &component.schedule;
    Some(RunPolicy {
        stage: kind.as_str().to_owned(),
        overlap: match schedule.overlap {
            Overlap::Forbid => supervisor::Overlap::Forbid,
            Overlap::Queue => supervisor::Overlap::Queue,
            Overlap::Replace => supervisor::Overlap::Replace,
        },
        retries: Retries {
            attempts: schedule.retries.attempts,
            initial_ms: millis(schedule.retries.initial),
            max_ms: millis(schedule.retries.max),
        },
        concurrent_runs: component.limits.concurrent_runs as usize,
        deadline_ms: millis(component.limits.deadline),
    })
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
