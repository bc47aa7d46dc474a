//! Sending under a permit, to servers of a few lines on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulkhead_grants::dial::{Connector, Dialer, Limits, ResponseBody, SendError, Stream};
use bulkhead_grants::egress::{
    BoxFuture, EgressClass, EgressGrant, EgressRule, MAX_RULE_HEADERS, MalformedHeader, Permit,
    RequestHead, RuleHeader, RuleHeaders, RunMode, StaticResolver, admit,
};
use bulkhead_grants::{Denied, reason as word};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::vectors::switches_off;

/// Long enough that nothing but the limit under test ends an exchange.
const SHORT: Duration = Duration::from_millis(50);

/// What a TLS server answers where it does not matter.
const TLS_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntls";

/// Leads every connection to one listener, and remembers the addresses that were asked for.
pub(crate) struct ToListener {
    listener: SocketAddr,
    asked: Mutex<Vec<SocketAddr>>,
}

impl ToListener {
    pub(crate) fn new(listener: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            listener,
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<SocketAddr> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Connector for ToListener {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(address);
        Box::pin(TcpStream::connect(self.listener))
    }
}

fn rule(host: &str, path: &str, headers: RuleHeaders) -> EgressRule {
    EgressRule {
        host: host.parse().expect("a host pattern"),
        class: EgressClass::MarketData,
        methods: vec![Method::GET],
        paths: vec![path.parse().expect("a path pattern")],
        headers,
        manifest_line: 2,
    }
}

fn granted(rules: Vec<EgressRule>) -> EgressGrant {
    EgressGrant {
        component: "ingest".to_owned(),
        component_line: 1,
        rules,
    }
}

async fn admitted(grant: &EgressGrant, scheme: &str, path: &str) -> Result<Permit, Denied> {
    let head = RequestHead {
        method: "GET",
        scheme: Some(scheme),
        authority: "a.feeds.example",
        path_and_query: path,
        headers: vec![],
    };
    let resolver = StaticResolver::new().answer(
        "a.feeds.example",
        ["93.184.216.34".parse().expect("an address")],
    );
    admit(&head, grant, RunMode::Live, &switches_off(), &resolver).await
}

/// A permit for `GET {scheme}://a.feeds.example/bars`, at 93.184.216.34.
async fn permit(scheme: &str) -> Permit {
    let host = "*://a.feeds.example:*";
    let grant = granted(vec![rule(host, "/bars", RuleHeaders::default())]);
    admitted(&grant, scheme, "/bars").await.expect("a permit")
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).expect("a request")
}

/// Reads one request's head, answers with these bytes, then holds the connection until the client closes it.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) -> String {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    // A client that has had enough closes while the answer is still on its way.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let _ = stream.read_u8().await;
    String::from_utf8(head).expect("a head in ASCII")
}

/// A dialer that leads to a server of one answer, and the request's head that the server saw.
async fn server(bytes: impl Into<Vec<u8>>) -> (Dialer, Arc<ToListener>, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let connector = ToListener::new(listener.local_addr().expect("an address"));
    let dialer = Dialer::with(
        Arc::clone(&connector) as Arc<dyn Connector>,
        RootCertStore::empty(),
    )
    .expect("a dialer");
    let bytes = bytes.into();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        answer(stream, &bytes).await
    });
    (dialer, connector, served)
}

/// The credentials of a venue, as a rule adds them.
fn credentials(key: &str, required: bool) -> RuleHeaders {
    let header = |name, value, variable: &str| {
        RuleHeader::new(name, value, vec![variable.to_owned()]).expect("a header")
    };
    let headers = vec![
        header("APCA-API-KEY-ID", key, "alpaca_key_id"),
        header("APCA-API-SECRET-KEY", "hunter2", "alpaca_secret"),
    ];
    RuleHeaders::new(headers, required).expect("headers")
}

/// `/bars` with the venue's credentials over TLS, and `/open` without.
fn with_credentials(key: &str, required: bool) -> EgressGrant {
    let host = "https://a.feeds.example";
    granted(vec![
        rule(host, "/bars", credentials(key, required)),
        rule(host, "/open", RuleHeaders::default()),
    ])
}

