//! From the manifest's words to the gate's.

use std::fs;
use std::path::Path;

use bulkhead_grants::documents::{CollectionPattern, DocumentGrant};
use bulkhead_grants::egress::{
    Cidr, EgressClass, EgressGrant, EgressRule, HostMatch, HostPattern, MalformedHeader, PortMatch,
    RuleHeader, RuleHeaders, Scheme, SchemeMatch,
};
use bulkhead_manifest as manifest;

use crate::error::LoadError;
use crate::spec::{ComponentSpec, MarketDataGrant, Role, RunLimits};

/// The specs of every component of a resolved manifest. `file_name` is the manifest's, for messages; component sources
/// are relative to `folder`.
pub fn specs(
    app: &manifest::ResolvedApp,
    file_name: &str,
    folder: &Path,
) -> Result<Vec<ComponentSpec>, Vec<LoadError>> {
    let (specs, errors): (Vec<_>, Vec<_>) = app
        .components
        .values()
        .map(|component| spec(component, file_name, folder))
        .partition(Result::is_ok);
    if errors.is_empty() {
        Ok(specs.into_iter().flatten().collect())
    } else {
        Err(errors.into_iter().filter_map(Result::err).collect())
    }
}

fn spec(
    component: &manifest::Component,
    file_name: &str,
    folder: &Path,
) -> Result<ComponentSpec, LoadError> {
    let place = format!("{file_name}:{}", component.lines.component);
    let path = folder.join(&component.source);
    let wasm = fs::read(&path).map_err(|source| LoadError::Read {
        component: component.name.clone(),
        place: place.clone(),
        path: path.display().to_string(),
        source,
    })?;
    let unusable = |text: String| LoadError::Grant {
        component: component.name.clone(),
        place: place.clone(),
        text,
    };
    Ok(ComponentSpec {
        name: component.name.clone(),
        role: match &component.role {
            manifest::Role::Stage(kind) => Role::Stage(*kind),
            manifest::Role::Strategy { .. } => Role::Strategy,
        },
        wasm,
        variables: component
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.value.clone()))
            .collect(),
        limits: limits(&component.limits),
        egress: egress(component).map_err(unusable)?,
        documents: documents(component).map_err(unusable)?,
        market_data: MarketDataGrant {
            read: component.market_data.read,
            append: component.market_data.append,
        },
        invoke: component.invoke.clone(),
        strategies: component.strategies.clone(),
        place,
    })
}

fn limits(limits: &manifest::Limits) -> RunLimits {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    RunLimits {
        memory_bytes: bytes(limits.memory_bytes),
        deadline: limits.deadline,
        host_calls: limits.host_calls,
        response_bytes: limits.response_bytes,
        output_bytes: bytes(limits.output_bytes),
        log_bytes: bytes(limits.log_bytes),
        concurrent_runs: limits.concurrent_runs as usize,
    }
}

/// What the host may connect to for a component's feeds: its rules for `ws` and `wss`, as the gate reads the handshake,
/// which is an HTTP request. They permit the component itself nothing.
pub fn feed_grant(
    component: &manifest::Component,
    file_name: &str,
) -> Result<EgressGrant, LoadError> {
    grant(component, |rule| rule.host.is_websocket()).map_err(|text| LoadError::Grant {
        component: component.name.clone(),
        place: format!("{file_name}:{}", component.lines.component),
        text,
    })
}

fn egress(component: &manifest::Component) -> Result<EgressGrant, String> {
    grant(component, |rule| !rule.host.is_websocket())
}

fn grant(
    component: &manifest::Component,
    is_among: impl Fn(&manifest::EgressRule) -> bool,
) -> Result<EgressGrant, String> {
    let rules = component
        .egress
        .iter()
        .filter(|rule| is_among(rule))
        .map(|rule| {
            Ok(EgressRule {
                host: host(&rule.host)?,
                class: match rule.class {
                    manifest::EgressClass::MarketData => EgressClass::MarketData,
                    manifest::EgressClass::Account => EgressClass::Account,
                    manifest::EgressClass::OrderEntry => EgressClass::OrderEntry,
                    manifest::EgressClass::Cancel => EgressClass::Cancel,
                },
                methods: rule
                    .methods
                    .iter()
                    .map(|method| {
                        method
                            .parse()
                            .map_err(|_| format!("`{method}` is no HTTP method"))
                    })
                    .collect::<Result<_, _>>()?,
                paths: rule
                    .paths
                    .iter()
                    .map(|path| path.as_str().parse().map_err(|error| format!("{error}")))
                    .collect::<Result<_, _>>()?,
                headers: headers(rule).map_err(|error| error.to_string())?,
                manifest_line: line(rule.line),
            })
        })
        .collect::<Result<_, String>>()?;
    Ok(EgressGrant {
        component: component.name.clone(),
        component_line: line(component.lines.bulkhead),
        rules,
    })
}

