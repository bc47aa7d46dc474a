//! What is told of a run, and when.

use serde_json::{Value, json};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::run::Polled;
use crate::world::{FIRST_MS, LATER_MS, MINUTE_MS, World, answered};

const NOW_MS: i64 = FIRST_MS + 3_000 * MINUTE_MS;

fn topics(world: &World, at_ms: i64, run: &str) -> Vec<String> {
    let ended = world.attempt(at_ms, run, 1).unwrap();
    ended.events.into_iter().map(|event| event.topic).collect()
}

#[test]
fn assessments_are_published_in_the_order_of_an_ingest_and_kept() {
    let world = World::with_bars(0..3_000);
    let told = topics(&world, NOW_MS, "r1");
    assert_eq!(
        told,
        [
            "telemetry.data_backbone.validation",
            "telemetry.ingest.health",
            "telemetry.ingest.metrics",
            "telemetry.ingest.quality",
            "telemetry.data_backbone.retention",
            "telemetry.ingest.trends",
            "telemetry.ingest.failover",
            "telemetry.ingest.observability",
            "telemetry.operational.slos",
            "telemetry.data_backbone.readiness",
            "telemetry.ingest.scheduler",
        ]
    );
    for topic in told {
        let latest = world.body("assessments", &topic);
        let id = latest["history"]["latest"].as_str().unwrap().to_owned();
        assert_eq!(id, format!("{NOW_MS}-r1"));
        let kept = world.body(&format!("assessments/{topic}"), &id);
        assert_eq!(kept["status"], latest["status"], "{topic}");
    }
    assert_eq!(
        world.body("assessments", "telemetry.ingest.health")["status"],
        "ok"
    );
    assert_eq!(
        world.body("assessments", "telemetry.ingest.quality")["status"],
        "ok"
    );
}

#[test]
fn a_poll_without_news_assesses_nothing_until_a_minute_has_passed() {
    let world = World::with_bars(0..3_000);
    assert_eq!(topics(&world, NOW_MS, "r1").len(), 11);
    let commits = world.commits.borrow().len();
    for second in 1..60 {
        assert!(
            topics(&world, NOW_MS + second * 1_000, "r").is_empty(),
            "{second}"
        );
    }
    assert!(
        world.commits.borrow()[commits..]
            .iter()
            .all(|writes| *writes == 1)
    );
    assert_eq!(topics(&world, NOW_MS + 60_000, "r2").len(), 11);
}

#[test]
fn a_change_for_the_worse_is_told_at_once() {
    let world = World::with_bars(0..3_000);
    topics(&world, NOW_MS, "r1");
    world.serve(0..3_001);
    assert_eq!(topics(&world, NOW_MS + MINUTE_MS, "r2").len(), 11);
    world.down.borrow_mut().insert("venue.test".to_owned());
    assert_eq!(topics(&world, NOW_MS + 2 * MINUTE_MS, "r3").len(), 11);
    assert!(topics(&world, NOW_MS + 2 * MINUTE_MS + 1_000, "r4").is_empty());
    let health = world.body("assessments", "telemetry.ingest.health");
    assert_eq!(health["status"], "error");
    let readiness = world.body("assessments", "telemetry.data_backbone.readiness");
    assert_eq!(readiness["status"], "fail");
}

