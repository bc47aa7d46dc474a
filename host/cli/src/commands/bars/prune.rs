//! `bulkhead bars prune`.

use std::process::ExitCode;

use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{
    MAX_BATCHES, Retained, RetentionPolicy, StoreError, apply_retention, plan_retention,
};
use serde_json::{Value, json};

use super::{Progress, name};
use crate::arguments::{Global, Prune};
use crate::deployment;
use crate::output::{self, WrongUsage};

pub async fn run(global: &Global, command: Prune) -> anyhow::Result<ExitCode> {
    let policy = policy(&command).map_err(|error| WrongUsage(error.to_string()))?;
    let now_ms = SystemClock.now_ms();
    let as_of_ms = command.as_of.unwrap_or(now_ms);
    if as_of_ms > now_ms {
        return Err(WrongUsage("--as-of must not lie in the future".into()).into());
    }
    let store = deployment::existing_store(global)?;
    let chosen = |series: &_| command.selection.admits(series);
    let planned = plan_retention(&store, &policy, as_of_ms, chosen).await?;
    let retained = if command.dry_run {
        planned
    } else {
        let progress = Progress::new("bars")?;
        progress.says("deleted");
        let total = planned.iter().map(|one| one.deleted).sum();
        let on_batch = |sum| progress.at(sum, Some(total));
        apply_retention(&store, &policy, as_of_ms, chosen, MAX_BATCHES, on_batch).await?
    };
    say(global, &command, &retained)?;
    Ok(ExitCode::SUCCESS)
}

fn policy(command: &Prune) -> Result<RetentionPolicy, StoreError> {
    let policy = RetentionPolicy::new(command.daily.0, command.intraday.0)?;
    command
        .keep
        .iter()
        .try_fold(policy, |policy, (timeframe, keep)| {
            policy.with_timeframe(timeframe, keep.0)
        })
}

fn say(global: &Global, command: &Prune, retained: &[Retained]) -> anyhow::Result<()> {
    if global.json {
        let series: Vec<Value> = retained.iter().map(as_json).collect();
        return output::json(&json!({"dry_run": command.dry_run, "series": series}));
    }
    let word = if command.dry_run {
        "would go"
    } else {
        "deleted"
    };
    for one in retained {
        let more = if one.is_complete {
            ""
        } else {
            "; there are more: run it again"
        };
        output::line(match one.before_ms {
            Some(before_ms) => format!(
                "{}: {} bars before {} {word}{more}",
                name(&one.series),
                one.deleted,
                output::instant(before_ms),
            ),
            None => format!("{}: all bars are kept", name(&one.series)),
        })?;
    }
    if retained.is_empty() {
        output::talk("no bars are stored that this is about");
    }
    Ok(())
}

fn as_json(one: &Retained) -> Value {
    json!({
        "instrument": one.series.instrument,
        "timeframe": one.series.timeframe,
        "before": one.before_ms.map(output::instant),
        "bars": one.deleted,
        "is_complete": one.is_complete,
    })
}
