//! Work that goes on to its end even if whoever waits for it goes away.
//!
//! Callers hang up, and limits cut off calls of plugins: what has begun by then may be half done, such as a commit that is on its way
//! to the disk and whose workers nobody would tell of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A future that is not dropped with whoever waits for it. See [`lasting`].
pub struct Lasting<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    rest: Option<Pin<Box<F>>>,
    begun: bool,
}

/// `work`, which goes on in a task of its own when it is dropped between its beginning and its end. What was never polled has not
/// begun. Outside of a runtime, and when the runtime ends, it ends where it stands.
pub fn lasting<F>(work: F) -> Lasting<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    Lasting { rest: Some(Box::pin(work)), begun: false }
}

impl<F> Future for Lasting<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.begun = true;
        // Taken while it is polled: what panics is not begun again.
        let Some(mut rest) = self.rest.take() else { return Poll::Pending };
        let polled = rest.as_mut().poll(context);
        if polled.is_pending() {
            self.rest = Some(rest);
        }
        polled
    }
}

impl<F> Drop for Lasting<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take().filter(|_| self.begun)
            && let Ok(runtime) = Handle::try_current()
        {
            // Nobody waits for it any more.
            drop(runtime.spawn(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::task::yield_now;

    use super::*;

    /// Counts the steps that were taken.
    async fn three_steps(taken: Arc<AtomicUsize>) -> usize {
        for _ in 0..3 {
            taken.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn work_that_has_begun_goes_on_to_its_end_when_it_is_dropped() {
        for polls in 1..=4 {
            let taken = Arc::<AtomicUsize>::default();
            let mut work = lasting(three_steps(Arc::clone(&taken)));
            for poll in 1..=polls {
                assert_eq!((&mut work).now_or_never(), (poll == 4).then_some(3));
            }
            drop(work);
            while taken.load(Ordering::Relaxed) < 3 {
                yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn work_that_has_not_begun_never_does() {
        let taken = Arc::<AtomicUsize>::default();
        drop(lasting(three_steps(Arc::clone(&taken))));
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!((taken.load(Ordering::Relaxed), Arc::strong_count(&taken)), (0, 1));
    }

    #[test]
    fn without_a_runtime_it_ends_where_it_stands() {
        let taken = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&taken);
        let mut work = lasting(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
        assert!((&mut work).now_or_never().is_none());
        drop(work);
        assert_eq!((taken.load(Ordering::Relaxed), Arc::strong_count(&taken)), (1, 1));
    }
}
