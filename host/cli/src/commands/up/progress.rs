//! What moves while the pipeline runs: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_paper::Replay;
use bulkhead_store::Store;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::status;
use crate::output;

/// How often the bar moves.
const EVERY: Duration = Duration::from_millis(500);

/// How many movements of the bar make a line where there is no terminal.
const LINE_EVERY: u32 = 4;

/// Shows progress on stderr until `stop` is ready.
pub async fn show(
    store: Arc<dyn Store>,
    replay: Option<Arc<Replay>>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let total = replay.as_ref().map_or(0, |replay| replay.progress().total);
    let bar = ProgressBar::with_draw_target(
        Some(total as u64),
        if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        },
    );
    bar.set_style(ProgressStyle::with_template(
        "[{elapsed_precise}] {bar:30} {pos}/{len} bars replayed, {msg}",
    )?);
    tokio::pin!(stop);
    let mut last = String::new();
    let mut ticks = 0;
    loop {
        let stopping = tokio::select! {
            () = &mut stop => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let text = text(&*store).await?;
        bar.set_message(text.clone());
        if let Some(replay) = &replay {
            bar.set_position(replay.progress().served as u64);
        }
        ticks += 1;
        let due = ticks % LINE_EVERY == 0 || stopping;
        if bar.is_hidden() && due && text != last {
            output::talk(&text);
            last = text;
        }
        if stopping {
            bar.finish();
            return Ok(());
        }
    }
}

async fn text(store: &dyn Store) -> anyhow::Result<String> {
    let bars: u64 = store
        .series()
        .await?
        .iter()
        .map(|series| series.count)
        .sum();
    let mut parts = vec![format!("{bars} bars stored")];
    for (_, words, count) in status::counts(store).await? {
        parts.push(format!("{count} {words}"));
    }
    Ok(parts.join(", "))
}
