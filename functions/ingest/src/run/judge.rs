//! Grades a run: what the assessments look at besides the run itself, and what each dimension's record says.

use std::cell::Ref;

use bulkhead_evaluators::anomalies::TickSeries;
use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::failover_drill;
use bulkhead_evaluators::ingest_health::HealthReport;
use bulkhead_evaluators::ingest_quality::{self, DimensionQuality, QualityReport};
use bulkhead_kernel::assessment::{Assessment, Ladder, history};
use bulkhead_kernel::stage::{BarsQuery, Key, StageError, read_body};
use serde_json::Value;

use super::Work;
use super::keep::{Kept, Trend, trend_key};
use crate::assess::{self, Assessed, Moment, Replica, View};
use crate::join;
use crate::journal::{DimensionRecord, Record};
use crate::macro_events;
use crate::pass::SeriesRun;
use crate::ports::Ports;

/// Of how many series prices are looked at for false ticks, at each assessment.
const MAX_TICK_SERIES: usize = 32;
/// How many prices of a series.
const TICKS: u32 = 32;
/// The most symbols that a record names as missing.
const MAX_MISSING_NAMED: usize = 20;

impl<P: Ports> Work<'_, P> {
    /// Grades what there is to grade, if anything happened or a minute passed.
    pub(super) async fn judge(
        &mut self,
        record: &mut Record,
        stale: Option<(&'static str, String)>,
    ) -> Result<Kept, StageError> {
        let now_ms = self.now_ms();
        let mut kept = Kept {
            record: record.clone(),
            assessments: vec![],
            moment: self.asked.memory.assessed_as.clone(),
            trend: None,
            stale,
        };
        let is_news = self.found.is_news(record);
        if !is_news && !assess::is_due_by_time(&self.asked.memory, now_ms) {
            return Ok(kept);
        }
        let plan = self.evaluated_plan();
        let results = self.missing_results();
        let health = self.health(&plan, &results);
        let quality = ingest_quality::assess(
            &ingest_quality::Inputs {
                plan: &plan,
                results: &results,
                // They are told next to the grade, and do not change it.
                ticks: &[],
            },
            &self.quality_policy(),
            now_ms,
        );
        record.dimensions = self.dimension_records(&health, &quality, record);
        kept.record = record.clone();
        let moment = Moment::new(&health, &self.asked.hops, record.stale);
        if !assess::is_due(&self.asked.memory, &moment, record.rows > 0, now_ms) {
            return Ok(kept);
        }
        self.read_first_bars().await?;
        let seen = self.look_around().await?;
        let decision = self.decide();
        let held = {
            let borrowed: Vec<Ref<'_, SeriesRun>> =
                self.series.iter().map(|series| series.borrow()).collect();
            let series: Vec<&SeriesRun> = borrowed.iter().map(|series| &**series).collect();
            let macro_events = self.plan.macro_events.then_some(seen.macro_events.as_ref());
            assess::held(&series, macro_events)
        };
        let Assessed { assessments, rows } = assess::all(&View {
            run_id: self.run.run_id,
            plan: &plan,
            results: &results,
            health: &health,
            quality: &self.quality_policy(),
            ticks: &seen.ticks,
            recovery: &self.asked.recovery,
            decision: &decision,
            hops: &self.asked.hops,
            held: &held,
            earlier: &seen.trend.rows,
            rejected: &self.asked.memory.rejected,
            schedule: &self.asked.memory.schedule,
            drill: seen.drill.as_ref(),
            replica: seen.replica.as_ref(),
            now_ms,
        });
        kept.assessments = assessments;
        kept.moment = moment.0;
        kept.trend = Some((seen.trend_revision, rows));
        Ok(kept)
    }

    fn dimension_records(
        &self,
        health: &HealthReport,
        quality: &QualityReport,
        record: &Record,
    ) -> Vec<DimensionRecord> {
        let rows = |dimension: Dimension| {
            let series = self.series.iter().map(|series| series.borrow());
            let of_it = series.filter(|series| series.dimension == dimension);
            of_it
                .map(|series| u64::from(series.tally.appended.rows()))
                .sum()
        };
        let records = health.dimensions.iter().map(|health_of| {
            let mut message = health_of.message.clone();
            if health_of.dimension == Dimension::MacroEvents
                && let Some(error) = &self.asked.memory.macro_events.error
            {
                message = format!("{message}; {error}");
            }
            let missing = &health_of.missing_symbols;
            let quality_of = quality.of(health_of.dimension);
            let quality_word =
                |quality_of: &DimensionQuality| quality.assessment.ladder.word(quality_of.severity);
            DimensionRecord {
                dimension: health_of.dimension,
                status: health.assessment.ladder.word(health_of.severity).to_owned(),
                message,
                rows: rows(health_of.dimension),
                symbols: health_of.expected_symbols.len(),
                missing: missing.len(),
                missing_symbols: missing.iter().take(MAX_MISSING_NAMED).cloned().collect(),
                quality_status: quality_of.map(|quality| quality_word(quality).to_owned()),
                quality_score: quality_of.map(|quality| quality.score),
                freshness_seconds: health_of.freshness_seconds,
                duration_ms: record.duration_ms,
                source: health_of.source.clone(),
                recovery_attempts: record.recovery_attempts,
            }
        });
        records.collect()
    }

    /// When the first stored bar of each series opens: somebody may have let go of bars, which nothing else of a series tells.
    async fn read_first_bars(&self) -> Result<(), StageError> {
        join::each(&self.series, |series| async move {
            let query = {
                let series = series.borrow();
                BarsQuery {
                    instrument: series.instrument.to_string(),
                    timeframe: series.shape.timeframe.to_string(),
                    start_ms: None,
                    end_ms: None,
                    limit: 1,
                    last: false,
                }
            };
            let first = self.ports.read_bars(query).await?;
            series.borrow_mut().known.earliest_open_time_ms = first.open_time_ms.first().copied();
            Ok(())
        })
        .await
    }

    /// What assessments need besides the run itself.
    async fn look_around(&self) -> Result<Seen, StageError> {
        let trend = self.ports.get(trend_key()).await?;
        let drill = self
            .ports
            .get(history::latest_key(failover_drill::TOPIC))
            .await?;
        let replica = self
            .ports
            .get(Key::new("ingest_replica", "current"))
            .await?;
        let replica = replica.map(|document| {
            serde_json::from_str::<Replica>(&document.body).map_err(|error| error.to_string())
        });
        Ok(Seen {
            trend: match &trend {
                Some(document) => read_body(document)?,
                None => Trend::default(),
            },
            trend_revision: trend.map(|document| document.revision),
            drill: drill.and_then(|document| last_drill(&document.body, self.now_ms())),
            replica,
            macro_events: self.stored_events().await?,
            ticks: self.ticks().await?,
        })
    }

    /// Macro events as they are stored; what this run brought in is not yet.
    async fn stored_events(&self) -> Result<Option<macro_events::Calendar>, StageError> {
        if !self.plan.macro_events {
            return Ok(None);
        }
        let stored = self.ports.get(macro_events::key()).await?;
        stored.as_ref().map(read_body).transpose()
    }

    /// The closes of some series: each time of others.
    async fn ticks(&self) -> Result<Vec<TickSeries>, StageError> {
        let count = self.series.len().max(1);
        let minute =
            usize::try_from(self.now_ms().div_euclid(assess::AT_LEAST_EVERY_MS)).unwrap_or(0);
        let first = (minute % count.div_ceil(MAX_TICK_SERIES)) * MAX_TICK_SERIES;
        let some = self.series.iter().skip(first).take(MAX_TICK_SERIES);
        let found = std::cell::RefCell::new(vec![]);
        join::each(some, |series| {
            let (found, ports) = (&found, self.ports);
            async move {
                let (dimension, symbol, timeframe) = {
                    let series = series.borrow();
                    let timeframe = series.shape.timeframe.to_string();
                    (series.dimension, series.instrument.to_string(), timeframe)
                };
                let query = BarsQuery {
                    instrument: symbol.clone(),
                    timeframe,
                    start_ms: None,
                    end_ms: None,
                    limit: TICKS,
                    last: true,
                };
                let bars = ports.read_bars(query).await?;
                let scale = 10_f64.powi(i32::from(bars.price_scale));
                found.borrow_mut().push(TickSeries {
                    dimension,
                    symbol,
                    prices: bars
                        .close
                        .iter()
                        .map(|close| *close as f64 / scale)
                        .collect(),
                });
                Ok::<(), StageError>(())
            }
        })
        .await?;
        Ok(found.into_inner())
    }
}

/// What assessments need besides the run itself.
struct Seen {
    trend: Trend,
    trend_revision: Option<u64>,
    drill: Option<Assessment>,
    replica: Option<Result<Replica, String>>,
    macro_events: Option<macro_events::Calendar>,
    ticks: Vec<TickSeries>,
}

/// The last drill, as far as others look at it: how it ended.
fn last_drill(body: &str, now_ms: i64) -> Option<Assessment> {
    let body: Value = serde_json::from_str(body).ok()?;
    let severity = Ladder::OK_WARN_FAIL.parse(body["status"].as_str()?)?;
    let mut drill = Assessment::new(
        failover_drill::TOPIC,
        failover_drill::SOURCE,
        Ladder::OK_WARN_FAIL,
        now_ms,
    );
    drill.severity = severity;
    Some(drill)
}
