//! What decides whether a call may be made now, shared by the actor, its askers and its leases.
//!
//! A mutex, held for well under a microsecond, and no message: while nobody waits an asker gets its
//! lease, and gives it back, without the actor. The actor keeps those who must wait. The state
//! outlives a restart of the actor, so that leases which are out stay counted, and the breaker stays
//! as it was.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callboard_protocol::{CircuitState, UserId};
use callboard_providers::{ProviderConfig, RateLimits};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Outcome, Refused,
    keys::{KeyReading, Keys},
    rates::Rates,
};
use crate::{
    breaker::{Breaker, BreakerPolicy, Spell},
    metrics::Metrics,
};

/// Models of one provider that are told apart: programs may name any. Those after these share the last
/// lane.
const MAX_LANES: usize = 64;

/// See the module.
pub(crate) struct Gate {
    config: Arc<ProviderConfig>,
    policy: BreakerPolicy,
    /// How many there are.
    keys: usize,
    metrics: Metrics,
    state: Mutex<State>,
    /// The same as in the state, for strategies to read without waiting.
    in_flight: AtomicUsize,
}

struct State {
    in_flight: usize,
    /// Leases held, by user; a user without leases is not in it.
    held: HashMap<UserId, usize>,
    /// First that of the provider's own model.
    lanes: Vec<Lane>,
    rates: Rates,
    /// How many the actor keeps waiting.
    waiting: usize,
    /// As it stands in the metrics.
    shown: CircuitState,
    last_error: Option<&'static str>,
}

/// What fails by itself: a model, with each key. Vendors limit a key by the model, and one model may be
/// out while the others answer.
struct Lane {
    model: Box<str>,
    breaker: Breaker,
    keys: Keys,
}

/// What an asker wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'a> {
    /// The model to be asked.
    pub(crate) model: &'a str,
    /// Leases are shared out fairly between users.
    pub(crate) user: UserId,
    /// What the call will use, as far as can be guessed.
    pub(crate) tokens: u64,
    /// When the asker stops waiting.
    pub(crate) deadline: Instant,
    /// Who goes first among those who wait.
    pub(crate) priority: Priority,
}

/// Who goes first among those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A person, or a program that somebody waits for.
    #[default]
    Interactive,
    /// Work that nobody waits for.
    Batch,
}

/// What a lease is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    lane: usize,
    pub(super) spell: Spell,
    pub(super) key: usize,
}

/// Whether a call may be made now.
pub(super) enum Admission {
    Granted(Grant),
    /// Not now: at this time, or else when another one ends.
    Later(Option<Instant>),
    Refused(Refused),
}

/// What a call that ended leaves behind.
pub(super) struct Left {
    pub(super) user: UserId,
    pub(super) grant: Grant,
    pub(super) outcome: Outcome,
    pub(super) reserved: u64,
    pub(super) used: Option<u64>,
}

/// How a provider is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateReadings {
    /// The worst of its lanes.
    pub(crate) circuit: CircuitState,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
    pub(crate) lanes: Vec<LaneReadings>,
    pub(crate) last_error: Option<&'static str>,
}

/// How a model of a provider is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneReadings {
    pub(crate) model: String,
    pub(crate) circuit: CircuitState,
    pub(crate) keys: Vec<KeyReading>,
}

impl State {
    /// The lane of a model, which is made when it is asked for the first time.
    fn lane(&mut self, model: &str, policy: BreakerPolicy, keys: usize) -> usize {
        if let Some(at) = self.lanes.iter().position(|lane| &*lane.model == model) {
            return at;
        }
        if self.lanes.len() == MAX_LANES {
            return MAX_LANES - 1;
        }
        self.lanes.push(Lane::new(model, policy, keys));
        self.lanes.len() - 1
    }
}

impl Lane {
    fn new(model: &str, policy: BreakerPolicy, keys: usize) -> Self {
        Self { model: model.into(), breaker: Breaker::new(policy), keys: Keys::new(keys) }
    }

