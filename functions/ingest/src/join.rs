//! Several futures at once, on the one thread that a component has.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What at most so many futures of a kind wait for at once: the host opens eight connections for a run.
pub const MAX_CONCURRENT: usize = 8;

/// Carries all of them out at once. Their order is that of the answer.
pub async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<(Pin<Box<_>>, Option<T>)> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

/// Carries out `work` for each item, at most [`MAX_CONCURRENT`] at once, until one fails.
///
/// # Errors
/// The first error; items that were not begun by then are not.
pub async fn each<I, E, F: Future<Output = Result<(), E>>>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> F,
) -> Result<(), E> {
    let items = std::cell::RefCell::new(items.into_iter());
    let failed = std::cell::Cell::new(false);
    let (items, failed, work) = (&items, &failed, &work);
    let workers = (0..MAX_CONCURRENT).map(|_| async move {
        while !failed.get() {
            let next = items.borrow_mut().next();
            let Some(item) = next else { break };
            if let Err(error) = work(item).await {
                failed.set(true);
                return Err(error);
            }
        }
        Ok(())
    });
    all(workers).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bulkhead_kernel::memory::ready;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn outputs_stand_in_the_order_of_the_futures() {
        let futures = (0..20).map(|number| async move { number });
        assert_eq!(ready(all(futures)), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_futures_wait_at_once_than_may() {
        let (now, most) = (RefCell::new(0), RefCell::new(0));
        let work = |_| async {
            *now.borrow_mut() += 1;
            let at_once = *now.borrow();
            let known = *most.borrow();
            most.replace(at_once.max(known));
            let mut is_first = true;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::take(&mut is_first) {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            *now.borrow_mut() -= 1;
            Ok::<(), ()>(())
        };
        let mut future = Box::pin(each(0..100, work));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while future.as_mut().poll(&mut context).is_pending() {}
        assert_eq!(*most.borrow(), MAX_CONCURRENT);
    }

    #[test]
    fn after_an_error_no_item_is_begun() {
        let begun = RefCell::new(vec![]);
        let work = |item: u32| {
            begun.borrow_mut().push(item);
            async move { if item == 2 { Err("two") } else { Ok(()) } }
        };
        assert_eq!(ready(each(0..9, work)), Err("two"));
        assert!(begun.borrow().len() < 9);
    }
}
