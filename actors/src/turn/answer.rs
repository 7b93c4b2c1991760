//! Where an answer comes from: the cache, another turn that is making the same one, or the
//! providers in the order of their chain.

use std::{sync::Arc, time::Duration};

use callboard_logs::Restorer;
use callboard_protocol::{
    Answer, Author, CallId, CallStatus, ClientError, ErrorCode, FinishReason, RequestId,
    ServerFrame, Timestamp, Usage, UsageEndpoint,
};
use callboard_providers::{
    CompletionRequest, ProviderError, ProviderKind, StreamEvent, TokenUsage, cost_usd,
};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::Running;
use crate::{
    cache::{self, CachedAnswer, KeyParts},
    cache_shard::{FillPermit, Found},
    gateway::{call_tokens, micro_usd},
    ledger::{Call, LedgerRefused, OpenCall, Outcome as CallOutcome},
    privacy,
    provider::{Lease, Outcome},
    router::{Link, NoLease},
    turn_log::{Ended, TurnEvent, TurnLog},
};

/// After joining this many turns that ended without an answer, a turn asks for itself.
const MAX_JOINS: usize = 3;

/// The text of an answer is in the turn's log; this is the rest.
pub(super) struct Draft {
    pub(super) finish_reason: FinishReason,
    pub(super) usage: Usage,
    pub(super) cost_usd: f64,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) cached: bool,
    /// Time spent waiting for providers.
    pub(super) waited: Duration,
    /// Where to keep it.
    place: Option<Place>,
}

/// A place in the cache that waits for this answer.
struct Place {
    permit: FillPermit,
    key: Arc<str>,
    lifetime: Duration,
}

/// Why a turn stops before its answer is whole.
enum Stop {
    Cancelled,
    TimedOut,
}

/// Why one provider gave no answer.
enum Attempt {
    /// The next may be asked.
    Next(ClientError),
    /// None may.
    Final(ClientError),
    Stop(Stop),
}

/// Gets the answer into the turn's log.
pub(super) async fn obtain(running: &Running<'_>) -> Result<Draft, ClientError> {
    let cache = &running.shared.cache;
    let lifetime = cache.lifetime(running.ask.task_type);
    if !running.ask.use_cache || lifetime.is_zero() {
        let operations = &running.shared.metrics.cache_operations;
        operations.with_label_values(&["lookup", "bypass"]).inc();
        return from_providers(running).await;
    }
    let Some(key) = key(running) else { return from_providers(running).await };
    for _ in 0..MAX_JOINS {
        match cache.lookup(Arc::clone(&key), Arc::clone(running.log)).await {
            None => break,
            Some(Found::Hit { answer, age }) => {
                let age_s = age.as_secs();
                info!(age_s, "answered from the cache");
                return Ok(replay(running, &answer));
            }
            Some(Found::Fill(permit)) => {
                return fill(running, Place { permit, key, lifetime }).await;
            }
            Some(Found::Joined(leader)) => {
                if let Some(draft) = read_along(running, &leader).await? {
                    return Ok(draft);
                }
            }
        }
    }
    from_providers(running).await
}

/// Makes the answer that others may be waiting for: from the second level, or from a provider.
async fn fill(running: &Running<'_>, place: Place) -> Result<Draft, ClientError> {
    if let Some(remote) = running.shared.cache.remote()
        && let Some(answer) = remote.get(&place.key).await
    {
        let answer = Arc::new(answer);
        place.permit.fill(Arc::clone(&answer), place.lifetime, true).await;
        return Ok(replay(running, &answer));
    }
    let mut draft = from_providers(running).await?;
    draft.place = Some(place);
    Ok(draft)
}

/// Keeps a finished answer, if it is one worth keeping; otherwise whoever waits asks anew.
pub(super) async fn keep(running: &Running<'_>, draft: Draft, answer: &Answer) {
    let Some(place) = draft.place else { return };
    let worth_it = answer.finish_reason == FinishReason::Stop && !answer.response.trim().is_empty();
    if !worth_it || is_fallback(running, &answer.provider) {
        return;
    }
    let kept = Arc::new(CachedAnswer {
        response: answer.response.clone(),
        finish_reason: answer.finish_reason,
        provider: answer.provider.clone(),
        model: answer.model.clone(),
    });
    let Place { permit, key, lifetime } = place;
    if permit.fill(Arc::clone(&kept), lifetime, false).await
        && let Some(remote) = running.shared.cache.remote().cloned()
    {
        let written = async move { remote.set(&key, &kept, lifetime).await };
        running.shared.tracker.spawn_on(written, &running.shared.runtime);
    }
}

