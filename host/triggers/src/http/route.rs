use std::collections::HashMap;
use std::fmt;

/// What ends a route that takes every path below it (Spin's word for it).
const WILDCARD: &str = "/...";

/// A path that starts a stage: exact (`/ingest`), or with all below it (`/ingest/...`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    path: String,
    is_wildcard: bool,
}

/// Why a text is no route, or routes do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// It does not begin with `/`.
    #[error("route `{0}` does not begin with `/`")]
    NotAbsolute(String),
    /// It holds a character that a request's path cannot, or `...` in its middle.
    #[error(
        "route `{0}` is no path: letters, digits and -._~!$&'()*+,;=:@%/ are allowed, and `/...` at its end"
    )]
    NotAPath(String),
    /// The server answers this path itself.
    #[error("route `{0}` is taken: the server answers it itself")]
    Taken(String),
    /// The same route stands twice.
    #[error("route `{0}` stands twice")]
    Twice(String),
}

/// Where the server says how it is.
pub(super) const HEALTH: [&str; 2] = ["/health", "/healthz"];

/// Where the server gives the events of the bus.
pub(super) const EVENTS: &str = "/events";

impl Route {
    /// Reads a route as `spin.toml` has it.
    ///
    /// # Errors
    ///
    /// When it is no absolute path, or one of the server's own.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        if !text.starts_with('/') {
            return Err(RouteError::NotAbsolute(text.to_owned()));
        }
        let (path, is_wildcard) = match text.strip_suffix(WILDCARD) {
            Some(path) => (path, true),
            None => (text, false),
        };
        let is_path_character =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
        if path.contains("...") || !path.bytes().all(is_path_character) {
            return Err(RouteError::NotAPath(text.to_owned()));
        }
        if HEALTH.contains(&path) || path == EVENTS {
            return Err(RouteError::Taken(text.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            is_wildcard,
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        f.write_str(if self.is_wildcard { WILDCARD } else { "" })
    }
}

/// Finds the component of a path: the exact route first, then the longest one with all below it.
#[derive(Debug)]
pub(super) struct Routes {
    exact: HashMap<String, String>,
    wildcard: Vec<(String, String)>,
}

impl Routes {
    pub fn new(routes: Vec<(Route, String)>) -> Result<Self, RouteError> {
        let mut exact = HashMap::new();
        let mut wildcard: Vec<(String, String)> = Vec::new();
        for (route, component) in routes {
            let twice = RouteError::Twice(route.to_string());
            if route.is_wildcard {
                if wildcard.iter().any(|(path, _)| *path == route.path) {
                    return Err(twice);
                }
                wildcard.push((route.path, component));
            } else if exact.insert(route.path, component).is_some() {
                return Err(twice);
            }
        }
        wildcard.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(Self { exact, wildcard })
    }

    pub fn find(&self, path: &str) -> Option<&str> {
        if let Some(component) = self.exact.get(path) {
            return Some(component);
        }
        self.wildcard
            .iter()
            .find(|(prefix, _)| {
                path.strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .map(|(_, component)| component.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(routes: &[&str], path: &str, expect: Option<&str>) {
        let routes = routes
            .iter()
            .map(|text| (Route::parse(text).unwrap(), (*text).to_owned()))
            .collect();
        assert_eq!(Routes::new(routes).unwrap().find(path), expect, "{path}");
    }

    #[test]
    fn an_exact_route_takes_its_path_alone() {
        check(&["/ingest"], "/ingest", Some("/ingest"));
        for path in ["/ingest/", "/ingest/a", "/Ingest", "/ingestion", "/"] {
            check(&["/ingest"], path, None);
        }
    }

    #[test]
    fn a_wildcard_takes_its_own_path_and_all_below_it() {
        for path in ["/x", "/x/", "/x/y/z"] {
            check(&["/x/..."], path, Some("/x/..."));
        }
        check(&["/x/..."], "/xy", None);
        check(&["/..."], "/any", Some("/..."));
    }

    #[test]
    fn exact_goes_before_wildcard_and_long_before_short() {
        let routes = ["/...", "/a/...", "/a/b", "/a/b/..."];
        check(&routes, "/a/b", Some("/a/b"));
        check(&routes, "/a/b/c", Some("/a/b/..."));
        check(&routes, "/a/c", Some("/a/..."));
        check(&routes, "/c", Some("/..."));
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for text in [
            "",
            "ingest",
            "/a b",
            "/a?b",
            "/a/.../b",
            "/health",
            "/healthz",
            "/events",
            "/events/...",
            "/é",
        ] {
            assert!(Route::parse(text).is_err(), "{text}");
        }
        let twice = ["/a", "/a"]
            .map(|text| (Route::parse(text).unwrap(), "x".to_owned()))
            .to_vec();
        assert_eq!(
            Routes::new(twice).unwrap_err().to_string(),
            "route `/a` stands twice"
        );
    }
}
