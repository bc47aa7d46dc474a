//! What one run carries: its bounds, its log, its grants, and the services behind its imports.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulkhead_stage::{Clock, Denial, Invocation, MAX_DENIALS_KEPT, Usage};
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::IoView;

use crate::bounds::{Bounds, LimitBroken};
use crate::egress::EgressHooks;
use crate::in_flight::InFlight;
use crate::log::Log;
use crate::nested::Nested;
use crate::spec::ComponentSpec;
use crate::{Loaded, Services};

/// Handles of host resources (streams, requests, responses, headers) that a run may hold at once.
pub const MAX_HANDLES: usize = 4096;

/// Marks the host's implementations of the contract's imports.
pub struct Imports;

impl HasData for Imports {
    type Data<'a> = &'a mut RunState;
}

/// What became of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is kept.
    Kept,
    /// It is kept, and none that follows will be.
    Last,
    /// It is not kept.
    Beyond,
}

/// What was refused to one run. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<Vec<Denial>>>);

impl Denials {
    /// Notes a refusal, unless [`MAX_DENIALS_KEPT`] are noted already.
    pub fn note(&self, denial: Denial) -> Noted {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MAX_DENIALS_KEPT {
            list.push(denial);
        } else {
            return Noted::Beyond;
        }
        if list.len() == MAX_DENIALS_KEPT {
            Noted::Last
        } else {
            Noted::Kept
        }
    }

    fn list(&self) -> Vec<Denial> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The state of one run.
pub struct RunState {
    pub bounds: Bounds,
    pub log: Log,
    pub denials: Denials,
    pub component: Arc<Loaded>,
    pub services: Arc<Services>,
    pub fake_mode: bool,
    /// How many runs this one is nested in.
    pub depth: u8,
    /// The calls that it has under way.
    pub in_flight: InFlight,
    /// The runs that it has invoked.
    pub nested: Nested,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    egress: EgressHooks,
}

impl RunState {
    pub fn new(
        component: Arc<Loaded>,
        services: Arc<Services>,
        invocation: &Invocation,
        depth: u8,
    ) -> Self {
        let limits = &component.spec.limits;
        let log = Log::new(limits.log_bytes);
        let denials = Denials::default();
        let in_flight = InFlight::new();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let wasi = WasiCtxBuilder::new()
            .stderr(log.clone())
            .stdout(log.clone())
            .wall_clock(WallClock(Arc::clone(&services.clock)))
            .insecure_random_seed(seed(&invocation.run_id))
            .build();
        Self {
            bounds: Bounds::new(limits.memory_bytes, limits.host_calls),
            egress: EgressHooks::new(
                &component,
                &services,
                denials.clone(),
                in_flight.clone(),
                invocation.fake_mode,
            ),
            in_flight,
            nested: Nested::default(),
            log,
            denials,
            fake_mode: invocation.fake_mode,
            depth,
            table,
            wasi,
            http: WasiHttpCtx::new(),
            component,
            services,
        }
    }

    pub fn spec(&self) -> &ComponentSpec {
        &self.component.spec
    }

    pub fn usage(&self) -> Usage {
        Usage {
            host_calls: self.bounds.host_calls,
            log_bytes: self.log.len() as u64,
            memory_bytes: self.bounds.memory_bytes as u64,
            denials: self.denials.list(),
            log: self.log.text(),
        }
    }

    /// The bound that the egress side broke, if it did.
    pub fn egress_limit_broken(&self) -> Option<LimitBroken> {
        self.egress.limit_broken()
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl IoView for RunState {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiHttpView for RunState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.egress,
        }
    }
}

/// The seed of a guest's hash maps: of the run's identity, so that a replay meets the same order.
fn seed(run_id: &str) -> u128 {
    let hash = blake3::hash(run_id.as_bytes());
    hash.as_bytes()
        .iter()
        .take(16)
        .fold(0, |seed, byte| (seed << 8) | u128::from(*byte))
}

struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now_ms()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_hash_maps_follows_from_the_runs_id() {
        assert_eq!(seed("run-1"), seed("run-1"));
        assert_ne!(seed("run-1"), seed("run-2"));
        assert_ne!(seed("run-1"), seed("run-10"));
    }

    #[test]
    fn of_many_refusals_the_first_are_kept_and_the_last_of_them_is_told_apart() {
        let denials = Denials::default();
        let denial = || Denial {
            reason: "host-not-granted".into(),
            detail: String::new(),
        };
        let noted: Vec<_> = (0..MAX_DENIALS_KEPT + 2)
            .map(|_| denials.note(denial()))
            .collect();
        assert_eq!(denials.list().len(), MAX_DENIALS_KEPT);
        let (kept, beyond) = noted.split_at(MAX_DENIALS_KEPT);
        assert_eq!(
            kept.iter().filter(|noted| **noted == Noted::Last).count(),
            1
        );
        assert_eq!(kept.last(), Some(&Noted::Last));
        assert_eq!(beyond, [Noted::Beyond, Noted::Beyond]);
    }
}
