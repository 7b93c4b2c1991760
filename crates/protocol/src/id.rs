//! Ids: newtypes over UUIDv7 (sortable by creation), and the short ids of log lines.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use uuid::Uuid;

/// The one place where Callboard makes an id.
#[expect(clippy::disallowed_methods, reason = "this is the one place that makes ids")]
fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later than every one made before it by this process.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an id has no default value")]
            pub fn new() -> Self {
                Self(new_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

uuid_ids! {
    /// A person or a service that signs in.
    UserId;
    /// One WebSocket connection, and its successors after a reconnect.
    SessionId;
    /// A thread of messages.
    ConversationId;
    /// A question and the work of answering it.
    TurnId;
    /// One message of a conversation.
    MessageId;
    /// A run of background work.
    JobId;
    /// Where log lines come from.
    SourceId;
    /// A key for programs.
    ApiKeyId;
    /// All refresh tokens that descend from one sign-in.
    TokenFamilyId;
    /// One refresh token.
    TokenId;
    /// One HTTP request, as in `X-Request-Id`.
    RequestId;
    /// One call of a model, or one answer from the cache, in the usage ledger.
    CallId;
    /// One entry of the audit trail.
    AuditEventId;
    /// A rule that watches the lines that come in.
    AlertRuleId;
    /// Something that a rule found.
    AlertId;
    /// A hold on log lines.
    LogHoldId;
}

/// Why a text is not a short id.
#[derive(Debug, PartialEq, Eq)]
pub enum ShortIdError {
    /// It does not start with its letter.
    Prefix(char),
    /// What follows the letter is no such number.
    Number(char, ParseIntError),
}

impl fmt::Display for ShortIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(letter) => {
                write!(f, "the id is {letter} and a number, as in {letter}1042")
            }
            Self::Number(letter, error) => {
                write!(f, "the id is {letter} and a number, as in {letter}1042: {error}")
            }
        }
    }
}

impl std::error::Error for ShortIdError {}

/// Ids whose text form is a letter and a decimal number.
macro_rules! short_ids {
    ($($(#[$doc:meta])* $name:ident = $letter:literal $number:ty, $example:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
        #[schema(value_type = String, example = $example)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $letter, self.0)
            }
        }

        impl FromStr for $name {
            type Err = ShortIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.strip_prefix($letter).ok_or(ShortIdError::Prefix($letter))?;
                digits.parse().map(Self).map_err(|error| ShortIdError::Number($letter, error))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

short_ids! {
    /// The id of a log line: valid for as long as the line is kept, across merges of the index.
    ///
    /// Its text form is `L` and the decimal number, as it stands in citations: `L1042`.
    LineId = 'L' u64, "L1042";
    /// The id of a pattern of log lines, such as `P12`. When a pattern joins another, its id goes on
    /// to name the one that it has joined. The index gives new ones when all of it is made anew.
    PatternId = 'P' u32, "P12";
}

/// The client's own name for a message it submits; submitting it again changes nothing.
///
/// One to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 64)]
pub struct ClientMessageId(String);

impl ClientMessageId {
    /// A fresh one, for callers that name none.
    #[must_use]
    pub fn random() -> Self {
        Self(new_uuid().to_string())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientMessageId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
            .ok_or("a client_message_id is 1 to 64 visible ASCII characters")
    }
}

impl<'de> Deserialize<'de> for ClientMessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_id_reads_back_what_it_prints() {
        for id in [LineId(0), LineId(1042), LineId(u64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<LineId>(&json).unwrap(), id);
        }
    }

    #[test]
    fn a_line_id_refuses_other_text() {
        assert_eq!("1042".parse::<LineId>(), Err(ShortIdError::Prefix('L')));
        for text in ["L", "L-1", "Lx", "L99999999999999999999999"] {
            assert!(matches!(text.parse::<LineId>(), Err(ShortIdError::Number('L', _))), "{text}");
        }
    }

    #[test]
    fn a_client_message_id_is_short_and_visible() {
        assert!("a-1".parse::<ClientMessageId>().is_ok());
        for text in ["", "a b", "ü", "line\n", &"x".repeat(65)] {
            assert!(text.parse::<ClientMessageId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_sort_by_creation() {
        let ids: Vec<TurnId> = (0..1000).map(|_| TurnId::new()).collect();
        assert!(ids.is_sorted());
    }
}
