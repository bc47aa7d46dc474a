//! The manifest as a whole: the project's own, and every mistake at its place.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_manifest::{
    App, EgressClass, FeedChannel, FeedVenue, Problems, ResolvedApp, Role, Route, StageKind,
    Trigger,
};

const MINIMAL: &str = r#"spin_manifest_version = 2

[application]
name = "minimal"

[variables]
venue = { required = true }
token = { default = "hunter2", secret = true }

[component.execute]
source = "execute.wasm"
allowed_outbound_hosts = ["https://{{ venue }}"]

[component.execute.variables]
exec_kill_switch = "0"
token = "Bearer {{ token }}"
plain = "plain"

[component.execute.tool.bulkhead]
stage = "execute"

[[component.execute.tool.bulkhead.egress]]
host = "https://{{ venue }}"
class = "order-entry"
methods = ["POST"]
paths = ["/v2/orders"]
"#;

fn project_manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spin.toml");
    std::fs::read_to_string(path).unwrap()
}

fn check(text: &str) -> Result<ResolvedApp, Problems> {
    App::check("spin.toml", text, &BTreeMap::new())
}

fn supplied(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

#[test]
fn the_projects_own_manifest_has_no_problem() {
    let app = check(&project_manifest()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(app.name, "bulkhead");
    let stages = app
        .components
        .values()
        .filter_map(|component| component.role.stage());
    assert_eq!(
        stages.collect::<std::collections::BTreeSet<_>>().len(),
        StageKind::ALL.len()
    );
}

#[test]
fn the_projects_ingest_stage_is_read_in_full() {
    let text = project_manifest();
    let app = check(&text).unwrap();
    let ingest = &app.components["ingest"];
    assert_eq!(ingest.role, Role::Stage(StageKind::Ingest));
    assert_eq!(
        ingest.source,
        PathBuf::from("target/components/ingest.wasm")
    );
    assert_eq!(
        ingest.variables["market_data_url"].value,
        "http://127.0.0.1:7878"
    );
    assert_eq!(ingest.egress[0].host.text, "http://127.0.0.1:7878");
    assert_eq!(ingest.egress[0].class, EgressClass::MarketData);
    assert!(ingest.market_data.read && ingest.market_data.append);
    let line_of = |wanted: &str| text.lines().position(|line| line == wanted).unwrap() + 1;
    assert_eq!(ingest.lines.component, line_of("[component.ingest]"));
    assert_eq!(
        ingest.lines.documents,
        line_of("[component.ingest.tool.bulkhead.documents]")
    );
    assert_eq!(
        ingest.egress[0].line,
        line_of("[[component.ingest.tool.bulkhead.egress]]")
    );
    let route = Route::Exact("/ingest".to_owned());
    assert!(
        app.triggers
            .iter()
            .any(|t| matches!(t, Trigger::Http { route: r, .. } if *r == route))
    );
}

const SCHEDULED: &str = r#"spin_manifest_version = 2

[application]
name = "scheduled"

[[trigger.http]]
route = "/pulse"
component = "pulse"

[[trigger.http]]
route = { private = true }
component = "pulse"

[component.pulse]
source = "pulse.wasm"

[component.pulse.tool.bulkhead]
stage = "pulse"

[component.pulse.tool.bulkhead.schedule]
cron = [
    "0 0 9 * * *",
    "0 30 17 * * *",
]

[component.canary]
source = "canary.wasm"

[component.canary.tool.bulkhead]
stage = "canary"
schedule = { cron = "0 0 0 * * *" }
"#;

#[test]
fn a_schedule_has_one_cron_expression_or_a_list_of_them_and_each_is_a_trigger() {
    let app = check(SCHEDULED).unwrap_or_else(|problems| panic!("{problems}"));
    let crons: Vec<_> = app
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Cron {
                component,
                expression,
                line,
            } => Some((component.as_str(), expression.as_str(), *line)),
            Trigger::Http { .. } => None,
        })
        .collect();
    assert_eq!(
        crons,
        [
            ("pulse", "0 0 9 * * *", 22),
            ("pulse", "0 30 17 * * *", 23),
            ("canary", "0 0 0 * * *", 31)
        ]
    );
}

#[test]
fn a_private_route_is_read_and_served_by_nobody() {
    let app = check(SCHEDULED).unwrap_or_else(|problems| panic!("{problems}"));
    let routes: Vec<String> = app
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Http { route, .. } => Some(route.to_string()),
            Trigger::Cron { .. } => None,
        })
        .collect();
    assert_eq!(routes, ["/pulse"]);
}

