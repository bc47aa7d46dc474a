//! What the HTTP server answers, over loopback.

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod events;
mod requests;
mod site;
