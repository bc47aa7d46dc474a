//! Every vector of the egress gate, driven through a real guest: what is denied there reaches no address.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bulkhead_grants::dial::Connector;
use bulkhead_grants::egress::{
    BoxFuture, EgressClass, EgressGrant, EgressRule, Resolver, RuleHeader, RuleHeaders,
    StaticResolver,
};
use bulkhead_stage::Finished;
use bulkhead_store::{Key, MemoryStore, Store as _, Write};
use bulkhead_tests::{Bench, NOW_MS, guest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Denials that must get as far as the gate. The rest are requests that WASI's own types cannot even express: their
/// authority, method or header is refused before there is a request.
const AT_THE_GATE: usize = 200;

/// Permitted requests that must connect, once each.
const CONNECTED: usize = 30;

/// Vectors that WASI's types turn into another request before there is anything to judge: a missing scheme becomes
/// https, an empty path becomes `/`, a fragment is cut off. The gate judges what is left, which is what is sent.
const REWRITTEN_BY_WASI: [(&str, &str); 5] = [
    ("scheme", "no scheme"),
    ("path", "empty"),
    ("path", "/v2/bars#x"),
    ("path", "/v2/bars#/../v1"),
    ("path", "/v2/bars?x=#y"),
];

#[derive(Deserialize)]
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
    mode: Option<String>,
    rebind: Option<BTreeMap<String, Vec<IpAddr>>>,
    redirected_from: Option<String>,
    expect: Value,
}

#[derive(Deserialize)]
struct Switches {
    exec_kill_switch: Option<String>,
    execution_kill_switch: Option<String>,
    risk_management: Option<String>,
    trading_gate: Option<String>,
}

#[derive(Deserialize)]
struct Grant {
    component: String,
    component_line: u32,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
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

/// Counts, and connects to nothing.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Connector for Counter {
    fn connect(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Err(
            io::ErrorKind::ConnectionRefused.into()
        )))
    }
}

/// Leads every connection to one listener, and remembers the addresses that were dialled.
struct ToVenue {
    venue: SocketAddr,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl ToVenue {
    fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }
}

impl Connector for ToVenue {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(TcpStream::connect(self.venue))
    }
}

/// A venue that answers `GET /301` and the like with that status, and leads to `location`.
async fn redirecting(location: String) -> Arc<ToVenue> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let venue = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let status =
                std::str::from_utf8(&request[..read]).unwrap()["GET /".len()..][..3].to_owned();
            let answer = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Arc::new(ToVenue {
        venue,
        dialled: Mutex::default(),
    })
}

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/grants/tests");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn grants() -> BTreeMap<String, EgressGrant> {
    let grants: BTreeMap<String, Grant> =
        serde_json::from_str(&data("egress_grants.json")).unwrap();
    grants
        .into_iter()
        .map(|(name, grant)| {
            let rules = grant.rules.into_iter().map(rule).collect();
            (
                name,
                EgressGrant {
                    component: grant.component,
                    component_line: grant.component_line,
                    rules,
                },
            )
        })
        .collect()
}

fn rule(rule: Rule) -> EgressRule {
    EgressRule {
        host: rule.host.parse().unwrap(),
        class: match rule.class.as_str() {
            "market-data" => EgressClass::MarketData,
            "account" => EgressClass::Account,
            "order-entry" => EgressClass::OrderEntry,
            "cancel" => EgressClass::Cancel,
            other => panic!("class {other}"),
        },
        methods: rule.methods.iter().map(|m| m.parse().unwrap()).collect(),
        paths: rule.paths.iter().map(|p| p.parse().unwrap()).collect(),
        headers: headers(rule.headers, rule.headers_required),
        manifest_line: rule.line,
    }
}

/// A rule's headers, each from the variable `credential`.
fn headers(headers: BTreeMap<String, String>, required: bool) -> RuleHeaders {
    let headers = headers
        .iter()
        .map(|(name, value)| RuleHeader::new(name, value, vec!["credential".into()]).unwrap())
        .collect();
    RuleHeaders::new(headers, required).unwrap()
}

