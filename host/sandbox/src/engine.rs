//! The engine: pooled slots, copy-on-write memories, epochs, asynchronous calls.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Length of an epoch. A guest that computes without end is interrupted once in each, so that its neighbours on the
/// same thread go on, and its deadline is kept to within a tick.
pub const EPOCH: Duration = Duration::from_millis(5);

/// Instances that may exist at once, all components together. Slots are address space, not memory, until used.
pub const POOL_SLOTS: u32 = 512;

/// Guest stack. Recursion beyond it is `stack-overflow`.
const WASM_STACK_BYTES: usize = 512 << 10;

/// Stack of a fiber: the guest's part and what the host's imports need on top.
const FIBER_STACK_BYTES: usize = 1 << 20;

/// Elements that one table may hold. Rust components have one table, of some hundred functions.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Memory of a slot that stays resident between runs: resetting it costs less than giving it back.
const KEEP_RESIDENT_BYTES: usize = 128 << 10;

/// Largest linear memory that any grant may ask for (`limits.memory`).
pub const MEMORY_CEILING_BYTES: usize = 1 << 30;

/// Makes the engine and starts the thread that ticks its epochs. The thread ends with the engine.
pub fn engine() -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config())?;
    let ticker = Ticker(engine.weak());
    thread::Builder::new()
        .name("epoch".into())
        .spawn(move || ticker.run())
        .map_err(wasmtime::Error::new)?;
    Ok(engine)
}

/// The configuration: the same for compiling and for running, since compiled code depends on it.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POOL_SLOTS)
        .total_core_instances(POOL_SLOTS * 4)
        .total_memories(POOL_SLOTS)
        .total_tables(POOL_SLOTS * 2)
        .total_stacks(POOL_SLOTS)
        .max_memories_per_component(2)
        .max_tables_per_component(4)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_CEILING_BYTES)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_reservation(MEMORY_CEILING_BYTES as u64)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

struct Ticker(wasmtime::EngineWeak);

impl Ticker {
    fn run(self) {
        while let Some(engine) = self.0.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(EPOCH);
        }
    }
}
