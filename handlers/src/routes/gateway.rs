//! `/v1`: the API for programs, as the clients of OpenAI and Anthropic speak it.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web};
use bytes::Bytes;
use callboard_actors::{Attempt, CacheUse, Caller, GatewayError, Priority, Reply, WholeReply};
use callboard_protocol::{ErrorCode, RequestId, Timestamp, UsageEndpoint};
use serde::Serialize;

use crate::{
    edge::State,
    extract::{Allowed, Principal, permit},
    gateway::{Answer, Body, Dialect, Fault, Head, OnCut, openai},
    request_id,
};

/// To receive a request, however large.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A longer answer is not gathered for a client that wants it whole.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Says how much of the most used budget is spent, once that is worth a warning.
const BUDGET_HEADER: header::HeaderName = header::HeaderName::from_static("x-callboard-budget");

/// What the gateway says of a call: the field `callboard` of a reply.
#[derive(Serialize)]
struct Told<'a> {
    provider: &'a str,
    model: &'a str,
    attempts: &'a [Attempt],
    cache: &'static str,
}

/// Ask a model, in OpenAI's words.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "gateway",
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, content((Object = "application/json"), (String = "text/event-stream")))))]
pub(crate) async fn chat_completions(
    caller: Allowed<permit::GatewayUse>,
    state: State,
    body: web::Payload,
) -> HttpResponse {
    answer(Dialect::OpenAi, &caller, &state, body).await
}

/// Ask a model, in Anthropic's words.
#[utoipa::path(post, path = "/v1/messages", tag = "gateway",
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, content((Object = "application/json"), (String = "text/event-stream")))))]
pub(crate) async fn create_message(
    caller: Allowed<permit::GatewayUse>,
    state: State,
    body: web::Payload,
) -> HttpResponse {
    answer(Dialect::Anthropic, &caller, &state, body).await
}

/// Ask a model, in the words of OpenAI's responses.
#[utoipa::path(post, path = "/v1/responses", tag = "gateway",
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, content((Object = "application/json"), (String = "text/event-stream")))))]
pub(crate) async fn create_response(
    caller: Allowed<permit::GatewayUse>,
    state: State,
    body: web::Payload,
) -> HttpResponse {
    answer(Dialect::Responses, &caller, &state, body).await
}

/// Turn texts into vectors, in OpenAI's words.
#[utoipa::path(post, path = "/v1/embeddings", tag = "gateway",
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, content((Object = "application/json")))))]
pub(crate) async fn embeddings(
    caller: Allowed<permit::GatewayEmbed>,
    state: State,
    body: web::Payload,
) -> HttpResponse {
    let answered = embedded(&caller, &state, body).await;
    warned(&caller, &state, answered.unwrap_or_else(|fault| Dialect::OpenAi.refuse(&fault)))
}

/// The models that may be asked for.
#[utoipa::path(get, path = "/v1/models", tag = "gateway",
    responses((status = 200, content((Object = "application/json")))))]
pub(crate) async fn list_models(
    caller: Allowed<permit::GatewayModels>,
    state: State,
) -> HttpResponse {
    let names = state.system.gateway_models();
    let open = names.iter().filter(|name| may_name(&caller, name));
    json(openai::models::list(open.map(|name| model(name))))
}

/// One of them.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "gateway",
    params(("model" = String, Path)),
    responses((status = 200, content((Object = "application/json")))))]
pub(crate) async fn read_model(
    caller: Allowed<permit::GatewayModels>,
    state: State,
    name: web::Path<String>,
) -> HttpResponse {
    if may_name(&caller, &name) && state.system.gateway_models().contains(&name) {
        return json(openai::models::one(&model(&name)));
    }
    let fault = Fault::new(ErrorCode::UnknownModel, ErrorCode::UnknownModel.summary());
    Dialect::OpenAi.refuse(&fault)
}