    fn observe(&self, now: Instant) -> LaneReadings {
        LaneReadings {
            model: self.model.to_string(),
            circuit: self.breaker.state(now),
            keys: self.keys.readings(now),
        }
    }
}

impl Gate {
    pub(super) fn new(config: Arc<ProviderConfig>, keys: usize, metrics: Metrics) -> Self {
        let breaker = &config.breaker;
        let policy = BreakerPolicy {
            window: breaker.window as usize,
            min_calls: breaker.min_calls as usize,
            failure_rate: breaker.failure_rate,
            open_for: Duration::from_millis(breaker.open_ms),
        };
        let state = State {
            in_flight: 0,
            held: HashMap::new(),
            lanes: vec![Lane::new(&config.model, policy, keys)],
            rates: Rates::new(&config, Instant::now()),
            waiting: 0,
            shown: CircuitState::Closed,
            last_error: None,
        };
        metrics.set_breaker(&config.name, CircuitState::Closed);
        // There from the start, so that the first wait and the first refusal are increases.
        metrics.provider_wait.with_label_values(&[config.name.as_str()]);
        for reason in Refused::REASONS {
            metrics.provider_refusals.with_label_values(&[config.name.as_str(), reason]);
        }
        let (state, in_flight) = (Mutex::new(state), AtomicUsize::new(0));
        Self { config, policy, keys, metrics, state, in_flight }
    }

    /// Admits an asker that passes nobody who waits.
    pub(super) fn enter(&self, want: &Want<'_>) -> Admission {
        let mut state = self.state.lock();
        if state.waiting > 0 {
            return Admission::Later(None);
        }
        self.admit(&mut state, want)
    }

    /// Admits one whose turn it is. When it has to wait, it counts as waiting from now on, if `joins`:
    /// then whoever leaves tells the actor.
    pub(super) fn enter_in_turn(&self, want: &Want<'_>, joins: bool) -> Admission {
        let mut state = self.state.lock();
        let admission = self.admit(&mut state, want);
        if joins && matches!(admission, Admission::Later(_)) {
            state.waiting += 1;
        }
        admission
    }

    fn admit(&self, state: &mut State, want: &Want<'_>) -> Admission {
        let now = Instant::now();
        let at = state.lane(want.model, self.policy, self.keys);
        let State { lanes, rates, in_flight, .. } = &mut *state;
        let lane = &mut lanes[at];
        if let Some(retry_after) = lane.breaker.refuses(now) {
            return Admission::Refused(Refused::CircuitOpen { retry_after });
        }
        if *in_flight >= self.config.max_concurrency as usize {
            return Admission::Later(None);
        }
        let wait = rates.wait(want.tokens, now);
        if now + wait > want.deadline {
            return Admission::Refused(Refused::RateLimited { retry_after: wait });
        }
        if !wait.is_zero() {
            return Admission::Later(Some(now + wait));
        }
        if !lane.keys.any_ready(now) {
            // Choosing among none of them says how long they rest.
            let rest = lane.keys.choose(now).err();
            let retry_after = rest.map_or(Duration::ZERO, |rest| rest.wait);
            return Admission::Refused(match rest {
                Some(rest) if rest.refused => Refused::NoKey { retry_after },
                Some(_) | None => Refused::RateLimited { retry_after },
            });
        }
        let spell = match lane.breaker.admit(now) {
            Ok(spell) => spell,
            Err(retry_after) => return Admission::Refused(Refused::CircuitOpen { retry_after }),
        };
        let Ok(key) = lane.keys.choose(now) else { return Admission::Later(None) };
        rates.take(want.tokens);
        state.in_flight += 1;
        self.in_flight.store(state.in_flight, Ordering::Release);
        *state.held.entry(want.user).or_default() += 1;
        self.show(state, now);
        Admission::Granted(Grant { lane: at, spell, key })
    }

