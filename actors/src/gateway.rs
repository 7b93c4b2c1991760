//! The gateway for programs: one request, asked of one target after the other.
//!
//! The edge calls [`System::gateway_chat`] and [`System::gateway_embed`] and reads the reply as a
//! [`ReplyEvents`], as fast as its client reads it: nothing is gathered in between, and dropping them
//! ends the call at the provider. A model is an alias of ordered targets ([`plan`]). Before the
//! first token the next target takes over silently ([`race`]); after it a cut stream ends with an
//! error, never as if it were whole. Every attempt is counted, and told to the caller.

mod attempt;
mod books;
mod events;
mod flow;
mod meter;
mod plan;
mod question;
mod race;
mod replies;

use std::{sync::Arc, time::Duration};

use callboard_protocol::{
    ApiKeyId, BudgetList, ClientError, ErrorCode, RequestId, TaskType, TurnId, UsageEndpoint,
    UserId,
};
use callboard_providers::{ChatRequest, EmbedRequest, Embeddings};
use serde::Serialize;

use self::replies::{Asking, Source};
pub(crate) use self::{
    books::Books,
    flow::Flow,
    meter::{Meter, Ordered},
    plan::{Aliases, Plan, Shape},
    question::Question,
    race::Race,
    replies::{Replies, Similar},
};
pub use self::{
    events::ReplyEvents,
    plan::{GatewayConfig, ModelConfig, Strategy, TargetConfig, check_models},
    replies::{
        CacheMode, CacheOrder, CacheUse, Given, ReplyCacheConfig, pattern_of_model, pattern_of_tag,
    },
};
pub use crate::provider::Priority;
use crate::{System, budget::Payer, system::Shared};

/// Asks for embeddings, also for the server's own needs.
pub(crate) async fn embed(
    shared: &Shared,
    caller: &Caller,
    request: &EmbedRequest,
) -> Result<(Embeddings, Vec<Attempt>), GatewayError> {
    let router = shared.routing.now();
    let bytes: usize = request.input.iter().map(String::len).sum();
    let prompt_tokens = (bytes as u64).div_ceil(4);
    let shape = Shape { prompt_tokens, task: caller.task_type() };
    let plan = router.plan(request.model.as_deref(), &shape)?;
    attempt::embed(shared, caller, &plan, request).await
}

/// Who calls, for fairness and for the bill.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// The key that was shown; none for a session.
    pub key: Option<ApiKeyId>,
    /// Whose budgets it counts to.
    pub payer: Arc<Payer>,
    /// The request, to which all attempts belong.
    pub request: RequestId,
    /// Through which door it came.
    pub endpoint: UsageEndpoint,
    /// The turn of a conversation that it is for; none for a program's request.
    pub turn: Option<TurnId>,
    /// What it is for; the door says it for programs.
    pub task: Option<TaskType>,
    /// Whether somebody waits for it.
    pub priority: Priority,
}

impl Caller {
    /// As the label `task_type`.
    fn task_type(&self) -> &'static str {
        self.task.map_or(self.endpoint.as_str(), TaskType::as_str)
    }

    fn shape(&self, request: &ChatRequest) -> Shape {
        Shape { prompt_tokens: request.estimated_tokens(), task: self.task_type() }
    }
}

/// One try to get an answer from one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The provider that was asked.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// `answering`, `hedge_lost`, `refused` when it was not even asked, or the kind of its error.
    pub outcome: &'static str,
    /// What it was, in a sentence that names nothing internal; empty for the one that answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// From its beginning to its outcome, in milliseconds.
    pub took_ms: u64,
}

/// An answer of a provider that has begun.
pub(crate) struct Begun {
    /// The target that answers.
    pub(crate) provider: String,
    /// The model that was asked for there.
    pub(crate) model: String,
    /// Every attempt, the one that answers last.
    pub(crate) attempts: Vec<Attempt>,
    /// The answer.
    pub(crate) flow: Flow,
}

