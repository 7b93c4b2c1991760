//! One attempt: a place at the provider, the call, and its first event.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use callboard_entities::queries::audit::{self, AuditEvent};
use callboard_logs::Redactor;
use callboard_protocol::{ClientError, ErrorCode, Timestamp};
use callboard_providers::{EmbedRequest, Embeddings, ProviderError, ProviderErrorKind, TokenUsage};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::Instant;
use tracing::warn;

use super::{
    Attempt, Caller, Flow, GatewayError, Meter, Ordered, Plan, Question,
    meter::Unmetered,
    millis,
    plan::Target,
    question::{program_falls_back, to_program},
};
use crate::{
    privacy::Restoring,
    provider::{Lease, NoLease, Outcome, Refused, Want},
    storage::store_failed,
    system::Shared,
};

/// Why one target gave no answer.
pub(super) struct Failed {
    pub(super) client: ClientError,
    pub(super) outcome: &'static str,
    /// Whether another target may answer.
    pub(super) falls_back: bool,
    /// When it lets a call through again, if that is all that stands in the way.
    pub(super) recovers_in: Option<Duration>,
    /// Whether another key may do.
    pub(super) of_its_key: bool,
}

/// What an attempt is made of.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) caller: &'a Caller,
    pub(super) target: Target<'a>,
    pub(super) ordered: &'a Ordered,
}

impl Asked<'_> {
    /// Whether it is worth to ask again with another key, after so many attempts.
    fn has_another_key(&self, failed: &Failed, attempts: usize) -> bool {
        let entrance = &self.target.link.entrance;
        let model = self.target.model_name();
        failed.of_its_key
            && attempts < entrance.key_count()
            && entrance.gate().has_another_key(model)
    }
}

/// Asks one target; its first event is there when this returns. A key that the provider does not take
/// now makes room for the next one.
pub(super) async fn chat(
    asked: Asked<'_>,
    question: &Question<'_>,
    lost: Arc<AtomicBool>,
) -> Result<Flow, Failed> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match chat_once(asked, question, Arc::clone(&lost)).await {
            Err(failed) if asked.has_another_key(&failed, attempts) => {}
            ended => return ended,
        }
    }
}

async fn chat_once(
    asked: Asked<'_>,
    question: &Question<'_>,
    lost: Arc<AtomicBool>,
) -> Result<Flow, Failed> {
    let mut lease = lease(&asked).await?;
    let Asked { shared, caller, target, ordered } = asked;
    let mut meter = Meter::start(shared, caller, &target, ordered, lost).map_err(unrecorded)?;
    // Of an answer that came and cannot be shown, such as an empty one.
    let mut used = TokenUsage::default();
    let begun = async {
        let (mut stream, redactor) = question.ask(&lease, &target, &shared.metrics).await?;
        lease.learned(&stream.head().rate_limits);
        match stream.next().await {
            Some(Ok(event)) => Ok((event, stream, redactor)),
            Some(Err(error)) => {
                if error.kind == ProviderErrorKind::Malformed {
                    used = stream.usage_said();
                }
                Err(error)
            }
            None => Err(ProviderError::new(ProviderErrorKind::Interrupted)),
        }
    };
    match begun.await {
        Ok((first, stream, redactor)) => {
            if let Some(redactor) = &redactor {
                audit_redaction(&asked, redactor);
            }
            let restoring = redactor.as_ref().map(Restoring::new);
            Ok(Flow::new((first, stream), lease, meter, restoring))
        }
        Err(error) => {
            meter.failed(&error, used);
            let client = question.to_client(&error);
            Err(failed(&mut lease, &target, (&error, client, question.falls_back(&error))))
        }
    }
}

/// Notes in the audit trail what was taken out of a prompt that has gone outside: how much of which
/// kind, and nothing of it. It is not waited for; as many are under way as calls are.
fn audit_redaction(asked: &Asked<'_>, redactor: &Redactor) {
    let Asked { shared, caller, target, .. } = asked;
    let counts: BTreeMap<&str, u64> = redactor.counts().collect();
    let event = AuditEvent {
        actor: Some(caller.user),
        actor_name: Some(caller.payer.username().to_owned()),
        action: "prompt.redacted".to_owned(),
        object: Some(target.link.config.name.clone()),
        address: None,
        request_id: Some(caller.request),
        details: json!({ "model": target.model_name(), "redacted": counts }),
        at: Timestamp::now(),
    };
    let store = shared.store.clone();
    let noted = async move {
        if let Err(error) = audit::append(&store, &event).await {
            store_failed("note a redaction in the audit trail", &error);
        }
    };
    shared.tracker.spawn_on(noted, &shared.runtime);
}

