//! Bad input: a clear error at its place, exit status 1, or 2 for wrong usage.

use serde_json::Value;

use crate::{Deployment, stderr, stdout};

#[test]
fn check_finds_no_problem_in_the_projects_own_manifest() {
    let output = Deployment::new().run(&["check"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("5 stages, 1 strategies"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn check_names_every_mistake_with_its_line_and_column() {
    let deployment = Deployment::changed(
        "overlap = \"forbid\"",
        "overlap = \"sometimes\"\nmisfires = 1",
    );
    let output = deployment.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = std::fs::read_to_string(&deployment.manifest).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("sometimes"))
        .unwrap();
    let said = stderr(&output);
    assert!(said.contains(&format!("changed.toml:{line}:")), "{said}");
    assert!(
        said.contains(&format!("changed.toml:{}:", line + 1)),
        "{said}"
    );
}

#[test]
fn a_manifest_that_is_not_there_says_what_to_do() {
    let mut deployment = Deployment::new();
    deployment.manifest = deployment.path("nowhere.toml");
    let output = deployment.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("hint:"), "{}", stderr(&output));
}

#[test]
fn an_input_that_is_not_json_is_refused_before_anything_runs() {
    let deployment = Deployment::untouched();
    std::fs::write(deployment.path("input.json"), "{\"task\": }").unwrap();
    let output = deployment.run(&["invoke", "ingest", "--input", "input.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("line 1 column 10"),
        "{}",
        stderr(&output)
    );
    assert!(!deployment.path("data").exists(), "nothing was opened");
}

#[test]
fn an_unknown_stage_is_refused() {
    let output = Deployment::new().run(&["invoke", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("unknown-component: nobody"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let output = Deployment::new().run(&["up", "--speed", "fast"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_cron_expression_and_a_time_zone_that_do_not_exist_are_named_at_their_line() {
    for (from, to) in [
        ("\"*/5 * * * * *\"", "\"*/5 * * * * * *\""),
        ("time_zone = \"UTC\"", "time_zone = \"Mars/Olympus\""),
    ] {
        let deployment = Deployment::changed(from, to);
        let output = deployment.run(&["check"]);
        assert_eq!(output.status.code(), Some(1));
        let text = std::fs::read_to_string(&deployment.manifest).unwrap();
        let line = 1 + text.lines().position(|line| line.contains(to)).unwrap();
        let said = stderr(&output);
        assert!(said.contains(&format!("changed.toml:{line}:")), "{said}");
    }
}

#[test]
fn a_database_that_is_none_is_refused_and_left_as_it_is() {
    let deployment = Deployment::untouched();
    std::fs::create_dir(deployment.path("data")).unwrap();
    std::fs::write(
        deployment.path("data/bulkhead.db"),
        "not a database, but sixteen bytes at least",
    )
    .unwrap();
    let output = deployment.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is not a Bulkhead store"),
        "{}",
        stderr(&output)
    );
    let left = std::fs::read_to_string(deployment.path("data/bulkhead.db")).unwrap();
    assert!(left.starts_with("not a database"));
}

#[test]
fn completions_name_the_subcommands() {
    let output = Deployment::new().run(&["completions", "bash"]);
    assert!(stdout(&output).contains("exit-when-replayed"));
}

#[test]
fn a_supplied_variable_is_not_missed_in_a_manifest_that_has_other_mistakes() {
    let deployment = Deployment::changed(
        "[variables]\n",
        "[variables]\nneeded = { required = true }\nodd = { neither = \"\" }\n",
    );
    let output = deployment.run(&["check", "--variable", "needed=1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("`odd`"), "{said}");
    assert!(!said.contains("`needed`"), "{said}");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_wrong_usage() {
    let deployment = Deployment::new();
    let mut command = deployment.command(&["check"]);
    command.env("BULKHEAD_LOG", "warn,bulkhead=loud");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("BULKHEAD_LOG"), "{said}");
    assert!(said.contains("hint:"), "{said}");
}

#[test]
fn check_and_doctor_print_json_where_it_is_asked_for() {
    let deployment = Deployment::new();
    let checked = deployment.json(&["check", "--json"]);
    assert_eq!(checked["ok"], true);
    let wrong = Deployment::changed("overlap = \"forbid\"", "overlap = \"sometimes\"");
    let output = wrong.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["ok"], false);
    assert!(
        checked["problems"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    );
    let output = wrong.run(&["doctor", "--json", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = |finding: &Value| finding["severity"] == "fail" && finding["check"] == "manifest";
    assert!(
        findings.as_array().unwrap().iter().any(failed),
        "{findings}"
    );
}
