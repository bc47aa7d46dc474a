use std::collections::BTreeMap;

use bulkhead_store::{MAX_DETAIL_BYTES, MAX_RUNS_LIMIT, MAX_RUNS_RECORDED, RunFilter, RunRecord};
use futures::executor::block_on;

use crate::stores::{RUNS_KEPT, Shared, assert_invalid, on_both_stores, run};

on_both_stores! {
    runs_come_newest_first,
    a_filter_admits_only_what_it_names,
    the_journal_forgets_the_oldest_over_its_bound,
    the_last_firing_of_a_schedule_is_kept_over_the_bound,
    counts_are_by_status,
    a_long_text_is_cut_and_the_run_kept,
    a_malformed_record_or_filter_is_refused,
}

fn record(store: &Shared, runs: Vec<RunRecord>) {
    block_on(store.record_runs(runs)).unwrap();
}

fn started_by(trigger: &str, run: RunRecord) -> RunRecord {
    RunRecord {
        trigger: trigger.to_owned(),
        ..run
    }
}

fn read(store: &Shared, filter: &RunFilter) -> Vec<String> {
    let runs = block_on(store.runs(filter)).unwrap();
    runs.into_iter().map(|run| run.run_id).collect()
}

fn runs_come_newest_first(store: &Shared) {
    let first = RunRecord {
        detail: Some("no answer within 5 s".to_owned()),
        denials: 2,
        ..run("a", "ingest", "failed", 100)
    };
    record(
        store,
        vec![first.clone(), run("b", "ingest", "success", 300)],
    );
    record(
        store,
        vec![
            run("c", "pulse", "success", 200),
            run("d", "pulse", "success", 300),
        ],
    );
    record(store, Vec::new());
    let runs = block_on(store.runs(&RunFilter::default())).unwrap();
    let ids: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids, ["d", "b", "c", "a"]);
    assert_eq!(runs.last(), Some(&first));
}

fn a_filter_admits_only_what_it_names(store: &Shared) {
    record(
        store,
        vec![
            run("a", "ingest", "failed", 1),
            run("b", "ingest", "success", 2),
            run("c", "pulse", "failed", 3),
            started_by("manual", run("d", "ingest", "failed", 4)),
        ],
    );
    let check =
        |component: Option<&str>, status: Option<&str>, limit, before_ms, expect: &[&str]| {
            let filter = RunFilter {
                component: component.map(str::to_owned),
                status: status.map(str::to_owned),
                trigger: None,
                limit,
                before_ms,
            };
            assert_eq!(read(store, &filter), expect, "{filter:?}");
        };
    check(None, None, 9, None, &["d", "c", "b", "a"]);
    check(Some("ingest"), None, 9, None, &["d", "b", "a"]);
    check(None, Some("failed"), 2, None, &["d", "c"]);
    check(Some("ingest"), Some("failed"), 9, None, &["d", "a"]);
    check(None, None, 9, Some(3), &["b", "a"]);
    check(Some("ingest"), Some("failed"), 9, Some(4), &["a"]);
    check(Some("execute"), None, 9, None, &[]);
    check(None, None, 9, Some(i64::MIN), &[]);
    let by_schedule = RunFilter {
        component: Some("ingest".to_owned()),
        trigger: Some("cron".to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(read(store, &by_schedule), ["b", "a"]);
}

fn the_journal_forgets_the_oldest_over_its_bound(store: &Shared) {
    let name = |n: u64| format!("run-{n:03}");
    for batch in 0..4 {
        let runs = (0..10)
            .map(|n| batch * 10 + n)
            .map(|n| run(&name(n), "ingest", "success", n as i64));
        record(store, runs.collect());
    }
    record(store, vec![run(&name(40), "ingest", "success", 40)]);
    let kept: Vec<String> = (41 - RUNS_KEPT..41).rev().map(name).collect();
    assert_eq!(read(store, &RunFilter::default()), kept);
}

fn the_last_firing_of_a_schedule_is_kept_over_the_bound(store: &Shared) {
    let fill = |from: i64| {
        let runs = (from..from + RUNS_KEPT as i64)
            .map(|n| started_by("http", run("x", "ingest", "success", n)));
        record(store, runs.collect());
    };
    let rare = RunFilter {
        component: Some("canary".to_owned()),
        ..RunFilter::default()
    };
    record(
        store,
        vec![
            run("first", "canary", "success", 1),
            started_by("manual", run("by-hand", "canary", "success", 3)),
            run("second", "canary", "success", 2),
            // It was meant for an earlier instant than the one before, and took longer.
            run("long", "canary", "success", 0),
        ],
    );
    fill(100);
    assert_eq!(read(store, &rare), ["second"]);
    record(store, vec![run("third", "canary", "missed", 200)]);
    fill(300);
    assert_eq!(read(store, &rare), ["third"]);
    let all = read(store, &RunFilter::default());
    assert_eq!(all.len() as u64, RUNS_KEPT + 1);
}

fn counts_are_by_status(store: &Shared) {
    assert_eq!(block_on(store.run_counts()).unwrap(), BTreeMap::new());
    let statuses = ["success", "missed", "success", "hold", "skipped"];
    record(
        store,
        statuses.map(|status| run("a", "ingest", status, 1)).into(),
    );
    let expect = [("hold", 1), ("missed", 1), ("skipped", 1), ("success", 2)];
    assert_eq!(
        block_on(store.run_counts()).unwrap(),
        expect
            .map(|(status, count)| (status.to_owned(), count))
            .into()
    );
}

fn a_long_text_is_cut_and_the_run_kept(store: &Shared) {
    let long = RunRecord {
        detail: Some(format!("x{}", "é".repeat(MAX_DETAIL_BYTES))),
        host_calls: u64::MAX,
        ..run("a", "ingest", "failed", 1)
    };
    record(store, vec![long]);
    let found = block_on(store.runs(&RunFilter::default())).unwrap();
    let detail = found[0].detail.as_ref().unwrap();
    assert_eq!(
        *detail,
        format!("x{}", "é".repeat((MAX_DETAIL_BYTES - 1) / 2))
    );
    assert_eq!(found[0].host_calls, i64::MAX as u64);
}

fn a_malformed_record_or_filter_is_refused(store: &Shared) {
    let bad = vec![
        run("a", "ingest", "success", 1),
        run("b", "ingest", "crashed", 1),
    ];
    assert_invalid(block_on(store.record_runs(bad)), "crashed");
    let many = vec![run("a", "ingest", "success", 1); MAX_RUNS_RECORDED + 1];
    assert_invalid(block_on(store.record_runs(many)), "1001 records");
    assert_eq!(read(store, &RunFilter::default()), Vec::<String>::new());
    for limit in [0, MAX_RUNS_LIMIT + 1] {
        let filter = RunFilter {
            limit,
            ..RunFilter::default()
        };
        assert_invalid(block_on(store.runs(&filter)), "limit");
    }
    let filter = RunFilter {
        status: Some("crashed".to_owned()),
        ..RunFilter::default()
    };
    assert_invalid(block_on(store.runs(&filter)), "crashed");
}
