//! Where a source is.

use std::fmt;

/// The longest URL, in characters.
const MAX_URL_CHARS: usize = 512;

/// Scheme and authority of a host, and the path below which it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// True for `https`.
    pub is_tls: bool,
    /// Host and, where given, port.
    pub authority: String,
    /// Goes before each request's path; empty or beginning with `/`, not ending with it.
    pub base_path: String,
}

impl Origin {
    /// Reads the URL that the variable `key` has.
    ///
    /// # Errors
    /// The text names the key, and what is wrong with the URL.
    pub fn read(key: &str, url: &str) -> Result<Self, String> {
        let refused = |what: &str| Err(format!("`{key}` {what}: `{url}`"));
        if url.len() > MAX_URL_CHARS {
            return Err(format!("`{key}` is longer than {MAX_URL_CHARS} characters"));
        }
        let (is_tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return refused("must begin with http:// or https://");
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty()
            || !authority
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        {
            return refused("must name a host, and nothing but a host and port before the path");
        }
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte))
        {
            return refused("must have a plain path, without query or fragment");
        }
        Ok(Self {
            is_tls,
            authority: authority.to_owned(),
            base_path: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}
