//! `bulkhead drill`: rehearsals, and how they are graded.

use serde_json::Value;

use crate::bars::{rows, write};
use crate::{Deployment, stderr, stdout};

fn with_bars() -> Deployment {
    let deployment = Deployment::untouched();
    let output = deployment.run(&write(&deployment, &rows(0..2_000)));
    assert!(output.status.success(), "{}", stderr(&output));
    deployment
}

#[test]
fn an_export_stress_drill_grades_each_cycle() {
    let deployment = with_bars();
    let output = deployment.run(&["drill", "export-stress", "--cycles", "2", "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.starts_with("**telemetry.ingest.spark_stress: OK**"),
        "{said}"
    );
    assert!(said.contains("| cycle 2 | OK | in good time |"), "{said}");
    let graded = deployment.json(&["drill", "export-stress", "--cycles", "1", "--json"]);
    assert_eq!(graded["status"], "ok");
}

#[test]
fn a_cycle_that_takes_too_long_fails_the_drill_with_exit_status_1() {
    let deployment = with_bars();
    let output = deployment.run(&[
        "drill",
        "export-stress",
        "--cycles",
        "1",
        "--fail-after",
        "0.000000001",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let graded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(graded["status"], "fail");
}

#[test]
fn a_drill_without_bars_says_what_to_do() {
    let deployment = Deployment::untouched();
    drop(deployment.store());
    let output = deployment.run(&["drill", "export-stress"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("bulkhead bars import"),
        "{}",
        stderr(&output)
    );
}
