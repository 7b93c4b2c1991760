//! What a provider's own error means: its status, the codes in its body, and `Retry-After`.

use std::time::Duration;

use callboard_protocol::Timestamp;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::{ProviderError, ProviderErrorKind};

/// No wait that a provider asks for is honoured beyond an hour.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// How much of a provider's own words go into our log.
const MAX_CAUSE_CHARS: usize = 500;

/// What an error reply means. `retry_after` is the header; `body` the reply as far as it was read.
pub(super) fn from_status(status: u16, retry_after: Option<Duration>, body: &str) -> ProviderError {
    let json: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let object = json.get("error").unwrap_or(&json);
    let kind = by_code(object, retry_after).unwrap_or_else(|| by_status(status, retry_after));
    ProviderError::new(kind).because(format!("status {status}: {}", cut(body)))
}

/// What an error object inside a reply with status 200 means.
pub(super) fn from_object(object: &Value) -> ProviderError {
    let status = object.get("code").and_then(Value::as_u64).or_else(|| {
        let status = object.get("status")?;
        status.as_u64()
    });
    let kind = by_code(object, None)
        .or_else(|| Some(by_status(u16::try_from(status?).ok()?, None)))
        .unwrap_or(ProviderErrorKind::Overloaded);
    ProviderError::new(kind).because(format!("error in the stream: {}", cut(&object.to_string())))
}

fn by_status(status: u16, retry_after: Option<Duration>) -> ProviderErrorKind {
    match status {
        401..=403 => ProviderErrorKind::Auth,
        408 | 504 => ProviderErrorKind::Timeout,
        413 => ProviderErrorKind::ContextTooLong,
        429 => ProviderErrorKind::RateLimited { retry_after },
        400..=499 => ProviderErrorKind::BadRequest,
        500.. => ProviderErrorKind::Overloaded,
        // A redirect, which is not followed, or a status that has no place here.
        _ => ProviderErrorKind::Malformed,
    }
}

/// By the codes, types and sentences that servers of this wire use.
fn by_code(object: &Value, retry_after: Option<Duration>) -> Option<ProviderErrorKind> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let codes = [text("code"), text("type"), text("status")];
    let says = |words: &[&str]| codes.iter().any(|code| words.contains(code));
    let message = object.as_str().unwrap_or_else(|| text("message")).to_ascii_lowercase();
    let context = ["context length", "context size", "context window", "too many tokens"];
    if says(&["context_length_exceeded", "exceed_context_size_error", "string_above_max_length"])
        || context.iter().any(|words| message.contains(words))
    {
        return Some(ProviderErrorKind::ContextTooLong);
    }
    if says(&["content_filter", "content_policy_violation", "responsible_ai_policy_violation"]) {
        return Some(ProviderErrorKind::ContentFiltered);
    }
    if says(&[
        "rate_limit_exceeded",
        "rate_limit_error",
        "insufficient_quota",
        "RESOURCE_EXHAUSTED",
    ]) {
        return Some(ProviderErrorKind::RateLimited { retry_after });
    }
    if says(&["invalid_api_key", "authentication_error", "permission_error"]) {
        return Some(ProviderErrorKind::Auth);
    }
    if says(&["server_error", "overloaded_error", "service_unavailable", "internal_error"]) {
        return Some(ProviderErrorKind::Overloaded);
    }
    says(&["timeout"]).then_some(ProviderErrorKind::Timeout)
}

/// Reads `Retry-After`: seconds, with a fraction as some send it, or an HTTP date.
pub(super) fn read_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let at = OffsetDateTime::parse(header, &Rfc2822).ok()?;
            Timestamp::from_datetime(at).since(now)
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_CAUSE_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ProviderErrorKind {
        from_status(status, None, body).kind
    }

    #[test]
    fn a_status_has_a_meaning() {
        let limited = ProviderErrorKind::RateLimited { retry_after: None };
        for (status, expected) in [
            (400, ProviderErrorKind::BadRequest),
            (401, ProviderErrorKind::Auth),
            (403, ProviderErrorKind::Auth),
            (404, ProviderErrorKind::BadRequest),
            (408, ProviderErrorKind::Timeout),
            (413, ProviderErrorKind::ContextTooLong),
            (429, limited),
            (500, ProviderErrorKind::Overloaded),
            (503, ProviderErrorKind::Overloaded),
            (504, ProviderErrorKind::Timeout),
            (529, ProviderErrorKind::Overloaded),
            (301, ProviderErrorKind::Malformed),
        ] {
            assert_eq!(kind(status, "<html>"), expected, "{status}");
        }
    }

    #[test]
    fn the_body_says_more_than_the_status() {
        let openai = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.",
            "type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
        let llama = r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"x"}}"#;
        let vllm = r#"{"object":"error","message":"maximum context length is 2048 tokens"}"#;
        for body in [openai, llama, vllm] {
            assert_eq!(kind(400, body), ProviderErrorKind::ContextTooLong, "{body}");
        }
        let filter = r#"{"error":{"code":"content_filter","message":"filtered"}}"#;
        assert_eq!(kind(400, filter), ProviderErrorKind::ContentFiltered);
    }

    #[test]
    fn an_error_in_a_200_has_a_meaning() {
        for (json, expected) in [
            (r#"{"code":502,"message":"bad upstream"}"#, ProviderErrorKind::Overloaded),
            (r#"{"code":429}"#, ProviderErrorKind::RateLimited { retry_after: None }),
            (r#"{"type":"overloaded_error"}"#, ProviderErrorKind::Overloaded),
            (r#""boom""#, ProviderErrorKind::Overloaded),
            (r#"{"code":999999}"#, ProviderErrorKind::Overloaded),
        ] {
            assert_eq!(from_object(&serde_json::from_str(json).unwrap()).kind, expected, "{json}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T03:14:15Z".parse().unwrap();
        let seconds = |text| read_retry_after(text, now).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("7"), Some(7.0));
        assert_eq!(seconds(" 0.5 "), Some(0.5));
        assert_eq!(seconds("Sat, 21 Nov 2026 03:14:45 GMT"), Some(30.0));
        assert_eq!(seconds("Sat, 21 Nov 2026 03:14:00 GMT"), Some(0.0));
        assert_eq!(seconds("99999999"), Some(3_600.0));
        for text in ["", "soon", "-1", "NaN", "inf", "1e400"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_log_gets_a_bounded_cause() {
        let error = from_status(500, None, &"ü".repeat(10_000));
        assert!(error.source.unwrap().to_string().chars().count() < 600);
    }
}
