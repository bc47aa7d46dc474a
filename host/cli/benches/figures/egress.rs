//! The cost of one egress decision.

use std::hint::black_box;
use std::net::IpAddr;

use bulkhead_grants::egress::{
    EgressClass, EgressGrant, EgressRule, RequestHead, RuleHeaders, RunMode, StaticResolver,
    decide, resolve_and_check,
};
use bulkhead_grants::switches::{Answered, SwitchState};
use http::Method;

use crate::measure::{median, median_of_batches, row};

fn rule(
    host: &str,
    class: EgressClass,
    method: Method,
    path: &str,
    manifest_line: u32,
) -> EgressRule {
    EgressRule {
        host: host.parse().unwrap(),
        class,
        methods: vec![method],
        paths: vec![path.parse().unwrap()],
        headers: RuleHeaders::default(),
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

pub async fn figures() {
    let grant = grant();
    let off = SwitchState::read(
        Some("0"),
        Some(r#"{"enabled":false}"#),
        Some(r#"{"trading_enabled":true}"#),
    )
    .with_trading_gate(Answered::Missing);
    let klines = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000";
    let permitted = head("GET", "api.binance.com", klines);
    for (name, head, is_permitted) in [
        ("egress decision: market data, permitted", &permitted, true),
        (
            "egress decision: order entry, permitted",
            &head("POST", "data.alpaca.markets", "/v2/orders"),
            true,
        ),
        (
            "egress decision: host denied",
            &head("GET", "api.binance.com.evil.com", klines),
            false,
        ),
    ] {
        let decision = decide(head, &grant, RunMode::Live, &off);
        assert_eq!(decision.is_ok(), is_permitted, "{name}");
        let took = median_of_batches(500, 100, || {
            let decision = decide(black_box(head), &grant, RunMode::Live, &off);
            assert!(black_box(decision).is_ok() == is_permitted);
        });
        row(name, took, "");
    }
    let answers: Vec<IpAddr> = (1..=4)
        .map(|last| IpAddr::from([93, 184, 216, last]))
        .collect();
    let resolver = StaticResolver::new().answer("api.binance.com", answers);
    let admission = decide(&permitted, &grant, RunMode::Live, &off).unwrap();
    let took = median(5_000, || async {
        let permit = resolve_and_check(black_box(&admission), &resolver).await;
        assert!(permit.is_ok());
    })
    .await;
    row(
        "egress decision: the check of four addresses of a name",
        took,
        "",
    );
}
