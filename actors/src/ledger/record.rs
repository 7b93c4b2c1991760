//! What stands in the journal: a line for each record, with a checksum before it.
//!
//! `5f3a91c0 o{…}` is a call that was opened (a [`Call`]), `5f3a91c0 c[{…},{…}]` one that was
//! closed: the call once more and how it [`Ended`], so that a row can be made of this line alone.

use std::{borrow::Cow, sync::Arc};

use callboard_protocol::{
    ApiKeyId, CallId, CallStatus, CallTokens, ClientError, ErrorCode, RequestId, Timestamp, TurnId,
    UsageEndpoint, UsageEvent, UserId,
};
use serde::{Deserialize, Serialize};

/// The longest name that is kept of what a caller or the configuration calls a model or a provider.
const LONGEST_NAME: usize = 200;

/// More than a line can be long: 1 KiB for ids and numbers, and four names.
pub(super) const LONGEST_LINE: usize = 1_024 + 4 * LONGEST_NAME;

/// What is known of a call before the upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// The request that it belongs to; its other attempts have the same.
    pub request_id: RequestId,
    /// When it starts.
    pub started_at: Timestamp,
    /// Who asks.
    pub user_id: UserId,
    /// With which key; none for a session.
    pub api_key_id: Option<ApiKeyId>,
    /// For which turn; none for programs.
    pub turn_id: Option<TurnId>,
    /// Through which door.
    pub endpoint: UsageEndpoint,
    /// The model that the caller named; cut after 200 bytes.
    pub alias: Arc<str>,
    /// The provider that is asked.
    pub provider: Arc<str>,
    /// The model that it is asked for.
    pub model: Arc<str>,
    /// What the input is thought to be: counted if the server ends in mid-call.
    pub estimated_input_tokens: u64,
    /// What that input costs, in micro-dollars.
    pub estimated_cost_micro_usd: u64,
}

impl Call {
    /// With names that are not too long and need no escaping.
    pub(super) fn bounded(mut self) -> Self {
        for name in [&mut self.alias, &mut self.provider, &mut self.model] {
            if name.len() > LONGEST_NAME || name.contains(is_escaped) {
                *name = plain(name).into();
            }
        }
        self
    }

    /// What is counted when nothing better is known than what was estimated before.
    pub(super) fn estimate(&self, status: CallStatus) -> Outcome {
        Outcome {
            status,
            error: None,
            tokens: CallTokens { input: self.estimated_input_tokens, ..CallTokens::default() },
            estimated: true,
            cost_micro_usd: self.estimated_cost_micro_usd,
        }
    }
}

/// The beginning of a name, cut between two characters, without those that JSON would escape.
fn plain(name: &str) -> String {
    let mut end = LONGEST_NAME.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().replace(is_escaped, "_")
}

fn is_escaped(character: char) -> bool {
    character.is_ascii_control() || matches!(character, '"' | '\\')
}

/// How a call ended, and what it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How.
    pub status: CallStatus,
    /// The kind of failure, when it failed: a word such as `rate_limited`, cut after 200 bytes.
    pub error: Option<Cow<'static, str>>,
    /// What it used.
    pub tokens: CallTokens,
    /// Whether the tokens are counted by us and not by the provider.
    pub estimated: bool,
    /// What it cost, in micro-dollars.
    pub cost_micro_usd: u64,
}

impl Outcome {
    /// With an error that is not too long.
    pub(super) fn bounded(mut self) -> Self {
        if let Some(error) = &mut self.error
            && (error.len() > LONGEST_NAME || error.contains(is_escaped))
        {
            *error = Cow::Owned(plain(error));
        }
        self
    }
}

/// An [`Outcome`] and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    pub(super) ttft_ms: Option<u64>,
    pub(super) duration_ms: u64,
    pub(super) outcome: Outcome,
}

/// The row of a call that ended.
pub(super) fn event_of(call: Call, ended: Ended) -> UsageEvent {
    UsageEvent {
        id: call.id,
        request_id: call.request_id,
        started_at: call.started_at,
        ended_at: ended.at,
        user_id: call.user_id,
        api_key_id: call.api_key_id,
        turn_id: call.turn_id,
        endpoint: call.endpoint,
        alias: call.alias.as_ref().to_owned(),
        provider: call.provider.as_ref().to_owned(),
        model: call.model.as_ref().to_owned(),
        status: ended.outcome.status,
        error: ended.outcome.error.map(Cow::into_owned),
        tokens: ended.outcome.tokens,
        estimated: ended.outcome.estimated,
        cost_micro_usd: ended.outcome.cost_micro_usd,
        ttft_ms: ended.ttft_ms,
        duration_ms: ended.duration_ms,
    }
}

