//! The vectors of `egress_vectors.jsonl`, under the grants of `egress_grants.json`.
//!
//! A vector is one request and what the gate must say. `redirected_from` is a request that the gate permits before, whose
//! answer leads to the vector's own; `rebind` holds the answers of a second resolution, made for the same request
//! again. Absent `switches` are off; present ones are the texts that were read, null for what does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_grants::dial::{Connector, Dialer, Limits};
use bulkhead_grants::egress::{
    BoxFuture, EgressClass, EgressGrant, EgressRule, Permit, RequestHead, Resolver, RuleHeader,
    RuleHeaders, RunMode, StaticResolver, TargetHost, admit,
};
use bulkhead_grants::switches::{Answered, SwitchState};
use bulkhead_grants::{Denied, reason};
use bytes::Bytes;
use http_body_util::Full;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::dial::ToListener;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    group: String,
    name: String,
    grant: String,
    method: String,
    scheme: Option<String>,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    resolve: BTreeMap<String, Vec<IpAddr>>,
    switches: Option<Switches>,
    mode: Option<Mode>,
    rebind: Option<BTreeMap<String, Vec<IpAddr>>>,
    redirected_from: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switches {
    exec_kill_switch: Option<String>,
    execution_kill_switch: Option<String>,
    risk_management: Option<String>,
    trading_gate: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fake,
}

#[derive(Deserialize, PartialEq)]
#[serde(untagged)]
enum Expect {
    Denied { reason: String },
    Permit(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    component: String,
    component_line: u32,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    line: u32,
    host: String,
    class: String,
    methods: Vec<String>,
    paths: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    headers_required: bool,
}

fn vectors() -> Vec<Vector> {
    let vector =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    include_str!("../egress_vectors.jsonl")
        .lines()
        .map(vector)
        .collect()
}

fn grants() -> BTreeMap<String, EgressGrant> {
    let grants: BTreeMap<String, Grant> =
        serde_json::from_str(include_str!("../egress_grants.json")).expect("the grants are JSON");
    grants
        .into_iter()
        .map(|(name, grant)| (name, granted(grant)))
        .collect()
}

fn granted(grant: Grant) -> EgressGrant {
    let rule = |rule: Rule| EgressRule {
        host: rule.host.parse().expect("a host pattern"),
        class: match rule.class.as_str() {
            "market-data" => EgressClass::MarketData,
            "account" => EgressClass::Account,
            "order-entry" => EgressClass::OrderEntry,
            "cancel" => EgressClass::Cancel,
            other => panic!("`{other}` is no class"),
        },
        methods: rule
            .methods
            .iter()
            .map(|method| method.parse().expect("a method"))
            .collect(),
        paths: rule
            .paths
            .iter()
            .map(|path| path.parse().expect("a path pattern"))
            .collect(),
        headers: headers(rule.headers, rule.headers_required),
        manifest_line: rule.line,
    };
    EgressGrant {
        component: grant.component,
        component_line: grant.component_line,
        rules: grant.rules.into_iter().map(rule).collect(),
    }
}

/// A rule's headers, each from the variable `credential`.
fn headers(headers: BTreeMap<String, String>, required: bool) -> RuleHeaders {
    let header = |(name, value): (&String, &String)| {
        RuleHeader::new(name, value, vec!["credential".to_owned()]).expect("a header")
    };
    RuleHeaders::new(headers.iter().map(header).collect(), required).expect("headers")
}

/// Switches that stop nothing.
pub(crate) fn switches_off() -> SwitchState {
    SwitchState::read(
        Some("0"),
        Some(r#"{"enabled":false}"#),
        Some(r#"{"trading_enabled":true}"#),
    )
    .with_trading_gate(Answered::Missing)
}

impl Vector {
    fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }

    fn is_denial(&self) -> bool {
        matches!(self.expect, Expect::Denied { .. })
    }

    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            scheme: self.scheme.as_deref(),
            authority: &self.authority,
            path_and_query: &self.path,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect(),
        }
    }

    fn switches(&self) -> SwitchState {
        self.switches
            .as_ref()
            .map_or_else(switches_off, |switches| {
                SwitchState::read(
                    switches.exec_kill_switch.as_deref(),
                    switches.execution_kill_switch.as_deref(),
                    switches.risk_management.as_deref(),
                )
                .with_trading_gate(
                    switches
                        .trading_gate
                        .as_deref()
                        .map_or(Answered::Missing, Answered::Body),
                )
            })
    }

    /// What the gate says, after what came before the request.
    async fn judge(&self, grants: &BTreeMap<String, EgressGrant>) -> Result<Permit, Denied> {
        let grant = &grants[&self.grant];
        let mode = self.mode.map_or(RunMode::Live, |Mode::Fake| RunMode::Fake);
        let answers = self.resolve.iter().chain(self.rebind.iter().flatten());
        let resolver = answers.fold(StaticResolver::new(), |resolver, (name, list)| {
            resolver.answer(name, list.iter().copied())
        });
        let switches = self.switches();
        if let Some(url) = &self.redirected_from {
            let (scheme, rest) = url.split_once("://").expect("an absolute URL");
            let (authority, _) = rest.split_once('/').expect("a path");
            let path_and_query = &rest[authority.len()..];
            let head = RequestHead {
                method: "GET",
                scheme: Some(scheme),
                authority,
                path_and_query,
                headers: vec![],
            };
            let first = admit(&head, grant, mode, &switches, &resolver).await;
            assert!(
                first.is_ok(),
                "{}: before the redirect: {first:?}",
                self.title()
            );
        }
        let verdict = admit(&self.head(), grant, mode, &switches, &resolver).await;
        if self.rebind.is_none() {
            return verdict;
        }
        assert!(
            verdict.is_ok(),
            "{}: before the rebinding: {verdict:?}",
            self.title()
        );
        admit(&self.head(), grant, mode, &switches, &resolver).await
    }
}