/// The head that a venue saw, in lower case, of a request with these headers of the guest's.
async fn seen(grant: &EgressGrant, path: &str, guests: &[(&'static str, &str)]) -> String {
    let answer = b"HTTP/1.1 302 Found\r\nlocation: /open\r\ncontent-length: 0\r\n\r\n";
    let (dialer, served) = tls_server("a.feeds.example", true, answer).await;
    let permit = admitted(grant, "https", path).await.expect("a permit");
    let mut request = get(path);
    for (name, value) in guests {
        let value = value.parse().expect("a header value");
        request.headers_mut().append(*name, value);
    }
    let sent = dialer.send(&permit, request, &Limits::default()).await;
    let response = sent.expect("an answer");
    assert_eq!(
        response.headers().len(),
        2,
        "what the venue answered, and no more"
    );
    drop(response);
    served.await.expect("a venue").1.to_lowercase()
}

#[tokio::test]
async fn the_headers_of_a_rule_arrive_in_place_of_the_guests_own() {
    let grant = with_credentials("key-1", true);
    let guests = [
        ("apca-api-key-id", "guess"),
        ("apca-api-key-id", "second guess"),
        ("accept", "application/json"),
    ];
    let head = seen(&grant, "/bars", &guests).await;
    assert!(head.contains("apca-api-key-id: key-1\r\n"), "{head}");
    assert!(head.contains("apca-api-secret-key: hunter2\r\n"), "{head}");
    assert!(head.contains("accept: application/json\r\n"), "{head}");
    assert!(!head.contains("guess"), "{head}");
}

#[tokio::test]
async fn a_request_that_another_rule_permits_has_none_of_them_nor_has_one_after_a_redirect() {
    let grant = with_credentials("key-1", true);
    // The venue's answer to `/bars` leads to `/open`, which is judged anew.
    for path in ["/bars", "/open"] {
        let head = seen(&grant, path, &[]).await;
        assert_eq!(head.contains("apca-api-"), path == "/bars", "{head}");
    }
}

#[tokio::test]
async fn an_empty_header_is_not_added_and_the_guests_own_does_not_take_its_place() {
    let grant = with_credentials("", false);
    let head = seen(&grant, "/bars", &[("apca-api-key-id", "guess")]).await;
    assert!(!head.contains("apca-api-key-id"), "{head}");
    assert!(head.contains("apca-api-secret-key: hunter2\r\n"), "{head}");
}

#[tokio::test]
async fn an_empty_header_that_is_required_is_a_denial_that_names_its_variable() {
    let grant = with_credentials("", true);
    let denied = admitted(&grant, "https", "/bars").await.unwrap_err();
    assert_eq!(denied.reason, word::HEADER_VALUE_MISSING);
    assert!(denied.detail.contains("`alpaca_key_id`"), "{denied}");
    assert!(denied.detail.ends_with("(spin.toml:2)"), "{denied}");
    assert!(!denied.detail.contains("hunter2"), "{denied}");
    assert!(admitted(&grant, "https", "/open").await.is_ok());
}

#[tokio::test]
async fn the_headers_of_a_rule_go_in_the_clear_to_loopback_alone() {
    let host = "http://a.feeds.example";
    let grant = granted(vec![rule(host, "/bars", credentials("key-1", false))]);
    let denied = admitted(&grant, "http", "/bars").await.unwrap_err();
    assert_eq!(denied.reason, word::CREDENTIALS_IN_CLEAR);
}

#[tokio::test]
async fn the_values_of_a_rules_headers_are_not_printed() {
    let grant = with_credentials("key-1", true);
    let permit = admitted(&grant, "https", "/bars").await.unwrap();
    let printed = format!("{grant:?} {permit:?}");
    assert!(printed.contains("apca-api-secret-key"), "{printed}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("key-1"),
        "{printed}"
    );
    let refused = RuleHeader::new("authorization", "hunter2\r\nx: y", vec![]).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}

#[test]
fn a_rule_cannot_set_what_frames_or_reroutes_a_message() {
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "X-Original-URL",
    ] {
        let refused = RuleHeader::new(name, "x", vec![]).unwrap_err();
        assert!(matches!(refused, MalformedHeader::Forbidden(_)), "{name}");
    }
    for name in ["", "a b", "a:b", "é", "a\r\nb"] {
        let refused = RuleHeader::new(name, "x", vec![]).unwrap_err();
        assert!(matches!(refused, MalformedHeader::Name(_)), "{name:?}");
    }
    for value in ["a\r\nb: c", "a\0", "é", " a", "a ", "\t", "a\tb"] {
        let refused = RuleHeader::new("a", value, vec![]).unwrap_err();
        assert!(matches!(refused, MalformedHeader::Value(_)), "{value:?}");
    }
    let header = |name: &str| RuleHeader::new(name, "x", vec![]).unwrap();
    let twice = RuleHeaders::new(vec![header("a"), header("A")], false).unwrap_err();
    assert_eq!(twice, MalformedHeader::Twice("a".to_owned()));
    let many: Vec<RuleHeader> = (0..=MAX_RULE_HEADERS)
        .map(|number| header(format!("a{number}").as_str()))
        .collect();
    assert!(RuleHeaders::new(many[1..].to_vec(), false).is_ok());
    assert_eq!(RuleHeaders::new(many, false), Err(MalformedHeader::TooMany));
}

#[tokio::test]
async fn a_connection_is_opened_to_the_checked_address_and_nothing_is_sent_on_it() {
    let (dialer, connector, served) = server("").await;
    let stream = dialer.connect(&permit("http").await, SHORT * 20).await;
    assert!(matches!(stream, Ok(Stream::Plain(_))));
    assert_eq!(connector.asked(), ["93.184.216.34:80".parse().unwrap()]);
    drop(stream);
    assert!(served.await.is_err(), "a head was sent");
}

async fn exchange(
    bytes: impl Into<Vec<u8>>,
    limits: Limits,
) -> Result<Response<ResponseBody>, SendError> {
    let (dialer, _, _) = server(bytes).await;
    dialer
        .send(&permit("http").await, get("/bars"), &limits)
        .await
}

fn reason<T>(result: Result<T, SendError>) -> &'static str {
    result.err().expect("an error").reason()
}

