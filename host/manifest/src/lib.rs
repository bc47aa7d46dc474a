//! `spin.toml` read into an [`App`], every mistake reported at its line and column.
//!
//! The manifest is Spin's (version 2). What Spin has no word for stands under `[component.NAME.tool.bulkhead]`, which
//! Spin ignores. Keys that Spin would refuse are refused here too, with Spin's meaning for those that both read; in
//! our own tables every key must be known. A grant that a component's WIT world could not use is a mistake, and so is
//! a trigger that would not be served.
//!
//! [`App::parse`] reads the text, [`App::resolve`] puts the variables' values in; [`App::check`] does both and reports
//! the mistakes of both at once. Nothing here reads a file, a clock or the environment.

mod app;
mod authority;
mod component;
mod condition;
mod cron;
mod documents;
mod egress;
mod feed;
mod header;
mod host;
mod limits;
mod names;
mod problem;
mod quantity;
mod references;
mod resolve;
mod role;
mod route;
mod schedule;
mod section;
mod source;
mod template;
mod trigger;
mod variable;

pub use app::{App, MAX_MANIFEST_BYTES};
pub use component::{Component, ComponentLines};
pub use condition::Condition;
pub use documents::{CollectionPattern, DocumentGrant, MarketDataGrant};
pub use egress::{EgressClass, EgressRule, PathPattern};
pub use feed::{Feed, FeedBatching, FeedChannel, FeedDeclaration, FeedUrl, FeedVenue, MAX_FEEDS};
pub use header::EgressHeader;
pub use host::{HostPattern, Network, OutboundHost, PortPattern, SchemePattern};
pub use limits::Limits;
pub use problem::{MAX_PROBLEMS, Problem, Problems};
pub use resolve::ResolvedApp;
pub use role::{Role, StageKind};
pub use route::Route;
pub use schedule::{Misfire, Overlap, RetryPolicy, SchedulePolicy};
pub use template::Template;
pub use trigger::Trigger;
pub use variable::{Variable, VariableValue};
