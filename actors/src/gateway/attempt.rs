//! One attempt: a place at the provider, the call, and its first event.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::{
    ChatRequest, EmbedRequest, Embeddings, ProviderError, ProviderErrorKind, TokenUsage,
};
use futures_util::StreamExt as _;
use tokio::time::Instant;
use tracing::warn;

use super::{
    Attempt, Caller, Flow, GatewayError, Meter, Ordered, Plan, falls_back, millis, plan::Target,
    to_client,
};
use crate::{
    ledger::LedgerRefused,
    privacy::{self, Restoring},
    provider::{Lease, Outcome, Refused},
    router::NoLease,
    system::Shared,
};

/// Why one target gave no answer.
pub(super) struct Failed {
    pub(super) client: ClientError,
    pub(super) outcome: &'static str,
    /// Whether another target may answer.
    pub(super) falls_back: bool,
    /// When its breaker lets a call through again, if that is all that stands in the way.
    pub(super) recovers_in: Option<Duration>,
}

/// Asks one target; its first event is there when this returns.
pub(super) async fn chat(
    shared: &Shared,
    caller: Caller,
    target: &Target<'_>,
    (request, ordered): (&ChatRequest, &Ordered),
    lost: Arc<AtomicBool>,
) -> Result<Flow, Failed> {
    let mut lease = lease(caller, target).await?;
    let mut meter = Meter::start(shared, &caller, target, ordered, lost).map_err(unrecorded)?;
    let mut asked = ChatRequest { model: target.model.map(str::to_owned), ..request.clone() };
    let redactor = privacy::redact(&mut asked, &target.link.config, &shared.metrics);
    let restoring = redactor.as_ref().map(Restoring::new);
    let begun = async {
        let mut stream = lease.client.chat_with_key(asked, lease.key).await?;
        match stream.next().await {
            Some(Ok(event)) => Ok((event, stream)),
            Some(Err(error)) => Err(error),
            None => Err(ProviderError::new(ProviderErrorKind::Interrupted)),
        }
    };
    match begun.await {
        Ok((first, stream)) => Ok(Flow::new((first, stream), lease, meter, restoring)),
        Err(error) => {
            meter.failed(&error, TokenUsage::default());
            Err(failed(&mut lease, target, &error))
        }
    }
}

/// Asks the targets for embeddings, one after the other.
pub(super) async fn embed(
    shared: &Shared,
    caller: Caller,
    plan: &Plan<'_>,
    request: &EmbedRequest,
) -> Result<(Embeddings, Vec<Attempt>), GatewayError> {
    let mut attempts = Vec::new();
    let mut last = ClientError::from(ErrorCode::ProviderUnavailable);
    for target in &plan.targets {
        let before = Instant::now();
        match embed_at(shared, caller, target, request).await {
            Ok(embeddings) => {
                attempts.push(made(target, "answering", String::new(), before));
                return Ok((embeddings, attempts));
            }
            Err(failed) => {
                attempts.push(made(target, failed.outcome, failed.client.message.clone(), before));
                last = failed.client;
                if !failed.falls_back {
                    break;
                }
            }
        }
    }
    Err(GatewayError { client: last, attempts })
}

async fn embed_at(
    shared: &Shared,
    caller: Caller,
    target: &Target<'_>,
    request: &EmbedRequest,
) -> Result<Embeddings, Failed> {
    let mut lease = lease(caller, target).await?;
    let bytes: usize = request.input.iter().map(String::len).sum();
    let ordered = Ordered {
        alias: request.model.as_deref().unwrap_or_default().into(),
        prompt_tokens: (bytes as u64).div_ceil(4),
    };
    let lost = Arc::new(AtomicBool::new(false));
    let mut meter = Meter::start(shared, &caller, target, &ordered, lost).map_err(unrecorded)?;
    let asked = EmbedRequest { model: target.model.map(str::to_owned), ..request.clone() };
    match lease.client.embed_with_key(asked, lease.key).await {
        Ok(embeddings) => {
            meter.answered(embeddings.usage);
            lease.report(Outcome::Answered);
            Ok(embeddings)
        }
        Err(error) => {
            meter.failed(&error, TokenUsage::default());
            Err(failed(&mut lease, target, &error))
        }
    }
}

/// The record of an attempt that ends now.
pub(super) fn made(
    target: &Target<'_>,
    outcome: &'static str,
    reason: String,
    since: Instant,
) -> Attempt {
    Attempt {
        provider: target.link.config.name.clone(),
        model: target.model_name().to_owned(),
        outcome,
        reason,
        took_ms: millis(since.elapsed()),
    }
}

fn failed(lease: &mut Lease, target: &Target<'_>, error: &ProviderError) -> Failed {
    let fault = error.is_providers_fault();
    lease.report(if fault { Outcome::Failed } else { Outcome::Unknown });
    let (provider, kind) = (target.link.config.name.as_str(), error.kind.as_str());
    let cause = error.source.as_ref().map(ToString::to_string);
    warn!(provider, kind, cause, "provider failed");
    Failed {
        client: to_client(error),
        outcome: kind,
        falls_back: falls_back(error),
        recovers_in: None,
    }
}

/// What cannot be recorded is not asked.
fn unrecorded(refused: LedgerRefused) -> Failed {
    Failed { client: refused.into(), outcome: "refused", falls_back: false, recovers_in: None }
}

/// A place at the provider.
async fn lease(caller: Caller, target: &Target<'_>) -> Result<Lease, Failed> {
    let deadline = Instant::now() + target.link.config.queue_timeout();
    let refused = match target.link.acquire(caller.user, deadline).await {
        Ok(lease) => return Ok(lease),
        Err(NoLease::Refused(refused)) => refused,
        Err(NoLease::Silent) => {
            return Err(Failed {
                client: ErrorCode::ProviderUnavailable.into(),
                outcome: "refused",
                falls_back: true,
                recovers_in: None,
            });
        }
    };
    let (code, reason, recovers_in) = match refused {
        Refused::Saturated { .. } => {
            (ErrorCode::RateLimited, "Too many requests wait for it.", None)
        }
        Refused::CircuitOpen { retry_after } => (
            ErrorCode::ProviderUnavailable,
            "It failed too often lately and is left alone for a while.",
            Some(retry_after),
        ),
    };
    let mut client = ClientError::new(code, reason);
    client.retry_after_ms = Some(millis(refused.retry_after()));
    Err(Failed { client, outcome: "refused", falls_back: true, recovers_in })
}