/// Whether the answer came from the index alone although a model was wanted: kept, it would hide
/// the model's return.
fn is_fallback(running: &Running<'_>, provider: &str) -> bool {
    let chain = running.shared.router.candidates(running.ask.model.as_deref());
    let wanted = chain.first().map(|link| &link.config);
    let made_by_engine = chain
        .iter()
        .any(|link| link.config.name == provider && link.config.kind == ProviderKind::Extractive);
    made_by_engine && wanted.is_some_and(|wanted| wanted.kind != ProviderKind::Extractive)
}

/// The key of the answer: everything that shapes it.
fn key(running: &Running<'_>) -> Option<Arc<str>> {
    let history: Vec<String> = running
        .history
        .iter()
        .map(|message| match message.role {
            Author::User => format!("user:{}", message.content),
            Author::Assistant => format!("assistant:{}", message.content),
        })
        .collect();
    let parts = KeyParts {
        question: running.ask.content.trim(),
        context: running.ask.context.as_deref(),
        system: instructions(running),
        model: running.ask.model.as_deref(),
        history: &history,
        evidence: running.evidence.as_deref(),
        chain: &running.shared.router.chain(),
    };
    let key = cache::key(running.ask.task_type, &parts);
    key.inspect_err(|error| warn!(%error, "a question has no cache key")).ok()
}

fn instructions<'a>(running: &Running<'a>) -> &'a str {
    let chat = &running.shared.chat;
    let mode = running.ask.mode.as_ref().unwrap_or(&chat.default_mode);
    chat.modes.get(mode).map_or("", String::as_str)
}

/// Streams an answer that is there already like a fresh one, line by line.
fn replay(running: &Running<'_>, answer: &CachedAnswer) -> Draft {
    announce(running, &answer.model, &answer.provider, true);
    for line in answer.response.split_inclusive('\n') {
        // It fitted when it was made; with a lower bound since, it is cut.
        if running.log.append_text(line).is_err() {
            break;
        }
    }
    Draft {
        finish_reason: answer.finish_reason,
        usage: Usage::default(),
        cost_usd: 0.0,
        provider: answer.provider.clone(),
        model: answer.model.clone(),
        cached: true,
        waited: Duration::ZERO,
        place: None,
    }
}

fn announce(running: &Running<'_>, model: &str, provider: &str, cached: bool) {
    running.shared.metrics.ttft.observe(running.started.elapsed().as_secs_f64());
    let (model, provider) = (model.to_owned(), provider.to_owned());
    running.log.append(TurnEvent::Started { model, provider, cached });
}

/// Streams the answer of another turn as it comes. `None` when that turn ended without one.
async fn read_along(
    running: &Running<'_>,
    leader: &Arc<TurnLog>,
) -> Result<Option<Draft>, ClientError> {
    let before = Instant::now();
    let mut frames = Box::pin(leader.follow(0));
    let mut cut = false;
    let reading = async {
        while let Some(frame) = frames.next().await {
            if let ServerFrame::StreamStart { model, provider, .. } = frame {
                announce(running, &model, &provider, true);
            } else if let ServerFrame::StreamChunk { content, .. } = frame {
                // Text of a leader that failed before counts, too: the copy may not fit.
                cut |= running.log.append_text(&content).is_err();
            } else if let ServerFrame::StreamRestart { reason, .. } = frame {
                running.log.append(TurnEvent::Restarted { reason });
            }
        }
        leader.ended().await
    };
    match bounded(running, reading).await {
        Ok(Ended::Answered(answer)) if answer.finish_reason != FinishReason::Cancelled => {
            let finish_reason = if cut { FinishReason::Length } else { answer.finish_reason };
            Ok(Some(Draft {
                finish_reason,
                usage: Usage::default(),
                cost_usd: 0.0,
                provider: answer.provider,
                model: answer.model,
                cached: true,
                waited: before.elapsed(),
                place: None,
            }))
        }
        Ok(Ended::Answered(_) | Ended::Failed(_)) => {
            restart(running, "the turn that was read along ended early");
            Ok(None)
        }
        Err(stop) => stopped(running, stop, before.elapsed()).map(Some),
    }
}

/// Says that the text so far is void, if there is any.
fn restart(running: &Running<'_>, reason: &str) {
    if !running.log.answer_text().is_empty() {
        running.log.append(TurnEvent::Restarted { reason: reason.to_owned() });
    }
}

/// Runs `work` until the turn is cancelled or its time is over.
async fn bounded<T>(running: &Running<'_>, work: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = running.log.cancelled().cancelled() => Err(Stop::Cancelled),
        done = timeout_at(running.deadline, work) => done.map_err(|_| Stop::TimedOut),
    }
}

