use bulkhead_store::{
    Key, MAX_BODY_BYTES, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_LIST_LIMIT, MAX_PAGE_BYTES,
    Order, Query, Write,
};
use futures::executor::block_on;

use crate::stores::{
    Shared, all_ids, assert_conflict, assert_invalid, commit, create, delete, ids, key,
    on_both_stores, order, replace, upsert,
};

on_both_stores! {
    a_new_store_holds_the_kill_switch_turned_off,
    revisions_start_at_one_and_rise_by_one,
    a_document_created_twice_is_a_conflict,
    a_replacement_needs_the_expected_revision,
    a_removal_needs_the_expected_revision_only_if_one_is_given,
    a_conflict_leaves_nothing_of_the_commit,
    later_writes_of_a_commit_see_earlier_ones,
    a_removed_document_starts_over_at_revision_one,
    an_empty_commit_answers_nothing,
    a_commit_over_a_bound_or_not_json_is_refused_whole,
    a_malformed_key_is_refused_everywhere,
    a_listing_is_ordered_bytewise_and_bounded,
    pages_together_are_the_whole_listing,
    a_page_of_large_bodies_ends_early_with_a_cursor,
    a_listing_does_not_reach_into_other_collections,
    a_malformed_query_is_refused,
    a_cursor_of_another_query_is_refused,
    a_count_follows_every_kind_of_write,
    a_body_comes_back_byte_for_byte,
}

fn a_new_store_holds_the_kill_switch_turned_off(store: &Shared) {
    let switch = key("ops", "execution_kill_switch");
    let document = block_on(store.get(&switch)).unwrap().unwrap();
    assert_eq!(document.revision, 1);
    assert_eq!(
        document.body,
        r#"{"enabled":false,"reason":"initial state"}"#
    );
}

fn revisions_start_at_one_and_rise_by_one(store: &Shared) {
    assert_eq!(order(store, "a"), None);
    assert_eq!(commit(store, vec![create("a", "1")]).unwrap(), [1]);
    assert_eq!(commit(store, vec![upsert("a", "2")]).unwrap(), [2]);
    assert_eq!(commit(store, vec![replace("a", 2, "3")]).unwrap(), [3]);
    assert_eq!(commit(store, vec![upsert("a", "3")]).unwrap(), [4]);
    assert_eq!(order(store, "a"), Some((4, "3".to_owned())));
    assert_eq!(commit(store, vec![upsert("b", "1")]).unwrap(), [1]);
    assert_eq!(commit(store, vec![delete("a", Some(4))]).unwrap(), [0]);
    assert_eq!(order(store, "a"), None);
}

fn a_document_created_twice_is_a_conflict(store: &Shared) {
    commit(store, vec![upsert("a", "1"), upsert("a", "2")]).unwrap();
    assert_conflict(commit(store, vec![create("a", "3")]), "a", Some(2));
    assert_eq!(order(store, "a"), Some((2, "2".to_owned())));
}

fn a_replacement_needs_the_expected_revision(store: &Shared) {
    assert_conflict(commit(store, vec![replace("a", 1, "1")]), "a", None);
    commit(store, vec![create("a", "1")]).unwrap();
    for expected in [0, 2, u64::MAX] {
        assert_conflict(
            commit(store, vec![replace("a", expected, "2")]),
            "a",
            Some(1),
        );
    }
    assert_eq!(order(store, "a"), Some((1, "1".to_owned())));
}

fn a_removal_needs_the_expected_revision_only_if_one_is_given(store: &Shared) {
    assert_eq!(commit(store, vec![delete("a", None)]).unwrap(), [0]);
    assert_conflict(commit(store, vec![delete("a", Some(1))]), "a", None);
    commit(store, vec![create("a", "1")]).unwrap();
    assert_conflict(commit(store, vec![delete("a", Some(2))]), "a", Some(1));
    assert_eq!(commit(store, vec![delete("a", None)]).unwrap(), [0]);
    assert_eq!(order(store, "a"), None);
}

fn a_conflict_leaves_nothing_of_the_commit(store: &Shared) {
    commit(store, vec![create("a", "1"), create("b", "1")]).unwrap();
    let writes = vec![
        upsert("a", "2"),
        create("new", "1"),
        delete("b", None),
        create("b", "2"),
        replace("a", 1, "3"),
    ];
    assert_conflict(commit(store, writes), "a", Some(2));
    assert_eq!(order(store, "a"), Some((1, "1".to_owned())));
    assert_eq!(order(store, "b"), Some((1, "1".to_owned())));
    assert_eq!(order(store, "new"), None);
    assert_eq!(block_on(store.count("orders")).unwrap(), 2);
}

