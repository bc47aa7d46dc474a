//! What a component's manifest grants.

use std::fmt;

use http::Method;

use super::{HostPattern, PathPattern, RuleHeaders, Target};

/// What requests under a rule do at a venue. The kill switches know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EgressClass {
    /// Reads prices.
    MarketData,
    /// Reads balances, positions and orders.
    Account,
    /// Places or changes orders: the class that kill switches stop.
    OrderEntry,
    /// Cancels orders: possible always.
    Cancel,
}

impl fmt::Display for EgressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MarketData => "market-data",
            Self::Account => "account",
            Self::OrderEntry => "order-entry",
            Self::Cancel => "cancel",
        })
    }
}

/// One `[[component.NAME.tool.bulkhead.egress]]` of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    /// Which hosts, by which scheme and port.
    pub host: HostPattern,
    /// What the requests do.
    pub class: EgressClass,
    /// The methods, compared exactly. Empty: none.
    pub methods: Vec<Method>,
    /// The paths. Empty: none.
    pub paths: Vec<PathPattern>,
    /// What the host adds to the requests.
    pub headers: RuleHeaders,
    /// The rule's line in the manifest, from 1.
    pub manifest_line: u32,
}

impl EgressRule {
    /// Whether the rule permits the request. `path` has been found well-formed and is without its query.
    pub(crate) fn permits(&self, target: &Target, method: &Method, path: &str) -> bool {
        self.host.matches(target)
            && self.methods.contains(method)
            && self.paths.iter().any(|p| p.matches(path))
    }
}

/// All that a component may send, and where its manifest says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressGrant {
    /// The component's name in the manifest.
    pub component: String,
    /// The manifest's line of the component, from 1.
    pub component_line: u32,
    /// The rules. Empty: no network.
    pub rules: Vec<EgressRule>,
}
