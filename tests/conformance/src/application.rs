use std::collections::BTreeMap;

use toml::{Table, Value};
use wasmtime::error::Context as _;
use wasmtime::{Result, bail};

/// The kinds of trigger that Spin serves with nothing else installed. For any other it looks for a plugin, and starts
/// nothing without it.
const TRIGGER_KINDS: [&str; 2] = ["http", "redis"];

/// What Spin reads of a manifest. Bulkhead's own tables (`tool`) are not looked at.
#[derive(Debug, Clone)]
pub struct Application {
    /// By id.
    pub components: BTreeMap<String, Component>,
    /// Routes and the component that each leads to.
    pub routes: Vec<(String, String)>,
}

/// A component as Spin configures it.
#[derive(Debug, Clone)]
pub struct Component {
    /// The file, as the manifest names it.
    pub source: String,
    /// What `wasi:config/store` answers.
    pub variables: BTreeMap<String, String>,
    /// Databases that it may open.
    pub sqlite_databases: Vec<String>,
    /// Where it may send requests.
    pub allowed_outbound_hosts: Vec<String>,
}

impl Application {
    /// Reads a manifest, with some of its variables given other values (as `spin up --variable` does).
    ///
    /// # Errors
    /// What Spin would refuse: no TOML, a template without its variable, a variable without a value, a route that leads
    /// nowhere, a kind of trigger that needs a plugin.
    pub fn read(manifest: &str, given: &[(&str, &str)]) -> Result<Self> {
        let manifest: Table = manifest.parse::<Table>().context("read the manifest")?;
        let mut variables = BTreeMap::new();
        for (name, variable) in table(&manifest, "variables")? {
            let default = variable.get("default").and_then(Value::as_str);
            let value = given
                .iter()
                .find_map(|(other, value)| (other == name).then_some(*value))
                .or(default)
                .with_context(|| format!("variable `{name}` has no value"))?;
            variables.insert(name.clone(), value.to_owned());
        }
        if let Some((unknown, _)) = given
            .iter()
            .find(|(name, _)| !variables.contains_key(*name))
        {
            bail!("the manifest has no variable `{unknown}`");
        }
        let mut components = BTreeMap::new();
        for (id, component) in table(&manifest, "component")? {
            let component = component
                .as_table()
                .with_context(|| format!("component `{id}` is no table"))?;
            components.insert(id.clone(), read_component(component, &variables)?);
        }
        let triggers = table(&manifest, "trigger")?;
        if let Some(kind) = triggers
            .keys()
            .find(|kind| !TRIGGER_KINDS.contains(&kind.as_str()))
        {
            bail!("`[[trigger.{kind}]]` needs a plugin of Spin");
        }
        let mut routes = Vec::new();
        for trigger in list(triggers, "http") {
            let text = |key| trigger.get(key).and_then(Value::as_str).map(str::to_owned);
            let (Some(route), Some(component)) = (text("route"), text("component")) else {
                bail!("an HTTP trigger without a route or a component");
            };
            if !components.contains_key(&component) {
                bail!("route `{route}` leads to `{component}`, which is no component");
            }
            routes.push((route, component));
        }
        Ok(Self { components, routes })
    }
}

fn read_component(component: &Table, variables: &BTreeMap<String, String>) -> Result<Component> {
    let texts = |key| {
        list(component, key)
            .iter()
            .filter_map(Value::as_str)
            .map(|text| expand(text, variables))
            .collect::<Result<Vec<_>>>()
    };
    let mut own = BTreeMap::new();
    if component.contains_key("variables") {
        for (name, value) in table(component, "variables")? {
            let template = value.as_str().context("a variable that is no text")?;
            own.insert(name.clone(), expand(template, variables)?);
        }
    }
    Ok(Component {
        source: component
            .get("source")
            .and_then(Value::as_str)
            .context("a component without a source")?
            .to_owned(),
        variables: own,
        sqlite_databases: texts("sqlite_databases")?,
        allowed_outbound_hosts: texts("allowed_outbound_hosts")?,
    })
}

fn table<'t>(within: &'t Table, key: &str) -> Result<&'t Table> {
    within
        .get(key)
        .and_then(Value::as_table)
        .with_context(|| format!("`{key}` is no table"))
}

fn list<'t>(within: &'t Table, key: &str) -> &'t [Value] {
    within
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Puts variables in the place of `{{ name }}`.
fn expand(template: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .with_context(|| format!("an open template in {template:?}"))?;
        let value = variables
            .get(name.trim())
            .with_context(|| format!("no variable for {template:?}"))?;
        expanded.push_str(before);
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_that_needs_a_plugin_is_refused() {
        let manifest = |kind: &str| {
            format!(
                "[variables]\n[component.pulse]\nsource = \"pulse.wasm\"\n[[trigger.{kind}]]\nroute = \"/pulse\"\ncomponent = \"pulse\"\n"
            )
        };
        assert!(Application::read(&manifest("http"), &[]).is_ok());
        let refused = Application::read(&manifest("cron"), &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`[[trigger.cron]]` needs a plugin of Spin"
        );
    }
}
