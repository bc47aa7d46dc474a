//! Bars that are older than they are kept, deleted while the pipeline runs.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::Clock;
use bulkhead_store::{RetentionPolicy, Store, StoreError, apply_retention};
use tokio::task::JoinHandle;

use crate::arguments::Up;
use crate::deployment::Deployment;
use crate::output::{self, WrongUsage};

/// How often bars are deleted; for the first time at the start.
const EVERY: Duration = Duration::from_secs(3_600);

/// Deletions of one time, of 5,000 bars at most each: what is left, the next time goes on with.
const MAX_BATCHES: u32 = 200;

/// Refuses retention beside a replay.
///
/// # Errors
/// Both are asked for.
pub fn check(command: &Up, is_replay: bool) -> Result<(), WrongUsage> {
    if command.retention && is_replay {
        let what = "--retention is not for a replay, whose bars are years old: they would be deleted as they come\n\n\
                    hint: leave it out, or name a venue with `--variable market_data_url=URL`";
        return Err(WrongUsage(what.into()));
    }
    Ok(())
}

/// Begins, and goes on until `stop` is ready. None: it is not asked for. The task says how many bars it deleted.
pub fn start(
    command: &Up,
    deployment: &Deployment,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Option<JoinHandle<u64>> {
    let store = Arc::clone(&deployment.store);
    let clock = Arc::clone(&deployment.clock);
    command
        .retention
        .then(|| tokio::spawn(run(store, clock, stop)))
}

/// Waits for the task, which was told to stop, and says what it did.
///
/// # Errors
/// The task panicked.
pub async fn end(pruning: Option<JoinHandle<u64>>) -> anyhow::Result<()> {
    if let Some(pruning) = pruning {
        let deleted = pruning.await?;
        output::talk(format!("retention: {deleted} bars deleted"));
    }
    Ok(())
}

async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stop: impl Future<Output = ()>) -> u64 {
    let mut deleted = 0;
    tokio::pin!(stop);
    loop {
        let mut came = 0;
        // Each deletion is whole, so that it can be ended between any two.
        let pass = async {
            match prune(&*store, clock.now_ms(), |sum| came = sum).await {
                Ok(true) => {}
                Ok(false) => tracing::info!("retention: more bars are due, and go next time"),
                Err(error) => {
                    tracing::warn!(%error, "retention failed, and is tried again next time");
                }
            }
        };
        let is_stopping = tokio::select! {
            biased;
            () = &mut stop => true,
            () = pass => false,
        };
        deleted += came;
        if came > 0 {
            tracing::info!(bars = came, "retention: bars deleted");
        }
        if is_stopping {
            return deleted;
        }
        tokio::select! {
            biased;
            () = &mut stop => return deleted,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Deletes once, and says whether nothing is left that is due. `on_batch` is told the sum after each deletion.
async fn prune(
    store: &dyn Store,
    now_ms: i64,
    on_batch: impl FnMut(u64),
) -> Result<bool, StoreError> {
    let policy = RetentionPolicy::default();
    let retained = apply_retention(store, &policy, now_ms, |_| true, MAX_BATCHES, on_batch).await?;
    Ok(retained.iter().all(|series| series.is_complete))
}

#[cfg(test)]
mod tests {
    use bulkhead_stage::ManualClock;
    use bulkhead_store::{Bars, MemoryStore, Series};
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    const DAY_MS: i64 = 86_400_000;
    const NOW_MS: i64 = 1_700_006_400_000;

    /// A bar of a minute of 31 days ago, and one of now.
    async fn store() -> Arc<dyn Store> {
        let store = MemoryStore::new(0);
        let bars = Bars {
            open_time_ms: vec![NOW_MS - 31 * DAY_MS, NOW_MS],
            open: vec![1, 1],
            high: vec![1, 1],
            low: vec![1, 1],
            close: vec![1, 1],
            volume: vec![1, 1],
            ..Bars::default()
        };
        let series = Series::new("BTC-USDT", "1m").unwrap();
        store.append_bars(series, bars, NOW_MS).await.unwrap();
        Arc::new(store)
    }

    async fn left(store: &dyn Store) -> u64 {
        store.series().await.unwrap()[0].count
    }

    #[tokio::test]
    async fn bars_go_once_they_are_older_than_they_are_kept_and_are_counted() {
        let store = store().await;
        let mut deleted = 0;
        let is_complete = prune(&*store, NOW_MS, |sum| deleted = sum).await.unwrap();
        assert_eq!((is_complete, deleted, left(&*store).await), (true, 1, 1));
    }

    #[tokio::test]
    async fn nothing_is_deleted_once_it_is_told_to_stop() {
        let store = store().await;
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let deleted = run(Arc::clone(&store), clock, std::future::ready(())).await;
        assert_eq!((deleted, left(&*store).await), (0, 2));
    }

    #[test]
    fn retention_is_off_until_it_is_asked_for_and_refused_beside_a_replay() {
        for (arguments, is_replay, is_refused) in [
            (&["bulkhead", "up"][..], true, false),
            (&["bulkhead", "up", "--retention"][..], false, false),
            (&["bulkhead", "up", "--retention"][..], true, true),
        ] {
            let parsed = Arguments::try_parse_from(arguments).unwrap();
            let Command::Up(up) = parsed.command else {
                panic!("{arguments:?}")
            };
            let refused = check(&up, is_replay).is_err();
            assert_eq!(refused, is_refused, "{arguments:?} {is_replay}");
        }
    }
}
