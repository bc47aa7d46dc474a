//! Which documents and bars a component may read and write.

use std::fmt;

use serde::Serialize;

use crate::problem::{Findings, Span, quoted};
use crate::section::Section;

const DOCUMENTS_KEYS: &[&str] = &["read", "write"];
const MARKET_DATA_KEYS: &[&str] = &["read", "append"];
/// The collection with the execution kill switch, which only a person sets: no component may write it.
const KILL_SWITCH_COLLECTION: &str = "ops";
/// The longest name in a collection (`bulkhead:pipeline/documents`), in characters.
const MAX_NAME_CHARS: usize = 128;
/// The deepest nesting of a collection, in names.
const MAX_DEPTH: usize = 8;

/// Which collections a grant covers: `NAME` is that collection alone, `NAME/*` is what is nested below it, but not
/// `NAME` itself. A name is one or more of `A-Z a-z 0-9 _ - .`, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionPattern {
    /// As written.
    pub text: String,
    /// The line on which it stands, from 1.
    pub line: usize,
}

impl CollectionPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn parse(text: &str, line: usize) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` would cover every collection: each must be named".to_owned());
        }
        let name = text.strip_suffix("/*").unwrap_or(text);
        if name.contains('*') {
            return Err(format!(
                "{}: `*` may stand only at the end, as in `name/*`",
                quoted(text)
            ));
        }
        for part in name.split('/') {
            if part.is_empty() {
                return Err(format!(
                    "the collection {} has an empty name in it",
                    quoted(text)
                ));
            }
            if part.len() > MAX_NAME_CHARS {
                return Err(format!(
                    "the collection {} has a name longer than {MAX_NAME_CHARS} characters",
                    quoted(text)
                ));
            }
            if part == "." || part == ".." {
                return Err(format!(
                    "the collection {} has {} in it, which is no name",
                    quoted(text),
                    quoted(part)
                ));
            }
            if !part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
            {
                return Err(format!(
                    "the collection {} may hold only `A-Z a-z 0-9 _ - .`",
                    quoted(text)
                ));
            }
        }
        if name.split('/').count() > MAX_DEPTH {
            return Err(format!(
                "the collection {} is nested deeper than {MAX_DEPTH} names",
                quoted(text)
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            line,
        })
    }

    fn covers(&self, collection: &str) -> bool {
        match self.text.strip_suffix('*') {
            Some(prefix) => collection.starts_with(prefix),
            None => self.text == collection,
        }
    }
}

impl fmt::Display for CollectionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The documents of a component. Empty lists grant nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DocumentGrant {
    /// Collections that may be read.
    pub read: Vec<CollectionPattern>,
    /// Collections that may be written.
    pub write: Vec<CollectionPattern>,
}

impl DocumentGrant {
    pub(crate) fn read(found: &mut Findings<'_>, section: &Section<'_>) -> Self {
        section.deny_unknown_keys(found, DOCUMENTS_KEYS);
        let [read, write] = ["read", "write"].map(|key| read_patterns(found, section, key));
        for (pattern, span) in &write {
            if pattern.covers(KILL_SWITCH_COLLECTION) {
                found.add_with_hint(
                    span,
                    format!(
                        "no component may write {}: it holds the execution kill switch, which only a person sets",
                        quoted(KILL_SWITCH_COLLECTION)
                    ),
                    "a person sets it with `bulkhead kill`; let the component write another collection",
                );
            }
        }
        let patterns =
            |located: Vec<(CollectionPattern, Span)>| located.into_iter().map(|(p, _)| p).collect();
        Self {
            read: patterns(read),
            write: patterns(write),
        }
    }
}

fn read_patterns(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    key: &str,
) -> Vec<(CollectionPattern, Span)> {
    let mut patterns = Vec::new();
    for text in section.texts(found, key) {
        match CollectionPattern::parse(text.value, found.line(&text.span)) {
            Ok(pattern) => patterns.push((pattern, text.span)),
            Err(message) => found.add(&text.span, message),
        }
    }
    patterns
}

/// What a component may do with bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MarketDataGrant {
    /// Whether it may read them.
    pub read: bool,
    /// Whether it may store them. Only an `ingest` stage may.
    pub append: bool,
}

impl MarketDataGrant {
    pub(crate) fn read(found: &mut Findings<'_>, section: &Section<'_>) -> Self {
        section.deny_unknown_keys(found, MARKET_DATA_KEYS);
        let [read, append] = ["read", "append"].map(|key| {
            section
                .boolean(found, key)
                .is_some_and(|granted| granted.value)
        });
        Self { read, append }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_collection_or_what_is_nested_below_one() {
        for text in [
            "ingest",
            "equity_history",
            "a.b-c",
            "ingest/*",
            "ingest/runs",
            "ingest/runs/*",
        ] {
            assert_eq!(
                CollectionPattern::parse(text, 3)
                    .map(|pattern| pattern.text)
                    .as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn a_pattern_covers_its_collection_or_what_is_nested_below_it() {
        for (text, covered) in [
            ("ops", true),
            ("ops/*", false),
            ("opsx", false),
            ("Ops", false),
            ("op", false),
        ] {
            let pattern = CollectionPattern::parse(text, 1).unwrap();
            assert_eq!(pattern.covers("ops"), covered, "{text}");
        }
        let below = CollectionPattern::parse("ops/*", 1).unwrap();
        assert!(below.covers("ops/switches"));
    }

    #[test]
    fn a_pattern_that_names_no_collection_is_refused() {
        for text in [
            "", "*", "/*", "a/", "/a", "a//b", "a/*/b", "a*", "*/a", "a b", "../a", "a/./b", "é",
            "a/**",
        ] {
            assert!(CollectionPattern::parse(text, 1).is_err(), "{text}");
        }
    }
}
