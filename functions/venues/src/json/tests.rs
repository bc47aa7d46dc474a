#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use serde::Deserializer;

use super::{Context, Read, object, read};
use crate::VenueError;

/// An element with one field of each type.
#[derive(Debug, PartialEq)]
struct Sample {
    id: String,
    name: String,
    at_ns: i64,
}

impl<'a> Read<'a> for Sample {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        object(source, context, ["id", "name", "at"], |[id, name, at]| {
            Ok(Self {
                id: id.id()?,
                name: name.string()?,
                at_ns: at.time_ns()?,
            })
        })
    }
}

const GOOD: &str = r#"{"id":7,"name":"x","at":"1970-01-01T00:00:00.000000001Z"}"#;

fn fault(body: &str) -> (String, &'static str, String) {
    match read::<BTreeMap<String, Vec<Sample>>>(body.as_bytes(), 10) {
        Err(VenueError::Field {
            element,
            field,
            detail,
        }) => (element, field, detail),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_fault_is_named_by_the_way_to_its_element_and_by_its_field() {
    for (element, field, detail) in [
        (
            r#"{"name":"x","at":"1970-01-01T00:00:00Z"}"#,
            "id",
            "found nothing",
        ),
        (r#"{"id":-7,"name":"x","at":""}"#, "id", "-7 is no id"),
        (r#"{"id":7,"name":null,"at":""}"#, "name", "found null"),
        (r#"{"id":7,"name":"\ud800","at":""}"#, "name", "is no text"),
        (
            r#"{"id":7,"name":"x","at":"soon"}"#,
            "at",
            "\"soon\" is no RFC 3339 time",
        ),
        (r#"{"id":7,"id":7}"#, "id", "given twice"),
        ("5", "id", "invalid type: integer `5`, expected an object"),
    ] {
        let body = format!(r#"{{"A":[{GOOD}],"B/C":[{GOOD},{element}]}}"#);
        let (element, got, told) = fault(&body);
        assert_eq!((element.as_str(), got), ("B/C.1", field), "{body}");
        assert!(told.contains(detail), "{body}: {told}");
    }
}

#[test]
fn unknown_fields_of_any_shape_are_passed_over() {
    let unknown = r#"{"new":[{"id":[1,{}]},null,1e999],"":"\"","#;
    let body = format!(r#"{{"A":[{}]}}"#, GOOD.replacen('{', unknown, 1));
    let read: BTreeMap<String, Vec<Sample>> = read(body.as_bytes(), 10).unwrap();
    assert_eq!(read["A"][0].at_ns, 1);
}

#[test]
fn an_escaped_text_and_an_escaped_key_are_read() {
    let body = r#"[{"i\u0064":"\u0041\"","name":"a\\b","at":"1970-01-01T00:00:00Z"}]"#;
    let read: Vec<Sample> = read(body.as_bytes(), 10).unwrap();
    assert_eq!(
        (read[0].id.as_str(), read[0].name.as_str()),
        ("A\"", "a\\b")
    );
}

#[test]
fn names_and_elements_count_together_against_the_limit() {
    for (count, is_read) in [(9, true), (10, false)] {
        let elements = vec![GOOD; count].join(",");
        let body = format!(r#"{{"A":[{elements}]}}"#);
        let read: Result<BTreeMap<String, Vec<Sample>>, _> = read(body.as_bytes(), 10);
        match read {
            Err(VenueError::TooMany { limit: 10 }) => assert!(!is_read),
            other => assert_eq!(other.is_ok(), is_read),
        }
    }
}

#[test]
fn a_text_longer_than_any_field_is_refused() {
    let body = format!(
        r#"{{"A":[{{"id":1,"name":"{}","at":""}}]}}"#,
        "x".repeat(5_000)
    );
    let (_, field, detail) = fault(&body);
    assert_eq!(field, "name");
    assert!(detail.contains("at most 4096"), "{detail}");
}

#[test]
fn a_text_that_is_no_json_is_an_error_of_the_body_wherever_it_ends() {
    let whole = format!(r#"{{"A":[{GOOD}]}}"#);
    for end in 0..whole.len() {
        let read: Result<BTreeMap<String, Vec<Sample>>, _> = read(&whole.as_bytes()[..end], 10);
        assert!(matches!(read, Err(VenueError::Body(_))), "{end}: {read:?}");
    }
    let read: Result<Vec<Sample>, _> = read(b"[\"\xff\"]", 10);
    assert!(matches!(read, Err(VenueError::Utf8(_))));
}

#[test]
fn a_deeply_nested_value_is_an_error_or_passed_over_but_never_a_crash() {
    let deep = "[".repeat(100_000);
    assert!(read::<Vec<Sample>>(deep.as_bytes(), 10).is_err());
    let unknown = format!(
        r#"{{"x":{deep}{},"id":1,"name":"","at":"1970-01-01T00:00:00Z"}}"#,
        "]".repeat(100_000)
    );
    assert!(read::<Sample>(unknown.as_bytes(), 10).is_ok());
}
