//! What a run may do: the egress gate, document grants, kill switches.
//!
//! Decisions come first and are functions of values: [`egress::decide`] judges a request's head,
//! [`egress::resolve_and_check`] the addresses its host has, [`documents`] a collection, [`switches`] the kill
//! switches. Only a [`egress::Permit`], which nothing but the gate makes, can be dialled ([`dial`]).
//!
//! A grant that is empty grants nothing: no rules, no host; no methods, no method; no paths, no path.

mod denied;
pub mod dial;
pub mod documents;
pub mod egress;
pub mod reason;
pub mod switches;

pub use denied::{Denied, MANIFEST};