#[test]
fn the_journal_tells_of_each_dimension_how_it_came_in() {
    let world = World::with_bars(0..3_000);
    let Polled::Stored(record) = world.poll_at(NOW_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    let dimension = &record.dimensions[0];
    assert_eq!(dimension.dimension.as_str(), "intraday_trades");
    assert_eq!(
        (dimension.status.as_str(), dimension.message.as_str()),
        ("ok", "healthy")
    );
    assert_eq!(
        (dimension.rows, dimension.symbols, dimension.missing),
        (3_000, 1, 0)
    );
    assert_eq!(dimension.freshness_seconds, Some(0.0));
    assert_eq!(
        dimension.source.as_deref(),
        Some("primary binance http://venue.test")
    );
    assert_eq!(
        (dimension.duration_ms, dimension.recovery_attempts),
        (1.5, 0)
    );
}

#[test]
fn each_symbol_says_how_fresh_and_how_good_it_is_and_why() {
    let world = World::with_bars(0..3_000);
    world.poll_at(NOW_MS, "r1").unwrap();
    let known = world.series("BTC-USDT");
    assert_eq!(
        (&known["status"], &known["why"]),
        (&json!("ok"), &json!("complete, and no bar is overdue"))
    );
    assert_eq!(known["due_at_ms"], NOW_MS + MINUTE_MS);
    assert_eq!(
        (&known["coverage"], &known["score"]),
        (&json!(1.0), &json!(1.0))
    );
    // An hour without a bar, seen by the poll after it.
    world.poll_at(NOW_MS + 60 * MINUTE_MS, "r2").unwrap();
    let known = world.series("BTC-USDT");
    assert_eq!(known["status"], "error");
    assert_eq!(
        known["why"],
        "the newest row is 3600 s old, older than 900 s"
    );
    assert_eq!(known["freshness_seconds"], 3_600.0);
}

#[test]
fn trends_are_made_of_the_last_fifty_rows_and_a_repeated_run_has_one() {
    let world = World::with_bars(0..3);
    for minute in 0..60 {
        let at_ms = LATER_MS + minute * MINUTE_MS;
        world.attempt(at_ms, &format!("r{minute:02}"), 1).unwrap();
    }
    world.attempt(LATER_MS + 120 * MINUTE_MS, "r59", 2).unwrap();
    let trend = world.body("ingest", "trend");
    let rows = trend["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 50);
    let of_last = rows.iter().filter(|row| row["run_id"] == "r59");
    assert_eq!(of_last.count(), 1);
}

#[test]
fn macro_events_are_stored_once_and_asked_for_every_quarter_of_an_hour() {
    let events = json!({"events": [
        {"time": "2024-02-13T13:30:00Z", "name": "CPI", "country": "US", "importance": "high"}
    ]});
    let world = World::with_bars(0..3)
        .with("macro_events_enabled", "1")
        .with("macro_events_url", "http://macro.test");
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r0").unwrap();
    let failed = world.state()["memory"]["macro_events"]["error"].clone();
    assert!(
        failed
            .as_str()
            .unwrap()
            .contains("GET http://macro.test/macro_events")
    );
    world.requests.borrow_mut().clear();
    for (minute, run) in [(13, "r1"), (14, "r2"), (29, "r3")] {
        // No bar is new: all that is asked for by name is the events.
        world
            .answers
            .replace([answered(200, "[]"), answered(200, &events)].into());
        world.poll_at(FIRST_MS + minute * MINUTE_MS, run).unwrap();
    }
    let requests = world.requests.borrow();
    let asked = requests.iter().filter(|url| url.ends_with("/macro_events"));
    assert_eq!(asked.count(), 2);
    let calendar = world.body("macro_events", "current");
    assert_eq!(calendar["events"][0]["time_ms"], 1_707_831_000_000_i64);
    let revision = &world.documents.borrow()[&("macro_events".to_owned(), "current".to_owned())].0;
    assert_eq!(*revision, 1);
    let health = world.body("assessments", "telemetry.ingest.health");
    assert_eq!(health["metadata"]["planned_dimensions"][1], "macro_events");
}

#[test]
fn a_replica_is_compared_where_there_is_one() {
    let world = World::with_bars(0..3_000);
    world.put(
        "ingest_replica",
        "current",
        r#"{"region":"eu","records":[]}"#,
    );
    let told = topics(&world, NOW_MS, "r1");
    assert!(told.contains(&"telemetry.ingest.cross_region_failover".to_owned()));
    let assessed: Value = world.body("assessments", "telemetry.ingest.cross_region_failover");
    assert_eq!(assessed["status"], "fail");
}

#[test]
fn macro_events_are_not_asked_for_when_the_answer_could_outlast_the_run() {
    let world = World::with_bars(0..3)
        .with("macro_events_enabled", "1")
        .with("macro_events_url", "http://macro.test");
    world.late_ms.set(20_000.0);
    world.poll_at(FIRST_MS + 3 * MINUTE_MS, "r1").unwrap();
    assert!(world.requests.borrow().is_empty());
    world.late_ms.set(0.0);
    world.poll_at(FIRST_MS + 4 * MINUTE_MS, "r2").unwrap();
    assert_eq!(world.requests.borrow().len(), 2);
}

#[test]
fn a_bar_that_is_seen_a_second_later_than_the_last_one_is_no_trend() {
    let world = World::with_bars(0..3_000);
    topics(&world, NOW_MS + 1_000, "r1");
    world.serve(0..3_001);
    topics(&world, NOW_MS + MINUTE_MS + 2_000, "r2");
    let trends = world.body("assessments", "telemetry.ingest.trends");
    assert_eq!(trends["status"], "ok", "{trends}");
}

#[test]
fn retention_sees_bars_that_were_let_go_of_and_macro_events() {
    let world = World::with_bars(0..3_000)
        .with("macro_events_enabled", "1")
        .with("macro_events_url", "http://macro.test");
    world.poll_at(NOW_MS, "r1").unwrap();
    let retention = world.body("assessments", "telemetry.data_backbone.retention");
    assert_eq!(retention["checks"][1]["name"], "macro_events");
    let kept = FIRST_MS + 1_000 * MINUTE_MS;
    let mut pruned = world.stored.borrow()["BTC-USDT"].clone();
    pruned.retain(|opens, _| *opens >= kept);
    world
        .stored
        .borrow_mut()
        .insert("BTC-USDT".to_owned(), pruned);
    world.serve(0..3_001);
    world.poll_at(NOW_MS + MINUTE_MS, "r2").unwrap();
    assert_eq!(world.series("BTC-USDT")["earliest_open_time_ms"], kept);
}

#[test]
fn the_journal_tells_how_good_each_symbol_and_dimension_is_and_why() {
    let minutes = (0..3_000).filter(|minute| !(1_000..2_500).contains(minute));
    let world = World::default();
    world.serve(minutes);
    let Polled::Stored(record) = world.poll_at(NOW_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    let (series, known) = (&record.symbols[0], world.series("BTC-USDT"));
    assert_eq!(
        (json!(series.status), json!(series.score), json!(series.why)),
        (
            known["status"].clone(),
            known["score"].clone(),
            known["why"].clone()
        )
    );
    assert_eq!(series.status, "error");
    assert!(
        series.why.contains("1500 bars are missing"),
        "{}",
        series.why
    );
    let quality = world.body("assessments", "telemetry.ingest.quality");
    let dimension = &record.dimensions[0];
    assert_eq!(
        (
            json!(dimension.quality_status),
            json!(dimension.quality_score)
        ),
        (
            quality["checks"][0]["status"].clone(),
            quality["metrics"]["intraday_trades.score"].clone()
        )
    );
    assert_eq!(dimension.quality_status.as_deref(), Some("error"));
}

#[test]
fn a_row_of_trends_keeps_its_quality_and_the_bars_that_were_put_aside_since_the_row_before() {
    let rejected = |world: &World| {
        let trends = world.body("assessments", "telemetry.ingest.trends");
        let name = "ingest_rejected_records_per_hour{dimension=\"intraday_trades\"}";
        trends["metrics"][name].as_f64()
    };
    let row = |world: &World| world.body("ingest", "trend")["rows"][0]["metadata"].clone();
    let twice = json!([
        crate::world::kline(3_000, "100.5"),
        crate::world::kline(3_000, "100.5")
    ]);
    let world = World::with_bars(0..3_000);
    topics(&world, NOW_MS, "r1");
    assert_eq!(
        row(&world),
        json!({
            "overall_status": "ok",
            "quality_status": "ok",
            "quality_score": 1.0,
            "rejected_records": 0,
            "rejected_records_per_hour": 0.0,
        })
    );
    assert_eq!(rejected(&world), Some(0.0));
    // Too soon for another row: what is put aside now is counted in the next one.
    world.answers.replace([answered(200, &twice)].into());
    world.serve(0..3_001);
    let soon_ms = NOW_MS + MINUTE_MS;
    topics(&world, soon_ms - 55_000, "r2");
    assert!(topics(&world, soon_ms - 50_000, "r3").is_empty());
    topics(&world, soon_ms, "r4");
    let counted = &row(&world)["rejected_records"];
    assert_eq!((counted, rejected(&world)), (&json!(1), Some(60.0)));
    topics(&world, soon_ms + MINUTE_MS, "r5");
    assert_eq!(row(&world)["rejected_records"], 0);
}
