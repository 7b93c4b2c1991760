//! Why a provider gave no answer, or no whole one.
//!
//! Each error carries a kind, a sentence for the client, and the cause for the log. It is not
//! logged here: `actors` does that where the error is handled.

use std::{error::Error, time::Duration};

use callboard_protocol::{ClientError, ErrorCode};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderErrorKind {
    /// Too many requests, by the provider's own count.
    RateLimited {
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// It answers with an error of its own (500 and up).
    Overloaded,
    /// No connection, or one that broke before the reply began.
    Unreachable,
    /// No first token, no next token, or no end, within its limit.
    Timeout,
    /// It refuses the request as malformed, or knows no such model.
    BadRequest,
    /// It refuses our key.
    Auth,
    /// The prompt is longer than the model can read.
    ContextTooLong,
    /// Its content filter refuses the question.
    ContentFiltered,
    /// The answer was cut before its end.
    Interrupted,
    /// The reply is empty, or not what the wire allows.
    Malformed,
}

/// Why a provider gave no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What went wrong.
    pub kind: ProviderErrorKind,
    /// For the client: a sentence with nothing internal in it.
    pub message: String,
    /// For the log.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ProviderErrorKind {
    /// The name, as a metric label and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::BadRequest => "bad_request",
            Self::Auth => "auth",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFiltered => "content_filtered",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "The provider takes no more requests for now.",
            Self::Overloaded => "The provider failed.",
            Self::Unreachable => "The provider could not be reached.",
            Self::Timeout => "The provider took too long.",
            Self::BadRequest => "The provider refused the request.",
            Self::Auth => "The provider refused the server's key.",
            Self::ContextTooLong => "The conversation is longer than the model can read.",
            Self::ContentFiltered => "The provider's content filter refused the question.",
            Self::Interrupted => "The provider's answer broke off.",
            Self::Malformed => "The provider's reply could not be read.",
        }
    }
}

impl ProviderError {
    /// With the usual sentence for its kind.
    #[must_use]
    pub fn new(kind: ProviderErrorKind) -> Self {
        Self { kind, message: kind.summary().to_owned(), source: None }
    }

    /// With what the log should say.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With another sentence for the client: only for what the client itself asked for.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// What the log should say: every cause, the deepest last.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let causes = std::iter::successors(Error::source(self), |error| Error::source(*error));
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(": "))
    }

    /// Whether the same request may succeed at the same provider, later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ProviderErrorKind::RateLimited { .. }
            | ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => true,
            ProviderErrorKind::BadRequest
            | ProviderErrorKind::Auth
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered => false,
        }
    }

    /// Whether the next provider of the chain should be asked. Only a content filter is final: to
    /// carry the question on would be to shop for one that lets it pass.
    #[must_use]
    pub fn falls_back(&self) -> bool {
        self.kind != ProviderErrorKind::ContentFiltered
    }

    /// Whether it counts for the circuit breaker: true unless the request itself was at fault.
    #[must_use]
    pub fn is_providers_fault(&self) -> bool {
        match self.kind {
            ProviderErrorKind::RateLimited { .. }
            | ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::Auth
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => true,
            ProviderErrorKind::BadRequest
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered => false,
        }
    }

    /// How long the provider asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ProviderErrorKind::RateLimited { retry_after } => retry_after,
            ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::BadRequest
            | ProviderErrorKind::Auth
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => None,
        }
    }

    /// What a client is shown when no other provider answers.
    #[must_use]
    pub fn to_client(&self) -> ClientError {
        let code = match self.kind {
            ProviderErrorKind::Timeout => ErrorCode::Timeout,
            ProviderErrorKind::ContextTooLong => ErrorCode::ContextTooLong,
            ProviderErrorKind::ContentFiltered => ErrorCode::ContentFiltered,
            ProviderErrorKind::RateLimited { .. }
            | ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::BadRequest
            | ProviderErrorKind::Auth
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => ErrorCode::ProviderUnavailable,
        };
        let wait = self.retry_after().map(|wait| u64::try_from(wait.as_millis()));
        ClientError {
            code,
            message: self.message.clone(),
            retry_after_ms: wait.map(|millis| millis.unwrap_or(u64::MAX)),
        }
    }
}

impl From<ProviderErrorKind> for ProviderError {
    fn from(kind: ProviderErrorKind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_no_cause() {
        let error = ProviderError::new(ProviderErrorKind::RateLimited {
            retry_after: Some(Duration::from_secs(3)),
        })
        .because("10.0.0.7 said: key sk-123 over quota");
        let shown = error.to_client();
        assert_eq!(shown.code, ErrorCode::ProviderUnavailable);
        assert_eq!(shown.retry_after_ms, Some(3_000));
        assert!(!shown.to_string().contains("sk-123"));
        assert!(error.source.unwrap().to_string().contains("sk-123"));
    }

    #[test]
    fn our_own_fault_does_not_open_the_breaker() {
        for kind in [
            ProviderErrorKind::BadRequest,
            ProviderErrorKind::ContextTooLong,
            ProviderErrorKind::ContentFiltered,
        ] {
            assert!(!ProviderError::new(kind).is_providers_fault(), "{kind:?}");
            assert!(!ProviderError::new(kind).is_retryable(), "{kind:?}");
        }
        assert!(ProviderError::new(ProviderErrorKind::Auth).is_providers_fault());
    }

    #[test]
    fn only_a_content_filter_ends_the_chain() {
        assert!(!ProviderError::new(ProviderErrorKind::ContentFiltered).falls_back());
        assert!(ProviderError::new(ProviderErrorKind::ContextTooLong).falls_back());
    }
}
