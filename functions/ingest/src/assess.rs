//! How good an ingest is: which evaluators are asked, in which order, and when. Pure.
//!
//! A poll may come each second, and seldom changes anything. Assessments are made when the way things stand changed (see
//! [`Moment`]), [`AFTER_NEWS_MS`] after the last ones when bars came, and [`AT_LEAST_EVERY_MS`] after them in any case.

use std::collections::BTreeMap;

use bulkhead_evaluators::anomalies::TickSeries;
use bulkhead_evaluators::backbone_validation::{self, Part};
use bulkhead_evaluators::dimension::{Dimension, Plan, SliceResult};
use bulkhead_evaluators::failover::Decision;
use bulkhead_evaluators::ingest_health::{self, HealthReport};
use bulkhead_evaluators::journal::JournalRecord;
use bulkhead_evaluators::recovery::Recovery;
use bulkhead_evaluators::{
    backbone_readiness, cross_region, ingest_metrics, ingest_quality, ingest_trends, journal,
    observability, retention, scheduler, slo,
};
use bulkhead_kernel::assessment::Assessment;
use bulkhead_kernel::timeframe::Timeframe;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::journal::Hop;
use crate::macro_events;
use crate::state::{Memory, Schedule};

mod results;
#[cfg(test)]
mod tests;
pub use results::{held, is_missing, slice_results};

/// When bars came, assessments are made so long after the last ones, in milliseconds.
pub const AFTER_NEWS_MS: i64 = 10_000;
/// Assessments are made so long after the last ones, whatever happened, in milliseconds.
pub const AT_LEAST_EVERY_MS: i64 = 60_000;
/// How many journal rows trends are made of.
pub const MAX_TREND_ROWS: usize = 50;
/// So many times a bar's length makes a series too old, where that is more than ingest health says (B14: twice the interval).
const STALE_AFTER_BARS: f64 = 2.0;

/// The defaults; bars within the day, of this length, may be two of their lengths old where that is more.
pub fn health_policy(intraday: Option<Timeframe>) -> ingest_health::Policy {
    let mut policy = ingest_health::Policy::default();
    if let Some(timeframe) = intraday {
        let seconds = timeframe.millis() as f64 / 1_000.0 * STALE_AFTER_BARS;
        let limit = &mut policy.limits.intraday_trades.freshness_limit_seconds;
        *limit = limit.max(seconds);
    }
    policy
}

/// How things stand, as far as a change of it is worth telling at once: as a text that is compared with the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(pub String);

impl Moment {
    /// From a run's health, the sources that are in use, and whether the last good bars stand.
    pub fn new(health: &HealthReport, hops: &[Hop], is_stale: bool) -> Self {
        let dimensions = health.dimensions.iter().map(|dimension| {
            let missing = dimension.missing_symbols.len();
            format!("{}:{:?}:{missing}", dimension.dimension, dimension.severity)
        });
        let mut parts: Vec<String> = dimensions.collect();
        parts.extend(hops.iter().filter_map(|hop| hop.to.clone()));
        parts.extend(is_stale.then(|| "stale".to_owned()));
        Self(parts.join(" "))
    }
}

/// Whether assessments are made now.
pub fn is_due(memory: &Memory, moment: &Moment, has_news: bool, now_ms: i64) -> bool {
    let Some(last_ms) = memory.assessed_at_ms else {
        return true;
    };
    let since_ms = now_ms.saturating_sub(last_ms);
    let pause_ms = if has_news {
        AFTER_NEWS_MS
    } else {
        AT_LEAST_EVERY_MS
    };
    // A clock that was ahead must not keep everything from being assessed.
    memory.assessed_as != moment.0 || since_ms >= pause_ms || since_ms < 0
}

/// Whether anything is due without looking at the run's health: what an idle poll asks first.
pub fn is_due_by_time(memory: &Memory, now_ms: i64) -> bool {
    let since = |last_ms: i64| now_ms.saturating_sub(last_ms);
    memory
        .assessed_at_ms
        .is_none_or(|last_ms| !(0..AT_LEAST_EVERY_MS).contains(&since(last_ms)))
}

/// The replica's journal: the body of the document `ingest_replica/current`, which whoever copies it writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// The replica's region.
    pub region: String,
    /// Its journal; the newest record of a dimension counts.
    pub records: Vec<JournalRecord>,
}

