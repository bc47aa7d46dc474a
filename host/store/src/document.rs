use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{StoreError, json};

/// Most characters of one name of a collection (`documents.key.collection` of the contract).
pub const MAX_COLLECTION_NAME_CHARS: usize = 128;
/// Most names that a nested collection joins with `/`: deeper nesting is a mistake, and it bounds the key.
pub const MAX_COLLECTION_DEPTH: usize = 8;
/// Most characters of a document's id (`documents.key.id` of the contract).
pub const MAX_ID_CHARS: usize = 256;
/// Most bytes of one document's body.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Most writes of one commit.
pub const MAX_COMMIT_WRITES: usize = 1000;
/// Most bytes of all the bodies of one commit: they are parsed on the caller's thread, in about ten milliseconds.
pub const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Largest limit of a listing (`documents.query.limit` of the contract).
pub const MAX_LIST_LIMIT: u32 = 1000;
/// A page of a listing ends, with a cursor, before its bodies exceed this many bytes; it holds at least one document.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The address of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// 1 to 128 characters of `A-Z a-z 0-9 _ - .`; a nested collection joins up to eight such names with `/`.
    pub collection: String,
    /// 1 to 256 characters, none of them `/` or a control character.
    pub id: String,
}

impl Key {
    /// A key that is valid.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a part breaks its rule.
    pub fn new(collection: impl Into<String>, id: impl Into<String>) -> Result<Self, StoreError> {
        let key = Self {
            collection: collection.into(),
            id: id.into(),
        };
        key.validate()?;
        Ok(key)
    }

    /// Checks both parts. The store does so on each call.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a part breaks its rule.
    pub fn validate(&self) -> Result<(), StoreError> {
        validate_collection(&self.collection)?;
        let chars = self.id.chars().take(MAX_ID_CHARS + 1).count();
        if chars == 0 || chars > MAX_ID_CHARS {
            return Err(StoreError::Invalid(format!(
                "document id: it must have 1 to {MAX_ID_CHARS} characters"
            )));
        }
        match self.id.chars().find(|c| *c == '/' || c.is_control()) {
            None => Ok(()),
            Some(found) => Err(StoreError::Invalid(format!(
                "document id {:?}: it must not hold {found:?}",
                self.id
            ))),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}

/// Checks a collection's name by the rule of [`Key::collection`].
///
/// # Errors
/// [`StoreError::Invalid`] where it breaks the rule.
pub fn validate_collection(collection: &str) -> Result<(), StoreError> {
    let fault = |why: String| {
        let shown: String = collection.chars().take(MAX_COLLECTION_NAME_CHARS).collect();
        Err(StoreError::Invalid(format!("collection {shown:?}: {why}")))
    };
    for (depth, name) in collection.split('/').enumerate() {
        if depth == MAX_COLLECTION_DEPTH {
            return fault(format!("it joins more than {MAX_COLLECTION_DEPTH} names"));
        }
        if name.is_empty() || name.len() > MAX_COLLECTION_NAME_CHARS {
            return fault(format!(
                "each name must have 1 to {MAX_COLLECTION_NAME_CHARS} characters"
            ));
        }
        let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some(found) = name.chars().find(|c| !permitted(*c)) {
            return fault(format!(
                "a name must not hold {found:?}, only `A-Z a-z 0-9 _ - .`"
            ));
        }
    }
    Ok(())
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Where it is.
    pub key: Key,
    /// 1 when created, one more on each change.
    pub revision: u64,
    /// JSON.
    pub body: String,
    /// When it was last changed, in Unix milliseconds.
    pub updated_at_ms: i64,
}

/// In which order of their ids documents are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// By id, bytewise.
    #[default]
    Ascending,
    /// By id, bytewise, largest first.
    Descending,
}

/// Which documents to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The collection. Collections nested in it are not listed.
    pub collection: String,
    /// Only ids that begin so. None: all.
    pub prefix: Option<String>,
    /// Only ids at or after this one. None: from the first.
    pub start: Option<String>,
    /// Only ids before this one. None: to the last.
    pub end: Option<String>,
    /// The order of the answer.
    pub order: Order,
    /// At most so many, from 1 to [`MAX_LIST_LIMIT`].
    pub limit: u32,
    /// [`Page::cursor`] of the page before, of the same query. None: the first page.
    pub cursor: Option<String>,
}

