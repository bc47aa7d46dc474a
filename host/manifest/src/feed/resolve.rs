//! A feed with its variables' values put in, against the rules of its component.

use std::collections::BTreeMap;

use super::{Feed, FeedDeclaration, FeedUrl, FeedVenue};
use crate::component::Component;
use crate::egress::EgressRule;
use crate::names::did_you_mean;
use crate::problem::{Findings, quoted};
use crate::template::Template;
use crate::variable::{Values, VariableValue};

/// What a feed's request is, of which a rule must permit it.
const METHOD: &str = "GET";

/// Puts the values into a component's feeds. `rules` are its egress rules; None among them: it could not be read, which
/// is noted.
pub(crate) fn resolve_feeds(
    found: &mut Findings<'_>,
    component: &Component<Template, Template, FeedDeclaration>,
    values: &Values,
    variables: &BTreeMap<String, VariableValue>,
    rules: &[Option<EgressRule>],
) -> Vec<Feed> {
    let all_rules_known = rules.iter().all(Option::is_some) && component.egress_complete;
    let mut feeds = Vec::new();
    for declared in &component.feeds {
        let Some(feed) = resolve_feed(found, declared, values, variables) else {
            continue;
        };
        if all_rules_known {
            check_covered(found, &component.name, declared, &feed, rules);
        }
        feeds.push(feed);
    }
    feeds
}

fn resolve_feed(
    found: &mut Findings<'_>,
    declared: &FeedDeclaration,
    values: &Values,
    variables: &BTreeMap<String, VariableValue>,
) -> Option<Feed> {
    let venue = resolve_venue(found, &declared.venue, values);
    let url = resolve_url(found, &declared.url, values);
    let enabled = match &declared.enabled {
        Some(template) => resolve_flag(found, template, values),
        None => Some(true),
    };
    let mut list = |key, template: &Option<Template>| {
        resolve_or_variable(found, declared, key, template.as_ref(), values, variables)
    };
    let instruments = list("instruments", &declared.instruments);
    let timeframe = list("timeframe", &declared.timeframe);
    let value = |template: &Option<Template>| {
        let template = template.as_ref()?;
        let substituted = template.substitute(values)?;
        (!substituted.text.is_empty()).then_some(VariableValue {
            value: substituted.text,
            secret: substituted.secret,
            line: template.line,
        })
    };
    let (key_id, secret_key) = (value(&declared.key_id), value(&declared.secret_key));
    let is_enabled = enabled?;
    if is_enabled && venue == Some(FeedVenue::Alpaca) {
        for (key, value) in [("key_id", &key_id), ("secret_key", &secret_key)] {
            if value.is_none() {
                let message = format!(
                    "the feed {} has no `{key}`, without which `alpaca` streams nothing",
                    quoted(&declared.name)
                );
                let hint =
                    format!("add `{key} = \"{{{{ NAME }}}}\"`, and give that variable a value");
                found.add_with_hint(&declared.venue.span, message, hint);
            }
        }
    }
    let feed = Feed {
        name: declared.name.clone(),
        venue: venue?,
        url: url?,
        is_enabled,
        instruments: instruments?,
        timeframe: timeframe?,
        channels: declared.channels.clone(),
        batching: declared.batching,
        key_id,
        secret_key,
        line: declared.line,
    };
    check_in_clear(found, declared, &feed);
    Some(feed)
}

/// Notes a feed whose credentials would go over the network in the clear.
fn check_in_clear(found: &mut Findings<'_>, declared: &FeedDeclaration, feed: &Feed) {
    if !feed.has_credentials_in_clear() {
        return;
    }
    let message = format!(
        "the credentials of the feed {} would go to {} in the clear",
        quoted(&feed.name),
        quoted(&feed.url.host.text)
    );
    let hint = "write `wss://`; `ws://` is for loopback alone";
    found.add_with_hint(&declared.url.span, message, hint);
}

fn resolve_venue(
    found: &mut Findings<'_>,
    template: &Template,
    values: &Values,
) -> Option<FeedVenue> {
    let text = template.substitute(values)?.text;
    let venue = FeedVenue::ALL
        .into_iter()
        .find(|venue| venue.as_str() == text);
    if venue.is_none() {
        found.push(
            &template.span,
            format!("{} is not a venue that streams", quoted(&text)),
            did_you_mean(&text, FeedVenue::ALL.map(FeedVenue::as_str)),
        );
    }
    venue
}

fn resolve_url(found: &mut Findings<'_>, template: &Template, values: &Values) -> Option<FeedUrl> {
    let text = template.substitute(values)?.text;
    match FeedUrl::parse(&text, template.line) {
        Ok(url) => Some(url),
        Err(message) => {
            let hint = "a feed's URL is `wss://host:port/path`, for example `wss://stream.example.com:443/stream`";
            found.add_with_hint(&template.span, message, hint);
            None
        }
    }
}

fn resolve_flag(found: &mut Findings<'_>, template: &Template, values: &Values) -> Option<bool> {
    match template.substitute(values)?.text.as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        other => {
            let message = format!("`enabled` cannot be {}", quoted(other));
            found.add_with_hint(&template.span, message, "write `1` or `0`");
            None
        }
    }
}

/// The value of a key, or else of the component's variable of the same name.
fn resolve_or_variable(
    found: &mut Findings<'_>,
    declared: &FeedDeclaration,
    key: &str,
    template: Option<&Template>,
    values: &Values,
    variables: &BTreeMap<String, VariableValue>,
) -> Option<String> {
    let (text, span) = match template {
        Some(template) => (template.substitute(values)?.text, &template.span),
        None => {
            let variable = variables.get(key);
            let text = variable.map(|variable| variable.value.clone());
            (text.unwrap_or_default(), &declared.span)
        }
    };
    if text.trim().is_empty() {
        found.add_with_hint(
            span,
            format!("the feed {} has no {key}", quoted(&declared.name)),
            format!("give the component a variable `{key}`, or the feed the key `{key}`"),
        );
        return None;
    }
    Some(text)
}

/// Notes a URL to which no rule lets the host connect, and what the rule that comes nearest lacks.
fn check_covered(
    found: &mut Findings<'_>,
    component: &str,
    declared: &FeedDeclaration,
    feed: &Feed,
    rules: &[Option<EgressRule>],
) {
    let of_host: Vec<&EgressRule> = rules
        .iter()
        .flatten()
        .filter(|rule| rule.host.is_websocket() && rule.host.covers(&feed.url.host))
        .collect();
    let span = &declared.url.span;
    let Some(nearest) = of_host.first() else {
        let message = format!(
            "no egress rule lets the feed {} connect to {}",
            quoted(&feed.name),
            quoted(&feed.url.host.text)
        );
        let hint = format!(
            "add `[[component.{component}.tool.bulkhead.egress]]` with `host = \"{}\"`, `class = \"market-data\"`, `methods = [\"GET\"]`, `paths = [\"{}\"]`",
            feed.url.host.text, feed.url.path
        );
        found.add_with_hint(span, message, hint);
        return;
    };
    let permits = |rule: &&EgressRule| {
        rule.methods.iter().any(|method| method == METHOD)
            && rule.paths.iter().any(|path| path.matches(&feed.url.path))
    };
    if !of_host.iter().any(permits) {
        let message = format!(
            "the egress rule on line {} does not let the feed {} `GET` the path {}",
            nearest.line,
            quoted(&feed.name),
            quoted(&feed.url.path)
        );
        found.add_with_hint(
            span,
            message,
            format!("add `{}` to its `paths`", feed.url.path),
        );
    }
}