    /// A call has ended. Whether somebody waits for its place.
    pub(super) fn leave(&self, left: &Left) -> bool {
        let now = Instant::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.in_flight = state.in_flight.saturating_sub(1);
        self.in_flight.store(state.in_flight, Ordering::Release);
        let lane = &mut state.lanes[left.grant.lane];
        if let Some(leases) = state.held.get_mut(&left.user) {
            *leases -= 1;
            if *leases == 0 {
                state.held.remove(&left.user);
            }
        }
        if let Some(used) = left.used {
            state.rates.settle(left.reserved, used);
        }
        let (said, key) = (&left.outcome, left.grant.key);
        match *said {
            Outcome::KeyFailed { fault, kind } => {
                lane.keys.failed(now, key, fault);
                state.last_error = Some(kind);
            }
            Outcome::Failed { kind } => state.last_error = Some(kind),
            Outcome::Answered => lane.keys.worked(key),
            Outcome::Unknown => {}
        }
        let outcome = match *said {
            Outcome::Answered => Some(true),
            Outcome::Failed { .. } => Some(false),
            Outcome::KeyFailed { .. } | Outcome::Unknown => None,
        };
        lane.breaker.record(now, left.grant.spell, outcome);
        self.show(state, now);
        state.waiting > 0
    }

    /// What the head of a reply said of the limits of a key.
    pub(super) fn learned(&self, grant: &Grant, limits: &RateLimits) {
        if *limits != RateLimits::default() {
            let lane = &mut self.state.lock().lanes[grant.lane];
            lane.keys.learned(Instant::now(), grant.key, limits);
        }
    }

    /// Whether a call of this model could be made with another key, right after one has failed.
    pub(crate) fn has_another_key(&self, model: &str) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let at = state.lane(model, self.policy, self.keys);
        let lane = &state.lanes[at];
        lane.keys.any_ready(now) && lane.breaker.refuses(now).is_none()
    }

    /// It was found there, or gone, without a call.
    pub(super) fn seen(&self, there: bool) {
        let now = Instant::now();
        let mut state = self.state.lock();
        // So that the first caller is spared, too.
        state.lane(&self.config.model, self.policy, self.keys);
        for lane in &mut state.lanes {
            lane.breaker.seen(now, there);
        }
        if !there {
            state.last_error = Some("unreachable");
        }
        self.show(&mut state, now);
    }

    /// Closes the breaker and wakes all keys.
    pub(super) fn reset(&self) {
        let mut state = self.state.lock();
        for lane in &mut state.lanes {
            lane.breaker.reset();
            lane.keys.reset();
        }
        state.last_error = None;
        self.show(&mut state, Instant::now());
    }

    /// How many the actor keeps waiting.
    pub(super) fn set_waiting(&self, waiting: usize) {
        self.state.lock().waiting = waiting;
    }

    /// Of some users the place of the one who holds the fewest leases; the first of several.
    pub(super) fn fewest_held(&self, users: impl Iterator<Item = UserId>) -> Option<usize> {
        let state = self.state.lock();
        let held = |user| state.held.get(&user).copied().unwrap_or(0);
        users.enumerate().min_by_key(|(place, user)| (held(*user), *place)).map(|(place, _)| place)
    }

    /// Leases that are out.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// How it is.
    pub(crate) fn observe(&self) -> GateReadings {
        let now = Instant::now();
        let mut state = self.state.lock();
        self.show(&mut state, now);
        GateReadings {
            circuit: state.shown,
            in_flight: state.in_flight,
            waiting: state.waiting,
            lanes: state.lanes.iter().map(|lane| lane.observe(now)).collect(),
            last_error: state.last_error,
        }
    }

    fn show(&self, state: &mut State, now: Instant) {
        let worst = state.lanes.iter().map(|lane| lane.breaker.state(now)).max_by_key(severity);
        let circuit = worst.unwrap_or(CircuitState::Closed);
        if circuit != state.shown {
            state.shown = circuit;
            self.metrics.set_breaker(&self.config.name, circuit);
        }
    }
}

fn severity(circuit: &CircuitState) -> u8 {
    match circuit {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    }
}
