use bulkhead_store::Series;
use serde_json::{Value, json};

use super::*;

/// When the newest bar of the tests opens: a whole minute, in Unix milliseconds.
const OPEN_MS: i64 = 1_700_000_040_000;
const MINUTE_MS: i64 = 60_000;
/// Half a minute after that bar has closed.
const NOW_MS: i64 = OPEN_MS + 3 * MINUTE_MS / 2;

fn known(status: &str, score: f64, newest_open_time_ms: i64) -> Value {
    json!({
        "status": status,
        "why": "as the stage says",
        "newest_open_time_ms": newest_open_time_ms,
        "due_at_ms": newest_open_time_ms + 2 * MINUTE_MS,
        "score": score,
    })
}

fn ledger(symbols: Value) -> Vec<(Dimension, String)> {
    let body = json!({
        "dimension": "intraday_trades",
        "timeframe": "1m",
        "graded_at_ms": NOW_MS,
        "symbols": symbols,
    });
    vec![(Dimension::IntradayTrades, body.to_string())]
}

fn stored(instrument: &str) -> SeriesSummary {
    SeriesSummary {
        series: Series::new(instrument, "1m").unwrap(),
        count: 7,
        first_ms: OPEN_MS - 6 * MINUTE_MS,
        last_ms: OPEN_MS,
    }
}

/// The lines that begin with a word.
fn lines(found: Found, now_ms: i64, word: &str) -> Vec<String> {
    let lines = of(found, now_ms).lines();
    let prefix = format!("  {word:<8} ");
    lines
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        .collect()
}

#[test]
fn the_worst_series_comes_first_with_its_age_and_why_and_one_without_a_grade_last() {
    let found = Found {
        series: vec![stored("A"), stored("D")],
        ledgers: ledger(json!({
            "A": known("ok", 1.0, OPEN_MS),
            "B": {"status": "error", "why": "no bar is stored: refused", "score": 0.0},
            "C": known("warn", 0.8, OPEN_MS),
        })),
        ..Found::default()
    };
    let stored = "7, 2023-11-14T22:08:00.000Z to 2023-11-14T22:14:00.000Z";
    assert_eq!(
        lines(found, NOW_MS, "bars"),
        [
            "B 1m: none; error: no bar is stored: refused".to_owned(),
            "C 1m: none; warn, 30 s old: as the stage says".to_owned(),
            format!("A 1m: {stored}; ok, 30 s old: as the stage says"),
            format!("D 1m: {stored}"),
        ]
    );
}

#[test]
fn a_series_is_as_old_as_it_is_now_and_not_as_it_was_when_it_was_graded() {
    let found = Found {
        ledgers: ledger(json!({"A": known("ok", 1.0, OPEN_MS)})),
        ..Found::default()
    };
    let two_hours_late = OPEN_MS + 122 * MINUTE_MS;
    let [line] = <[String; 1]>::try_from(lines(found, two_hours_late, "bars")).unwrap();
    assert!(
        line.starts_with("A 1m: none; error, 2 h old: the newest row is 7260 s old"),
        "{line}"
    );
    assert!(
        line.ends_with("when last graded: as the stage says"),
        "{line}"
    );
}

#[test]
fn many_series_are_counted_and_the_worst_twenty_shown() {
    let mut symbols = json!({});
    for number in 0..25 {
        let (status, score) = if number == 24 {
            ("error", 0.1)
        } else {
            ("ok", 1.0)
        };
        symbols[format!("S{number:02}")] = known(status, score, OPEN_MS);
    }
    let found = Found {
        ledgers: ledger(symbols),
        ..Found::default()
    };
    let shown = lines(found, NOW_MS, "bars");
    assert_eq!(shown.len(), 22);
    assert_eq!(shown[0], "25 series: 1 error, 24 ok");
    assert!(shown[1].starts_with("S24 1m: none; error"), "{}", shown[1]);
    assert_eq!(shown[21], "and 5 more: `bulkhead bars list`");
}

#[test]
fn a_document_that_cannot_be_read_is_told_in_its_place_and_the_rest_all_the_same() {
    let found = Found {
        series: vec![stored("A")],
        ledgers: vec![(Dimension::DailyBars, "[]".to_owned())],
        last_good: Some("7".to_owned()),
        heartbeat: Some("null".to_owned()),
        assessments: vec![("telemetry.ingest.health".to_owned(), "{}".to_owned())],
        ..Found::default()
    };
    let market = of(found, NOW_MS);
    let said = market.lines();
    let names: Vec<&str> = said
        .iter()
        .map(|line| line[2..].split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "bars     `ingest/series/daily_bars` cannot be read",
            "bars     A 1m",
            "stale    `ingest/last_good` cannot be read",
            "feeds    `ops/market_ingest` cannot be read",
            "graded   `assessments/telemetry.ingest.health` cannot be read",
        ]
    );
    assert_eq!(market.to_json()["unreadable"].as_array().unwrap().len(), 4);
}

