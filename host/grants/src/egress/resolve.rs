//! The second decision: the addresses of an admitted request's host.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use tokio::time::timeout;

use crate::denied::quoted;
use crate::switches::SwitchState;
use crate::{Denied, MANIFEST, reason};

use super::address::{Forbidden, forbidden};
use super::{
    Admission, EgressClass, EgressGrant, HostMatch, RequestHead, RuleHeaders, RunMode, Target,
    TargetHost, decide,
};

/// The most addresses of one name that are checked; a name with more is refused.
pub const MAX_ADDRESSES: usize = 32;

/// How long a name may take to be resolved; one that takes longer counts as having no address.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A future that a trait object gives.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Turns a host's name into addresses.
pub trait Resolver: Send + Sync {
    /// All the name's addresses, in the order of preference; more than [`MAX_ADDRESSES`] need not be given in full.
    ///
    /// # Errors
    /// The name has no address, or nobody answered.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses
                .map(|address| address.ip())
                .take(MAX_ADDRESSES + 1)
                .collect())
        })
    }
}

/// A resolver that knows only what it was told, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct StaticResolver {
    names: Mutex<BTreeMap<String, Answers>>,
}

#[derive(Debug, Default)]
struct Answers {
    lists: Vec<Vec<IpAddr>>,
    asked: usize,
}

impl StaticResolver {
    /// A resolver that knows no name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer for a name: the first one answers the first question, and so on; the last one all that follow.
    #[must_use]
    pub fn answer(self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let list = addresses.into_iter().collect();
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_default()
            .lists
            .push(list);
        self
    }

    /// How often a name was asked for.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .map_or(0, |answers| answers.asked)
    }
}

impl Resolver for StaticResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = names.get_mut(name).and_then(|answers| {
            answers.asked += 1;
            answers
                .lists
                .get(answers.asked - 1)
                .or(answers.lists.last())
                .cloned()
        });
        Box::pin(std::future::ready(
            answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        ))
    }
}

/// Leave to send one request to one address. Only the gate makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    address: SocketAddr,
    target: Target,
    method: Method,
    path: String,
    class: EgressClass,
    headers: RuleHeaders,
    manifest_line: u32,
}

impl Permit {
    /// The address that was checked, which is the one that is dialled.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the request goes; its host is what TLS asks the server to prove.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The method that was granted.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path that was granted, without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the request does.
    #[must_use]
    pub fn class(&self) -> EgressClass {
        self.class
    }

    /// What the rule that permits it adds to the request.
    pub(crate) fn headers(&self) -> &RuleHeaders {
        &self.headers
    }

    /// The line of the rule that permits it.
    #[must_use]
    pub fn manifest_line(&self) -> u32 {
        self.manifest_line
    }
}

/// Both decisions in one.
///
/// # Errors
/// Those of [`decide`] and of [`resolve_and_check`].
pub async fn admit(
    head: &RequestHead<'_>,
    grant: &EgressGrant,
    mode: RunMode,
    switches: &SwitchState,
    resolver: &dyn Resolver,
) -> Result<Permit, Denied> {
    let admission = decide(head, grant, mode, switches)?;
    resolve_and_check(&admission, resolver).await
}

/// Resolves the admitted host once and judges every answer. IPv4 is preferred; otherwise the resolver's order stands.
///
/// # Errors
/// No address, too many, or one among them that is forbidden: then the whole request is refused, whatever the others are.
pub async fn resolve_and_check(
    admission: &Admission<'_>,
    resolver: &dyn Resolver,
) -> Result<Permit, Denied> {
    let target = &admission.target;
    let addresses = match &target.host {
        TargetHost::Ip(ip) => vec![*ip],
        TargetHost::Name(name) => resolve(name, resolver).await?,
    };
    if addresses.len() > MAX_ADDRESSES {
        return Err(Denied::new(
            reason::TOO_MANY_ADDRESSES,
            format!(
                "{} has more than {MAX_ADDRESSES} addresses",
                quoted(&target.host.to_string())
            ),
        ));
    }
    for &ip in &addresses {
        check_address(admission, ip)?;
    }
    let ip = addresses
        .iter()
        .find(|ip| ip.is_ipv4())
        .or(addresses.first())
        .ok_or_else(|| {
            Denied::new(
                reason::NAME_UNRESOLVED,
                format!("{} has no address", quoted(&target.host.to_string())),
            )
        })?;
    Ok(Permit {
        address: SocketAddr::new(*ip, target.port),
        target: target.clone(),
        method: admission.method.clone(),
        path: admission.path.clone(),
        class: admission.rule.class,
        headers: admission.rule.headers.clone(),
        manifest_line: admission.rule.manifest_line,
    })
}

async fn resolve(name: &str, resolver: &dyn Resolver) -> Result<Vec<IpAddr>, Denied> {
    let unresolved = |why: String| {
        Denied::new(
            reason::NAME_UNRESOLVED,
            format!("{} was not resolved: {why}", quoted(name)),
        )
    };
    timeout(RESOLVE_TIMEOUT, resolver.resolve(name))
        .await
        .map_err(|_| unresolved(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs())))?
        .map_err(|error| unresolved(error.to_string()))
}

/// Refuses a forbidden address unless a rule that permits the request names it.
fn check_address(admission: &Admission<'_>, ip: IpAddr) -> Result<(), Denied> {
    let Admission {
        grant,
        target,
        method,
        path,
        ..
    } = admission;
    let denied = |what: &str, hint: &str| {
        Err(Denied::new(
            reason::ADDRESS_FORBIDDEN,
            format!(
                "{} leads to {} ({what}); {hint} ({MANIFEST}:{})",
                quoted(&target.host.to_string()),
                quoted(&ip.to_string()),
                admission.rule.manifest_line
            ),
        ))
    };
    let is_localhost = matches!(&target.host, TargetHost::Name(name) if name == "localhost");
    match forbidden(ip) {
        None if is_localhost => denied("not loopback", "`localhost` leads to loopback only"),
        None => Ok(()),
        Some(range) => {
            let names = |rule: &&super::EgressRule| {
                rule.permits(target, method, path) && opens(&rule.host.host, target, ip, range)
            };
            if grant.rules.iter().any(|rule| names(&rule)) {
                Ok(())
            } else {
                denied(
                    range.what,
                    "only a rule whose `host` is that address itself, or a network within its range, permits it",
                )
            }
        }
    }
}

/// Whether a pattern names a forbidden address itself. A name never does, but for `localhost`: whoever answers for a name
/// would otherwise choose among the addresses that the manifest names for other reasons.
fn opens(host: &HostMatch, target: &Target, ip: IpAddr, range: Forbidden) -> bool {
    match (host, &target.host) {
        (HostMatch::Ip(granted), TargetHost::Ip(_)) => *granted == ip,
        (HostMatch::Cidr(granted), TargetHost::Ip(_)) => {
            granted.contains(ip)
                && range
                    .network
                    .is_some_and(|network| granted.prefix() >= network.prefix())
        }
        (HostMatch::Name(granted), TargetHost::Name(_)) => {
            granted == "localhost" && ip.is_loopback()
        }
        _ => false,
    }
}
