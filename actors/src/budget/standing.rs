//! How a caller stands with their budgets.

use callboard_entities::queries::usage::Spender;
use callboard_protocol::{BudgetUnit, ClientError, ErrorCode, Timestamp};

/// The span of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// A calendar month, UTC.
    Month,
}

/// A budget that does not allow a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose.
    pub spender: Spender,
    /// The span of its limit.
    pub period: Period,
    /// What it counts.
    pub unit: BudgetUnit,
    /// The limit.
    pub limit: u64,
    /// When the next span begins.
    pub resets_at: Timestamp,
}

impl Exceeded {
    /// What the caller is told.
    pub(crate) fn client(&self) -> ClientError {
        let whose = match self.spender {
            Spender::User(_) => "account",
            Spender::Key(_) => "key",
            Spender::Role(_) => "role",
        };
        let period = match self.period {
            Period::Day => "day",
            Period::Month => "month",
        };
        let what = match self.unit {
            BudgetUnit::MicroUsd => "budget",
            BudgetUnit::Tokens => "quota of tokens",
        };
        let message = format!("The {what} of this {whose} for the {period} is used up.");
        let mut client = ClientError::new(ErrorCode::BudgetExceeded, message);
        let wait = self.resets_at.as_millis().saturating_sub(Timestamp::now().as_millis());
        client.retry_after_ms = Some(u64::try_from(wait).unwrap_or(0));
        client
    }
}

/// How a caller stands with all of its budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetState {
    /// Below the warning in all, or without any.
    Ok,
    /// So many percent of the most used one are spent or reserved.
    Warn(u64),
    /// One of them is used up.
    Exceeded(Exceeded),
}
