//! Budgets: how much may be spent, by whom, in a day and in a calendar month (UTC); in money, or in
//! tokens.
//!
//! A mutex around counters and no actor: a check is on the way of every call, and takes less than a
//! message would. Counters are in memory; [`Budgets::load`] brings what the ledger knows, at the
//! start (after [`Ledger::replayed`](crate::Ledger::replayed)) and whenever somebody wishes. A call
//! belongs to the day and the month in which it was reserved, as in the ledger, whenever it ends.
//!
//! **Bound.** Three counters for each account and key that spends in a month; the month's end clears
//! them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use callboard_entities::{
    Store, StoreError,
    queries::usage::{Spender, SpendingUnit, spending_since},
};
use callboard_protocol::{
    ApiKeyId, BudgetPeriod, BudgetStanding, BudgetUnit, Role, Timestamp, User, UserId,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

mod calendar;
mod config;
mod standing;

#[cfg(test)]
mod tests;

use calendar::Calendar;
pub use config::{Budget, BudgetConfig};
pub use standing::{BudgetState, Exceeded, Period};

/// How often the counters are brought up to the ledger.
const RELOAD: Duration = Duration::from_secs(60);

/// Limits; none where a value is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In a day.
    pub day: Option<u64>,
    /// In a calendar month.
    pub month: Option<u64>,
}

/// Who wants to spend.
#[derive(Clone, Copy, Debug)]
pub struct BudgetCaller<'a> {
    /// The account.
    pub user: UserId,
    /// Its user name, as it is stored.
    pub username: &'a str,
    /// Its role.
    pub role: Role,
    /// The key and its own limits, when it calls with one.
    pub key: Option<(ApiKeyId, Limits)>,
}

/// Whose budgets a call counts to, for as long as it runs.
#[derive(Clone, Debug)]
pub struct Payer {
    username: Box<str>,
    role: Role,
    key: Option<(ApiKeyId, Limits)>,
}

impl Payer {
    /// An account that calls with a key of these limits, or with none.
    #[must_use]
    pub fn new(user: &User, key: Option<(ApiKeyId, Limits)>) -> Self {
        Self { username: user.username.as_str().into(), role: user.role, key }
    }

    /// The name of the account.
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    fn caller(&self, user: UserId) -> BudgetCaller<'_> {
        BudgetCaller { user, username: &self.username, role: self.role, key: self.key }
    }
}

/// What was spent in a span, and what is reserved by calls that were begun in it.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    spent: u64,
    reserved: u64,
}

impl Window {
    fn held(self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }

    fn settle(&mut self, estimate: u64, actual: u64) {
        self.reserved = self.reserved.saturating_sub(estimate);
        self.spent = self.spent.saturating_add(actual);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    day: Window,
    month: Window,
}

struct State {
    unit: BudgetUnit,
    config: BudgetConfig,
    calendar: Calendar,
    counters: HashMap<Spender, Counter>,
}

/// See the module. A cheap clone.
#[derive(Clone)]
pub struct Budgets {
    inner: Arc<Inner>,
}

struct Inner {
    unit: BudgetUnit,
    state: Mutex<State>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Inner {
    /// The state, at the present day and month.
    fn now(&self) -> parking_lot::MutexGuard<'_, State> {
        let at = (self.clock)();
        let mut state = self.state.lock();
        state.turn_to(at);
        state
    }
}

impl Budgets {
    /// With nothing spent. `clock` is [`Timestamp::now`] outside of tests.
    pub fn new(
        config: BudgetConfig,
        unit: BudgetUnit,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let calendar = Calendar::at(clock());
        let state = Mutex::new(State { unit, config, calendar, counters: HashMap::new() });
        Self { inner: Arc::new(Inner { unit, state, clock: Box::new(clock) }) }
    }

    /// With what was spent before the server started.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn start(
        config: BudgetConfig,
        unit: BudgetUnit,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let budgets = Self::new(config, unit, Timestamp::now);
        budgets.load(store).await?;
        Ok(budgets)
    }

    /// Whether anybody is limited by the configuration; keys may have limits of their own.
    pub(crate) fn limits_any(&self) -> bool {
        self.inner.state.lock().config.limits_any(self.inner.unit)
    }

    /// Other limits from now on; what was spent and reserved stays.
    pub fn configure(&self, config: BudgetConfig) {
        self.inner.now().config = config;
    }