fn headers(rule: &manifest::EgressRule) -> Result<RuleHeaders, MalformedHeader> {
    let headers = rule.headers.iter().map(|header| {
        let variables = header.variables.clone();
        RuleHeader::new(&header.name, &header.value.value, variables)
    });
    RuleHeaders::new(headers.collect::<Result<_, _>>()?, rule.headers_required)
}

fn host(host: &manifest::OutboundHost) -> Result<HostPattern, String> {
    let scheme = match &host.scheme {
        manifest::SchemePattern::Any => SchemeMatch::Any,
        manifest::SchemePattern::Exactly(scheme) => match scheme.as_str() {
            "http" | "ws" => SchemeMatch::Exact(Scheme::Http),
            "https" | "wss" => SchemeMatch::Exact(Scheme::Https),
            other => {
                return Err(format!(
                    "an egress rule is for http or https, or for a feed's ws or wss, not `{other}`"
                ));
            }
        },
    };
    let name = match &host.host {
        manifest::HostPattern::Any => HostMatch::Any,
        manifest::HostPattern::Name(name) => HostMatch::Name(name.clone()),
        manifest::HostPattern::Subdomains(suffix) => HostMatch::Suffix(suffix.clone()),
        manifest::HostPattern::Address(address) => HostMatch::Ip(*address),
        manifest::HostPattern::Network(network) => {
            Cidr::new(network.address(), network.prefix_bits())
                .map(HostMatch::Cidr)
                .ok_or_else(|| format!("`{}` is no network", host.text))?
        }
        manifest::HostPattern::Application => {
            return Err("an egress rule names a host outside the application".into());
        }
    };
    let port = match host.port {
        manifest::PortPattern::Any => PortMatch::Any,
        manifest::PortPattern::Range { first, last } if first == last => PortMatch::Exact(first),
        manifest::PortPattern::Range { first, last } => PortMatch::Range(first, last),
    };
    Ok(HostPattern {
        scheme,
        host: name,
        port,
    })
}

fn documents(component: &manifest::Component) -> Result<DocumentGrant, String> {
    let patterns = |list: &[manifest::CollectionPattern]| {
        list.iter()
            .map(|pattern| pattern.text.parse().map_err(|error| format!("{error}")))
            .collect::<Result<Vec<CollectionPattern>, String>>()
    };
    Ok(DocumentGrant {
        component: component.name.clone(),
        component_line: line(component.lines.documents),
        read: patterns(&component.documents.read)?,
        write: patterns(&component.documents.write)?,
    })
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_rule_is_the_feeds_and_permits_the_component_nothing() {
        let rule = |host: &str| {
            format!(
                "[[component.ingest.tool.bulkhead.egress]]\nhost = {host:?}\nclass = \"market-data\"\n\
                 methods = [\"GET\"]\npaths = [\"/stream\"]\n"
            )
        };
        let hosts = [
            "https://a.example.com",
            "wss://b.example.com:443",
            "ws://127.0.0.1:80",
        ];
        let text = format!(
            "spin_manifest_version = 2\n[application]\nname = \"a\"\n[component.ingest]\n\
             source = \"ingest.wasm\"\nallowed_outbound_hosts = {hosts:?}\n\
             [component.ingest.tool.bulkhead]\nstage = \"ingest\"\n{}",
            hosts.map(rule).concat()
        );
        let app = manifest::App::check("spin.toml", &text, &Default::default())
            .unwrap_or_else(|problems| panic!("{problems}"));
        let component = &app.components["ingest"];
        let shown = |grant: EgressGrant| -> Vec<String> {
            grant
                .rules
                .iter()
                .map(|rule| rule.host.to_string())
                .collect()
        };
        assert_eq!(
            shown(egress(component).unwrap()),
            ["https://a.example.com:443"]
        );
        assert_eq!(
            shown(feed_grant(component, "spin.toml").unwrap()),
            ["https://b.example.com:443", "http://127.0.0.1:80"]
        );
    }
}
