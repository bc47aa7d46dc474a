//! The answer "no", and what it says.

use std::fmt::Write as _;

/// The manifest's file name, as denials cite it.
pub const MANIFEST: &str = "spin.toml";

/// How many characters of a value that a guest chose a denial repeats.
const MAX_QUOTED_CHARS: usize = 200;

/// How many of the granted things a denial lists.
const MAX_LISTED: usize = 8;

/// A grant, a rule or a switch forbids what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Denied {
    /// A stable machine-readable word, one of [`crate::reason`].
    pub reason: &'static str,
    /// The actual value, what is granted instead, and where the manifest would permit it (`spin.toml:42`), if it can.
    pub detail: String,
}

impl Denied {
    /// A denial for one of the words of [`crate::reason`].
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// A guest's text as a denial may repeat it: in backticks, control characters escaped, bounded in length.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for character in text.chars().take(MAX_QUOTED_CHARS) {
        match character {
            '`' | '\\' | ' '..='~' => out.push(character),
            other => out.extend(other.escape_default()),
        }
    }
    out.push('`');
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        let _ = write!(out, "… ({} bytes)", text.len());
    }
    out
}

/// What is granted, for a denial: a bounded list in backticks, or `nothing`.
pub(crate) fn listed<T: ToString>(granted: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    let mut more = 0_usize;
    for (index, item) in granted.into_iter().enumerate() {
        if index >= MAX_LISTED {
            more += 1;
            continue;
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&quoted(&item.to_string()));
    }
    match (out.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => out,
        (false, more) => format!("{out} and {more} more"),
    }
}