/// The end of a turn that was stopped: a cancelled one keeps what it has.
fn stopped(running: &Running<'_>, stop: Stop, waited: Duration) -> Result<Draft, ClientError> {
    match stop {
        Stop::TimedOut => Err(ErrorCode::Timeout.into()),
        Stop::Cancelled => Ok(Draft {
            finish_reason: FinishReason::Cancelled,
            usage: estimate(&running.log.answer_text()),
            cost_usd: 0.0,
            provider: String::new(),
            model: String::new(),
            cached: false,
            waited,
            place: None,
        }),
    }
}

/// What a cut answer used, where the provider did not come to say it: four bytes a token.
fn estimate(text: &str) -> Usage {
    Usage { input_tokens: 0, output_tokens: (text.len() as u64).div_ceil(4) }
}

/// Asks the providers in order. Before the first piece the next takes over silently; after it the
/// reader is told that the answer starts again.
async fn from_providers(running: &Running<'_>) -> Result<Draft, ClientError> {
    let mut last = ClientError::from(ErrorCode::ProviderUnavailable);
    let mut waited = Duration::ZERO;
    for link in running.shared.router.candidates(running.ask.model.as_deref()) {
        restart(running, "the provider failed; another one answers");
        match attempt(running, link, &mut waited).await {
            Ok(draft) => return Ok(draft),
            Err(Attempt::Next(error)) => last = error,
            Err(Attempt::Final(error)) => return Err(error),
            Err(Attempt::Stop(stop)) => return stopped(running, stop, waited),
        }
    }
    Err(last)
}

/// Asks one provider.
async fn attempt(
    running: &Running<'_>,
    link: &Link,
    waited: &mut Duration,
) -> Result<Draft, Attempt> {
    let before = Instant::now();
    let leased = bounded(running, lease(running, link)).await;
    let mut lease = match leased {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) => {
            count(running, link, "refused");
            *waited += before.elapsed();
            return Err(Attempt::Next(error));
        }
        Err(stop) => return Err(Attempt::Stop(stop)),
    };
    let call = open_call(running, link).map_err(|refused| Attempt::Final(refused.into()))?;
    let streamed = bounded(running, stream(running, link, &lease)).await;
    close_call(running, link, call, &streamed);
    *waited += before.elapsed();
    let latency = &running.shared.metrics.ai_latency;
    latency
        .with_label_values(&[link.config.model.as_str()])
        .observe(before.elapsed().as_secs_f64());
    match streamed {
        Ok(Ok(mut draft)) => {
            lease.report(Outcome::Answered);
            count(running, link, "ok");
            draft.waited = *waited;
            Ok(draft)
        }
        Ok(Err(error)) => {
            let fault = error.is_providers_fault();
            lease.report(if fault { Outcome::Failed } else { Outcome::Unknown });
            count(running, link, error.kind.as_str());
            let provider = link.config.name.as_str();
            let cause = error.source.as_ref().map(ToString::to_string);
            warn!(provider, kind = error.kind.as_str(), cause, "provider failed");
            let client = error.to_client();
            Err(if error.falls_back() { Attempt::Next(client) } else { Attempt::Final(client) })
        }
        Err(Stop::Cancelled) => {
            count(running, link, "cancelled");
            Err(Attempt::Stop(Stop::Cancelled))
        }
        Err(Stop::TimedOut) => {
            lease.report(Outcome::Failed);
            count(running, link, "timeout");
            Err(Attempt::Stop(Stop::TimedOut))
        }
    }
}

/// Opens the call in the ledger: what cannot be recorded is not asked.
fn open_call(running: &Running<'_>, link: &Link) -> Result<OpenCall, LedgerRefused> {
    let log = running.log;
    let bytes = running.ask.content.len() + instructions(running).len();
    let read =
        TokenUsage { input: (bytes as u64).div_ceil(4), estimated: true, ..TokenUsage::default() };
    running.shared.ledger.open(Call {
        id: CallId::new(),
        request_id: RequestId::new(),
        started_at: Timestamp::now(),
        user_id: log.owner(),
        api_key_id: None,
        turn_id: Some(log.turn_id()),
        endpoint: UsageEndpoint::Chat,
        alias: running.ask.model.as_deref().unwrap_or_default().into(),
        provider: link.config.name.as_str().into(),
        model: link.config.model.as_str().into(),
        estimated_input_tokens: read.input,
        estimated_cost_micro_usd: micro_usd(read, &link.config.model, &link.config),
    })
}

