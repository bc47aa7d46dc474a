//! Documents and bars over `spin:sqlite`, with the semantics of `wit/documents.wit` and `wit/market-data.wit`.
//!
//! The rules (what a key is, what a commit may hold, what a cursor is) are those of the host's stores, from the same
//! files; the SQL is this crate's own, since here each statement is a call into Spin. [`documents`] and [`market_data`] are written
//! over [`Database`], so the host's test suite runs over them natively.
//!
//! A change is one transaction, `BEGIN IMMEDIATE` to `COMMIT`. No other task of the same instance runs between its
//! statements, because the calls are synchronous.
//!
//! Nothing is seeded. A missing kill switch counts as on, so a new deployment dry-runs and refuses new orders until a person
//! turns the switch off (`sql/kill-switch-off.sql`).

#[path = "../../../../host/store/src/bars.rs"]
#[allow(
    dead_code,
    reason = "the overview of all series is for the host's console"
)]
mod bars;
#[path = "../../../../host/store/src/document.rs"]
#[allow(
    dead_code,
    reason = "the count of a collection's documents is for the host's console"
)]
mod document;
#[path = "../../../../host/store/src/error.rs"]
mod error;
#[path = "../../../../host/store/src/json.rs"]
mod json;
#[path = "../../../../host/store/src/range.rs"]
mod range;

#[cfg(target_os = "wasi")]
mod component;
pub mod documents;
pub mod market_data;
mod schema;
mod sql;

pub use bars::{AppendSummary, Bars, BarsQuery, MAX_READ_LIMIT, MAX_SCALE, Series, SeriesSummary};
pub use document::{Document, Key, MAX_LIST_LIMIT, Order, Page, Query, Write};
pub use error::{Cause, StoreError};
pub use schema::prepare;
pub use sql::{Database, Row, SqlError, Value};
