//! The headers of an egress rule: what the gate adds to the requests of the rule, such as a venue's credentials, which
//! no component sees.
//!
//! Accepted forms of a value: printable ASCII that neither begins nor ends with a blank, with templates in it. Each
//! variable must be `secret`, and may stand in the `variables` of no component. Where one of its variables is empty the
//! header is empty, which means that it is not added.

use serde::Serialize;
use toml::de::DeValue;

use crate::component::ReadComponent;
use crate::host::{HostPattern, OutboundHost, SchemePattern};
use crate::problem::{Findings, quoted};
use crate::section::{Located, Section, text_of};
use crate::template::Template;
use crate::variable::{Values, VariableValue, Variables};

/// The most headers of a rule. The egress gate's own bound, like those that follow.
const MAX_HEADERS: usize = 16;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Headers that no rule may set: those of the connection (RFC 9110, section 7.6.1), those that say where a message goes and
/// how long it is, and those that ask a server for another method or path.
const FORBIDDEN: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// A header that the gate adds. `V` is [`Template`] before it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressHeader<V = VariableValue> {
    /// Its name, as written.
    pub name: String,
    /// Its value; empty: it is not added.
    pub value: V,
    /// The variables that it comes from.
    pub variables: Vec<String>,
}

/// Reads the `headers` of a rule. None: one of them is wrong, which is noted.
pub(crate) fn read_headers(
    found: &mut Findings<'_>,
    rule: &Section<'_>,
    variables: &Variables,
) -> Option<Vec<EgressHeader<Template>>> {
    if rule.get("headers").is_none() {
        return Some(Vec::new());
    }
    let section = rule.section(found, "headers", "`headers`")?;
    let mut seen = Vec::new();
    let mut headers = Vec::new();
    let mut complete = true;
    for (name, value) in section.entries() {
        let lower = name.value.to_ascii_lowercase();
        if let Err(message) = check_name(&lower, name.value) {
            found.add(&name.span, message);
            complete = false;
        } else if seen.contains(&lower) {
            let message = format!("the header {} stands twice", quoted(name.value));
            found.add(&name.span, message);
            complete = false;
        }
        seen.push(lower);
        match read_value(found, &name, value, variables) {
            Some(value) => headers.push(EgressHeader {
                name: name.value.to_owned(),
                variables: value.variables().map(str::to_owned).collect(),
                value,
            }),
            None => complete = false,
        }
    }
    if headers.len() > MAX_HEADERS {
        let message = format!("a rule has at most {MAX_HEADERS} headers");
        found.add(&section.span, message);
        complete = false;
    }
    complete.then_some(headers)
}

fn read_value(
    found: &mut Findings<'_>,
    name: &Located<&str>,
    value: &toml::Spanned<DeValue<'_>>,
    variables: &Variables,
) -> Option<Template> {
    let what = format!("the header {}", quoted(name.value));
    let text = text_of(found, value, &what)?;
    let template = Template::read(found, &text, variables)?;
    for variable in template.variables() {
        if !variables.is_secret(variable) {
            found.add_with_hint(
                &template.span,
                format!(
                    "the variable {} goes into a header and is not secret",
                    quoted(variable)
                ),
                "write `secret = true` where it is declared, so that it is never printed",
            );
            return None;
        }
    }
    if template.is_literal() {
        check_value(found, name.value, &template, &template.text)?;
    }
    Some(template)
}

/// Reads `headers_required`.
pub(crate) fn read_required(found: &mut Findings<'_>, rule: &Section<'_>) -> bool {
    let Some(required) = rule.boolean(found, "headers_required") else {
        return false;
    };
    if rule.get("headers").is_none() {
        found.add_with_hint(
            &required.span,
            "`headers_required` says nothing without `headers`",
            "add `headers = { \"NAME\" = \"{{ variable }}\" }`",
        );
    }
    required.value
}

fn check_name(lower: &str, name: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_token) {
        return Err(format!("{} is no header name", quoted(name)));
    }
    if FORBIDDEN.contains(&lower) {
        return Err(format!(
            "the header {} frames the message or says where it goes, which no rule may",
            quoted(name)
        ));
    }
    Ok(())
}

/// Notes a value that is none, without repeating it.
fn check_value(
    found: &mut Findings<'_>,
    name: &str,
    template: &Template,
    value: &str,
) -> Option<()> {
    let is_value = value.len() <= MAX_VALUE_BYTES
        && value.trim() == value
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_value {
        return Some(());
    }
    let message = format!(
        "the value of the header {} is longer than {MAX_VALUE_BYTES} bytes, begins or ends with a blank, or has a character outside printable ASCII",
        quoted(name)
    );
    found.add(&template.span, message);
    None
}

/// Puts the variables' values in. None: one has no value, or what comes of it is no header value; both are noted.
pub(crate) fn resolve_headers(
    found: &mut Findings<'_>,
    headers: &[EgressHeader<Template>],
    values: &Values,
) -> Option<Vec<EgressHeader>> {
    let resolve = |found: &mut Findings<'_>, header: &EgressHeader<Template>| {
        let template = &header.value;
        let value = template.substitute(values)?;
        let is_empty = template
            .variables()
            .any(|name| values.get(name).is_some_and(|(value, _)| value.is_empty()));
        let text = if is_empty { String::new() } else { value.text };
        check_value(found, &header.name, template, &text)?;
        Some(EgressHeader {
            name: header.name.clone(),
            value: VariableValue {
                value: text,
                secret: value.secret,
                line: template.line,
            },
            variables: header.variables.clone(),
        })
    };
    // All of them before the first that is wrong ends it, so that each is noted.
    let resolved: Vec<Option<EgressHeader>> = headers
        .iter()
        .map(|header| resolve(found, header))
        .collect();
    resolved.into_iter().collect()
}

/// Notes a host to which credentials would go in the clear, or which could be anybody's.
pub(crate) fn check_host(found: &mut Findings<'_>, host: &OutboundHost, written: &Template) {
    if host.host == HostPattern::Any {
        let message = format!(
            "the headers of the rule would go to every host that {} covers",
            quoted(&written.text)
        );
        found.add_with_hint(&written.span, message, "name the venue's host");
    }
    let is_https = matches!(&host.scheme, SchemePattern::Exactly(scheme) if scheme == "https");
    if !is_https && !host.is_loopback() {
        let message = format!(
            "the headers of the rule would go to {} in the clear",
            quoted(&written.text)
        );
        found.add_with_hint(
            &written.span,
            message,
            "write `https://`; `http://` is for loopback alone",
        );
    }
}

/// Notes each component that could read a variable that stands in a header of an egress rule.
pub(crate) fn check_unread(found: &mut Findings<'_>, components: &[ReadComponent]) {
    let headers = components
        .iter()
        .flat_map(|read| &read.component.egress)
        .flat_map(|rule| &rule.headers);
    let credentials: Vec<(&str, usize)> = headers
        .flat_map(|header| {
            let line = header.value.line;
            header
                .variables
                .iter()
                .map(move |name| (name.as_str(), line))
        })
        .collect();
    for read in components {
        for template in read.component.variables.values() {
            for name in template.variables() {
                let Some((_, line)) = credentials.iter().find(|(known, _)| *known == name) else {
                    continue;
                };
                let message = format!(
                    "the variable {} goes into a header of the egress rule on line {line}: no component may read it",
                    quoted(name)
                );
                let hint = "take it away here: the host adds the header to the rule's requests";
                found.add_with_hint(&template.span, message, hint);
            }
        }
    }
}