fn later_writes_of_a_commit_see_earlier_ones(store: &Shared) {
    let writes = vec![
        create("a", "1"),
        replace("a", 1, "2"),
        delete("a", Some(2)),
        create("a", "3"),
    ];
    assert_eq!(commit(store, writes).unwrap(), [1, 2, 0, 1]);
    assert_eq!(order(store, "a"), Some((1, "3".to_owned())));
}

fn a_removed_document_starts_over_at_revision_one(store: &Shared) {
    commit(store, vec![upsert("a", "1"), upsert("a", "2")]).unwrap();
    commit(store, vec![delete("a", None)]).unwrap();
    assert_eq!(commit(store, vec![upsert("a", "3")]).unwrap(), [1]);
}

fn an_empty_commit_answers_nothing(store: &Shared) {
    assert_eq!(commit(store, Vec::new()).unwrap(), Vec::<u64>::new());
}

fn a_commit_over_a_bound_or_not_json_is_refused_whole(store: &Shared) {
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let largest = text(MAX_BODY_BYTES);
    assert_eq!(
        commit(store, vec![create("largest", &largest)]).unwrap(),
        [1]
    );
    for (bad, names) in [
        (
            create("b", &text(MAX_BODY_BYTES + 1)),
            "orders/b`: 1048577 bytes",
        ),
        (create("b", "{"), "orders/b`: not JSON"),
        (upsert("b", ""), "not JSON"),
        (replace("b", 1, "{} {}"), "not JSON"),
        (
            Write::Delete {
                key: Key {
                    collection: "orders".to_owned(),
                    id: "x/y".to_owned(),
                },
                expected_revision: None,
            },
            "document id",
        ),
    ] {
        assert_invalid(commit(store, vec![create("a", "1"), bad]), names);
    }
    let many = |count: usize| {
        (0..count)
            .map(|n| upsert(&n.to_string(), "1"))
            .collect::<Vec<_>>()
    };
    assert_invalid(commit(store, many(MAX_COMMIT_WRITES + 1)), "1001 writes");
    let heavy = vec![upsert("a", &largest); MAX_COMMIT_BYTES / MAX_BODY_BYTES + 1];
    assert_invalid(commit(store, heavy), "bodies exceed");
    assert_eq!(order(store, "a"), None);
    assert_eq!(
        commit(store, many(MAX_COMMIT_WRITES)).unwrap(),
        [1; MAX_COMMIT_WRITES]
    );
}

fn a_malformed_key_is_refused_everywhere(store: &Shared) {
    let bad = Key {
        collection: "system status".to_owned(),
        id: "x".to_owned(),
    };
    assert_invalid(block_on(store.get(&bad)), "collection");
    assert_invalid(block_on(store.count("a//b")), "collection");
    assert_invalid(block_on(store.list(&Query::all(""))), "collection");
    let write = Write::Upsert {
        key: bad,
        body: "1".to_owned(),
    };
    assert_invalid(commit(store, vec![write]), "collection");
}

const SORTED: [&str; 9] = ["-", "A", "B", "Ba", "a", "ab", "b", "é", "\u{10ffff}"];

fn fill(store: &Shared) {
    let mut shuffled = SORTED;
    shuffled.reverse();
    shuffled.rotate_left(4);
    commit(store, shuffled.iter().map(|id| create(id, "1")).collect()).unwrap();
}

fn a_listing_is_ordered_bytewise_and_bounded(store: &Shared) {
    fill(store);
    let check = |prefix: &str, start: &str, end: &str, expect: &[&str]| {
        let given = |bound: &str| (!bound.is_empty()).then(|| bound.to_owned());
        let mut query = Query {
            prefix: given(prefix),
            start: given(start),
            end: given(end),
            ..Query::all("orders")
        };
        let page = block_on(store.list(&query)).unwrap();
        assert_eq!(ids(&page), expect, "{query:?}");
        assert_eq!(page.cursor, None);
        query.order = Order::Descending;
        let mut reversed = expect.to_vec();
        reversed.reverse();
        assert_eq!(
            ids(&block_on(store.list(&query)).unwrap()),
            reversed,
            "{query:?}"
        );
    };
    check("", "", "", &SORTED);
    check("a", "", "", &["a", "ab"]);
    check("B", "", "", &["B", "Ba"]);
    check("\u{10ffff}", "", "", &["\u{10ffff}"]);
    check("", "B", "b", &["B", "Ba", "a", "ab"]);
    check("", "C", "", &["a", "ab", "b", "é", "\u{10ffff}"]);
    check("", "", "A", &["-"]);
    check("", "b", "a", &[]);
    check("", "a", "a", &[]);
    check("a", "aa", "", &["ab"]);
    check("a", "", "ab", &["a"]);
    check("a", "b", "", &[]);
    check("x", "", "", &[]);
}

