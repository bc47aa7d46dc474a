//! The project's own components, built by this crate's build script, so that `cargo run` and `cargo test` are
//! enough.
//!
//! The files stand under `target/components` of the workspace, where `spin.toml` names them as sources:
//! one `NAME.wasm` for each stage and strategy, and one `NAME.spin.wasm` for each stage, composed with the adapters
//! that make it run on Spin.

use std::path::{Path, PathBuf};

/// The folder of the built components.
pub fn folder() -> &'static Path {
    Path::new(env!("BULKHEAD_COMPONENTS"))
}

/// The file of one component, by the name of its artefact: `ingest`, `ema_cross`.
pub fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.wasm"))
}

/// The file of one stage as Spin runs it, by the name of its artefact: `ingest`.
pub fn spin_file(name: &str) -> PathBuf {
    folder().join(format!("{name}.spin.wasm"))
}
