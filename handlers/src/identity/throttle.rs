//! How often somebody may try to sign in.
//!
//! Asked before a password is hashed, so that guessing costs the server little. Three limits:
//!
//! - per address, whatever the names: beyond it attempts are refused;
//! - per user name **and** address: beyond it attempts are refused, from that address alone. Whoever
//!   knows a name and fails often cannot lock its owner out, who comes from another address;
//! - per user name from everywhere, much looser: beyond it each attempt waits [`DELAY`] and is then
//!   taken, so that guessing from many addresses is slow, and the owner waits and gets in.
//!
//! At most [`MOST_DELAYED`] attempts wait at once; one more is refused as `overloaded`, whatever its
//! name. An IPv6 address counts as its /64 network, which one household can fill at will.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use callboard_protocol::ErrorCode;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    ApiError,
    config::{AttemptLimit, AuthConfig},
};

/// Above so many keys the idle ones are dropped. A key takes some 50 bytes.
const SWEEP_ABOVE: usize = 10_000;
/// Above so many busy keys all attempts are refused: a flood from that many addresses at once is
/// an attack, and the memory stays bounded.
const MOST_KEYS: usize = 200_000;

/// How long an attempt waits when its name is tried too often from everywhere.
const DELAY: Duration = Duration::from_secs(2);
/// Attempts that wait at once: each holds a connection and little else, and with [`DELAY`] it is
/// the most guesses per two seconds that any number of addresses get at busy names.
const MOST_DELAYED: usize = 64;

/// The limits of sign-in. Without an address (a Unix socket) all callers count as one.
pub(crate) struct LoginThrottle {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    pairs: DefaultKeyedRateLimiter<(u64, Option<IpAddr>)>,
    names: DefaultKeyedRateLimiter<u64>,
    delayed: Semaphore,
    clock: DefaultClock,
}

impl LoginThrottle {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        Self {
            addresses: RateLimiter::keyed(quota(config.login_per_address)),
            pairs: RateLimiter::keyed(quota(config.login_per_name)),
            names: RateLimiter::keyed(quota(config.login_per_name_everywhere)),
            delayed: Semaphore::new(MOST_DELAYED),
            clock: DefaultClock::default(),
        }
    }

    /// Counts an attempt, and lets it wait if need be.
    pub(crate) async fn admit(&self, name: &str, address: Option<IpAddr>) -> Result<(), ApiError> {
        self.check_address(address)?;
        let name = fingerprint(name);
        self.check_key(&self.pairs, &(name, address.map(network)))?;
        if self.check_key(&self.names, &name).is_ok() {
            return Ok(());
        }
        let Ok(_waiting) = self.delayed.try_acquire() else {
            return Err(ApiError::from(ErrorCode::Overloaded).retry_after(DELAY));
        };
        sleep(DELAY).await;
        Ok(())
    }

    /// Counts an attempt that names nobody.
    pub(crate) fn check_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        address.map_or(Ok(()), |address| self.check_key(&self.addresses, &network(address)))
    }

    fn check_key<K: Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), ApiError> {
        if limiter.len() > SWEEP_ABOVE {
            limiter.retain_recent();
            if limiter.len() > MOST_KEYS {
                return Err(limited(Duration::from_secs(60)));
            }
        }
        limiter.check_key(key).map_err(|refused| limited(refused.wait_time_from(self.clock.now())))
    }
}

fn quota(limit: AttemptLimit) -> Quota {
    Quota::per_minute(limit.per_minute).allow_burst(limit.burst.max(NonZeroU32::MIN))
}

fn limited(wait: Duration) -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "too many attempts to sign in").retry_after(wait)
}

/// Names are kept as 64 bits, so that long ones cost no memory.
fn fingerprint(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn throttle() -> LoginThrottle {
        LoginThrottle::new(&AuthConfig {
            login_per_name: AttemptLimit::new(1, 2),
            login_per_address: AttemptLimit::new(1, 3),
            login_per_name_everywhere: AttemptLimit::new(1, 4),
            ..AuthConfig::default()
        })
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_limited_in_any_case_and_only_from_where_it_is_tried() {
        let throttle = throttle();
        let guesser = address("192.0.2.1");
        assert!(throttle.admit("ada", guesser).await.is_ok());
        assert!(throttle.admit("ADA", guesser).await.is_ok());
        let error = throttle.admit("ada", guesser).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::RateLimited);
        assert!((1..=60_000).contains(&error.client().retry_after_ms.unwrap()));
        assert!(throttle.admit("ada", address("192.0.2.2")).await.is_ok(), "the owner");
        assert!(throttle.admit("grace", address("192.0.2.3")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_tried_from_everywhere_is_delayed_and_never_refused() {
        let throttle = throttle();
        let begun = Instant::now();
        for number in 0..4 {
            let guesser = address(&format!("192.0.2.{number}"));
            assert!(throttle.admit("ada", guesser).await.is_ok());
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for number in 0..3 {
            let owner = address(&format!("198.51.100.{number}"));
            assert!(throttle.admit("ada", owner).await.is_ok());
        }
        assert_eq!(begun.elapsed(), DELAY * 3);
        assert!(throttle.admit("grace", address("203.0.113.1")).await.is_ok());
        assert_eq!(begun.elapsed(), DELAY * 3, "another name does not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_attempts_wait() {
        let throttle = throttle();
        let attempts = (0..200).map(|number| {
            let address = address(&format!("198.51.100.{number}"));
            throttle.admit("ada", address)
        });
        let admitted = futures_util::future::join_all(attempts).await;
        let refused: Vec<_> = admitted.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 200 - 4 - MOST_DELAYED);
        assert!(refused.iter().all(|error| error.code() == ErrorCode::Overloaded));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_own_limit() {
        let throttle = throttle();
        for name in ["a", "b", "c"] {
            assert!(throttle.admit(name, address("2001:db8::1")).await.is_ok());
        }
        assert!(throttle.admit("d", address("2001:db8::ffff")).await.is_err());
        assert!(throttle.admit("d", address("2001:db8:0:1::1")).await.is_ok());
        assert!(throttle.check_address(address("2001:db8::2")).is_err());
    }

    #[test]
    fn a_mapped_address_is_the_address_itself() {
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), address("192.0.2.1").unwrap());
    }
}