fn pages_together_are_the_whole_listing(store: &Shared) {
    fill(store);
    let mut reversed = SORTED;
    reversed.reverse();
    for limit in 1..=SORTED.len() as u32 + 1 {
        let mut query = Query {
            limit,
            ..Query::all("orders")
        };
        assert_eq!(all_ids(store, query.clone()), SORTED);
        query.order = Order::Descending;
        assert_eq!(all_ids(store, query.clone()), reversed);
        query.start = Some("B".to_owned());
        query.end = Some("b".to_owned());
        assert_eq!(all_ids(store, query), ["ab", "a", "Ba", "B"]);
    }
}

fn a_page_of_large_bodies_ends_early_with_a_cursor(store: &Shared) {
    let body = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    let written: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    for id in &written {
        commit(store, vec![create(id, &body)]).unwrap();
    }
    let page = block_on(store.list(&Query::all("orders"))).unwrap();
    assert_eq!(page.documents.len(), MAX_PAGE_BYTES / MAX_BODY_BYTES);
    assert_eq!(all_ids(store, Query::all("orders")), written);
}

fn a_listing_does_not_reach_into_other_collections(store: &Shared) {
    for collection in ["order", "orders", "orders/open", "ordersx", "Orders"] {
        let write = Write::Create {
            key: key(collection, collection.trim_end_matches("/open")),
            body: "1".to_owned(),
        };
        commit(store, vec![write]).unwrap();
    }
    assert_eq!(all_ids(store, Query::all("orders")), ["orders"]);
    assert_eq!(
        all_ids(store, Query::all("nothing-here")),
        Vec::<String>::new()
    );
    assert_eq!(block_on(store.count("orders")).unwrap(), 1);
    assert_eq!(block_on(store.count("nothing-here")).unwrap(), 0);
}

fn a_malformed_query_is_refused(store: &Shared) {
    for limit in [0, MAX_LIST_LIMIT + 1, u32::MAX] {
        let query = Query {
            limit,
            ..Query::all("orders")
        };
        assert_invalid(block_on(store.list(&query)), "limit");
    }
    let query = Query {
        prefix: Some("x".repeat(257)),
        ..Query::all("orders")
    };
    assert_invalid(block_on(store.list(&query)), "prefix");
    for cursor in ["", "a", "10000000000000000", "\u{0}"] {
        let query = Query {
            cursor: Some(cursor.to_owned()),
            ..Query::all("orders")
        };
        assert_invalid(block_on(store.list(&query)), "cursor");
    }
}

fn a_cursor_of_another_query_is_refused(store: &Shared) {
    fill(store);
    let mut query = Query {
        limit: 2,
        ..Query::all("orders")
    };
    query.cursor = block_on(store.list(&query)).unwrap().cursor;
    assert!(query.cursor.is_some());
    query.limit = 3;
    assert_eq!(
        ids(&block_on(store.list(&query)).unwrap()),
        ["B", "Ba", "a"]
    );
    query.order = Order::Descending;
    assert_invalid(block_on(store.list(&query)), "cursor");
}

fn a_count_follows_every_kind_of_write(store: &Shared) {
    let count = || block_on(store.count("orders")).unwrap();
    commit(
        store,
        vec![create("a", "1"), upsert("b", "1"), upsert("b", "2")],
    )
    .unwrap();
    assert_eq!(count(), 2);
    commit(
        store,
        vec![
            delete("a", None),
            delete("a", None),
            delete("x", None),
            upsert("c", "1"),
        ],
    )
    .unwrap();
    assert_eq!(count(), 2);
    commit(
        store,
        vec![
            delete("b", Some(2)),
            delete("c", None),
            replace("a", 1, "1"),
        ],
    )
    .unwrap_err();
    assert_eq!(count(), 2);
    commit(store, vec![delete("b", Some(2)), delete("c", None)]).unwrap();
    assert_eq!(count(), 0);
}

fn a_body_comes_back_byte_for_byte(store: &Shared) {
    let body = " {\"b\" : 1.10,\n\t\"a\":\"\\u0000é😀\",\"a\":2} ";
    commit(store, vec![create("a", body)]).unwrap();
    let document = block_on(store.get(&key("orders", "a"))).unwrap().unwrap();
    assert_eq!(document.body, body);
    assert_eq!(document.updated_at_ms, 1_700_000_000_000);
}
