//! wasmtime: one fresh instance for each run, within its limits.
//!
//! A [`Sandbox`] holds the components of a deployment, compiled and linked ahead of any run. A run takes a slot of
//! the pool, maps the component's memory copy-on-write, calls `stage.run` once, and gives the slot back: no run sees
//! what another left behind. Strategies run the same way, each evaluation in an instance of its own, from inside the
//! signal stage's import.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_grants::dial::Dialer;
use bulkhead_grants::egress::Resolver;
use bulkhead_stage::{Clock, Failure, Finished, Invocation, Runner, Usage};
use bulkhead_store::Store as DocumentStore;
use futures::future::BoxFuture;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

mod bindings;
mod bounds;
mod cache;
mod convert;
mod egress;
mod engine;
mod error;
mod from_manifest;
mod imports;
mod in_flight;
mod linker;
mod log;
mod nested;
mod run;
mod spec;
mod state;

pub use cache::CodeCache;
pub use engine::{EPOCH, MEMORY_CEILING_BYTES, POOL_SLOTS, TABLE_ELEMENTS};
pub use error::LoadError;
pub use from_manifest::{feed_grant, specs};
pub use in_flight::{
    CALLS_IN_FLIGHT, CONNECTIONS, CONNECTIONS_OF_COMPONENT, CONNECTIONS_OF_HOST, INNER_RUNS,
    INVOKED_STAGES_OF_HOST, STRATEGIES_OF_HOST,
};
pub use spec::{ComponentSpec, MarketDataGrant, Role, RunLimits, StageKind};

use bindings::exports::bulkhead::pipeline::{stage, strategy};
use in_flight::{ComponentBounds, HostBounds};
use state::RunState;

/// What the runs of a deployment share.
pub struct Services {
    engine: Engine,
    clock: Arc<dyn Clock>,
    store: Arc<dyn DocumentStore>,
    resolver: Arc<dyn Resolver>,
    dialer: Dialer,
    bounds: HostBounds,
    components: BTreeMap<String, Arc<Loaded>>,
}

impl Services {
    fn component(&self, name: &str) -> Option<Arc<Loaded>> {
        self.components.get(name).cloned()
    }
}

/// A component, ready to be run.
struct Loaded {
    spec: ComponentSpec,
    code: Code,
    bounds: ComponentBounds,
}

/// A component's linked code and the place of its export in it.
enum Code {
    Stage {
        pre: InstancePre<RunState>,
        indices: stage::GuestIndices,
    },
    Strategy {
        pre: InstancePre<bounds::Bounds>,
        indices: strategy::GuestIndices,
    },
}

/// The components of a deployment.
#[derive(Clone)]
pub struct Sandbox {
    services: Arc<Services>,
}

/// What a [`Sandbox`] stands on.
pub struct Foundation {
    /// Time, for `wasi:clocks/system-clock`.
    pub clock: Arc<dyn Clock>,
    /// Documents and bars.
    pub store: Arc<dyn DocumentStore>,
    /// How host names are resolved.
    pub resolver: Arc<dyn Resolver>,
    /// How permitted requests are sent.
    pub dialer: Dialer,
    /// Where compiled code is kept.
    pub cache: CodeCache,
}

impl Sandbox {
    /// Loads and links `specs`. Every component that does not fit its role is reported, all at once.
    pub fn new(foundation: Foundation, specs: Vec<ComponentSpec>) -> Result<Self, Vec<LoadError>> {
        let engine = engine::engine().map_err(|source| {
            vec![LoadError::Engine {
                source: source.into(),
            }]
        })?;
        let mut components = BTreeMap::new();
        let mut errors = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            match load(&engine, &foundation.cache, spec) {
                Ok(loaded) => {
                    components.insert(name, Arc::new(loaded));
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            services: Arc::new(Services {
                engine,
                clock: foundation.clock,
                store: foundation.store,
                resolver: foundation.resolver,
                dialer: foundation.dialer,
                bounds: HostBounds::new(),
                components,
            }),
        })
    }

    /// The components, by name.
    pub fn components(&self) -> impl Iterator<Item = &ComponentSpec> {
        self.services.components.values().map(|loaded| &loaded.spec)
    }
}

impl Runner for Sandbox {
    fn run<'a>(&'a self, component: &'a str, invocation: Invocation) -> BoxFuture<'a, Finished> {
        Box::pin(async move {
            match self.services.component(component) {
                Some(loaded) => run::stage(&self.services, &loaded, invocation, 0).await,
                None => Finished {
                    result: Err(Failure::UnknownComponent {
                        component: component.to_owned(),
                    }),
                    usage: Usage::default(),
                },
            }
        })
    }
}

fn load(engine: &Engine, cache: &CodeCache, spec: ComponentSpec) -> Result<Loaded, LoadError> {
    let component = cache
        .load(engine, &spec.wasm)
        .map_err(|source| LoadError::compile(&spec, source))?;
    let code = match &spec.role {
        Role::Stage(kind) => {
            let linker = linker::stage(engine, *kind).map_err(|source| LoadError::Engine {
                source: source.into(),
            })?;
            let pre = link(&linker, &component, &spec)?;
            let indices = stage::GuestIndices::new(&pre)
                .map_err(|source| LoadError::export(&spec, source))?;
            Code::Stage { pre, indices }
        }
        Role::Strategy => {
            let pre = link(&Linker::new(engine), &component, &spec)?;
            let indices = strategy::GuestIndices::new(&pre)
                .map_err(|source| LoadError::export(&spec, source))?;
            Code::Strategy { pre, indices }
        }
    };
    Ok(Loaded {
        spec,
        code,
        bounds: ComponentBounds::new(),
    })
}

fn link<T: 'static>(
    linker: &Linker<T>,
    component: &Component,
    spec: &ComponentSpec,
) -> Result<InstancePre<T>, LoadError> {
    linker
        .instantiate_pre(component)
        .map_err(|source| LoadError::import(spec, source))
}