/// What a run came to.
#[derive(Debug)]
pub struct View<'a> {
    /// The run's identity.
    pub run_id: &'a str,
    /// What was planned.
    pub plan: &'a Plan,
    /// What came of it.
    pub results: &'a [SliceResult],
    /// Its health.
    pub health: &'a HealthReport,
    /// How quality is scored.
    pub quality: &'a ingest_quality::Policy,
    /// Prices to look for false ticks in.
    pub ticks: &'a [TickSeries],
    /// What was asked for again.
    pub recovery: &'a Recovery,
    /// Whether the sources were enough.
    pub decision: &'a Decision,
    /// From which source to which.
    pub hops: &'a [Hop],
    /// What the store holds.
    pub held: &'a [retention::Found],
    /// Rows of earlier runs, in any order.
    pub earlier: &'a [JournalRecord],
    /// Bars that were put aside since the newest of those rows.
    pub rejected: &'a BTreeMap<Dimension, u64>,
    /// Where the schedule stands.
    pub schedule: &'a Schedule,
    /// The last failover drill.
    pub drill: Option<&'a Assessment>,
    /// The replica's journal, or why it cannot be read. None: there is no replica.
    pub replica: Option<&'a Result<Replica, String>>,
    /// The instant, in Unix milliseconds.
    pub now_ms: i64,
}

/// What assessments came to.
#[derive(Debug)]
pub struct Assessed {
    /// In the order in which they are published.
    pub assessments: Vec<Assessment>,
    /// The rows that later trends are made of: this run's and the newest of the earlier ones.
    pub rows: Vec<JournalRecord>,
}

/// Validation: is everything there that a run needs?
pub fn validation(plan: &Plan, halted: Option<&str>, now_ms: i64) -> Assessment {
    let dimensions = plan.dimensions();
    let inputs = backbone_validation::Inputs {
        should_run: halted.is_none(),
        reason: halted,
        dimensions: &dimensions,
        // It answered: the plan was read from it.
        store_configured: true,
        redis: Part::default(),
        kafka: Part::default(),
        kafka_topics: &[],
        scheduler_enabled: false,
        scheduler: None,
    };
    backbone_validation::assess(&inputs, now_ms)
}

/// What is published of a run that validation stopped: validation, and readiness with it in it.
pub fn aborted(validation: Assessment, plan: &Plan, now_ms: i64) -> Vec<Assessment> {
    let dimensions = plan.dimensions();
    let metadata = Map::from_iter([("ingest_attempted".to_owned(), json!(false))]);
    let readiness = backbone_readiness::assess(
        &backbone_readiness::Inputs {
            should_run: false,
            dimensions: &dimensions,
            validation: Some(&validation),
            metadata: Some(&metadata),
            ..backbone_readiness::Inputs::default()
        },
        now_ms,
    );
    vec![validation, readiness]
}

/// All assessments of a run, in the order of an ingest: validation, health, metrics, quality, retention, trends, failover,
/// cross-region, observability, objectives, readiness, schedule.
pub fn all(view: &View<'_>) -> Assessed {
    let now_ms = view.now_ms;
    let mut assessments = vec![
        validation(view.plan, None, now_ms),
        view.health.assessment.clone(),
    ];
    let results = view.results;
    let metrics = ingest_metrics::assess(&ingest_metrics::Inputs { results }, now_ms);
    assessments.extend(metrics.iter().map(|report| report.assessment.clone()));
    let quality = ingest_quality::assess(
        &ingest_quality::Inputs {
            plan: view.plan,
            results,
            ticks: view.ticks,
        },
        view.quality,
        now_ms,
    );
    assessments.push(quality.assessment.clone());
    let rows = rows(view, &quality);
    let retention = retention::assess(
        &retention::Inputs { found: view.held },
        &retention::Policy::default(),
        now_ms,
    );
    assessments.push(retention.clone());
    let of_trends = for_trends(&rows, view.plan);
    let trends = ingest_trends::Inputs {
        records: &of_trends,
    };
    assessments.push(ingest_trends::assess(
        &trends,
        &ingest_trends::Policy::default(),
        now_ms,
    ));
    assessments.push(failover(view.decision, view.hops));
    let schedule = view.schedule.for_evaluator();
    let scheduled = scheduler::assess(
        &scheduler::Inputs {
            enabled: view.schedule.is_enabled,
            state: schedule.as_ref(),
        },
        &scheduler::Policy::default(),
        now_ms,
    );
    assessments.extend(replica(view, &rows, &scheduled));
    assessments.push(observability::assess(
        &observability::Inputs {
            health: view.health,
            metrics: metrics.as_ref(),
            failover: Some(view.decision),
            recovery: Some(view.recovery),
        },
        now_ms,
    ));
    let objectives = slo::Inputs {
        health: view.health,
    };
    assessments.push(slo::assess(&objectives, &slo::Policy::default(), now_ms).assessment);
    assessments.push(backbone_readiness::assess(
        &backbone_readiness::Inputs {
            should_run: true,
            dimensions: &view.plan.dimensions(),
            health: Some(&view.health.assessment),
            quality: Some(&quality),
            metrics: metrics.as_ref(),
            failover: Some(view.decision),
            recovery: Some(view.recovery),
            retention: Some(&retention),
            scheduler_enabled: view.schedule.is_enabled,
            scheduler: schedule.as_ref(),
            ..backbone_readiness::Inputs::default()
        },
        now_ms,
    ));
    assessments.push(scheduled);
    Assessed { assessments, rows }
}