/// A reply that has begun.
pub struct Reply {
    /// The target that answers, or has.
    pub provider: String,
    /// The model that was asked for there.
    pub model: String,
    /// Every attempt, the one that answers last; none for one from the cache.
    pub attempts: Vec<Attempt>,
    /// What the cache had to do with it.
    pub cache: CacheUse,
    /// The reply.
    pub events: ReplyEvents,
}

/// A whole reply.
pub struct WholeReply {
    /// The reply, and who gave it.
    pub given: Arc<Given>,
    /// Every attempt, the one that answered last; none for one from the cache.
    pub attempts: Vec<Attempt>,
    /// What the cache had to do with it.
    pub cache: CacheUse,
}

/// Why there is no answer, and all that was tried.
#[derive(Clone, Debug)]
pub struct GatewayError {
    /// For the caller.
    pub client: ClientError,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}

impl From<ClientError> for GatewayError {
    fn from(client: ClientError) -> Self {
        Self { client, attempts: Vec::new() }
    }
}

impl System {
    /// Asks for an answer. It has begun when this returns: its first event is there.
    ///
    /// # Errors
    /// `unknown_model`, `bad_request` when a provider refuses the request itself, and otherwise
    /// the error of the last target, after all of them were tried.
    pub async fn gateway_chat(
        &self,
        caller: Caller,
        request: ChatRequest,
        order: CacheOrder,
    ) -> Result<Reply, GatewayError> {
        let shared = self.admit()?;
        unless_cut(shared, chat(shared, caller, request, order)).await
    }

    /// Asks for an answer and gathers all of it: nobody has seen any of it yet, so when one target
    /// cuts it the next begins anew.
    ///
    /// # Errors
    /// As [`System::gateway_chat`], and `payload_too_large` beyond `max_bytes`.
    pub async fn gateway_whole(
        &self,
        caller: Caller,
        request: ChatRequest,
        (order, max_bytes): (CacheOrder, usize),
    ) -> Result<WholeReply, GatewayError> {
        let shared = self.admit()?;
        unless_cut(shared, gathered(shared, caller, request, (order, max_bytes))).await
    }

    /// Asks for embeddings: of one target after the other, until one gives them.
    ///
    /// # Errors
    /// As [`System::gateway_chat`].
    pub async fn gateway_embed(
        &self,
        caller: Caller,
        request: EmbedRequest,
    ) -> Result<(Embeddings, Vec<Attempt>), GatewayError> {
        let shared = self.admit()?;
        unless_cut(shared, embed(shared, &caller, &request)).await
    }

    /// The names that a program may ask for: aliases, then the providers' own models.
    #[must_use]
    pub fn gateway_models(&self) -> Vec<String> {
        self.shared().routing.now().models()
    }

    /// How the most used budget of a caller stands, in percent, when that is worth a warning.
    #[must_use]
    pub fn budget_warning(&self, user: UserId, payer: &Payer) -> Option<u64> {
        let shared = self.shared();
        shared.budgets.warning(user, payer).max(shared.quotas.warning(user, payer))
    }

    /// How a caller stands with each of their budgets.
    #[must_use]
    pub fn budgets(&self, user: UserId, payer: &Payer) -> BudgetList {
        let shared = self.shared();
        let mut items = shared.budgets.standing(user, payer);
        items.extend(shared.quotas.standing(user, payer));
        BudgetList { items }
    }

    /// `[gateway]`
    #[must_use]
    pub fn gateway_limits(&self) -> &GatewayConfig {
        &self.shared().gateway
    }

    fn admit(&self) -> Result<&Arc<Shared>, ClientError> {
        if self.is_draining() {
            return Err(ErrorCode::Draining.into());
        }
        Ok(self.shared())
    }
}

