//! Paths: which texts are paths at all, and the patterns that grant them.
//!
//! Accepted forms of a pattern:
//!
//! - `/api/v3/klines`: this path
//! - `/v2/*/bars`: `*` stands for exactly one segment that is not empty
//! - `/api/**`: every path that begins with `/api/` (not `/api`); `**` is the last segment only; `/**` is every path
//!
//! A path is compared as it is written, bytewise. So that no two texts mean one path, a request's path with another
//! spelling (dot segments, empty segments, needless percent-encoding, backslashes, parameters) is refused first.

use std::fmt;
use std::str::FromStr;

use crate::denied::quoted;
use crate::{Denied, reason};

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// Which paths a rule grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
}

/// A text that is none of the accepted forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no path pattern: {why}", quoted(.text))]
pub struct MalformedPath {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for PathPattern {
    type Err = MalformedPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |why: &str| MalformedPath {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        if text.len() > MAX_PATTERN_BYTES {
            return Err(malformed("it is too long"));
        }
        if text.contains('?') {
            return Err(malformed("a query cannot be granted"));
        }
        check_path(text).map_err(|denied| malformed(&denied.detail))?;
        let segments: Vec<&str> = text[1..].split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            let is_last = index + 1 == segments.len();
            match *segment {
                "*" => {}
                "**" if is_last => {}
                "**" => return Err(malformed("`**` stands only at the end")),
                other if other.contains('*') => {
                    return Err(malformed("`*` stands only for a whole segment"));
                }
                _ => {}
            }
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathPattern {
    /// Whether the pattern grants a path, given without its query and found well-formed.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for pattern in self.text.split('/') {
            match (pattern, segments.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(segment)) if !segment.is_empty() => {}
                (exact, Some(segment)) if exact == segment && exact != "*" => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

/// Refuses a path that could be read in two ways. `path` is without its query.
pub(crate) fn check_path(path: &str) -> Result<(), Denied> {
    let deny = |word, why: &str| {
        Err(Denied::new(
            word,
            format!("the path {} {why}", quoted(path)),
        ))
    };
    if !path.is_ascii() {
        return deny(reason::PATH_NOT_ASCII, "has a character outside ASCII");
    }
    if path.contains('\\') {
        return deny(reason::PATH_BACKSLASH, "has a backslash");
    }
    if !path.starts_with('/') {
        return deny(reason::PATH_MALFORMED, "does not begin with `/`");
    }
    if path.bytes().any(|byte| {
        byte <= b' '
            || byte == 0x7f
            || matches!(
                byte,
                b'#' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    }) {
        return deny(
            reason::PATH_MALFORMED,
            "has a character that no path may hold (RFC 3986, 3.3)",
        );
    }
    if path.contains("//") {
        return deny(reason::PATH_DOUBLE_SLASH, "has an empty segment");
    }
    check_escapes(path)?;
    if path.contains(';') {
        return deny(reason::PATH_NOT_CANONICAL, "has segment parameters (`;`)");
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return deny(reason::PATH_DOT_SEGMENT, "has a `.` or `..` segment");
    }
    Ok(())
}

/// Refuses a query that no request line may hold. What it encodes is data, and the venue's affair.
pub(crate) fn check_query(query: &str) -> Result<(), Denied> {
    if !query.is_ascii() {
        return Err(Denied::new(
            reason::PATH_NOT_ASCII,
            format!("the query {} has a character outside ASCII", quoted(query)),
        ));
    }
    if query
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f || matches!(byte, b'#' | b'\\'))
    {
        return Err(Denied::new(
            reason::PATH_MALFORMED,
            format!(
                "the query {} has a blank, a backslash or a `#`",
                quoted(query)
            ),
        ));
    }
    Ok(())
}

/// Refuses percent-encodings that stand for a separator, a control character, or what needs no encoding.
fn check_escapes(path: &str) -> Result<(), Denied> {
    let deny = |word, why: &str| {
        Err(Denied::new(
            word,
            format!("the path {} {why}", quoted(path)),
        ))
    };
    let mut rest = path.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        let digits = rest.get(at + 1).zip(rest.get(at + 2));
        let value = digits.and_then(|(&high, &low)| Some(hex(high)? * 16 + hex(low)?));
        match value {
            None => {
                return deny(
                    reason::PATH_MALFORMED,
                    "has a `%` without two hexadecimal digits",
                );
            }
            Some(b'/' | b'\\' | b'.' | b'%' | 0..=0x1f | 0x7f) => {
                return deny(
                    reason::PATH_ENCODED_SEPARATOR,
                    "has an encoded slash, backslash, dot, percent sign or control character",
                );
            }
            Some(byte)
                if byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'~' | b'*' | b';') =>
            {
                return deny(
                    reason::PATH_NOT_CANONICAL,
                    "encodes a character that is written plainly",
                );
            }
            Some(_) => rest = &rest[at + 3..],
        }
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
