//! The keys of one provider: whose turn it is, and which of them rest.
//!
//! A key that met a rate limit rests for as long as the provider asked, or longer each time; one that
//! was refused rests longer still. After a rest one call tries the key before others follow. The
//! others go on meanwhile: each key has, in effect, a breaker of its own.

use std::time::Duration;

use callboard_providers::RateLimits;
use tokio::time::Instant;

/// The first rest after a rate limit that names no time; it doubles with each.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest rest of that kind.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The first rest of a key that was refused; somebody must replace it.
const REFUSED_REST: Duration = Duration::from_secs(60);

/// The longest rest at all, whatever a provider asks for.
const LONGEST_OF_ALL: Duration = Duration::from_secs(3_600);

/// How long others wait for the call that tries a key after its rest.
const TRIAL: Duration = Duration::from_secs(1);

/// What a call says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// Too many calls with it.
    RateLimited {
        /// How long the provider asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The provider does not take it.
    Refused,
}

/// No key may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AllRest {
    /// Until the first may.
    pub(super) wait: Duration,
    /// Whether all were refused, so that waiting will hardly help.
    pub(super) refused: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    /// Rests, because a call failed.
    punished_until: Option<Instant>,
    /// Rests, because the provider said that nothing is left of its limit.
    spent_until: Option<Instant>,
    /// Failures in a row.
    strikes: u32,
    /// The rest is over, and one call finds out whether the key is taken again.
    on_trial: bool,
    refused: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    next: usize,
}

/// How a key is, for the admin page: never the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyReading {
    pub(crate) rests_for: Duration,
    pub(crate) refused: bool,
}

