//! Looks at what is stored of series: only at what came in since the last look, unless nothing is known.

use std::cell::RefCell;

use bulkhead_kernel::stage::{BarsQuery, StageError};

use super::Work;
use crate::join;
use crate::pass::{MAX_ASKING_MS, Progress, SeriesRun};
use crate::ports::Ports;

/// How many bars are read at a time.
const PAGE_BARS: u32 = 5_000;
/// The most pages of one look: those of the longest lookback, and one for what came in meanwhile.
const MAX_PAGES: i64 = crate::series::MAX_BARS / PAGE_BARS as i64 + 1;

impl<P: Ports> Work<'_, P> {
    /// Looks at the series that may be asked for, and finds those that are not due after all: somebody else stored the bar.
    pub(super) async fn look(&self) -> Result<(), StageError> {
        let now_ms = self.now_ms();
        let wanted = self
            .series
            .iter()
            .filter(|series| series.borrow().progress == Progress::Wanted);
        join::each(wanted, |series| async move {
            if self.ports.elapsed_ms() >= MAX_ASKING_MS {
                series.borrow_mut().progress = Progress::Left;
                return Ok(());
            }
            self.look_at(series, false).await?;
            let mut series = series.borrow_mut();
            let shape = series.shape;
            let failed = series.known.error.is_some();
            if !failed && !series.known.is_due(&shape, now_ms) {
                series.progress = Progress::Idle;
            }
            Ok(())
        })
        .await
    }

    /// Takes note of what is stored of a series; of all of its lookback if `anew`.
    pub(super) async fn look_at(
        &self,
        series: &RefCell<SeriesRun>,
        anew: bool,
    ) -> Result<(), StageError> {
        let (instrument, shape, known_ms) = {
            let series = series.borrow();
            let newest = series.known.newest_open_time_ms;
            (series.instrument.to_string(), series.shape, newest)
        };
        let timeframe = shape.timeframe.to_string();
        let latest = self.ports.latest(&instrument, &timeframe).await?;
        if latest == known_ms && !anew {
            return Ok(());
        }
        let Some(latest_ms) = latest else {
            let mut series = series.borrow_mut();
            series.known.forget_bars();
            series.known.filled_to_ms = None;
            return Ok(());
        };
        let query = |start_ms, limit| BarsQuery {
            instrument: instrument.clone(),
            timeframe: timeframe.clone(),
            start_ms,
            end_ms: None,
            limit,
            last: false,
        };
        let window_ms = shape.window_start_ms(latest_ms);
        let goes_on = known_ms.filter(|known| !anew && (window_ms..latest_ms).contains(known));
        let mut start_ms = match goes_on {
            Some(known) => known.saturating_add(1),
            None => {
                let first = self.ports.read_bars(query(None, 1)).await?;
                let mut series = series.borrow_mut();
                series.known.forget_bars();
                series.has_older_bars = false;
                let filled_ms = series.known.filled_to_ms;
                series.known.filled_to_ms = filled_ms.map(|filled| filled.min(latest_ms));
                series.known.earliest_open_time_ms = first.open_time_ms.first().copied();
                window_ms
            }
        };
        for _ in 0..MAX_PAGES {
            let bars = self
                .ports
                .read_bars(query(Some(start_ms), PAGE_BARS))
                .await?;
            series.borrow_mut().known.observe(&bars, &shape);
            match bars.open_time_ms.last() {
                Some(last) if bars.len() >= PAGE_BARS as usize => start_ms = last.saturating_add(1),
                _ => break,
            }
        }
        Ok(())
    }
}
