//! The state of a deployment: documents, bars, and the journal of runs.
//!
//! [`Store`] has the semantics of `wit/documents.wit` and `wit/market-data.wit`. Two implementations give the same
//! answers, which one suite checks on both:
//!
//! - [`SqliteStore`]: one file. A change is durable when the call returns. For deployments.
//! - [`MemoryStore`]: ordered maps. For tests, replay and a canary that leaves nothing behind.
//!
//! Who may read or write which collection is decided elsewhere, before a call comes here.
//!
//! A new store holds one document, the kill switch in its off position ([`KILL_SWITCH_BODY`]): readers take a switch
//! that is missing for one that is on, so that a lost document stops orders.

mod bars;
mod document;
mod error;
mod json;
mod memory;
mod range;
mod retention;
mod runs;
mod sqlite;
mod store;

pub use bars::{
    AppendSummary, Bars, BarsQuery, MAX_APPEND_BARS, MAX_DELETE_BARS, MAX_INSTRUMENT_CHARS,
    MAX_READ_LIMIT, MAX_SCALE, Series, SeriesSummary,
};
pub use document::{
    Document, Key, MAX_BODY_BYTES, MAX_COLLECTION_DEPTH, MAX_COLLECTION_NAME_CHARS,
    MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_ID_CHARS, MAX_LIST_LIMIT, MAX_PAGE_BYTES, Order, Page,
    Query, Write, validate_collection,
};
pub use error::{Cause, StoreError};
pub use memory::MemoryStore;
pub use retention::{
    DEFAULT_DAILY_DAYS, DEFAULT_INTRADAY_DAYS, Keep, MAX_BATCHES, MAX_KEEP_DAYS,
    RETENTION_BATCH_BARS, Retained, RetentionPolicy, apply_retention, plan_retention,
};
pub use runs::{
    CRON_TRIGGER, MAX_DETAIL_BYTES, MAX_LABEL_BYTES, MAX_RUNS_KEPT, MAX_RUNS_LIMIT,
    MAX_RUNS_RECORDED, RUN_STATUSES, RunFilter, RunRecord,
};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{KILL_SWITCH_BODY, KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Store};
