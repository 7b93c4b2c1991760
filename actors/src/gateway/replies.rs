//! Replies to programs that need not be asked for twice: kept for a while when the request says so,
//! and made once for all who ask the same meanwhile.
//!
//! A reply that is there is read without a message ([`Shelf`](crate::cache::Shelf)). Otherwise the
//! shard of its key names one asker the leader; a task of its own makes the reply and writes it into
//! a [`ReplyLog`], and the leader reads it like those that joined. So whoever leaves first, the
//! others get theirs; when all have left, the provider is left, too. Only a whole answer is kept
//! ([`is_worth_keeping`]). Never across users, unless the request marks it as shared.

mod log;
mod order;
mod similar;

use std::{sync::Arc, time::Duration};

use callboard_protocol::{
    CacheKind, CallId, CallStatus, CallTokens, ClientError, ErrorCode, Timestamp, UsageEndpoint,
};
use callboard_providers::{ChatRequest, EmbedRequest, ReplyEvent, ResponseFormat, StopReason};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

pub(super) use self::log::LogReader;
pub use self::order::{CacheMode, CacheOrder, ReplyCacheConfig, pattern_of_model, pattern_of_tag};
pub(crate) use self::similar::Similar;
use self::{
    log::{LogHead, LogWriter, ReplyLog},
    similar::Question,
};
use super::{Attempt, Begun, Caller, GatewayError, Plan, Race, whole};
use crate::{
    cache::{FillPermit, Found, Kind, Lookup, Value},
    ledger::{Call, Outcome},
    system::Shared,
};

/// After joining this many replies that were given up, a request asks for itself.
const MAX_JOINS: usize = 3;

/// A question that takes longer to embed is asked for without looking for similar ones.
const EMBED_TIMEOUT: Duration = Duration::from_secs(2);

/// Replies to programs; whoever waits for one reads along in its log.
pub(crate) enum Replies {}

impl Kind for Replies {
    const NAME: &'static str = "reply_shard";
    const KIND: CacheKind = CacheKind::Replies;
    type Value = Given;
    type Flight = ReplyLog;
}

/// A whole reply, and who gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// The target that gave it.
    pub provider: String,
    /// The model that was asked for there.
    pub model: String,
    /// Its events, the last one a [`ReplyEvent::Finish`].
    pub events: Vec<ReplyEvent>,
    /// When it was whole.
    pub at: Timestamp,
}

impl Given {
    pub(super) fn new(provider: &str, model: &str, events: Vec<ReplyEvent>) -> Self {
        let (provider, model) = (provider.to_owned(), model.to_owned());
        Self { provider, model, events, at: Timestamp::now() }
    }

    fn age(&self) -> Duration {
        let millis = Timestamp::now().as_millis() - self.at.as_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

impl Value for Given {
    fn bytes(&self) -> u64 {
        let texts: usize = self.events.iter().map(ReplyEvent::text_bytes).sum();
        let events = self.events.len() * size_of::<ReplyEvent>();
        (size_of::<Self>() + self.provider.len() + self.model.len() + events + texts) as u64
    }
}

/// What the cache had to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CacheUse {
    /// Nothing.
    Bypass,
    /// It was not there; it is made, and will be.
    Miss,
    /// Another request makes it.
    Joined,
    /// It was there, this old.
    Hit(Duration),
    /// That to another question was there, this old, and so similar.
    Similar(Duration, f32),
}

impl CacheUse {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Hit(_) => "hit",
            Self::Similar(..) => "similar",
        }
    }
}

/// Where a reply comes from.
pub(super) enum Source {
    /// It is here.
    Kept(Arc<Given>, CacheUse),
    /// It is being made.
    Followed(LogReader, Arc<LogHead>, CacheUse),
    /// It is to be asked for without the cache.
    Bypass(Box<ChatRequest>),
}