/// The decision with what was done about it.
pub fn failover(decision: &Decision, hops: &[Hop]) -> Assessment {
    let mut assessment = decision.assessment.clone();
    if !hops.is_empty() {
        assessment.annotate("hops", json!(hops));
    }
    assessment
}

/// What of a row's metadata is kept.
const KEPT_METADATA: [&str; 3] = ["overall_status", "quality_status", "quality_score"];
/// Bars that were put aside since the row before.
const REJECTED: &str = "rejected_records";
/// The same by the hour: a run takes a fraction of a second, which says nothing of how often that happens.
const REJECTED_PER_HOUR: &str = "rejected_records_per_hour";
/// A first row counts for so long, in milliseconds.
const FIRST_ROW_MS: i64 = 3_600_000;

/// This run's journal rows before those of earlier runs, without what only one run is interested in.
fn rows(view: &View<'_>, quality: &ingest_quality::QualityReport) -> Vec<JournalRecord> {
    let records = journal::records(
        &journal::Inputs {
            run_id: view.run_id,
            plan: view.plan,
            results: view.results,
            health: Some(view.health),
            quality: Some(quality),
            recovery_attempts: view.recovery.attempts(),
        },
        view.now_ms,
    );
    // A run that is tried again takes the place of its earlier attempt.
    let of_others = |record: &&JournalRecord| record.run_id != view.run_id;
    let earlier = view.earlier.iter().filter(of_others);
    let slim = records.into_iter().map(|mut record| {
        record
            .metadata
            .retain(|name, _| KEPT_METADATA.contains(&name.as_str()));
        if record.dimension != Dimension::MacroEvents {
            let before = earlier
                .clone()
                .filter(|row| row.dimension == record.dimension)
                .map(|row| row.executed_at_ms)
                .max();
            let rejected = view.rejected.get(&record.dimension).copied().unwrap_or(0);
            let per_hour = per_hour(rejected, before, view.now_ms);
            record.metadata.insert(REJECTED.to_owned(), json!(rejected));
            record
                .metadata
                .insert(REJECTED_PER_HOUR.to_owned(), json!(per_hour));
        }
        JournalRecord {
            symbols: vec![],
            ..record
        }
    });
    let earlier = earlier.clone().cloned();
    slim.chain(earlier).take(MAX_TREND_ROWS).collect()
}

/// A count since `before_ms` by the hour.
fn per_hour(count: u64, before_ms: Option<i64>, now_ms: i64) -> f64 {
    let since_ms = before_ms.map(|before| now_ms.saturating_sub(before));
    let since_ms = since_ms.filter(|since| *since > 0).unwrap_or(FIRST_ROW_MS);
    count as f64 / (since_ms as f64 / 3_600_000.0)
}

/// Rows as trends look at them. A bar that closed three seconds ago is no trend against one that closed a second ago: up to
/// its own length, whatever is not overdue is equally fresh.
fn for_trends(rows: &[JournalRecord], plan: &Plan) -> Vec<JournalRecord> {
    let floor = |dimension| {
        let millis = match dimension {
            Dimension::DailyBars => Timeframe::DAY.millis(),
            Dimension::IntradayTrades => plan
                .intraday_trades
                .as_ref()
                .map_or(0, |slice| slice.interval.millis()),
            Dimension::MacroEvents => macro_events::EVERY_MS,
        };
        millis as f64 / 1_000.0
    };
    let floored = rows.iter().map(|row| JournalRecord {
        freshness_seconds: row
            .freshness_seconds
            .map(|seconds| seconds.max(floor(row.dimension))),
        ..row.clone()
    });
    floored.collect()
}

fn replica(view: &View<'_>, rows: &[JournalRecord], scheduled: &Assessment) -> Option<Assessment> {
    let replica = view.replica?;
    let policy = cross_region::Policy {
        replica_region: replica.as_ref().ok().map(|replica| replica.region.clone()),
        dimensions: Dimension::ALL
            .into_iter()
            .filter(|dimension| view.plan.contains(*dimension))
            .collect(),
        ..cross_region::Policy::default()
    };
    let inputs = cross_region::Inputs {
        primary: rows,
        replica: match replica {
            Ok(replica) => Ok(&replica.records),
            Err(why) => Err(why),
        },
        schedule: Some(cross_region::Schedule {
            assessment: scheduled,
            interval_seconds: view
                .schedule
                .interval_ms
                .map(|interval_ms| interval_ms as f64 / 1_000.0),
        }),
        drill: view.drill,
    };
    Some(cross_region::assess(&inputs, &policy, view.now_ms))
}
