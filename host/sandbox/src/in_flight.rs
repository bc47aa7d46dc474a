//! How much one run may have under way at once, and all runs of a host together.
//!
//! A guest may start as many asynchronous calls as it likes before it waits for any. Each holds its arguments on the
//! host's side (up to `limits.output_bytes` and 4 MiB) until it is answered. So a run has [`CALLS_IN_FLIGHT`] of them at
//! most; what it starts beyond is answered at once as unavailable. Of those that are in flight, only so many do what is
//! dear at a time: run another component ([`INNER_RUNS`]) or hold a connection ([`CONNECTIONS`]). The others wait, in
//! their order and within the run's deadline.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Asynchronous calls that one run may have in flight, waiting ones included.
pub const CALLS_IN_FLIGHT: usize = 32;

/// Strategies or stages that one run may have running at once.
pub const INNER_RUNS: usize = 4;

/// Stages that all runs together may have running from inside: a part of the pool that leaves the most to the triggers.
pub const INVOKED_STAGES_OF_HOST: usize = 64;

/// Strategies that all runs together may have running. Apart from the stages: a stage that is invoked waits for
/// strategies, and must not wait for a place that its like holds.
pub const STRATEGIES_OF_HOST: usize = 128;

/// Connections that one run may hold open at once. A connection is held until its response has been read or dropped.
pub const CONNECTIONS: usize = 8;

/// Connections that the runs of one component may hold open, so that no component can take all of the host's.
pub const CONNECTIONS_OF_COMPONENT: usize = 32;

/// Connections that all runs together may hold open.
pub const CONNECTIONS_OF_HOST: usize = 128;

/// There is no room for another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unavailable: {CALLS_IN_FLIGHT} calls of this run are in flight already; wait for one of them"
)]
pub struct TooManyCalls;

/// Places that are taken, and given back when this is dropped.
#[derive(Debug)]
pub struct Places(#[allow(dead_code, reason = "held, never read")] Vec<OwnedSemaphorePermit>);

/// The bounds that a host's runs share.
#[derive(Debug)]
pub struct HostBounds {
    connections: Arc<Semaphore>,
    invoked_stages: Arc<Semaphore>,
    strategies: Arc<Semaphore>,
}

impl HostBounds {
    pub fn new() -> Self {
        Self {
            connections: places(CONNECTIONS_OF_HOST),
            invoked_stages: places(INVOKED_STAGES_OF_HOST),
            strategies: places(STRATEGIES_OF_HOST),
        }
    }
}

/// The bound that the runs of one component share.
#[derive(Debug)]
pub struct ComponentBounds {
    connections: Arc<Semaphore>,
}

impl ComponentBounds {
    pub fn new() -> Self {
        Self {
            connections: places(CONNECTIONS_OF_COMPONENT),
        }
    }
}

/// What an inner run is.
#[derive(Debug, Clone, Copy)]
pub enum Inner {
    Stage,
    Strategy,
}

/// The bounds of one run. Clones share them.
#[derive(Debug, Clone)]
pub struct InFlight {
    calls: Arc<Semaphore>,
    inner_runs: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl InFlight {
    pub fn new() -> Self {
        Self {
            calls: places(CALLS_IN_FLIGHT),
            inner_runs: places(INNER_RUNS),
            connections: places(CONNECTIONS),
        }
    }

    /// A place for one more call, at once or not at all.
    pub fn call(&self) -> Result<Places, TooManyCalls> {
        let call = Arc::clone(&self.calls).try_acquire_owned();
        call.map(|call| Places(vec![call]))
            .map_err(|_| TooManyCalls)
    }

    /// Waits until another inner run may begin.
    pub async fn inner_run(&self, host: &HostBounds, inner: Inner) -> Places {
        let of_host = match inner {
            Inner::Stage => &host.invoked_stages,
            Inner::Strategy => &host.strategies,
        };
        all(&[&self.inner_runs, of_host]).await
    }

    /// Waits until another connection may be opened.
    pub async fn connection(&self, component: &ComponentBounds, host: &HostBounds) -> Places {
        all(&[&self.connections, &component.connections, &host.connections]).await
    }
}

/// The run's own place first: while it waits for that, it must not hold one that its neighbours could use.
async fn all(semaphores: &[&Arc<Semaphore>]) -> Places {
    let mut taken = Vec::with_capacity(semaphores.len());
    for semaphore in semaphores {
        // An error would mean that it was closed, which nobody does.
        taken.extend(Arc::clone(semaphore).acquire_owned().await.ok());
    }
    Places(taken)
}

fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// As many as there are at once.
    fn count(mut next: impl FnMut() -> Option<Places>) -> usize {
        let mut held = Vec::new();
        held.extend(std::iter::from_fn(&mut next));
        held.len()
    }

    #[test]
    fn a_call_beyond_those_in_flight_is_refused_and_one_that_ends_makes_room() {
        let run = InFlight::new();
        let mut held: Vec<_> = (0..CALLS_IN_FLIGHT).map(|_| run.call().unwrap()).collect();
        assert_eq!(run.call().unwrap_err(), TooManyCalls);
        held.pop();
        assert!(run.call().is_ok());
    }

    #[test]
    fn a_run_has_so_many_connections_and_inner_runs_and_the_next_waits() {
        let (run, component, host) = (InFlight::new(), ComponentBounds::new(), HostBounds::new());
        assert_eq!(
            count(|| run.connection(&component, &host).now_or_never()),
            CONNECTIONS
        );
        assert_eq!(
            count(|| run.inner_run(&host, Inner::Strategy).now_or_never()),
            INNER_RUNS
        );
    }

    #[test]
    fn no_component_can_take_all_connections_of_the_host() {
        let host = HostBounds::new();
        let greedy = ComponentBounds::new();
        let mut held = Vec::new();
        while let Some(places) = InFlight::new().connection(&greedy, &host).now_or_never() {
            held.push(places);
        }
        assert_eq!(held.len(), CONNECTIONS_OF_COMPONENT);
        let neighbour = ComponentBounds::new();
        assert!(
            InFlight::new()
                .connection(&neighbour, &host)
                .now_or_never()
                .is_some()
        );
    }

    #[test]
    fn the_components_together_hold_no_more_connections_than_the_host_has() {
        let host = HostBounds::new();
        let open = |_| {
            InFlight::new()
                .connection(&ComponentBounds::new(), &host)
                .now_or_never()
        };
        let held: Vec<_> = (0..CONNECTIONS_OF_HOST + 1).map(open).collect();
        assert_eq!(held.iter().flatten().count(), CONNECTIONS_OF_HOST);
    }

    #[test]
    fn invoked_stages_leave_strategies_their_places() {
        let host = HostBounds::new();
        let stages = count(|| {
            InFlight::new()
                .inner_run(&host, Inner::Stage)
                .now_or_never()
        });
        assert_eq!(stages, INVOKED_STAGES_OF_HOST);
        let held: Vec<_> = (0..INVOKED_STAGES_OF_HOST)
            .map(|_| {
                InFlight::new()
                    .inner_run(&host, Inner::Stage)
                    .now_or_never()
            })
            .collect();
        assert!(held.iter().all(Option::is_some));
        assert!(
            InFlight::new()
                .inner_run(&host, Inner::Strategy)
                .now_or_never()
                .is_some()
        );
    }

    #[test]
    fn inner_runs_leave_the_most_of_the_pool_to_the_triggers() {
        let inner = (INVOKED_STAGES_OF_HOST + STRATEGIES_OF_HOST) as u32;
        assert!(inner < crate::POOL_SLOTS / 2);
    }
}
