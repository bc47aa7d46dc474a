//! Damage to answers that are well-formed: each text of the corpora in `tests/__fuzz__`, cut, and with each of
//! its values taken away or put to another type.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers may fail the test where they stand"
)]

mod targets;

use bulkhead_venues::VenueError;
use serde_json::{Value, json};
use targets::{Target, mutator};

/// Every text of the corpora, with its parser.
fn corpus() -> Vec<(String, Target, Vec<u8>)> {
    let mut all = Vec::new();
    for (name, target) in targets::JSON {
        let texts = mutator::corpus(name);
        assert!(!texts.is_empty(), "{name}");
        all.extend(
            texts
                .into_iter()
                .map(|text| (name.to_owned(), target, text)),
        );
    }
    all
}

/// The places of all values, as JSON pointers, the whole document left out.
fn places(value: &Value, at: &str, places: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member))
            .collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let place = format!("{at}/{name}");
        self::places(child, &place, places);
        places.push(place);
    }
}

/// Each text with one value changed, for each of its values.
fn each_value(
    mut change: impl FnMut(&mut Value, &str),
    mut check: impl FnMut(&str, Target, &[u8]),
) {
    for (name, target, text) in corpus() {
        let whole: Value = serde_json::from_slice(&text).unwrap();
        let mut all = Vec::new();
        places(&whole, "", &mut all);
        for place in all {
            let mut damaged = whole.clone();
            change(&mut damaged, &place);
            check(
                &format!("{name} at {place}"),
                target,
                damaged.to_string().as_bytes(),
            );
        }
    }
}

fn passed_over_or_named(place: &str, target: Target, text: &[u8]) {
    match target(text) {
        Ok(()) => {}
        Err(VenueError::Field { element, field, .. }) => {
            assert!(!element.is_empty() && !field.is_empty(), "{place}");
        }
        Err(error) => panic!("{place}: {error}: {}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn every_text_of_the_corpus_is_read() {
    for (name, target, text) in corpus() {
        if let Err(error) = target(&text) {
            panic!("{name}: {error}: {}", String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn a_value_of_another_type_is_passed_over_or_named_by_element_and_field() {
    for other in [
        json!({}),
        json!([]),
        json!(null),
        json!(true),
        json!("x"),
        json!(1.5),
    ] {
        each_value(
            |whole, place| *whole.pointer_mut(place).unwrap() = other.clone(),
            passed_over_or_named,
        );
    }
}

#[test]
fn a_value_that_is_missing_is_passed_over_or_named_by_element_and_field() {
    each_value(
        |whole, place| {
            let (parent, name) = place.rsplit_once('/').unwrap();
            match whole.pointer_mut(parent).unwrap() {
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                Value::Object(members) => {
                    drop(members.remove(&name.replace("~1", "/").replace("~0", "~")));
                }
                other => panic!("{other} has no values"),
            }
        },
        passed_over_or_named,
    );
}

#[test]
fn a_text_that_is_cut_off_is_an_error_wherever_it_ends() {
    for (name, target, text) in corpus() {
        let whole = text.trim_ascii_end();
        for end in 0..whole.len() {
            assert!(target(&whole[..end]).is_err(), "{name}: {end}");
        }
    }
}
