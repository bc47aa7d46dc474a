//! Builds the components for their wasm targets with the cargo that runs this script.
//!
//! They go through a target folder of their own (`target/wasm`), so that the outer build's lock and flags do not
//! reach them, and are then put where `spin.toml` names them (`target/components`): each stage as it is, for
//! `bulkhead up`, and composed with its adapters, for `spin up` (`compose.rs`).

mod compose;

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Components for WASI: package name and artefact name.
const WASI: &[(&str, &str)] = &[
    ("ingest", "ingest"),
    ("generate-trading-signal", "generate_trading_signal"),
    ("execute", "execute"),
    ("pulse", "pulse"),
    ("canary", "canary"),
    ("guests", "guests"),
];

/// Those of them that are stages, by artefact name: each is composed for Spin, too.
const STAGES: &[&str] = &[
    "ingest",
    "generate_trading_signal",
    "execute",
    "pulse",
    "canary",
];

/// Components for WASI that only go into compositions.
const ADAPTERS: &[(&str, &str)] = &[
    ("spin-gateway", "spin_gateway"),
    ("spin-store", "spin_store"),
    ("spin-strategies", "spin_strategies"),
    ("spin-pipeline", "spin_pipeline"),
];

/// Components without any import: compiled without WASI, then wrapped by `wit-component`.
const PURE: &[(&str, &str)] = &[("ema-cross", "ema_cross")];

const WASI_TARGET: &str = "wasm32-wasip2";
const PURE_TARGET: &str = "wasm32-unknown-unknown";

/// The cargo profile of components (see the workspace manifest).
const PROFILE: &str = "component";

/// The memory that a component for WASI begins with: its data, its stack of 1 MiB, and a heap that is enough for most runs.
/// A memory that grows during a run has its pages opened and closed again, which interrupts the other cores each time.
const INITIAL_MEMORY_BYTES: u32 = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here
        .ancestors()
        .nth(2)
        .ok_or("this crate has left host/components")?
        .to_path_buf();
    let target = root.join("target/wasm");
    let out = root.join("target/components");
    fs::create_dir_all(&out)?;

    for triple in [WASI_TARGET, PURE_TARGET] {
        require_target(triple)?;
    }
    cargo_build(&root, &target, WASI_TARGET, &[WASI, ADAPTERS].concat())?;
    cargo_build(&root, &target, PURE_TARGET, PURE)?;

    let mut inputs = BTreeSet::new();
    for (triple, list) in [(WASI_TARGET, WASI), (PURE_TARGET, PURE)] {
        for (_, artefact) in list {
            let built = target.join(triple).join(PROFILE);
            let module = fs::read(built.join(format!("{artefact}.wasm")))?;
            let component = if triple == PURE_TARGET {
                wit_component::ComponentEncoder::default()
                    .module(&module)?
                    .validate(true)
                    .encode()?
            } else {
                module
            };
            write_if_changed(&out.join(format!("{artefact}.wasm")), &component)?;
            inputs.extend(dependencies(&built.join(format!("{artefact}.d")))?);
        }
    }

    let built = target.join(WASI_TARGET).join(PROFILE);
    for (_, artefact) in ADAPTERS {
        inputs.extend(dependencies(&built.join(format!("{artefact}.d")))?);
    }
    compose_stages(&built, &root.join("wit"), &out)?;

    inputs.extend(manifests(&inputs));
    inputs.insert(root.join("Cargo.toml"));
    inputs.insert(root.join("Cargo.lock"));
    inputs.insert(root.join("wit"));
    inputs.insert(root.join("functions/spin/store/wit"));
    inputs.insert(here.join("compose.rs"));
    for input in inputs {
        println!("cargo:rerun-if-changed={}", input.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=BULKHEAD_COMPONENTS={}", out.display());
    Ok(())
}

/// Writes `NAME.spin.wasm` for each stage.
fn compose_stages(built: &Path, wit: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let adapter = |artefact: &str| fs::read(built.join(format!("{artefact}.wasm")));
    let adapters = compose::Adapters {
        gateway: adapter("spin_gateway")?,
        store: adapter("spin_store")?,
        strategies: adapter("spin_strategies")?,
        pipeline: adapter("spin_pipeline")?,
        types: compose::types(wit)?,
    };
    for stage in STAGES {
        let component = fs::read(out.join(format!("{stage}.wasm")))?;
        let composed = compose::compose(&adapters, &component)
            .map_err(|error| format!("compose `{stage}` for Spin: {error}"))?;
        write_if_changed(&out.join(format!("{stage}.spin.wasm")), &composed)?;
    }
    Ok(())
}

/// Makes sure that the standard library of `triple` is there: adds it through rustup, or says what to type.
fn require_target(triple: &str) -> Result<(), Box<dyn Error>> {
    let rustc = env::var("RUSTC")?;
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", triple])
        .output()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    if folder.is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", triple])
        .status()
        .is_ok_and(|status| status.success());
    if added && folder.is_dir() {
        return Ok(());
    }
    Err(format!("the target {triple} is missing: type `rustup target add {triple}`").into())
}

fn cargo_build(
    root: &Path,
    target: &Path,
    triple: &str,
    list: &[(&str, &str)],
) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .current_dir(root)
        .args(["build", "--lib", "--profile", PROFILE, "--target", triple])
        .arg("--target-dir")
        .arg(target);
    for (package, _) in list {
        cargo.args(["-p", package]);
    }
    // What the outer cargo tells this script about its own build is not meant for the components.
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        let outer = matches!(
            name.as_ref(),
            "RUSTFLAGS"
                | "CARGO_ENCODED_RUSTFLAGS"
                | "CARGO_BUILD_TARGET"
                | "CARGO_TARGET_DIR"
                | "CARGO_MAKEFLAGS"
                | "MAKEFLAGS"
                | "RUSTC_WRAPPER"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "CLIPPY_ARGS"
                | "RUSTDOCFLAGS"
        ) || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_CFG_")
            || name.starts_with("CARGO_FEATURE_");
        if outer {
            cargo.env_remove(&key);
        }
    }
    if triple == WASI_TARGET {
        cargo.env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            format!("-C link-arg=--initial-memory={INITIAL_MEMORY_BYTES}"),
        );
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!(
            "the components for {triple} do not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(())
}

/// The sources that cargo's dependency file `file` names.
fn dependencies(file: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let text = fs::read_to_string(file)?;
    let list = text.split_once(": ").map_or("", |(_, list)| list);
    Ok(list
        .replace("\\ ", "\u{0}")
        .split_whitespace()
        .map(|path| PathBuf::from(path.replace('\u{0}', " ")))
        .collect())
}

/// The manifests of the packages that `sources` belong to.
fn manifests(sources: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    sources
        .iter()
        .filter_map(|source| {
            source
                .ancestors()
                .map(|folder| folder.join("Cargo.toml"))
                .find(|manifest| manifest.exists())
        })
        .collect()
}

/// Leaves a file alone that already holds `bytes`, so that its age tells when it last changed.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes)?;
    Ok(())
}
