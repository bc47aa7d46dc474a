//! Egress rules: which requests a component may send to the hosts of `allowed_outbound_hosts`.
//!
//! A request is permitted if one rule permits its scheme, host, port, method and path. No rule: no request. A rule for
//! `ws` or `wss` is for the feeds that the host holds: it permits the component no request of its own.

use std::fmt;

use serde::Serialize;

use crate::condition::{Condition, read_when};
use crate::header::{EgressHeader, read_headers, read_required};
use crate::host::OutboundHost;
use crate::names::did_you_mean;
use crate::problem::{Findings, quoted};
use crate::section::{Located, Section};
use crate::template::Template;
use crate::variable::{VariableValue, Variables};

const EGRESS_KEYS: &[&str] = &[
    "host",
    "class",
    "methods",
    "paths",
    "headers",
    "headers_required",
    "when",
];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// The methods that change nothing (RFC 9110, section 9.2.1).
const SAFE_METHODS: &[&str] = &["GET", "HEAD"];
/// The longest path pattern, in bytes. The egress gate's own bound.
const MAX_PATH_BYTES: usize = 1024;

/// What a request is for, as far as the kill switches care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressClass {
    /// Reads public market data.
    MarketData,
    /// Reads balances, positions and orders.
    Account,
    /// Sends or changes orders: stopped by every kill switch.
    OrderEntry,
    /// Cancels orders: stays possible while a kill switch is on.
    Cancel,
}

impl EgressClass {
    /// Every class.
    pub const ALL: [Self; 4] = [
        Self::MarketData,
        Self::Account,
        Self::OrderEntry,
        Self::Cancel,
    ];

    /// The name in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MarketData => "market-data",
            Self::Account => "account",
            Self::OrderEntry => "order-entry",
            Self::Cancel => "cancel",
        }
    }

    /// Whether a request of this class may only read.
    pub fn only_reads(self) -> bool {
        matches!(self, Self::MarketData | Self::Account)
    }
}

impl fmt::Display for EgressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which paths a rule permits: a path from `/`, compared segment by segment. A segment `*` stands for exactly
/// one segment that is not empty; `**` as the last segment stands for one or more. The query is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PathPattern {
    text: String,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("the path {} must begin with `/`", quoted(text)));
        };
        if text.len() > MAX_PATH_BYTES {
            return Err(format!(
                "the path {} is longer than {MAX_PATH_BYTES} bytes",
                quoted(text)
            ));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || "?#%;\\\"<>^`{|}".contains(*c))
        {
            return Err(format!(
                "the path {} may not hold {}",
                quoted(text),
                quoted(&bad.to_string())
            ));
        }
        let segments: Vec<&str> = rest.split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            let is_last = index + 1 == segments.len();
            if segment.is_empty() && !is_last {
                return Err(format!("the path {} has an empty segment", quoted(text)));
            }
            if *segment == "." || *segment == ".." {
                return Err(format!(
                    "the path {} has a dot segment, which no sent path has",
                    quoted(text)
                ));
            }
            match *segment {
                "**" if !is_last => {
                    return Err(format!(
                        "the path {}: `**` stands only at the end, for all below",
                        quoted(text)
                    ));
                }
                "*" | "**" => {}
                other if other.contains('*') => {
                    return Err(format!(
                        "the path {}: `*` stands for one whole segment",
                        quoted(text)
                    ));
                }
                _ => {}
            }
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// Whether the pattern permits a path that is well-formed and without its query, as the egress gate sees it.
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

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One rule. `H` and `V` are [`Template`] before it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressRule<H = OutboundHost, V = VariableValue> {
    /// Where to; covered by an entry of the component's `allowed_outbound_hosts`.
    pub host: H,
    /// What for.
    pub class: EgressClass,
    /// With which methods, in upper case. Never empty.
    pub methods: Vec<String>,
    /// On which paths. Never empty.
    pub paths: Vec<PathPattern>,
    /// What the gate adds to the requests.
    pub headers: Vec<EgressHeader<V>>,
    /// Whether a request is refused while one of the headers is empty.
    pub headers_required: bool,
    /// With which variables' values the rule is on. Empty: with all.
    pub when: Vec<Condition>,
    /// The line on which the rule begins, from 1.
    pub line: usize,
}

impl EgressRule<Template, Template> {
    pub(crate) fn read(
        found: &mut Findings<'_>,
        rule: &Section<'_>,
        variables: &Variables,
    ) -> Option<Self> {
        rule.deny_unknown_keys(found, EGRESS_KEYS);
        let host = rule.required_text(
            found,
            "host",
            "say where to, for example `host = \"https://api.example.com\"`",
        );
        let host = host.and_then(|host| read_host(found, &host, variables, HostUse::Egress));
        let class_hint = "say what for: `market-data`, `account`, `order-entry` or `cancel`";
        let class = rule.required_text(found, "class", class_hint);
        let class = class.and_then(|class| read_class(found, &class));

        let methods = rule.texts(found, "methods");
        for method in &methods {
            check_method(found, method, class);
        }
        let mut paths = Vec::new();
        for path in rule.texts(found, "paths") {
            match PathPattern::parse(path.value) {
                Ok(path) => paths.push(path),
                Err(message) => found.add(&path.span, message),
            }
        }
        for (key, example) in [
            ("methods", "methods = [\"GET\"]"),
            ("paths", "paths = [\"/api/v3/klines\"]"),
        ] {
            let empty = rule.get(key).is_none_or(|value| {
                value
                    .get_ref()
                    .as_array()
                    .is_some_and(|array| array.is_empty())
            });
            if empty {
                let span = rule.key_span(key).unwrap_or(rule.span.clone());
                found.add_with_hint(
                    &span,
                    format!("{} permits nothing without `{key}`", rule.name),
                    format!("add `{example}`"),
                );
            }
        }
        let headers = read_headers(found, rule, variables);
        let headers_required = read_required(found, rule);
        let when = read_when(found, rule, variables);
        let methods = methods
            .iter()
            .map(|method| method.value.to_owned())
            .collect();
        Some(Self {
            host: host?,
            class: class?,
            methods,
            paths,
            headers: headers?,
            headers_required,
            when: when?,
            line: found.line(&rule.span),
        })
    }
}