/// The switches' documents as the vector has them; all off when it says nothing. A body that no store accepts stands
/// for a document that is not there.
async fn set_switches(bench: &Bench, switches: &Switches) {
    for (collection, id, body) in [
        (
            "ops",
            "execution_kill_switch",
            &switches.execution_kill_switch,
        ),
        ("systemStatus", "risk_management", &switches.risk_management),
        ("systemStatus", "trading_gate", &switches.trading_gate),
    ] {
        let key = Key::new(collection, id).unwrap();
        let delete = Write::Delete {
            key: key.clone(),
            expected_revision: None,
        };
        bench.store.commit(vec![delete], NOW_MS).await.unwrap();
        if let Some(body) = body
            .clone()
            .filter(|body| serde_json::from_str::<Value>(body).is_ok())
        {
            let write = Write::Create { key, body };
            bench.store.commit(vec![write], NOW_MS).await.unwrap();
        }
    }
}

fn resolver(vector: &Vector) -> StaticResolver {
    let answers = vector.resolve.iter().chain(vector.rebind.iter().flatten());
    answers.fold(StaticResolver::new(), |resolver, (name, addresses)| {
        resolver.answer(name, addresses.iter().copied())
    })
}

/// The input that makes the guest send the vector's request.
fn fetch(vector: &Vector) -> String {
    json!({
        "program": "fetch",
        "method": vector.method,
        "scheme": vector.scheme,
        "authority": vector.authority,
        "path": vector.path,
        "headers": vector.headers,
    })
    .to_string()
}