#[tokio::test]
async fn every_vector_gets_the_verdict_it_expects() {
    let grants = grants();
    let mut wrong = vec![];
    for vector in vectors() {
        let verdict = vector.judge(&grants).await;
        let actual = match &verdict {
            Ok(_) => Expect::Permit("permit".to_owned()),
            Err(denied) => Expect::Denied {
                reason: denied.reason.to_owned(),
            },
        };
        if actual != vector.expect {
            wrong.push(format!("{}: {verdict:?}", vector.title()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} vectors\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_vectors_cover_every_reason_of_the_egress_gate() {
    let vectors = vectors();
    let covered: BTreeSet<&str> = vectors
        .iter()
        .filter_map(|vector| match &vector.expect {
            Expect::Denied { reason } => Some(reason.as_str()),
            Expect::Permit(_) => None,
        })
        .collect();
    assert_eq!(covered, reason::EGRESS.iter().copied().collect());
    let denials = vectors.iter().filter(|vector| vector.is_denial()).count();
    assert!(
        denials >= 220 && vectors.len() - denials >= 30,
        "{denials} denials of {} vectors",
        vectors.len()
    );
    let titles: BTreeSet<String> = vectors.iter().map(Vector::title).collect();
    assert_eq!(titles.len(), vectors.len(), "a title stands twice");
}

#[tokio::test]
async fn a_denial_of_a_grant_cites_the_manifest_line_that_would_permit_it() {
    let grants = grants();
    for vector in vectors() {
        let Err(denied) = vector.judge(&grants).await else {
            continue;
        };
        let is_of_grant =
            denied.reason.ends_with("-not-granted") || denied.reason == reason::ADDRESS_FORBIDDEN;
        if is_of_grant {
            let grant = &grants[&vector.grant];
            let mut lines = grant
                .rules
                .iter()
                .map(|rule| rule.manifest_line)
                .chain([grant.component_line]);
            let cites = lines.any(|line| denied.detail.ends_with(&format!("(spin.toml:{line})")));
            assert!(cites, "{}: {denied}", vector.title());
        }
        assert!(
            denied.detail.len() < 2_000,
            "{}: {} bytes",
            vector.title(),
            denied.detail.len()
        );
        assert!(
            !denied.detail.chars().any(char::is_control),
            "{}: {denied:?}",
            vector.title()
        );
    }
}

#[tokio::test]
async fn no_denied_request_opens_a_connection_and_every_permitted_one_opens_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = ToListener::new(listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let server = tokio::spawn(async move {
        // Each connection is closed at once: that it was opened is all that counts.
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let dialer = Dialer::with(
        Arc::clone(&connector) as Arc<dyn Connector>,
        rustls::RootCertStore::empty(),
    )
    .unwrap();
    let grants = grants();
    let mut permitted = 0;
    for vector in vectors() {
        let before = accepted.load(Ordering::SeqCst);
        match vector.judge(&grants).await {
            Ok(permit) => {
                permitted += 1;
                let request = http::Request::builder()
                    .method(vector.method.as_str())
                    .uri(vector.path.as_str())
                    .body(Full::<Bytes>::default())
                    .unwrap();
                let answer = dialer.send(&permit, request, &Limits::default()).await;
                assert!(answer.is_err(), "{}", vector.title());
                assert_eq!(
                    accepted.load(Ordering::SeqCst),
                    before + 1,
                    "{}",
                    vector.title()
                );
            }
            Err(_) => assert_eq!(
                accepted.load(Ordering::SeqCst),
                before,
                "{}",
                vector.title()
            ),
        }
    }
    assert_eq!(connector.asked().len(), permitted);
    assert_eq!(accepted.load(Ordering::SeqCst), permitted);
    server.abort();
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_checked_is_what_the_permit_dials() {
    let grants = grants();
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    let resolver = StaticResolver::new()
        .answer("a.feeds.example", [public])
        .answer("a.feeds.example", ["127.0.0.1".parse().unwrap()]);
    let head = RequestHead {
        method: "GET",
        scheme: Some("http"),
        authority: "a.feeds.example",
        path_and_query: "/",
        headers: vec![],
    };
    let permit = admit(
        &head,
        &grants["venues"],
        RunMode::Live,
        &switches_off(),
        &resolver,
    )
    .await
    .unwrap();
    assert_eq!(permit.address(), SocketAddr::new(public, 80));
    assert_eq!(
        permit.target().host,
        TargetHost::Name("a.feeds.example".to_owned())
    );
    assert_eq!(permit.manifest_line(), 80);
    assert_eq!(resolver.asked("a.feeds.example"), 1);
}

/// Never answers.
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_takes_too_long_to_resolve_counts_as_having_no_address() {
    let head = RequestHead {
        method: "GET",
        scheme: Some("https"),
        authority: "api.binance.com",
        path_and_query: "/api/v3/klines",
        headers: vec![],
    };
    let grant = &grants()["venues"];
    let denied = admit(&head, grant, RunMode::Live, &switches_off(), &Silent)
        .await
        .unwrap_err();
    assert_eq!(denied.reason, reason::NAME_UNRESOLVED);
    assert!(denied.detail.contains("within 5 s"), "{denied}");
}
