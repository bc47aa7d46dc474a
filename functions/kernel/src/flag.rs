//! Environment flags: what counts as true.
//!
//! The text is trimmed and lower-cased; `1`, `true`, `yes` and `on` are true. Everything else is false: `0`,
//! empty, `2`, `y`, `t`, `enabled`, `no`, `off`, and a flag that is not set.

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

#[cfg(test)]
mod tests {
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
}