impl Query {
    /// All of a collection, ascending, the first page of the largest size.
    pub fn all(collection: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            prefix: None,
            start: None,
            end: None,
            order: Order::Ascending,
            limit: MAX_LIST_LIMIT,
            cursor: None,
        }
    }
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The documents, in the order asked for.
    pub documents: Vec<Document>,
    /// Where to go on. None: this was the last page.
    pub cursor: Option<String>,
}

/// One change of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The document must not exist.
    Create {
        /// Where it goes.
        key: Key,
        /// JSON.
        body: String,
    },
    /// The document must have the expected revision.
    Replace {
        /// Where it is.
        key: Key,
        /// The revision it must have now.
        expected_revision: u64,
        /// JSON.
        body: String,
    },
    /// Whether it exists or not.
    Upsert {
        /// Where it goes.
        key: Key,
        /// JSON.
        body: String,
    },
    /// Take it away.
    Delete {
        /// Where it is.
        key: Key,
        /// The revision it must have now. None: whatever it has; removing what is not there is no error.
        expected_revision: Option<u64>,
    },
}

impl Write {
    /// The document that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Create { key, .. }
            | Self::Replace { key, .. }
            | Self::Upsert { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }

    /// The new body. None: a removal.
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Create { body, .. } | Self::Replace { body, .. } | Self::Upsert { body, .. } => {
                Some(body)
            }
            Self::Delete { .. } => None,
        }
    }
}

/// Checks all that can be checked of a commit without looking at what is stored.
///
/// # Errors
/// [`StoreError::Invalid`] for the first write that breaks a rule.
pub(crate) fn validate_writes(writes: &[Write]) -> Result<(), StoreError> {
    if writes.len() > MAX_COMMIT_WRITES {
        return Err(StoreError::Invalid(format!(
            "commit: {} writes, the limit is {MAX_COMMIT_WRITES}",
            writes.len()
        )));
    }
    let mut total_bytes = 0_usize;
    for write in writes {
        let key = write.key();
        key.validate()?;
        let Some(body) = write.body() else { continue };
        if body.len() > MAX_BODY_BYTES {
            return Err(StoreError::Invalid(format!(
                "body of `{key}`: {} bytes, the limit is {MAX_BODY_BYTES}",
                body.len()
            )));
        }
        total_bytes += body.len();
        if total_bytes > MAX_COMMIT_BYTES {
            return Err(StoreError::Invalid(format!(
                "commit: its bodies exceed {MAX_COMMIT_BYTES} bytes"
            )));
        }
        json::validate(body)
            .map_err(|error| StoreError::Invalid(format!("body of `{key}`: not JSON: {error}")))?;
    }
    Ok(())
}

/// How many documents of each collection a commit added (or took away).
pub(crate) type CountChanges = BTreeMap<String, i64>;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(collection: &str, id: &str, valid: bool) {
        assert_eq!(
            Key::new(collection, id).is_ok(),
            valid,
            "{collection:?} {id:?}"
        );
    }

    #[test]
    fn a_key_holds_only_what_the_contract_permits() {
        check("systemStatus", "risk_management", true);
        check("ingest/frames.v1/a-b", "2022-01-01T00:00:00Z", true);
        check("orders", "ключ 1", true);
        check(
            &"c".repeat(MAX_COLLECTION_NAME_CHARS),
            &"é".repeat(MAX_ID_CHARS),
            true,
        );
        check("", "x", false);
        check("/a", "x", false);
        check("a/", "x", false);
        check("a//b", "x", false);
        check("a b", "x", false);
        check("ä", "x", false);
        check(&"c".repeat(MAX_COLLECTION_NAME_CHARS + 1), "x", false);
        check(&["a"; MAX_COLLECTION_DEPTH].join("/"), "x", true);
        check(&["a"; MAX_COLLECTION_DEPTH + 1].join("/"), "x", false);
        check("a", "", false);
        check("a", "b/c", false);
        check("a", "b\nc", false);
        check("a", "b\u{85}", false);
        check("a", "b\0", false);
        check("a", &"i".repeat(MAX_ID_CHARS + 1), false);
    }
}
