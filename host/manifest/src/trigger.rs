//! Triggers: what starts a component's runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::DateTime;
use croner::parser::{CronParser, Seconds, Year};
use serde::Serialize;

use crate::names::did_you_mean;
use crate::problem::{Findings, quoted};
use crate::route::{Route, read_route};
use crate::section::{Located, Section};

const HTTP_KEYS: &[&str] = &["id", "component", "route", "executor"];
const CRON_KEYS: &[&str] = &["id", "component", "cron_expression"];
const TRIGGER_KINDS: &[&str] = &["http", "cron"];
/// The fields of a cron expression: second, minute, hour, day of month, month, day of week.
const CRON_FIELDS: usize = 6;
const CRON_HINT: &str = "second, minute, hour, day of month, month, day of week";
/// The longest cron expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 256;

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
    /// `[[trigger.cron]]`: a schedule, in the time zone of the component's [`SchedulePolicy`](crate::SchedulePolicy).
    Cron {
        /// The component that is run.
        component: String,
        /// Six fields: second, minute, hour, day of month, month, day of week.
        expression: String,
        /// The line on which the trigger begins, from 1.
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

    /// The line on which the trigger begins, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::Http { line, .. } | Self::Cron { line, .. } => *line,
        }
    }
}

/// The triggers, and each place where one of them names a component, even if the rest of it is wrong.
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
        for (kind, _) in kinds
            .entries()
            .filter(|(kind, _)| !TRIGGER_KINDS.contains(&kind.value))
        {
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
        for section in kinds.sections(found, "cron", "`[[trigger.cron]]`") {
            read.read_cron(found, &section);
        }
        read.triggers.sort_by_key(Trigger::line);
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
        if route.value != Route::Private {
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
        }
        if let Some(component) = component {
            self.triggers.push(Trigger::Http {
                route: route.value,
                component,
                line,
            });
        }
    }

    fn read_cron(&mut self, found: &mut Findings<'_>, section: &Section<'_>) {
        section.deny_unknown_keys(found, CRON_KEYS);
        section.text(found, "id");
        let component = self.read_component(found, section);
        let hint = "for example `cron_expression = \"0 * * * * *\"`, once a minute";
        let Some(expression) = section.required_text(found, "cron_expression", hint) else {
            return;
        };
        check_cron_expression(found, &expression);
        if let Some(component) = component {
            let (expression, line) = (expression.value.to_owned(), found.line(&section.span));
            self.triggers.push(Trigger::Cron {
                component,
                expression,
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

fn check_cron_expression(found: &mut Findings<'_>, expression: &Located<&str>) {
    let text = expression.value;
    let fields = text.split_whitespace().count();
    if fields != CRON_FIELDS || text.len() > MAX_EXPRESSION_BYTES {
        let message = format!(
            "the cron expression {} must have {CRON_FIELDS} fields, not {fields}",
            quoted(text)
        );
        let hint = if fields == CRON_FIELDS - 1 {
            format!("seconds come first: {}", quoted(&format!("0 {text}")))
        } else {
            CRON_HINT.to_owned()
        };
        found.add_with_hint(&expression.span, message, hint);
        return;
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .build();
    let problem = match parser.parse(text) {
        Err(error) => format!(
            "cannot be read: {}",
            quoted(error.to_string().trim_end_matches('.'))
        ),
        // Whether there is any such day does not depend on where the search begins.
        Ok(cron) => match cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true) {
            Ok(_) => return,
            Err(error) => format!(
                "never fires: {}",
                quoted(error.to_string().trim_end_matches('.'))
            ),
        },
    };
    let message = format!("the cron expression {} {problem}", quoted(text));
    found.add_with_hint(&expression.span, message, CRON_HINT);
}
