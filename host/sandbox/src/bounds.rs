//! The bounds of one run, and which of them it broke.

use bulkhead_stage::Limit;
use wasmtime::ResourceLimiter;

use crate::engine::TABLE_ELEMENTS;

/// Raised inside the engine when a run breaks a bound; ends the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .limit.reason())]
pub struct LimitBroken {
    /// Which bound.
    pub limit: Limit,
    /// Its value, and where it is set.
    pub detail: String,
}

/// Counts what a run uses, and refuses what goes beyond.
#[derive(Debug)]
pub struct Bounds {
    memory_limit_bytes: usize,
    host_call_limit: u64,
    /// Calls into the host so far.
    pub host_calls: u64,
    /// Largest linear memory so far, in bytes.
    pub memory_bytes: usize,
    /// The first bound that was broken.
    pub broken: Option<LimitBroken>,
}

impl Bounds {
    /// Nothing used yet.
    pub const fn new(memory_limit_bytes: usize, host_call_limit: u64) -> Self {
        Self {
            memory_limit_bytes,
            host_call_limit,
            host_calls: 0,
            memory_bytes: 0,
            broken: None,
        }
    }

    /// Counts one call into the host.
    pub fn count_host_call(&mut self) -> Result<(), LimitBroken> {
        self.host_calls += 1;
        if self.host_calls <= self.host_call_limit {
            return Ok(());
        }
        Err(self.breaks(
            Limit::HostCalls,
            format!(
                "more than {} calls (`limits.host_calls`)",
                self.host_call_limit
            ),
        ))
    }

    /// Notes the first broken bound; later ones follow from it.
    pub fn breaks(&mut self, limit: Limit, detail: String) -> LimitBroken {
        self.broken
            .get_or_insert(LimitBroken { limit, detail })
            .clone()
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory_limit_bytes {
            let detail = format!(
                "{desired} bytes wanted, {} granted (`limits.memory`)",
                self.memory_limit_bytes
            );
            return Err(self.breaks(Limit::Memory, detail).into());
        }
        self.memory_bytes = self.memory_bytes.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            let detail = format!("{desired} table elements wanted, at most {TABLE_ELEMENTS}");
            return Err(self.breaks(Limit::Table, detail).into());
        }
        Ok(true)
    }
}
