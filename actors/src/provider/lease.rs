//! The right to make one call.

use std::sync::Arc;

use callboard_protocol::UserId;
use callboard_providers::{Client, ProviderError, ProviderErrorKind, RateLimits};

use crate::mailbox::Mailbox;

use super::{
    Provider, Serve,
    gate::{Gate, Grant, Left, Want},
    keys::KeyFault,
};

/// What a call says about its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered.
    Answered,
    /// It failed, by its own fault.
    Failed {
        /// The kind of the error.
        kind: &'static str,
    },
    /// It failed because of the key that was shown: it rests, and others may be tried.
    KeyFailed {
        /// What was wrong with the key.
        fault: KeyFault,
        /// The kind of the error.
        kind: &'static str,
    },
    /// Nothing: the reader cancelled, or the request itself was bad.
    Unknown,
}

impl From<&ProviderError> for Outcome {
    fn from(error: &ProviderError) -> Self {
        let kind = error.kind.as_str();
        match error.kind {
            ProviderErrorKind::RateLimited { retry_after } => {
                Self::KeyFailed { fault: KeyFault::RateLimited { retry_after }, kind }
            }
            ProviderErrorKind::Auth => Self::KeyFailed { fault: KeyFault::Refused, kind },
            ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => Self::Failed { kind },
            ProviderErrorKind::BadRequest
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered => Self::Unknown,
        }
    }
}

/// The right to make one call, until it is dropped.
pub(crate) struct Lease {
    gate: Arc<Gate>,
    /// A clone of its own, which has one place in the mailbox of its own: telling the actor never
    /// fails for want of room.
    provider: Mailbox<Provider>,
    user: UserId,
    grant: Grant,
    outcome: Outcome,
    reserved: u64,
    used: Option<u64>,
    /// Makes the call.
    pub(crate) client: Arc<Client>,
}

impl Lease {
    pub(super) fn new(
        gate: Arc<Gate>,
        provider: Mailbox<Provider>,
        client: Arc<Client>,
        (want, grant): (&Want<'_>, Grant),
    ) -> Self {
        Self {
            gate,
            provider,
            user: want.user,
            grant,
            outcome: Outcome::Unknown,
            reserved: want.tokens,
            used: None,
            client,
        }
    }

    /// The number of the key to make the call with.
    pub(crate) fn key(&self) -> usize {
        self.grant.key
    }

    /// Says how the call went; without it the outcome is [`Outcome::Unknown`].
    pub(crate) fn report(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Says how many tokens the call used, for the limit of tokens a minute.
    pub(crate) fn used(&mut self, tokens: u64) {
        self.used = Some(tokens);
    }

    /// Passes on what the provider said of its limits.
    pub(crate) fn learned(&self, limits: &RateLimits) {
        self.gate.learned(&self.grant, limits);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = Left {
            user: self.user,
            grant: self.grant,
            outcome: self.outcome,
            reserved: self.reserved,
            used: self.used,
        };
        if self.gate.leave(&left) && self.provider.try_send(Serve).is_err() {
            tracing::warn!("a lease came back while its provider's actor was gone");
        }
    }
}