#[test]
fn the_projects_own_manifest_has_no_trigger_that_spin_needs_a_plugin_for() {
    let text = project_manifest();
    let kinds: std::collections::BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("[[trigger."))
        .collect();
    assert_eq!(kinds, ["http]]"].into());
    let app = check(&text).unwrap();
    let scheduled = app
        .triggers
        .iter()
        .filter(|trigger| matches!(trigger, Trigger::Cron { .. }));
    assert_eq!(scheduled.count(), 4);
}

#[test]
fn a_supplied_value_takes_the_place_of_the_default() {
    let app = App::parse("spin.toml", &project_manifest()).unwrap();
    let app = app
        .resolve(&supplied("market_data_url", "https://api.binance.com"))
        .unwrap();
    assert_eq!(
        app.components["ingest"].egress[0].host.text,
        "https://api.binance.com"
    );
}

#[test]
fn a_required_variable_without_a_value_is_reported_where_it_is_declared() {
    let app = App::parse("spin.toml", MINIMAL).unwrap();
    let problems = app.resolve(&BTreeMap::new()).unwrap_err();
    let places: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert_eq!(places, [(7, 1)]);
    assert_eq!(
        problems.as_slice()[0].message,
        "the required variable `venue` has no value"
    );
}

#[test]
fn a_value_that_makes_no_host_is_reported_where_the_host_stands() {
    let app = App::parse("spin.toml", MINIMAL).unwrap();
    let problems = app
        .resolve(&supplied("venue", "api.example.com/v2"))
        .unwrap_err();
    let places: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert_eq!(places, [(12, 27), (23, 8)]);
}

#[test]
fn a_supplied_value_without_a_variable_is_a_problem() {
    let app = App::parse("spin.toml", MINIMAL).unwrap();
    let mut values = supplied("venue", "api.example.com");
    values.insert("tokn".to_owned(), "x".to_owned());
    let problems = app.resolve(&values).unwrap_err();
    assert_eq!(
        problems.as_slice()[0].hint.as_deref(),
        Some("did you mean `token`?")
    );
}

