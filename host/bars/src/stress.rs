use std::path::Path;
use std::time::Duration;

use bulkhead_evaluators::export_stress::Cycle;
use bulkhead_kernel::assessment::Severity;
use bulkhead_store::Store;

use crate::{
    ExportError, ExportRequest, Exported, ReadBackError, VerifyError, export, read_back, verify,
};

/// The most cycles of one drill.
pub const MAX_CYCLES: u32 = 1_000;

/// One export of a drill.
#[derive(Debug)]
pub struct StressCycle {
    /// How long the export took, without its verification and the comparison.
    pub duration: Duration,
    /// What was exported, verified and compared with the store, or why not.
    pub outcome: Result<Exported, StressError>,
}

/// An export of a drill failed.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// It could not be made.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// It is not what its manifest says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Its bars are not those of the store.
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    /// There is no place for it.
    #[error("make a folder for the export")]
    Folder(#[source] std::io::Error),
}

impl From<&StressCycle> for Cycle {
    /// A cycle that failed names the series, or the part, that failed.
    fn from(cycle: &StressCycle) -> Self {
        let failing_job = match &cycle.outcome {
            Ok(_) => None,
            Err(StressError::Export(error)) => Some(error.series().map_or_else(
                || "export".to_owned(),
                |series| format!("{} {}", series.instrument, series.timeframe),
            )),
            Err(StressError::Verify(_)) => Some("verify".to_owned()),
            Err(StressError::ReadBack(_)) => Some("read back".to_owned()),
            Err(StressError::Folder(_)) => Some("folder".to_owned()),
        };
        Self {
            export: failing_job
                .as_ref()
                .map_or(Severity::Ok, |_| Severity::Fail),
            duration_seconds: cycle.duration.as_secs_f64(),
            failing_jobs: failing_job.into_iter().collect(),
        }
    }
}

/// Exports, verifies and reads back `cycles` times, [`MAX_CYCLES`] at most, each into a new folder in `scratch` that is
/// removed again. A bar that is changed while a cycle runs fails it.
/// `clock` tells the time since some instant; `on_cycle` is told after each.
pub async fn stress<S: Store + ?Sized>(
    store: &S,
    request: &ExportRequest,
    cycles: u32,
    scratch: &Path,
    clock: impl Fn() -> Duration,
    mut on_cycle: impl FnMut(&StressCycle),
) -> Vec<StressCycle> {
    let mut done = Vec::new();
    for _ in 0..cycles.min(MAX_CYCLES) {
        let cycle = run(store, request, scratch, &clock).await;
        on_cycle(&cycle);
        done.push(cycle);
    }
    done
}

async fn run<S: Store + ?Sized>(
    store: &S,
    request: &ExportRequest,
    scratch: &Path,
    clock: &impl Fn() -> Duration,
) -> StressCycle {
    let folder = match tempfile::Builder::new()
        .prefix("bars-stress-")
        .tempdir_in(scratch)
    {
        Ok(folder) => folder,
        Err(error) => {
            return StressCycle {
                duration: Duration::ZERO,
                outcome: Err(StressError::Folder(error)),
            };
        }
    };
    let root = folder.path().join("export");
    let mut exported = Exported::default();
    let begun = clock();
    let manifest = export(store, request, &root, |so_far| exported = *so_far).await;
    let duration = clock().saturating_sub(begun);
    let outcome = match manifest {
        Ok(_) => compare(store, &root).await.map(|()| exported),
        Err(error) => Err(error.into()),
    };
    StressCycle { duration, outcome }
}

/// Checks that an export is what its manifest says, and has what the store has.
async fn compare<S: Store + ?Sized>(store: &S, root: &Path) -> Result<(), StressError> {
    let manifest = verify(root)?;
    read_back(store, root, &manifest).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bulkhead_evaluators::export_stress::{Inputs, Policy, assess};
    use bulkhead_store::{MemoryStore, Series};
    use futures::executor::block_on;

    use super::*;
    use crate::Format;
    use crate::fixture::{put, series};

    fn drill(series: Series, cycles: u32) -> (Vec<Cycle>, usize) {
        let store = MemoryStore::new(0);
        put(&store, (0..10).map(|minute| minute * 60_000));
        let request = ExportRequest {
            series: vec![series],
            start_ms: None,
            end_ms: None,
            format: Format::Csv,
            now_ms: 0,
        };
        let scratch = tempfile::tempdir().unwrap();
        let seconds = Cell::new(0);
        let clock = || {
            seconds.set(seconds.get() + 2);
            Duration::from_secs(seconds.get())
        };
        let cycles = block_on(stress(
            &store,
            &request,
            cycles,
            scratch.path(),
            clock,
            |_| {},
        ));
        let left = std::fs::read_dir(scratch.path()).unwrap().count();
        (cycles.iter().map(Cycle::from).collect(), left)
    }

    #[test]
    fn each_cycle_exports_verifies_reads_back_and_leaves_nothing_behind() {
        let (cycles, left) = drill(series(), 3);
        assert_eq!(cycles.len(), 3);
        assert!(cycles.iter().all(|cycle| cycle.duration_seconds == 2.0));
        let inputs = Inputs {
            cycles: Ok(&cycles),
        };
        assert_eq!(
            assess(&inputs, &Policy::default(), 0).severity,
            Severity::Ok
        );
        assert_eq!(left, 0);
    }

    #[test]
    fn a_cycle_that_failed_names_the_series() {
        let (cycles, left) = drill(Series::new("ETH-USDT", "1m").unwrap(), 1);
        assert_eq!(cycles[0].export, Severity::Fail);
        assert_eq!(cycles[0].failing_jobs, ["ETH-USDT 1m"]);
        assert_eq!(left, 0);
    }
}
