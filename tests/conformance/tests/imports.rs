//! What each component may ask for, read off the built files and compared with committed lists: a stage cannot gain
//! authority without a change of its list. `UPDATE_GOLDEN=1` writes the lists anew.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bulkhead_conformance::{exports, imports};

const STAGES: [&str; 5] = [
    "ingest",
    "generate_trading_signal",
    "execute",
    "pulse",
    "canary",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(format!("{name}.imports"))
}

fn check(component: &Path, name: &str) {
    let mut found = String::new();
    for import in imports(&fs::read(component).unwrap()).unwrap() {
        writeln!(found, "{import}").unwrap();
    }
    let golden = golden(name);
    if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(golden, found).unwrap();
        return;
    }
    let expect = fs::read_to_string(&golden).unwrap();
    assert!(
        found == expect,
        "`{name}` imports other than {} says: with UPDATE_GOLDEN=1 the list is written anew\n\nfound:\n{found}\nexpected:\n{expect}",
        golden.display()
    );
}

#[test]
fn each_stage_imports_exactly_what_its_list_says() {
    for stage in STAGES {
        check(&bulkhead_components::file(stage), stage);
    }
}

#[test]
fn each_stage_composed_for_spin_imports_exactly_what_its_list_says() {
    for stage in STAGES {
        check(
            &bulkhead_components::spin_file(stage),
            &format!("{stage}.spin"),
        );
    }
}

#[test]
fn a_strategy_imports_nothing() {
    check(&bulkhead_components::file("ema_cross"), "ema_cross");
    let strategy = fs::read(bulkhead_components::file("ema_cross")).unwrap();
    assert_eq!(imports(&strategy).unwrap(), [""; 0]);
}

#[test]
fn a_composed_stage_imports_only_what_spin_supplies() {
    let supplied: Vec<&str> = include_str!("../spin-4.1.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for stage in STAGES {
        let component = fs::read(bulkhead_components::spin_file(stage)).unwrap();
        for import in imports(&component).unwrap() {
            assert!(
                supplied.iter().any(|line| covers(line, &import)),
                "`{stage}` imports {import}, which Spin 4.1 does not supply"
            );
        }
    }
}

/// Whether a line of what Spin supplies covers an import: the same, or with `*` for its interface.
fn covers(line: &str, import: &str) -> bool {
    let part = |name: &str| {
        let (package, rest) = name.split_once('/')?;
        let (interface, version) = rest.split_once('@')?;
        Some([package, interface, version].map(str::to_owned))
    };
    match (part(line), part(import)) {
        (Some(line), Some(import)) => {
            line[0] == import[0] && line[2] == import[2] && (line[1] == "*" || line[1] == import[1])
        }
        _ => false,
    }
}

#[test]
fn a_composed_stage_exports_the_handler_that_spin_calls_and_nothing_else() {
    for stage in STAGES {
        let component = fs::read(bulkhead_components::spin_file(stage)).unwrap();
        assert_eq!(
            exports(&component).unwrap(),
            ["wasi:http/handler@0.3.0"],
            "{stage}"
        );
    }
}
