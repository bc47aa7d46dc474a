//! Triggers: what starts a component's runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;
use toml::de::DeValue;

use crate::component::ReadComponent;
use crate::names::did_you_mean;
use crate::problem::{Findings, Span, quoted};
use crate::route::{Route, read_route};
use crate::section::{Located, Section, Value};

const HTTP_KEYS: &[&str] = &["id", "component", "route", "executor"];
const TRIGGER_KINDS: &[&str] = &["http"];
/// A kind of trigger for which Spin needs a plugin, and a manifest that has it does not start without.
const CRON_KIND: &str = "cron";

/// What starts a component's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Trigger {
    /// `[[trigger.http]]`: a request on a route.
    Http {
        /// Which requests.
        route: Route,
        /// The component that is run.
        component: String,
        /// The line on which the trigger begins, from 1.
        line: usize,
    },
    /// `cron` of a component's schedule, in the time zone of its [`SchedulePolicy`](crate::SchedulePolicy).
    Cron {
        /// The component that is run.
        component: String,
        /// Six fields: second, minute, hour, day of month, month, day of week.
        expression: String,
        /// The line on which the expression stands, from 1.
        line: usize,
    },
}

impl Trigger {
    /// The component that is run.
    pub fn component(&self) -> &str {
        match self {
            Self::Http { component, .. } | Self::Cron { component, .. } => component,
        }
    }

    /// The line on which the trigger begins or the expression stands, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::Http { line, .. } | Self::Cron { line, .. } => *line,
        }
    }
}

/// The HTTP triggers, and each place where one of them names a component, even if the rest of it is wrong.
#[derive(Default)]
pub(crate) struct ReadTriggers {
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) references: Vec<Located<String>>,
}

impl ReadTriggers {
    /// Reads `[[trigger.…]]`, in the order in which they stand.
    pub(crate) fn read(found: &mut Findings<'_>, root: &Section<'_>) -> Self {
        let mut read = Self::default();
        let Some(kinds) = root.section(found, "trigger", "`[trigger]`") else {
            return read;
        };
        for (kind, value) in kinds
            .entries()
            .filter(|(kind, _)| !TRIGGER_KINDS.contains(&kind.value))
        {
            if kind.value == CRON_KIND {
                refuse_cron_triggers(found, value);
                continue;
            }
            let message = format!(
                "{} is not a trigger that Bulkhead serves",
                quoted(kind.value)
            );
            found.push(
                &kind.span,
                message,
                did_you_mean(kind.value, TRIGGER_KINDS.iter().copied()),
            );
        }
        let mut routes = BTreeMap::new();
        for section in kinds.sections(found, "http", "`[[trigger.http]]`") {
            read.read_http(found, &section, &mut routes);
        }
        read
    }

    fn read_http(
        &mut self,
        found: &mut Findings<'_>,
        section: &Section<'_>,
        routes: &mut BTreeMap<Route, usize>,
    ) {
        section.deny_unknown_keys(found, HTTP_KEYS);
        section.text(found, "id");
        check_executor(found, section);
        let component = self.read_component(found, section);
        let Some(route) = read_route(found, section) else {
            return;
        };
        let line = found.line(&section.span);
        match routes.entry(route.value.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(line);
            }
            Entry::Occupied(entry) => {
                let message = format!(
                    "the route `{}` is served by the trigger on line {} already",
                    route.value,
                    entry.get()
                );
                found.add(&route.span, message);
            }
        }
        if let Some(component) = component {
            self.triggers.push(Trigger::Http {
                route: route.value,
                component,
                line,
            });
        }
    }

    fn read_component(
        &mut self,
        found: &mut Findings<'_>,
        section: &Section<'_>,
    ) -> Option<String> {
        if let Some(value) = section
            .get("component")
            .filter(|value| value.get_ref().is_table())
        {
            let message = "a component written out in its trigger is not read";
            found.add_with_hint(
                &value.span(),
                message,
                "write it under `[component.NAME]`, and its name here",
            );
            return None;
        }
        let name = section.required_text(found, "component", "name the component to run")?;
        self.references.push(Located {
            value: name.value.to_owned(),
            span: name.span,
        });
        Some(name.value.to_owned())
    }
}

fn check_executor(found: &mut Findings<'_>, section: &Section<'_>) {
    let Some(executor) = section.section(found, "executor", "`executor`") else {
        return;
    };
    executor.deny_unknown_keys(found, &["type"]);
    if let Some(kind) = executor.required_text(found, "type", "`executor = { type = \"http\" }`")
        && !["http", "spin"].contains(&kind.value)
    {
        found.add(
            &kind.span,
            format!(
                "the executor {} is not served: only `http` is",
                quoted(kind.value)
            ),
        );
    }
}

/// Notes each `[[trigger.cron]]` entry where it begins.
fn refuse_cron_triggers(found: &mut Findings<'_>, value: &Value<'_>) {
    let entries: Vec<(Span, Option<&str>)> = match value.get_ref() {
        DeValue::Array(entries) => entries
            .iter()
            .map(|entry| (entry.span(), component_named(entry)))
            .collect(),
        _ => vec![(value.span(), component_named(value))],
    };
    for (span, component) in entries {
        let table = format!(
            "[component.{}.tool.bulkhead.schedule]",
            component.unwrap_or("NAME")
        );
        found.add_with_hint(
            &span,
            "`[[trigger.cron]]` is not read: Spin would need its cron plugin for it, and start nothing without",
            format!("write `cron = \"…\"` under {}, which Spin leaves alone", quoted(&table)),
        );
    }
}

fn component_named<'t>(entry: &'t Value<'_>) -> Option<&'t str> {
    entry
        .get_ref()
        .as_table()?
        .get("component")?
        .get_ref()
        .as_str()
}

/// All that starts runs, in the order in which it stands: HTTP triggers, and the schedules of components.
pub(crate) fn with_schedules(
    found: &Findings<'_>,
    mut triggers: Vec<Trigger>,
    components: &[ReadComponent],
) -> Vec<Trigger> {
    for read in components {
        triggers.extend(read.crons.iter().map(|cron| Trigger::Cron {
            component: read.component.name.clone(),
            expression: cron.value.clone(),
            line: found.line(&cron.span),
        }));
    }
    triggers.sort_by_key(Trigger::line);
    triggers
}
