//! `bulkhead bars export`.

use std::process::ExitCode;

use bulkhead_bars::{ExportRequest, Manifest, export};
use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{BarsQuery, Series, Store};
use serde_json::json;

use super::Progress;
use crate::arguments::{Export, Global};
use crate::deployment;
use crate::output::{self, WrongUsage};

pub async fn run(global: &Global, command: Export) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(to)) = (command.from, command.to)
        && from >= to
    {
        return Err(WrongUsage("--from must be earlier than --to".into()).into());
    }
    let store = deployment::existing_store(global)?;
    let chosen = command.selection.of(&store).await?;
    let series = within(&store, chosen, &command).await?;
    if series.is_empty() {
        anyhow::bail!(
            "no bar opens in that range\n\nhint: `bulkhead bars list` says what there is"
        );
    }
    let request = ExportRequest {
        series,
        start_ms: command.from,
        end_ms: command.to,
        format: command.format.into(),
        now_ms: SystemClock.now_ms(),
    };
    let progress = Progress::new("bars")?;
    progress.says("written");
    let manifest = export(&store, &request, &command.out, |exported| {
        progress.at(exported.rows, None);
    })
    .await;
    drop(progress);
    say(global, &command, &manifest?, request.series.len())?;
    Ok(ExitCode::SUCCESS)
}

/// The series that have a bar in the range.
async fn within(
    store: &impl Store,
    chosen: Vec<Series>,
    command: &Export,
) -> anyhow::Result<Vec<Series>> {
    let mut within = Vec::new();
    for series in chosen {
        let query = BarsQuery {
            series,
            start_ms: command.from,
            end_ms: command.to,
            limit: 1,
            last: false,
        };
        if !store.read_bars(&query).await?.is_empty() {
            within.push(query.series);
        }
    }
    Ok(within)
}

fn say(
    global: &Global,
    command: &Export,
    manifest: &Manifest,
    series: usize,
) -> anyhow::Result<()> {
    let root = command.out.display();
    if global.json {
        return output::json(&json!({
            "root": root.to_string(),
            "format": manifest.format.to_string(),
            "series": series,
            "files": manifest.files.len(),
            "bars": manifest.rows,
            "bytes": manifest.bytes,
            "generated_at": manifest.generated_at,
        }));
    }
    output::line(format!(
        "{} bars of {series} series in {} files, {} bytes: {root}",
        manifest.rows,
        manifest.files.len(),
        manifest.bytes,
    ))
}
