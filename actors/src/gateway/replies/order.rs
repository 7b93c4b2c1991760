//! What a program wants of the cache, and by which key its reply is found again.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use callboard_protocol::UserId;
use callboard_providers::{ChatRequest, Part, Role};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::{Caller, Plan};
use crate::config::BadValue;

/// The longest lifetime that may be asked for.
const MAX_LIFETIME_S: u64 = 30 * 86_400;

/// `[gateway.cache]`: replies that need not be asked for again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplyCacheConfig {
    /// What is done with requests that do not say.
    pub mode: CacheMode,
    /// How long a reply is kept when its request does not say, in seconds.
    pub lifetime_s: u64,
    /// The longest reply that passes through the cache, in bytes.
    pub max_reply_bytes: usize,
    /// The model that embeds questions, for requests that would have the reply to a similar one: a
    /// name for models, or `provider/model`. Without it there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
}

impl Default for ReplyCacheConfig {
    fn default() -> Self {
        Self { mode: CacheMode::Off, lifetime_s: 300, max_reply_bytes: 1024 * 1024, embedder: None }
    }
}

impl ReplyCacheConfig {
    /// Every key with a value that cannot be used.
    pub(crate) fn check(&self) -> Vec<BadValue> {
        crate::config::out_of_bounds(&[
            ("cache.lifetime_s", self.lifetime_s, 1..=MAX_LIFETIME_S),
            ("cache.max_reply_bytes", self.max_reply_bytes as u64, 1_024..=16 << 20),
        ])
    }
}

/// Whether a reply may come from the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// It is made anew, and not kept.
    #[default]
    Off,
    /// One that is there will do; a new one is kept.
    Use,
    /// It is made anew, and kept.
    Refresh,
}

/// What a request says of the cache; what it leaves out is as configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheOrder {
    /// Whether a reply may come from it.
    pub mode: Option<CacheMode>,
    /// How long the reply is kept, in seconds: 1 to 30 days.
    pub lifetime_s: Option<u64>,
    /// Whether others may be given it, too, and theirs will do.
    pub shared: bool,
    /// A word by which it can be dropped: letters, digits, `.`, `_`, `-`.
    pub tag: Option<String>,
    /// How similar another question may be whose reply will do, as a cosine: 0.5 to 1.
    pub similar: Option<f32>,
}

impl CacheOrder {
    /// Whether `lifetime_s` may be asked for.
    #[must_use]
    pub fn allows_lifetime(lifetime_s: u64) -> bool {
        (1..=MAX_LIFETIME_S).contains(&lifetime_s)
    }

    /// Whether `tag` may be one.
    #[must_use]
    pub fn allows_tag(tag: &str) -> bool {
        (1..=64).contains(&tag.len()) && tag.chars().all(is_plain)
    }

    pub(super) fn lifetime(&self, config: &ReplyCacheConfig) -> Duration {
        Duration::from_secs(self.lifetime_s.unwrap_or(config.lifetime_s))
    }

    /// `reply:model:tag:hash`, the hash over everything that shapes the reply and over whose it is.
    pub(super) fn key(
        &self,
        caller: &Caller,
        request: &mut ChatRequest,
        plan: &Plan<'_>,
    ) -> Result<Arc<str>, serde_json::Error> {
        let digest = self.digest(caller, request, plan)?;
        let mut key = prefix(request.model.as_deref().unwrap_or_default(), self.tag.as_deref());
        for byte in digest {
            // Writing to a String does not fail.
            let _ = write!(key, "{byte:02x}");
        }
        Ok(key.into())
    }

    /// The last question of a request, if it is plain text, and the hash of all around it.
    pub(super) fn frame(
        &self,
        caller: &Caller,
        request: &ChatRequest,
        plan: &Plan<'_>,
    ) -> Option<(String, [u8; 32])> {
        let mut around = request.clone();
        let last = around.messages.last_mut().filter(|message| message.role == Role::User)?;
        let mut question = String::new();
        for part in last.content.drain(..) {
            let Part::Text { text } = part else { return None };
            question.push_str(&text);
        }
        let frame = self.digest(caller, &mut around, plan).ok()?;
        (!question.trim().is_empty()).then_some((question, frame))
    }

    fn digest(
        &self,
        caller: &Caller,
        request: &mut ChatRequest,
        plan: &Plan<'_>,
    ) -> Result<[u8; 32], serde_json::Error> {
        // Neither shapes what is said.
        let stream = std::mem::replace(&mut request.stream, true);
        let user = request.user.take();
        let scope = (!self.shared).then_some(caller.user);
        let parts = serde_json::to_vec(&Parts { scope, request, targets: plan.fingerprint() });
        (request.stream, request.user) = (stream, user);
        Ok(Sha256::digest(parts?).into())
    }
}

#[derive(Serialize)]
struct Parts<'a> {
    scope: Option<UserId>,
    request: &'a ChatRequest,
    targets: Vec<(&'a str, &'a str)>,
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The beginning of the keys of a model and a tag.
fn prefix(model: &str, tag: Option<&str>) -> String {
    let plain = |c: char| if is_plain(c) || c == '/' { c } else { '_' };
    let model: String = model.chars().map(plain).collect();
    format!("reply:{model}:{}:", tag.unwrap_or_default())
}

/// The pattern that fits the replies of a model.
#[must_use]
pub fn pattern_of_model(model: &str) -> String {
    let all = prefix(model, None);
    format!("{}*", all.strip_suffix(':').unwrap_or(&all))
}

/// The pattern that fits the replies with a tag.
#[must_use]
pub fn pattern_of_tag(tag: &str) -> String {
    format!("reply:*:{tag}:*")
}