/// Which list a host stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostUse {
    /// `allowed_outbound_hosts`, which Spin reads too.
    Allowed,
    /// `host` of an egress rule, which the gate reads alone.
    Egress,
}

/// Reads a host that may hold templates; one without any is checked at once.
pub(crate) fn read_host(
    found: &mut Findings<'_>,
    text: &Located<&str>,
    variables: &Variables,
    host_use: HostUse,
) -> Option<Template> {
    let template = Template::read(found, text, variables)?;
    if let Some(secret) = template.variables().find(|name| variables.is_secret(name)) {
        let message = format!(
            "the variable {} is secret, and a host is printed: in denials, in logs, and when the application starts",
            quoted(secret)
        );
        found.add_with_hint(
            &template.span,
            message,
            "keep the secret out of the host, or take `secret` from the variable",
        );
        return None;
    }
    if template.is_literal() {
        resolve_host(found, &template, template.text.clone(), host_use)?;
    }
    Some(template)
}

/// Reads a host whose templates are substituted.
pub(crate) fn resolve_host(
    found: &mut Findings<'_>,
    template: &Template,
    text: String,
    host_use: HostUse,
) -> Option<OutboundHost> {
    let host = match OutboundHost::parse(&text, template.line) {
        Ok(host) => host,
        Err(message) => {
            let hint = "a host is `scheme://host[:port]`, for example `https://api.example.com`";
            found.add_with_hint(&template.span, message, hint);
            return None;
        }
    };
    match host_use {
        HostUse::Egress if host.is_internal() => {
            let message = format!(
                "the host {} leads back into the application, where no egress rule goes",
                quoted(&text)
            );
            let hint = "name a host outside; `invoke` is how a canary reaches other stages";
            found.add_with_hint(&template.span, message, hint);
            None
        }
        HostUse::Allowed => match host.spin_form() {
            Some(spin_form) => {
                found.add_with_hint(
                    &template.span,
                    format!("Spin cannot read the host {}", quoted(&text)),
                    format!("write `{spin_form}`"),
                );
                None
            }
            None => Some(host),
        },
        HostUse::Egress => Some(host),
    }
}

fn read_class(found: &mut Findings<'_>, text: &Located<&str>) -> Option<EgressClass> {
    let class = EgressClass::ALL
        .into_iter()
        .find(|class| class.as_str() == text.value);
    if class.is_none() {
        let hint = did_you_mean(text.value, EgressClass::ALL.map(EgressClass::as_str));
        found.push(
            &text.span,
            format!("{} is not an egress class", quoted(text.value)),
            hint,
        );
    }
    class
}

fn check_method(found: &mut Findings<'_>, method: &Located<&str>, class: Option<EgressClass>) {
    if !METHODS.contains(&method.value) {
        let hint = did_you_mean(method.value, METHODS.iter().copied());
        found.push(
            &method.span,
            format!(
                "{} is not a method that a rule can permit",
                quoted(method.value)
            ),
            hint,
        );
        return;
    }
    let Some(class) = class.filter(|class| class.only_reads()) else {
        return;
    };
    if !SAFE_METHODS.contains(&method.value) {
        let message = format!(
            "a `{class}` rule only reads: {} is not one of its methods",
            quoted(method.value)
        );
        found.add_with_hint(
            &method.span,
            message,
            "use `GET` or `HEAD`, or the class `order-entry` or `cancel`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_exact_or_holds_wildcards_for_whole_segments() {
        let longest = format!("/{}", "a".repeat(MAX_PATH_BYTES - 1));
        for text in [
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/*",
            "/a/*/b",
            "/a/*",
            "/**",
            "/api/**",
            "/a/*/**",
            "/a,b@c:d=e'(f)!$&+~",
            longest.as_str(),
        ] {
            assert!(PathPattern::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_path_that_the_gate_could_not_compare_is_refused() {
        let too_long = format!("/{}", "a".repeat(MAX_PATH_BYTES));
        for text in [
            "",
            "a",
            "//",
            "/a//b",
            "/a//",
            "/./a",
            "/a/..",
            "/a?b",
            "/a#b",
            "/a%20b",
            "/a;b",
            "/;",
            "/a b",
            "/a\\b",
            "/é",
            "/a*",
            "/**/a",
            "/a/**/b",
            "/a**",
            "/***",
            "/{a}",
            too_long.as_str(),
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
