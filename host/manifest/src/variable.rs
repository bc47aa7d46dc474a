//! `[variables]`: what the application is configured with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use crate::names::{check_lower_snake_id, did_you_mean, nearest};
use crate::problem::{Findings, Span, quoted};
use crate::section::Section;

const VARIABLE_KEYS: &[&str] = &["default", "required", "secret", "description"];
/// What is shown in place of a secret.
const REDACTED: &str = "***";

/// An application variable, with Spin's meaning: it has a default, or is required, but not both.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its value unless another is supplied.
    pub default: Option<String>,
    /// Whether a value must be supplied.
    pub required: bool,
    /// Whether its value is never to be shown.
    pub secret: bool,
    /// The line on which it is declared, from 1.
    pub line: usize,
    pub(crate) span: Span,
}

/// A variable of a component, its templates substituted.
#[derive(Clone, PartialEq, Eq)]
pub struct VariableValue {
    /// The value that the component reads.
    pub value: String,
    /// Whether a secret variable went into it.
    pub secret: bool,
    /// The line on which the component declares it, from 1.
    pub line: usize,
}

impl VariableValue {
    /// The value, or asterisks in place of a secret.
    pub fn shown(&self) -> &str {
        if self.secret { REDACTED } else { &self.value }
    }
}

impl fmt::Debug for VariableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("VariableValue");
        debug
            .field("value", &self.shown())
            .field("secret", &self.secret)
            .field("line", &self.line)
            .finish()
    }
}

impl Serialize for VariableValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl Variable {
    fn shown_default(&self) -> Option<&str> {
        self.default
            .as_deref()
            .map(|default| if self.secret { REDACTED } else { default })
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Variable");
        debug
            .field("default", &self.shown_default())
            .field("required", &self.required);
        debug
            .field("secret", &self.secret)
            .field("line", &self.line)
            .finish()
    }
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Variable", 4)?;
        fields.serialize_field("default", &self.shown_default())?;
        fields.serialize_field("required", &self.required)?;
        fields.serialize_field("secret", &self.secret)?;
        fields.serialize_field("line", &self.line)?;
        fields.end()
    }
}

/// The declared variables, those included whose declaration is wrong.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    declared: BTreeSet<String>,
    pub(crate) well_formed: BTreeMap<String, Variable>,
}

impl Variables {
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    pub(crate) fn is_secret(&self, name: &str) -> bool {
        self.well_formed
            .get(name)
            .is_some_and(|variable| variable.secret)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(String::as_str)
    }

    /// What to do about a name that is not declared.
    pub(crate) fn hint_for(&self, name: &str) -> String {
        match nearest(name, self.names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "declare it under `[variables]`".to_owned(),
        }
    }

    pub(crate) fn read(found: &mut Findings<'_>, root: &Section<'_>) -> Self {
        let mut variables = Self::default();
        let Some(section) = root.section(found, "variables", "`[variables]`") else {
            return variables;
        };
        for (name, value) in section.entries() {
            variables.declared.insert(name.value.to_owned());
            if let Err(message) = check_lower_snake_id(name.value) {
                found.add(&name.span, format!("the variable {message}"));
            }
            let Some(table) =
                Section::of(found, value, format!("the variable {}", quoted(name.value)))
            else {
                continue;
            };
            table.deny_unknown_keys(found, VARIABLE_KEYS);
            table.text(found, "description");
            let default = table
                .text(found, "default")
                .map(|text| text.value.to_owned());
            let required = table
                .boolean(found, "required")
                .is_some_and(|required| required.value);
            let secret = table
                .boolean(found, "secret")
                .is_some_and(|secret| secret.value);
            let has_default = table.get("default").is_some();
            if required == has_default {
                let message = format!(
                    "the variable {} must either have a `default` or be `required`",
                    quoted(name.value)
                );
                let hint = if required {
                    "leave out one of the two"
                } else {
                    "add `default = \"…\"` or `required = true`"
                };
                found.add_with_hint(&name.span, message, hint);
            }
            let line = found.line(&name.span);
            let variable = Variable {
                default,
                required,
                secret,
                line,
                span: name.span,
            };
            variables
                .well_formed
                .insert(name.value.to_owned(), variable);
        }
        variables
    }
}

/// The variables' values: the supplied ones, and for the others their defaults.
pub(crate) struct Values {
    values: BTreeMap<String, (String, bool)>,
}

impl Values {
    /// Notes each required variable without a value, and each supplied value without a variable.
    pub(crate) fn new(
        found: &mut Findings<'_>,
        variables: &BTreeMap<String, Variable>,
        variables_span: &Span,
        supplied: &BTreeMap<String, String>,
    ) -> Self {
        for name in supplied
            .keys()
            .filter(|name| !variables.contains_key(*name))
        {
            let message = format!(
                "a value is supplied for {}, which is not declared here",
                quoted(name)
            );
            found.push(
                variables_span,
                message,
                did_you_mean(name, variables.keys().map(String::as_str)),
            );
        }
        let mut values = BTreeMap::new();
        for (name, variable) in variables {
            match supplied.get(name).or(variable.default.as_ref()) {
                Some(value) => {
                    values.insert(name.clone(), (value.clone(), variable.secret));
                }
                // One that is neither required nor has a default is noted where it is read.
                None if !variable.required => {}
                None => {
                    let message = format!("the required variable {} has no value", quoted(name));
                    found.add_with_hint(
                        &variable.span,
                        message,
                        "supply it when the application is started, or give it a `default`",
                    );
                }
            }
        }
        Self { values }
    }

    pub(crate) fn get(&self, name: &str) -> Option<(&str, bool)> {
        self.values
            .get(name)
            .map(|(value, secret)| (value.as_str(), *secret))
    }
}
