//! The suite of the host's stores, over the SQL of this one on a native SQLite: the same files, the same answers.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may fail as tests do; the lint's exemption covers test functions only"
)]

#[path = "../../../../../host/store/tests/store/bars.rs"]
mod bars;
#[path = "../../../../../host/store/tests/store/documents.rs"]
mod documents;
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the words of the suite; its stores are replaced"
)]
#[path = "../../../../../host/store/tests/store/stores.rs"]
mod host_stores;
#[path = "../../../../../host/store/tests/store/properties.rs"]
mod properties;
mod spin;
mod stores;
mod transactions;
