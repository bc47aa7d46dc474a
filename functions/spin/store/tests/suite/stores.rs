//! The store under test, in the place of the host's two.

use std::sync::Arc;

use tempfile::TempDir;

pub use crate::host_stores::{
    Shared, all_ids, assert_conflict, assert_invalid, bars, commit, create, delete, ids, key,
    memory, order, replace, run, series, upsert,
};
use crate::spin::SpinStore;

/// Runs each function of a suite against the store over `spin:sqlite`'s interface, as `spin::name`.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod spin {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&crate::stores::sqlite(&folder));
            })*
        }
    };
}
pub(crate) use on_both_stores;

pub fn sqlite(folder: &TempDir) -> Shared {
    let store = SpinStore::open(&folder.path().join("spin.db"));
    store.turn_the_kill_switch_off();
    Arc::new(store)
}
