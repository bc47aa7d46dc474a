//! One component: what it is, and all that it may do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::authority::check_authority;
use crate::documents::{DocumentGrant, MarketDataGrant};
use crate::egress::{EgressRule, HostUse, read_host};
use crate::feed::{Feed, FeedDeclaration, read_feeds};
use crate::host::OutboundHost;
use crate::limits::Limits;
use crate::names::check_lower_snake_id;
use crate::problem::{Findings, quoted};
use crate::role::Role;
use crate::schedule::{SchedulePolicy, read_crons};
use crate::section::{Located, Section, text_of};
use crate::source::{read_source, read_spin_source};
use crate::template::Template;
use crate::variable::{VariableValue, Variables};

/// The keys of a component that Spin knows (manifest version 2). Spin refuses any other, and so do we.
const COMPONENT_KEYS: &[&str] = &[
    "source",
    "description",
    "variables",
    "environment",
    "files",
    "exclude_files",
    "allowed_http_hosts",
    "allowed_outbound_hosts",
    "key_value_stores",
    "sqlite_databases",
    "ai_models",
    "targets",
    "build",
    "tool",
    "dependencies_inherit_configuration",
    "dependencies",
    "profile",
];
const BULKHEAD_KEYS: &[&str] = &[
    "stage",
    "strategy",
    "source",
    "egress",
    "documents",
    "market-data",
    "invoke",
    "strategies",
    "limits",
    "schedule",
    "feed",
];

/// A component. Before the application is resolved, `H` and `V` are [`Template`] and `F` is [`FeedDeclaration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component<H = OutboundHost, V = VariableValue, F = Feed> {
    /// Its name: the key under `[component]`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The WebAssembly file, relative to the manifest: `tool.bulkhead.source`, or else `source`.
    pub source: PathBuf,
    /// The configuration it can read, by name.
    pub variables: BTreeMap<String, V>,
    /// Where it may connect to, as far as egress rules permit a request.
    pub allowed_outbound_hosts: Vec<H>,
    /// Which requests it may send.
    pub egress: Vec<EgressRule<H, V>>,
    /// Which documents it may read and write.
    pub documents: DocumentGrant,
    /// What it may do with bars.
    pub market_data: MarketDataGrant,
    /// The components it may invoke. Empty but for a canary.
    pub invoke: Vec<String>,
    /// The strategies it may ask, by the name that stands behind their `strategy`. Empty but for
    /// generate-trading-signal.
    pub strategies: Vec<String>,
    /// What one run may use up.
    pub limits: Limits,
    /// How its schedule behaves.
    pub schedule: SchedulePolicy,
    /// The websockets that the host holds for it. Empty but for ingest.
    pub feeds: Vec<F>,
    /// Where each of its grants stands.
    pub lines: ComponentLines,
    /// Whether all its outbound hosts could be read.
    #[serde(skip)]
    pub(crate) hosts_complete: bool,
    /// Whether all its egress rules could be read.
    #[serde(skip)]
    pub(crate) egress_complete: bool,
}

/// Where a component's grants stand, so that a denial can name the line. A grant that the component does not have
/// would be added below its own line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ComponentLines {
    /// The line of `[component.NAME]`, from 1.
    pub component: usize,
    /// The line of `[component.NAME.tool.bulkhead]`, from 1.
    pub bulkhead: usize,
    /// The line of the documents grant, or else [`Self::bulkhead`].
    pub documents: usize,
    /// The line of the market-data grant, or else [`Self::bulkhead`].
    pub market_data: usize,
    /// The line of `invoke`, or else [`Self::bulkhead`].
    pub invoke: usize,
    /// The line of `strategies`, or else [`Self::bulkhead`].
    pub strategies: usize,
    /// The line of `allowed_outbound_hosts`, or else [`Self::component`].
    pub allowed_outbound_hosts: usize,
}

/// A component that is read but not resolved, and the names in it that must name other components.
pub(crate) struct ReadComponent {
    pub(crate) component: Component<Template, Template, FeedDeclaration>,
    /// None: the manifest does not say, which is noted.
    pub(crate) role: Option<Role>,
    pub(crate) invoke: Vec<Located<String>>,
    pub(crate) strategies: Vec<Located<String>>,
    pub(crate) strategy: Option<Located<String>>,
    /// The cron expressions of its schedule.
    pub(crate) crons: Vec<Located<String>>,
}

