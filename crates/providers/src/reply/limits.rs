//! What a provider says of its rate limits in the head of a reply.
//!
//! OpenAI and those who follow it (`x-ratelimit-remaining-requests`, resets as `6m0s`):
//! <https://platform.openai.com/docs/guides/rate-limits>. Azure sends the remaining figures alone.
//! Anthropic (`anthropic-ratelimit-tokens-remaining`, resets as RFC 3339):
//! <https://docs.claude.com/en/api/rate-limits>. Ollama and Gemini say nothing.

use std::time::Duration;

use callboard_protocol::Timestamp;
use reqwest::header::HeaderMap;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A longer wait says nothing useful.
const LONGEST_RESET: Duration = Duration::from_secs(24 * 3_600);

/// What a provider says of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of requests.
    pub requests: RateLimit,
    /// Of tokens, read and written together.
    pub tokens: RateLimit,
    /// Of tokens read, where they are counted apart.
    pub input_tokens: RateLimit,
    /// Of tokens written, likewise.
    pub output_tokens: RateLimit,
}

/// One limit, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How many there are in a span of the provider's choosing, usually a minute.
    pub limit: Option<u64>,
    /// How many are left.
    pub remaining: Option<u64>,
    /// In what time all will be there again.
    pub reset: Option<Duration>,
}

/// Reads the head of a reply.
pub(crate) fn read_rate_limits(headers: &HeaderMap, now: Timestamp) -> RateLimits {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| text(name).and_then(|text| text.trim().parse().ok());
    let reset = |name: &str| text(name).and_then(|text| read_reset(text, now));
    let of = |kind: &str| {
        let openai = |what: &str| format!("x-ratelimit-{what}-{kind}");
        let anthropic = |what: &str| format!("anthropic-ratelimit-{kind}-{what}");
        let count = |what: &str| number(&openai(what)).or_else(|| number(&anthropic(what)));
        RateLimit {
            limit: count("limit"),
            remaining: count("remaining"),
            reset: reset(&openai("reset")).or_else(|| reset(&anthropic("reset"))),
        }
    };
    // Most servers say nothing: then nothing is looked up.
    if !headers.keys().any(|name| name.as_str().contains("ratelimit-")) {
        return RateLimits::default();
    }
    RateLimits {
        requests: of("requests"),
        tokens: of("tokens"),
        input_tokens: of("input-tokens"),
        output_tokens: of("output-tokens"),
    }
}

/// `6m0s`, `20ms`, `1.5` (seconds), or a time of day.
fn read_reset(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(at) => Timestamp::from_datetime(at).since(now),
        Err(_) => read_span(text)?,
    };
    Some(wait.min(LONGEST_RESET))
}

fn read_span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map(|end| digits + end);
        let unit = unit.unwrap_or(rest.len());
        let seconds = match &rest[digits..unit] {
            "ms" => number / 1_000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3_600.0,
            "d" => number * 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&str, &str)]) -> RateLimits {
        let now: Timestamp = "2026-11-21T03:14:15Z".parse().unwrap();
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        read_rate_limits(&headers.collect(), now)
    }

    #[test]
    fn openai_and_anthropic_are_read() {
        let limit = |limit, remaining, secs: f64| RateLimit {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs_f64(secs)),
        };
        let openai = read(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0.5s"),
        ]);
        let expected = RateLimits {
            requests: limit(60, 59, 1.0),
            tokens: limit(150_000, 149_984, 360.5),
            ..RateLimits::default()
        };
        assert_eq!(openai, expected);
        let anthropic = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T03:14:45Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "7"),
        ]);
        assert_eq!(anthropic.requests, limit(50, 0, 30.0));
        assert_eq!(anthropic.input_tokens.remaining, Some(7));
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert_eq!(read(&[("content-type", "text/plain")]), RateLimits::default());
        for reset in ["", "soon", "-1", "1x", "s", "1e400", "ms5", "1.2.3s"] {
            let limits = read(&[("x-ratelimit-reset-requests", reset)]);
            assert_eq!(limits, RateLimits::default(), "{reset}");
        }
        let far = read(&[("x-ratelimit-reset-tokens", "900d")]);
        assert_eq!(far.tokens.reset, Some(LONGEST_RESET));
    }
}
