//! A small host with the interfaces that Spin supplies to a component and no others: nothing of `bulkhead:pipeline` is
//! linked here, so what runs under it runs on what the composition brings along.
//!
//! [`Application`] reads `spin.toml` as Spin does: each component's source, variables, databases and outbound hosts.
//! [`Spin`] runs it: a request is answered by a fresh instance of the component, through `wasi:http/handler`. Requests to
//! `NAME.spin.internal` stay in the process (service chaining); others go to loopback, or nowhere.

mod application;
mod authority;
mod bindings;
mod config;
mod outbound;
mod spin;
mod sqlite;

pub use application::{Application, Component};
pub use authority::{exports, imports};
pub use spin::{Runtime, Spin};