/// Who asks for what.
pub(super) struct Asking {
    pub(super) caller: Caller,
    pub(super) request: ChatRequest,
    pub(super) order: CacheOrder,
    /// Whether nobody reads it before it is whole.
    pub(super) whole: bool,
}

/// Finds a reply, or has it made.
pub(super) async fn find(shared: &Arc<Shared>, asking: Asking) -> Result<Source, GatewayError> {
    let started = Instant::now();
    let Asking { caller, mut request, order, whole } = asking;
    let config = &shared.gateway.cache;
    let mode = order.mode.unwrap_or(config.mode);
    if mode == CacheMode::Off {
        return Ok(Source::Bypass(Box::new(request)));
    }
    let replies = shared.cache.replies();
    let (model, router) = (request.model.clone(), shared.routing.now());
    let plan = router.plan(model.as_deref(), &caller.shape(&request))?;
    let key = order.key(&caller, &mut request, &plan);
    let Ok(key) = key else { return Ok(Source::Bypass(Box::new(request))) };
    let anew = mode == CacheMode::Refresh;
    if !anew && let Some((given, age)) = replies.get(&key) {
        note(shared, &caller, (&request, &given.provider, &given.model), started)?;
        return Ok(Source::Kept(given, CacheUse::Hit(age)));
    }
    let question = question_of(shared, &caller, (&request, &order), &plan).await?;
    if let Some(question) = question.as_ref().filter(|_| !anew)
        && let Some((given, cache)) = find_similar(shared, question, order.similar)
    {
        note(shared, &caller, (&request, &given.provider, &given.model), started)?;
        return Ok(Source::Kept(given, cache));
    }
    for _ in 0..MAX_JOINS {
        let flight = Arc::new(ReplyLog::default());
        let lookup = Lookup { key: Arc::clone(&key), flight: Arc::clone(&flight), anew };
        let (reader, cache) = match replies.lookup(lookup).await {
            None => break,
            Some(Found::Hit { value, age }) => {
                note(shared, &caller, (&request, &value.provider, &value.model), started)?;
                return Ok(Source::Kept(value, CacheUse::Hit(age)));
            }
            Some(Found::Fill(permit)) => {
                let reader = flight.join();
                let making = Making {
                    shared: Arc::clone(shared),
                    caller: caller.clone(),
                    request: request.clone(),
                    writer: LogWriter::new(Arc::clone(&flight)),
                    lifetime: order.lifetime(config),
                    key: Arc::clone(&key),
                    question: question.clone(),
                    anew,
                    whole,
                };
                shared.tracker.spawn_on(making.run(flight, permit), &shared.runtime);
                (reader, CacheUse::Miss)
            }
            Some(Found::Joined(leader)) => (leader.join(), CacheUse::Joined),
        };
        let Some(mut reader) = reader else { continue };
        let head = match reader.begun().await {
            Err(error) if cache == CacheUse::Joined && is_the_leaders(&error.client) => continue,
            begun => begun?,
        };
        let cache = head.age.map_or(cache, CacheUse::Hit);
        if cache != CacheUse::Miss {
            note(shared, &caller, (&request, &head.provider, &head.model), started)?;
        }
        return Ok(Source::Followed(reader, head, cache));
    }
    Ok(Source::Bypass(Box::new(request)))
}

