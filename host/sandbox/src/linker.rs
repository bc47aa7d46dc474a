//! Which interfaces a component may import, by its role. What is not linked here, no grant can give.

use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

use crate::bindings::bulkhead::pipeline::{documents, market_data, pipeline, strategies};
use crate::bindings::wasi::config::store;
use crate::spec::StageKind;
use crate::state::{Imports, RunState};

/// The linker of a stage.
pub fn stage(engine: &Engine, kind: StageKind) -> wasmtime::Result<Linker<RunState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    standard_library(l)?;
    store::add_to_linker::<_, Imports>(l, |state| state)?;
    documents::add_to_linker::<_, Imports>(l, |state| state)?;
    match kind {
        StageKind::Ingest => {
            market_data::add_to_linker::<_, Imports>(l, |state| state)?;
            wasmtime_wasi_http::p3::add_to_linker(l)?;
            wasmtime_wasi::p3::clocks::add_to_linker(l)?;
        }
        StageKind::GenerateTradingSignal => {
            market_data::add_to_linker::<_, Imports>(l, |state| state)?;
            strategies::add_to_linker::<_, Imports>(l, |state| state)?;
            // Types alone: there is nothing to call.
            l.instance("bulkhead:pipeline/strategy@0.1.0")?;
        }
        StageKind::Execute => {
            http(l)?;
        }
        StageKind::Pulse => {
            market_data::add_to_linker::<_, Imports>(l, |state| state)?;
            http(l)?;
        }
        StageKind::Canary => {
            pipeline::add_to_linker::<_, Imports>(l, |state| state)?;
            l.instance("bulkhead:pipeline/stage@0.1.0")?;
        }
    }
    Ok(linker)
}

/// Requests, and the clock type that their options are written with.
fn http(l: &mut Linker<RunState>) -> wasmtime::Result<()> {
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
    wasmtime_wasi::p3::bindings::clocks::types::add_to_linker::<_, WasiClocks>(
        l,
        RunState::clocks,
    )?;
    wasmtime_wasi_http::p3::add_to_linker(l)
}

/// What Rust's standard library imports on wasm32-wasip2 whether it is used or not: an empty environment, closed
/// standard input, output into the run's log, an exit that is a trap, and the seed of its hash maps. No files, no
/// clocks, no sockets.
fn standard_library(l: &mut Linker<RunState>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::add_to_linker_async(l)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, RunState::cli)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, RunState::random)
}
