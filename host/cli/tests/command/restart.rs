//! What a host that starts again finds: where it was, and what it missed.

use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{Query, RunRecord, SqliteOptions, SqliteStore, Store as _};
use futures::executor::block_on;
use serde_json::Value;

use crate::up::{made, replay};
use crate::{Deployment, Running};

/// How often the database is looked at for one moment: some minutes of looking.
const MAX_LOOKS: u32 = 20_000_000;

/// When the host is killed: once there are so many bars, or documents of a collection. Between them they fall on
/// every stage at work, near the beginning and near the end.
const MOMENTS: [(&str, u64); 8] = [
    ("bars", 1),
    ("signals", 5),
    ("orders", 10),
    ("bars", 1_200),
    ("shadowTradeHistory", 20),
    ("tradeActions", 26),
    ("orders", 36),
    ("signals", 46),
];

fn count(store: &SqliteStore, what: &str) -> u64 {
    if what == "bars" {
        let series = block_on(store.series()).unwrap();
        return series.iter().map(|series| series.count).sum();
    }
    block_on(store.count(what)).unwrap()
}

/// Returns once `running` has made so many.
fn wait_for(deployment: &Deployment, running: &mut Running, (what, many): (&str, u64)) {
    let mut store = None;
    for _ in 0..MAX_LOOKS {
        if store.is_none() {
            // The first host has yet to make it.
            store =
                SqliteStore::open_existing(&deployment.database(), SqliteOptions::default()).ok();
        }
        if store
            .as_ref()
            .is_some_and(|store| count(store, what) >= many)
        {
            return;
        }
        let ended = running.0.try_wait().unwrap();
        assert_eq!(ended, None, "the host ended before {many} {what}");
        std::thread::yield_now();
    }
    panic!("never {many} {what}");
}

/// The ids of what was decided and ordered: the same bars give the same ones.
fn ids(deployment: &Deployment) -> Vec<String> {
    let store = deployment.store();
    let collections = ["signals", "tradeActions", "shadowTradeHistory", "orders"];
    let documents = collections.map(|collection| {
        let page = block_on(store.list(&Query::all(collection))).unwrap();
        assert_eq!(page.cursor, None);
        page.documents
    });
    let keys = documents.concat().into_iter();
    keys.map(|document| document.key.to_string()).collect()
}

#[test]
fn a_host_killed_at_any_moment_goes_on_where_it_was_and_ends_with_the_same() {
    let undisturbed = Deployment::new();
    replay(&undisturbed);
    let killed = Deployment::new();
    for moment in MOMENTS {
        // The demo takes six seconds at this speed, over all starts together.
        let mut running = Running::start(killed.up(&["--speed", "28800"]));
        wait_for(&killed, &mut running, moment);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }
    replay(&killed);
    assert_eq!(made(&killed), made(&undisturbed));
    assert_eq!(ids(&killed), ids(&undisturbed));
}

#[test]
fn a_firing_missed_while_no_host_ran_is_in_the_journal() {
    let deployment = Deployment::new();
    let hour_ago_ms = SystemClock.now_ms() - 3_600_000;
    let last = RunRecord {
        run_id: "the last before the stop".into(),
        component: "pulse".into(),
        stage: "pulse".into(),
        trigger: "cron".into(),
        scheduled_at_ms: hour_ago_ms,
        started_at_ms: hour_ago_ms,
        finished_at_ms: hour_ago_ms,
        attempt: 1,
        status: "success".into(),
        reason: None,
        detail: None,
        host_calls: 0,
        denials: 0,
    };
    block_on(deployment.store().record_runs(vec![last])).unwrap();
    replay(&deployment);
    let missed = deployment.json(&["runs", "--status", "missed", "--json"]);
    let missed = missed.as_array().unwrap();
    // Every five seconds of an hour; nothing was missed of the schedules that never fired.
    assert_eq!(missed.len(), 1, "{missed:?}");
    assert_eq!(missed[0]["component"], "pulse");
    assert_eq!(missed[0]["reason"], "starting-deadline-exceeded");
    let detail = missed[0]["detail"].as_str().unwrap();
    let firings: u32 = detail.split(' ').next().unwrap().parse().unwrap();
    assert!((700..=721).contains(&firings), "{detail}");
}

#[test]
fn a_replay_that_goes_on_says_where() {
    let deployment = Deployment::new();
    let mut running = Running::start(deployment.up(&["--speed", "28800"]));
    wait_for(&deployment, &mut running, ("bars", 1));
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    let mut running = Running::start(deployment.up(&["--speed", "1", "--json"]));
    let banner: Value = serde_json::from_str(&running.first_line()).unwrap();
    let market_data = banner["market_data"].as_str().unwrap();
    assert!(
        market_data.contains("goes on after 2024-01-0"),
        "{market_data}"
    );
}
