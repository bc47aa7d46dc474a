//! Text in which `{{ variable }}` stands for an application variable, with Spin's meaning.

use serde::{Serialize, Serializer};

use crate::problem::{Findings, Span, quoted};
use crate::section::Located;
use crate::variable::{Values, Variables};

/// Text whose `{{ variable }}` expressions are not substituted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// As written.
    pub text: String,
    /// The line on which it stands, from 1.
    pub line: usize,
    pub(crate) span: Span,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// A template's value.
pub(crate) struct Substituted {
    pub(crate) text: String,
    /// Whether a secret variable went into it.
    pub(crate) secret: bool,
}

impl Template {
    /// Reads a template. Each variable in it must be declared.
    pub(crate) fn read(
        found: &mut Findings<'_>,
        text: &Located<&str>,
        variables: &Variables,
    ) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.value;
        let mut complete = true;
        while let Some((literal, after)) = rest.split_once("{{") {
            let Some((expression, after)) = after.split_once("}}") else {
                found.add(
                    &text.span,
                    format!("{} has a `{{{{` that nothing closes", quoted(text.value)),
                );
                return None;
            };
            let name = expression.trim();
            if variables.is_declared(name) {
                parts.push(Part::Literal(literal.to_owned()));
                parts.push(Part::Variable(name.to_owned()));
            } else {
                found.add_with_hint(
                    &text.span,
                    format!("the variable {} is not declared", quoted(name)),
                    variables.hint_for(name),
                );
                complete = false;
            }
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        let line = found.line(&text.span);
        complete.then(|| Self {
            text: text.value.to_owned(),
            line,
            span: text.span.clone(),
            parts,
        })
    }

    /// Whether no variable stands in it.
    pub fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }

    /// The variables that stand in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name) => Some(name.as_str()),
        })
    }

    /// Puts the variables' values in. None: one of them has no value, which is noted where it is declared.
    pub(crate) fn substitute(&self, values: &Values) -> Option<Substituted> {
        let mut substituted = Substituted {
            text: String::new(),
            secret: false,
        };
        for part in &self.parts {
            match part {
                Part::Literal(literal) => substituted.text.push_str(literal),
                Part::Variable(name) => {
                    let (value, secret) = values.get(name)?;
                    substituted.text.push_str(value);
                    substituted.secret |= secret;
                }
            }
        }
        Some(substituted)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
