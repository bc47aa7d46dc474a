//! A file as long as a recorded month of minutes, by every way that there is.

use bulkhead_kernel::bar::Bar;
use bulkhead_paper::VirtualClock;
use bulkhead_venues::alpaca::{self, Adjustment, Feed, Market};
use bulkhead_venues::binance::{self, klines};
use bulkhead_venues::frame::Frame;
use futures::{SinkExt as _, StreamExt as _};

use crate::support::{Client, START_MS, Stream, bars, replay, start};

const BARS: usize = 45_031;

#[tokio::test]
async fn every_bar_comes_back_exactly_through_pages_of_klines() {
    let replay = replay(&["BTC-USDT"], BARS, VirtualClock::immediate());
    let venue = start(std::sync::Arc::clone(&replay)).await;
    let mut client = Client::connect(venue.address).await;
    let mut received: Vec<Bar> = Vec::new();
    while !replay.is_finished() {
        let after = |bar: &Bar| bar.open_time_ms + 1;
        let request = klines::Request {
            symbol: "BTCUSDT".to_owned(),
            interval: "1m".parse().unwrap(),
            start_time_ms: Some(received.last().map_or(0, after)),
            end_time_ms: None,
            limit: 1_000,
        };
        let reply = client.get(&request.to_http().path_and_query).await;
        received.extend(reply.read(|reply| klines::parse(reply, 1_000)).unwrap());
    }
    assert!(received == bars(1, BARS));
}

#[tokio::test]
async fn every_bar_comes_back_exactly_through_pages_of_alpaca() {
    let venue = start(replay(&["SPY"], BARS, VirtualClock::immediate())).await;
    let mut client = Client::connect(venue.address).await;
    let mut request = alpaca::bars::Request {
        market: Market::Stocks(Feed::Sip),
        symbols: vec!["SPY".to_owned()],
        timeframe: "1m".parse().unwrap(),
        adjustment: Adjustment::Raw,
        start_ms: Some(START_MS),
        end_ms: None,
        limit: 10_000,
        page_token: None,
    };
    let mut received = Vec::new();
    loop {
        let reply = client.get(&request.to_http().unwrap().path_and_query).await;
        let page = reply
            .read(|reply| alpaca::bars::parse(reply, 10_000))
            .unwrap();
        received.extend(page.bars.into_values().flatten());
        request.page_token = page.next_page_token;
        if request.page_token.is_none() {
            break;
        }
    }
    assert!(received == bars(1, BARS));
}

#[tokio::test]
async fn every_bar_comes_back_exactly_through_a_stream_of_klines() {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let replay = replay(&["BTC-USDT"], BARS, clock);
    let venue = start(std::sync::Arc::clone(&replay)).await;
    let mut stream = Stream::open(venue.address, "/stream?streams=btcusdt@kline_1m").await;
    stepper.advance_to(i64::MAX);
    let mut received = Vec::with_capacity(BARS);
    while received.len() < BARS {
        let text = stream.hear().await.unwrap();
        match binance::stream::parse(text.as_bytes()).unwrap() {
            Frame::Bar {
                is_closed: true,
                bar,
                ..
            } => received.push(bar),
            Frame::Bar { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(received == bars(1, BARS));
    assert!(replay.is_finished());
}

#[tokio::test]
async fn where_all_has_happened_a_stream_plays_every_bar_from_the_first_on() {
    let venue = start(replay(&["BTC-USD"], BARS, VirtualClock::immediate())).await;
    let mut stream = Stream::open(venue.address, "/v1beta3/crypto/us").await;
    stream.hear().await.unwrap();
    stream
        .say(r#"{"action":"auth","key":"","secret":""}"#)
        .await;
    stream.hear().await.unwrap();
    stream
        .say(r#"{"action":"subscribe","bars":["BTC/USD"]}"#)
        .await;
    stream.hear().await.unwrap();
    let mut received = Vec::with_capacity(BARS);
    while received.len() < BARS {
        let text = stream.hear().await.unwrap();
        for frame in alpaca::stream::parse(text.as_bytes()).unwrap() {
            match frame.unwrap() {
                Frame::Bar { bar, .. } => received.push(bar),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(received == bars(1, BARS));
}

#[tokio::test]
async fn the_venue_knows_when_a_client_has_read_the_last_message_and_that_it_is_gone() {
    let replay = replay(&["BTC-USDT"], 3, VirtualClock::immediate());
    let venue = start(std::sync::Arc::clone(&replay)).await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
    for _ in 0..15 {
        assert_eq!(replay.connections_read_to_end(), 0);
        assert!(stream.hear().await.is_some());
    }
    let ping = stream.0.next().await.unwrap().unwrap();
    assert!(ping.is_ping(), "{ping}");
    stream.0.flush().await.unwrap();
    while replay.connections_read_to_end() < 1 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    while replay.connections_read_to_end() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_last_message_comes_even_when_it_is_to_come_after_the_next() {
    let venue = replay(&["BTC-USDT"], 3, VirtualClock::immediate());
    let faults = "out-of-order@btcusdt@kline_1m:15".parse().unwrap();
    let venue = start(bulkhead_paper::Venue::new(venue).with_faults(faults)).await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
    for _ in 0..15 {
        assert!(stream.hear().await.is_some());
    }
}
