//! What the sandbox needs to know of a component: its code, its role, its grants and its limits.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_grants::documents::DocumentGrant;
use bulkhead_grants::egress::EgressGrant;
pub use bulkhead_manifest::StageKind;

/// What a component is for, which decides the interfaces it may import and the one it must export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// One of the five stages.
    Stage(StageKind),
    /// A strategy: imports nothing.
    Strategy,
}

/// The bounds of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLimits {
    /// Largest linear memory, in bytes.
    pub memory_bytes: usize,
    /// From the start of the run to its end, whatever it waits for.
    pub deadline: Duration,
    /// Calls from the guest into the host.
    pub host_calls: u64,
    /// Bytes received from venues, all responses of the run together.
    pub response_bytes: u64,
    /// Bytes of the answer.
    pub output_bytes: usize,
    /// Bytes of the log.
    pub log_bytes: usize,
    /// Runs of the component at once.
    pub concurrent_runs: usize,
}

/// What a component may do with bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarketDataGrant {
    /// `read-bars` and `latest`.
    pub read: bool,
    /// `append-bars`.
    pub append: bool,
}

/// A component of a deployment.
#[derive(Debug, Clone)]
pub struct ComponentSpec {
    /// Its name in the manifest.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// What `wasi:config/store` answers.
    pub variables: BTreeMap<String, String>,
    /// The bounds of its runs.
    pub limits: RunLimits,
    /// The requests it may send.
    pub egress: EgressGrant,
    /// The documents it may read and write.
    pub documents: DocumentGrant,
    /// What it may do with bars.
    pub market_data: MarketDataGrant,
    /// Components it may invoke in fake mode.
    pub invoke: Vec<String>,
    /// Strategies it may ask: component names.
    pub strategies: Vec<String>,
    /// Where it stands, for messages: `spin.toml:42`.
    pub place: String,
}
