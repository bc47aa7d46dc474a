//! Document grants.

use bulkhead_grants::documents::{CollectionPattern, DocumentGrant};
use bulkhead_grants::reason;

fn grant(read: &[&str], write: &[&str]) -> DocumentGrant {
    let patterns = |list: &[&str]| {
        list.iter()
            .map(|text| text.parse().expect("a pattern"))
            .collect()
    };
    DocumentGrant {
        component: "execute".to_owned(),
        component_line: 42,
        read: patterns(read),
        write: patterns(write),
    }
}

#[test]
fn a_name_grants_itself_and_a_star_what_is_nested_below() {
    let grant = grant(&["orders", "ingest/*"], &[]);
    for collection in [
        "orders",
        "ingest/frames",
        "ingest/BTC-USDT.1m",
        "ingest/a/b",
    ] {
        assert_eq!(grant.check_read(collection), Ok(()), "{collection}");
    }
    for collection in [
        "order",
        "orders2",
        "Orders",
        "orders/x",
        "ingest",
        "ingests/x",
        "xingest/a",
    ] {
        assert_eq!(
            grant.check_read(collection).unwrap_err().reason,
            reason::READ_NOT_GRANTED,
            "{collection}"
        );
    }
}

#[test]
fn reading_does_not_include_writing_nor_writing_reading() {
    let grant = grant(&["systemStatus"], &["orders"]);
    assert_eq!(
        grant.check_write("systemStatus").unwrap_err().reason,
        reason::WRITE_NOT_GRANTED
    );
    assert_eq!(
        grant.check_read("orders").unwrap_err().reason,
        reason::READ_NOT_GRANTED
    );
    assert_eq!(grant.check_write("orders"), Ok(()));
}

#[test]
fn an_empty_grant_grants_nothing() {
    assert!(grant(&[], &[]).check_read("orders").is_err());
    assert!(grant(&[], &[]).check_write("orders").is_err());
}

#[test]
fn a_denial_names_the_collection_the_grants_the_table_and_the_line() {
    let denied = grant(&[], &["orders", "positions"])
        .check_write("systemStatus")
        .unwrap_err();
    assert_eq!(
        denied.detail,
        "component `execute` may not write the collection `systemStatus`; its write grants are `orders`, `positions`; \
         add it to `write` of `[component.execute.tool.bulkhead.documents]` (spin.toml:42)"
    );
}

#[test]
fn a_malformed_collection_is_refused_whatever_is_granted() {
    let grant = grant(&["orders", "ingest/*"], &[]);
    let (long, deep) = (format!("ingest/{}", "a".repeat(129)), ["a"; 9].join("/"));
    for collection in [
        "",
        "/",
        "ingest/",
        "/orders",
        "ingest//a",
        "ingest/..",
        "ingest/./a",
        "ingest/*",
        "ord ers",
        "orders\0",
        "ordérs",
        &long,
        &deep,
    ] {
        assert_eq!(
            grant.check_read(collection).unwrap_err().reason,
            reason::COLLECTION_MALFORMED,
            "{collection}"
        );
    }
}

#[test]
fn there_is_no_pattern_for_everything() {
    for text in [
        "", "*", "/*", "**", "a/**", "a*", "*/a", "a/*/b", "a/", "/a", "a b",
    ] {
        assert!(text.parse::<CollectionPattern>().is_err(), "{text}");
    }
    for text in ["orders", "ingest/*", "a/b/*"] {
        assert_eq!(text.parse::<CollectionPattern>().unwrap().to_string(), text);
    }
}