    /// Brings the counters up to what the ledger knows of this day and this month. What they count
    /// beyond that is not in the database yet, and stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let calendar = self.inner.now().calendar;
        let unit = match self.inner.unit {
            BudgetUnit::MicroUsd => SpendingUnit::MicroUsd,
            BudgetUnit::Tokens => SpendingUnit::Tokens,
        };
        let rows = spending_since(store, unit, calendar.day, calendar.month).await?;
        let mut known: HashMap<Spender, (u64, u64)> = HashMap::new();
        for row in rows {
            let spenders = [
                Some(Spender::User(row.user)),
                row.key.map(Spender::Key),
                row.role.map(Spender::Role),
            ];
            for spender in spenders.into_iter().flatten() {
                let (day, month) = known.entry(spender).or_default();
                *day = day.saturating_add(row.day);
                *month = month.saturating_add(row.month);
            }
        }
        let mut state = self.inner.now();
        let (same_day, same_month) =
            (state.calendar.day == calendar.day, state.calendar.month == calendar.month);
        for (spender, (day, month)) in known {
            let counter = state.counters.entry(spender).or_default();
            if same_day {
                counter.day.spent = counter.day.spent.max(day);
            }
            if same_month {
                counter.month.spent = counter.month.spent.max(month);
            }
        }
        Ok(())
    }

    /// How the caller stands.
    #[must_use]
    pub fn check(&self, caller: &BudgetCaller<'_>) -> BudgetState {
        let state = self.inner.now();
        if let Some(exceeded) = state.exceeded(caller, 0) {
            return BudgetState::Exceeded(exceeded);
        }
        let most = state.limits(caller).filter_map(|limit| limit.percent()).max().unwrap_or(0);
        if most >= state.config.warn_percent { BudgetState::Warn(most) } else { BudgetState::Ok }
    }

    /// Sets `estimate` aside for a call, in all of the caller's budgets or in none.
    /// Calls that run at once cannot together go beyond a budget by more than they cost beyond
    /// their estimates.
    ///
    /// # Errors
    /// When a budget is used up, or what is left of it is less than the estimate.
    pub fn reserve(
        &self,
        caller: &BudgetCaller<'_>,
        estimate: u64,
    ) -> Result<Reservation, Exceeded> {
        let mut state = self.inner.now();
        if let Some(exceeded) = state.exceeded(caller, estimate) {
            return Err(exceeded);
        }
        let spenders = spenders(caller);
        for spender in spenders.into_iter().flatten() {
            let counter = state.counters.entry(spender).or_default();
            counter.day.reserved = counter.day.reserved.saturating_add(estimate);
            counter.month.reserved = counter.month.reserved.saturating_add(estimate);
        }
        let (calendar, inner) = (state.calendar, Arc::clone(&self.inner));
        Ok(Reservation { inner, spenders, calendar, estimate, settled: false })
    }

    /// Sets `estimate` aside for a call of an account; see [`Budgets::reserve`].
    ///
    /// # Errors
    /// As [`Budgets::reserve`].
    pub(crate) fn reserve_for(
        &self,
        (user, payer): (UserId, &Payer),
        estimate: u64,
    ) -> Result<Reservation, Exceeded> {
        self.reserve(&payer.caller(user), estimate)
    }

    /// How the most used budget of an account stands, in percent, when that is worth a warning.
    pub(crate) fn warning(&self, user: UserId, payer: &Payer) -> Option<u64> {
        match self.check(&payer.caller(user)) {
            BudgetState::Ok => None,
            BudgetState::Warn(percent) => Some(percent),
            BudgetState::Exceeded(_) => Some(100),
        }
    }

    /// How an account stands with each of its limits; nothing where there is none.
    pub(crate) fn standing(&self, user: UserId, payer: &Payer) -> Vec<BudgetStanding> {
        let state = self.inner.now();
        let limits = state.limits(&payer.caller(user));
        let standing = limits.map(|held| BudgetStanding {
            of: match held.spender {
                Spender::User(_) => "user",
                Spender::Key(_) => "key",
                Spender::Role(_) => "role",
            }
            .to_owned(),
            period: match held.period {
                Period::Day => BudgetPeriod::Day,
                Period::Month => BudgetPeriod::Month,
            },
            unit: self.inner.unit,
            limit: held.limit,
            held: held.held,
            resets_at: held.resets_at,
        });
        standing.collect()
    }

    /// Brings the counters up to the ledger every [`RELOAD`], so that several servers on one database
    /// keep one budget, until `stopped`.
    pub(crate) async fn keep_loaded(self, store: Store, stopped: CancellationToken) {
        loop {
            if let Err(error) = self.load(&store).await {
                tracing::warn!(%error, "budgets could not be loaded");
            }
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(RELOAD) => {}
            }
        }
    }

    /// What was spent in this day and in this month.
    #[must_use]
    pub fn spent(&self, spender: Spender) -> (u64, u64) {
        let state = self.inner.now();
        let counter = state.counters.get(&spender).copied().unwrap_or_default();
        (counter.day.spent, counter.month.spent)
    }
}

