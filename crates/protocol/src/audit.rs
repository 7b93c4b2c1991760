//! The audit trail, as administrators read it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{AuditEventId, RequestId, Timestamp, UserId};

/// Something that was done, or refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditEventId,
    /// Its number in the chain; absent of one from before there was a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seq: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// Who did it; absent for the server itself, and for somebody unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<UserId>,
    /// Their name then, or the one that somebody unknown gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor_name: Option<String>,
    /// What: `auth.login`, `user.change`…
    pub action: String,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub object: Option<String>,
    /// From which network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// In which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<RequestId>,
    /// More, as what was before and after.
    #[schema(value_type = Object)]
    pub details: Value,
    /// Whether what tells of a person was erased, with an account.
    pub erased: bool,
}

/// The reply of `GET /admin/audit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// They, the latest first.
    pub items: Vec<AuditEntry>,
    /// Leads to the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// The query string of `GET /admin/audit`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditSearch {
    /// Done by this account.
    pub actor: Option<UserId>,
    /// This action, or all that begin so when it ends with a dot: `auth.`
    #[param(max_length = 200)]
    pub action: Option<String>,
    /// Done to this.
    #[param(max_length = 200)]
    pub object: Option<String>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// At most so many; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// From the page before.
    pub cursor: Option<String>,
}

/// The query string of `GET /admin/audit/export`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExport {
    /// Done by this account.
    pub actor: Option<UserId>,
    /// This action, or all that begin so when it ends with a dot: `auth.`
    #[param(max_length = 200)]
    pub action: Option<String>,
    /// Done to this.
    #[param(max_length = 200)]
    pub object: Option<String>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// JSON lines when absent.
    #[serde(default)]
    pub format: AuditExportFormat,
}

/// How the audit trail is written to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditExportFormat {
    /// A JSON object on each line.
    #[default]
    Ndjson,
    /// A table. A cell that a spreadsheet would take for a formula has an apostrophe before it.
    Csv,
}

/// Whether the chain of the audit trail holds: the reply of `GET /admin/audit/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditCheck {
    /// Whether it does.
    pub intact: bool,
    /// What is wrong with it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub breach: Option<String>,
    /// Events whose place in the chain was checked.
    pub checked: u64,
    /// Of these, events from which what tells of a person was erased.
    pub erased: u64,
    /// Events from before there was a chain.
    pub unchained: u64,
    /// The number of the first event that is kept.
    pub first_seq: u64,
    /// The number of the last event that was checked.
    pub head_seq: u64,
    /// Its hash, as hexadecimal digits. Kept elsewhere, it shows later whether the trail up to there is
    /// still the same.
    pub head_hash: String,
}