/// Closes it with what the provider said, or, where it did not come to that, with our own count.
fn close_call(
    running: &Running<'_>,
    link: &Link,
    call: OpenCall,
    streamed: &Result<Result<Draft, ProviderError>, Stop>,
) {
    let guess =
        || TokenUsage { estimated: true, ..TokenUsage::from(estimate(&running.log.answer_text())) };
    let (status, error, usage) = match streamed {
        Ok(Ok(draft)) => (CallStatus::Answered, None, TokenUsage::from(draft.usage)),
        Ok(Err(error)) => (CallStatus::Failed, Some(error.kind.as_str()), guess()),
        Err(Stop::TimedOut) => (CallStatus::Failed, Some("timeout"), guess()),
        Err(Stop::Cancelled) => (CallStatus::Cancelled, None, guess()),
    };
    call.close(CallOutcome {
        status,
        error: error.map(Into::into),
        tokens: call_tokens(usage),
        estimated: usage.estimated,
        cost_micro_usd: micro_usd(usage, &link.config.model, &link.config),
    });
}

fn count(running: &Running<'_>, link: &Link, status: &str) {
    let labels = [link.config.model.as_str(), running.ask.task_type.as_str(), status];
    running.shared.metrics.ai_requests.with_label_values(&labels).inc();
}

/// Acquires the right to call a provider.
async fn lease(running: &Running<'_>, link: &Link) -> Result<Lease, ClientError> {
    let asked = link.acquire(running.log.owner(), running.deadline).await;
    asked.map_err(|no_lease| {
        let mut error = ClientError::from(ErrorCode::ProviderUnavailable);
        if let NoLease::Refused(refused) = no_lease {
            error.retry_after_ms = u64::try_from(refused.retry_after().as_millis()).ok();
        }
        error
    })
}

/// Streams one provider's answer into the log.
async fn stream(running: &Running<'_>, link: &Link, lease: &Lease) -> Result<Draft, ProviderError> {
    let request = CompletionRequest {
        model: None,
        system: instructions(running).to_owned(),
        messages: running.history.clone(),
        question: running.ask.content.clone(),
        context: running.ask.context.clone(),
        evidence: running.evidence.clone(),
        max_output_tokens: None,
    };
    let mut redactor = None;
    let (config, metrics) = (&link.config, &running.shared.metrics);
    let prepare = |chat: &mut _| redactor = privacy::redact(chat, config, metrics);
    let mut events = lease.client.complete_through(request, prepare).await?;
    let mut restorer = redactor.map(|redactor| redactor.restorer());
    let mut announced = false;
    let mut say_who = |model: &str| {
        if !std::mem::replace(&mut announced, true) {
            announce(running, model, &link.config.name, false);
        }
    };
    while let Some(event) = events.next().await {
        match event? {
            StreamEvent::Delta(piece) => {
                say_who(&link.config.model);
                let piece = match &mut restorer {
                    Some(restorer) => restorer.push(&piece),
                    None => piece,
                };
                if !piece.is_empty() && running.log.append_text(&piece).is_err() {
                    let usage = estimate(&running.log.answer_text());
                    return Ok(draft(running, link, FinishReason::Length, usage, None));
                }
            }
            StreamEvent::Finish { reason, usage, model } => {
                say_who(&model);
                let rest = restorer.map(Restorer::finish).filter(|rest| !rest.is_empty());
                let cut = rest.is_some_and(|rest| running.log.append_text(&rest).is_err());
                let reason = if cut { FinishReason::Length } else { reason };
                return Ok(draft(running, link, reason, usage, Some(model)));
            }
        }
    }
    // The stream promises a finish or an error; without either nothing is known to be whole.
    Err(ProviderError::new(callboard_providers::ProviderErrorKind::Interrupted))
}

fn draft(
    running: &Running<'_>,
    link: &Link,
    finish_reason: FinishReason,
    usage: Usage,
    model: Option<String>,
) -> Draft {
    let cost_usd = cost_usd(usage, &link.config);
    let metrics = &running.shared.metrics;
    let label = link.config.model.as_str();
    metrics.ai_tokens.with_label_values(&[label, "input"]).inc_by(usage.input_tokens);
    metrics.ai_tokens.with_label_values(&[label, "output"]).inc_by(usage.output_tokens);
    metrics.ai_cost.with_label_values(&[label]).inc_by(cost_usd);
    Draft {
        finish_reason,
        usage,
        cost_usd,
        provider: link.config.name.clone(),
        model: model.unwrap_or_else(|| link.config.model.clone()),
        cached: false,
        waited: Duration::ZERO,
        place: None,
    }
}