/// Asks the targets for embeddings, one after the other.
pub(super) async fn embed(
    shared: &Shared,
    caller: &Caller,
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
    caller: &Caller,
    target: &Target<'_>,
    request: &EmbedRequest,
) -> Result<Embeddings, Failed> {
    let bytes: usize = request.input.iter().map(String::len).sum();
    let ordered = Ordered {
        alias: request.model.as_deref().unwrap_or_default().into(),
        prompt_tokens: (bytes as u64).div_ceil(4),
        max_output_tokens: Some(0),
    };
    let asked = Asked { shared, caller, target: *target, ordered: &ordered };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match embed_once(asked, request).await {
            Err(failed) if asked.has_another_key(&failed, attempts) => {}
            ended => return ended,
        }
    }
}

async fn embed_once(asked: Asked<'_>, request: &EmbedRequest) -> Result<Embeddings, Failed> {
    let mut lease = lease(&asked).await?;
    let Asked { shared, caller, target, ordered } = asked;
    let lost = Arc::new(AtomicBool::new(false));
    let mut meter = Meter::start(shared, caller, &target, ordered, lost).map_err(unrecorded)?;
    let request = EmbedRequest { model: target.model.map(str::to_owned), ..request.clone() };
    match lease.client.embed_with_key(request, lease.key()).await {
        Ok(embeddings) => {
            meter.answered(embeddings.usage);
            lease.used(embeddings.usage.input);
            lease.report(Outcome::Answered);
            Ok(embeddings)
        }
        Err(error) => {
            meter.failed(&error, TokenUsage::default());
            let falls_back = program_falls_back(&error);
            Err(failed(&mut lease, &target, (&error, to_program(&error), falls_back)))
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

fn failed(
    lease: &mut Lease,
    target: &Target<'_>,
    (error, client, falls_back): (&ProviderError, ClientError, bool),
) -> Failed {
    let outcome = Outcome::from(error);
    lease.report(outcome);
    let (provider, kind) = (target.link.config.name.as_str(), error.kind.as_str());
    warn!(provider, kind, cause = error.cause(), "provider failed");
    // The key rests now, and the provider's next lease says for how long.
    let of_its_key = matches!(outcome, Outcome::KeyFailed { .. });
    let is_limit = matches!(error.kind, ProviderErrorKind::RateLimited { .. });
    let recovers_in = is_limit.then(|| error.retry_after().unwrap_or_default());
    Failed { client, outcome: kind, falls_back, recovers_in, of_its_key }
}

/// What cannot be recorded is not asked, and what cannot be paid neither; another target may be
/// cheaper.
fn unrecorded(refused: Unmetered) -> Failed {
    let (client, falls_back) = match refused {
        Unmetered::Ledger(refused) => (refused.into(), false),
        Unmetered::Budget(exceeded) => (exceeded.client(), true),
    };
    Failed { client, outcome: "refused", falls_back, recovers_in: None, of_its_key: false }
}

/// A place at the provider.
async fn lease(asked: &Asked<'_>) -> Result<Lease, Failed> {
    let Asked { caller, target, ordered, .. } = asked;
    let want = Want {
        model: target.model_name(),
        user: caller.user,
        tokens: ordered.prompt_tokens,
        deadline: Instant::now() + target.link.config.queue_timeout(),
        priority: caller.priority,
    };
    let refused = match target.link.entrance.acquire(want).await {
        Ok(lease) => return Ok(lease),
        Err(refused) => refused,
    };
    let (code, reason, recovers_in) = match refused {
        NoLease::Silent => {
            let code = ErrorCode::ProviderUnavailable;
            (code, code.summary(), None)
        }
        NoLease::Refused(Refused::Saturated { .. }) => {
            (ErrorCode::RateLimited, "Too many requests wait for it.", None)
        }
        NoLease::Refused(Refused::RateLimited { retry_after }) => {
            let reason = "It takes no more requests for now.";
            (ErrorCode::RateLimited, reason, Some(retry_after))
        }
        NoLease::Refused(Refused::NoKey { .. }) => {
            (ErrorCode::ProviderUnavailable, "It takes none of the server's keys.", None)
        }
        NoLease::Refused(Refused::CircuitOpen { retry_after }) => (
            ErrorCode::ProviderUnavailable,
            "It failed too often lately and is left alone for a while.",
            Some(retry_after),
        ),
    };
    let mut client = ClientError::new(code, reason);
    if let NoLease::Refused(refused) = refused {
        client.retry_after_ms = Some(millis(refused.retry_after()));
    }
    Err(Failed { client, outcome: "refused", falls_back: true, recovers_in, of_its_key: false })
}
