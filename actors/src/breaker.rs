//! The circuit breaker of one provider: a pure state machine over an injected clock.
//!
//! Closed, it looks at the outcomes of the last calls; when enough were made and too many of them
//! failed it opens. Open, it refuses until `open_for` has passed. Half-open, it lets
//! one probe through: success closes it, failure opens it again, for twice as long up to
//! [`MAX_OPEN_FACTOR`] times. (M. Nygard, "Release It!", 2nd ed., ch. 5.)

use std::{collections::VecDeque, time::Duration};

use callboard_protocol::CircuitState;
use tokio::time::Instant;

/// However often the probe fails, the breaker tries again after this many times `open_for`.
const MAX_OPEN_FACTOR: u32 = 8;

/// When to open and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerPolicy {
    /// How many of the last calls are looked at.
    pub(crate) window: usize,
    /// Fewer calls than this in the window never open it.
    pub(crate) min_calls: usize,
    /// The share of failures that opens it, 0 to 1.
    pub(crate) failure_rate: f64,
    /// How long it refuses after opening.
    pub(crate) open_for: Duration,
}

#[derive(Debug)]
enum State {
    Closed { outcomes: VecDeque<bool> },
    Open { until: Instant, times: u32 },
    HalfOpen { probing: bool, times: u32 },
}

