//! Trying again: the only file that knows the crate `backoff`, which is no longer developed.
//!
//! `transport` wraps the sending of a request in it. Nothing is tried again once the first byte of
//! a reply has come, so no answer is asked for, and paid, twice.

use std::{sync::atomic::AtomicU32, sync::atomic::Ordering, time::Duration};

use backoff::{Clock, exponential::ExponentialBackoffBuilder};
use tokio::time::Instant;

/// Two more attempts cure a hiccup; more would only delay the next provider of the chain.
const MAX_RETRIES: u32 = 2;

/// No attempt begins later than this after the first, so that the next provider has time left.
const MAX_ELAPSED: Duration = Duration::from_secs(4);

/// A provider that asks for a longer wait is left to the admission in `actors`.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// Another attempt may help.
    Again {
        /// Why.
        error: E,
        /// How long the provider asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No attempt will help.
    Final(E),
}

/// Runs `attempt` until it succeeds, fails for good, or the budget is spent: the last error is
/// then the error of it all. Waits grow from 0.2 s and are spread by half.
pub(crate) async fn with_retries<T, E, F, Fut>(attempt: F) -> Result<T, E>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let schedule = ExponentialBackoffBuilder::<TokioClock>::new()
        .with_initial_interval(Duration::from_millis(200))
        .with_randomization_factor(0.5)
        .with_multiplier(3.0)
        .with_max_interval(LONGEST_WAIT)
        .with_max_elapsed_time(Some(MAX_ELAPSED))
        .build();
    let begun = Instant::now();
    let failed = AtomicU32::new(0);
    backoff::future::retry(schedule, || async {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let spent = failed.fetch_add(1, Ordering::Relaxed) >= MAX_RETRIES;
        Err(match failure {
            Failure::Final(error) => backoff::Error::permanent(error),
            Failure::Again { error, .. } if spent => backoff::Error::permanent(error),
            Failure::Again { error, retry_after: None } => backoff::Error::transient(error),
            // `backoff` applies its own budget only to waits that it chose itself.
            Failure::Again { error, retry_after: Some(wait) } => {
                if wait > LONGEST_WAIT || begun.elapsed() + wait > MAX_ELAPSED {
                    backoff::Error::permanent(error)
                } else {
                    backoff::Error::retry_after(error, wait)
                }
            }
        })
    })
    .await
}

/// Obeys a paused clock.
#[derive(Debug, Default)]
struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Fails `times` times, then succeeds; gives the number of attempts and the time it took.
    async fn run(times: u32, retry_after: Option<Duration>) -> (Result<(), u32>, u32, Duration) {
        let attempts = Cell::new(0);
        let begun = Instant::now();
        let result = with_retries(|| async {
            attempts.set(attempts.get() + 1);
            if attempts.get() > times {
                Ok(())
            } else {
                Err(Failure::Again { error: attempts.get(), retry_after })
            }
        })
        .await;
        (result, attempts.get(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_hiccup_is_cured() {
        let (result, attempts, took) = run(1, None).await;
        assert_eq!((result, attempts), (Ok(()), 2));
        assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(400));
    }

    #[tokio::test(start_paused = true)]
    async fn the_third_failure_is_final() {
        let (result, attempts, took) = run(9, None).await;
        assert_eq!((result, attempts), (Err(3), 3));
        assert!(took < MAX_ELAPSED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_that_was_asked_for_is_kept() {
        let (result, attempts, took) = run(2, Some(Duration::from_secs(1))).await;
        assert_eq!((result, attempts), (Ok(()), 3));
        assert!(took >= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_left_to_the_caller() {
        let (result, attempts, took) = run(1, Some(Duration::from_secs(60))).await;
        assert_eq!((result, attempts), (Err(1), 1));
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_failures_spend_the_budget() {
        let attempts = Cell::new(0);
        let result: Result<(), _> = with_retries(|| async {
            attempts.set(attempts.get() + 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
            Err(Failure::Again { error: "slow", retry_after: None })
        })
        .await;
        assert_eq!((result, attempts.get()), (Err("slow"), 1));
    }

    #[tokio::test]
    async fn a_final_failure_is_not_tried_again() {
        let attempts = Cell::new(0);
        let result: Result<(), _> = with_retries(|| async {
            attempts.set(attempts.get() + 1);
            Err(Failure::Final("no"))
        })
        .await;
        assert_eq!((result, attempts.get()), (Err("no"), 1));
    }
}
