//! The cost of one egress decision: heads that are permitted and denied, and the check of a name's addresses.

use std::hint::black_box;
use std::net::IpAddr;

use bulkhead_grants::egress::{
    EgressClass, EgressGrant, EgressRule, RequestHead, RunMode, StaticResolver, decide,
    resolve_and_check,
};
use bulkhead_grants::switches::SwitchState;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;

fn rule(
    host: &str,
    class: EgressClass,
    method: Method,
    path: &str,
    manifest_line: u32,
) -> EgressRule {
    EgressRule {
        host: host.parse().expect("a host pattern"),
        class,
        methods: vec![method],
        paths: vec![path.parse().expect("a path pattern")],
        manifest_line,
    }
}

/// The grant of a stage that trades at two venues.
fn grant() -> EgressGrant {
    EgressGrant {
        component: "execute".to_owned(),
        component_line: 1,
        rules: vec![
            rule(
                "https://api.binance.com",
                EgressClass::MarketData,
                Method::GET,
                "/api/v3/klines",
                10,
            ),
            rule(
                "https://api.binance.com",
                EgressClass::Account,
                Method::GET,
                "/api/v3/account",
                16,
            ),
            rule(
                "https://api.binance.com",
                EgressClass::OrderEntry,
                Method::POST,
                "/api/v3/order",
                22,
            ),
            rule(
                "https://api.binance.com",
                EgressClass::Cancel,
                Method::DELETE,
                "/api/v3/order",
                28,
            ),
            rule(
                "https://*.alpaca.markets",
                EgressClass::Account,
                Method::GET,
                "/v2/**",
                34,
            ),
            rule(
                "https://*.alpaca.markets",
                EgressClass::OrderEntry,
                Method::POST,
                "/v2/orders",
                40,
            ),
        ],
    }
}

fn head<'a>(method: &'a str, authority: &'a str, path_and_query: &'a str) -> RequestHead<'a> {
    RequestHead {
        method,
        scheme: Some("https"),
        authority,
        path_and_query,
        headers: vec![
            ("host", authority.as_bytes()),
            ("accept", b"application/json"),
            ("x-mbx-apikey", b"key"),
        ],
    }
}

fn egress(criterion: &mut Criterion) {
    let grant = grant();
    let off = SwitchState::read(
        Some("0"),
        Some(r#"{"enabled":false}"#),
        Some(r#"{"trading_enabled":true}"#),
    );
    let klines = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000";
    let cases = [
        (
            "market data, permitted",
            head("GET", "api.binance.com", klines),
        ),
        (
            "order entry, permitted",
            head("POST", "data.alpaca.markets", "/v2/orders"),
        ),
        (
            "host denied",
            head("GET", "api.binance.com.evil.com", klines),
        ),
        ("spelling denied", head("GET", "2130706433", klines)),
    ];
    let mut group = criterion.benchmark_group("egress/decide");
    for (name, head) in &cases {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| decide(black_box(head), &grant, RunMode::Live, &off));
        });
    }
    group.finish();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let answers: Vec<IpAddr> = (1..=4)
        .map(|last| IpAddr::from([93, 184, 216, last]))
        .collect();
    let resolver = StaticResolver::new().answer("api.binance.com", answers);
    let admission = decide(&cases[0].1, &grant, RunMode::Live, &off).expect("it is granted");
    criterion.bench_function("egress/resolve and check four addresses", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| resolve_and_check(black_box(&admission), &resolver));
    });
}

criterion_group!(benches, egress);
criterion_main!(benches);
