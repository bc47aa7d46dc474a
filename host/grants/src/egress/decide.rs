//! The first decision: a request's head against the component's grant and the kill switches.

use http::Method;

use crate::denied::{listed, quoted};
use crate::switches::SwitchState;
use crate::{Denied, MANIFEST, reason};

use super::path::{check_path, check_query};
use super::{EgressClass, EgressGrant, EgressRule, RequestHead, Scheme, Target};

/// Whether a run may have an effect outside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// It may, within its grants.
    Live,
    /// It may not: every request is refused.
    Fake,
}

/// A request whose head is granted; its host's address has not been looked at yet.
#[derive(Debug, Clone)]
pub struct Admission<'g> {
    pub(crate) grant: &'g EgressGrant,
    pub(crate) rule: &'g EgressRule,
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) path: String,
}

impl Admission<'_> {
    /// The rule that permits it; an order-entry rule if there is one among those that do.
    #[must_use]
    pub fn rule(&self) -> &EgressRule {
        self.rule
    }

    /// Where it goes.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// Judges a request's head.
///
/// # Errors
/// The first reason found, in this order: fake mode; what no request may be, whatever is granted (sizes, control
/// characters, scheme, authority, headers, method, path); what the grant does not hold; a kill switch; the rule's own headers.
pub fn decide<'g>(
    head: &RequestHead<'_>,
    grant: &'g EgressGrant,
    mode: RunMode,
    switches: &SwitchState,
) -> Result<Admission<'g>, Denied> {
    if mode == RunMode::Fake {
        return Err(Denied::new(
            reason::FAKE_MODE,
            format!(
                "component `{}` runs in fake mode, in which no request is sent",
                grant.component
            ),
        ));
    }
    head.check_sizes()?;
    head.check_control_characters()?;
    let scheme = Scheme::parse(head.scheme)?;
    let target = Target::parse(scheme, head.authority)?;
    head.check_headers(&target)?;
    let method = parse_method(head.method)?;
    let (path, query) = head.path_and_query();
    check_path(path)?;
    query.map_or(Ok(()), check_query)?;

    let permitting = || {
        grant
            .rules
            .iter()
            .filter(|rule| rule.permits(&target, &method, path))
    };
    let rule = permitting()
        .find(|rule| rule.class == EgressClass::OrderEntry)
        .or_else(|| permitting().next())
        .ok_or_else(|| not_granted(grant, &target, &method, path))?;
    switches.check(rule.class)?;
    rule.headers
        .check(&grant.component, &target, rule.manifest_line)?;
    Ok(Admission {
        grant,
        rule,
        target,
        method,
        path: path.to_owned(),
    })
}

/// Reads a method. `CONNECT` would open a tunnel and `TRACE` returns what the host added: neither can be granted.
fn parse_method(text: &str) -> Result<Method, Denied> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => Err(Denied::new(
            reason::METHOD_FORBIDDEN,
            format!("the method {} can never be granted", quoted(text)),
        )),
        Ok(method) => Ok(method),
    }
}

/// Why no rule permits the request, told by the rules that come nearest to it.
fn not_granted(grant: &EgressGrant, target: &Target, method: &Method, path: &str) -> Denied {
    let component = &grant.component;
    let of_host: Vec<_> = grant
        .rules
        .iter()
        .filter(|rule| rule.host.matches_host(&target.host))
        .collect();
    if of_host.is_empty() {
        let hosts = listed(grant.rules.iter().map(|rule| &rule.host));
        let new_rule = format!("`[[component.{component}.tool.bulkhead.egress]]`");
        return Denied::new(
            reason::HOST_NOT_GRANTED,
            format!(
                "component `{component}` may not reach {target}; its hosts are {hosts}; grant it in {new_rule} ({MANIFEST}:{line})",
                target = quoted(&target.to_string()),
                line = grant.component_line,
            ),
        );
    }
    let denied = |word, what: &str, actual: String, granted: String, key: &str, line: u32| {
        Denied::new(
            word,
            format!(
                "component `{component}` may not use the {what} {actual} at {target}; granted are {granted}; \
                 permit it in `{key}` of the egress rule ({MANIFEST}:{line})",
                actual = quoted(&actual),
                target = quoted(&target.to_string()),
            ),
        )
    };
    let line = |rules: &[&EgressRule]| {
        rules
            .first()
            .map_or(grant.component_line, |rule| rule.manifest_line)
    };
    let hosts = |rules: &[&EgressRule]| listed(rules.iter().map(|rule| &rule.host));

    let of_scheme = narrowed(&of_host, |rule| rule.host.matches_scheme(target.scheme));
    if of_scheme.is_empty() {
        let (granted, line) = (hosts(&of_host), line(&of_host));
        return denied(
            reason::SCHEME_NOT_GRANTED,
            "scheme",
            target.scheme.to_string(),
            granted,
            "host",
            line,
        );
    }
    let of_port = narrowed(&of_scheme, |rule| rule.host.matches_port(target.port));
    if of_port.is_empty() {
        let (granted, line) = (hosts(&of_scheme), line(&of_scheme));
        return denied(
            reason::PORT_NOT_GRANTED,
            "port",
            target.port.to_string(),
            granted,
            "host",
            line,
        );
    }
    let of_method = narrowed(&of_port, |rule| rule.methods.contains(method));
    if of_method.is_empty() {
        let granted = listed(of_port.iter().flat_map(|rule| &rule.methods));
        return denied(
            reason::METHOD_NOT_GRANTED,
            "method",
            method.to_string(),
            granted,
            "methods",
            line(&of_port),
        );
    }
    let granted = listed(of_method.iter().flat_map(|rule| &rule.paths));
    denied(
        reason::PATH_NOT_GRANTED,
        "path",
        path.to_owned(),
        granted,
        "paths",
        line(&of_method),
    )
}

fn narrowed<'g>(
    rules: &[&'g EgressRule],
    keep: impl Fn(&EgressRule) -> bool,
) -> Vec<&'g EgressRule> {
    rules.iter().copied().filter(|rule| keep(rule)).collect()
}