/// Any other path of the vendors' APIs: their clients must not be shown the page.
pub(crate) async fn no_such_call() -> HttpResponse {
    let message = "This path of the API is not served here.";
    Dialect::OpenAi.refuse(&Fault::new(ErrorCode::NotFound, message))
}

/// Whether the caller may name a model: keys may have a list of them.
fn may_name(caller: &Principal, model: &str) -> bool {
    caller.key.as_ref().is_none_or(|key| key.may_name(model))
}

/// Refuses a model that is not on the list of the caller's key, in the same words whether there is
/// one of this name or not. Whoever has a list names a model: nobody chooses one for them.
fn check_model(caller: &Principal, model: Option<&str>) -> Result<(), Fault> {
    let model = model.unwrap_or_default();
    if may_name(caller, model) {
        return Ok(());
    }
    let message = format!("The model '{model}' does not exist, or this key may not name it.");
    Err(Fault::new(ErrorCode::UnknownModel, message))
}

fn model(name: &str) -> openai::models::Model<'_> {
    openai::models::Model { id: name, created: 0, owned_by: "callboard" }
}

async fn answer(
    dialect: Dialect,
    caller: &Principal,
    state: &State,
    body: web::Payload,
) -> HttpResponse {
    let answered = try_answer(dialect, caller, state, body).await;
    warned(caller, state, answered.unwrap_or_else(|fault| dialect.refuse(&fault)))
}

/// Tells a caller whose budget is nearly used up.
fn warned(caller: &Principal, state: &State, mut response: HttpResponse) -> HttpResponse {
    if let Some(percent) = state.system.budget_warning(caller.user.id, &caller.payer())
        && let Ok(value) = header::HeaderValue::try_from(format!("warn; {percent}%"))
    {
        response.headers_mut().insert(BUDGET_HEADER, value);
    }
    response
}

async fn try_answer(
    dialect: Dialect,
    caller: &Principal,
    state: &State,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let body = receive(state, body).await?;
    let mut asked = dialect.parse(&body)?;
    drop(body);
    check_model(caller, asked.request.model.as_deref())?;
    let caller = Caller { priority: asked.options.priority, ..calling(caller, dialect.endpoint()) };
    let request = std::mem::take(&mut asked.request);
    let order = std::mem::take(&mut asked.options.cache);
    if request.stream && asked.options.on_cut == OnCut::Error {
        let reply = state.system.gateway_chat(caller, request, order).await.map_err(fault_of)?;
        let Reply { provider, model, attempts, cache, events } = reply;
        let frame = Frame::new(dialect, (&provider, &model), &attempts, cache);
        let encoder = dialect.encoder(&frame.head(), &asked);
        return Ok(frame.events().streaming(Body::new(events, encoder)));
    }
    let stream = request.stream;
    let whole = state.system.gateway_whole(caller, request, (order, MAX_ANSWER_BYTES)).await;
    let WholeReply { given, attempts, cache } = whole.map_err(fault_of)?;
    let frame = Frame::new(dialect, (&given.provider, &given.model), &attempts, cache);
    if stream {
        // The client would rather wait than get half of an answer.
        let mut encoder = dialect.encoder(&frame.head(), &asked);
        given.events.iter().for_each(|event| encoder.push(event));
        return Ok(frame.events().body(encoder.take()));
    }
    let mut answer = Answer::default();
    given.events.iter().for_each(|event| answer.push(event));
    let whole = dialect.whole(&frame.head(), &asked, &answer).ok_or_else(|| {
        Fault::new(ErrorCode::ProviderUnavailable, "The provider's answer broke off.")
    })?;
    Ok(frame.response().content_type("application/json").body(whole))
}

/// What a reply says of itself beside the answer.
struct Frame<'a> {
    id: String,
    created: u64,
    provider: &'a str,
    model: &'a str,
    attempts: usize,
    cache: CacheUse,
    /// The field `callboard`.
    told: String,
}

