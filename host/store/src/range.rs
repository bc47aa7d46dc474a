//! From a listing's query to the half-open range of ids that it reads, and the cursor between its pages.
//!
//! A cursor is opaque to callers. It holds the last id of the page before and a checksum over the query, so that a
//! cursor that is made up, damaged, or of another query is told apart. It grants nothing: it only narrows the range.

use crate::document::{MAX_ID_CHARS, MAX_LIST_LIMIT, MAX_PAGE_BYTES, validate_collection};
use crate::{Document, Order, Page, Query, StoreError};

/// The ids from `lower` on and before `upper` (None: to the last), bytewise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IdRange {
    pub lower: String,
    pub upper: Option<String>,
}

impl IdRange {
    pub fn is_empty(&self) -> bool {
        self.upper
            .as_ref()
            .is_some_and(|upper| *upper <= self.lower)
    }

    fn raise_lower(&mut self, bound: String) {
        if bound > self.lower {
            self.lower = bound;
        }
    }

    fn sink_upper(&mut self, bound: String) {
        if self.upper.as_ref().is_none_or(|upper| bound < *upper) {
            self.upper = Some(bound);
        }
    }
}

/// Checks the query and works out its range.
pub(crate) fn of(query: &Query) -> Result<IdRange, StoreError> {
    validate_collection(&query.collection)?;
    if query.limit == 0 || query.limit > MAX_LIST_LIMIT {
        return Err(StoreError::Invalid(format!(
            "limit {}: it must be from 1 to {MAX_LIST_LIMIT}",
            query.limit
        )));
    }
    for (name, bound) in [
        ("prefix", &query.prefix),
        ("start", &query.start),
        ("end", &query.end),
    ] {
        if bound
            .as_ref()
            .is_some_and(|bound| bound.chars().take(MAX_ID_CHARS + 1).count() > MAX_ID_CHARS)
        {
            return Err(StoreError::Invalid(format!(
                "{name}: more than {MAX_ID_CHARS} characters"
            )));
        }
    }
    let mut range = IdRange {
        lower: query.start.clone().unwrap_or_default(),
        upper: query.end.clone(),
    };
    if let Some(prefix) = &query.prefix {
        range.raise_lower(prefix.clone());
        if let Some(beyond) = successor_of_prefix(prefix) {
            range.sink_upper(beyond);
        }
    }
    if let Some(cursor) = &query.cursor {
        let mut last_id = decode(query, cursor)?;
        match query.order {
            Order::Ascending => {
                // The smallest text after it.
                last_id.push('\0');
                range.raise_lower(last_id);
            }
            Order::Descending => range.sink_upper(last_id),
        }
    }
    Ok(range)
}

/// The smallest text that is larger than all that begin with `prefix`. None: there is none.
///
/// UTF-8 sorts bytewise as its characters do, so it is the prefix with its last character raised by one.
fn successor_of_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let mut following = last..=char::MAX;
        following.next();
        if let Some(next) = following.next() {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Gathers one page from documents in the query's order: up to the limit, and up to [`MAX_PAGE_BYTES`].
pub(crate) fn page<E>(
    query: &Query,
    documents: impl Iterator<Item = Result<Document, E>>,
) -> Result<Page, E> {
    let mut page = Page::default();
    let mut bytes = 0_usize;
    for document in documents {
        let document = document?;
        let full = page.documents.len() >= query.limit as usize
            || bytes + document.body.len() > MAX_PAGE_BYTES;
        if full && let Some(last) = page.documents.last() {
            page.cursor = Some(encode(query, &last.key.id));
            break;
        }
        bytes += document.body.len();
        page.documents.push(document);
    }
    Ok(page)
}

const CURSOR_VERSION: &str = "1";
const CHECKSUM_DIGITS: usize = 16;

fn encode(query: &Query, last_id: &str) -> String {
    use std::fmt::Write as _;
    let mut cursor = format!(
        "{CURSOR_VERSION}{:0CHECKSUM_DIGITS$x}",
        checksum(query, last_id)
    );
    for byte in last_id.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(cursor, "{byte:02x}");
    }
    cursor
}

fn decode(query: &Query, cursor: &str) -> Result<String, StoreError> {
    parse(query, cursor).ok_or_else(|| {
        StoreError::Invalid("cursor: it is not one that this query's page before gave".to_owned())
    })
}

fn parse(query: &Query, cursor: &str) -> Option<String> {
    let rest = cursor.strip_prefix(CURSOR_VERSION)?;
    let (digits, hex) = rest.split_at_checked(CHECKSUM_DIGITS)?;
    // A character takes at most 4 bytes, a byte 2 digits.
    if hex.len() > MAX_ID_CHARS * 8 || hex.len() % 2 != 0 || !rest.bytes().all(is_lower_hex) {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
        .collect();
    let last_id = String::from_utf8(bytes?).ok()?;
    let sum = u64::from_str_radix(digits, 16).ok()?;
    (sum == checksum(query, &last_id)).then_some(last_id)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// FNV-1a, 64 bits, over all of the query that must stay the same from page to page, and the id.
fn checksum(query: &Query, last_id: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let order = match query.order {
        Order::Ascending => "a",
        Order::Descending => "d",
    };
    let parts = [
        Some(query.collection.as_str()),
        query.prefix.as_deref(),
        query.start.as_deref(),
        query.end.as_deref(),
        Some(order),
        Some(last_id),
    ];
    let mut hash = OFFSET_BASIS;
    for part in parts {
        // 0xff and 0xfe occur in no UTF-8 text: they end a part, and tell an empty one from one left out.
        let end = if part.is_some() { 0xff } else { 0xfe };
        for byte in part.unwrap_or_default().bytes().chain([end]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_of_a_prefix_bounds_all_that_begin_with_it() {
        for (prefix, expect) in [
            ("a", Some("b")),
            ("ab\u{7f}", Some("ab\u{80}")),
            ("x\u{d7ff}", Some("x\u{e000}")),
            ("x\u{10ffff}", Some("y")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(successor_of_prefix(prefix).as_deref(), expect, "{prefix:?}");
        }
    }

    #[test]
    fn a_cursor_is_accepted_by_its_own_query_only() {
        let query = Query {
            prefix: Some(String::new()),
            ..Query::all("orders")
        };
        let cursor = encode(&query, "é1");
        assert_eq!(parse(&query, &cursor).as_deref(), Some("é1"));
        for other in [
            Query::all("orders"),
            Query {
                collection: "order".to_owned(),
                ..query.clone()
            },
            Query {
                order: Order::Descending,
                ..query.clone()
            },
            Query {
                end: Some("z".to_owned()),
                ..query.clone()
            },
        ] {
            assert_eq!(parse(&other, &cursor), None, "{other:?}");
        }
    }

    #[test]
    fn a_damaged_cursor_is_told_apart() {
        let query = Query::all("orders");
        let cursor = encode(&query, "abc");
        for at in 0..cursor.len() {
            let mut damaged = cursor.clone().into_bytes();
            damaged[at] = if damaged[at] == b'0' { b'3' } else { b'0' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(parse(&query, &damaged), None, "{damaged}");
            assert_eq!(parse(&query, &cursor[..at]), None);
        }
        for nonsense in ["", "1", "é", "1+00000000000000a", &format!("{cursor}é")] {
            assert_eq!(parse(&query, nonsense), None, "{nonsense}");
        }
    }
}
