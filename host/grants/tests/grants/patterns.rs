//! The texts that are patterns, and those that are none.

use bulkhead_grants::egress::{HostPattern, PathPattern};

#[test]
fn a_host_pattern_says_itself_with_its_port() {
    let check = |text: &str, expect: &str| {
        assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), expect)
    };
    check("https://api.binance.com", "https://api.binance.com:443");
    check("http://API.binance.com", "http://api.binance.com:80");
    check("https://*.alpaca.markets", "https://*.alpaca.markets:443");
    check("http://127.0.0.1:7878", "http://127.0.0.1:7878");
    check("http://[::1]:7878", "http://[::1]:7878");
    check("*://10.0.0.0/8:8000..8010", "*://10.0.0.0/8:8000..8010");
    check("http://[fd00::]/8", "http://[fd00::]/8:80");
    check("*://*:*", "*://*:*");
}

#[test]
fn a_text_that_no_request_could_meet_is_no_host_pattern() {
    for text in [
        "",
        "api.binance.com",
        "ftp://a.b",
        "https://",
        "https://a.b/path",
        "https://a.b:0",
        "https://a.b:65536",
        "https://a.b:",
        "https://u@a.b",
        "https://a.b.",
        "*://a.b",
        "http://2130706433",
        "http://127.1",
        "http://*.",
        "http://*.127.0.0.1",
        "http://a.*.b",
        "http://**",
        "http://10.0.0.0/33",
        "http://a.b/8",
        "http://::1",
        "http://a.b:9..9",
        "http://a.b:9..8",
        "http://bücher.example",
        "http://a b",
        "http://[::ffff:127.0.0.1]",
    ] {
        assert!(text.parse::<HostPattern>().is_err(), "{text}");
    }
}

#[test]
fn a_path_pattern_grants_a_path_a_segment_or_a_tree() {
    let check = |pattern: &str, path: &str, expect: bool| {
        assert_eq!(
            pattern.parse::<PathPattern>().unwrap().matches(path),
            expect,
            "{pattern} {path}"
        );
    };
    check("/a/b", "/a/b", true);
    for path in ["/a", "/a/b/", "/a/b/c", "/A/b", "/a/bb"] {
        check("/a/b", path, false);
    }
    check("/a/*", "/a/b", true);
    check("/a/*", "/a/*", true);
    for path in ["/a", "/a/", "/a/b/c", "/b/a"] {
        check("/a/*", path, false);
    }
    check("/a/*/c", "/a/b/c", true);
    check("/a/*/c", "/a/b/d", false);
    for path in ["/a/", "/a/b", "/a/b/c/d"] {
        check("/a/**", path, true);
    }
    for path in ["/a", "/ab", "/b/a/"] {
        check("/a/**", path, false);
    }
    check("/**", "/", true);
    check("/", "/", true);
    check("/", "/a", false);
}

#[test]
fn a_text_that_no_path_could_meet_is_no_path_pattern() {
    for text in [
        "", "a", "*", "/a/../b", "/a//b", "/a%2fb", "/a?b", "/a#b", "/a*", "/**/a", "/a/***", "/ä",
        "/a b", "/%61",
    ] {
        assert!(text.parse::<PathPattern>().is_err(), "{text}");
    }
}
