//! One provider, ready to be asked: the front of the crate, used by `actors::turn` and the gateway.
//!
//! It holds no queue and no breaker, and turns no keys: admission is the `Provider` actor's.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    ChatRequest, CompletionRequest, ConfigError, EmbedRequest, Embeddings, ProviderConfig,
    ProviderError, ProviderErrorKind, ReplyStream,
    chat::refused,
    extractive, prompt,
    reply::{Meter, Reader, Terms, malformed},
    transport::Transport,
    wire::{self, Call, Wire},
};

/// One provider. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ProviderConfig>,
    /// Absent for the built-in provider, which is asked nothing over a wire.
    remote: Option<Arc<Remote>>,
}

#[derive(Debug)]
struct Remote {
    wire: Box<dyn Wire>,
    transport: Transport,
}

impl Client {
    /// Reads the keys and prepares the connections; nothing is sent.
    ///
    /// # Errors
    /// When a value that it needs is missing or bad; the key stands without its place.
    pub fn new(config: &ProviderConfig) -> Result<Self, ConfigError> {
        let remote = match wire::open(config)? {
            Some(wire) => {
                let (base, key_header) = (wire.base(), wire.key_header());
                let transport = Transport::new(config, base, key_header, wire.fixed_headers())?;
                Some(Arc::new(Remote { wire, transport }))
            }
            None => None,
        };
        Ok(Self { config: Arc::new(config.clone()), remote })
    }

    /// How many keys there are to take turns with; at least 1, also when there is none to show.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.remote.as_ref().map_or(1, |remote| remote.transport.key_count())
    }

    /// Asks with the first key; see [`Client::chat_with_key`].
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn chat(&self, request: ChatRequest) -> Result<ReplyStream, ProviderError> {
        self.chat_with_key(request, 0).await
    }

    /// Asks with the key of this number, counted from 0. The reply has begun when this returns;
    /// its events come through the stream, also when [`ChatRequest::stream`] is not set.
    ///
    /// # Errors
    /// When there is no reply, or the wire has no words for the request. Short hiccups before the
    /// first byte are retried here, at most twice and within seconds; a rate limit is not when
    /// there is another key.
    pub async fn chat_with_key(
        &self,
        request: ChatRequest,
        key: usize,
    ) -> Result<ReplyStream, ProviderError> {
        let Some(remote) = &self.remote else {
            return Err(refused("The built-in provider is no model: it answers from evidence."));
        };
        request.check()?;
        let now = Instant::now();
        let end = now + self.config.total_timeout();
        let asked = request.max_output_tokens.unwrap_or(u32::MAX);
        let terms = Terms {
            // Without a stream the first token comes with the last.
            first_token: if request.stream { now + self.config.first_token_timeout() } else { end },
            end,
            idle: self.config.idle_timeout(),
            max_output_tokens: asked.min(self.config.max_output_tokens),
            model: request.model.clone().unwrap_or_else(|| self.config.model.clone()),
            meter: Arc::new(Meter::new(request.chars())),
        };
        let outgoing = remote.wire.chat(&Call {
            request: &request,
            model: &terms.model,
            max_output_tokens: terms.max_output_tokens,
            temperature: request.temperature.or(self.config.temperature),
        })?;
        // Its text is in the body now.
        drop(request);
        let deadline = terms.first_token.min(terms.end);
        let (response, head) = remote.transport.send(&outgoing, key, deadline).await?;
        drop(outgoing);
        let (decoder, framing) = (remote.wire.decoder(), remote.wire.framing());
        let meter = Arc::clone(&terms.meter);
        let reader = Reader::new(response, decoder, framing, terms);
        Ok(ReplyStream::measured(head, meter, reader.into_events()))
    }

    /// Whether the provider is there, by a request that asks no model and costs nothing.
    pub async fn is_there(&self, within: Duration) -> bool {
        match &self.remote {
            Some(remote) => remote.transport.answers(remote.wire.probe(), within).await,
            None => true,
        }
    }

    /// Asks for embeddings with the first key.
    ///
    /// # Errors
    /// When there is no good reply, or the provider has no embeddings.
    pub async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, ProviderError> {
        self.embed_with_key(request, 0).await
    }

    /// Asks for embeddings with the key of this number, counted from 0.
    ///
    /// # Errors
    /// As [`Client::embed`].
    pub async fn embed_with_key(
        &self,
        request: EmbedRequest,
        key: usize,
    ) -> Result<Embeddings, ProviderError> {
        let Some(remote) = &self.remote else {
            return Err(refused("The built-in provider makes no embeddings."));
        };
        request.check()?;
        let deadline = Instant::now() + self.config.total_timeout();
        let model = request.model.as_deref().unwrap_or(&self.config.model);
        let outgoing = remote.wire.embed(model, &request)?;
        let (mut response, _) = remote.transport.send(&outgoing, key, deadline).await?;
        let mut body = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| {
                ProviderError::new(ProviderErrorKind::Timeout)
                    .because("the embeddings took longer than total_timeout_ms")
            })?;
            let chunk = chunk.map_err(|error| {
                ProviderError::new(ProviderErrorKind::Interrupted).because(error)
            })?;
            let Some(chunk) = chunk else { break };
            if body.len() + chunk.len() > request.max_reply_bytes() {
                return Err(malformed("the reply is larger than its embeddings can be"));
            }
            body.extend_from_slice(&chunk);
        }
        if body.trim_ascii().is_empty() {
            return Err(malformed("the reply is empty"));
        }
        remote.wire.vectors(&body)?.complete(&request, model)
    }

    /// Asks a question of the assistant, with its evidence. The reply has begun when this returns;
    /// its events come through the stream.
    ///
    /// # Errors
    /// When there is no reply, as for [`Client::chat`].
    pub async fn complete(
        &self,
        request: &CompletionRequest,
    ) -> Result<ReplyStream, ProviderError> {
        self.complete_through(request, 0, |_| {}).await
    }

    /// The same with the key of this number; `prepare` may change the prompt before it is sent. The
    /// built-in provider sends nothing, and its evidence stays as it is.
    ///
    /// # Errors
    /// When there is no reply, as for [`Client::chat`].
    pub async fn complete_through(
        &self,
        request: &CompletionRequest,
        key: usize,
        prepare: impl FnOnce(&mut ChatRequest),
    ) -> Result<ReplyStream, ProviderError> {
        if self.remote.is_none() {
            return Ok(extractive::answer(request, self.config.name.clone()));
        }
        let mut chat = prompt::build(request, &self.config).into_chat();
        chat.model.clone_from(&request.model);
        chat.max_output_tokens = request.max_output_tokens;
        chat.tools.clone_from(&request.tools);
        chat.tool_choice.clone_from(&request.tool_choice);
        prepare(&mut chat);
        self.chat_with_key(chat, key).await
    }
}
