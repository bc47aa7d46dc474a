//! Environment flags: what counts as true.
//!
//! The text is trimmed and lower-cased; `1`, `true`, `yes` and `on` are true. Everything else is false: `0`,
//! empty, `2`, `y`, `t`, `enabled`, `no`, `off`, and a flag that is not set.
//!
//! For a switch whose misspelling must not count as off, [`read`] tells false texts from unreadable ones.

use serde::de::DeserializeOwned;

/// Reads a flag's text.
#[must_use]
pub fn is_true(text: &str) -> bool {
    matches!(
        text.trim().to_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}

/// Reads a flag that may not be set.
#[must_use]
pub fn is_set(text: Option<&str>) -> bool {
    text.is_some_and(is_true)
}

/// Reads a switch's text: `1`, `true`, `yes` and `on` are true, `0`, `false`, `no`, `off` and blank text false, trimmed
/// and in any case. None: the text is neither.
#[must_use]
pub fn read(text: &str) -> Option<bool> {
    if is_true(text) {
        return Some(true);
    }
    matches!(
        text.trim().to_lowercase().as_str(),
        "" | "0" | "false" | "no" | "off"
    )
    .then_some(false)
}

/// Reads the flags that `T` names from a document's body. Fields that `T` does not name do not matter.
///
/// # Errors
/// The text says why: the body is no JSON object, a flag has another type, or a flag stands twice.
pub fn in_document<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    // A struct is also read from a JSON array; a document is an object.
    if !body.trim_start().starts_with('{') {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn one_true_yes_and_on_are_true_in_any_case_and_with_blanks_around() {
        for text in ["1", "true", "yes", "on", "TRUE", " Yes ", "\tOn\n"] {
            assert!(is_true(text), "{text:?}");
        }
    }

    #[test]
    fn every_other_text_is_false() {
        for text in [
            "0", "", " ", "2", "y", "t", "enabled", "no", "off", "1.0", "truely", "o n",
        ] {
            assert!(!is_true(text), "{text:?}");
        }
    }

    #[test]
    fn a_flag_that_is_not_set_is_false() {
        assert!(!is_set(None));
        assert!(is_set(Some("on")));
    }

    #[test]
    fn a_switch_is_off_for_false_words_and_blank_text_only() {
        for text in ["", " ", "0", "false", "no", "off", " OFF\n", "False"] {
            assert_eq!(read(text), Some(false), "{text:?}");
        }
        for text in ["1", "true", "yes", "on", " ON "] {
            assert_eq!(read(text), Some(true), "{text:?}");
        }
        for text in ["ture", "enabled", "y", "n", "2", "disabled", "o n", "null"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_document_whose_flag_stands_twice_cannot_be_read() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Flags {
            enabled: bool,
        }
        let flags = |body| in_document::<Flags>(body);
        assert_eq!(
            flags(r#" {"reason":"x","enabled":true}"#),
            Ok(Flags { enabled: true })
        );
        for body in [
            r#"{"enabled":true,"enabled":false}"#,
            r#"{"enabled":false,"enabl\u0065d":false}"#,
            r#"{"enabled":"false"}"#,
            "[false]",
            "{}",
            "",
        ] {
            assert!(flags(body).is_err(), "{body}");
        }
    }
}
