//! A bounded pool for work that blocks: log searches and password hashes.
//!
//! The work runs on tokio's blocking threads. So many pieces run at once, so many wait, and who
//! comes after is refused at once: [`Refused::Full`]. Whoever waited or ran for too long gets
//! [`Refused::TimedOut`]; work that has begun cannot be stopped and keeps its place until it ends,
//! so a timeout never lets more run than the bound says.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why work was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// As much waits as may wait.
    #[error("the blocking pool is full")]
    Full,
    /// It took too long.
    #[error("the blocking work took too long")]
    TimedOut,
    /// The work panicked.
    #[error("the blocking work panicked")]
    Panicked,
}

/// A bounded pool.
#[derive(Clone)]
pub(crate) struct BlockingPool {
    /// Those that run and those that wait.
    places: Arc<Semaphore>,
    /// Those that run.
    turns: Arc<Semaphore>,
    timeout: Duration,
}

impl BlockingPool {
    /// A pool in which `running` pieces of work run and `waiting` more wait.
    pub(crate) fn new(running: usize, waiting: usize, timeout: Duration) -> Self {
        let running = running.max(1);
        Self {
            places: Arc::new(Semaphore::new(running.saturating_add(waiting))),
            turns: Arc::new(Semaphore::new(running)),
            timeout,
        }
    }

    /// Runs `work` when its turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::Full)?;
        tokio::time::timeout(self.timeout, self.run_in_turn(place, work))
            .await
            .map_err(|_| Refused::TimedOut)?
    }

    async fn run_in_turn<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Refused::Full)?;
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            span.in_scope(work)
        })
        .await
        .map_err(|_| Refused::Panicked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn who_comes_when_it_is_full_is_refused() {
        let pool = BlockingPool::new(1, 1, Duration::from_secs(10));
        let (release, held) = sync_channel::<()>(1);
        let (started, begun) = tokio::sync::oneshot::channel();
        let running = pool.run(move || {
            let _ = started.send(());
            held.recv()
        });
        let waiting = pool.run(|| 2);
        let refused = async {
            begun.await.unwrap();
            // `join!` polls in order: by now `waiting` holds the second place.
            assert_eq!(pool.run(|| 3).await, Err(Refused::Full));
            release.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(running, waiting, refused);
        assert_eq!(first, Ok(Ok(())));
        assert_eq!(second, Ok(2));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_timeout_does_not_free_the_place_of_work_that_runs() {
        let pool = BlockingPool::new(1, 0, Duration::from_millis(20));
        let (release, held) = sync_channel::<()>(1);
        assert_eq!(pool.run(move || held.recv().is_ok()).await, Err(Refused::TimedOut));
        assert_eq!(pool.run(|| ()).await, Err(Refused::Full));
        release.send(()).unwrap();
        while pool.run(|| ()).await == Err(Refused::Full) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_frees_its_place() {
        let pool = BlockingPool::new(1, 0, Duration::from_secs(10));
        assert_eq!(pool.run(|| panic!("poison")).await, Err::<(), _>(Refused::Panicked));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
