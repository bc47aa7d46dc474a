//! Where a component's WebAssembly file is.

use std::path::PathBuf;

use crate::problem::{Findings, quoted};
use crate::section::{Located, Section};

/// Spin's `source`: a file, or a table that says where to fetch it. The inner None is such a table.
pub(crate) fn read_spin_source(
    found: &mut Findings<'_>,
    section: &Section<'_>,
) -> Option<Option<PathBuf>> {
    let Some(value) = section.get("source") else {
        found.add_with_hint(
            &section.span,
            format!("{} has no `source`", section.name),
            "name the component's WebAssembly file",
        );
        return None;
    };
    if !value.get_ref().is_table() {
        let text = section.text(found, "source")?;
        return check_path(found, &text).map(Some);
    }
    let table = section.section(found, "source", "`source`")?;
    table.deny_unknown_keys(found, &["url", "digest", "registry", "package", "version"]);
    for key in ["url", "digest", "registry", "package", "version"] {
        table.text(found, key);
    }
    Some(None)
}

pub(crate) fn read_source(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    table: &Section<'_>,
    spin_source: Option<Option<PathBuf>>,
) -> Option<PathBuf> {
    if table.get("source").is_some() {
        let text = table.text(found, "source")?;
        return check_path(found, &text);
    }
    let source = spin_source?;
    if source.is_none() {
        let span = section.key_span("source").unwrap_or(section.span.clone());
        let message = "a `source` that must be fetched is for Spin alone";
        found.add_with_hint(
            &span,
            message,
            format!("name a file as `source` in {}", table.name),
        );
    }
    source
}

fn check_path(found: &mut Findings<'_>, text: &Located<&str>) -> Option<PathBuf> {
    if text.value.is_empty() || text.value.contains('\0') {
        found.add(
            &text.span,
            format!("{} is not the name of a file", quoted(text.value)),
        );
        return None;
    }
    Some(PathBuf::from(text.value))
}