#[tokio::test]
async fn a_request_goes_to_the_checked_address_with_the_permits_host() {
    let (dialer, connector, served) =
        server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await;
    let mut request = get("https://elsewhere.example/bars?limit=2&signature=x");
    request
        .headers_mut()
        .insert("host", "elsewhere.example".parse().unwrap());
    let response = dialer
        .send(&permit("http").await, request, &Limits::default())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "[]"
    );
    assert_eq!(connector.asked(), ["93.184.216.34:80".parse().unwrap()]);
    let head = served.await.unwrap();
    assert!(
        head.starts_with("GET /bars?limit=2&signature=x HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("host: a.feeds.example\r\n"), "{head}");
    assert!(!head.contains("elsewhere"), "{head}");
}

#[tokio::test]
async fn a_request_that_is_not_the_permitted_one_opens_no_connection() {
    let (dialer, connector, _) = server("").await;
    let permit = permit("http").await;
    let mut post = get("/bars");
    *post.method_mut() = Method::POST;
    for request in [post, get("/order"), get("/bars/"), get("/")] {
        assert_eq!(
            reason(dialer.send(&permit, request, &Limits::default()).await),
            "not-permitted"
        );
    }
    assert!(connector.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let (dialer, connector, _) = server(moved).await;
    let response = dialer
        .send(&permit("http").await, get("/bars"), &Limits::default())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "http://169.254.169.254/");
    assert_eq!(connector.asked().len(), 1);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes_and_one_byte_more_ends_it() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n";
    let limits = |response_bytes| Limits {
        response_bytes,
        ..Limits::default()
    };
    let body = exchange(chunked, limits(5)).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");

    let mut body = exchange(chunked, limits(4)).await.unwrap().into_body();
    let mut error = None;
    while let Some(frame) = body.frame().await {
        error = frame.err();
    }
    assert!(
        matches!(error, Some(SendError::ResponseTooLarge { limit: 4 })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_read() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
    assert_eq!(
        reason(exchange(announced, Limits::default()).await),
        "response-too-large"
    );
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(1 << 20, b'x');
    let body = exchange(
        endless,
        Limits {
            response_bytes: 100_000,
            ..Limits::default()
        },
    )
    .await
    .unwrap()
    .into_body();
    assert_eq!(reason(body.collect().await), "response-too-large");
}

#[tokio::test]
async fn too_many_headers_and_too_large_ones_are_refused() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(
        reason(exchange(many, Limits::default()).await),
        "response-head-too-large"
    );
    let large = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(70_000));
    assert_eq!(
        reason(exchange(large, Limits::default()).await),
        "response-head-too-large"
    );
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(20_000));
    assert_eq!(
        reason(exchange(endless, Limits::default()).await),
        "response-head-too-large"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_at_the_first_byte_timeout() {
    let limits = Limits {
        first_byte_timeout: SHORT,
        ..Limits::default()
    };
    assert_eq!(reason(exchange("", limits).await), "first-byte-timeout");
    assert_eq!(
        reason(exchange("HTTP/1.1 200 OK\r\nhalf: ", limits).await),
        "first-byte-timeout"
    );
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_at_the_between_bytes_timeout() {
    let limits = Limits {
        between_bytes_timeout: SHORT,
        ..Limits::default()
    };
    let mut body = exchange("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", limits)
        .await
        .unwrap()
        .into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
    assert_eq!(reason(body.frame().await.unwrap()), "between-bytes-timeout");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn what_is_not_http_is_an_exchange_that_failed() {
    assert_eq!(
        reason(exchange("220 smtp ready\r\n", Limits::default()).await),
        "exchange-failed"
    );
}

/// Never comes to a connection.
struct Nobody;

impl Connector for Nobody {
    fn connect(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_ends_at_the_connect_timeout() {
    let dialer = Dialer::with(Arc::new(Nobody), RootCertStore::empty()).unwrap();
    let limits = Limits {
        connect_timeout: SHORT,
        ..Limits::default()
    };
    assert_eq!(
        reason(
            dialer
                .send(&permit("http").await, get("/bars"), &limits)
                .await
        ),
        "connect-timeout"
    );
}

#[tokio::test]
async fn a_refused_connection_is_told_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = ToListener::new(listener.local_addr().unwrap());
    drop(listener);
    let dialer = Dialer::with(connector, RootCertStore::empty()).unwrap();
    let error = dialer
        .send(&permit("http").await, get("/bars"), &Limits::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "connect to 93.184.216.34:80");
    assert_eq!(error.reason(), "connect-failed");
}

/// A TLS server of one answer whose certificate is for `name`, and the SNI that it was asked for and the head that it saw;
/// trusted if `is_trusted`.
async fn tls_server(
    name: &str,
    is_trusted: bool,
    bytes: &'static [u8],
) -> (Dialer, JoinHandle<(Option<String>, String)>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    if is_trusted {
        roots.add(cert.der().clone()).expect("a root");
    }
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a server's configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let connector = ToListener::new(listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        let Ok(stream) = accepted else {
            return (None, String::new());
        };
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        (name, answer(stream, bytes).await)
    });
    (Dialer::with(connector, roots).expect("a dialer"), served)
}

#[tokio::test]
async fn tls_asks_the_server_to_prove_the_name_that_was_checked() {
    let (dialer, served) = tls_server("a.feeds.example", true, TLS_ANSWER).await;
    let response = dialer
        .send(&permit("https").await, get("/bars"), &Limits::default())
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "tls"
    );
    let (name, _) = served.await.unwrap();
    assert_eq!(name.as_deref(), Some("a.feeds.example"));
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_an_unknown_issuer_is_refused() {
    for (name, is_trusted) in [("evil.example", true), ("a.feeds.example", false)] {
        let (dialer, _) = tls_server(name, is_trusted, TLS_ANSWER).await;
        let sent = dialer
            .send(&permit("https").await, get("/bars"), &Limits::default())
            .await;
        assert_eq!(reason(sent), "tls-failed", "{name}");
    }
}

#[tokio::test]
async fn a_connection_that_is_left_to_the_caller_has_proved_its_name_too() {
    for (name, is_trusted, is_proved) in [
        ("a.feeds.example", true, true),
        ("b.feeds.example", true, false),
        ("a.feeds.example", false, false),
    ] {
        let (dialer, _) = tls_server(name, is_trusted, TLS_ANSWER).await;
        let limit = Limits::default().connect_timeout;
        let connected = dialer.connect(&permit("https").await, limit).await;
        assert_eq!(matches!(connected, Ok(Stream::Tls(_))), is_proved, "{name}");
    }
}
