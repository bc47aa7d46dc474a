//! Whether a text is JSON that every reader of it can parse.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Checks that `text` is one JSON value, without building it.
///
/// What passes also parses into a `serde_json::Value`: nesting is at most 128 deep, numbers fit, and escapes are
/// characters. (`serde::de::IgnoredAny` would let half a surrogate pair and any depth pass.)
///
/// # Errors
/// The first fault, with its line and column.
pub(crate) fn validate(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<AnyJson>(text).map(|AnyJson| ())
}

struct AnyJson;

impl<'de> Deserialize<'de> for AnyJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = AnyJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_bool<E>(self, _: bool) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_i64<E>(self, _: i64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_u64<E>(self, _: u64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_f64<E>(self, _: f64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_str<E>(self, _: &str) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AnyJson, A::Error> {
        while items.next_element::<AnyJson>()?.is_some() {}
        Ok(AnyJson)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<AnyJson, A::Error> {
        while entries.next_entry::<AnyJson, AnyJson>()?.is_some() {}
        Ok(AnyJson)
    }
}

#[cfg(test)]
mod tests {
    use super::validate;

    #[test]
    fn a_body_passes_exactly_when_it_parses_into_a_value() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            "{}",
            " null ",
            "-1.5e3",
            r#"{"a":[1,"\u00e9",{"b":null}],"a":2}"#,
            r#""\ud83d\ude00""#,
            "18446744073709551616",
            &deep(100),
            "",
            "{",
            "{}{}",
            "nul",
            "[1,]",
            "{a:1}",
            "'a'",
            "NaN",
            "1e999",
            r#""\ud800""#,
            "\"\u{1}\"",
            r#"{"a":"\ud800"}"#,
            r#"{"\ud800":1}"#,
            &deep(200),
        ] {
            let parses = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(validate(text).is_ok(), parses, "{text:?}");
        }
    }
}
