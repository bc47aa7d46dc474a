//! Which grants a role may hold: what its WIT world does not import, no grant can give.

use toml::de::DeValue;

use crate::documents::MarketDataGrant;
use crate::egress::EgressClass;
use crate::problem::{Findings, Span};
use crate::role::{Role, StageKind};
use crate::section::Section;

/// The keys with which Spin gives authority. A strategy may have none of them.
const AUTHORITY_KEYS: &[&str] = &[
    "variables",
    "environment",
    "files",
    "allowed_outbound_hosts",
    "key_value_stores",
    "sqlite_databases",
    "ai_models",
    "dependencies_inherit_configuration",
];
/// The variable with which order entry is stopped from outside (`docs/authority.md`). A gate that cannot read it has
/// one kill switch less.
const KILL_SWITCH_VARIABLE: &str = "exec_kill_switch";
/// The keys that give a stage something. A strategy may have none of them.
const STAGE_ONLY_KEYS: &[&str] = &[
    "egress",
    "documents",
    "market-data",
    "invoke",
    "strategies",
    "schedule",
    "feed",
];

/// Notes each grant that the role may not hold.
pub(crate) fn check_authority(
    found: &mut Findings<'_>,
    name: &str,
    role: &Role,
    section: &Section<'_>,
    table: &Section<'_>,
    market_data: MarketDataGrant,
) {
    let kind = match role {
        Role::Strategy { .. } => return check_strategy_authority(found, section, table),
        Role::Stage(kind) => *kind,
    };
    for (key, holder) in [
        ("invoke", StageKind::Canary),
        ("strategies", StageKind::GenerateTradingSignal),
        ("feed", StageKind::Ingest),
    ] {
        if let Some(span) = table.key_span(key).filter(|_| kind != holder) {
            found.add(
                &span,
                format!(
                    "only {} may have `{key}`, not {}",
                    holder.in_words(),
                    kind.in_words()
                ),
            );
        }
    }
    let grant = table.section(
        &mut Findings::new(found.source),
        "market-data",
        "`market-data`",
    );
    let grant_span = |key| {
        grant
            .as_ref()
            .and_then(|grant| grant.key_span(key))
            .unwrap_or(table.span.clone())
    };
    if market_data.append && kind != StageKind::Ingest {
        found.add(
            &grant_span("append"),
            format!(
                "only an `ingest` stage may append bars, not {}",
                kind.in_words()
            ),
        );
    }
    if market_data.read && !kind.imports_market_data() {
        found.add(
            &grant_span("read"),
            format!(
                "{} cannot read bars: its world does not import `market-data`",
                kind.in_words()
            ),
        );
    }
    for rule in table.sections(&mut Findings::new(found.source), "egress", "") {
        let Some((class, span)) = class_of(&rule) else {
            continue;
        };
        if !kind.egress_classes().contains(&class) {
            add_forbidden_class(found, kind, class, &rule, &span);
        } else if class == EgressClass::OrderEntry {
            check_kill_switch_variable(found, name, section, &span);
        }
    }
}

/// The class of an egress rule, and where it stands. None: it has none that is known, which is noted elsewhere.
fn class_of(rule: &Section<'_>) -> Option<(EgressClass, Span)> {
    let value = rule.get("class")?;
    let DeValue::String(class) = value.get_ref() else {
        return None;
    };
    let known = EgressClass::ALL
        .into_iter()
        .find(|known| known.as_str() == class.as_ref())?;
    Some((known, value.span()))
}

fn add_forbidden_class(
    found: &mut Findings<'_>,
    kind: StageKind,
    class: EgressClass,
    rule: &Section<'_>,
    span: &Span,
) {
    let permitted = kind.egress_classes();
    if permitted.is_empty() {
        found.add(
            &rule.span,
            format!(
                "{} has no network: its world imports no HTTP client",
                kind.in_words()
            ),
        );
        return;
    }
    let names = permitted
        .iter()
        .map(|class| format!("`{class}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!("{} may not send `{class}` requests", kind.in_words());
    found.add_with_hint(span, message, format!("what it may send: {names}"));
}

/// Notes that order entry cannot be stopped by a variable that the component does not have.
fn check_kill_switch_variable(
    found: &mut Findings<'_>,
    name: &str,
    section: &Section<'_>,
    span: &Span,
) {
    let variables = section.section(&mut Findings::new(found.source), "variables", "");
    if variables.is_some_and(|variables| variables.get(KILL_SWITCH_VARIABLE).is_some()) {
        return;
    }
    let table = format!("`[component.{name}.variables]`");
    found.add_with_hint(
        span,
        format!("order entry needs the kill switch `{KILL_SWITCH_VARIABLE}`, which {table} does not declare"),
        format!("add `{KILL_SWITCH_VARIABLE} = \"{{{{ {KILL_SWITCH_VARIABLE} }}}}\"` under {table}"),
    );
}

fn check_strategy_authority(found: &mut Findings<'_>, section: &Section<'_>, table: &Section<'_>) {
    let spin_keys = AUTHORITY_KEYS
        .iter()
        .filter_map(|key| section.key_span(key).map(|span| (key, span)));
    let our_keys = STAGE_ONLY_KEYS
        .iter()
        .filter_map(|key| table.key_span(key).map(|span| (key, span)));
    for (key, span) in spin_keys.chain(our_keys).collect::<Vec<_>>() {
        found.add(
            &span,
            format!("a strategy has no authority: it may not have `{key}`"),
        );
    }
}
