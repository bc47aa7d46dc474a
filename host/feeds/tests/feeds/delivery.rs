use std::time::Duration;

use bulkhead_stage::Outcome;
use serde_json::json;

use crate::support::{Given, House, START_MS, WINDOW, bar, quote, trade};

#[tokio::test]
async fn a_batch_holds_the_venues_own_texts_in_their_order_and_says_where_they_come_from() {
    let mut house = House::with(Given {
        batch_frames: 3,
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    assert_eq!(
        peer.asked,
        "/stream?streams=btcusdt@kline_1m/btcusdt@trade/btcusdt@bookTicker"
    );
    let sent = [trade(1), bar(0), quote("BTCUSDT", 2)];
    for text in &sent {
        peer.say(text).await;
    }
    let run = house.batch().await;
    assert_eq!(run.frames(), sent);
    let mut input = run.input();
    input["frames"] = json!([]);
    assert_eq!(
        input,
        json!({
            "task": "frames",
            "venue": "binance",
            "received_at_ms": START_MS,
            "frames": [],
            "feed": {
                "name": "primary", "connected": true, "reconnects": 0, "replaced_quotes": 0, "disconnects": 0,
            },
        })
    );
    run.succeed();
    let health = house
        .until(|health| health["stats"]["batches_ok"] == 1)
        .await;
    assert_eq!(health["stats"]["frames_delivered"], 3);
    for counter in ["quote_events", "bar_events", "trade_events"] {
        assert_eq!(health["stats"][counter], 1, "{counter}");
    }
}

#[tokio::test]
async fn a_batch_that_is_not_full_leaves_when_its_window_has_passed() {
    let mut house = House::with(Given {
        batch_frames: 10,
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    peer.say(&trade(1)).await;
    house.timer.slept_for(WINDOW).await;
    peer.say(&trade(2)).await;
    peer.is_read().await;
    house.timer.advance(WINDOW);
    assert_eq!(house.batch().await.frames(), [trade(1), trade(2)]);
}

#[tokio::test]
async fn when_frames_come_too_fast_quotes_are_replaced_and_bars_and_trades_are_not() {
    let mut house = House::with(Given {
        queue_frames: 4,
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    peer.say(&trade(0)).await;
    let held = house.batch().await;
    for text in [
        quote("BTCUSDT", 1),
        bar(0),
        quote("BTCUSDT", 2),
        trade(1),
        quote("BTCUSDT", 3),
        bar(1),
    ] {
        peer.say(&text).await;
    }
    peer.is_read().await;
    held.succeed();
    let mut delivered = Vec::new();
    for _ in 0..4 {
        let run = house.batch().await;
        delivered.extend(run.frames());
        assert_eq!(run.input()["feed"]["replaced_quotes"], 2);
        run.succeed();
    }
    assert_eq!(delivered, [bar(0), trade(1), quote("BTCUSDT", 3), bar(1)]);
    assert_eq!(house.health()["stats"]["replaced_quotes"], 2);
}

#[tokio::test]
async fn when_the_queue_is_full_of_trades_the_socket_is_not_read_and_none_is_lost() {
    let mut house = House::with(Given {
        queue_frames: 2,
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    for id in 0..8 {
        peer.say(&trade(id)).await;
    }
    // One is with the stage, two wait, and one has been read and finds no room.
    let first = house.batch().await;
    let health = house
        .until(|health| health["stats"]["trade_events"] == 4 && health["feeds"][0]["queued"] == 2)
        .await;
    assert_ne!(health["stats"]["backpressure_waits"], 0);
    let mut delivered = first.frames();
    first.succeed();
    for _ in 1..8 {
        let run = house.batch().await;
        delivered.extend(run.frames());
        run.succeed();
    }
    let sent: Vec<String> = (0..8).map(trade).collect();
    assert_eq!(delivered, sent);
}

#[tokio::test]
async fn a_batch_that_fails_is_held_at_the_head_and_tried_again_as_it_was() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    peer.say(&trade(1)).await;
    peer.say(&trade(2)).await;
    peer.is_read().await;
    let first = house.batch().await;
    let input = first.invocation.input.clone();
    first.fail("disk full");
    for pause_s in [1, 2, 4] {
        let pause = Duration::from_secs(pause_s);
        house.timer.slept_for(pause).await;
        let feed = &house.health()["feeds"][0];
        assert_eq!(feed["held_because"], "internal: disk full");
        assert_eq!(
            (&feed["in_flight"], &feed["queued"]),
            (&json!(1), &json!(1))
        );
        house.timer.advance(pause);
        let again = house.batch().await;
        assert_eq!(again.invocation.input, input);
        match pause_s {
            4 => again.succeed(),
            _ => again.fail("disk full"),
        }
    }
    assert_eq!(house.batch().await.frames(), [trade(2)]);
    let health = house.health();
    assert_eq!(health["stats"]["batches_err"], 3);
    assert_eq!(health["feeds"][0]["held_because"], json!(null));
}

#[tokio::test]
async fn a_batch_for_which_the_stage_holds_is_kept() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    peer.say(&trade(1)).await;
    house.batch().await.end_with(Outcome::Hold);
    house.timer.slept_for(Duration::from_secs(1)).await;
    assert_eq!(house.health()["feeds"][0]["held_because"], "hold: because");
    house.timer.advance(Duration::from_secs(1));
    assert_eq!(house.batch().await.frames(), [trade(1)]);
}

#[tokio::test]
async fn what_cannot_be_read_reaches_the_stage_as_it_came() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    for text in ["not json", r#"{"e":"trade","s":"BTCUSDT"}"#, "\u{1}\"\\"] {
        peer.say(text).await;
        let run = house.batch().await;
        assert_eq!(run.frames(), [text]);
        run.succeed();
    }
    assert_eq!(house.health()["stats"]["unreadable_events"], 3);
}
