//! The egress gate: whether a component's request may leave, and to which address.
//!
//! A request passes two decisions. [`decide`] judges its head against the component's grant and the kill switches and
//! gives an [`Admission`]; [`resolve_and_check`] resolves the admitted host once, judges every answer, and gives a
//! [`Permit`] for one address. A permit can be made in no other way, and [`crate::dial`] connects to nothing else.
//!
//! - One parser (`url`) reads the authority, and what it read is what is resolved and dialled. An authority whose text
//!   is not what the parser writes back, but for case and a default port, is refused, never repaired.
//! - A redirect is an answer: it goes back to the guest, whose next request is judged anew.
//! - The headers of a rule are added to what that rule permits and to nothing else, after the decision, in place of any that
//!   the guest set. A guest sees neither them nor a request with them.
//! - When several rules permit a request and one of them is order entry, it is order entry.

mod address;
mod decide;
mod head;
mod host;
mod path;
mod resolve;
mod rule;
mod rule_headers;
mod target;

pub use address::{Forbidden, forbidden};
pub use decide::{Admission, RunMode, decide};
pub use head::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_METHOD_BYTES, MAX_TARGET_BYTES, RequestHead};
pub use host::{Cidr, HostMatch, HostPattern, MalformedHost, PortMatch, SchemeMatch};
pub use path::{MAX_PATTERN_BYTES, MalformedPath, PathPattern};
pub use resolve::{
    BoxFuture, MAX_ADDRESSES, Permit, RESOLVE_TIMEOUT, Resolver, StaticResolver, SystemResolver,
    admit, resolve_and_check,
};
pub use rule::{EgressClass, EgressGrant, EgressRule};
pub use rule_headers::{
    MAX_RULE_HEADER_NAME_BYTES, MAX_RULE_HEADER_VALUE_BYTES, MAX_RULE_HEADERS, MalformedHeader,
    RuleHeader, RuleHeaders,
};
pub use target::{MAX_AUTHORITY_BYTES, Scheme, Target, TargetHost};
