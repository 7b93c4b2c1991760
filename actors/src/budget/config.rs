//! `[budgets]`: who may spend how much.

use std::collections::BTreeMap;

use callboard_protocol::{BudgetUnit, Role};
use serde::{Deserialize, Serialize};

use super::Limits;
use crate::config::BadValue;

const MICRO: f64 = 1_000_000.0;

/// The largest budget, in dollars.
const MOST_USD: f64 = 1e9;

/// What may be spent. No limit where a value is absent; nothing where it is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// US dollars in a day.
    pub daily_usd: Option<f64>,
    /// US dollars in a calendar month.
    pub monthly_usd: Option<f64>,
    /// Tokens, read and written, in a day.
    pub daily_tokens: Option<u64>,
    /// Tokens in a calendar month.
    pub monthly_tokens: Option<u64>,
}

impl Budget {
    pub(super) fn limits(self, unit: BudgetUnit) -> Limits {
        match unit {
            BudgetUnit::MicroUsd => {
                Limits { day: self.daily_usd.map(micro), month: self.monthly_usd.map(micro) }
            }
            BudgetUnit::Tokens => Limits { day: self.daily_tokens, month: self.monthly_tokens },
        }
    }

    fn check(self, at: &str, bad: &mut Vec<BadValue>) {
        for (key, value) in [("daily_usd", self.daily_usd), ("monthly_usd", self.monthly_usd)] {
            if value.is_some_and(|value| !(0.0..=MOST_USD).contains(&value)) {
                bad.push((format!("{at}.{key}"), "must be 0 to 1000000000".to_owned()));
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a range that fits; such a cast saturates"
)]
fn micro(usd: f64) -> u64 {
    (usd.clamp(0.0, MOST_USD) * MICRO).round() as u64
}

/// `[budgets]`: what may be spent. No limits by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// From this share of a budget on, in percent, callers are warned.
    pub warn_percent: u64,
    /// Of each account.
    pub user: Budget,
    /// Of single accounts by user name, instead of `user`.
    pub users: BTreeMap<String, Budget>,
    /// Of each API key, where the key itself names none.
    pub key: Budget,
    /// Of all accounts of a role together.
    pub roles: BTreeMap<Role, Budget>,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            warn_percent: 80,
            user: Budget::default(),
            users: BTreeMap::new(),
            key: Budget::default(),
            roles: BTreeMap::new(),
        }
    }
}

impl BudgetConfig {
    /// Whether anybody is limited in this unit.
    pub(super) fn limits_any(&self, unit: BudgetUnit) -> bool {
        let all = [&self.user, &self.key].into_iter();
        let mut all = all.chain(self.users.values()).chain(self.roles.values());
        all.any(|budget| budget.limits(unit) != Limits::default())
    }

    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        let mut bad = Vec::new();
        if !(1..=100).contains(&self.warn_percent) {
            let problem = format!("is {}, and must be 1 to 100", self.warn_percent);
            bad.push(("warn_percent".to_owned(), problem));
        }
        self.user.check("user", &mut bad);
        self.key.check("key", &mut bad);
        for (name, budget) in &self.users {
            budget.check(&format!("users.{name}"), &mut bad);
        }
        for (role, budget) in &self.roles {
            budget.check(&format!("roles.{role}"), &mut bad);
        }
        bad
    }
}
