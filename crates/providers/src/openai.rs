//! Chat completions as OpenAI, OpenRouter, vLLM, llama.cpp and LM Studio serve them, streamed.
//!
//! [`Client`](crate::Client) calls it. Every wait has an end: connecting, the first token, each
//! further token, and the whole. Dropping the stream closes the connection, which is how these
//! servers are told to stop.

mod fault;
mod reply;
mod wire;

use std::{sync::Arc, time::Duration};

use callboard_protocol::{Author, Timestamp};
use reqwest::{StatusCode, header};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use self::reply::{Reply, Terms};
use crate::{
    CompletionRequest, CompletionStream, ConfigError, ProviderConfig, ProviderError,
    ProviderErrorKind,
    prompt::{self, Prompt},
    retry::{Failure, with_retries},
};

/// An error reply is read this far: enough for its codes and a sentence.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// Below the minute after which load balancers drop an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// One server of this wire. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi {
    http: reqwest::Client,
    endpoint: Url,
    config: Arc<ProviderConfig>,
}

impl OpenAi {
    /// Reads the key and prepares the connections; nothing is sent.
    pub(crate) fn new(config: &ProviderConfig) -> Result<Self, ConfigError> {
        let endpoint = config.endpoint()?;
        let mut headers = header::HeaderMap::new();
        if let Some(key) = config.key()? {
            let value = header::HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut value = value.map_err(|_| unusable("api_key", "must be visible ASCII"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("callboard/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(config.connect_timeout())
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(config.max_concurrency as usize)
            // A redirect would carry the key and the question to another place.
            .redirect(reqwest::redirect::Policy::none())
            // Attempts are counted in one place: `retry`.
            .retry(reqwest::retry::never());
        if is_loopback(&endpoint) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            unusable("base_url", &format!("cannot be used, the HTTP client fails: {error}"))
        })?;
        Ok(Self { http, endpoint, config: Arc::new(config.clone()) })
    }

    /// Asks; the reply has begun when this returns.
    pub(crate) async fn complete(
        &self,
        request: CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        let now = Instant::now();
        let prompt = prompt::build(&request, &self.config);
        let asked = request.max_output_tokens.unwrap_or(u32::MAX);
        let terms = Terms {
            first_token: now + self.config.first_token_timeout(),
            end: now + self.config.total_timeout(),
            idle: self.config.idle_timeout(),
            max_output_tokens: asked.min(self.config.max_output_tokens),
            model: request.model.unwrap_or_else(|| self.config.model.clone()),
            prompt_chars: prompt.chars(),
        };
        let body = self.encode(&prompt, &terms)?;
        let deadline = terms.first_token.min(terms.end);
        let sent = timeout_at(deadline, with_retries(|| self.send(body.clone()))).await;
        let response = sent.map_err(|_| {
            ProviderError::new(ProviderErrorKind::Timeout)
                .because("no reply came within first_token_timeout_ms")
        })??;
        Ok(CompletionStream::new(Reply::new(response, terms).into_events()))
    }

    fn encode(&self, prompt: &Prompt, terms: &Terms) -> Result<bytes::Bytes, ProviderError> {
        let system = wire::WireMessage { role: "system", content: &prompt.system };
        let messages = prompt.messages.iter().map(|message| wire::WireMessage {
            role: match message.role {
                Author::User => "user",
                Author::Assistant => "assistant",
            },
            content: &message.content,
        });
        let limit = Some(terms.max_output_tokens);
        let (max_tokens, max_completion_tokens) = match self.endpoint.host_str() {
            Some("api.openai.com") => (None, limit),
            _ => (limit, None),
        };
        let body = wire::Body {
            model: &terms.model,
            messages: std::iter::once(system).chain(messages).collect(),
            stream: true,
            stream_options: wire::StreamOptions { include_usage: true },
            max_tokens,
            max_completion_tokens,
            temperature: self.config.temperature,
        };
        serde_json::to_vec(&body)
            .map(bytes::Bytes::from)
            .map_err(|error| ProviderError::new(ProviderErrorKind::BadRequest).because(error))
    }

    /// One attempt, up to the head of the reply.
    async fn send(&self, body: bytes::Bytes) -> Result<reqwest::Response, Failure<ProviderError>> {
        let request = self
            .http
            .post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream, application/json;q=0.5")
            .body(body);
        let response = request.send().await.map_err(|error| Failure::Again {
            error: ProviderError::new(ProviderErrorKind::Unreachable).because(error.without_url()),
            retry_after: None,
        })?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        Err(refusal(response).await)
    }
}

async fn refusal(mut response: reqwest::Response) -> Failure<ProviderError> {
    let status = response.status();
    let header = response.headers().get(header::RETRY_AFTER);
    let retry_after = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| fault::read_retry_after(value, Timestamp::now()));
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes[..bytes.len().min(MAX_ERROR_BYTES - body.len())]);
        if body.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body);
    let error = fault::from_status(status.as_u16(), retry_after, &body);
    let again = match error.kind {
        ProviderErrorKind::RateLimited { .. } => retry_after.is_some(),
        ProviderErrorKind::Overloaded => matches!(status.as_u16(), 500 | 502 | 503),
        ProviderErrorKind::Unreachable
        | ProviderErrorKind::Timeout
        | ProviderErrorKind::BadRequest
        | ProviderErrorKind::Auth
        | ProviderErrorKind::ContextTooLong
        | ProviderErrorKind::ContentFiltered
        | ProviderErrorKind::Interrupted
        | ProviderErrorKind::Malformed => false,
    };
    if again { Failure::Again { error, retry_after } } else { Failure::Final(error) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn unusable(key: &str, problem: &str) -> ConfigError {
    ConfigError { key: key.to_owned(), problem: problem.to_owned() }
}
