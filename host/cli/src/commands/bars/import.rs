//! `bulkhead bars import`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use bulkhead_bars::{
    BadRows, BarFile, FileProgress, Format, ImportError, ImportFileError, ImportOptions, Imported,
    MANIFEST_NAME, Manifest, import_file, import_root, read_back,
};
use bulkhead_stage::{Clock as _, SystemClock};
use bulkhead_store::{Series, SqliteStore};
use serde_json::{Value, json};

use super::{Progress, name};
use crate::arguments::{Global, Import};
use crate::deployment;
use crate::output::{self, WrongUsage};

/// Quarantined rows of a file that are said one by one where the output is for people.
const ROWS_SAID: usize = 20;

/// What is to be imported.
enum Source<'a> {
    File(BarFile<'a>, Series),
    Root(&'a Path),
}

/// What has been.
struct Done {
    path: String,
    /// None: a root has several.
    series: Option<Series>,
    imported: Imported,
    /// Bars that were compared with the files. None: a file is not.
    read_back: Option<u64>,
}

pub async fn run(global: &Global, command: Import) -> anyhow::Result<ExitCode> {
    let sources = sources(&command)?;
    let options = ImportOptions {
        now_ms: SystemClock.now_ms(),
        bad_rows: if command.quarantine {
            BadRows::Quarantine
        } else {
            BadRows::Refuse
        },
        max_jump: (!command.any_jump).then_some(command.max_jump),
    };
    let store = deployment::open_store(global)?;
    let mut all = Vec::new();
    for source in sources {
        let done = match source {
            Source::File(file, series) => one_file(&store, file, series, &options).await?,
            Source::Root(root) => one_root(&store, root, &options).await?,
        };
        if !global.json {
            say(&done)?;
        }
        all.push(done);
    }
    if global.json {
        let all: Vec<Value> = all.iter().map(as_json).collect();
        output::json(&json!({ "imported": all }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was typed, understood before anything is stored.
fn sources(command: &Import) -> anyhow::Result<Vec<Source<'_>>> {
    let sources = command.sources.iter();
    sources.map(|path| source(path, command)).collect()
}

fn source<'a>(path: &'a Path, command: &Import) -> anyhow::Result<Source<'a>> {
    let metadata =
        std::fs::metadata(path).with_context(|| format!("looking at {} failed", path.display()))?;
    let wrong = |what: String| Err(WrongUsage(format!("{}: {what}", path.display())).into());
    if metadata.is_dir() {
        if command.instrument.is_some() || command.timeframe.is_some() || command.round_to.is_some()
        {
            return wrong(
                "it is a folder, whose manifest says whose bars it holds\n\nhint: leave out --instrument, --timeframe and --round-to".into(),
            );
        }
        return Ok(Source::Root(path));
    }
    if !metadata.is_file() {
        return wrong("it is no regular file, and has to be read twice".into());
    }
    let (Some(instrument), Some(timeframe)) = (&command.instrument, command.timeframe) else {
        return wrong(
            "whose bars are these?\n\nhint: add --instrument and --timeframe, for example `--instrument BTC-USDT --timeframe 1m`".into(),
        );
    };
    let format = command
        .format
        .map(Format::from)
        .or_else(|| Format::of(path));
    let Some(format) = format else {
        return wrong(
            "its name ends neither with `.csv` nor with `.parquet`\n\nhint: say which it is with --format".into(),
        );
    };
    let file = BarFile {
        path,
        format,
        round_to: command.round_to,
    };
    Ok(Source::File(
        file,
        Series::new(instrument, timeframe.to_string())?,
    ))
}

async fn one_file(
    store: &SqliteStore,
    file: BarFile<'_>,
    series: Series,
    options: &ImportOptions,
) -> anyhow::Result<Done> {
    let progress = Progress::new("rows")?;
    let imported = import_file(store, &series, &file, options, |at| match at {
        FileProgress::Checked {
            rows,
            expected_rows,
        } => {
            progress.says("checked");
            progress.at(rows, expected_rows);
        }
        FileProgress::Stored { imported, rows } => {
            progress.says("stored");
            progress.at(imported.rows, Some(rows));
        }
    })
    .await;
    drop(progress);
    Ok(Done {
        path: file.path.display().to_string(),
        series: Some(series),
        imported: imported.map_err(with_hint)?,
        read_back: None,
    })
}

/// The error in one line, file first, and what to do about it.
fn with_hint(error: ImportFileError) -> anyhow::Error {
    let hint = match (error.round_to, &*error.source) {
        (Some(places), _) => format!(
            "\n\nhint: its values are not exact in 64 bits; `--round-to {places}` rounds them half to even, and says how many that changed"
        ),
        (None, ImportError::Row(_)) => {
            "\n\nhint: mend the file, or leave such rows out with --quarantine".to_owned()
        }
        (None, _) => String::new(),
    };
    let path = error.path.display().to_string();
    let why = anyhow::Error::new(*error.source);
    anyhow!("{path}: {why:#}{hint}")
}

async fn one_root(
    store: &SqliteStore,
    root: &Path,
    options: &ImportOptions,
) -> anyhow::Result<Done> {
    let failed = || format!("importing {} failed", root.display());
    let manifest = Manifest::read(root).with_context(|| {
        format!(
            "{}\n\nhint: a folder is one that `bulkhead bars export` made, with a {MANIFEST_NAME}",
            failed()
        )
    })?;
    let options = ImportOptions {
        // It was a bar of the store when it was exported.
        max_jump: None,
        ..options.clone()
    };
    let progress = Progress::new("bars")?;
    progress.says("verified");
    progress.at(0, Some(manifest.rows));
    let imported = import_root(store, root, &options, |imported| {
        progress.says("stored");
        progress.at(imported.rows, None);
    })
    .await
    .with_context(failed)?;
    progress.says("read back");
    let read_back = if imported.quarantine.count() == 0 {
        Some(
            read_back(store, root, &manifest)
                .await
                .with_context(failed)?,
        )
    } else {
        // What was left out is not there.
        None
    };
    Ok(Done {
        path: root.display().to_string(),
        series: None,
        imported,
        read_back,
    })
}

fn say(done: &Done) -> anyhow::Result<()> {
    let imported = &done.imported;
    let series = done
        .series
        .as_ref()
        .map(|series| format!(" as {}", name(series)));
    let mut line = format!(
        "{}{}: {} rows: {} inserted, {} updated, {} unchanged",
        done.path,
        series.unwrap_or_default(),
        imported.rows,
        imported.inserted,
        imported.updated,
        imported.unchanged,
    );
    if imported.rounded > 0 {
        line.push_str(&format!(", {} values rounded", imported.rounded));
    }
    if let Some(bars) = done.read_back {
        line.push_str(&format!("; verified, and {bars} read back the same"));
    }
    let quarantine = &imported.quarantine;
    if quarantine.count() > 0 {
        let counts = quarantine.counts.iter();
        let counts: Vec<String> = counts
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        line.push_str(&format!("; left out: {}", counts.join(", ")));
    }
    output::line(line)?;
    for row in quarantine.rows.iter().take(ROWS_SAID) {
        output::talk(format!("left out: {}: {row}", done.path));
    }
    let unsaid = quarantine.count().saturating_sub(ROWS_SAID as u64);
    if unsaid > 0 {
        output::talk(format!("left out: {}: {unsaid} more", done.path));
    }
    Ok(())
}

fn as_json(done: &Done) -> Value {
    let imported = &done.imported;
    let rows = imported.quarantine.rows.iter();
    let rows: Vec<Value> = rows
        .map(|row| json!({"place": row.place.to_string(), "reason": row.reason.name(), "detail": row.reason.to_string()}))
        .collect();
    json!({
        "path": done.path,
        "instrument": done.series.as_ref().map(|series| &series.instrument),
        "timeframe": done.series.as_ref().map(|series| &series.timeframe),
        "rows": imported.rows,
        "inserted": imported.inserted,
        "updated": imported.updated,
        "unchanged": imported.unchanged,
        "rounded_values": imported.rounded,
        "read_back": done.read_back,
        "quarantined": {
            "count": imported.quarantine.count(),
            "counts": imported.quarantine.counts,
            "rows": rows,
        },
    })
}