impl<'a> Frame<'a> {
    fn new(
        dialect: Dialect,
        (provider, model): (&'a str, &'a str),
        attempts: &[Attempt],
        cache: CacheUse,
    ) -> Self {
        let told = Told { provider, model, attempts, cache: cache.as_str() };
        let told = serde_json::to_string(&told).unwrap_or_default();
        Self {
            id: format!("{}{}", dialect.id_prefix(), RequestId::new()),
            created: u64::try_from(Timestamp::now().as_millis() / 1_000).unwrap_or_default(),
            provider,
            model,
            attempts: attempts.len(),
            cache,
            told,
        }
    }

    fn head(&self) -> Head<'_> {
        let callboard = Some(self.told.as_str()).filter(|told| !told.is_empty());
        Head { id: &self.id, created: self.created, model: self.model, callboard }
    }

    fn response(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::Ok();
        response
            .insert_header(("x-callboard-provider", self.provider))
            .insert_header(("x-callboard-model", self.model))
            .insert_header(("x-callboard-attempts", self.attempts))
            .insert_header(("x-callboard-cache", self.cache.as_str()));
        if let CacheUse::Hit(age) | CacheUse::Similar(age, _) = self.cache {
            response.insert_header((header::AGE, age.as_secs()));
        }
        if let CacheUse::Similar(_, alike) = self.cache {
            response.insert_header(("x-callboard-similarity", format!("{alike:.3}")));
        }
        response
    }

    fn events(&self) -> HttpResponseBuilder {
        let mut response = self.response();
        response
            .content_type("text/event-stream; charset=utf-8")
            // Or nginx gathers the events before it passes them on.
            .insert_header(("x-accel-buffering", "no"))
            .insert_header((header::CACHE_CONTROL, "no-store"));
        response
    }
}

async fn embedded(
    caller: &Principal,
    state: &State,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let body = receive(state, body).await?;
    let openai::embeddings::Parsed { request, encoding, .. } = openai::embeddings::parse(&body)?;
    drop(body);
    check_model(caller, request.model.as_deref())?;
    let caller = calling(caller, UsageEndpoint::Embeddings);
    let asked = state.system.gateway_embed(caller, request).await;
    let (embeddings, attempts) = asked.map_err(fault_of)?;
    let head = Head { id: "", created: 0, model: &embeddings.model, callboard: None };
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-callboard-attempts", attempts.len()));
    let whole = openai::embeddings::whole(&head, &embeddings, encoding);
    Ok(response.content_type("application/json").body(whole))
}

fn calling(caller: &Principal, endpoint: UsageEndpoint) -> Caller {
    Caller {
        user: caller.user.id,
        key: caller.key.as_ref().map(|key| key.id),
        payer: Arc::new(caller.payer()),
        request: request_id::current(),
        endpoint,
        turn: None,
        task: None,
        priority: Priority::Interactive,
    }
}

/// The body of a request, bounded in size and in time.
async fn receive(state: &State, body: web::Payload) -> Result<Bytes, Fault> {
    let limit = state.system.gateway_limits().max_body_bytes;
    let received = tokio::time::timeout(BODY_TIMEOUT, body.to_bytes_limited(limit)).await;
    let fault = |code: ErrorCode| Fault::new(code, code.summary());
    let received = received.map_err(|_| fault(ErrorCode::Timeout))?;
    let received = received.map_err(|_| fault(ErrorCode::PayloadTooLarge))?;
    received.map_err(|_| fault(ErrorCode::BadRequest))
}

/// What was tried is told in words: errors have no field for it that every client reads.
fn fault_of(error: GatewayError) -> Fault {
    let mut fault = Fault::from(error.client);
    if error.attempts.len() > 1 {
        let tried: Vec<String> = error
            .attempts
            .iter()
            .map(|attempt| format!("{} ({})", attempt.provider, attempt.outcome))
            .collect();
        fault.message = format!("{} Tried: {}.", fault.message, tried.join(", "));
    }
    fault
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}
