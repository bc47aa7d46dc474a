use std::time::Duration;

use futures::StreamExt as _;

use crate::support::{Given, House, trade};

const DEADLINE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_stop_hands_over_what_has_come_and_says_goodbye() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.poll().await.succeed();
    for id in 0..3 {
        peer.say(&trade(id)).await;
    }
    peer.is_read().await;
    let first = house.batch().await;
    let stopping = house.stop(DEADLINE);
    assert!(peer.socket.next().await.unwrap().unwrap().is_close());
    let mut delivered = first.frames();
    first.succeed();
    for _ in 1..3 {
        let run = house.batch().await;
        delivered.extend(run.frames());
        run.succeed();
    }
    assert_eq!(delivered, [trade(0), trade(1), trade(2)]);
    assert_eq!(stopping.await.unwrap().undelivered, 0);
    assert_eq!(house.heartbeat().await.unwrap()["status"], "stopped");
}

#[tokio::test]
async fn a_stop_ends_at_its_deadline_and_says_what_was_not_handed_over() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.poll().await.succeed();
    for id in 0..3 {
        peer.say(&trade(id)).await;
    }
    peer.is_read().await;
    let _never_ends = house.batch().await;
    let stopping = house.stop(DEADLINE);
    house.timer.slept_for(DEADLINE).await;
    house.timer.advance(DEADLINE);
    assert_eq!(stopping.await.unwrap().undelivered, 3);
}

#[tokio::test]
async fn a_batch_that_is_held_is_tried_once_more_when_the_host_stops() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.poll().await.succeed();
    peer.say(&trade(1)).await;
    house.batch().await.fail("disk full");
    house.timer.slept_for(Duration::from_secs(1)).await;
    let stopping = house.stop(DEADLINE);
    house.batch().await.succeed();
    assert_eq!(stopping.await.unwrap().undelivered, 0);
}

#[tokio::test]
async fn a_feed_that_waits_to_connect_again_stops_at_once() {
    let mut house = House::with(Given::default()).await;
    drop(house.accept().await);
    house.poll().await.succeed();
    house.timer.slept_for(Duration::from_secs(1)).await;
    assert_eq!(house.stop(DEADLINE).await.unwrap().undelivered, 0);
}

#[tokio::test]
async fn a_supervisor_that_starts_no_run_any_more_ends_the_feed_and_its_frames_are_counted() {
    let mut house = House::with(Given::default()).await;
    let mut peer = house.accept().await;
    house.poll().await.succeed();
    house.supervisor.shutdown(Duration::from_secs(60)).await;
    peer.say(&trade(1)).await;
    peer.is_read().await;
    assert_eq!(house.stop(DEADLINE).await.unwrap().undelivered, 1);
}
