//! Each fault in turn, as a client sees it; and that the same request, or the same stream, is whole afterwards.

use bulkhead_kernel::bar::Bar;
use bulkhead_paper::{Stepper, Venue, VirtualClock};
use bulkhead_venues::VenueError;
use bulkhead_venues::alpaca;
use bulkhead_venues::binance::{klines, stream};
use bulkhead_venues::frame::Frame;
use http_body_util::BodyExt as _;

use crate::support::{Client, MINUTE_MS, Running, START_MS, Stream, bars, replay, start};

const KLINES: &str = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=10";
const STOCKS: &str = "/v2/stocks/bars?symbols=SPY&timeframe=1Min&start=2024-01-01&limit=10";
const COUNT: usize = 20;

async fn faulty(faults: &str) -> (Running, Stepper) {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let replay = replay(&["BTC-USDT", "SPY"], COUNT, clock);
    let venue = Venue::new(replay).with_faults(faults.parse().unwrap());
    (start(venue).await, stepper)
}

/// A venue all of whose bars have closed.
async fn faulty_at_the_end(faults: &str) -> (Running, Stepper, Client) {
    let (venue, stepper) = faulty(faults).await;
    stepper.advance_to(START_MS + COUNT as i64 * MINUTE_MS);
    let client = Client::connect(venue.address).await;
    (venue, stepper, client)
}

async fn read_klines(client: &mut Client) -> Result<Vec<Bar>, VenueError> {
    client
        .get(KLINES)
        .await
        .read(|reply| klines::parse(reply, 10))
}

async fn read_stocks(client: &mut Client) -> Result<Vec<Bar>, VenueError> {
    let page = client.get(STOCKS).await;
    let page = page.read(|reply| alpaca::bars::parse(reply, 10))?;
    Ok(page.bars.into_values().flatten().collect())
}

#[tokio::test]
async fn a_429_says_when_to_come_back() {
    let (_venue, _stepper, mut client) = faulty_at_the_end("429=7@klines:2,429@bars:1").await;
    assert!(read_klines(&mut client).await.is_ok());
    let error = read_klines(&mut client).await.unwrap_err();
    assert!(matches!(
        error,
        VenueError::RateLimited {
            status: 429,
            retry_after_seconds: Some(7)
        }
    ));
    assert_eq!(
        read_klines(&mut client).await.unwrap(),
        bars(1, COUNT)[10..]
    );
    assert!(read_stocks(&mut client).await.unwrap_err().is_transient());
    assert_eq!(
        read_stocks(&mut client).await.unwrap(),
        bars(2, COUNT)[..10]
    );
}

#[tokio::test]
async fn a_failure_has_the_status_that_is_asked_for() {
    let (_venue, _stepper, mut client) = faulty_at_the_end("503@any:1-2").await;
    for _ in 0..2 {
        let error = read_klines(&mut client).await.unwrap_err();
        assert!(matches!(error, VenueError::Unexpected { status: 503 }));
    }
    assert!(read_klines(&mut client).await.is_ok());
}

#[tokio::test]
async fn a_slow_answer_stops_in_its_middle_until_the_pause_is_over() {
    let (_venue, stepper, mut client) = faulty_at_the_end("slow=500@/api/v3/klines:1").await;
    let mut body = client.send(KLINES).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    stepper.advance(500);
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(!first.is_empty() && !rest.is_empty());
    let whole = [first, rest].concat();
    assert_eq!(client.get(KLINES).await.body, whole);
}

#[tokio::test]
async fn a_cut_answer_ends_in_its_middle_and_takes_the_connection_with_it() {
    let (venue, _stepper, mut client) = faulty_at_the_end("cut@klines:1").await;
    assert!(client.try_get(KLINES).await.is_err());
    client.connection.await.unwrap();
    let mut client = Client::connect(venue.address).await;
    assert_eq!(
        read_klines(&mut client).await.unwrap(),
        bars(1, COUNT)[10..]
    );
}

#[tokio::test]
async fn a_malformed_answer_is_no_json() {
    let faults = "malformed@klines:1,malformed@stocks:1";
    let (_venue, _stepper, mut client) = faulty_at_the_end(faults).await;
    let error = read_klines(&mut client).await.unwrap_err();
    assert!(matches!(error, VenueError::Body(_)), "{error}");
    assert!(read_klines(&mut client).await.is_ok());
    let error = read_stocks(&mut client).await.unwrap_err();
    assert!(matches!(error, VenueError::Body(_)), "{error}");
    assert!(read_stocks(&mut client).await.is_ok());
}

#[tokio::test]
async fn a_page_lacks_a_bar_has_one_twice_or_has_two_in_the_wrong_order() {
    let faults = "gap@any:1-2,duplicate@any:3-4,out-of-order@any:5-6";
    let (_venue, _stepper, mut client) = faulty_at_the_end(faults).await;
    let last = bars(1, COUNT).split_off(10);
    let first = bars(2, COUNT);
    let mut gap = (last.clone(), first[..10].to_vec());
    gap.0.remove(5);
    gap.1.remove(5);
    assert_eq!(read_klines(&mut client).await.unwrap(), gap.0);
    assert_eq!(read_stocks(&mut client).await.unwrap(), gap.1);
    // One bar fewer, so that the page is not longer than was asked for.
    let mut twice = (last[1..].to_vec(), first[..9].to_vec());
    twice.0.insert(4, twice.0[4]);
    twice.1.insert(4, twice.1[4]);
    assert_eq!(read_klines(&mut client).await.unwrap(), twice.0);
    assert_eq!(read_stocks(&mut client).await.unwrap(), twice.1);
    let mut swapped = (last.clone(), first[..10].to_vec());
    swapped.0.swap(4, 5);
    swapped.1.swap(4, 5);
    assert_eq!(read_klines(&mut client).await.unwrap(), swapped.0);
    assert_eq!(read_stocks(&mut client).await.unwrap(), swapped.1);
    assert_eq!(read_klines(&mut client).await.unwrap(), last);
}

