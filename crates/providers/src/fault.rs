//! What a provider's own error means: its status, the codes and words in its body, `Retry-After`.
//!
//! All vendors put an object `error` with a `message` into the body, and one or more of `code`,
//! `type` and `status` beside it; Ollama has a text in its place. The codes are read for all wires
//! at once, since proxies pass on each other's:
//! <https://platform.openai.com/docs/guides/error-codes>,
//! <https://docs.claude.com/en/api/errors>,
//! <https://ai.google.dev/gemini-api/docs/troubleshooting>,
//! <https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter>.

use std::time::Duration;

use callboard_protocol::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::{ProviderError, ProviderErrorKind};

/// No wait that a provider asks for is honoured beyond an hour.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// How much of a provider's own words go into our log.
const MAX_CAUSE_CHARS: usize = 500;

/// What an error reply means. `retry_after` is the header; `body` the reply as far as it was read.
pub(crate) fn from_status(status: u16, retry_after: Option<Duration>, body: &str) -> ProviderError {
    let json: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let object = error_of(&json);
    let retry_after = retry_after.or_else(|| retry_delay(object));
    let kind = match by_code(object) {
        // The status says more: 401 comes with `invalid_request_error`, too.
        None | Some(Meaning::BadRequest) => by_status(status, retry_after),
        Some(meaning) => meaning.kind(retry_after),
    };
    ProviderError::new(kind).because(format!("status {status}: {}", cut(body)))
}

/// What an error object inside a reply with a good status means.
pub(crate) fn from_object(object: &Value) -> ProviderError {
    let object = error_of(object);
    let number = |name: &str| object.get(name).and_then(Value::as_u64);
    let status = number("code").or_else(|| number("status"));
    let retry_after = retry_delay(object);
    let kind = by_code(object)
        .map(|meaning| meaning.kind(retry_after))
        .or_else(|| Some(by_status(u16::try_from(status?).ok()?, retry_after)))
        .unwrap_or(ProviderErrorKind::Overloaded);
    ProviderError::new(kind).because(format!("error in the reply: {}", cut(&object.to_string())))
}

/// What an event with the name `error` means: its data may be JSON or a plain sentence.
pub(crate) fn from_event(data: &str) -> ProviderError {
    let value = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
    from_object(&value)
}

/// The error inside a body: `{"error": …}`, alone or in a list as Gemini sends it, or the body.
fn error_of(json: &Value) -> &Value {
    let json = json.as_array().and_then(|list| list.first()).unwrap_or(json);
    json.get("error").filter(|error| !error.is_null()).unwrap_or(json)
}

/// Gemini's `google.rpc.RetryInfo`: `{"retryDelay": "34.5s"}` among the details.
fn retry_delay(object: &Value) -> Option<Duration> {
    let details = object.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds = delay.strip_suffix('s')?.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.min(LONGEST_RETRY_AFTER))
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

/// Codes, and what they mean. Where a code stands for several faults it is not here, and the
/// status or the sentence decides.
const CODES: &[(&str, Meaning)] = &[
    ("context_length_exceeded", Meaning::ContextTooLong),
    ("exceed_context_size_error", Meaning::ContextTooLong),
    ("string_above_max_length", Meaning::ContextTooLong),
    ("request_too_large", Meaning::ContextTooLong),
    ("content_filter", Meaning::ContentFiltered),
    ("content_policy_violation", Meaning::ContentFiltered),
    ("responsible_ai_policy_violation", Meaning::ContentFiltered),
    ("ResponsibleAIPolicyViolation", Meaning::ContentFiltered),
    ("rate_limit_exceeded", Meaning::RateLimited),
    ("rate_limit_error", Meaning::RateLimited),
    ("insufficient_quota", Meaning::RateLimited),
    ("RESOURCE_EXHAUSTED", Meaning::RateLimited),
    ("invalid_api_key", Meaning::Auth),
    ("authentication_error", Meaning::Auth),
    ("permission_error", Meaning::Auth),
    ("billing_error", Meaning::Auth),
    ("API_KEY_INVALID", Meaning::Auth),
    ("PERMISSION_DENIED", Meaning::Auth),
    ("UNAUTHENTICATED", Meaning::Auth),
    ("server_error", Meaning::Overloaded),
    ("overloaded_error", Meaning::Overloaded),
    ("api_error", Meaning::Overloaded),
    ("service_unavailable", Meaning::Overloaded),
    ("internal_error", Meaning::Overloaded),
    ("UNAVAILABLE", Meaning::Overloaded),
    ("INTERNAL", Meaning::Overloaded),
    ("timeout", Meaning::Timeout),
    ("timeout_error", Meaning::Timeout),
    ("DEADLINE_EXCEEDED", Meaning::Timeout),
    ("invalid_request_error", Meaning::BadRequest),
    ("invalid_prompt", Meaning::BadRequest),
    ("not_found_error", Meaning::BadRequest),
    ("model_not_found", Meaning::BadRequest),
    ("INVALID_ARGUMENT", Meaning::BadRequest),
    ("NOT_FOUND", Meaning::BadRequest),
];

