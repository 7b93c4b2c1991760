//! Waiting for a condition.

use std::{panic::Location, time::Duration};

use tokio::time::{Instant, sleep};

/// How long the kit itself waits for anything: far longer than a healthy test needs, since a
/// loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within `within`.
#[track_caller]
pub fn eventually(
    within: Duration,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    let mut probe = async move || condition().then_some(());
    async move { wait(within, caller, &mut probe).await }
}

/// Waits until `probe` gives something, and gives that.
///
/// # Panics
/// When it gives nothing within `within`.
#[track_caller]
pub fn eventually_some<T>(
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move { wait(within, caller, &mut probe).await }
}

async fn wait<T>(
    within: Duration,
    caller: &Location<'_>,
    probe: &mut impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "{caller}: the condition did not hold within {within:?}"
        );
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_until_the_condition_holds() {
        let mut looks = 0;
        eventually(PATIENCE, || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "did not hold within")]
    async fn it_panics_when_the_condition_never_holds() {
        eventually(Duration::from_millis(20), || false).await;
    }

    #[tokio::test]
    async fn a_probe_may_be_async() {
        let mut left = 2;
        let value = eventually_some(PATIENCE, async || {
            tokio::task::yield_now().await;
            left -= 1;
            (left == 0).then_some("there")
        })
        .await;
        assert_eq!(value, "there");
    }
}
