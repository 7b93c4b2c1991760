//! The usage ledger: what every call of a model used and cost, and the sums of it.
//!
//! Money is a whole number of micro-dollars (millionths of a US dollar), so that sums are exact in
//! any order and on any database.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{ApiKeyId, CallId, RequestId, Timestamp, TurnId, UserId};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$member_doc])* $member,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$member,)+];

            /// The name, as on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text,)+ }
            }
        }
    };
}

named! {
    /// Through which door a call came.
    UsageEndpoint {
        /// A turn of a conversation.
        Chat = "chat",
        /// `POST /v1/chat/completions`.
        ChatCompletions = "chat_completions",
        /// `POST /v1/messages`.
        Messages = "messages",
        /// `POST /v1/responses`.
        Responses = "responses",
        /// `POST /v1/embeddings`.
        Embeddings = "embeddings",
    }
}

named! {
    /// How a call ended.
    CallStatus {
        /// The answer is complete.
        Answered = "answered",
        /// The caller went away or stopped it; what was streamed until then is billed.
        Cancelled = "cancelled",
        /// The upstream failed.
        Failed = "failed",
        /// Answered from the cache: no upstream was asked.
        Cached = "cached",
        /// Another upstream of the same request was faster.
        HedgeLost = "hedge_lost",
        /// The server ended in mid-call; the numbers are estimates made before it.
        Lost = "lost",
    }
}

named! {
    /// What the rows of a report stand for.
    UsageGroup {
        /// One row in all.
        None = "none",
        /// A row for each account.
        User = "user",
        /// A row for each API key; calls without one are a row, too.
        Key = "key",
        /// A row for each model.
        Model = "model",
        /// A row for each provider.
        Provider = "provider",
        /// A row for each day, in UTC.
        Day = "day",
    }
}

/// The tokens of a call, or a sum of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CallTokens {
    /// Read by the model, those from the provider's prompt cache included.
    pub input: u64,
    /// Written by the model, those of its reasoning included.
    pub output: u64,
    /// Of the input, what the provider had in its prompt cache.
    pub cached_input: u64,
    /// Of the input, what the provider put into its prompt cache.
    pub cache_write: u64,
    /// Of the output, what was reasoning.
    pub reasoning: u64,
}

/// One call of a model (an attempt, of which a request may need several), or one answer from the
/// cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageEvent {
    /// Its id.
    pub id: CallId,
    /// The request that it belongs to; its other attempts have the same.
    pub request_id: RequestId,
    /// When the upstream was asked.
    pub started_at: Timestamp,
    /// When the call ended.
    pub ended_at: Timestamp,
    /// Who asked.
    pub user_id: UserId,
    /// With which key; absent for a session.
    #[schema(required)]
    pub api_key_id: Option<ApiKeyId>,
    /// For which turn; absent for programs.
    #[schema(required)]
    pub turn_id: Option<TurnId>,
    /// Through which door.
    pub endpoint: UsageEndpoint,
    /// The model that the caller named.
    pub alias: String,
    /// The provider that was asked.
    pub provider: String,
    /// The model that the provider was asked for.
    pub model: String,
    /// How it ended.
    pub status: CallStatus,
    /// The kind of failure, when it failed.
    #[schema(required)]
    pub error: Option<String>,
    /// What it used.
    pub tokens: CallTokens,
    /// Whether the tokens are counted by us and not by the provider.
    pub estimated: bool,
    /// What it cost, in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// From the start to the first token, in milliseconds.
    #[schema(required)]
    pub ttft_ms: Option<u64>,
    /// From the start to the end, in milliseconds.
    pub duration_ms: u64,
}

/// How many calls ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallCounts {
    /// All of them.
    pub calls: u64,
    /// Complete answers.
    pub answered: u64,
    /// Stopped by the caller.
    pub cancelled: u64,
    /// Failed upstream.
    pub failed: u64,
    /// From the cache.
    pub cached: u64,
    /// Slower than another upstream of the same request.
    pub hedge_lost: u64,
    /// In flight when the server ended.
    pub lost: u64,
}