#[test]
fn assessments_of_market_data_are_told_the_worst_first_with_why() {
    let of_topic = |topic: &str, status: &str, level: &str, checks: Value| {
        let body = json!({
            "topic": topic,
            "source": "timescale_ingest",
            "status": status,
            "alert_level": level,
            "generated_at": "2023-11-14T22:14:00.000Z",
            "checks": checks,
        });
        (topic.to_owned(), body.to_string())
    };
    let checks = json!([
        {"name": "daily_bars", "status": "ok", "summary": "fine"},
        {"name": "intraday_trades", "status": "error", "summary": "no rows"},
    ]);
    let feed = json!([{"name": "BTC-USDT", "status": "warn", "summary": "1 gaps"}]);
    let found = Found {
        assessments: vec![
            of_topic("telemetry.data_backbone.readiness", "ok", "info", json!([])),
            of_topic("telemetry.ingest.health", "error", "critical", checks),
            of_topic("telemetry.data_feed.health", "warn", "warning", feed),
            of_topic("telemetry.risk.drawdown", "ok", "info", json!([])),
        ],
        ..Found::default()
    };
    assert_eq!(
        lines(found, NOW_MS, "graded"),
        [
            "error telemetry.ingest.health: intraday_trades: no rows",
            "warn telemetry.data_feed.health: BTC-USDT: 1 gaps",
            "ok telemetry.data_backbone.readiness",
        ]
    );
}

#[test]
fn the_last_good_bars_that_stand_are_told_with_the_reason() {
    let stale = |stale: bool| Found {
        last_good: Some(
            json!({
                "stale": stale,
                "since_ms": OPEN_MS,
                "reason": "all_sources_failed",
                "detail": "GET http://venue: refused",
            })
            .to_string(),
        ),
        ..Found::default()
    };
    assert_eq!(
        lines(stale(true), NOW_MS, "stale"),
        [
            "since 2023-11-14T22:14:00.000Z the last good bars stand: all_sources_failed: GET http://venue: refused"
        ]
    );
    assert!(lines(stale(false), NOW_MS, "stale").is_empty());
}

#[test]
fn feeds_are_told_with_their_state_and_a_heartbeat_that_stopped_is_noticed() {
    let found = || Found {
        heartbeat: Some(
            json!({
                "ts": "2023-11-14T22:14:00.000Z",
                "status": "running",
                "feeds": {"market-data": {
                    "state": "running",
                    "last_frame_at": "2023-11-14T22:13:59.000Z",
                    "last_symbol": "BTC-USDT",
                    "detail": null,
                }},
            })
            .to_string(),
        ),
        ..Found::default()
    };
    assert_eq!(
        lines(found(), OPEN_MS + 45_000, "feeds"),
        ["running at 2023-11-14T22:14:00.000Z"]
    );
    assert_eq!(
        lines(found(), OPEN_MS + 45_000, "feed"),
        ["market-data running, last frame 2023-11-14T22:13:59.000Z (BTC-USDT)"]
    );
    let late = lines(found(), OPEN_MS + 60 * MINUTE_MS, "feeds");
    assert!(late[0].contains("1 h ago"), "{late:?}");
}

#[test]
fn bars_from_this_machine_are_said_to_be_a_replay() {
    for (url, expect) in [
        ("http://127.0.0.1:7878", true),
        ("http://localhost", true),
        ("http://[::1]:7878", true),
        ("https://data-api.binance.vision", false),
        ("http://127.0.0.1.example:80", false),
        ("no url", false),
    ] {
        let found = Found {
            market_data_url: Some(url.to_owned()),
            ..Found::default()
        };
        let said = lines(found, NOW_MS, "replay");
        assert_eq!(!said.is_empty(), expect, "{url}");
    }
}

#[test]
fn a_schedule_that_stands_still_is_graded_as_of_now_and_not_as_its_last_run_said() {
    let state = json!({
        "memory": {"schedule": {
            "is_enabled": true,
            "last_scheduled_at_ms": NOW_MS,
            "interval_ms": 1_000,
            "last_success_at_ms": NOW_MS,
        }},
    });
    let said = Assessment::new(
        scheduler::TOPIC,
        scheduler::SOURCE,
        bulkhead_kernel::assessment::Ladder::OK_WARN_FAIL,
        NOW_MS,
    );
    let found = || Found {
        state: Some(state.to_string()),
        assessments: vec![(scheduler::TOPIC.to_owned(), said.to_json().to_string())],
        ..Found::default()
    };
    let graded = |now_ms| {
        let lines = lines(found(), now_ms, "graded");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    };
    assert!(graded(NOW_MS).contains("ok"), "{}", graded(NOW_MS));
    let hour_later = graded(NOW_MS + 60 * MINUTE_MS);
    assert!(hour_later.contains("warn"), "{hour_later}");
    let unreadable = Found {
        state: Some("7".to_owned()),
        ..Found::default()
    };
    assert!(!of(unreadable, NOW_MS).unreadable.is_empty());
}