impl Key {
    fn rests_for(&self, now: Instant) -> Duration {
        let until = self.punished_until.max(self.spent_until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

impl Keys {
    pub(super) fn new(count: usize) -> Self {
        Self { keys: vec![Key::default(); count.max(1)], next: 0 }
    }

    /// The number of the key whose turn it is.
    ///
    /// # Errors
    /// When all of them rest.
    pub(super) fn choose(&mut self, now: Instant) -> Result<usize, AllRest> {
        let count = self.keys.len();
        let in_turn = (self.next..self.next + count).map(|at| at % count);
        let Some(chosen) = in_turn.into_iter().find(|at| self.keys[*at].rests_for(now).is_zero())
        else {
            let wait = self.keys.iter().map(|key| key.rests_for(now)).min().unwrap_or_default();
            return Err(AllRest { wait, refused: self.keys.iter().all(|key| key.refused) });
        };
        self.next = (chosen + 1) % count;
        let key = &mut self.keys[chosen];
        if key.strikes > 0 {
            key.punished_until = Some(now + TRIAL);
            key.on_trial = true;
        }
        Ok(chosen)
    }

    /// Whether one of them may be used now.
    pub(super) fn any_ready(&self, now: Instant) -> bool {
        self.keys.iter().any(|key| key.rests_for(now).is_zero())
    }

    /// A call with this key was answered, or failed for other reasons than the key.
    pub(super) fn worked(&mut self, key: usize) {
        if let Some(key) = self.keys.get_mut(key) {
            *key = Key { spent_until: key.spent_until, ..Key::default() };
        }
    }

    /// A call failed because of its key.
    pub(super) fn failed(&mut self, now: Instant, key: usize, fault: KeyFault) {
        let Some(key) = self.keys.get_mut(key) else { return };
        // Calls that were out together fail together: that is one failure, not many in a row.
        let is_known = !key.on_trial && key.punished_until.is_some_and(|until| until > now);
        if !is_known {
            key.strikes = key.strikes.saturating_add(1);
        }
        let doubled = |first: Duration, longest: Duration| {
            first.saturating_mul(2u32.saturating_pow(key.strikes.saturating_sub(1))).min(longest)
        };
        let rest = match fault {
            KeyFault::RateLimited { retry_after: Some(wait) } => {
                // Whoever names the same short wait again and again does not mean it.
                let least = doubled(FIRST_REST / 2, LONGEST_REST);
                let least = if key.strikes > 1 { least } else { Duration::ZERO };
                wait.min(LONGEST_OF_ALL).max(least)
            }
            KeyFault::RateLimited { retry_after: None } => doubled(FIRST_REST, LONGEST_REST),
            KeyFault::Refused => doubled(REFUSED_REST, LONGEST_OF_ALL),
        };
        key.refused = fault == KeyFault::Refused;
        key.on_trial = false;
        key.punished_until = key.punished_until.max(Some(now + rest));
    }

    /// What the provider said of the limits of this key.
    pub(super) fn learned(&mut self, now: Instant, key: usize, limits: &RateLimits) {
        let Some(key) = self.keys.get_mut(key) else { return };
        let all = [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens];
        let spent = all.iter().filter(|limit| limit.remaining == Some(0));
        let longest = spent.filter_map(|limit| limit.reset).max();
        if let Some(reset) = longest {
            key.spent_until = Some(now + reset.min(LONGEST_OF_ALL));
        }
    }

    /// Forgets all rests.
    pub(super) fn reset(&mut self) {
        self.keys.fill(Key::default());
    }

    pub(super) fn readings(&self, now: Instant) -> Vec<KeyReading> {
        let keys = self.keys.iter();
        keys.map(|key| KeyReading { rests_for: key.rests_for(now), refused: key.refused }).collect()
    }
}

#[cfg(test)]
mod tests {
    use callboard_providers::RateLimit;

    use super::*;

    const LIMITED: KeyFault = KeyFault::RateLimited { retry_after: None };

    #[tokio::test(start_paused = true)]
    async fn keys_take_turns_and_a_limited_one_is_passed_over() {
        let now = Instant::now();
        let mut keys = Keys::new(3);
        let turns =
            |keys: &mut Keys| -> Vec<usize> { (0..3).map(|_| keys.choose(now).unwrap()).collect() };
        assert_eq!(turns(&mut keys), [0, 1, 2]);
        keys.failed(now, 1, LIMITED);
        assert_eq!(turns(&mut keys), [0, 2, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_key_rests_longer_each_time_and_one_call_tries_it() {
        let mut now = Instant::now();
        let mut keys = Keys::new(1);
        let mut waits = Vec::new();
        for _ in 0..4 {
            keys.choose(now).unwrap();
            keys.failed(now, 0, LIMITED);
            let AllRest { wait, refused } = keys.choose(now).unwrap_err();
            assert!(!refused);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8]);
        keys.choose(now).unwrap();
        assert_eq!(keys.choose(now).unwrap_err().wait, TRIAL, "another call tries it");
        keys.worked(0);
        assert!(keys.choose(now).is_ok() && keys.choose(now).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_names_a_time_is_believed_within_reason() {
        let now = Instant::now();
        let mut keys = Keys::new(1);
        let fault = |secs| KeyFault::RateLimited { retry_after: Some(Duration::from_secs(secs)) };
        keys.failed(now, 0, fault(7));
        assert_eq!(keys.choose(now).unwrap_err().wait, Duration::from_secs(7));
        keys.failed(now, 0, fault(u64::MAX));
        assert_eq!(keys.choose(now).unwrap_err().wait, LONGEST_OF_ALL);
        keys.reset();
        assert!(keys.choose(now).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_that_is_named_for_ever_grows() {
        let mut now = Instant::now();
        let mut keys = Keys::new(1);
        let second = KeyFault::RateLimited { retry_after: Some(Duration::from_secs(1)) };
        let mut rests = Vec::new();
        for _ in 0..5 {
            keys.choose(now).unwrap();
            keys.failed(now, 0, second);
            let AllRest { wait, .. } = keys.choose(now).unwrap_err();
            rests.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(rests, [1, 1, 2, 4, 8]);
        keys.choose(now).unwrap();
        keys.worked(0);
        keys.failed(now, 0, second);
        assert_eq!(keys.choose(now).unwrap_err().wait.as_secs(), 1, "it had worked in between");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_fail_together_are_one_failure() {
        let now = Instant::now();
        let mut keys = Keys::new(1);
        for _ in 0..8 {
            keys.choose(now).unwrap();
        }
        for _ in 0..8 {
            keys.failed(now, 0, LIMITED);
        }
        assert_eq!(keys.choose(now).unwrap_err().wait, FIRST_REST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_told_from_a_limited_one() {
        let now = Instant::now();
        let mut keys = Keys::new(2);
        keys.failed(now, 0, KeyFault::Refused);
        assert!(keys.any_ready(now));
        keys.failed(now, 1, KeyFault::Refused);
        assert!(!keys.any_ready(now));
        assert_eq!(keys.choose(now), Err(AllRest { wait: REFUSED_REST, refused: true }));
        assert!(keys.readings(now).iter().all(|key| key.refused));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_of_which_nothing_is_left_rests_until_it_is_full_again() {
        let now = Instant::now();
        let mut keys = Keys::new(1);
        let left = |remaining| RateLimits {
            requests: RateLimit {
                remaining: Some(remaining),
                reset: Some(Duration::from_secs(9)),
                ..RateLimit::default()
            },
            ..RateLimits::default()
        };
        keys.learned(now, 0, &left(1));
        assert!(keys.choose(now).is_ok());
        keys.learned(now, 0, &left(0));
        keys.worked(0);
        assert_eq!(keys.choose(now).unwrap_err().wait, Duration::from_secs(9));
    }
}
