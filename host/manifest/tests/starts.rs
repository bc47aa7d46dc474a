//! What the manifest accepts, the egress gate, the scheduler and the HTTP server accept too: what passes the check
//! starts.

use bulkhead_grants::egress as gate;
use bulkhead_manifest::{App, PathPattern, Route, Trigger};
use bulkhead_triggers::cron::{CronSchedule, MAX_EXPRESSION_BYTES};
use bulkhead_triggers::http;
use proptest::prelude::*;

fn gate_path(text: &str) -> bool {
    text.parse::<gate::PathPattern>().is_ok()
}

fn served_route(route: &Route) -> bool {
    http::Route::parse(&route.to_string()).is_ok()
}

/// Whether the manifest takes a schedule of this expression.
fn manifest_takes_cron(expression: &str) -> bool {
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n[component.pulse]\nsource = \"p.wasm\"\n\
         [component.pulse.tool.bulkhead]\nstage = \"pulse\"\nschedule = {{ cron = {expression:?} }}\n"
    );
    let Ok(app) = App::parse("spin.toml", &text) else {
        return false;
    };
    matches!(&app.triggers[..], [Trigger::Cron { expression: read, .. }] if read == expression)
}

#[test]
fn every_form_of_path_that_the_gate_documents_is_a_path_of_the_manifest() {
    for text in ["/api/v3/klines", "/v2/*/bars", "/api/**", "/**", "/"] {
        assert!(PathPattern::parse(text).is_ok(), "{text}");
        assert!(gate_path(text), "{text}");
    }
}

#[test]
fn the_longest_path_of_the_manifest_is_the_longest_of_the_gate() {
    for (bytes, accepted) in [
        (gate::MAX_PATTERN_BYTES, true),
        (gate::MAX_PATTERN_BYTES + 1, false),
    ] {
        let text = format!("/{}", "a".repeat(bytes - 1));
        assert_eq!(PathPattern::parse(&text).is_ok(), accepted, "{bytes}");
        assert_eq!(gate_path(&text), accepted, "{bytes}");
    }
}

/// Whether the manifest takes a header of this name and value, and the gate what comes of it.
fn takes_header(name: &str, value: &str) -> (bool, bool) {
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n[component.ingest]\nsource = \"i.wasm\"\n\
         allowed_outbound_hosts = [\"https://a.example\"]\n[component.ingest.tool.bulkhead]\nstage = \"ingest\"\n\
         [[component.ingest.tool.bulkhead.egress]]\nhost = \"https://a.example\"\nclass = \"market-data\"\n\
         methods = [\"GET\"]\npaths = [\"/\"]\nheaders = {{ {name:?} = {value:?} }}\n"
    );
    let taken = App::check("spin.toml", &text, &Default::default()).is_ok();
    let header = gate::RuleHeader::new(name, value, vec![]);
    (taken, header.is_ok())
}

#[test]
fn a_header_of_the_manifest_is_one_of_the_gate_and_the_reverse() {
    let longest_name = "a".repeat(gate::MAX_RULE_HEADER_NAME_BYTES);
    let longest_value = "a".repeat(gate::MAX_RULE_HEADER_VALUE_BYTES);
    for (name, value, accepted) in [
        ("APCA-API-KEY-ID", "PK123", true),
        ("a", "", true),
        (&longest_name, &longest_value, true),
        (&format!("{longest_name}a"), "a", false),
        ("a", &format!("{longest_value}a"), false),
        ("a", "a b", true),
        ("a", " a", false),
        ("a", "é", false),
        ("!#$%&'*+-.^_`|~", "~", true),
        ("a(b", "a", false),
        ("Host", "a", false),
        ("content-length", "1", false),
        ("Connection", "close", false),
        ("HTTP2-Settings", "a", false),
        ("Keep-Alive", "a", false),
        ("Proxy-Authenticate", "a", false),
        ("Proxy-Authorization", "a", false),
        ("Proxy-Connection", "a", false),
        ("TE", "a", false),
        ("Trailer", "a", false),
        ("Transfer-Encoding", "a", false),
        ("Upgrade", "a", false),
        ("X-HTTP-Method", "a", false),
        ("X-HTTP-Method-Override", "a", false),
        ("X-Method-Override", "a", false),
        ("X-Original-URL", "a", false),
        ("X-Rewrite-URL", "a", false),
    ] {
        assert_eq!(takes_header(name, value), (accepted, accepted), "{name}");
    }
}

#[test]
fn the_longest_cron_expression_of_the_manifest_is_the_longest_of_the_scheduler() {
    for (bytes, accepted) in [
        (MAX_EXPRESSION_BYTES, true),
        (MAX_EXPRESSION_BYTES + 1, false),
    ] {
        let rest = " * * * * *";
        let text = format!("0{}{rest}", ",0".repeat((bytes - rest.len() - 1) / 2));
        let text = format!("{}{text}", " ".repeat(bytes - text.len()));
        assert_eq!(text.len(), bytes);
        assert_eq!(manifest_takes_cron(&text), accepted, "{bytes}");
        assert_eq!(
            CronSchedule::parse(&text, "UTC").is_ok(),
            accepted,
            "{bytes}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_path_of_the_manifest_is_one_of_the_gate(text in "(/([a-z.~*;%?:é ]{0,3}|[*]{1,2})){0,4}/?") {
        if PathPattern::parse(&text).is_ok() {
            prop_assert!(gate_path(&text), "{text}");
        } else if !text.contains('%') {
            // The gate knows paths with an escape in them; the manifest leaves those to `*` and `**`.
            prop_assert!(!gate_path(&text), "{text}");
        }
    }

    #[test]
    fn a_pattern_permits_in_the_manifest_what_it_permits_at_the_gate(
        pattern in "(/([ab]{1,2}|[*]{1,2})){1,4}",
        path in "(/[ab]{1,2}){1,4}/?",
    ) {
        if let (Ok(manifest), Ok(gate)) = (PathPattern::parse(&pattern), pattern.parse::<gate::PathPattern>()) {
            prop_assert_eq!(manifest.matches(&path), gate.matches(&path), "{} {}", pattern, path);
        }
    }

    #[test]
    fn a_route_of_the_manifest_is_one_of_the_server(text in "(/([a-z.:%*]{0,4}|health|healthz|events)){0,3}(/|/[.]{3}|/[*])?") {
        if let Ok(route) = Route::parse(&text) {
            prop_assert!(served_route(&route), "{text}");
        }
    }

    #[test]
    fn a_cron_expression_of_the_manifest_is_one_of_the_scheduler(
        fields in prop::collection::vec("[0-9*]{1,2}([-,/][0-9*LW#@?é]{1,2})?|MON|JAN|L", 6),
    ) {
        let text = fields.join(" ");
        if manifest_takes_cron(&text) {
            prop_assert!(CronSchedule::parse(&text, "UTC").is_ok(), "{text}");
        }
    }
}
