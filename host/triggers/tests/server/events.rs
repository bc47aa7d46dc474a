//! Streams of events.

use bulkhead_telemetry::{CloudEvent, Draft};
use bulkhead_triggers::http::MAX_EVENT_STREAMS;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::site::{NOW_MS, Site, open, request};
use crate::support::{COMPONENT, success};

/// Publishes an event of a topic once somebody is there to get it.
async fn publish(site: &Site, id: &str, topic: &str) {
    let event = CloudEvent::new(&Draft {
        id,
        application: "app",
        component: COMPONENT,
        topic,
        subject: None,
        time_ms: NOW_MS,
        data: "{}",
    });
    site.bus.publish(event.expect("an event")).expect("it runs");
}

async fn until_streams(site: &Site, count: usize) {
    while site.bus.statistics().subscriber_count != count {
        tokio::task::yield_now().await;
    }
}

/// Reads until the text has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.expect("the stream goes on"));
    }
    String::from_utf8(text).expect("UTF-8")
}

#[tokio::test]
async fn the_events_of_a_topic_come_as_a_stream_until_the_server_stops() {
    let site = open(|_| success("{}")).await;
    let asked = request("GET", "/events?topic=telemetry.ingest", "", "");
    let mut stream = site.send(asked.as_bytes()).await;
    let head = read_until(&mut stream, "retry: 3000\n\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    publish(&site, "1", "telemetry.execute").await;
    publish(&site, "2", "telemetry.ingest.health").await;
    let event = read_until(&mut stream, "}\n\n").await;
    assert!(
        event.contains("id: 2\ndata: {\"specversion\":\"1.0\""),
        "{event}"
    );
    assert!(!event.contains("telemetry.execute"), "{event}");
    site.close().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("its end");
    assert!(!rest.contains("data:"), "{rest}");
}

#[tokio::test]
async fn streams_of_events_are_bounded_and_one_that_ends_leaves_its_place() {
    let site = open(|_| success("{}")).await;
    let asked = request("GET", "/events", "", "");
    let mut streams = Vec::new();
    for _ in 0..MAX_EVENT_STREAMS {
        streams.push(site.send(asked.as_bytes()).await);
    }
    until_streams(&site, MAX_EVENT_STREAMS).await;
    let answer = site.ask("GET", "/events", "", "").await;
    answer.problem(429, "too-many-streams");
    assert_eq!(answer.header("retry-after"), Some("1"));
    streams.pop();
    until_streams(&site, MAX_EVENT_STREAMS - 1).await;
    let mut again = site.send(asked.as_bytes()).await;
    let head = read_until(&mut again, "\r\n").await;
    assert_eq!(head, "HTTP/1.1 200 OK\r\n");
    site.close().await;
}

#[tokio::test]
async fn events_are_for_get_alone_with_a_topic_that_is_one() {
    let site = open(|_| success("{}")).await;
    let answer = site.ask("POST", "/events", "", "{}").await;
    answer.problem(405, "method-not-allowed");
    for query in ["topic=a..b", "topic=%61", "topic=a&topic=b"] {
        let answer = site.ask("GET", &format!("/events?{query}"), "", "").await;
        answer.problem(400, "invalid-query");
    }
    site.close().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_read_events() {
    let site = open(|_| success("{}")).await;
    let cross = "Sec-Fetch-Site: cross-site\r\n";
    let answer = site.ask("GET", "/events", cross, "").await;
    answer.problem(403, "cross-site-request");
    let rebound = "GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let answer = site.raw(rebound.as_bytes()).await;
    answer.problem(421, "host-not-loopback");
    assert_eq!(site.bus.statistics().subscriber_count, 0);
    site.close().await;
}

#[tokio::test]
async fn a_bus_that_is_stopped_has_no_stream() {
    let site = open(|_| success("{}")).await;
    site.bus.stop().await;
    let answer = site.ask("GET", "/events", "", "").await;
    answer.problem(503, "shutting-down");
    site.close().await;
}
