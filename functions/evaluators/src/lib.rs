//! Evaluators: pure functions from what was observed and a policy to an [`Assessment`].
//!
//! A module an evaluator. Each has its `Inputs`, its `Policy` with the defaults, and `assess`. Where a later step needs more
//! than an assessment, `assess` gives a report or a decision that holds one. `docs/evaluators.md` has the rules of each.
//!
//! A rule is exact at its boundary: *above* is `>`, *from … on* is `>=`. A number that is not one (NaN) is on the bad side of every limit.
//!
//! [`Assessment`]: bulkhead_kernel::assessment::Assessment
#![deny(missing_docs)]

mod findings;
mod limit;

pub mod anomalies;
pub mod backbone_readiness;
pub mod backbone_validation;
pub mod cross_region;
pub mod dimension;
pub mod export_stress;
pub mod failover;
pub mod failover_drill;
pub mod feed_health;
pub mod ingest_health;
pub mod ingest_metrics;
pub mod ingest_quality;
pub mod ingest_trends;
pub mod journal;
pub mod observability;
pub mod recovery;
pub mod retention;
pub mod scheduler;
pub mod slo;

#[cfg(test)]
mod fixture;
