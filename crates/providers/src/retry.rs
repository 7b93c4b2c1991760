//! Trying again: the only file that knows the crate `backoff`, which is no longer developed.
//!
//! `transport` wraps the sending of a request in it. Nothing is tried again once the first byte of
//! a reply has come, so no answer is asked for, and paid, twice.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use backoff::{Clock, exponential::ExponentialBackoffBuilder};
use tokio::time::Instant;

/// Two more attempts cure a hiccup; more would only delay the next provider of the chain.
const MAX_RETRIES: u32 = 2;

/// No attempt begins later than this after the first, so that the next provider has time left.
const MAX_ELAPSED: Duration = Duration::from_secs(4);

/// A provider that asks for a longer wait is left to the admission in `actors`.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What a provider that fails for everybody may be asked again, beside a fifth of all calls: so many a
/// second, and so many at once. Without a bound each call would be three when it can bear least.
const RETRIES_A_SECOND: f64 = 10.0;
const MOST_RETRIES: f64 = 100.0;
const RETRIES_A_CALL: f64 = 0.2;

/// The retries that the calls of one provider share (Google, "Site Reliability Engineering", ch. 21).
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<(f64, Instant)>);

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((MOST_RETRIES, Instant::now())))
    }

    fn add(&self, more: f64) -> f64 {
        // Nobody panics while it is locked; a number is whole in any case.
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = (now - left.1).as_secs_f64() * RETRIES_A_SECOND;
        let kept = (left.0 + earned).min(MOST_RETRIES);
        *left = ((kept + more).clamp(-1.0, MOST_RETRIES), now);
        left.0
    }

    /// A call is made.
    fn earn(&self) {
        self.add(RETRIES_A_CALL);
    }

    /// Whether another attempt may be made; it is counted then.
    fn spend(&self) -> bool {
        let may = self.add(-1.0) >= 0.0;
        if !may {
            self.add(1.0);
        }
        may
    }
}

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

/// Runs `attempt` until it succeeds, fails for good, or its time or the budget is spent: the last
/// error is then the error of it all. Waits grow from 0.2 s and are spread by half.
pub(crate) async fn with_retries<T, E, F, Fut>(budget: &RetryBudget, attempt: F) -> Result<T, E>
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
    budget.earn();
    backoff::future::retry(schedule, || async {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let spent = failed.fetch_add(1, Ordering::Relaxed) >= MAX_RETRIES;
        Err(match failure {
            Failure::Final(error) => backoff::Error::permanent(error),
            Failure::Again { error, .. } if spent => backoff::Error::permanent(error),
            Failure::Again { error, .. } if !budget.spend() => backoff::Error::permanent(error),
            Failure::Again { error, retry_after: None } => backoff::Error::transient(error),
            // `backoff` applies its own bound only to waits that it chose itself.
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
        let result = with_retries(&RetryBudget::new(), || async {
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
        let result: Result<(), _> = with_retries(&RetryBudget::new(), || async {
            attempts.set(attempts.get() + 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
            Err(Failure::Again { error: "slow", retry_after: None })
        })
        .await;
        assert_eq!((result, attempts.get()), (Err("slow"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_few_are_tried_again() {
        let (budget, attempts) = (RetryBudget::new(), Cell::new(0u32));
        let calls = (0..1_000).map(|_| async {
            let failed: Result<(), _> = with_retries(&budget, || async {
                attempts.set(attempts.get() + 1);
                Err(Failure::Again { error: "down", retry_after: None })
            })
            .await;
            assert_eq!(failed, Err("down"));
        });
        futures_util::future::join_all(calls).await;
        let retries = attempts.get() - 1_000;
        assert!((250..400).contains(&retries), "{retries}, of 2000 without a bound");
        // Later there is some left again.
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!((0..100).all(|_| budget.spend()) && !budget.spend());
    }

    #[tokio::test]
    async fn a_final_failure_is_not_tried_again() {
        let attempts = Cell::new(0);
        let result: Result<(), _> = with_retries(&RetryBudget::new(), || async {
            attempts.set(attempts.get() + 1);
            Err(Failure::Final("no"))
        })
        .await;
        assert_eq!((result, attempts.get()), (Err("no"), 1));
    }
}
