//! How often somebody may try to sign in: per user name and per address.
//!
//! Asked before a password is hashed, so that guessing costs the server nothing. An IPv6 address
//! counts as its /64 network, which one household can fill at will.

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

use crate::{ApiError, config::AttemptLimit};

/// Above so many keys the idle ones are dropped. A key takes some 50 bytes.
const SWEEP_ABOVE: usize = 10_000;
/// Above so many busy keys all attempts are refused: a flood from that many addresses at once is
/// an attack, and the memory stays bounded.
const MOST_KEYS: usize = 200_000;

/// The limits of sign-in.
pub(crate) struct LoginThrottle {
    names: DefaultKeyedRateLimiter<u64>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl LoginThrottle {
    pub(crate) fn new(per_name: AttemptLimit, per_address: AttemptLimit) -> Self {
        Self {
            names: RateLimiter::keyed(quota(per_name)),
            addresses: RateLimiter::keyed(quota(per_address)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts an attempt. Without an address (a Unix socket) only the name counts.
    pub(crate) fn check(&self, name: &str, address: Option<IpAddr>) -> Result<(), ApiError> {
        if let Some(address) = address {
            self.check_key(&self.addresses, &network(address))?;
        }
        self.check_key(&self.names, &fingerprint(name))
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
    use super::*;

    fn throttle() -> LoginThrottle {
        LoginThrottle::new(AttemptLimit::new(1, 2), AttemptLimit::new(1, 3))
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_name_has_its_own_limit_in_any_case() {
        let throttle = throttle();
        assert!(throttle.check("ada", address("192.0.2.1")).is_ok());
        assert!(throttle.check("ADA", address("192.0.2.2")).is_ok());
        let error = throttle.check("ada", address("192.0.2.3")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::RateLimited);
        assert!((1..=60_000).contains(&error.client().retry_after_ms.unwrap()));
        assert!(throttle.check("grace", address("192.0.2.3")).is_ok());
    }

    #[test]
    fn an_address_has_its_own_limit() {
        let throttle = throttle();
        for name in ["a", "b", "c"] {
            assert!(throttle.check(name, address("2001:db8::1")).is_ok());
        }
        assert!(throttle.check("d", address("2001:db8::ffff")).is_err());
        assert!(throttle.check("d", address("2001:db8:0:1::1")).is_ok());
        assert!(throttle.check_address(address("2001:db8::2")).is_err());
    }

    #[test]
    fn a_mapped_address_is_the_address_itself() {
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), address("192.0.2.1").unwrap());
    }
}
