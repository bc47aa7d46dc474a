use std::num::NonZeroU32;
use std::sync::Arc;

use bulkhead_kernel::bar::Bar;
use bulkhead_paper::{Keys, Venue, VirtualClock};
use bulkhead_stage::ManualClock;
use bulkhead_venues::VenueError;
use bulkhead_venues::alpaca::stream::{self as alpaca, Subscription};
use bulkhead_venues::binance::stream::{self as binance, Channel};
use bulkhead_venues::frame::{Control, Frame, Remedy};
use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{MINUTE_MS, START_MS, Stream, bars, replay, start};

fn binance_frame(text: Option<String>) -> Frame {
    binance::parse(text.unwrap().as_bytes()).unwrap()
}

fn alpaca_frames(text: Option<String>) -> Vec<Frame> {
    let frames = alpaca::parse(text.unwrap().as_bytes()).unwrap();
    let frames: Result<Vec<Frame>, VenueError> = frames.into_iter().collect();
    frames.unwrap()
}

fn kline(frame: Frame) -> (bool, Bar) {
    match frame {
        Frame::Bar { is_closed, bar, .. } => (is_closed, bar),
        other => panic!("{other:?}"),
    }
}

fn names(channels: &[Channel]) -> Vec<String> {
    let names = channels.iter();
    names
        .map(|channel| binance::name("BTCUSDT", *channel))
        .collect()
}

#[tokio::test]
async fn a_kline_grows_until_it_is_closed_with_the_values_of_the_file() {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let venue = start(replay(&["BTC-USDT"], 3, clock)).await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_1m").await;
    stepper.advance_to(START_MS + MINUTE_MS - 1);
    let bar = bars(1, 3)[0];
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(kline(binance_frame(stream.hear().await)));
    }
    assert!(open.iter().all(|(is_closed, _)| !is_closed));
    assert!(open.iter().all(|(_, part)| part.open == bar.open));
    assert!(
        open.windows(2)
            .all(|pair| pair[0].1.volume < pair[1].1.volume)
    );
    stepper.advance(1);
    assert_eq!(kline(binance_frame(stream.hear().await)), (true, bar));
}