/// The row of a call that was open when the server ended, which was not before `seen`.
pub(super) fn lost_event_of(call: Call, seen: Timestamp) -> UsageEvent {
    let at = seen.max(call.started_at);
    let duration_ms = u64::try_from(at.since(call.started_at).as_millis()).unwrap_or(u64::MAX);
    let outcome = call.estimate(CallStatus::Lost);
    event_of(call, Ended { at, ttft_ms: None, duration_ms, outcome })
}

/// A record on its way to the journal.
pub(super) enum Record {
    Opened(Arc<Call>),
    Closed(Arc<Call>, Box<Ended>),
}

/// Adds the record's line to `buffer`; tells whether it could.
pub(super) fn encode(record: &Record, buffer: &mut Vec<u8>) -> bool {
    let start = buffer.len();
    buffer.extend_from_slice(b"00000000 ");
    let body = buffer.len();
    let written = match record {
        Record::Opened(call) => {
            buffer.push(b'o');
            serde_json::to_writer(&mut *buffer, call.as_ref())
        }
        Record::Closed(call, ended) => {
            buffer.push(b'c');
            serde_json::to_writer(&mut *buffer, &(call.as_ref(), ended.as_ref()))
        }
    };
    if written.is_err() {
        buffer.truncate(start);
        return false;
    }
    let checksum = format!("{:08x}", crc32fast::hash(&buffer[body..]));
    buffer[start..start + 8].copy_from_slice(checksum.as_bytes());
    buffer.push(b'\n');
    true
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Opened(Call),
    Closed(Call, Ended),
}

/// Reads a line without its end; none when it is damaged.
pub(super) fn decode(line: &[u8]) -> Option<Entry> {
    let (checksum, body) = line.split_at_checked(9)?;
    let checksum = std::str::from_utf8(checksum.strip_suffix(b" ")?).ok()?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(body) {
        return None;
    }
    match body.split_first()? {
        (b'o', json) => Some(Entry::Opened(serde_json::from_slice(json).ok()?)),
        (b'c', json) => {
            let (call, ended) = serde_json::from_slice(json).ok()?;
            Some(Entry::Closed(call, ended))
        }
        _ => None,
    }
}

/// Whether an undamaged line is of a call that was opened: told without reading all of it.
pub(super) fn is_opened(line: &[u8]) -> bool {
    line.get(9) == Some(&b'o')
}

/// Why the ledger takes no new call. Those that are open can always be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerRefused {
    /// The journal has reached its bound, because the database or the disk does not take it.
    #[error("the journal of the usage ledger is full")]
    Full,
    /// The server is shutting down.
    #[error("the usage ledger is closed")]
    Stopping,
}

impl From<LedgerRefused> for ClientError {
    fn from(refused: LedgerRefused) -> Self {
        match refused {
            LedgerRefused::Full => {
                Self::new(ErrorCode::StorageUnavailable, "Usage cannot be recorded right now.")
            }
            LedgerRefused::Stopping => ErrorCode::Draining.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_room_that_is_reserved_for_it() {
        let name: Arc<str> = "\"\n\u{1}x".repeat(100).into();
        let last = Timestamp::from_millis(i64::MAX);
        let call = Call {
            id: CallId::new(),
            request_id: RequestId::new(),
            started_at: last,
            user_id: UserId::new(),
            api_key_id: Some(ApiKeyId::new()),
            turn_id: Some(TurnId::new()),
            endpoint: UsageEndpoint::ChatCompletions,
            alias: Arc::clone(&name),
            provider: Arc::clone(&name),
            model: Arc::clone(&name),
            estimated_input_tokens: u64::MAX,
            estimated_cost_micro_usd: u64::MAX,
        };
        let most = u64::MAX;
        let tokens = CallTokens {
            input: most,
            output: most,
            cached_input: most,
            cache_write: most,
            reasoning: most,
        };
        let outcome = Outcome {
            status: CallStatus::HedgeLost,
            error: Some(name.as_ref().to_owned().into()),
            tokens,
            estimated: false,
            cost_micro_usd: most,
        };
        let outcome = outcome.bounded();
        let ended = Ended { at: last, ttft_ms: Some(most), duration_ms: most, outcome };
        let mut line = Vec::new();
        let record = Record::Closed(Arc::new(call.bounded()), Box::new(ended.clone()));
        assert!(encode(&record, &mut line));
        assert!(line.len() <= LONGEST_LINE, "{}", line.len());
        let Some(Entry::Closed(_, read)) = decode(line.trim_ascii_end()) else { panic!() };
        assert_eq!(read, ended);
    }
}
