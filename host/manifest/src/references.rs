//! Names in the manifest that must be the names of something else in it.

use crate::component::ReadComponent;
use crate::names::did_you_mean;
use crate::problem::{Findings, quoted};
use crate::role::Role;
use crate::section::{Located, Section};

/// Notes each name of a component or a strategy that is not there, or is not what it must be.
pub(crate) fn check_references(
    found: &mut Findings<'_>,
    root: &Section<'_>,
    components: &[ReadComponent],
    named_by_triggers: &[Located<String>],
) {
    let component_section = root.section(&mut Findings::new(found.source), "component", "");
    let declared: Vec<&str> = component_section
        .iter()
        .flat_map(|section| section.entries())
        .map(|(name, _)| name.value)
        .collect();
    let role_of = |name: &str| {
        components
            .iter()
            .find(|read| read.component.name == name)?
            .role
            .as_ref()
    };

    let mut strategies: Vec<&str> = Vec::new();
    for read in components {
        let Some(strategy) = &read.strategy else {
            continue;
        };
        strategies.push(&strategy.value);
        let name = read.component.name.as_str();
        let is_strategy = matches!(read.role, Some(Role::Strategy { .. }));
        if is_strategy && strategy.value != name {
            found.add_with_hint(
                &strategy.span,
                format!(
                    "the strategy {} must have its component's name, `{name}`: by that name stages ask it",
                    quoted(&strategy.value)
                ),
                format!("write `strategy = \"{name}\"`"),
            );
        }
    }
    for named in named_by_triggers {
        let name = named.value.as_str();
        if !declared.contains(&name) {
            let hint = did_you_mean(name, declared.iter().copied());
            found.push(
                &named.span,
                format!("there is no component {}", quoted(name)),
                hint,
            );
        } else if let Some(Role::Strategy { .. }) = role_of(name) {
            let message = format!(
                "the component `{name}` is a strategy, which no trigger runs: stages ask it"
            );
            found.add(&named.span, message);
        }
    }
    check_feed_names(found, components);
    for read in components {
        let own_name = read.component.name.as_str();
        for invoked in &read.invoke {
            check_invoked(found, invoked, own_name, &declared, role_of(&invoked.value));
        }
        for strategy in read
            .strategies
            .iter()
            .filter(|strategy| !strategies.contains(&strategy.value.as_str()))
        {
            let message = format!("there is no strategy {}", quoted(&strategy.value));
            found.push(
                &strategy.span,
                message,
                did_you_mean(&strategy.value, strategies.iter().copied()),
            );
        }
    }
}

/// Notes each feed that has the name of another component's: by its name a feed is told apart in the health and in the
/// heartbeat of all.
fn check_feed_names(found: &mut Findings<'_>, components: &[ReadComponent]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for read in components {
        let component = read.component.name.as_str();
        for feed in &read.component.feeds {
            let other = seen
                .iter()
                .find(|(name, owner)| *name == feed.name && *owner != component);
            if let Some((_, owner)) = other {
                let message = format!(
                    "the component `{owner}` has a feed with the name {} already",
                    quoted(&feed.name)
                );
                found.add(&feed.span, message);
            }
            seen.push((&feed.name, component));
        }
    }
}

fn check_invoked(
    found: &mut Findings<'_>,
    invoked: &Located<String>,
    own_name: &str,
    declared: &[&str],
    role: Option<&Role>,
) {
    let name = invoked.value.as_str();
    if name == own_name {
        found.add(
            &invoked.span,
            format!("the component `{own_name}` may not invoke itself"),
        );
    } else if !declared.contains(&name) {
        let hint = did_you_mean(name, declared.iter().copied());
        found.push(
            &invoked.span,
            format!("there is no component {}", quoted(name)),
            hint,
        );
    } else if let Some(Role::Strategy { .. }) = role {
        found.add(
            &invoked.span,
            format!("the component `{name}` is a strategy: only stages can be invoked"),
        );
    }
}
