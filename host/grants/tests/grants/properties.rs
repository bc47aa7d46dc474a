//! What holds for every request.

use std::net::IpAddr;

use bulkhead_grants::egress::{
    EgressClass, EgressGrant, EgressRule, HostPattern, RequestHead, RuleHeaders, RunMode,
    StaticResolver, admit, decide, forbidden,
};
use bulkhead_grants::switches::SwitchState;
use http::Method;
use proptest::prelude::*;

use crate::vectors::switches_off;

/// Any host, any port, any path: what is refused under it is refused under every grant that names no address.
fn anywhere() -> EgressGrant {
    EgressGrant {
        component: "anywhere".to_owned(),
        component_line: 1,
        rules: vec![EgressRule {
            host: "*://*:*".parse::<HostPattern>().expect("a host pattern"),
            class: EgressClass::MarketData,
            methods: vec![Method::GET],
            paths: vec!["/**".parse().expect("a path pattern")],
            headers: RuleHeaders::default(),
            manifest_line: 2,
        }],
    }
}

fn get<'a>(scheme: &'a str, authority: &'a str, path_and_query: &'a str) -> RequestHead<'a> {
    RequestHead {
        method: "GET",
        scheme: Some(scheme),
        authority,
        path_and_query,
        headers: vec![],
    }
}

/// Texts of the characters that URLs go wrong by.
fn url_like() -> impl Strategy<Value = String> {
    "[a-cx0-9A-C.:@/\\\\%\\[\\]#?\\- \t;*_~é。]{0,24}"
}

fn address() -> impl Strategy<Value = IpAddr> {
    let near = prop::sample::select(vec![
        "127.0.0.1",
        "169.254.169.254",
        "10.1.2.3",
        "93.184.216.34",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00:ec2::254",
        "2606:4700::1111",
    ]);
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        near.prop_map(|text| text.parse().expect("an address")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decision_panic(
        method in prop::collection::vec(any::<u8>(), 0..20),
        scheme in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
        authority in prop::collection::vec(any::<u8>(), 0..64),
        path in prop::collection::vec(any::<u8>(), 0..64),
        header in prop::collection::vec(any::<u8>(), 0..32),
    ) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (method, authority, path) = (text(&method), text(&authority), text(&path));
        let scheme = scheme.as_deref().map(text);
        let (grant, off) = (anywhere(), switches_off());
        for scheme in [scheme.as_deref(), Some("https")] {
            for method in [method.as_str(), "GET"] {
                let headers = vec![("host", header.as_slice())];
                let head = RequestHead { method, scheme, authority: &authority, path_and_query: &path, headers };
                let _ = decide(&head, &grant, RunMode::Live, &off);
            }
        }
    }

    #[test]
    fn what_is_admitted_is_what_another_reading_of_the_url_gives(authority in url_like(), path in url_like()) {
        let (grant, off) = (anywhere(), switches_off());
        let path = format!("/{path}");
        if let Ok(admission) = decide(&get("https", &authority, &path), &grant, RunMode::Live, &off) {
            let url = url::Url::parse(&format!("https://{authority}{path}")).unwrap();
            prop_assert_eq!(url.host_str().unwrap(), admission.target().host.to_string());
            prop_assert_eq!(url.port_or_known_default().unwrap(), admission.target().port);
            prop_assert_eq!(url.username(), "");
            // Neither the URL standard nor the HTTP library sees another path than the one that was granted.
            prop_assert_eq!(url.path(), path.split('?').next().unwrap());
            let uri: http::Uri = format!("https://{authority}{path}").parse().unwrap();
            prop_assert_eq!(uri.path(), path.split('?').next().unwrap());
            prop_assert_eq!(uri.host().unwrap().to_ascii_lowercase(), url.host_str().unwrap());
        }
    }

    #[test]
    fn nothing_that_is_permitted_leads_to_a_forbidden_address(answers in prop::collection::vec(address(), 0..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let resolver = StaticResolver::new().answer("a.example", answers.clone());
        let (grant, off) = (anywhere(), switches_off());
        let head = get("http", "a.example", "/");
        let verdict = runtime.block_on(admit(&head, &grant, RunMode::Live, &off, &resolver));
        let is_fit = !answers.is_empty() && answers.iter().all(|&ip| forbidden(ip).is_none());
        prop_assert_eq!(verdict.is_ok(), is_fit);
        if let Ok(permit) = verdict {
            prop_assert!(answers.contains(&permit.address().ip()));
        }
    }

    #[test]
    fn an_address_that_carries_an_inner_one_is_forbidden(inner in any::<u32>(), low in any::<u64>()) {
        let inner = u128::from(inner);
        let wrapped = [
            0xffff_0000_0000 | inner,
            inner,
            (0x0064_ff9b_u128 << 96) | inner,
            (0x0064_ff9b_0001_u128 << 80) | u128::from(low),
            (0x2002_u128 << 112) | (inner << 80) | u128::from(low),
            (0x2001_0000_u128 << 96) | u128::from(low),
        ];
        for bits in wrapped {
            let ip = IpAddr::from(bits.to_be_bytes());
            prop_assert!(forbidden(ip).is_some(), "{}", ip);
        }
    }

    #[test]
    fn no_text_of_a_switch_makes_reading_panic(variable in any::<String>(), body in any::<String>()) {
        let _ = SwitchState::read(Some(&variable), Some(&body), Some(&body));
    }
}