/// What is set aside for one call. Dropping it gives it back as not spent.
#[must_use = "dropping it gives it back"]
pub struct Reservation {
    inner: Arc<Inner>,
    spenders: [Option<Spender>; 3],
    /// When it was made.
    calendar: Calendar,
    estimate: u64,
    settled: bool,
}

impl Reservation {
    /// What the call cost in the end, all of its attempts together; it may be more than was set
    /// aside.
    pub fn settle(mut self, actual: u64) {
        self.end(actual);
    }

    fn end(&mut self, actual: u64) {
        self.settled = true;
        let mut state = self.inner.now();
        let same_day = state.calendar.day == self.calendar.day;
        let same_month = state.calendar.month == self.calendar.month;
        if !same_month {
            return;
        }
        for spender in self.spenders.into_iter().flatten() {
            let counter = state.counters.entry(spender).or_default();
            counter.month.settle(self.estimate, actual);
            if same_day {
                counter.day.settle(self.estimate, actual);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled {
            self.end(0);
        }
    }
}

/// One limit of a caller, and what is held against it.
struct Held {
    spender: Spender,
    period: Period,
    limit: u64,
    held: u64,
    resets_at: Timestamp,
}

impl Held {
    fn refuses(&self, estimate: u64) -> bool {
        self.held >= self.limit || self.held.saturating_add(estimate) > self.limit
    }

    fn percent(&self) -> Option<u64> {
        self.held.saturating_mul(100).checked_div(self.limit)
    }
}

impl State {
    /// Begins a new day or month. The clock may be set back; the days are not.
    fn turn_to(&mut self, at: Timestamp) {
        if at < self.calendar.next_day {
            return;
        }
        let next = Calendar::at(at);
        if next.month == self.calendar.month {
            for counter in self.counters.values_mut() {
                counter.day = Window::default();
            }
        } else {
            self.counters = HashMap::new();
        }
        self.calendar = next;
    }

    /// The limit that refuses a call of this estimate; of several the one that lasts longest.
    fn exceeded(&self, caller: &BudgetCaller<'_>, estimate: u64) -> Option<Exceeded> {
        let refusing = self.limits(caller).filter(|limit| limit.refuses(estimate));
        let longest = refusing.max_by_key(|limit| limit.resets_at)?;
        Some(Exceeded {
            spender: longest.spender,
            period: longest.period,
            unit: self.unit,
            limit: longest.limit,
            resets_at: longest.resets_at,
        })
    }

    /// All limits that the caller has.
    fn limits<'a>(&'a self, caller: &BudgetCaller<'_>) -> impl Iterator<Item = Held> + use<'a> {
        let config = &self.config;
        let unit = self.unit;
        let user = config.users.get(caller.username).unwrap_or(&config.user).limits(unit);
        let role = config.roles.get(&caller.role).copied().unwrap_or_default().limits(unit);
        let key = caller.key.map_or_else(Limits::default, |(_, own)| {
            // A key's own limits are money.
            let own = if unit == BudgetUnit::MicroUsd { own } else { Limits::default() };
            let other = config.key.limits(unit);
            Limits { day: own.day.or(other.day), month: own.month.or(other.month) }
        });
        let limits = [user, key, role];
        let all = spenders(caller).into_iter().zip(limits);
        all.filter_map(|(spender, limits)| Some((spender?, limits))).flat_map(
            move |(spender, limits)| {
                let counter = self.counters.get(&spender).copied().unwrap_or_default();
                let Calendar { next_day, next_month, .. } = self.calendar;
                [
                    (Period::Day, limits.day, counter.day, next_day),
                    (Period::Month, limits.month, counter.month, next_month),
                ]
                .into_iter()
                .filter_map(move |(period, limit, window, resets_at)| {
                    Some(Held { spender, period, limit: limit?, held: window.held(), resets_at })
                })
            },
        )
    }
}

/// Whose budgets a call of this caller counts to, in the order of [`State::limits`].
fn spenders(caller: &BudgetCaller<'_>) -> [Option<Spender>; 3] {
    [
        Some(Spender::User(caller.user)),
        caller.key.map(|(key, _)| Spender::Key(key)),
        Some(Spender::Role(caller.role)),
    ]
}
