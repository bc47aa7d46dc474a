//! What crosses rooms: end to end, crash points, egress denials, hostile guests, conformance.
//!
//! The library is the bench that the tests stand at: a sandbox over a memory store, a clock that stands still, and a
//! resolver that knows only what the test told it.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_grants::dial::{Connector, Dialer, TcpConnector};
use bulkhead_grants::documents::DocumentGrant;
use bulkhead_grants::egress::{EgressGrant, EgressRule, Resolver, StaticResolver};
use bulkhead_sandbox::{
    CodeCache, ComponentSpec, Foundation, LoadError, MarketDataGrant, Role, RunLimits, Sandbox,
    StageKind,
};
use bulkhead_stage::{Finished, Invocation, ManualClock, Runner as _, TriggerKind};
use bulkhead_store::{MemoryStore, Store};

/// The instant at which the bench's clock stands, in Unix milliseconds.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A component's bytes, by the name of its artefact.
///
/// # Panics
/// The component was not built.
pub fn wasm(name: &str) -> Vec<u8> {
    let path = bulkhead_components::file(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

/// The guest programs as an ingest stage named `name`, with limits that a test can reach and no egress.
pub fn guest(name: &str) -> ComponentSpec {
    ComponentSpec {
        name: name.into(),
        role: Role::Stage(StageKind::Ingest),
        wasm: wasm("guests"),
        variables: [("greeting".to_owned(), "hello".to_owned())].into(),
        limits: RunLimits {
            memory_bytes: 64 << 20,
            deadline: Duration::from_secs(2),
            host_calls: 100_000,
            response_bytes: 1 << 20,
            output_bytes: 1 << 20,
            log_bytes: 64 << 10,
            concurrent_runs: 64,
        },
        egress: EgressGrant {
            component: name.into(),
            component_line: 1,
            rules: Vec::new(),
        },
        documents: DocumentGrant {
            component: name.into(),
            component_line: 1,
            read: patterns(&["ingest"]),
            write: patterns(&["ingest"]),
        },
        market_data: MarketDataGrant {
            read: true,
            append: true,
        },
        invoke: Vec::new(),
        strategies: Vec::new(),
        place: "spin.toml:1".into(),
    }
}

/// Collection patterns from their texts.
///
/// # Panics
/// A text is no pattern.
pub fn patterns(texts: &[&str]) -> Vec<bulkhead_grants::documents::CollectionPattern> {
    texts
        .iter()
        .map(|text| match text.parse() {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        })
        .collect()
}

/// A spec with these egress rules.
pub fn with_egress(mut spec: ComponentSpec, rules: Vec<EgressRule>) -> ComponentSpec {
    spec.egress.rules = rules;
    spec
}

/// A sandbox and what it stands on.
pub struct Bench {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Its documents and bars.
    pub store: Arc<MemoryStore>,
    /// Its clock.
    pub clock: ManualClock,
}

impl Bench {
    /// A bench of these components, which reaches no address by name.
    ///
    /// # Panics
    /// A component does not load.
    pub fn new(specs: Vec<ComponentSpec>) -> Self {
        Self::with(specs, StaticResolver::new(), Arc::new(TcpConnector))
    }

    /// A bench with names of its own and a connector that may count.
    ///
    /// # Panics
    /// A component does not load.
    pub fn with(
        specs: Vec<ComponentSpec>,
        resolver: impl Resolver + 'static,
        connector: Arc<dyn Connector>,
    ) -> Self {
        let store = Arc::new(MemoryStore::new(NOW_MS));
        let clock = ManualClock::at(NOW_MS);
        let resolver = Arc::new(resolver);
        let foundation = foundation(store.clone(), clock.clone(), resolver, connector);
        Self {
            sandbox: sandbox(foundation, specs),
            store,
            clock,
        }
    }

    /// Runs a component once, for real.
    pub async fn run(&self, component: &str, input: &str) -> Finished {
        self.sandbox.run(component, invocation(input, false)).await
    }

    /// Runs a component once, in fake mode.
    pub async fn run_fake(&self, component: &str, input: &str) -> Finished {
        self.sandbox.run(component, invocation(input, true)).await
    }
}

/// A sandbox of these components over any store, which reaches no address by name.
///
/// # Panics
/// A component does not load.
pub fn sandbox_over(store: Arc<dyn Store>, specs: Vec<ComponentSpec>) -> Sandbox {
    sandbox(foundation_over(store), specs)
}

/// Why these components do not load, or nothing.
pub fn load_errors(specs: Vec<ComponentSpec>) -> Vec<LoadError> {
    let foundation = foundation_over(Arc::new(MemoryStore::new(NOW_MS)));
    Sandbox::new(foundation, specs).err().unwrap_or_default()
}

fn sandbox(foundation: Foundation, specs: Vec<ComponentSpec>) -> Sandbox {
    match Sandbox::new(foundation, specs) {
        Ok(sandbox) => sandbox,
        Err(errors) => panic!("{errors:#?}"),
    }
}

fn foundation_over(store: Arc<dyn Store>) -> Foundation {
    let clock = ManualClock::at(NOW_MS);
    let resolver = Arc::new(StaticResolver::new());
    foundation(store, clock, resolver, Arc::new(TcpConnector))
}

fn foundation(
    store: Arc<dyn Store>,
    clock: ManualClock,
    resolver: Arc<dyn Resolver>,
    connector: Arc<dyn Connector>,
) -> Foundation {
    let dialer = match Dialer::with(connector, rustls::RootCertStore::empty()) {
        Ok(dialer) => dialer,
        Err(error) => panic!("{error}"),
    };
    Foundation {
        clock: Arc::new(clock),
        store,
        resolver,
        dialer,
        cache: cache(),
    }
}

/// Compiled code, kept between the benches of a test run: compiling takes longer than most tests.
fn cache() -> CodeCache {
    let folder = bulkhead_components::folder().join("../test-cache");
    CodeCache::at(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// An invocation at [`NOW_MS`].
pub fn invocation(input: &str, fake_mode: bool) -> Invocation {
    Invocation {
        run_id: "run-1".into(),
        trigger: TriggerKind::Manual,
        scheduled_at_ms: NOW_MS,
        attempt: 1,
        traceparent: None,
        fake_mode,
        input: input.into(),
    }
}
