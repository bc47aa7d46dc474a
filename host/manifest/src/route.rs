//! The routes of HTTP triggers.

use std::fmt;

use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::problem::{Findings, quoted};
use crate::section::{Located, Section};

/// The paths that `bulkhead up` answers itself.
const OWN_PATHS: [&str; 3] = ["/health", "/healthz", "/events"];
/// The paths that Spin keeps for itself.
const RESERVED_PREFIX: &str = "/.well-known/spin";
/// The longest route, in bytes.
const MAX_ROUTE_BYTES: usize = 256;

/// The route of an HTTP trigger, with Spin's meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// `/path`: that path alone. Without a `/` at its end, unless it is `/` itself.
    Exact(String),
    /// `/path/...`: the path and all below it. The text is what stands before `/...`, empty for `/...` itself.
    TrailingWildcard(String),
}

impl Route {
    /// Reads a route.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("the route {} must begin with `/`", quoted(text)));
        }
        if text.len() > MAX_ROUTE_BYTES {
            return Err(format!(
                "the route {} is longer than {MAX_ROUTE_BYTES} bytes",
                quoted(text)
            ));
        }
        let (path, wildcard) = match text
            .strip_suffix("/...")
            .or_else(|| text.strip_suffix("/*"))
        {
            Some(path) => (path, true),
            None => (text.strip_suffix('/').unwrap_or(text), false),
        };
        if path == RESERVED_PREFIX || path.starts_with(&format!("{RESERVED_PREFIX}/")) {
            return Err(format!(
                "the route {} is one that Spin keeps for itself",
                quoted(text)
            ));
        }
        if OWN_PATHS.contains(&path) {
            return Err(format!(
                "the route {} is taken: `bulkhead up` answers it itself",
                quoted(text)
            ));
        }
        for segment in path.split('/').skip(1) {
            if segment.is_empty() || segment == "." || segment == ".." {
                return Err(format!(
                    "the route {} has an empty or dot segment",
                    quoted(text)
                ));
            }
            if segment.starts_with(':') {
                return Err(format!(
                    "the route {} has the named wildcard {}, which is not served",
                    quoted(text),
                    quoted(segment)
                ));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,;=@:".contains(c);
            if segment.contains("...") || !segment.chars().all(plain) {
                return Err(format!(
                    "the route {} has the segment {}: a wildcard stands only at the end, as `/...`",
                    quoted(text),
                    quoted(segment)
                ));
            }
        }
        Ok(match (wildcard, path) {
            (true, _) => Self::TrailingWildcard(path.to_owned()),
            (false, "") => Self::Exact("/".to_owned()),
            (false, _) => Self::Exact(path.to_owned()),
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::TrailingWildcard(path) => write!(f, "{path}/..."),
        }
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads `route`. None: there is no public one. Either it is `{ private = true }`, by which Spin makes a component
/// reachable from other components alone, or it cannot be read, which is noted.
pub(crate) fn read_route(
    found: &mut Findings<'_>,
    section: &Section<'_>,
) -> Option<Located<Route>> {
    let hint = "for example `route = \"/ingest\"`, or `route = { private = true }`";
    let Some(value) = section.get("route") else {
        found.add_with_hint(
            &section.span,
            format!("{} has no `route`", section.name),
            hint,
        );
        return None;
    };
    match value.get_ref() {
        DeValue::String(text) => match Route::parse(text) {
            Ok(route) => Some(Located {
                value: route,
                span: value.span(),
            }),
            Err(message) => {
                found.add(&value.span(), message);
                None
            }
        },
        DeValue::Table(table) => {
            let table = Section::new(table, value.span(), "`route`");
            table.deny_unknown_keys(found, &["private"]);
            if table
                .boolean(found, "private")
                .is_some_and(|private| private.value)
            {
                return None;
            }
            found.add_with_hint(
                &value.span(),
                "a route that is a table must be `{ private = true }`",
                hint,
            );
            None
        }
        _ => {
            found.add_with_hint(
                &value.span(),
                "`route` must be a string or `{ private = true }`",
                hint,
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_one_path_or_a_path_and_all_below_it() {
        let routes = [
            ("/", Route::Exact("/".to_owned())),
            ("/ingest", Route::Exact("/ingest".to_owned())),
            ("/ingest/", Route::Exact("/ingest".to_owned())),
            ("/...", Route::TrailingWildcard(String::new())),
            ("/a/b/...", Route::TrailingWildcard("/a/b".to_owned())),
            ("/a/*", Route::TrailingWildcard("/a".to_owned())),
            ("/healthy", Route::Exact("/healthy".to_owned())),
            ("/a/health", Route::Exact("/a/health".to_owned())),
            ("/a..b", Route::Exact("/a..b".to_owned())),
        ];
        for (text, route) in routes {
            assert_eq!(Route::parse(text), Ok(route), "{text}");
        }
    }

    #[test]
    fn a_route_that_would_not_be_served_as_written_is_refused() {
        let bad = [
            "",
            "a",
            "//",
            "/a//",
            "/a/../b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a/:id",
            "/a/.../b",
            "/a*",
            "/%61",
            "/é",
            "/health",
            "/health/",
            "/healthz",
            "/events",
            "/health/...",
            "/healthz/*",
            "/a...b",
            "/a.../b",
            "/.well-known/spin",
            "/.well-known/spin/info",
        ];
        for text in bad {
            assert!(Route::parse(text).is_err(), "{text}");
        }
    }
}