/// Which spell of the breaker a call was admitted in. A call that ends in another spell says nothing
/// any more: not of the probe, and not of the provider as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spell(u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    state: State,
    spell: Spell,
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: State::Closed { outcomes: VecDeque::new() }, spell: Spell(0) }
    }

    /// Whether a call may be made now. In the half-open state the first asker becomes the probe.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Spell, Duration> {
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { until, .. } if now < *until => return Err(*until - now),
            State::Open { times, .. } => {
                let times = *times;
                self.enter(State::HalfOpen { probing: true, times });
            }
            State::HalfOpen { probing, .. } if *probing => return Err(self.policy.open_for),
            State::HalfOpen { probing, .. } => *probing = true,
        }
        Ok(self.spell)
    }

    /// How long no call will be admitted; `None` when one may be.
    pub(crate) fn refuses(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } => until.checked_duration_since(now).filter(|d| !d.is_zero()),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Counts the outcome of a call admitted in `spell`: `Some(true)` for success, `Some(false)`
    /// for a failure of the provider, `None` when the call says nothing about the provider (its
    /// reader cancelled it, or the request itself was bad).
    pub(crate) fn record(&mut self, now: Instant, spell: Spell, outcome: Option<bool>) {
        if spell != self.spell {
            return;
        }
        match (&mut self.state, outcome) {
            (State::Closed { outcomes }, Some(ok)) => {
                if outcomes.len() >= self.policy.window {
                    outcomes.pop_front();
                }
                outcomes.push_back(ok);
                let failed = outcomes.iter().filter(|ok| !**ok).count();
                #[expect(clippy::cast_precision_loss, reason = "a window of thousands at most")]
                let rate = failed as f64 / outcomes.len() as f64;
                let enough = outcomes.len() >= self.policy.min_calls;
                if !ok && enough && rate >= self.policy.failure_rate {
                    self.open(now, 0);
                }
            }
            (State::HalfOpen { .. }, Some(true)) => {
                self.enter(State::Closed { outcomes: VecDeque::new() });
            }
            (State::HalfOpen { times, .. }, Some(false)) => {
                let times = *times + 1;
                self.open(now, times);
            }
            (State::HalfOpen { probing, .. }, None) => *probing = false,
            (State::Open { .. }, _) | (State::Closed { .. }, None) => {}
        }
    }

    fn open(&mut self, now: Instant, times: u32) {
        let factor = 2u32.saturating_pow(times).min(MAX_OPEN_FACTOR);
        self.enter(State::Open { until: now + self.policy.open_for * factor, times });
    }

    /// Something else than a call has found the provider there, or gone. When it is there, an open
    /// breaker lets its probe through at once; when it is gone, a closed one opens.
    pub(crate) fn seen(&mut self, now: Instant, there: bool) {
        match &mut self.state {
            State::Open { until, .. } if there => *until = now,
            State::Closed { .. } if !there => self.open(now, 0),
            State::Open { .. } | State::Closed { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// Closes it, and forgets what was. Calls that are out say nothing any more.
    pub(crate) fn reset(&mut self) {
        self.enter(State::Closed { outcomes: VecDeque::new() });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.spell.0 += 1;
    }

    /// For people and metrics. An open breaker whose time has passed shows as half-open.
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until, .. } if now < until => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_from_outside_opens_it_and_lets_a_probe_through() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        breaker.seen(now, true);
        assert_eq!(breaker.state(now), CircuitState::Closed);
        breaker.seen(now, false);
        assert_eq!(breaker.state(now), CircuitState::Open);
        assert!(breaker.admit(now).is_err());
        breaker.seen(now, true);
        let spell = breaker.admit(now).unwrap();
        assert!(breaker.admit(now).is_err(), "one probe at a time");
        breaker.record(now, spell, Some(true));
        assert_eq!(breaker.state(now), CircuitState::Closed);
    }

    const POLICY: BreakerPolicy = BreakerPolicy {
        window: 6,
        min_calls: 4,
        failure_rate: 0.5,
        open_for: Duration::from_secs(10),
    };

    /// A call that ends as it began.
    fn call(breaker: &mut Breaker, now: Instant, outcome: Option<bool>) {
        let spell = breaker.admit(now).expect("admitted");
        breaker.record(now, spell, outcome);
    }

    fn failing(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..4 {
            call(&mut breaker, now, Some(false));
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_half_of_enough_calls_fail() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for ok in [true, true, false] {
            call(&mut breaker, now, Some(ok));
            assert_eq!(breaker.state(now), CircuitState::Closed);
        }
        call(&mut breaker, now, Some(false));
        assert_eq!(breaker.state(now), CircuitState::Open);
        assert_eq!(breaker.admit(now), Err(POLICY.open_for));
        assert_eq!(breaker.refuses(now), Some(POLICY.open_for));
        assert_eq!(breaker.refuses(now + POLICY.open_for), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_forgets_calls_outside_the_window() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for ok in [false, true, true, true, true, true, true, false, false] {
            call(&mut breaker, now, Some(ok));
            assert_eq!(breaker.state(now), CircuitState::Closed);
        }
        call(&mut breaker, now, Some(false));
        assert_eq!(breaker.state(now), CircuitState::Open, "three of the last six");
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_lets_one_probe_through_and_success_closes_it() {
        let now = Instant::now();
        let mut breaker = failing(now);
        let later = now + POLICY.open_for;
        let probe = breaker.admit(later).expect("a probe");
        assert!(breaker.admit(later).is_err(), "a second probe");
        breaker.record(later, probe, Some(true));
        assert_eq!(breaker.state(later), CircuitState::Closed);
        assert!(breaker.admit(later).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_an_earlier_spell_is_not_taken_for_the_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        let old: Vec<Spell> = (0..3).map(|_| breaker.admit(now).expect("closed")).collect();
        for _ in 0..4 {
            call(&mut breaker, now, Some(false));
        }
        let later = now + POLICY.open_for;
        let probe = breaker.admit(later).expect("a probe");
        for (spell, outcome) in old.into_iter().zip([Some(true), Some(false), None]) {
            breaker.record(later, spell, outcome);
            assert_eq!(breaker.state(later), CircuitState::HalfOpen, "{outcome:?}");
            assert!(breaker.admit(later).is_err(), "the probe is still out: {outcome:?}");
        }
        breaker.record(later, probe, Some(true));
        assert_eq!(breaker.state(later), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_for_longer_but_not_for_ever() {
        let mut now = Instant::now();
        let mut breaker = failing(now);
        let mut waits = Vec::new();
        for _ in 0..6 {
            now += breaker.admit(now).expect_err("open");
            call(&mut breaker, now, Some(false));
            waits.push(breaker.admit(now).expect_err("open again").as_secs());
        }
        assert_eq!(waits, [20, 40, 80, 80, 80, 80]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_leaves_room_for_the_next() {
        let now = Instant::now();
        let mut breaker = failing(now);
        let later = now + POLICY.open_for;
        call(&mut breaker, later, None);
        assert!(breaker.admit(later).is_ok());
    }
}
