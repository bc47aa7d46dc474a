use std::time::Duration;

use bulkhead_feeds::HANDSHAKE_TIMEOUT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Given, House};

const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Answers the handshake with a status.
async fn answer(mut stream: TcpStream, head: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let response = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(response.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn is_fatal(house: &House, detail: &str) {
    let health = house
        .until(|health| health["feeds"][0]["state"] == "fatal")
        .await;
    assert_eq!(health["feeds"][0]["detail"], detail);
    assert!(!house.is_healthy());
    assert_eq!(
        health["reason"],
        format!("feed `primary` was refused for good: {detail}")
    );
}

#[tokio::test]
async fn credentials_that_are_refused_are_not_sent_again() {
    let house = House::with(Given {
        venue: "alpaca",
        path: "/v2/iex",
        ..Given::default()
    })
    .await;
    let mut peer = house.accept().await;
    peer.say(r#"[{"T":"success","msg":"connected"}]"#).await;
    peer.hear().await;
    peer.say(r#"[{"T":"error","code":402,"msg":"auth failed"}]"#)
        .await;
    is_fatal(&house, "the venue says: auth failed (code 402)").await;
    assert!(!house.timer.sleeps(FIRST_PAUSE));
    assert_eq!(house.connections(), 1);
}

#[tokio::test]
async fn a_handshake_that_is_unauthorised_or_forbidden_is_final() {
    for (head, detail) in [
        (
            "401 Unauthorized",
            "the venue answered the handshake with HTTP 401",
        ),
        (
            "403 Forbidden",
            "the venue answered the handshake with HTTP 403",
        ),
    ] {
        let house = House::with(Given::default()).await;
        answer(house.accept_raw().await, head).await;
        is_fatal(&house, detail).await;
    }
}

#[tokio::test]
async fn a_venue_that_is_rate_limited_is_asked_again_after_the_time_it_names() {
    let house = House::with(Given::default()).await;
    let head = "429 Too Many Requests\r\nretry-after: 90";
    answer(house.accept_raw().await, head).await;
    house.timer.slept_for(Duration::from_secs(90)).await;
    house.timer.advance(Duration::from_secs(90));
    house.accept().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let house = House::with(Given::default()).await;
    let head = "301 Moved Permanently\r\nlocation: ws://127.0.0.1:1/stream";
    answer(house.accept_raw().await, head).await;
    house.timer.slept_for(FIRST_PAUSE).await;
    assert_eq!(
        house.health()["feeds"][0]["detail"],
        "the venue answered the handshake with HTTP 301"
    );
    assert_eq!(house.connections(), 1);
}

#[tokio::test]
async fn a_venue_that_never_ends_the_handshake_is_left() {
    let house = House::with(Given::default()).await;
    let _stream = house.accept_raw().await;
    house.timer.slept_for(HANDSHAKE_TIMEOUT).await;
    house.timer.advance(HANDSHAKE_TIMEOUT);
    house.timer.slept_for(FIRST_PAUSE).await;
    assert_eq!(
        house.health()["feeds"][0]["detail"],
        "no websocket handshake within 10 s"
    );
}

#[tokio::test]
async fn a_url_that_is_not_granted_opens_no_connection() {
    let house = House::with(Given {
        granted: "/v2/iex",
        ..Given::default()
    })
    .await;
    let health = house
        .until(|health| health["feeds"][0]["state"] == "fatal")
        .await;
    let detail = health["feeds"][0]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("refused by the egress gate: path-not-granted:"),
        "{detail}"
    );
    assert_eq!(house.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_asked_for_again_and_opens_no_connection() {
    let house = House::with(Given {
        host: "stream.example.com",
        ..Given::default()
    })
    .await;
    house.timer.slept_for(FIRST_PAUSE).await;
    house.timer.advance(FIRST_PAUSE);
    house.timer.slept_for(FIRST_PAUSE * 2).await;
    let feed = &house.health()["feeds"][0];
    assert_eq!(feed["state"], "reconnecting");
    assert!(feed["detail"].as_str().unwrap().contains("name-unresolved"));
    assert_eq!(house.connections(), 0);
}
