//! One table of the manifest, read key by key, each mistake noted where it stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::names::did_you_mean;
use crate::problem::{Findings, Span, quoted};

pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// A value of the manifest, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A table of the manifest.
#[derive(Debug, Clone)]
pub(crate) struct Section<'t> {
    table: &'t DeTable<'t>,
    /// Where the table's header stands.
    pub(crate) span: Span,
    /// What the table is called in messages, for example "`[component.ingest]`".
    pub(crate) name: String,
}

impl<'t> Section<'t> {
    pub(crate) fn new(table: &'t DeTable<'t>, span: Span, name: impl Into<String>) -> Self {
        Self {
            table,
            span,
            name: name.into(),
        }
    }

    /// Takes a value for a table.
    pub(crate) fn of(
        found: &mut Findings<'_>,
        value: &'t Value<'t>,
        name: impl Into<String>,
    ) -> Option<Self> {
        let name = name.into();
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, value.span(), name)),
            other => {
                found.add(
                    &value.span(),
                    format!("{name} must be a table, not {}", article(other)),
                );
                None
            }
        }
    }

    /// Notes each key that is not one of `known`.
    pub(crate) fn deny_unknown_keys(&self, found: &mut Findings<'_>, known: &[&'static str]) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let message = format!("unknown key {} in {}", quoted(name), self.name);
                found.push(
                    &key.span(),
                    message,
                    did_you_mean(name, known.iter().copied()),
                );
            }
        }
    }

    /// The keys and values, ascending by key.
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (Located<&'t str>, &'t Value<'t>)> + use<'t> {
        self.table.iter().map(|(key, value)| {
            (
                Located {
                    value: key.get_ref().as_ref(),
                    span: key.span(),
                },
                value,
            )
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'t Value<'t>> {
        self.table.get(key)
    }

    /// Where a key stands.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// The table under a key.
    pub(crate) fn section(
        &self,
        found: &mut Findings<'_>,
        key: &str,
        name: impl Into<String>,
    ) -> Option<Self> {
        Self::of(found, self.get(key)?, name)
    }

    /// The tables under a key: `[[NAME]]`.
    pub(crate) fn sections(&self, found: &mut Findings<'_>, key: &str, name: &str) -> Vec<Self> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .filter_map(|item| Self::of(found, item, name))
                .collect(),
            other => {
                let message = format!(
                    "{} must be an array of tables, not {}",
                    quoted(key),
                    article(other)
                );
                found.add_with_hint(
                    &value.span(),
                    message,
                    format!("write its header as {name}"),
                );
                Vec::new()
            }
        }
    }

    pub(crate) fn text(&self, found: &mut Findings<'_>, key: &str) -> Option<Located<&'t str>> {
        text_of(found, self.get(key)?, &quoted(key))
    }

    /// The text under a key that must be there.
    pub(crate) fn required_text(
        &self,
        found: &mut Findings<'_>,
        key: &str,
        hint: impl Into<String>,
    ) -> Option<Located<&'t str>> {
        if self.get(key).is_none() {
            found.add_with_hint(&self.span, format!("{} has no `{key}`", self.name), hint);
        }
        self.text(found, key)
    }

    pub(crate) fn boolean(&self, found: &mut Findings<'_>, key: &str) -> Option<Located<bool>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(Located {
                value: *boolean,
                span: value.span(),
            }),
            other => {
                let message = format!(
                    "{} must be true or false, not {}",
                    quoted(key),
                    article(other)
                );
                found.add(&value.span(), message);
                None
            }
        }
    }

    /// A whole number from 0.
    pub(crate) fn whole_number(&self, found: &mut Findings<'_>, key: &str) -> Option<Located<u64>> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                u64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            other => {
                let message = format!(
                    "{} must be a whole number, not {}",
                    quoted(key),
                    article(other)
                );
                found.add(&value.span(), message);
                return None;
            }
        };
        if number.is_none() {
            found.add(
                &value.span(),
                format!("{} must lie between 0 and 2^64 - 1", quoted(key)),
            );
        }
        number.map(|number| Located {
            value: number,
            span: value.span(),
        })
    }

    /// One text, or a list of them, none of them twice. Absent: empty.
    pub(crate) fn text_or_texts(
        &self,
        found: &mut Findings<'_>,
        key: &str,
    ) -> Vec<Located<&'t str>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::String(_) => self.text(found, key).into_iter().collect(),
            DeValue::Array(_) => self.texts(found, key),
            other => {
                let message = format!(
                    "{} must be a string or an array of strings, not {}",
                    quoted(key),
                    article(other)
                );
                found.add(&value.span(), message);
                Vec::new()
            }
        }
    }

    /// A list of texts, none of them twice. Absent: empty.
    pub(crate) fn texts(&self, found: &mut Findings<'_>, key: &str) -> Vec<Located<&'t str>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!(
                "{} must be an array of strings, not {}",
                quoted(key),
                article(value.get_ref())
            );
            found.add(&value.span(), message);
            return Vec::new();
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut texts = Vec::new();
        for item in array.iter() {
            let Some(text) = text_of(found, item, &format!("each item of {}", quoted(key))) else {
                continue;
            };
            if seen.insert(text.value) {
                texts.push(text);
            } else {
                found.add(
                    &text.span,
                    format!("{} stands twice in {}", quoted(text.value), quoted(key)),
                );
            }
        }
        texts
    }
}

/// Takes a value for a text.
pub(crate) fn text_of<'t>(
    found: &mut Findings<'_>,
    value: &'t Value<'t>,
    what: &str,
) -> Option<Located<&'t str>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Located {
            value: text.as_ref(),
            span: value.span(),
        }),
        other => {
            found.add(
                &value.span(),
                format!("{what} must be a string, not {}", article(other)),
            );
            None
        }
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
