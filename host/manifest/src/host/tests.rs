use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

fn host(text: &str) -> OutboundHost {
    OutboundHost::parse(text, 1).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_host_has_a_scheme_a_name_and_a_port() {
    let host = host("https://api.example.com:8443");
    assert_eq!(host.scheme, SchemePattern::Exactly("https".to_owned()));
    assert_eq!(host.host, HostPattern::Name("api.example.com".to_owned()));
    assert_eq!(
        host.port,
        PortPattern::Range {
            first: 8443,
            last: 8443
        }
    );
}

#[test]
fn a_scheme_supplies_its_well_known_port() {
    for (text, port) in [
        ("http://a", 80),
        ("https://a/", 443),
        ("redis://a", 6379),
        ("postgres://10.0.0.0/8", 5432),
    ] {
        assert_eq!(
            host(text).port,
            PortPattern::Range {
                first: port,
                last: port
            },
            "{text}"
        );
    }
}

#[test]
fn the_end_of_a_port_range_is_not_part_of_it() {
    assert_eq!(
        host("http://a:8000..9000").port,
        PortPattern::Range {
            first: 8000,
            last: 8999
        }
    );
}

#[test]
fn every_form_of_host_that_spin_knows_is_read() {
    let forms = [
        ("*://*:*", HostPattern::Any),
        ("http://self", HostPattern::Application),
        (
            "http://*.example.com",
            HostPattern::Subdomains("example.com".to_owned()),
        ),
        (
            "http://127.0.0.1:7878",
            HostPattern::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ),
        (
            "http://[::1]:80/",
            HostPattern::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ),
        (
            "http://[::1]",
            HostPattern::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ),
        (
            "http://10.1.2.3/8:80",
            HostPattern::Network(Network::parse("10.0.0.0/8").unwrap()),
        ),
        (
            "http://fd00::/8:80",
            HostPattern::Network(Network::parse("fd00::/8").unwrap()),
        ),
    ];
    for (text, pattern) in forms {
        assert_eq!(host(text).host, pattern, "{text}");
    }
}

#[test]
fn an_ipv6_network_may_stand_in_brackets() {
    let network = HostPattern::Network(Network::parse("fd00::/8").unwrap());
    for (text, port) in [
        ("http://[fd00::]/8", 80),
        ("http://[fd00::]/8/", 80),
        ("https://[fd00::]/8", 443),
        ("http://[fd12::3]/8:8080", 8080),
    ] {
        let host = host(text);
        assert_eq!(host.host, network, "{text}");
        let range = PortPattern::Range {
            first: port,
            last: port,
        };
        assert_eq!(host.port, range, "{text}");
    }
}

#[test]
fn a_form_that_spin_cannot_read_is_told_the_one_it_can() {
    for (text, spin_form) in [
        ("http://[fd00::]/8", Some("http://fd00::/8:80")),
        (
            "http://[fd00::]/8:8000..9000",
            Some("http://fd00::/8:8000..9000"),
        ),
        ("*://[fd00::]/8:*", Some("*://fd00::/8:*")),
        ("https://[::1]", Some("https://[::1]:443")),
        ("https://[::1]/", Some("https://[::1]:443")),
        ("https://[::1]:443/", None),
        ("http://fd00::/8:80", None),
        ("http://10.0.0.0/8", None),
        ("http://a", None),
    ] {
        assert_eq!(host(text).spin_form().as_deref(), spin_form, "{text}");
    }
}

#[test]
fn a_host_that_no_request_could_match_is_refused() {
    let bad = [
        "",
        "*",
        "example.com",
        "://example.com",
        "HTTP://a",
        "h2c+x://a",
        "http://",
        "http://:80",
        "http://Example.com",
        "http://example.com.",
        "http://a..b",
        "http://a.*.b",
        "http://*a",
        "http://*.*.b",
        "http://a/path",
        "http://a:80/path",
        "http://user@a",
        "http://user:pw@a",
        "http://münchen.de",
        "http://a b",
        "http://127.1",
        "http://0177.0.0.1",
        "http://2130706433",
        "http://a.0x7f",
        "http://[::1",
        "http://[::1]80",
        "http://[::1]/path",
        "http://[fd00::]/129",
        "http://[fd00::]/8x",
        "http://[10.0.0.0]/8",
        "http://[fd00::/8]",
        "http://[fe80::1%25eth0]:80",
        "http://[127.0.0.1]",
        "http://10.0.0.0/33",
        "http://a:0",
        "http://a:65536",
        "http://a:+80",
        "http://a:80..80",
        "http://a:9000..8000",
        "http://a:..",
        "*://a",
        "ftp://a",
        "http://a?x",
        "http://a#x",
        "http://a:80:80",
    ];
    for text in bad {
        assert!(OutboundHost::parse(text, 1).is_err(), "{text}");
    }
}

#[test]
fn a_host_covers_what_lies_within_it_and_nothing_else() {
    let covered = [
        ("*://*:*", "https://api.example.com"),
        ("*://*:*", "http://*.example.com"),
        ("https://*.example.com", "https://api.example.com"),
        ("https://*.example.com", "https://*.eu.example.com"),
        ("http://10.0.0.0/8", "http://10.1.2.3"),
        ("http://10.0.0.0/8", "http://10.1.0.0/16"),
        ("http://a:8000..9000", "http://a:8999"),
        ("http://a:8000..9000", "http://a:8100..8200"),
        ("http://a", "http://a:80"),
    ];
    for (wide, narrow) in covered {
        assert!(host(wide).covers(&host(narrow)), "{wide} covers {narrow}");
    }
    let uncovered = [
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evilexample.com"),
        ("https://*.example.com", "https://example.com.evil.com"),
        ("https://*.eu.example.com", "https://*.example.com"),
        ("https://api.example.com", "http://api.example.com:443"),
        ("https://api.example.com", "*://api.example.com:443"),
        ("http://a:8000..9000", "http://a:9000"),
        ("http://a:8000..9000", "http://a:*"),
        ("http://10.0.0.0/8", "http://11.0.0.1"),
        ("http://10.1.0.0/16", "http://10.0.0.0/8"),
        ("http://0.0.0.0/0", "http://[::1]"),
        ("http://a", "http://*"),
    ];
    for (wide, narrow) in uncovered {
        assert!(
            !host(wide).covers(&host(narrow)),
            "{wide} must not cover {narrow}"
        );
    }
}

#[test]
fn only_the_applications_own_hosts_are_internal() {
    for text in [
        "http://self",
        "http://*.spin.internal",
        "http://ingest.spin.internal",
    ] {
        assert!(host(text).is_internal(), "{text}");
    }
    for text in [
        "http://spin.internal.example.com",
        "http://evilspin.internal",
        "http://*:80",
        "http://127.0.0.1",
    ] {
        assert!(!host(text).is_internal(), "{text}");
    }
}