async fn send(vector: &Vector, grant: &EgressGrant) -> (Finished, usize) {
    let mut spec = guest("guest");
    spec.egress = grant.clone();
    let off = Switches {
        exec_kill_switch: Some("0".into()),
        execution_kill_switch: Some(r#"{"enabled":false}"#.into()),
        risk_management: Some(r#"{"trading_enabled":true}"#.into()),
        trading_gate: None,
    };
    let switches = vector.switches.as_ref().unwrap_or(&off);
    if let Some(value) = &switches.exec_kill_switch {
        spec.variables
            .insert("exec_kill_switch".into(), value.clone());
    }
    let resolver = resolver(vector);
    let counter = Arc::new(Counter::default());
    let bench = Bench::with(vec![spec], resolver, counter.clone());
    set_switches(&bench, switches).await;
    let input = fetch(vector);
    if vector.rebind.is_some() {
        let first = bench.run("guest", &input).await;
        assert_eq!(
            first.usage.denials,
            [],
            "{}: the first answer is fine",
            vector.name
        );
    }
    let before = counter.0.load(Ordering::SeqCst);
    let finished = if vector.mode.is_some() {
        bench.run_fake("guest", &input).await
    } else {
        bench.run("guest", &input).await
    };
    (finished, counter.0.load(Ordering::SeqCst) - before)
}

#[tokio::test]
async fn a_guest_reaches_what_is_granted_and_no_address_beyond_it() {
    let grants = grants();
    let (mut at_the_gate, mut connected) = (0, 0);
    let mut wrong = Vec::new();
    for line in data("egress_vectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        if REWRITTEN_BY_WASI.contains(&(&vector.group, &vector.name)) {
            continue;
        }
        let (finished, connections) = send(&vector, &grants[&vector.grant]).await;
        let output: Value = finished
            .result
            .as_ref()
            .map(|report| serde_json::from_str(&report.output).unwrap())
            .unwrap_or_default();
        let denied = finished
            .usage
            .denials
            .first()
            .map(|denial| denial.reason.as_str());
        let right = match vector.expect["reason"].as_str() {
            // WASI's types, or its own list of forbidden headers, may be stricter than the gate: then nothing is sent.
            None => {
                connected += connections;
                denied.is_none() && connections <= 1
            }
            Some(reason) => {
                at_the_gate += usize::from(denied.is_some());
                let at_the_gate = denied.is_none() || denied == Some(reason);
                connections == 0 && at_the_gate && output["refused"].is_string()
            }
        };
        if !right {
            wrong.push(format!(
                "{}: {}: {connections} connections, denied {denied:?}, output {output}, expected {}",
                vector.group, vector.name, vector.expect
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        at_the_gate >= AT_THE_GATE,
        "only {at_the_gate} denials at the gate"
    );
    assert!(connected >= CONNECTED, "only {connected} connections");
}

/// Somebody turns the execution kill switch on while this resolver looks a name up.
#[derive(Clone, Default)]
struct SwitchedOnMeanwhile(Arc<OnceLock<Arc<MemoryStore>>>);

impl Resolver for SwitchedOnMeanwhile {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async {
            let store = self.0.get().unwrap();
            let write = Write::Upsert {
                key: Key::new("ops", "execution_kill_switch").unwrap(),
                body: r#"{"enabled":true}"#.into(),
            };
            store.commit(vec![write], NOW_MS).await.unwrap();
            Ok(vec!["93.184.216.34".parse().unwrap()])
        })
    }
}

#[tokio::test]
async fn a_switch_that_is_turned_on_while_a_name_is_looked_up_stops_the_order() {
    let mut spec = guest("guest");
    spec.egress = grants()["venues"].clone();
    spec.variables.insert("exec_kill_switch".into(), "0".into());
    let (resolver, counter) = (SwitchedOnMeanwhile::default(), Arc::new(Counter::default()));
    let bench = Bench::with(vec![spec], resolver.clone(), counter.clone());
    resolver.0.set(bench.store.clone()).unwrap();
    let off = Switches {
        exec_kill_switch: None,
        execution_kill_switch: Some(r#"{"enabled":false}"#.into()),
        risk_management: Some(r#"{"trading_enabled":true}"#.into()),
        trading_gate: None,
    };
    set_switches(&bench, &off).await;
    let order = json!({
        "program": "fetch",
        "method": "POST",
        "scheme": "https",
        "authority": "api.binance.com",
        "path": "/api/v3/order",
        "headers": [],
    });
    let finished = bench.run("guest", &order.to_string()).await;
    let denied: Vec<&str> = finished
        .usage
        .denials
        .iter()
        .map(|denial| denial.reason.as_str())
        .collect();
    assert_eq!(denied, ["execution-kill-switch"]);
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
}

/// Denied places that a redirect leads to.
const DENIED_REDIRECTS: usize = 17;

/// A rule of its own for the venue that redirects, beside those of the vector's grant.
fn and_the_venue(mut grant: EgressGrant) -> EgressGrant {
    grant.rules.push(EgressRule {
        host: "http://venue.example".parse().unwrap(),
        class: EgressClass::MarketData,
        methods: vec!["GET".parse().unwrap()],
        paths: vec!["/*".parse().unwrap()],
        headers: RuleHeaders::default(),
        manifest_line: 1,
    });
    grant
}

#[tokio::test]
async fn a_guest_sees_a_redirect_to_a_denied_place_and_cannot_follow_it() {
    let grants = grants();
    let venue_address = "93.184.216.34".parse().unwrap();
    let mut redirects = 0;
    for line in data("egress_vectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let Some(reason) = vector.expect["reason"].as_str() else {
            continue;
        };
        if vector.redirected_from.is_none() {
            continue;
        }
        redirects += 1;
        let scheme = vector.scheme.as_deref().unwrap();
        let location = format!("{scheme}://{}{}", vector.authority, vector.path);
        let connector = redirecting(location.clone()).await;
        let mut spec = guest("guest");
        spec.egress = and_the_venue(grants[&vector.grant].clone());
        let names = resolver(&vector).answer("venue.example", [venue_address]);
        let bench = Bench::with(vec![spec], names, connector.clone());
        for (times, status) in (1..).zip([301, 302, 307, 308]) {
            let input = json!({
                "program": "fetch",
                "scheme": "http",
                "authority": "venue.example",
                "path": format!("/{status}"),
            });
            let report = bench.run("guest", &input.to_string()).await.result.unwrap();
            let output: Value = serde_json::from_str(&report.output).unwrap();
            let answer = json!({"status": status, "location": location, "bytes": 0});
            assert_eq!(output, answer, "{}", vector.name);

            let followed = bench.run("guest", &fetch(&vector)).await;
            let output: Value = serde_json::from_str(&followed.result.unwrap().output).unwrap();
            assert!(output["refused"].is_string(), "{}: {output}", vector.name);
            if let Some(denial) = followed.usage.denials.first() {
                assert_eq!(denial.reason, reason, "{}", vector.name);
            }
            let only_the_venue = vec![SocketAddr::new(venue_address, 80); times];
            assert_eq!(connector.dialled(), only_the_venue, "{}", vector.name);
        }
    }
    assert_eq!(redirects, DENIED_REDIRECTS);
}
