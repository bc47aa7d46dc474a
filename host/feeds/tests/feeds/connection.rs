use std::time::Duration;

use bulkhead_feeds::{IDLE_TIMEOUT, PONG_TIMEOUT, SUBSCRIBE_TIMEOUT};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Given, House, trade};

const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_lost_connection_is_made_again_with_the_same_streams_and_a_poll_fills_the_gap() {
    let mut house = House::with(Given::default()).await;
    let first = house.accept().await;
    house.poll().await.succeed();
    let asked = first.asked.clone();
    drop(first);
    house.timer.slept_for(FIRST_PAUSE).await;
    let feed = &house.health()["feeds"][0];
    assert_eq!(feed["state"], "reconnecting");
    house.timer.advance(FIRST_PAUSE);
    let mut second = house.accept().await;
    assert_eq!(second.asked, asked);
    house.poll().await.succeed();
    second.say(&trade(1)).await;
    let run = house.batch().await;
    assert_eq!(run.input()["feed"]["reconnects"], 1);
    assert_eq!(run.input()["feed"]["disconnects"], 1);
    assert_eq!(house.health()["feeds"][0]["state"], "running");
}

#[tokio::test]
async fn a_poll_of_the_gap_that_fails_is_tried_again_until_it_succeeds() {
    let mut house = House::with(Given::default()).await;
    let _peer = house.accept().await;
    house.poll().await.fail("venue down");
    house.timer.slept_for(FIRST_PAUSE).await;
    house.timer.advance(FIRST_PAUSE);
    house.poll().await.succeed();
    let health = house.until(|health| health["stats"]["polls_ok"] == 1).await;
    assert_eq!(health["stats"]["polls_err"], 1);
}

#[tokio::test]
async fn the_pauses_double_and_begin_anew_after_the_first_good_frame() {
    let mut house = House::with(Given::default()).await;
    for pause_s in [1, 2, 4] {
        drop(house.accept().await);
        let pause = Duration::from_secs(pause_s);
        house.timer.slept_for(pause).await;
        house.timer.advance(pause);
    }
    let mut peer = house.accept().await;
    peer.say("not json").await;
    house.batch().await.succeed();
    drop(peer);
    house.timer.slept_for(Duration::from_secs(8)).await;
    house.timer.advance(Duration::from_secs(8));
    let mut peer = house.accept().await;
    peer.say(&trade(1)).await;
    house.batch().await.succeed();
    drop(peer);
    house.timer.slept_for(FIRST_PAUSE).await;
}

#[tokio::test]
async fn a_ping_of_the_venue_is_answered() {
    let house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    let ping = Message::Ping("beat".into());
    peer.socket.send(ping).await.unwrap();
    let answer = peer.socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong("beat".into()));
}

#[tokio::test]
async fn a_quiet_venue_that_answers_a_ping_stays_connected() {
    let house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    for _ in 0..3 {
        house.timer.slept_for(IDLE_TIMEOUT).await;
        house.timer.advance(IDLE_TIMEOUT);
        let ping = peer.socket.next().await.unwrap().unwrap();
        assert!(ping.is_ping());
        peer.socket.flush().await.unwrap();
    }
    house.timer.slept_for(IDLE_TIMEOUT).await;
    assert_eq!(house.connections(), 1);
}

#[tokio::test]
async fn a_silent_venue_is_left_and_connected_again() {
    let house = House::with(Given::default()).await;
    let _silent = house.accept().await;
    house.timer.slept_for(IDLE_TIMEOUT).await;
    house.timer.advance(IDLE_TIMEOUT);
    house.timer.slept_for(PONG_TIMEOUT).await;
    house.timer.advance(PONG_TIMEOUT);
    house.timer.slept_for(FIRST_PAUSE).await;
    assert_eq!(house.health()["feeds"][0]["detail"], "silent for 30 s");
    house.timer.advance(FIRST_PAUSE);
    house.accept().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection_and_is_not_kept() {
    let house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    let text = "x".repeat(bulkhead_feeds::MAX_MESSAGE_BYTES + 1);
    // The feed may have left before the whole of it is sent.
    let _ = peer.socket.send(Message::text(text)).await;
    house.timer.slept_for(FIRST_PAUSE).await;
    let health = house.health();
    assert_eq!(
        health["feeds"][0]["detail"],
        format!(
            "a message has more than {} bytes",
            bulkhead_feeds::MAX_MESSAGE_BYTES
        )
    );
    assert_eq!(health["feeds"][0]["queued"], 0);
}

#[tokio::test]
async fn the_longest_message_is_delivered() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    let text = "\u{1}".repeat(bulkhead_feeds::MAX_MESSAGE_BYTES);
    peer.say(&text).await;
    let run = house.batch().await;
    assert!(run.invocation.input.len() <= bulkhead_feeds::MAX_INPUT_BYTES);
    assert_eq!(run.frames(), [text]);
}

#[tokio::test]
async fn a_message_that_is_no_text_ends_the_connection() {
    let house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    let message = Message::binary(vec![0xff]);
    peer.socket.send(message).await.unwrap();
    house.timer.slept_for(FIRST_PAUSE).await;
    assert_eq!(
        house.health()["feeds"][0]["detail"],
        "a message is not text"
    );
}

fn alpaca() -> Given {
    Given {
        venue: "alpaca",
        path: "/v2/iex",
        ..Given::default()
    }
}

#[tokio::test]
async fn alpaca_is_authenticated_and_subscribed_on_each_connection() {
    let mut house = House::with(alpaca()).await;
    let expect = json!({
        "action": "subscribe", "trades": ["SPY"], "quotes": ["SPY"], "bars": ["SPY"],
        "updatedBars": ["SPY"], "dailyBars": [],
    });
    let mut peer = house.accept().await;
    assert_eq!(peer.asked, "/v2/iex");
    assert_eq!(peer.greet().await, expect);
    house.poll().await.succeed();
    drop(peer);
    house.timer.slept_for(FIRST_PAUSE).await;
    house.timer.advance(FIRST_PAUSE);
    let mut peer = house.accept().await;
    assert_eq!(peer.greet().await, expect);
    house.poll().await.succeed();
}

#[tokio::test]
async fn each_element_of_an_alpaca_message_is_a_frame() {
    let mut house = House::with(Given {
        batch_frames: 2,
        ..alpaca()
    })
    .await;
    let mut peer = house.accept().await;
    peer.greet().await;
    let quote = r#"{"T":"q","S":"SPY","t":"2026-01-01T00:00:00Z","bp":1,"bs":1,"ap":2,"as":1}"#;
    let trade = r#"{"T":"t","S":"SPY","t":"2026-01-01T00:00:00Z","i":1,"p":1.5,"s":1}"#;
    peer.say(&format!("[{quote},{trade}]")).await;
    let run = house.batch().await;
    assert_eq!(run.frames(), [format!("[{quote}]"), format!("[{trade}]")]);
    assert_eq!(run.input()["venue"], "alpaca");
}

#[tokio::test]
async fn a_venue_that_does_not_subscribe_in_time_is_left() {
    let house = House::with(alpaca()).await;
    let _peer = house.accept().await;
    house.timer.slept_for(SUBSCRIBE_TIMEOUT).await;
    house.until(|_| house.timer.sleeps(IDLE_TIMEOUT)).await;
    house.timer.advance(SUBSCRIBE_TIMEOUT);
    house.timer.slept_for(FIRST_PAUSE).await;
    let feed = &house.health()["feeds"][0];
    assert_eq!(feed["detail"], "no subscription within 10 s");
    assert_eq!(feed["disconnects"], 0);
}
