//! Which crates of the project depend on which: the direction that `docs/architecture.md` gives.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What each crate depends on, by folder; tests and their dependencies left out. A crate that is not here depends on none.
const DEPENDENCIES: [(&str, &[&str]); 23] = [
    // No stage depends on another or on the host, the kernel on nothing.
    ("functions/evaluators", &["functions/kernel"]),
    ("functions/venues", &["functions/kernel"]),
    (
        "functions/ingest",
        &[
            "functions/evaluators",
            "functions/kernel",
            "functions/venues",
        ],
    ),
    ("functions/generate_trading_signal", &["functions/kernel"]),
    ("functions/execute", &["functions/kernel"]),
    ("functions/pulse", &["functions/kernel"]),
    ("functions/canary", &["functions/kernel"]),
    // Adapters: the first two have the host's words.
    ("functions/spin/gateway", &["host/stage"]),
    ("functions/spin/pipeline", &["host/stage"]),
    (
        "functions/spin/strategies",
        &["functions/strategies/ema_cross"],
    ),
    (
        "host/sandbox",
        &["host/grants", "host/manifest", "host/stage", "host/store"],
    ),
    ("host/supervisor", &["host/stage"]),
    (
        "host/telemetry",
        &["functions/kernel", "host/stage", "host/supervisor"],
    ),
    (
        "host/triggers",
        &["host/stage", "host/supervisor", "host/telemetry"],
    ),
    (
        "host/feeds",
        &[
            "functions/kernel",
            "functions/venues",
            "host/grants",
            "host/manifest",
            "host/stage",
            "host/store",
            "host/supervisor",
        ],
    ),
    (
        "host/paper",
        &["functions/kernel", "functions/venues", "host/stage"],
    ),
    (
        "host/bars",
        &["functions/evaluators", "functions/kernel", "host/store"],
    ),
    (
        "host/cli",
        &[
            "functions/canary",
            "functions/evaluators",
            "functions/ingest",
            "functions/kernel",
            "functions/pulse",
            "host/bars",
            "host/components",
            "host/feeds",
            "host/grants",
            "host/manifest",
            "host/paper",
            "host/sandbox",
            "host/stage",
            "host/store",
            "host/supervisor",
            "host/telemetry",
            "host/triggers",
        ],
    ),
    // These know no crate of the project.
    ("functions/kernel", &[]),
    ("functions/strategies/ema_cross", &[]),
    ("host/grants", &[]),
    ("host/manifest", &[]),
    ("host/store", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `Cargo.toml` of a folder.
fn cargo_toml(folder: &Path) -> Table {
    let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    text.parse().unwrap()
}

/// What a crate is built with: its dependencies and its build script's, for any target.
fn built_with(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flatten();
    let places = targets.filter_map(|(_, target)| target.as_table());
    places
        .chain([manifest])
        .flat_map(|place| {
            ["dependencies", "build-dependencies"].map(|kind| place.get(kind)?.as_table())
        })
        .flatten()
        .flatten()
}

#[test]
fn each_crate_depends_on_the_crates_that_the_architecture_lists_and_on_no_others() {
    let workspace = cargo_toml(&root());
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let manifests: BTreeMap<&str, Table> = members
        .iter()
        .map(|member| member.as_str().unwrap())
        .map(|folder| (folder, cargo_toml(&root().join(folder))))
        .collect();
    let folders: BTreeMap<&str, &str> = manifests
        .iter()
        .map(|(folder, manifest)| (manifest["package"]["name"].as_str().unwrap(), *folder))
        .collect();
    let listed = BTreeMap::from(DEPENDENCIES);

    for (folder, manifest) in &manifests {
        if folder.starts_with("tests") {
            continue;
        }
        let found: BTreeSet<&str> = built_with(manifest)
            .filter_map(|(name, dependency)| {
                // One under another name says which package it is.
                let package = dependency.get("package").and_then(Value::as_str);
                folders.get(package.unwrap_or(name)).copied()
            })
            .collect();
        let expected = listed.get(folder).copied().unwrap_or_default();
        assert_eq!(
            found,
            expected.iter().copied().collect(),
            "{folder} depends on other crates than its list in this test says"
        );
    }
    for folder in listed.keys() {
        assert!(manifests.contains_key(folder), "there is no crate {folder}");
    }
}
