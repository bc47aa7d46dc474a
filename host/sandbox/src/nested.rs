//! Stages that run inside of other runs, polled beside them.
//!
//! The engine polls a run's imports from its own event loop, and cannot enter a second one there. So an inner run is polled
//! from outside of that loop, by the task that polls the outer one: no other thread has to wake up for it, and it ends with
//! the outer run.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bulkhead_stage::Failure;
use futures::future::{BoxFuture, FutureExt as _, poll_fn};
use futures::stream::{FuturesUnordered, StreamExt as _};

/// The runs inside of one run. Clones share them.
#[derive(Clone, Default)]
pub struct Nested(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Nested {
    /// Runs something inside of the run that [`drive`](Self::drive) was called for, until this is dropped. A panic of the host is
    /// the inner run's failure.
    pub async fn run<T: Send + 'static>(
        &self,
        inner: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (inner, answer) = AssertUnwindSafe(inner).catch_unwind().remote_handle();
        self.begun().push(inner.boxed());
        answer.await.map_err(|_| Failure::Host {
            detail: "the inner run panicked".to_owned(),
        })
    }

    /// Polls a run, and the runs inside of it.
    pub async fn drive<T>(&self, outer: impl Future<Output = T>) -> T {
        let mut outer = pin!(outer);
        let mut inner_runs = FuturesUnordered::new();
        poll_fn(|context| {
            loop {
                if let Poll::Ready(value) = outer.as_mut().poll(context) {
                    return Poll::Ready(value);
                }
                inner_runs.extend(self.begun().drain(..));
                let mut has_news = false;
                while let Poll::Ready(Some(())) = inner_runs.poll_next_unpin(context) {
                    has_news = true;
                }
                if !has_news {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{join, pending};

    use super::*;

    #[test]
    fn what_runs_inside_of_a_run_is_polled_with_it() {
        let nested = Nested::default();
        let sum = nested.drive(async {
            let (one, two) = join(nested.run(async { 1 }), nested.run(async { 2 })).await;
            let three = nested.run(async { 3 }).await;
            one.unwrap() + two.unwrap() + three.unwrap()
        });
        assert_eq!(sum.now_or_never(), Some(6));
    }

    #[test]
    fn an_inner_run_that_nobody_waits_for_any_more_is_dropped() {
        let nested = Nested::default();
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let driven = nested.drive(async {
            let waits = nested.run(async move {
                let _inner = inner;
                pending::<()>().await;
            });
            assert!(waits.now_or_never().is_none());
            nested.run(async {}).await.unwrap();
            Arc::strong_count(&held)
        });
        assert_eq!(driven.now_or_never(), Some(1));
    }

    #[test]
    fn a_panic_of_the_host_in_an_inner_run_is_that_runs_failure() {
        let nested = Nested::default();
        let driven = nested.drive(nested.run(async { panic!("a fault of the host") }));
        let failed: Result<(), Failure> = driven.now_or_never().unwrap();
        assert!(matches!(failed, Err(Failure::Host { .. })), "{failed:?}");
    }
}
