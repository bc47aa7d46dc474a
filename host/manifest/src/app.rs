//! The application: the whole manifest, read and checked.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use crate::component::{Component, ReadComponent};
use crate::feed::FeedDeclaration;
use crate::header::check_unread;
use crate::names::check_kebab_id;
use crate::problem::{Findings, Problems, Source, Span, quoted};
use crate::references::check_references;
use crate::resolve::{ResolvedApp, resolve};
use crate::section::Section;
use crate::template::Template;
use crate::trigger::{ReadTriggers, Trigger, with_schedules};
use crate::variable::{Variable, Variables};

/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// The manifest version of Spin that is read.
const MANIFEST_VERSION: u64 = 2;
/// What the TOML parser says of a key or a table that is there already.
const DUPLICATE_KEY: &str = "duplicate key";
const ROOT_KEYS: &[&str] = &[
    "spin_manifest_version",
    "application",
    "variables",
    "trigger",
    "component",
];
const APPLICATION_KEYS: &[&str] = &[
    "name",
    "version",
    "description",
    "authors",
    "targets",
    "trigger",
    "tool",
];

/// An application, its `{{ variable }}` templates not substituted yet.
#[derive(Debug, Clone, Serialize)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Its version; empty if the manifest gives none.
    pub version: String,
    /// What it is; empty if the manifest does not say.
    pub description: String,
    /// What it is configured with, by name.
    pub variables: BTreeMap<String, Variable>,
    /// Its components, by name.
    pub components: BTreeMap<String, Component<Template, Template, FeedDeclaration>>,
    /// What starts its components, in the order in which it stands.
    pub triggers: Vec<Trigger>,
    #[serde(skip)]
    pub(crate) source: Source,
    #[serde(skip)]
    pub(crate) variables_span: Span,
}

impl App {
    /// Reads a manifest. `file_name` is only what problems call it.
    ///
    /// # Errors
    ///
    /// Every mistake that can be told without the variables' values, sorted by place. If the text is not TOML,
    /// every place where it is not.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Problems> {
        let source = Source::new(file_name, text);
        let mut found = Findings::new(&source);
        let app = read(&mut found);
        found.finish(app)
    }

    /// Reads a manifest and resolves it with the variables' defaults and `supplied` values, so that the mistakes of
    /// both come together.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse`] and of [`Self::resolve`], sorted by place.
    pub fn check(
        file_name: &str,
        text: &str,
        supplied: &BTreeMap<String, String>,
    ) -> Result<ResolvedApp, Problems> {
        let source = Source::new(file_name, text);
        let mut found = Findings::new(&source);
        let app = read(&mut found);
        let resolved = resolve(&mut found, &app, supplied);
        found.finish(resolved)
    }

    /// Puts the variables' values into the templates, reads the hosts that come of it, and checks that egress rules
    /// and `allowed_outbound_hosts` agree. A variable has the value in `supplied`, or else its default.
    ///
    /// # Errors
    ///
    /// Each required variable without a value, each supplied value without a variable, each host that is none, each
    /// egress rule to a host that is not allowed, and each allowed host to which no rule permits a request.
    pub fn resolve(&self, supplied: &BTreeMap<String, String>) -> Result<ResolvedApp, Problems> {
        let mut found = Findings::new(&self.source);
        let resolved = resolve(&mut found, self, supplied);
        found.finish(resolved)
    }
}

fn read(found: &mut Findings<'_>) -> App {
    let mut app = App {
        name: String::new(),
        version: String::new(),
        description: String::new(),
        variables: BTreeMap::new(),
        components: BTreeMap::new(),
        triggers: Vec::new(),
        source: found.source.clone(),
        variables_span: 0..0,
    };
    let source = found.source;
    if source.text().len() > MAX_MANIFEST_BYTES {
        found.add(
            &(0..0),
            format!("the manifest is larger than {MAX_MANIFEST_BYTES} bytes"),
        );
        return app;
    }
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let message = error.message().replace('\n', ", ");
        found.add(&error.span().unwrap_or(0..0), format!("TOML: {message}"));
    }
    // A key that stands twice leaves the rest readable; after any other error the parser only guesses.
    if errors.iter().any(|error| error.message() != DUPLICATE_KEY) {
        return app;
    }

    let root = Section::new(table.get_ref(), 0..0, "the manifest");
    root.deny_unknown_keys(found, ROOT_KEYS);
    check_version(found, &root);
    read_application(found, &root, &mut app);
    app.variables_span = root.get("variables").map_or(0..0, |value| value.span());
    let variables = Variables::read(found, &root);
    let components = read_components(found, &root, &variables);
    let triggers = ReadTriggers::read(found, &root);
    check_references(found, &root, &components, &triggers.references);
    check_unread(found, &components);

    app.variables = variables.well_formed;
    app.triggers = with_schedules(found, triggers.triggers, &components);
    app.components = components
        .into_iter()
        .map(|read| (read.component.name.clone(), read.component))
        .collect();
    app
}

fn check_version(found: &mut Findings<'_>, root: &Section<'_>) {
    let hint = format!("write `spin_manifest_version = {MANIFEST_VERSION}` at the top");
    let Some(value) = root.get("spin_manifest_version") else {
        found.add_with_hint(
            &root.span,
            "the manifest has no `spin_manifest_version`",
            hint,
        );
        return;
    };
    let is_current = match value.get_ref() {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
            .is_ok_and(|version| version == MANIFEST_VERSION),
        _ => false,
    };
    if !is_current {
        found.add_with_hint(
            &value.span(),
            format!("`spin_manifest_version` must be {MANIFEST_VERSION}"),
            hint,
        );
    }
}

fn read_application(found: &mut Findings<'_>, root: &Section<'_>, app: &mut App) {
    if root.get("application").is_none() {
        found.add_with_hint(
            &root.span,
            "the manifest has no `[application]`",
            "add it, with a `name`",
        );
        return;
    }
    let Some(section) = root.section(found, "application", "`[application]`") else {
        return;
    };
    section.deny_unknown_keys(found, APPLICATION_KEYS);
    for key in ["trigger", "tool"] {
        section.section(found, key, quoted(key));
    }
    section.texts(found, "authors");
    if let Some(name) = section.required_text(found, "name", "name the application") {
        if name.value.trim().is_empty() {
            found.add(&name.span, "the application's name is empty");
        }
        app.name = name.value.to_owned();
    }
    let mut text = |key| {
        section
            .text(found, key)
            .map(|text| text.value.to_owned())
            .unwrap_or_default()
    };
    app.version = text("version");
    app.description = text("description");
}

fn read_components(
    found: &mut Findings<'_>,
    root: &Section<'_>,
    variables: &Variables,
) -> Vec<ReadComponent> {
    let Some(section) = root.section(found, "component", "`[component]`") else {
        return Vec::new();
    };
    let mut components = Vec::new();
    for (name, value) in section.entries() {
        if let Err(message) = check_kebab_id(name.value) {
            found.add(&name.span, format!("the component {message}"));
        }
        let header = format!("`[component.{}]`", name.value);
        let Some(section) = Section::of(found, value, header) else {
            continue;
        };
        components.extend(ReadComponent::read(found, &name, &section, variables));
    }
    components
}
