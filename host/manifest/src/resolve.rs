//! An application with its variables' values put in, and its hosts read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::App;
use crate::component::Component;
use crate::condition::is_on;
use crate::egress::{EgressClass, EgressRule, HostUse, resolve_host};
use crate::feed::{FeedDeclaration, resolve_feeds};
use crate::header::{check_host, resolve_headers};
use crate::host::OutboundHost;
use crate::problem::Findings;
use crate::role::StageKind;
use crate::template::Template;
use crate::trigger::Trigger;
use crate::variable::{Values, VariableValue};

/// An application that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResolvedApp {
    /// Its name.
    pub name: String,
    /// Its version; empty if the manifest gives none.
    pub version: String,
    /// What it is; empty if the manifest does not say.
    pub description: String,
    /// Its components, by name.
    pub components: BTreeMap<String, Component>,
    /// What starts its components, in the order in which it stands.
    pub triggers: Vec<Trigger>,
}

pub(crate) fn resolve(
    found: &mut Findings<'_>,
    app: &App,
    supplied: &BTreeMap<String, String>,
) -> ResolvedApp {
    let values = Values::new(found, &app.variables, &app.variables_span, supplied);
    let components = app.components.iter();
    ResolvedApp {
        name: app.name.clone(),
        version: app.version.clone(),
        description: app.description.clone(),
        components: components
            .map(|(name, c)| (name.clone(), resolve_component(found, c, &values)))
            .collect(),
        triggers: app.triggers.clone(),
    }
}

fn resolve_component(
    found: &mut Findings<'_>,
    component: &Component<Template, Template, FeedDeclaration>,
    values: &Values,
) -> Component {
    let mut variables = BTreeMap::new();
    for (name, template) in &component.variables {
        if let Some(value) = template.substitute(values) {
            let value = VariableValue {
                value: value.text,
                secret: value.secret,
                line: template.line,
            };
            variables.insert(name.clone(), value);
        }
    }
    let allowed: Vec<Option<OutboundHost>> = component
        .allowed_outbound_hosts
        .iter()
        .map(|template| resolve_template(found, template, values, HostUse::Allowed))
        .collect();
    let rules: Vec<Option<EgressRule>> = component
        .egress
        .iter()
        .map(|rule| resolve_rule(found, rule, values))
        .collect();
    check_rules(found, component, &allowed, &rules);
    // Hosts and rules agree whether a rule is on or off; from here on one that is off is none.
    let rules: Vec<Option<EgressRule>> = rules
        .into_iter()
        .filter(|rule| rule.as_ref().is_none_or(|rule| is_on(&rule.when, values)))
        .collect();
    let feeds = resolve_feeds(found, component, values, &variables, &rules);

    Component {
        name: component.name.clone(),
        role: component.role.clone(),
        source: component.source.clone(),
        variables,
        allowed_outbound_hosts: allowed.into_iter().flatten().collect(),
        egress: rules.into_iter().flatten().collect(),
        documents: component.documents.clone(),
        market_data: component.market_data,
        invoke: component.invoke.clone(),
        strategies: component.strategies.clone(),
        limits: component.limits,
        schedule: component.schedule.clone(),
        feeds,
        lines: component.lines,
        hosts_complete: component.hosts_complete,
        egress_complete: component.egress_complete,
    }
}

fn resolve_rule(
    found: &mut Findings<'_>,
    rule: &EgressRule<Template, Template>,
    values: &Values,
) -> Option<EgressRule> {
    let host = resolve_template(found, &rule.host, values, HostUse::Egress)?;
    let headers = resolve_headers(found, &rule.headers, values)?;
    if !headers.is_empty() && is_on(&rule.when, values) {
        check_host(found, &host, &rule.host);
    }
    Some(EgressRule {
        host,
        class: rule.class,
        methods: rule.methods.clone(),
        paths: rule.paths.clone(),
        headers,
        headers_required: rule.headers_required,
        when: rule.when.clone(),
        line: rule.line,
    })
}

fn resolve_template(
    found: &mut Findings<'_>,
    template: &Template,
    values: &Values,
    host_use: HostUse,
) -> Option<OutboundHost> {
    let substituted = template.substitute(values)?;
    resolve_host(found, template, substituted.text, host_use)
}

/// Notes each rule whose host is not allowed, and each allowed host for which there is no rule. A host that could
/// not be read is noted already, and nothing is said of what would depend on it.
fn check_rules(
    found: &mut Findings<'_>,
    component: &Component<Template, Template, FeedDeclaration>,
    allowed: &[Option<OutboundHost>],
    rules: &[Option<EgressRule>],
) {
    let all_allowed_known = allowed.iter().all(Option::is_some) && component.hosts_complete;
    for (rule, written) in rules.iter().zip(&component.egress) {
        let Some(rule) = rule else { continue };
        let span = &written.host.span;
        if rule.host.is_websocket() {
            check_websocket_rule(found, component, rule, written);
        } else if !rule.host.is_http() {
            found.add(
                span,
                format!(
                    "{}: an egress rule permits only http and https, and ws and wss for feeds",
                    shown(&written.host)
                ),
            );
        }
        if all_allowed_known && !allowed.iter().flatten().any(|host| host.covers(&rule.host)) {
            let message = format!(
                "the host {} is not covered by `allowed_outbound_hosts`",
                shown(&written.host)
            );
            let hint = format!(
                "add it to `allowed_outbound_hosts` on line {}",
                component.lines.allowed_outbound_hosts
            );
            found.add_with_hint(span, message, hint);
        }
    }
    let all_rules_known = rules.iter().all(Option::is_some) && component.egress_complete;
    for (host, written) in allowed.iter().zip(&component.allowed_outbound_hosts) {
        let Some(host) = host.as_ref().filter(|host| !host.is_internal()) else {
            continue;
        };
        if component
            .role
            .stage()
            .is_none_or(|kind| kind.egress_classes().is_empty())
        {
            if let Some(kind) = component.role.stage() {
                found.add(
                    &written.span,
                    format!(
                        "{} has no network: its world imports no HTTP client",
                        kind.in_words()
                    ),
                );
            }
        } else if all_rules_known && !rules.iter().flatten().any(|rule| host.covers(&rule.host)) {
            let message = format!("no egress rule permits anything on {}", shown(written));
            let hint = format!(
                "add `[[component.{}.tool.bulkhead.egress]]`, or take the host away",
                component.name
            );
            found.add_with_hint(&written.span, message, hint);
        }
    }
}

/// Notes a rule for `ws` or `wss` that no feed could use.
fn check_websocket_rule(
    found: &mut Findings<'_>,
    component: &Component<Template, Template, FeedDeclaration>,
    rule: &EgressRule,
    written: &EgressRule<Template, Template>,
) {
    let span = &written.host.span;
    let host = shown(&written.host);
    if let Some(kind) = component
        .role
        .stage()
        .filter(|kind| *kind != StageKind::Ingest)
    {
        let message = format!(
            "{host}: ws and wss are for feeds, which {} has not",
            kind.in_words()
        );
        found.add(span, message);
    } else if rule.class != EgressClass::MarketData || rule.methods != ["GET"] {
        let message = format!(
            "{host}: a rule for ws or wss is of class `market-data`, with the method `GET`"
        );
        let hint = "write `class = \"market-data\"` and `methods = [\"GET\"]`";
        found.add_with_hint(span, message, hint);
    }
}

/// A host as it is written.
fn shown(template: &Template) -> String {
    crate::problem::quoted(&template.text)
}
