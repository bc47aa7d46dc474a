//! How much of a strategy's own words the record of a decision keeps.
//!
//! A strategy may answer with megabytes, or with metadata nested as deep as JSON goes. The store refuses a document above 1 MiB or
//! nested beyond 128 levels, and a commit above 4 MiB; a decision that it refused would be made again by every run that
//! follows, and the walk would never go on. So what is recorded is bounded here, whatever the strategies say: the decision
//! stands, and a note takes the place of what is left out.
//!
//! Sizes are those of the JSON text: a control character takes six bytes there.

use serde_json::{Value, json};

/// The most bytes of a rationale.
pub const MAX_RATIONALE_BYTES: usize = 2 * 1024;
/// The most bytes of a signal's metadata, or of the error in its place.
pub const MAX_METADATA_BYTES: usize = 6 * 1024;
/// The most levels of objects and arrays in metadata.
pub const MAX_METADATA_DEPTH: usize = 32;
/// The most bytes of a strategy's kind.
pub const MAX_KIND_BYTES: usize = 64;
/// How many entries of one decision may use these limits. If there are more, they share in equal parts what so many may use: with
/// all strategies and signals that a decision can have, 64 bytes of rationale and 192 of metadata are left to each.
pub const FULL_SHARES: usize = 32;
/// What is recorded as the kind of a strategy whose own is no word.
const OTHER_KIND: &str = "other";
/// What ends a text that was cut.
const ELLIPSIS: char = '…';

/// What one entry of a decision may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    rationale_bytes: usize,
    metadata_bytes: usize,
}

impl Share {
    /// The share of each of so many entries.
    #[must_use]
    pub fn of(entries: usize) -> Self {
        let part = |limit: usize| limit * FULL_SHARES / entries.max(FULL_SHARES);
        Self {
            rationale_bytes: part(MAX_RATIONALE_BYTES),
            metadata_bytes: part(MAX_METADATA_BYTES),
        }
    }

    /// A rationale, cut to the share.
    #[must_use]
    pub fn rationale(self, text: &str) -> String {
        excerpt(text, self.rationale_bytes)
    }

    /// A failure, cut to the share, in the place of metadata.
    #[must_use]
    pub fn error(self, text: &str) -> Value {
        let frame = json!({ "error": "" }).to_string().len();
        json!({ "error": excerpt(text, self.metadata_bytes.saturating_sub(frame)) })
    }

    /// Metadata as JSON: empty text is `{}`, text that is no JSON stands under `text`. What is too large or nested too deep is
    /// left out, and `left_out` says so.
    #[must_use]
    pub fn metadata(self, text: &str) -> Value {
        let limit = self.metadata_bytes;
        let too_large =
            |bytes: usize| left_out(&format!("metadata of {bytes} bytes, the limit is {limit}"));
        let text = text.trim();
        if text.is_empty() {
            return json!({});
        }
        if text.len() > limit {
            return too_large(text.len());
        }
        let metadata = serde_json::from_str(text).unwrap_or_else(|_| json!({ "text": text }));
        let depth = depth(&metadata);
        if depth > MAX_METADATA_DEPTH {
            return left_out(&format!(
                "metadata of {depth} levels, the limit is {MAX_METADATA_DEPTH}"
            ));
        }
        // A number or an escape may be longer than it was written.
        match metadata.to_string().len() {
            bytes if bytes > limit => too_large(bytes),
            _ => metadata,
        }
    }
}

/// A strategy's kind, if it is a word: 1 to 64 of `A-Z a-z 0-9 _ - .`; else `other`, which has the same weight.
#[must_use]
pub fn kind(kind: &str) -> &str {
    let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=MAX_KIND_BYTES).contains(&kind.len()) && kind.chars().all(permitted) {
        kind
    } else {
        OTHER_KIND
    }
}

/// As much of a text as fits into so many bytes of JSON, without its quotation marks. A text that is cut ends with an ellipsis.
#[must_use]
pub fn excerpt(text: &str, max_bytes: usize) -> String {
    let room = max_bytes.saturating_sub(ELLIPSIS.len_utf8());
    let (mut bytes, mut cut_at) = (0, 0);
    for (index, c) in text.char_indices() {
        if bytes <= room {
            cut_at = index;
        }
        bytes += json_bytes(c);
        if bytes > max_bytes {
            return format!("{}{ELLIPSIS}", &text[..cut_at]);
        }
    }
    text.to_owned()
}

