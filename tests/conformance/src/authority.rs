use wasmparser::{Parser, Payload};
use wasmtime::Result;

/// What a component imports, as its own first level says it, sorted.
///
/// # Errors
/// When the bytes are no component.
pub fn imports(component: &[u8]) -> Result<Vec<String>> {
    names(component, |payload, names| {
        if let Payload::ComponentImportSection(section) = payload {
            for import in section.clone() {
                names.push(import?.name.name.to_owned());
            }
        }
        Ok(())
    })
}

/// What a component exports, sorted.
///
/// # Errors
/// When the bytes are no component.
pub fn exports(component: &[u8]) -> Result<Vec<String>> {
    names(component, |payload, names| {
        if let Payload::ComponentExportSection(section) = payload {
            for export in section.clone() {
                names.push(export?.name.name.to_owned());
            }
        }
        Ok(())
    })
}

fn names(
    component: &[u8],
    mut read: impl FnMut(&Payload<'_>, &mut Vec<String>) -> Result<()>,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => read(&payload, &mut names)?,
            _ => {}
        }
    }
    names.sort();
    Ok(names)
}
