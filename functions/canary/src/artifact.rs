//! The canary's artifact, `staging_canary.json`: the response as JSON, two blanks of indent, keys sorted.

use serde_json::Value;

/// The artifact's file name.
pub const FILE_NAME: &str = "staging_canary.json";

/// Writes a response as the artifact.
#[must_use]
pub fn render(response: &Value) -> String {
    format!("{:#}", sorted(response))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|(key, item)| (key.clone(), sorted(item)))
                .collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.into_iter().collect()
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_lists_keep_their_order() {
        let response = json!({ "b": [{ "z": 1, "a": 10000.0 }, 2], "a": null, "e": {}, "l": [] });
        assert_eq!(
            render(&response),
            "{\n  \"a\": null,\n  \"b\": [\n    {\n      \"a\": 10000.0,\n      \"z\": 1\n    },\n    2\n  ],\n  \"e\": {},\n  \"l\": []\n}"
        );
    }
}