/// The sums over some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageTotals {
    /// How many calls.
    pub counts: CallCounts,
    /// What they used.
    pub tokens: CallTokens,
    /// What they cost, in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Of the calls, those whose tokens are counted by us and not by the provider.
    pub estimated_calls: u64,
}

/// A row of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// What it stands for: an id, a name, or a date such as `2026-11-21`; absent when there is
    /// one row in all, and for the calls without an API key.
    #[schema(required)]
    pub group: Option<String>,
    /// The sums.
    pub totals: UsageTotals,
}

/// The sums over the calls of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// What the rows stand for.
    pub group_by: UsageGroup,
    /// Days: the latest first. Otherwise the most expensive first.
    pub rows: Vec<UsageRow>,
    /// Whether there are more rows than are shown.
    pub truncated: bool,
    /// The sums over all rows, also those that are not shown.
    pub total: UsageTotals,
}

/// The span of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// From midnight to midnight, UTC.
    Day,
    /// A calendar month, UTC.
    Month,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetUnit {
    /// Cost, in millionths of a US dollar.
    MicroUsd,
    /// Tokens, read and written.
    Tokens,
}

/// How somebody stands with one of their budgets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetStanding {
    /// Whose it is: `user`, `key`, or `role` for all accounts of the role together.
    pub of: String,
    /// Its span.
    pub period: BudgetPeriod,
    /// What it counts.
    pub unit: BudgetUnit,
    /// The most that may be spent.
    pub limit: u64,
    /// What is spent, or set aside for calls that run.
    pub held: u64,
    /// When it begins anew.
    pub resets_at: Timestamp,
}

/// The reply of `GET /budgets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetList {
    /// Every limit that the caller has; none where nothing is limited.
    pub items: Vec<BudgetStanding>,
}

/// The query of `GET /usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// From this instant or date on.
    #[serde(deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// Before this instant, or up to the end of this date.
    #[serde(deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// Only the calls of this account.
    pub user_id: Option<UserId>,
    /// Only the calls with this key.
    pub api_key_id: Option<ApiKeyId>,
    /// Only the calls of this model.
    pub model: Option<String>,
    /// Only the calls of this provider.
    pub provider: Option<String>,
    /// What the rows stand for; one row in all when absent.
    pub group_by: Option<UsageGroup>,
}

/// The query of `GET /usage/calls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallsQuery {
    /// Only the attempts of this request: the `x-request-id` of its reply.
    pub request_id: Option<RequestId>,
    /// From this instant or date on.
    #[serde(deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// Before this instant, or up to the end of this date.
    #[serde(deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// Only the calls of this account.
    pub user_id: Option<UserId>,
    /// Only the calls with this key.
    pub api_key_id: Option<ApiKeyId>,
    /// Only the calls of this model.
    pub model: Option<String>,
    /// Only the calls of this provider.
    pub provider: Option<String>,
    /// How many at most: 1 to 1,000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// The reply of `GET /usage/calls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallList {
    /// The latest first.
    pub items: Vec<UsageEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for status in CallStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for endpoint in UsageEndpoint::ALL {
            assert_eq!(serde_json::to_value(endpoint).unwrap(), endpoint.as_str());
        }
        for group in UsageGroup::ALL {
            assert_eq!(serde_json::to_value(group).unwrap(), group.as_str());
        }
    }

    #[test]
    fn a_query_reads_dates() {
        let query: UsageQuery = serde_json::from_str(
            r#"{"from": "2026-11-01", "to": "2026-11-30", "group_by": "day"}"#,
        )
        .unwrap();
        assert_eq!(query.to.unwrap().to_string(), "2026-12-01T00:00:00.000Z");
        assert_eq!(query.group_by, Some(UsageGroup::Day));
        assert!(serde_json::from_str::<UsageQuery>(r#"{"form": "2026-11-01"}"#).is_err());
    }
}
