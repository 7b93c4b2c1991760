//! API keys: the text of a key, and the bodies of `/keys`.
//!
//! The text is `cb_`, 43 characters that carry 32 random bytes, and 6 characters of a checksum over
//! them, all of `0-9A-Za-z`: a double click selects it whole, secret scanners can tell it, and a
//! typing error is refused without a look into the database.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiKeyId, Timestamp, UserId};

/// What every key begins with.
const MARK: &str = "cb_";

/// Characters that carry the random bytes: 62 to the power of 43 is just over 2 to the power of 256.
const BODY: usize = 43;

/// Characters of the checksum: enough for 32 bits.
const CHECK: usize = 6;

/// Characters of a key that may be shown: few enough to leave 214 bits unknown.
const SHOWN: usize = 10;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text of a key: a secret. It is neither printed nor shown in debug output; see
/// [`KeySecret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

impl KeySecret {
    /// The key that carries these bytes, which must come from the operating system's random source.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let body = base_62(bytes);
        let check = checksum(&body);
        Self(format!("{MARK}{body}{check}"))
    }

    /// Whether a text means to be a key; whether it is one, only reading it tells.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The beginning of it, by which its owner knows it again.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({}…)", self.prefix())
    }
}

/// Why a text is not a key. It says nothing of the text, which may be a secret with a typing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTextError {
    /// It has not the form of a key.
    Form,
    /// It has the form, and its checksum does not fit.
    Checksum,
}

impl fmt::Display for KeyTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a key is cb_ and 49 letters and digits",
            Self::Checksum => "the key is mistyped or cut: its checksum does not fit",
        })
    }
}

impl std::error::Error for KeyTextError {}

impl FromStr for KeySecret {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(MARK).ok_or(KeyTextError::Form)?;
        if rest.len() != BODY + CHECK || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(KeyTextError::Form);
        }
        let (body, check) = rest.split_at(BODY);
        if checksum(body) == check {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyTextError::Checksum)
        }
    }
}

/// The bytes as one large number, written with 62 digits.
fn base_62(mut bytes: [u8; 32]) -> String {
    let mut digits = [b'0'; BODY];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u16;
        for byte in &mut bytes {
            let value = rest * 256 + u16::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = DIGITS[usize::from(rest)];
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// The CRC-32 of a text, written with 62 digits.
fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut left = !crc;
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(left % 62) as usize];
        left /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// What a key may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Have models write: chat completions, responses, messages.
    Chat,
    /// Have models embed.
    Embeddings,
    /// List the models.
    Models,
    /// Search logs and open lines.
    LogsRead,
    /// Push and upload logs.
    LogsWrite,
    /// See what the key's own calls used and cost.
    UsageRead,
}

impl KeyScope {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Embeddings,
        Self::Models,
        Self::LogsRead,
        Self::LogsWrite,
        Self::UsageRead,
    ];

    /// The name, as on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::LogsRead => "logs_read",
            Self::LogsWrite => "logs_write",
            Self::UsageRead => "usage_read",
        }
    }
}

impl FromStr for KeyScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or("a scope is chat, embeddings, models, logs_read, logs_write or usage_read")
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of `POST /keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// 1 to 100 characters, for people.
    pub name: String,
    /// What it may be used for; at least one.
    pub scopes: Vec<KeyScope>,
    /// The models that it may name; all when absent.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// What it may cost in a day (UTC), in millionths of a US dollar; no limit when absent.
    #[serde(default)]
    pub daily_budget_micro_usd: Option<u64>,
    /// What it may cost in a calendar month (UTC), in millionths of a US dollar; no limit when
    /// absent.
    #[serde(default)]
    pub monthly_budget_micro_usd: Option<u64>,
    /// When it ends; never when absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// For people.
    pub name: String,
    /// The beginning of its text, to know it by.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Vec<KeyScope>,
    /// The models that it may name; all when absent.
    #[schema(required)]
    pub models: Option<Vec<String>>,
    /// What it may cost in a day (UTC), in millionths of a US dollar.
    #[schema(required)]
    pub daily_budget_micro_usd: Option<u64>,
    /// What it may cost in a calendar month (UTC), in millionths of a US dollar.
    #[schema(required)]
    pub monthly_budget_micro_usd: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(required)]
    pub last_used_at: Option<Timestamp>,
    /// Since when it is revoked.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is good at `now`: neither revoked nor expired.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it may name this model.
    #[must_use]
    pub fn may_name(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| allowed == model))
    }
}

/// A new key with its secret: the reply of `POST /keys`, and the only one that holds the secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyCreated {
    /// The key.
    pub key: ApiKey,
    /// Its text. It is not stored and cannot be shown again.
    #[schema(format = Password)]
    pub secret: String,
}

/// A page of keys, the latest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyPage {
    /// The keys.
    pub items: Vec<ApiKey>,
    /// For the next page; absent on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_what_it_prints() {
        for bytes in [[0; 32], [1; 32], [0xff; 32], std::array::from_fn(|i| i as u8 * 7)] {
            let key = KeySecret::from_random(bytes);
            assert_eq!(key.expose().len(), 52);
            assert_eq!(key.expose().parse(), Ok(key.clone()));
        }
        let (zero, full) = (KeySecret::from_random([0; 32]), KeySecret::from_random([0xff; 32]));
        assert!(zero.expose().starts_with("cb_0000000"));
        // 2^256 - 1 in base 62, by another program.
        assert!(full.expose().starts_with("cb_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"));
    }

    #[test]
    fn every_single_typing_error_is_refused() {
        let key = KeySecret::from_random(std::array::from_fn(|i| (i as u8).wrapping_mul(11)));
        for at in 3..key.expose().len() {
            for digit in DIGITS {
                let mut text = key.expose().as_bytes().to_vec();
                if text[at] == *digit {
                    continue;
                }
                text[at] = *digit;
                let text = String::from_utf8(text).unwrap();
                assert_eq!(text.parse::<KeySecret>(), Err(KeyTextError::Checksum));
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let key = KeySecret::from_random([5; 32]);
        let (text, cut) = (key.expose(), &key.expose()[..51]);
        for text in ["", "cb_", "sk-123", cut, &format!("{text}0"), &format!(" {text}"), "cb_ä"] {
            assert_eq!(text.parse::<KeySecret>(), Err(KeyTextError::Form), "{text}");
        }
    }

    #[test]
    fn scopes_are_named_as_on_the_wire() {
        for scope in KeyScope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("root".parse::<KeyScope>().is_err());
    }

    #[test]
    fn debug_output_shows_the_prefix_alone() {
        let key = KeySecret::from_random([9; 32]);
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("KeySecret({}…)", key.prefix()));
        assert_eq!(key.prefix().len(), 10);
    }
}
