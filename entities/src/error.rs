//! What can go wrong with the store. It knows error codes and no HTTP.

use callboard_protocol::{ClientError, ErrorCode};
use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// What was looked for and is not there, or not for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// An account.
    User,
    /// A conversation.
    Conversation,
    /// A message.
    Message,
    /// A job.
    Job,
    /// A log source.
    Source,
    /// An API key.
    Key,
    /// A rule that watches the log lines.
    AlertRule,
    /// A hold on log lines.
    Hold,
    /// A role.
    Role,
    /// A sign-in.
    SignIn,
}

/// What something new clashes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// The user name is taken, or reserved.
    Username,
    /// There is an administrator already.
    AdminExists,
    /// No administrator would be left who can sign in.
    LastAdmin,
    /// Accounts have the role.
    RoleInUse,
    /// There is no role of this name.
    NoSuchRole,
    /// The account has a second factor already.
    SecondFactor,
    /// Another log source has the name.
    SourceName,
    /// Another alert rule has the name.
    AlertRuleName,
    /// As many turns wait in the conversation as may.
    TurnsWaiting,
}

/// Why a query failed. The `Display` text is for the log; [`StoreError::client`] has the other.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there, or not for this user.
    #[error("no such {0:?}")]
    NotFound(Record),
    /// It clashes with what is there.
    #[error("clashes with what is there: {what:?}")]
    Conflict {
        /// With what.
        what: Clash,
    },
    /// The database cannot be reached, or is too busy. Trying again later may help.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of ours, or a damaged database.
    #[error("the store failed: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// What a client may know of it.
    #[must_use]
    pub fn client(&self) -> ClientError {
        let code = match self {
            Self::NotFound(Record::Conversation) => ErrorCode::ConversationNotFound,
            Self::NotFound(Record::Job) => ErrorCode::JobNotFound,
            Self::NotFound(
                Record::User
                | Record::Message
                | Record::Source
                | Record::Key
                | Record::AlertRule
                | Record::Hold
                | Record::Role
                | Record::SignIn,
            ) => ErrorCode::NotFound,
            Self::Conflict { what: Clash::Username } => {
                return ClientError::new(ErrorCode::Conflict, "This user name is taken.");
            }
            Self::Conflict { what: Clash::SourceName } => {
                let message = "Another log source has this name.";
                return ClientError::new(ErrorCode::Conflict, message);
            }
            Self::Conflict { what: Clash::LastAdmin } => {
                let message = "No administrator would be left who can sign in.";
                return ClientError::new(ErrorCode::Conflict, message);
            }
            Self::Conflict { what: Clash::RoleInUse } => {
                let message = "Accounts have this role: give them another one first.";
                return ClientError::new(ErrorCode::Conflict, message);
            }
            Self::Conflict { what: Clash::SecondFactor } => {
                let message = "This account has a second factor: take it away first.";
                return ClientError::new(ErrorCode::Conflict, message);
            }
            Self::Conflict { what: Clash::NoSuchRole } => {
                let message = "There is no role of this name.";
                return ClientError::new(ErrorCode::ValidationFailed, message);
            }
            Self::Conflict { what: Clash::AlertRuleName } => {
                let message = "Another alert rule has this name.";
                return ClientError::new(ErrorCode::Conflict, message);
            }
            Self::Conflict { what: Clash::AdminExists } => ErrorCode::AlreadySetUp,
            Self::Conflict { what: Clash::TurnsWaiting } => ErrorCode::TurnRunning,
            Self::Unavailable(_) => ErrorCode::StorageUnavailable,
            Self::Internal(_) => ErrorCode::Internal,
        };
        code.into()
    }

    /// Whether the database did its work: a missing row is an answer, too.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::Conflict { .. })
    }

    /// A fault with a sentence for the log.
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into().into())
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let unavailable = if let DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) = &error
        {
            passes(cause)
        } else {
            matches!(error, DbErr::ConnectionAcquire(_))
        };
        if unavailable { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Whether a unique index refused the row.
pub(crate) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether trying again later may help.
fn passes(cause: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(error) = cause {
        return error.code().is_some_and(|code| passing_code(&code));
    }
    matches!(
        cause,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    )
}

/// The codes of SQLite are numbers whose low byte is the kind; those of PostgreSQL are five
/// characters whose first two are the class.
fn passing_code(code: &str) -> bool {
    if code.len() == 5 {
        // Connection lost, out of resources, shut down, deadlock or conflict, lock or statement
        // timed out.
        return matches!(code.get(..2), Some("08" | "53" | "57" | "40")) || code == "55P03";
    }
    // Busy, locked, I/O error, disk full.
    code.parse::<u32>().is_ok_and(|number| matches!(number & 0xff, 5 | 6 | 10 | 13))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_pass_are_told_from_faults() {
        for code in ["5", "517", "6", "13", "57014", "53300", "40P01", "55P03", "08006"] {
            assert!(passing_code(code), "{code}");
        }
        for code in ["1", "1555", "2067", "787", "42P01", "23505", ""] {
            assert!(!passing_code(code), "{code}");
        }
    }

    #[test]
    fn a_client_learns_nothing_internal() {
        let error = StoreError::internal("no such column: password_hash");
        assert_eq!(error.client(), ErrorCode::Internal.into());
    }
}