/// Sentences that say that a prompt is too long where no code does; in lower case.
const TOO_LONG: [&str; 7] = [
    "context length",
    "context size",
    "context window",
    "context limit",
    "too many tokens",
    "prompt is too long",
    "input token count",
];

/// The same for a content filter: Anthropic has no code for it.
const FILTERED: [&str; 2] = ["content filtering policy", "content management policy"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    RateLimited,
    Overloaded,
    Timeout,
    BadRequest,
    Auth,
    ContextTooLong,
    ContentFiltered,
}

impl Meaning {
    fn kind(self, retry_after: Option<Duration>) -> ProviderErrorKind {
        match self {
            Self::RateLimited => ProviderErrorKind::RateLimited { retry_after },
            Self::Overloaded => ProviderErrorKind::Overloaded,
            Self::Timeout => ProviderErrorKind::Timeout,
            Self::BadRequest => ProviderErrorKind::BadRequest,
            Self::Auth => ProviderErrorKind::Auth,
            Self::ContextTooLong => ProviderErrorKind::ContextTooLong,
            Self::ContentFiltered => ProviderErrorKind::ContentFiltered,
        }
    }
}

/// By the codes and sentences that servers use. The finest code wins: `invalid_request_error` says
/// less than what stands beside it.
fn by_code(object: &Value) -> Option<Meaning> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let message = object.as_str().or_else(|| text("message")).unwrap_or_default();
    let message = message.to_ascii_lowercase();
    let says = |sentences: &[&str]| sentences.iter().any(|words| message.contains(words));
    let inner =
        object.get("innererror").and_then(|inner| inner.get("code")).and_then(Value::as_str);
    let details = object.get("details").and_then(Value::as_array).into_iter().flatten();
    let reasons = details.filter_map(|detail| detail.get("reason")?.as_str());
    let codes = [text("code"), text("type"), text("status"), inner].into_iter().flatten();
    let found: Vec<Meaning> = codes
        .chain(reasons)
        .filter_map(|code| CODES.iter().find(|(known, _)| *known == code))
        .map(|(_, meaning)| *meaning)
        .collect();
    let only_vague = found.iter().all(|meaning| *meaning == Meaning::BadRequest);
    if only_vague && says(&TOO_LONG) {
        return Some(Meaning::ContextTooLong);
    }
    if only_vague && says(&FILTERED) {
        return Some(Meaning::ContentFiltered);
    }
    let meaning = found.iter().copied().find(|meaning| *meaning != Meaning::BadRequest);
    meaning.or_else(|| found.first().copied())
}

/// How long a provider asks us to wait: `retry-after-ms`, which Azure and OpenAI send beside it, or
/// `Retry-After`.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let millis = text("retry-after-ms").and_then(|text| text.trim().parse().ok());
    let millis = millis.map(|millis| Duration::from_millis(millis).min(LONGEST_RETRY_AFTER));
    millis.or_else(|| read_retry_after(text("retry-after")?, now))
}

/// Reads `Retry-After`: seconds, with a fraction as some send it, or an HTTP date.
fn read_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
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
    fn the_errors_of_every_vendor_are_known() {
        let wait = Some(Duration::from_secs(34));
        for (status, body, expected) in [
            // Anthropic
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error",
                    "message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                ProviderErrorKind::ContextTooLong,
            ),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                ProviderErrorKind::Overloaded,
            ),
            (
                401,
                r#"{"type":"error","error":{"type":"authentication_error","message":"x-api-key"}}"#,
                ProviderErrorKind::Auth,
            ),
            // OpenAI
            (
                401,
                r#"{"error":{"message":"no","type":"invalid_request_error","code":null}}"#,
                ProviderErrorKind::Auth,
            ),
            // Azure
            (
                400,
                r#"{"error":{"code":"content_filter","status":400,"message":"filtered",
                    "innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                ProviderErrorKind::ContentFiltered,
            ),
            (
                404,
                r#"{"error":{"code":"DeploymentNotFound","message":"no such deployment"}}"#,
                ProviderErrorKind::BadRequest,
            ),
            // Gemini
            (
                429,
                r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota","details":[
                    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#,
                ProviderErrorKind::RateLimited { retry_after: wait },
            ),
            (
                400,
                r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid",
                    "details":[{"reason":"API_KEY_INVALID"}]}}"#,
                ProviderErrorKind::Auth,
            ),
            (
                400,
                r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token
                    count (9) exceeds the maximum number of tokens allowed (8)."}}"#,
                ProviderErrorKind::ContextTooLong,
            ),
            // Ollama
            (404, r#"{"error":"model 'x' not found"}"#, ProviderErrorKind::BadRequest),
            (
                400,
                r#"{"error":"the input length exceeds the context length"}"#,
                ProviderErrorKind::ContextTooLong,
            ),
        ] {
            let body = body.replace("\n                    ", " ");
            assert_eq!(kind(status, &body), expected, "{body}");
        }
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
