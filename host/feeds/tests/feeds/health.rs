use bulkhead_feeds::{HEARTBEAT_EVERY, STALE_AFTER_MS};
use serde_json::json;

use crate::support::{Given, House, START_MS, trade};

#[tokio::test]
async fn a_feed_is_healthy_up_to_a_minute_after_its_last_frame_and_stale_beyond() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.clock.advance(50_000);
    peer.say(&trade(1)).await;
    house.batch().await.succeed();
    house
        .until(|health| health["stats"]["batches_ok"] == 1)
        .await;
    house.clock.advance(STALE_AFTER_MS);
    assert!(house.is_healthy());
    let health = house.health();
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("ok"), &json!("market-ingest"))
    );
    assert_eq!(
        health["last_tick_epoch_seconds"],
        (START_MS + 50_000) / 1_000
    );
    house.clock.advance(1);
    assert!(!house.is_healthy());
    assert_eq!(
        house.health()["reason"],
        "feed `primary` is stale: no frame for 60 s, the limit is 60 s"
    );
}

#[tokio::test]
async fn a_feed_without_any_frame_is_stale_a_minute_after_its_start() {
    let house = House::with(Given::default()).await;
    let _peer = house.accept().await;
    house.clock.advance(STALE_AFTER_MS);
    assert!(house.is_healthy());
    house.clock.advance(1);
    assert!(!house.is_healthy());
}

#[tokio::test]
async fn a_batch_that_is_not_taken_for_longer_than_a_minute_is_no_health() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    peer.say(&trade(1)).await;
    house.batch().await.fail("disk full");
    house
        .until(|health| health["stats"]["batches_err"] == 1)
        .await;
    house.clock.advance(STALE_AFTER_MS);
    peer.say(&trade(2)).await;
    peer.is_read().await;
    assert!(house.is_healthy());
    house.clock.advance(1);
    assert_eq!(
        house.health()["reason"],
        "feed `primary`: a batch is not taken since 2026-01-01T00:00:00.000Z: internal: disk full"
    );
}

#[tokio::test]
async fn the_heartbeat_is_written_at_the_start_and_every_fifteen_seconds() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.timer.slept_for(HEARTBEAT_EVERY).await;
    assert!(house.heartbeat().await.is_some());
    peer.say(&trade(1)).await;
    house.batch().await.succeed();
    house.clock.advance(15_000);
    house.timer.advance(HEARTBEAT_EVERY);
    house
        .until(|health| health["stats"]["heartbeat_writes_ok"] == 2)
        .await;
    let heartbeat = house.heartbeat().await.unwrap();
    assert_eq!(heartbeat["ts"], "2026-01-01T00:00:15.000Z");
    assert_eq!(heartbeat["status"], "running");
    assert_eq!(heartbeat["last_symbol"], "BTCUSDT");
    assert_eq!(heartbeat["feeds"]["primary"]["trade_events"], 1);
}

#[tokio::test]
async fn no_credential_is_in_the_health_or_the_heartbeat() {
    let house = House::with(Given {
        venue: "alpaca",
        path: "/v2/iex",
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    peer.greet().await;
    house.timer.slept_for(HEARTBEAT_EVERY).await;
    let shown = format!("{}{:?}", house.health(), house.heartbeat().await);
    assert!(
        !shown.contains("hunter2") && !shown.contains("PK1"),
        "{shown}"
    );
}