#[tokio::test]
async fn streams_are_subscribed_listed_and_ended_on_one_connection() {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let venue = start(replay(&["BTC-USDT", "ETH-USDT"], 10, clock)).await;
    let mut stream = Stream::open(venue.address, "/stream?streams=ethusdt@trade").await;
    let minute = "1m".parse().unwrap();
    let all = names(&[
        Channel::Trade,
        Channel::BookTicker,
        Channel::Kline(minute),
        Channel::AggTrade,
    ]);
    stream.say(binance::subscribe(&all, 7)).await;
    let done = Control::Acknowledged {
        id: Some("7".into()),
    };
    assert_eq!(binance_frame(stream.hear().await), Frame::Control(done));
    stream
        .say(r#"{"method":"LIST_SUBSCRIPTIONS","id":8}"#)
        .await;
    let mut listed = vec!["ethusdt@trade".to_owned()];
    listed.extend(all.iter().cloned());
    let listed = Frame::Control(Control::Subscribed(listed));
    assert_eq!(binance_frame(stream.hear().await), listed);
    stepper.advance(1);
    let texts = [
        stream.hear().await.unwrap(),
        stream.hear().await.unwrap(),
        stream.hear().await.unwrap(),
        stream.hear().await.unwrap(),
        stream.hear().await.unwrap(),
    ];
    assert!(texts[0].starts_with(r#"{"stream":"ethusdt@trade","data":{"#));
    let [eth, trade, quote, bar, aggregate] = texts.map(|text| binance_frame(Some(text)));
    assert!(matches!(eth, Frame::Trade { symbol, .. } if symbol == "ETHUSDT"));
    let open = bars(1, 1)[0].open;
    assert!(
        matches!(&trade, Frame::Trade { trade, .. } if trade.price == open && trade.time_ns == START_MS * 1_000_000)
    );
    assert!(
        matches!(quote, Frame::Quote { quote, .. } if quote.bid_price < open && open < quote.ask_price)
    );
    assert_eq!(kline(bar).1.close, open);
    assert_eq!(aggregate, trade);
    let mut ended = all;
    ended.push("ethusdt@trade".into());
    ended.remove(2);
    stream.say(binance::unsubscribe(&ended, 9)).await;
    let acknowledged = binance_frame(stream.hear().await);
    assert!(matches!(
        acknowledged,
        Frame::Control(Control::Acknowledged { .. })
    ));
    stepper.advance(15_000);
    assert!(!kline(binance_frame(stream.hear().await)).0);
}

#[tokio::test]
async fn a_malformed_message_is_answered_with_an_error_and_the_connection_stays() {
    let (clock, _stepper) = VirtualClock::stepped(START_MS);
    let venue = start(replay(&["BTC-USDT"], 3, clock)).await;
    let mut stream = Stream::open(venue.address, "/ws").await;
    for (text, code, words) in [
        ("{", 3, "Invalid JSON"),
        ("5", 2, "missing field `method`"),
        (r#"{"method":"JUMP","id":1}"#, 2, "unknown variant JUMP"),
        (
            r#"{"method":"SUBSCRIBE","id":1}"#,
            2,
            "missing field `params`",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":[5],"id":1}"#,
            2,
            "must be a string",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["BTCUSDT@trade"],"id":1}"#,
            2,
            "no such stream",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}"#,
            2,
            "no such stream",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@kline_2m"],"id":1}"#,
            2,
            "no such stream",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":[],"id":[]}"#,
            2,
            "request ID",
        ),
    ] {
        stream.say(text).await;
        match binance_frame(stream.hear().await) {
            Frame::Control(Control::Error(error)) => {
                assert_eq!((error.code, error.remedy), (code, Remedy::Stop), "{text}");
                assert!(error.message.contains(words), "{text}: {}", error.message);
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    for path in [
        "/ws/ethusdt@trade",
        "/stream?streams=btcusdt@trade/none",
        "/wsx",
    ] {
        assert!(
            Stream::try_open(venue.address, path).await.is_none(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_the_venue_pings_every_twenty_seconds_of_its_clock() {
    let (clock, stepper) = VirtualClock::stepped(START_MS);
    let venue = start(replay(&["BTC-USDT"], 3, clock)).await;
    let mut stream = Stream::open(venue.address, "/ws").await;
    stream.0.send(Message::Ping("here".into())).await.unwrap();
    let pong = stream.0.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("here".into()));
    for _ in 0..5 {
        stepper.advance(20_000);
        let ping = stream.0.next().await.unwrap().unwrap();
        assert!(matches!(ping, Message::Ping(_)), "{ping}");
    }
}

#[tokio::test]
async fn longer_klines_are_streamed_as_well() {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let venue = start(replay(&["BTC-USDT"], 10, clock)).await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@kline_5m").await;
    stepper.advance_to(START_MS + 5 * MINUTE_MS);
    let minutes = bars(1, 5);
    loop {
        let (is_closed, bar) = kline(binance_frame(stream.hear().await));
        if is_closed {
            assert_eq!((bar.open, bar.close), (minutes[0].open, minutes[4].close));
            assert_eq!(bar.volume, minutes.iter().map(|bar| bar.volume).sum());
            break;
        }
    }
}

#[tokio::test]
async fn a_stopped_venue_closes_its_streams() {
    let (clock, _stepper) = VirtualClock::stepped(START_MS);
    let venue = start(replay(&["BTC-USDT"], 3, clock)).await;
    let mut stream = Stream::open(venue.address, "/ws/btcusdt@trade").await;
    venue.stop.send(()).unwrap();
    assert_eq!(stream.hear().await, None);
    drop(stream);
    venue.task.await.unwrap();
}

#[tokio::test]
async fn alpaca_admits_by_key_and_streams_what_is_subscribed() {
    let (clock, stepper) = VirtualClock::stepped(START_MS - 1);
    let keys = Keys {
        id: "me".into(),
        secret: "s3".into(),
    };
    let replay = replay(&["SPY", "QQQ", "BTC-USD"], 10, clock);
    let venue = start(Venue::new(replay).with_keys(keys)).await;
    let mut stream = Stream::open(venue.address, "/v2/iex").await;
    let control = |frames: Vec<Frame>| match frames.into_iter().next() {
        Some(Frame::Control(control)) => control,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        control(alpaca_frames(stream.hear().await)),
        Control::Connected
    );
    let subscription = Subscription {
        bars: vec!["*".into()],
        quotes: vec!["SPY".into()],
        trades: vec!["SPY".into(), "NONE".into()],
        ..Subscription::default()
    };
    for (message, code) in [
        (subscription.subscribe(), 401),
        ("hello".to_owned(), 400),
        (r#"{"action":"auth","key":"me"}"#.to_owned(), 400),
        (
            r#"{"action":"auth","key":"me","secret":"s4"}"#.to_owned(),
            402,
        ),
    ] {
        stream.say(message).await;
        let answer = control(alpaca_frames(stream.hear().await));
        assert!(
            matches!(answer, Control::Error(error) if error.code == code),
            "{code}"
        );
    }
    let auth = r#"{"action":"auth","key":"me","secret":"s3"}"#;
    stream.say(auth).await;
    let answer = control(alpaca_frames(stream.hear().await));
    assert_eq!(answer, Control::Authenticated);
    stream.say(auth).await;
    let answer = control(alpaca_frames(stream.hear().await));
    assert!(matches!(answer, Control::Error(error) if error.code == 403));
    stream.say(subscription.subscribe()).await;
    let answer = control(alpaca_frames(stream.hear().await));
    let listed = ["trades:NONE", "trades:SPY", "quotes:SPY", "bars:*"];
    assert_eq!(
        answer,
        Control::Subscribed(listed.map(str::to_owned).into())
    );
    stepper.advance_to(START_MS + MINUTE_MS);
    let (mut bars_heard, mut quotes, mut trades) = (Vec::new(), 0, 0);
    while bars_heard.len() < 2 {
        for frame in alpaca_frames(stream.hear().await) {
            match frame {
                Frame::Bar { symbol, bar, .. } => bars_heard.push((symbol, bar)),
                Frame::Quote { symbol, .. } => quotes += usize::from(symbol == "SPY"),
                Frame::Trade { symbol, .. } => trades += usize::from(symbol == "SPY"),
                other => panic!("{other:?}"),
            }
        }
    }
    bars_heard.sort_by(|one, other| one.0.cmp(&other.0));
    let expect = [
        ("QQQ".to_owned(), bars(2, 1)[0]),
        ("SPY".to_owned(), bars(1, 1)[0]),
    ];
    assert_eq!(bars_heard, expect);
    // The next bar's first trade and quote come at the same instant, before or after the bar.
    assert!(
        (4..=5).contains(&quotes) && (4..=5).contains(&trades),
        "{quotes} {trades}"
    );
}

#[tokio::test]
async fn a_stream_ends_for_whoever_is_not_admitted_in_ten_seconds() {
    let (clock, stepper) = VirtualClock::stepped(START_MS);
    let venue = start(replay(&["BTC-USD"], 10, clock)).await;
    let mut stream = Stream::open(venue.address, "/v1beta3/crypto/us").await;
    stream.hear().await.unwrap();
    stepper.advance(10_000);
    let frames = alpaca_frames(stream.hear().await);
    assert!(matches!(&frames[..], [Frame::Control(Control::Error(error))] if error.code == 404));
    assert_eq!(stream.hear().await, None);
}

#[tokio::test]
async fn whoever_falls_too_far_behind_a_clock_that_goes_on_is_ended() {
    let real = ManualClock::at(0);
    let speed = NonZeroU32::MIN;
    let clock = VirtualClock::paced(START_MS - 1, speed, Arc::new(real.clone()));
    let venue = start(replay(&["SPY"], 4_000, clock)).await;
    let mut stream = Stream::open(venue.address, "/v2/sip").await;
    stream.hear().await.unwrap();
    stream
        .say(r#"{"action":"auth","key":"","secret":""}"#)
        .await;
    stream.hear().await.unwrap();
    stream
        .say(r#"{"action":"subscribe","quotes":["SPY"]}"#)
        .await;
    stream.hear().await.unwrap();
    real.advance(4_000 * MINUTE_MS);
    let frames = alpaca_frames(stream.hear().await);
    assert!(matches!(&frames[..], [Frame::Control(Control::Error(error))] if error.code == 407));
    assert_eq!(stream.hear().await, None);
}
