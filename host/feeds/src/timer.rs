use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Waiting, by a clock that nobody sets: how long something took, not what time it is.
pub trait Timer: Send + Sync + 'static {
    /// Is ready so long after this call.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// tokio's timers.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