/// The question of a request as its vector, when similar ones are wanted. Without it the request goes
/// on: only that nothing embeds is the caller's to know.
async fn question_of(
    shared: &Shared,
    caller: &Caller,
    (request, order): (&ChatRequest, &CacheOrder),
    plan: &Plan<'_>,
) -> Result<Option<Arc<Question>>, GatewayError> {
    if order.similar.is_none() {
        return Ok(None);
    }
    let Some(embedder) = &shared.gateway.cache.embedder else {
        let message = "`callboard.cache.similar` needs `gateway.cache.embedder`, which is not set";
        return Err(ClientError::new(ErrorCode::BadRequest, message).into());
    };
    let Some((text, frame)) = order.frame(caller, request, plan) else { return Ok(None) };
    let asked = EmbedRequest {
        model: Some(embedder.clone()),
        input: vec![text],
        ..EmbedRequest::default()
    };
    let caller = Caller { endpoint: UsageEndpoint::Embeddings, ..caller.clone() };
    let vectors = match timeout(EMBED_TIMEOUT, super::embed(shared, &caller, &asked)).await {
        Ok(Ok((embeddings, _))) => embeddings.vectors,
        Ok(Err(_)) | Err(_) => {
            shared.metrics.cache_operations.with_label_values(&["embed", "error"]).inc();
            return Ok(None);
        }
    };
    let question = vectors.first().zip(asked.input.first());
    let question = question.and_then(|(vector, text)| Question::new(frame, text, vector));
    Ok(question.map(Arc::new))
}

/// The reply to a question that is similar enough, if it is still there.
fn find_similar(
    shared: &Shared,
    question: &Question,
    least: Option<f32>,
) -> Option<(Arc<Given>, CacheUse)> {
    let (key, alike) = shared.similar.find(question, least?)?;
    let found = shared.cache.replies().get(&key);
    if found.is_none() {
        shared.similar.forget(&key);
    }
    found.map(|(given, age)| (given, CacheUse::Similar(age, alike)))
}

/// Whether an error says nothing of the request, only of the caller who led.
fn is_the_leaders(error: &ClientError) -> bool {
    error.code == ErrorCode::BudgetExceeded
}

/// Notes a call that asked no upstream in the ledger. It used nothing.
fn note(
    shared: &Shared,
    caller: &Caller,
    (request, provider, model): (&ChatRequest, &str, &str),
    started: Instant,
) -> Result<(), GatewayError> {
    let call = Call {
        id: CallId::new(),
        request_id: caller.request,
        started_at: Timestamp::now(),
        user_id: caller.user,
        api_key_id: caller.key,
        turn_id: caller.turn,
        endpoint: caller.endpoint,
        alias: request.model.as_deref().unwrap_or_default().into(),
        provider: provider.into(),
        model: model.into(),
        estimated_input_tokens: 0,
        estimated_cost_micro_usd: 0,
    };
    let outcome = Outcome {
        status: CallStatus::Cached,
        error: None,
        tokens: CallTokens::default(),
        estimated: false,
        cost_micro_usd: 0,
    };
    let noted = shared.ledger.note(call, outcome, started.elapsed());
    noted.map_err(|refused| ClientError::from(refused).into())
}

/// A reply that is being made.
struct Making {
    shared: Arc<Shared>,
    caller: Caller,
    request: ChatRequest,
    writer: LogWriter,
    key: Arc<str>,
    /// To be found by similar ones.
    question: Option<Arc<Question>>,
    lifetime: Duration,
    anew: bool,
    whole: bool,
}

impl Making {
    async fn run(self, log: Arc<ReplyLog>, permit: FillPermit<Replies>) {
        let ended = tokio::select! {
            biased;
            // Nobody is left to be told why.
            () = log.abandoned().cancelled() => Err(ClientError::from(ErrorCode::Timeout).into()),
            made = self.make() => made,
        };
        match ended {
            Ok((given, remote)) => {
                // Kept before it is over: whoever comes meanwhile finds it in either place.
                self.keep(Arc::new(given), permit, remote).await;
                self.writer.end(Ok(()));
            }
            Err(error) => {
                // The key is free first: whoever asks anew finds no reply that failed.
                drop(permit);
                self.writer.end(Err(error));
            }
        }
    }

