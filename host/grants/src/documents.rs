//! Document grants: which collections a component may read, and which it may write.
//!
//! Accepted forms of a pattern:
//!
//! - `orders`: the collection `orders` itself, and nothing below it
//! - `ingest/*`: every collection nested below `ingest`, at any depth (`ingest/frames`, `ingest/frames/raw`, not `ingest`)
//!
//! There is no pattern for everything. Names are compared bytewise, case included. An empty list grants nothing, and
//! writing does not include reading.

use std::fmt;
use std::str::FromStr;

use crate::denied::{listed, quoted};
use crate::{Denied, MANIFEST, reason};

/// The longest name in a collection's path, in characters (`bulkhead:pipeline/documents` `key.collection`).
pub const MAX_NAME_CHARS: usize = 128;

/// The deepest nesting of a collection, in names.
pub const MAX_DEPTH: usize = 8;

/// Which collections one entry of a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionPattern {
    /// This collection.
    Exact(String),
    /// Every collection nested below this one, at any depth.
    Below(String),
}

/// A pattern that is none of the accepted forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no collection pattern: expected a collection's name, or a name and `/*`", quoted(.0))]
pub struct MalformedPattern(pub String);

impl FromStr for CollectionPattern {
    type Err = MalformedPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, below) = text
            .strip_suffix("/*")
            .map_or((text, false), |name| (name, true));
        match (is_collection(name), below) {
            (false, _) => Err(MalformedPattern(text.to_owned())),
            (true, true) => Ok(Self::Below(name.to_owned())),
            (true, false) => Ok(Self::Exact(name.to_owned())),
        }
    }
}

impl fmt::Display for CollectionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "{name}/*"),
        }
    }
}

impl CollectionPattern {
    /// Whether the pattern covers the collection.
    #[must_use]
    pub fn covers(&self, collection: &str) -> bool {
        match self {
            Self::Exact(name) => collection == name,
            Self::Below(name) => collection
                .strip_prefix(name.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| !rest.is_empty()),
        }
    }
}

/// What a component may do with documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentGrant {
    /// The component's name in the manifest.
    pub component: String,
    /// The manifest's line of the grant's table, or of the component when there is none.
    pub component_line: u32,
    /// Collections that may be read.
    pub read: Vec<CollectionPattern>,
    /// Collections that may be written.
    pub write: Vec<CollectionPattern>,
}

impl DocumentGrant {
    /// Whether the component may read the collection.
    ///
    /// # Errors
    /// The name is malformed, or no pattern of `read` covers it.
    pub fn check_read(&self, collection: &str) -> Result<(), Denied> {
        self.check(collection, &self.read, "read", reason::READ_NOT_GRANTED)
    }

    /// Whether the component may write the collection.
    ///
    /// # Errors
    /// The name is malformed, or no pattern of `write` covers it.
    pub fn check_write(&self, collection: &str) -> Result<(), Denied> {
        self.check(collection, &self.write, "write", reason::WRITE_NOT_GRANTED)
    }

    fn check(
        &self,
        collection: &str,
        granted: &[CollectionPattern],
        list: &str,
        word: &'static str,
    ) -> Result<(), Denied> {
        if !is_collection(collection) {
            let rule = format!(
                "expected names of 1 to {MAX_NAME_CHARS} characters of `A-Z a-z 0-9 _ - .`, at most {MAX_DEPTH}, joined with `/`"
            );
            return Err(Denied::new(
                reason::COLLECTION_MALFORMED,
                format!("the collection {}: {rule}", quoted(collection)),
            ));
        }
        if granted.iter().any(|pattern| pattern.covers(collection)) {
            return Ok(());
        }
        Err(Denied::new(
            word,
            format!(
                "component `{component}` may not {list} the collection `{collection}`; its {list} grants are {granted}; \
                 add it to `{list}` of `[component.{component}.tool.bulkhead.documents]` ({MANIFEST}:{line})",
                component = self.component,
                granted = listed(granted),
                line = self.component_line,
            ),
        ))
    }
}

/// Whether a text is a collection's name.
fn is_collection(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=MAX_NAME_CHARS).contains(&name.len())
            && !matches!(name, "." | "..")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    text.split('/').take(MAX_DEPTH + 1).count() <= MAX_DEPTH && text.split('/').all(is_name)
}