/// How many bytes a character takes in a JSON text.
fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => "\\u0000".len(),
        _ => c.len_utf8(),
    }
}

/// How many objects and arrays lie within each other. The parser reads at most 128.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn left_out(what: &str) -> Value {
    json!({ "left_out": what })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const WHOLE: Share = Share {
        rationale_bytes: MAX_RATIONALE_BYTES,
        metadata_bytes: MAX_METADATA_BYTES,
    };

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_text_that_fits_is_kept_and_a_longer_one_is_cut_at_a_character() {
        for (text, max_bytes, expected) in [
            ("", 4, ""),
            ("word", 4, "word"),
            ("words", 4, "w…"),
            ("words", 3, "…"),
            ("ééé", 6, "ééé"),
            ("éééé", 6, "é…"),
            ("a\n\n", 5, "a\n\n"),
            ("a\n\nb", 5, "a…"),
            ("\u{1}", 6, "\u{1}"),
            ("\u{1}\u{1}", 9, "\u{1}…"),
        ] {
            assert_eq!(
                excerpt(text, max_bytes),
                expected,
                "{text:?} in {max_bytes}"
            );
        }
    }

    #[test]
    fn an_excerpt_is_never_larger_than_asked_for() {
        let text: String = ('\0'..='\u{250}').cycle().take(2_000).collect();
        for max_bytes in 3..500 {
            let json = Value::from(excerpt(&text, max_bytes)).to_string();
            assert!(json.len() - 2 <= max_bytes, "{max_bytes}: {}", json.len());
        }
    }

    #[test]
    fn metadata_within_the_limits_is_kept() {
        for (text, expected) in [
            ("", json!({})),
            (" \n", json!({})),
            (
                r#"{"fast":9,"slow":[21]}"#,
                json!({ "fast": 9, "slow": [21] }),
            ),
            ("no json", json!({ "text": "no json" })),
        ] {
            assert_eq!(WHOLE.metadata(text), expected, "{text:?}");
        }
        let deepest = nested(MAX_METADATA_DEPTH);
        assert_eq!(WHOLE.metadata(&deepest).to_string(), deepest);
    }

    #[test]
    fn metadata_that_is_too_large_or_too_deep_is_replaced_by_a_note() {
        let large = json!({ "k": "x".repeat(MAX_METADATA_BYTES) }).to_string();
        let grows = format!("[{}1e15]", "1e15,".repeat(1_000));
        for (text, note) in [
            (large.as_str(), "metadata of 6152 bytes, the limit is 6144"),
            (grows.as_str(), "metadata of 19020 bytes, the limit is 6144"),
            (
                &nested(MAX_METADATA_DEPTH + 1),
                "metadata of 33 levels, the limit is 32",
            ),
            (&nested(120), "metadata of 120 levels, the limit is 32"),
        ] {
            assert_eq!(WHOLE.metadata(text), json!({ "left_out": note }));
        }
    }

    #[test]
    fn many_entries_share_what_a_few_may_use() {
        assert_eq!(Share::of(1), WHOLE);
        assert_eq!(Share::of(FULL_SHARES), WHOLE);
        assert_eq!(
            Share::of(2 * FULL_SHARES).metadata_bytes,
            MAX_METADATA_BYTES / 2
        );
        let smallest = Share::of(1_024);
        assert_eq!(
            (smallest.rationale_bytes, smallest.metadata_bytes),
            (64, 192)
        );
        let note = smallest.metadata(&"x".repeat(5_000_000)).to_string();
        assert!(note.len() <= 192, "{note}");
        let error = smallest.error(&"x".repeat(5_000_000)).to_string();
        assert!(error.len() <= 192, "{error}");
    }

    #[test]
    fn a_kind_that_is_no_word_is_recorded_as_other() {
        for kept in ["momentum", "mean_reversion", "my-own.kind7"] {
            assert_eq!(kind(kept), kept);
        }
        let long = "k".repeat(MAX_KIND_BYTES + 1);
        for replaced in ["", "two words", "\u{1}", "é", long.as_str()] {
            assert_eq!(kind(replaced), "other");
        }
    }
}
