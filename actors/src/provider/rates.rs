//! Requests and tokens a minute: two token buckets over an injected clock.
//!
//! A bucket holds a minute's worth at most and fills steadily. What a call will use of tokens is a
//! guess when it is admitted, and put right when it ends; the bucket may so be below empty for a
//! while.

use std::time::Duration;

use callboard_providers::ProviderConfig;
use tokio::time::Instant;

const MINUTE_S: f64 = 60.0;

/// Nobody is told to wait longer.
const LONGEST: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
struct Bucket {
    per_minute: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_minute: u64, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nobody has a limit of 2^52 a minute")]
        let per_minute = per_minute as f64;
        Self { per_minute, level: per_minute, at: now }
    }

    /// How long until `amount` is there; one above a whole minute's waits for a full bucket.
    fn wait(&mut self, amount: f64, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_minute / MINUTE_S).min(self.per_minute);
        self.at = now;
        let missing = amount.min(self.per_minute) - self.level;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        let seconds = missing * MINUTE_S / self.per_minute;
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rates {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Rates {
    pub(super) fn new(config: &ProviderConfig, now: Instant) -> Self {
        let bucket = |limit: Option<u64>| limit.map(|limit| Bucket::full(limit, now));
        let (requests, tokens) = (config.requests_per_minute, config.tokens_per_minute);
        Self { requests: bucket(requests), tokens: bucket(tokens) }
    }

    /// How long a call of so many tokens has to wait; zero when it may go.
    pub(super) fn wait(&mut self, tokens: u64, now: Instant) -> Duration {
        let requests = self.requests.as_mut().map(|bucket| bucket.wait(1.0, now));
        let tokens = self.tokens.as_mut().map(|bucket| bucket.wait(amount(tokens), now));
        requests.max(tokens).unwrap_or_default()
    }

    /// A call of so many tokens goes.
    pub(super) fn take(&mut self, tokens: u64) {
        if let Some(bucket) = &mut self.requests {
            bucket.level -= 1.0;
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.level -= amount(tokens);
        }
    }

    /// It used so many in the end.
    pub(super) fn settle(&mut self, reserved: u64, used: u64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.level = (bucket.level + amount(reserved) - amount(used)).min(bucket.per_minute);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "tokens of a call are few")]
fn amount(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests: Option<u64>, tokens: Option<u64>, now: Instant) -> Rates {
        let config = ProviderConfig {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            ..ProviderConfig::default()
        };
        Rates::new(&config, now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_goes_at_once_and_the_next_waits_its_share() {
        let now = Instant::now();
        let mut rates = rates(Some(6), None, now);
        for _ in 0..6 {
            assert!(rates.wait(1, now).is_zero());
            rates.take(1);
        }
        assert_eq!(rates.wait(1, now), Duration::from_secs(10));
        assert!(rates.wait(1, now + Duration::from_secs(10)).is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_guessed_is_put_right() {
        let now = Instant::now();
        let mut rates = rates(None, Some(6_000), now);
        rates.take(6_000);
        assert_eq!(rates.wait(100, now), Duration::from_secs(1));
        rates.settle(6_000, 5_000);
        assert!(rates.wait(1_000, now).is_zero());
        rates.settle(0, 1_600);
        assert_eq!(rates.wait(100, now), Duration::from_secs(7));
        // More than a minute's worth waits for a full minute, and not for ever.
        assert!(rates.wait(1_000_000, now) <= Duration::from_secs(66));
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let now = Instant::now();
        let mut rates = rates(None, None, now);
        rates.take(u64::MAX);
        assert!(rates.wait(u64::MAX, now).is_zero());
    }
}