    /// Makes it, and writes it down; whether it came from the second level.
    async fn make(&self) -> Result<(Given, bool), GatewayError> {
        if !self.anew
            && let Some(remote) = self.shared.cache.remote()
            && let Some(given) = remote.get::<Given>(&self.key).await
        {
            self.begin(&given.provider, &given.model, (Vec::new(), Some(given.age())));
            given.events.iter().cloned().for_each(|event| self.writer.append(event));
            return Ok((given, true));
        }
        let most = self.shared.gateway.cache.max_reply_bytes;
        if self.whole {
            let made = whole(&self.shared, &self.caller, &self.request, most).await?;
            let (given, attempts) = made;
            self.begin(&given.provider, &given.model, (attempts, None));
            given.events.iter().cloned().for_each(|event| self.writer.append(event));
            return Ok((given, false));
        }
        let router = self.shared.routing.now();
        let shape = self.caller.shape(&self.request);
        let plan = router.plan(self.request.model.as_deref(), &shape)?;
        let question = super::Question::Program(&self.request);
        let race = Race::new(&self.shared, &self.caller, &plan, &question);
        let Begun { provider, model, attempts, mut flow } = race.run().await?;
        self.begin(&provider, &model, (attempts, None));
        let mut bytes = 0;
        while let Some(event) = flow.next().await {
            let event = event?;
            bytes += event.text_bytes();
            if bytes > most {
                return Err(ClientError::from(ErrorCode::PayloadTooLarge).into());
            }
            self.writer.append(event);
        }
        Ok((Given::new(&provider, &model, self.writer.events()), false))
    }

    fn begin(&self, provider: &str, model: &str, how: (Vec<Attempt>, Option<Duration>)) {
        let (provider, model) = (provider.to_owned(), model.to_owned());
        let (attempts, age) = how;
        self.writer.begin(LogHead { provider, model, attempts, age });
    }

    async fn keep(&self, given: Arc<Given>, permit: FillPermit<Replies>, remote: bool) {
        if !is_worth_keeping(&self.request.response_format, &given.events) {
            let operations = &self.shared.metrics.cache_operations;
            operations.with_label_values(&["fill", "unfit"]).inc();
            return;
        }
        let left = self.lifetime.saturating_sub(given.age());
        let kept = permit.fill(Arc::clone(&given), left, remote).await;
        if kept && let Some(question) = &self.question {
            self.shared.similar.keep(Arc::clone(&self.key), Arc::clone(question));
        }
        if kept
            && !remote
            && let Some(remote) = self.shared.cache.remote().cloned()
        {
            let key = Arc::clone(&self.key);
            let written = async move { remote.set(&key, &*given, left).await };
            self.shared.tracker.spawn_on(written, &self.shared.runtime);
        }
    }
}

/// Whether a reply is one that another may be given: it came to its end, says or calls something, is
/// no refusal, and is JSON where that was asked for, down to the arguments of its calls.
fn is_worth_keeping(format: &ResponseFormat, events: &[ReplyEvent]) -> bool {
    let Some(ReplyEvent::Finish { reason, .. }) = events.last() else { return false };
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let mut text = String::new();
    let mut calls: Vec<(u32, String)> = Vec::new();
    for event in events {
        match event {
            ReplyEvent::Text(more) => text.push_str(more),
            ReplyEvent::ToolCallStart { index, .. } => calls.push((*index, String::new())),
            ReplyEvent::ToolCallArguments { index, piece } => {
                let call = calls.iter_mut().rev().find(|(number, _)| number == index);
                if let Some((_, arguments)) = call {
                    arguments.push_str(piece);
                }
            }
            ReplyEvent::Reasoning(_)
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::Finish { .. } => {}
        }
    }
    let text = text.trim();
    let reads_well = match format {
        ResponseFormat::Text => true,
        ResponseFormat::Json | ResponseFormat::Schema { .. } => text.is_empty() || is_json(text),
    };
    let whole = |(_, arguments): &(u32, String)| arguments.trim().is_empty() || is_json(arguments);
    let ended = match reason {
        StopReason::Stop | StopReason::StopSequence(_) | StopReason::ToolCalls => true,
        StopReason::Length | StopReason::ContentFilter => false,
    };
    ended && reads_well && (!text.is_empty() || !calls.is_empty()) && calls.iter().all(whole)
}

#[cfg(test)]
mod tests;
