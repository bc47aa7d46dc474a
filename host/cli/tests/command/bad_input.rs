//! Bad input: a clear error at its place, exit status 1, or 2 for wrong usage.

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
    let deployment = Deployment::new();
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
    let deployment = Deployment::new();
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
