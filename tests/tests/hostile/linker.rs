//! What each role may import: a component that imports anything else does not load.

use bulkhead_sandbox::{ComponentSpec, LoadError, Role, StageKind};
use bulkhead_tests::{guest, load_errors};

use crate::components::importing;

const INGEST: Role = Role::Stage(StageKind::Ingest);
const SIGNAL: Role = Role::Stage(StageKind::GenerateTradingSignal);
const EXECUTE: Role = Role::Stage(StageKind::Execute);
const PULSE: Role = Role::Stage(StageKind::Pulse);
const CANARY: Role = Role::Stage(StageKind::Canary);

const STAGES: &[Role] = &[INGEST, SIGNAL, EXECUTE, PULSE, CANARY];
const NOBODY: &[Role] = &[];

/// One function of each interface, its type in a core module, and the roles that may import it.
const IMPORTS: [(&str, &str, &str, &[Role]); 16] = [
    (
        "bulkhead:pipeline/documents@0.1.0",
        "get",
        "(param i32 i32 i32 i32 i32)",
        STAGES,
    ),
    (
        "bulkhead:pipeline/market-data@0.1.0",
        "latest",
        "(param i32 i32 i32 i32 i32)",
        &[INGEST, SIGNAL, PULSE],
    ),
    (
        "bulkhead:pipeline/strategies@0.1.0",
        "catalogue",
        "(param i32)",
        &[SIGNAL],
    ),
    (
        "bulkhead:pipeline/pipeline@0.1.0",
        "invoke",
        "(param i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32)",
        &[CANARY],
    ),
    // Of these two some roles see the types alone.
    (
        "bulkhead:pipeline/stage@0.1.0",
        "describe",
        "(param i32)",
        NOBODY,
    ),
    (
        "bulkhead:pipeline/strategy@0.1.0",
        "describe",
        "(param i32)",
        NOBODY,
    ),
    (
        "wasi:config/store@0.2.0-draft-2024-09-27",
        "get",
        "(param i32 i32 i32)",
        STAGES,
    ),
    (
        "wasi:random/insecure-seed@0.2.6",
        "insecure-seed",
        "(param i32)",
        STAGES,
    ),
    (
        "wasi:http/client@0.3.0",
        "send",
        "(param i32 i32)",
        &[INGEST, EXECUTE, PULSE],
    ),
    (
        "wasi:clocks/monotonic-clock@0.3.0",
        "now",
        "(result i64)",
        &[INGEST],
    ),
    (
        "wasi:clocks/system-clock@0.3.0",
        "now",
        "(param i32)",
        &[INGEST],
    ),
    (
        "wasi:clocks/monotonic-clock@0.2.6",
        "now",
        "(result i64)",
        NOBODY,
    ),
    (
        "wasi:filesystem/preopens@0.2.6",
        "get-directories",
        "(param i32)",
        NOBODY,
    ),
    (
        "wasi:sockets/instance-network@0.2.6",
        "instance-network",
        "(result i32)",
        NOBODY,
    ),
    (
        "wasi:random/random@0.2.6",
        "get-random-u64",
        "(result i64)",
        NOBODY,
    ),
    (
        "wasi:cli/environment@0.2.6",
        "get-environment",
        "(param i32)",
        STAGES,
    ),
];

/// A component of `role` that imports one function, and exports nothing.
fn spec(role: &Role, interface: &str, wasm: Vec<u8>) -> ComponentSpec {
    ComponentSpec {
        role: role.clone(),
        wasm,
        ..guest(&format!("{role:?} {interface}"))
    }
}

#[test]
fn a_component_that_imports_what_its_role_may_not_does_not_load() {
    let (mut specs, mut expected) = (Vec::new(), Vec::new());
    for (interface, function, core_type, may) in IMPORTS {
        let wasm = importing(interface, function, core_type);
        for role in STAGES.iter().chain([&Role::Strategy]) {
            let spec = spec(role, interface, wasm.clone());
            // One that may import it lacks its export: so it was the role that was asked, and no wrong type.
            let lacks = if may.contains(role) {
                "export"
            } else {
                "import"
            };
            expected.push((spec.name.clone(), lacks));
            specs.push(spec);
        }
    }
    let found = load_errors(specs).into_iter().map(|error| match error {
        LoadError::Import { component, .. } => (component, "import"),
        LoadError::Export { component, .. } => (component, "export"),
        other => panic!("{other:?}"),
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(&expected);
    let wrong: Vec<_> = pairs
        .filter(|(found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "found and expected: {wrong:#?}");
}
