//! Runs the deployed stage over the copy, with its first source out of reach.

use std::sync::Arc;

use anyhow::anyhow;
use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::failover_drill::Fallback;
use bulkhead_kernel::assessment::{Assessment, Check, Severity};
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_stage::{Finished, TriggerKind};
use bulkhead_store::{Store, StoreError};
use bulkhead_supervisor::RunRequest;
use ingest::journal::Record;
use serde_json::json;

use super::super::super::bars;
use super::copy::StoreCopy;
use crate::arguments::Global;
use crate::deployment::Deployment;

/// Takes the first source's place: no rule grants it, so that the egress gate refuses it before anything leaves, and the top-level
/// domain is reserved not to exist (RFC 2606).
const OUT_OF_REACH: &str = "http://primary.invalid";
/// Where a series without a bar begins, in milliseconds before now: further back than a long weekend.
const BACKFILL_MS: i64 = 4 * 86_400_000;
/// How many series are named that got nothing.
const MAX_NAMED: usize = 20;

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    dimensions: Vec<Dimension>,
    series: usize,
    /// Series for which no source had a bar that is newer than those of the copy.
    without_bars: Vec<String>,
    /// What the run says of itself, where it came to its end.
    record: Option<Record>,
    /// Why it did not, or why it did nothing.
    error: Option<String>,
}

pub async fn run(
    global: &Global,
    mut app: ResolvedApp,
    copy: StoreCopy,
    now_ms: i64,
) -> anyhow::Result<Ran> {
    let component = configure(&mut app, now_ms)?;
    let store = Arc::clone(&copy.store) as Arc<dyn Store>;
    let deployment = Deployment::over(global, app, store)?;
    let completed = deployment
        .supervisor
        .run(RunRequest {
            component,
            trigger: TriggerKind::Manual,
            scheduled_at_ms: deployment.clock.now_ms(),
            input: json!({"task": "poll"}).to_string(),
            traceparent: None,
            fake_mode: false,
        })
        .await;
    let (record, error) = said(completed.finished);
    Ok(Ran {
        series: copy.series.len(),
        without_bars: without_bars(&copy).await?,
        dimensions: copy.dimensions,
        record,
        error,
    })
}

/// Puts the first source out of reach, and gives the component's name.
fn configure(app: &mut ResolvedApp, now_ms: i64) -> anyhow::Result<String> {
    let stage = app
        .components
        .values_mut()
        .find(|component| component.role.stage() == Some(StageKind::Ingest))
        .ok_or_else(|| anyhow!("the manifest has no component of the stage `ingest`"))?;
    let backfill = now_ms.saturating_sub(BACKFILL_MS).max(0).to_string();
    for (name, value) in [
        ("market_data_url", OUT_OF_REACH.to_owned()),
        ("backfill_start", backfill),
    ] {
        if let Some(variable) = stage.variables.get_mut(name) {
            variable.value = value;
        }
    }
    Ok(stage.name.clone())
}

/// The run's record, or why there is none.
fn said(finished: Finished) -> (Option<Record>, Option<String>) {
    match finished.result {
        Err(failure) => (None, Some(failure.to_string())),
        Ok(report) => match serde_json::from_str::<Record>(&report.output) {
            Ok(record) => {
                let error = record.error.clone();
                (Some(record), error)
            }
            // A run that holds has no record.
            Err(_) => (None, report.reason),
        },
    }
}

async fn without_bars(copy: &StoreCopy) -> Result<Vec<String>, StoreError> {
    let mut names = vec![];
    for copied in &copy.series {
        if copy.store.latest(&copied.series).await? <= copied.newest_ms {
            names.push(bars::name(&copied.series));
        }
    }
    Ok(names)
}

impl Ran {
    /// As the evaluator wants it.
    pub fn outcome(&self) -> Fallback {
        if self.series == 0 {
            return Fallback::NotRun;
        }
        match (&self.record, &self.error) {
            (Some(_), _) if self.without_bars.is_empty() => return Fallback::Executed,
            (None, Some(error)) if self.without_bars.is_empty() => {
                return Fallback::Failed(error.clone());
            }
            _ => {}
        }
        let named = self.without_bars.iter().take(MAX_NAMED);
        let named: Vec<&str> = named.map(String::as_str).collect();
        let mut why = format!(
            "{} of {} series got no newer bar: {}",
            self.without_bars.len(),
            self.series,
            named.join(", ")
        );
        let hop = self
            .record
            .as_ref()
            .and_then(|record| record.failover.last());
        let because = self.error.as_ref().or(hop.map(|hop| &hop.reason));
        if let Some(because) = because {
            why.push_str(&format!(": {because}"));
        }
        Fallback::Failed(why)
    }

    /// Adds to the drill's assessment who answered, and what the run did.
    pub fn tell(&self, assessment: &mut Assessment) {
        let with_bars = self.series - self.without_bars.len();
        let source = self.record.as_ref().map(|record| record.source.as_str());
        if let Some(source) = source.filter(|_| with_bars > 0) {
            let summary = format!(
                "{source} gave {with_bars} of {} series newer bars",
                self.series
            );
            assessment.inform(Check::new("answer", Severity::Ok, summary));
        }
        let mut told = json!({
            "dimensions": self.dimensions,
            "series": self.series,
            "without_bars": self.without_bars.len(),
            "without_bars_named": self.without_bars.iter().take(MAX_NAMED).collect::<Vec<_>>(),
            "error": self.error,
        });
        if let Some(record) = &self.record {
            told["source"] = json!(record.source);
            told["hops"] = json!(record.failover);
            told["rows"] = json!(record.rows);
            told["duration_ms"] = json!(record.duration_ms);
        }
        assessment.annotate("fallback_run", told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(series: usize, without_bars: &[&str], record: Option<Record>) -> Ran {
        Ran {
            dimensions: vec![Dimension::DailyBars],
            series,
            without_bars: without_bars.iter().map(|name| (*name).to_owned()).collect(),
            error: record.is_none().then(|| "deadline-exceeded".to_owned()),
            record,
        }
    }

    fn record() -> Option<Record> {
        Some(Record::new("r1", 0, "secondary".to_owned()))
    }

    #[test]
    fn a_fallback_ran_when_it_came_to_its_end_and_every_series_got_a_bar() {
        assert_eq!(ran(2, &[], record()).outcome(), Fallback::Executed);
        let failed = |ran: Ran| match ran.outcome() {
            Fallback::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            failed(ran(2, &["SPY 1d"], record())),
            "1 of 2 series got no newer bar: SPY 1d"
        );
        assert_eq!(
            failed(ran(2, &["SPY 1d"], None)),
            "1 of 2 series got no newer bar: SPY 1d: deadline-exceeded"
        );
        assert_eq!(failed(ran(2, &[], None)), "deadline-exceeded");
    }

    #[test]
    fn where_no_series_asked_for_a_fallback_none_ran() {
        assert_eq!(ran(0, &[], record()).outcome(), Fallback::NotRun);
    }
}