impl ReadComponent {
    pub(crate) fn read(
        found: &mut Findings<'_>,
        name: &Located<&str>,
        section: &Section<'_>,
        variables: &Variables,
    ) -> Option<Self> {
        section.deny_unknown_keys(found, COMPONENT_KEYS);
        section.text(found, "description");
        for key in [
            "exclude_files",
            "key_value_stores",
            "sqlite_databases",
            "ai_models",
        ] {
            section.texts(found, key);
        }
        for key in ["environment", "build", "dependencies", "profile"] {
            section.section(found, key, quoted(key));
        }
        if let Some(span) = section.key_span("allowed_http_hosts") {
            let message = "`allowed_http_hosts` is no longer read";
            found.add_with_hint(
                &span,
                message,
                "write `allowed_outbound_hosts`, with a scheme for each host",
            );
        }
        let component_variables = read_variables(found, section, variables);
        let host_texts = section.texts(found, "allowed_outbound_hosts");
        let hosts: Vec<_> = host_texts
            .iter()
            .filter_map(|host| read_host(found, host, variables, HostUse::Allowed))
            .collect();
        let hosts_complete = hosts.len() == host_texts.len();
        let spin_source = read_spin_source(found, section);

        let tool = section.section(found, "tool", "`tool`");
        let table_name = format!("`[component.{}.tool.bulkhead]`", name.value);
        let Some(tool) = tool.filter(|tool| tool.get("bulkhead").is_some()) else {
            let message = format!(
                "the component {} has no table {table_name}",
                quoted(name.value)
            );
            found.add_with_hint(
                &section.span,
                message,
                "add it, with the `stage` or the `strategy` that the component is",
            );
            return None;
        };
        let table = tool.section(found, "bulkhead", table_name)?;
        table.deny_unknown_keys(found, BULKHEAD_KEYS);
        let role = Role::read(found, &table);
        let source = read_source(found, section, &table, spin_source);

        let rules = table.sections(
            found,
            "egress",
            &format!("`[[component.{}.tool.bulkhead.egress]]`", name.value),
        );
        let egress: Vec<_> = rules
            .iter()
            .filter_map(|rule| EgressRule::read(found, rule, variables))
            .collect();
        let egress_complete = egress.len() == rules.len();
        let documents = table.section(found, "documents", "`documents`");
        let documents = documents
            .map(|section| DocumentGrant::read(found, &section))
            .unwrap_or_default();
        let market_data = table.section(found, "market-data", "`market-data`");
        let market_data = market_data
            .map(|section| MarketDataGrant::read(found, &section))
            .unwrap_or_default();
        let invoke = owned(table.texts(found, "invoke"));
        let strategies = owned(table.texts(found, "strategies"));
        let limits = match table.section(found, "limits", "`limits`") {
            Some(limits) => Limits::read(found, &limits),
            None => Limits::defaults(found.line(&section.span)),
        };
        let schedule = table.section(found, "schedule", "`schedule`");
        let crons = schedule
            .as_ref()
            .map(|section| read_crons(found, section))
            .unwrap_or_default();
        let schedule = schedule
            .map(|section| SchedulePolicy::read(found, &section))
            .unwrap_or_default();
        let feeds = read_feeds(found, name.value, &table, variables);
        let strategy = table.text(&mut Findings::new(found.source), "strategy");

        let lines = ComponentLines::of(found, section, &table);
        if let Some(role) = &role {
            check_authority(found, name.value, role, section, &table, market_data);
        }
        // Where a part is wrong the rest is still read, so that its mistakes are noted too; no application comes of it.
        let component = Component {
            name: name.value.to_owned(),
            role: role.clone().unwrap_or(Role::Strategy {
                name: String::new(),
            }),
            source: source.unwrap_or_default(),
            variables: component_variables,
            allowed_outbound_hosts: hosts,
            egress,
            documents,
            market_data,
            invoke: invoke.iter().map(|name| name.value.clone()).collect(),
            strategies: strategies.iter().map(|name| name.value.clone()).collect(),
            limits,
            schedule,
            feeds,
            lines,
            hosts_complete,
            egress_complete,
        };
        let strategy = strategy.map(|text| Located {
            value: text.value.to_owned(),
            span: text.span,
        });
        Some(Self {
            component,
            role,
            invoke,
            strategies,
            strategy,
            crons,
        })
    }
}

impl ComponentLines {
    fn of(found: &Findings<'_>, section: &Section<'_>, table: &Section<'_>) -> Self {
        let component = found.line(&section.span);
        let bulkhead = found.line(&table.span);
        let line = |key: &str| match table.get(key) {
            Some(value) if value.get_ref().is_table() => found.line(&value.span()),
            _ => table
                .key_span(key)
                .map_or(bulkhead, |span| found.line(&span)),
        };
        Self {
            component,
            bulkhead,
            documents: line("documents"),
            market_data: line("market-data"),
            invoke: line("invoke"),
            strategies: line("strategies"),
            allowed_outbound_hosts: section
                .key_span("allowed_outbound_hosts")
                .map_or(component, |span| found.line(&span)),
        }
    }
}

fn owned(texts: Vec<Located<&str>>) -> Vec<Located<String>> {
    texts
        .into_iter()
        .map(|text| Located {
            value: text.value.to_owned(),
            span: text.span,
        })
        .collect()
}

fn read_variables(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    variables: &Variables,
) -> BTreeMap<String, Template> {
    let mut templates = BTreeMap::new();
    let Some(section) = section.section(found, "variables", "`variables`") else {
        return templates;
    };
    for (name, value) in section.entries() {
        if let Err(message) = check_lower_snake_id(name.value) {
            found.add(&name.span, format!("the variable {message}"));
        }
        let Some(text) = text_of(
            found,
            value,
            &format!("the variable {}", quoted(name.value)),
        ) else {
            continue;
        };
        if let Some(template) = Template::read(found, &text, variables) {
            templates.insert(name.value.to_owned(), template);
        }
    }
    templates
}
