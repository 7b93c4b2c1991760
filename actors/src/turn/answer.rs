//! Where an answer comes from: the cache, another turn that is making the same one, or the
//! providers in the order of their chain.

use std::{sync::Arc, time::Duration};

use callboard_protocol::{
    Answer, Author, ClientError, ErrorCode, FinishReason, LogLine, ServerFrame, Usage,
};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::{Running, models};
use crate::{
    cache::{self, Answers, CachedAnswer, FillPermit, Found, KeyParts, Lookup},
    gateway::Shape,
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
    /// Lines beside the evidence that the model was shown by tools.
    pub(super) lines: Vec<LogLine>,
    /// Where to keep it.
    pub(super) place: Option<Place>,
}

/// A place in the cache that waits for this answer.
pub(super) struct Place {
    permit: FillPermit<Answers>,
    key: Arc<str>,
    lifetime: Duration,
}

/// Why a turn stops before its answer is whole.
pub(super) enum Stop {
    Cancelled,
    TimedOut,
}

/// Gets the answer into the turn's log.
pub(super) async fn obtain(running: &Running<'_>) -> Result<Draft, ClientError> {
    let cache = &running.shared.cache;
    let lifetime = cache.lifetime(running.ask.task_type);
    if !running.ask.use_cache || lifetime.is_zero() {
        let operations = &running.shared.metrics.cache_operations;
        operations.with_label_values(&["lookup", "bypass"]).inc();
        return models::answer(running).await;
    }
    let Some(key) = key(running) else { return models::answer(running).await };
    for _ in 0..MAX_JOINS {
        let flight = Arc::clone(running.log);
        let lookup = Lookup { key: Arc::clone(&key), flight, anew: false };
        match cache.answers().lookup(lookup).await {
            None => break,
            Some(Found::Hit { value, age }) => {
                let age_s = age.as_secs();
                info!(age_s, "answered from the cache");
                return Ok(replay(running, &value));
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
    models::answer(running).await
}

/// Makes the answer that others may be waiting for: from the second level, or from a provider.
async fn fill(running: &Running<'_>, place: Place) -> Result<Draft, ClientError> {
    if let Some(remote) = running.shared.cache.remote()
        && let Some(answer) = remote.get::<CachedAnswer>(&place.key).await
    {
        let answer = Arc::new(answer);
        place.permit.fill(Arc::clone(&answer), place.lifetime, true).await;
        return Ok(replay(running, &answer));
    }
    let mut draft = models::answer(running).await?;
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
        let written = async move { remote.set(&key, &*kept, lifetime).await };
        running.shared.tracker.spawn_on(written, &running.shared.runtime);
    }
}

/// Whether the answer came from the index alone although a model was wanted: kept, it would hide
/// the model's return.
fn is_fallback(running: &Running<'_>, provider: &str) -> bool {
    let router = running.shared.routing.now();
    let plan = router.plan_turn(running.ask.model.as_deref(), &Shape::default());
    let targets = plan.map(|plan| plan.targets).unwrap_or_default();
    let wanted_model = targets.first().is_some_and(|wanted| !wanted.is_builtin());
    let made_by_engine =
        targets.iter().any(|target| target.link.config.name == provider && target.is_builtin());
    made_by_engine && wanted_model
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
        sources: running.rights.readable().to_string(),
        chain: &running.shared.routing.now().chain(),
    };
    let key = cache::key(running.ask.task_type, &parts);
    key.inspect_err(|error| warn!(%error, "a question has no cache key")).ok()
}

pub(super) fn instructions<'a>(running: &Running<'a>) -> &'a str {
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
        lines: Vec::new(),
        place: None,
    }
}

pub(super) fn announce(running: &Running<'_>, model: &str, provider: &str, cached: bool) {
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
                lines: Vec::new(),
                place: None,
            }))
        }
        Ok(Ended::Answered(_) | Ended::Failed(_)) => {
            restart(running, "the turn that was read along ended early");
            Ok(None)
        }
        Err(stop) => stopped(stop, before.elapsed()).map(Some),
    }
}

/// Says that the text so far is void, if there is any.
pub(super) fn restart(running: &Running<'_>, reason: &str) {
    if !running.log.answer_text().is_empty() {
        running.log.append(TurnEvent::Restarted { reason: reason.to_owned() });
    }
}

/// Runs `work` until the turn is cancelled or its time is over.
pub(super) async fn bounded<T>(
    running: &Running<'_>,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = running.log.cancelled().cancelled() => Err(Stop::Cancelled),
        done = timeout_at(running.deadline, work) => done.map_err(|_| Stop::TimedOut),
    }
}

/// The end of a turn that was stopped while it read along: it keeps what it has.
fn stopped(stop: Stop, waited: Duration) -> Result<Draft, ClientError> {
    match stop {
        Stop::TimedOut => Err(ErrorCode::Timeout.into()),
        Stop::Cancelled => Ok(Draft {
            finish_reason: FinishReason::Cancelled,
            usage: Usage::default(),
            cost_usd: 0.0,
            provider: String::new(),
            model: String::new(),
            cached: false,
            waited,
            lines: Vec::new(),
            place: None,
        }),
    }
}
