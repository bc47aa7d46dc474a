use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::{Clock, SystemClock};
use futures::FutureExt;
use futures::future::BoxFuture;

/// Longest nap of the [`SystemTimer`], in milliseconds: so late, at most, does it notice that the machine was
/// asleep or that its clock was set.
const LONGEST_NAP_MS: i64 = 1_000;

/// A clock that can be waited for.
pub trait Timer: Clock {
    /// Returns once the clock shows `at_ms` (Unix milliseconds) or later.
    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'_, ()>;
}

impl<T: Timer + ?Sized> Timer for Arc<T> {
    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'_, ()> {
        (**self).sleep_until(at_ms)
    }
}

/// The machine's clock, waited for in naps.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTimer(SystemClock);

impl Clock for SystemTimer {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
}

impl Timer for SystemTimer {
    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'_, ()> {
        async move {
            loop {
                let left_ms = at_ms.saturating_sub(self.now_ms());
                let Ok(nap_ms) = u64::try_from(left_ms.min(LONGEST_NAP_MS)) else {
                    return;
                };
                if nap_ms == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(nap_ms)).await;
            }
        }
        .boxed()
    }
}