#[test]
fn a_secret_reaches_the_component_and_is_never_shown() {
    let app = App::parse("spin.toml", MINIMAL).unwrap();
    let resolved = app.resolve(&supplied("venue", "api.example.com")).unwrap();
    assert_eq!(
        resolved.components["execute"].variables["token"].value,
        "Bearer hunter2"
    );
    assert_eq!(
        resolved.components["execute"].variables["plain"].shown(),
        "plain"
    );
    for shown in [
        serde_json::to_string(&app).unwrap(),
        serde_json::to_string(&resolved).unwrap(),
        format!("{resolved:?}"),
        format!("{:?}", app.variables),
    ] {
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

/// A stage whose requests the host signs.
const CREDENTIALS: &str = r#"spin_manifest_version = 2

[application]
name = "credentials"

[variables]
key = { default = "", secret = true }
secret = { default = "hunter2", secret = true }

[component.ingest]
source = "ingest.wasm"
allowed_outbound_hosts = ["https://data.example.com", "http://127.0.0.1:7878"]

[component.ingest.tool.bulkhead]
stage = "ingest"

[[component.ingest.tool.bulkhead.egress]]
host = "https://data.example.com"
class = "market-data"
methods = ["GET"]
paths = ["/v2/**"]
headers = { "APCA-API-KEY-ID" = "{{ key }}", "APCA-API-SECRET-KEY" = "{{ secret }}", both = "{{ key }}:{{ secret }}", accept = "text/csv" }
headers_required = true

[[component.ingest.tool.bulkhead.egress]]
host = "http://127.0.0.1:7878"
class = "market-data"
methods = ["GET"]
paths = ["/v2/**"]
headers = { "APCA-API-SECRET-KEY" = "{{ secret }}" }
"#;

#[test]
fn the_headers_of_a_rule_are_empty_where_a_variable_of_theirs_is() {
    let app = App::parse("spin.toml", CREDENTIALS).unwrap();
    let values = |supplied: &BTreeMap<String, String>| {
        let app = app.resolve(supplied).unwrap();
        let rule = &app.components["ingest"].egress[0];
        assert!(rule.headers_required);
        let headers = rule.headers.iter();
        headers
            .map(|header| (header.name.clone(), header.value.value.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let expected = |key: &str, both: &str| {
        let pairs = [
            ("APCA-API-KEY-ID", key),
            ("APCA-API-SECRET-KEY", "hunter2"),
            ("accept", "text/csv"),
            ("both", both),
        ];
        BTreeMap::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    assert_eq!(values(&BTreeMap::new()), expected("", ""));
    assert_eq!(values(&supplied("key", "k")), expected("k", "k:hunter2"));
}

#[test]
fn no_component_can_read_what_goes_into_a_header() {
    let app = check(CREDENTIALS).unwrap();
    assert!(app.components["ingest"].variables.is_empty());
    let text = CREDENTIALS.replace(
        "[component.ingest.tool.bulkhead]",
        "[component.ingest.variables]\nsigned = \"x{{ secret }}\"\n\n[component.ingest.tool.bulkhead]",
    );
    let problems = check(&text).unwrap_err();
    assert_eq!(problems.as_slice().len(), 1, "{problems}");
    assert_eq!(problems.as_slice()[0].line, 15);
}

/// A rule with headers that is on for one venue.
fn conditional() -> App {
    let text = CREDENTIALS
        .replace(
            "[variables]\n",
            "[variables]\nvenue = { default = \"binance\" }\nmarket = { default = \"us\" }\n",
        )
        .replace(
            "headers_required = true\n",
            "headers_required = true\nwhen = { venue = \"alpaca\", market = \"us\" }\n",
        );
    App::parse("spin.toml", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_rule_is_there_only_while_each_of_its_conditions_holds_to_the_letter() {
    let app = conditional();
    let rules = |venue: &str, market: &str| {
        let mut values = supplied("venue", venue);
        values.insert("market".to_owned(), market.to_owned());
        let app = app.resolve(&values).unwrap();
        app.components["ingest"].egress.len()
    };
    assert_eq!(rules("alpaca", "us"), 2);
    for (venue, market) in [
        ("binance", "us"),
        ("alpaca", "eu"),
        ("", "us"),
        ("Alpaca", "us"),
        (" alpaca", "us"),
    ] {
        assert_eq!(rules(venue, market), 1, "{venue:?} {market:?}");
    }
}

#[test]
fn a_feed_cannot_connect_by_a_rule_that_is_off() {
    let text = project_manifest().replace(
        "paths = [\"/stream\", ",
        "when = { market_data_feed_venue = \"alpaca\" }\npaths = [\"/stream\", ",
    );
    let problems = check(&text).unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("no egress rule lets the feed"),
        "{problems}"
    );
}

#[test]
fn alpacas_keys_go_to_those_sources_alone_that_are_alpaca() {
    let app = App::parse("spin.toml", &project_manifest()).unwrap();
    for (main, fallback) in [
        ("binance", "none"),
        ("binance", "alpaca"),
        ("alpaca", "binance"),
        ("alpaca", "alpaca"),
    ] {
        let values = [
            ("market_data_url", "https://main.example.com"),
            ("market_data_venue", main),
            ("fallback_market_data_url", "https://fallback.example.com"),
            ("fallback_market_data_venue", fallback),
            ("alpaca_key_id", "PK1"),
            ("alpaca_secret_key", "hunter2"),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let app = app.resolve(&BTreeMap::from(values)).unwrap();
        let told: Vec<&str> = app.components["ingest"]
            .egress
            .iter()
            .filter(|rule| !rule.headers.is_empty())
            .map(|rule| rule.host.text.as_str())
            .collect();
        let sources = [
            ("https://main.example.com", main),
            ("https://fallback.example.com", fallback),
        ];
        let expect: Vec<&str> = sources
            .into_iter()
            .filter(|(_, venue)| *venue == "alpaca")
            .map(|(host, _)| host)
            .collect();
        assert_eq!(told, expect, "{main} {fallback}");
    }
}

#[test]
fn what_goes_into_a_header_is_never_shown() {
    let app = App::parse("spin.toml", CREDENTIALS).unwrap();
    let resolved = app.resolve(&supplied("key", "hunter3")).unwrap();
    let broken = app
        .resolve(&supplied("key", "hunter3\r\nx: y"))
        .unwrap_err();
    for shown in [
        serde_json::to_string(&app).unwrap(),
        serde_json::to_string(&resolved).unwrap(),
        serde_json::to_string(&broken).unwrap(),
        format!("{app:?}"),
        format!("{resolved:?}"),
        format!("{broken} {broken:?}"),
    ] {
        assert!(
            !shown.contains("hunter3") && !shown.contains("x: y"),
            "{shown}"
        );
    }
    let shown = serde_json::to_value(&resolved).unwrap();
    let headers = &shown["components"]["ingest"]["egress"][0]["headers"];
    assert_eq!(headers[0]["value"], "***");
    assert_eq!(headers[0]["variables"], serde_json::json!(["key"]));
}

#[test]
fn the_projects_feed_is_read_in_full_and_is_off_until_it_is_turned_on() {
    let app = App::parse("spin.toml", &project_manifest()).unwrap();
    let off = app.resolve(&BTreeMap::new()).unwrap();
    let feed = &off.components["ingest"].feeds[0];
    assert!(!feed.is_enabled);
    assert_eq!(feed.name, "market-data");
    assert_eq!(feed.venue, FeedVenue::Binance);
    assert_eq!(feed.url.text, "ws://127.0.0.1:7878/stream");
    assert_eq!(
        (feed.instruments.as_str(), feed.timeframe.as_str()),
        ("BTC-USDT", "1m")
    );
    assert_eq!(feed.channels, FeedChannel::ALL);
    assert_eq!(
        (feed.key_id.as_ref(), feed.secret_key.as_ref()),
        (None, None)
    );

    let on = app
        .resolve(&supplied("market_data_feed_enabled", "1"))
        .unwrap();
    assert!(on.components["ingest"].feeds[0].is_enabled);
}

#[test]
fn a_feeds_credentials_reach_the_host_and_no_component_and_are_never_shown() {
    let app = App::parse("spin.toml", &project_manifest()).unwrap();
    let mut values = supplied("alpaca_secret_key", "hunter2");
    for (name, value) in [
        ("market_data_feed_enabled", "1"),
        ("market_data_feed_venue", "alpaca"),
        ("market_data_feed_path", "/v2/iex"),
        ("alpaca_key_id", "PK1"),
    ] {
        values.insert(name.to_owned(), value.to_owned());
    }
    let app = app.resolve(&values).unwrap();
    let ingest = &app.components["ingest"];
    let secret = ingest.feeds[0].secret_key.as_ref().unwrap();
    assert_eq!(secret.value, "hunter2");
    let holders = app
        .components
        .values()
        .flat_map(|component| component.variables.values());
    assert!(
        !holders
            .into_iter()
            .any(|variable| variable.value.contains("hunter2"))
    );
    let shown = format!("{app:?}{}", serde_json::to_string(&app).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn problems_are_serialised_with_their_places() {
    let problems = check("spin_manifest_version = 3\n[application]\nname = \"a\"\n").unwrap_err();
    let expected = serde_json::json!([{
        "file": "spin.toml", "line": 1, "column": 25, "message": "`spin_manifest_version` must be 2",
        "hint": "write `spin_manifest_version = 2` at the top",
    }]);
    assert_eq!(serde_json::to_value(&problems).unwrap(), expected);
}

/// Each file of `tests/bad` against the snapshot of the same name beside it.
#[test]
fn every_mistake_is_reported_at_its_line_and_column() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort();
    assert!(files.len() >= 40, "only {} files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let problems = match check(&text) {
                Err(problems) => problems,
                Ok(_) => panic!("{name} has no problem"),
            };
            insta::assert_snapshot!(name, problems.to_string());
        }
    });
}

#[test]
fn problems_come_sorted_by_place() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad/many.toml"))
            .unwrap();
    let problems = check(&text).unwrap_err();
    let places: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert!(places.len() >= 15, "{problems}");
    assert!(places.is_sorted());
}

#[test]
fn a_manifest_that_is_too_large_is_refused_unread() {
    let text = " ".repeat(bulkhead_manifest::MAX_MANIFEST_BYTES + 1);
    assert_eq!(check(&text).unwrap_err().as_slice().len(), 1);
}

#[test]
fn the_list_of_problems_is_bounded_and_says_how_many_more_there_are() {
    let mut text =
        String::from("spin_manifest_version = 2\n[application]\nname = \"a\"\n[variables]\n");
    for index in 0..bulkhead_manifest::MAX_PROBLEMS + 5 {
        text.push_str(&format!("v{index} = 1\n"));
    }
    let problems = check(&text).unwrap_err();
    assert_eq!(
        (problems.as_slice().len(), problems.omitted()),
        (bulkhead_manifest::MAX_PROBLEMS, 5)
    );
    assert!(problems.to_string().ends_with("and 5 more problems"));
}