/// What was asked for, unless the server ends before it is there.
async fn unless_cut<T>(
    shared: &Shared,
    asked: impl Future<Output = Result<T, GatewayError>>,
) -> Result<T, GatewayError> {
    tokio::select! {
        biased;
        answered = asked => answered,
        () = shared.cut.cancelled() => Err(ClientError::from(ErrorCode::Draining).into()),
    }
}

/// An answer that has begun.
async fn chat(
    shared: &Arc<Shared>,
    caller: Caller,
    request: ChatRequest,
    order: CacheOrder,
) -> Result<Reply, GatewayError> {
    let asking = Asking { caller: caller.clone(), request, order, whole: false };
    let request = match replies::find(shared, asking).await? {
        Source::Bypass(request) => request,
        Source::Kept(given, cache) => {
            let (provider, model) = (given.provider.clone(), given.model.clone());
            let attempts = Vec::new();
            let events = ReplyEvents::of_cache(given, &shared.cut);
            return Ok(Reply { provider, model, attempts, cache, events });
        }
        Source::Followed(reader, head, cache) => {
            let (provider, model) = (head.provider.clone(), head.model.clone());
            let (attempts, events) =
                (head.attempts.clone(), ReplyEvents::of_log(reader, &shared.cut));
            return Ok(Reply { provider, model, attempts, cache, events });
        }
    };
    let router = shared.routing.now();
    let plan = router.plan(request.model.as_deref(), &caller.shape(&request))?;
    let begun = Race::new(shared, &caller, &plan, &Question::Program(&request)).run().await?;
    let Begun { provider, model, attempts, flow } = begun;
    let events = ReplyEvents::of_provider(flow, &shared.cut);
    Ok(Reply { provider, model, attempts, cache: CacheUse::Bypass, events })
}

/// A whole answer, from wherever it comes.
async fn gathered(
    shared: &Arc<Shared>,
    caller: Caller,
    request: ChatRequest,
    (order, max_bytes): (CacheOrder, usize),
) -> Result<WholeReply, GatewayError> {
    let asking = Asking { caller: caller.clone(), request, order, whole: true };
    match replies::find(shared, asking).await? {
        Source::Bypass(request) => {
            let (given, attempts) = whole(shared, &caller, &request, max_bytes).await?;
            Ok(WholeReply { given: Arc::new(given), attempts, cache: CacheUse::Bypass })
        }
        Source::Kept(given, cache) => Ok(WholeReply { given, attempts: Vec::new(), cache }),
        Source::Followed(reader, head, cache) => {
            let given = Arc::new(reader.whole(&head).await?);
            Ok(WholeReply { given, attempts: head.attempts.clone(), cache })
        }
    }
}

/// A whole answer: of one target after the other, until one gives all of it.
async fn whole(
    shared: &Shared,
    caller: &Caller,
    request: &ChatRequest,
    max_bytes: usize,
) -> Result<(Given, Vec<Attempt>), GatewayError> {
    let router = shared.routing.now();
    let mut plan = router.plan(request.model.as_deref(), &caller.shape(request))?;
    let question = Question::Program(request);
    let (mut tried, mut last_cut) = (Vec::new(), None::<ClientError>);
    loop {
        let begun = Race::new(shared, caller, &plan, &question).run().await;
        let Begun { provider, model, attempts, flow } = begun.map_err(|mut error| {
            error.attempts.splice(0..0, std::mem::take(&mut tried));
            error.client = race::unless_taken(last_cut.as_ref(), error.client);
            error
        })?;
        tried.extend(attempts);
        let cut = match flow.whole(max_bytes).await {
            Ok(events) => return Ok((Given::new(&provider, &model, events), tried)),
            Err(cut) => cut,
        };
        if let Some(last) = tried.last_mut() {
            (last.outcome, last.reason) = ("interrupted", cut.message.clone());
        }
        plan.without(&provider, &model);
        if plan.targets.is_empty() || cut.code == ErrorCode::PayloadTooLarge {
            return Err(GatewayError { client: cut, attempts: tried });
        }
        last_cut = Some(cut);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