/// A stream of klines to its end or to the last bar: the minutes of the closed ones, and how many messages were no JSON.
async fn closed_minutes(stream: &mut Stream) -> (Vec<i64>, usize) {
    let (mut minutes, mut malformed) = (Vec::new(), 0);
    while minutes.last() != Some(&(COUNT as i64 - 1)) {
        let Some(text) = stream.hear().await else {
            break;
        };
        match stream::parse(text.as_bytes()) {
            Ok(Frame::Bar {
                is_closed: true,
                bar,
                ..
            }) => minutes.push((bar.open_time_ms - START_MS) / MINUTE_MS),
            Ok(_) => {}
            Err(_) => malformed += 1,
        }
    }
    (minutes, malformed)
}

#[tokio::test]
async fn a_stream_lacks_a_message_has_one_twice_late_or_broken() {
    // Five messages a bar: the fifth closes it.
    let all: Vec<i64> = (0..COUNT as i64).collect();
    let without: Vec<i64> = all.iter().copied().filter(|minute| *minute != 2).collect();
    let mut twice = all.clone();
    twice.insert(2, 2);
    for (faults, expect, malformed) in [
        ("gap@btcusdt@kline_1m:15", &without, 0),
        ("duplicate@stream:15", &twice, 0),
        // Later by one message, which is the first of the next bar.
        ("out-of-order@stream:15", &all, 0),
        ("malformed@stream:15", &without, 1),
        ("gap@ethusdt@kline_1m:15", &all, 0),
    ] {
        let (venue, stepper) = faulty(faults).await;
        let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
        stepper.advance_to(START_MS + COUNT as i64 * MINUTE_MS);
        let (minutes, broken) = closed_minutes(&mut stream).await;
        assert_eq!((&minutes, broken), (expect, malformed), "{faults}");
    }
}

#[tokio::test]
async fn a_message_out_of_order_comes_after_the_next_one() {
    let (venue, stepper) = faulty("out-of-order@stream:2").await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@trade").await;
    stepper.advance_to(START_MS + 30_000);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let text = stream.hear().await.unwrap();
        if let Ok(Frame::Trade { trade, .. }) = stream::parse(text.as_bytes()) {
            ids.push(trade.id);
        }
    }
    assert_eq!(ids, ["0", "2", "1"]);
}

#[tokio::test]
async fn a_slow_message_comes_when_the_pause_is_over() {
    let (venue, stepper) = faulty("slow=500@stream:1").await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@trade").await;
    stepper.advance_to(START_MS);
    stepper.advance(500);
    assert!(stream.hear().await.is_some());
}

#[tokio::test]
async fn a_cut_stream_ends_before_its_message_and_another_goes_on() {
    let (venue, stepper) = faulty("cut@stream:12").await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
    stepper.advance_to(START_MS + 10 * MINUTE_MS);
    assert_eq!(closed_minutes(&mut stream).await.0, [0, 1]);
    assert_eq!(stream.hear().await, None);
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
    stepper.advance_to(START_MS + COUNT as i64 * MINUTE_MS);
    let minutes = closed_minutes(&mut stream).await.0;
    assert_eq!(minutes, (10..COUNT as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_handshake_is_refused_or_cut() {
    let (venue, _stepper) = faulty("429@connect:1,503@connect:2,cut@connect:3").await;
    for _ in 0..3 {
        assert!(Stream::try_open(venue.address, "/ws").await.is_none());
    }
    assert!(Stream::try_open(venue.address, "/ws").await.is_some());
}

/// A page that goes on exactly where the bars before ended. None: something went wrong, so ask again.
async fn whole_page(client: &mut Client, next_ms: i64) -> Option<Vec<Bar>> {
    let path = format!("/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000&startTime={next_ms}");
    let reply = client.try_get(&path).await.ok()?;
    let page = reply.read(|reply| klines::parse(reply, 1_000)).ok()?;
    let expected = (next_ms..).step_by(MINUTE_MS as usize);
    let is_whole = page
        .iter()
        .zip(expected)
        .all(|(bar, at_ms)| bar.open_time_ms == at_ms);
    is_whole.then_some(page)
}

#[tokio::test]
async fn whatever_goes_wrong_a_client_that_asks_again_gets_every_bar() {
    const MANY: usize = 5_000;
    let all = bars(1, MANY);
    for kind in [
        "429",
        "500",
        "503",
        "slow=1",
        "cut",
        "malformed",
        "gap",
        "duplicate",
        "out-of-order",
    ] {
        let faults = format!("{kind}@klines:1,{kind}@klines:3,{kind}@klines:6-7");
        let replay = replay(&["BTC-USDT"], MANY, VirtualClock::immediate());
        let venue = Venue::new(replay).with_faults(faults.parse().unwrap());
        let venue = start(venue).await;
        let mut client = Client::connect(venue.address).await;
        let mut received: Vec<Bar> = Vec::new();
        let mut requests = 0;
        while received.len() < MANY {
            requests += 1;
            assert!(requests < 20, "{kind}");
            let next_ms = START_MS + received.len() as i64 * MINUTE_MS;
            match whole_page(&mut client, next_ms).await {
                Some(page) => received.extend(page),
                None => client = Client::connect(venue.address).await,
            }
        }
        assert!(received == all, "{kind}");
        assert_eq!(requests, if kind == "slow=1" { 5 } else { 9 }, "{kind}");
    }
}
