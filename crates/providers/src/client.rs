//! One provider, ready to be asked: the front of the crate, used by `actors::turn`.
//!
//! It holds no queue and no breaker: admission is the `Provider` actor's.

use crate::{
    CompletionRequest, CompletionStream, ConfigError, ProviderConfig, ProviderError, ProviderKind,
    extractive, openai::OpenAi,
};

/// One provider. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    wire: Wire,
}

#[derive(Clone, Debug)]
enum Wire {
    OpenAi(OpenAi),
    Extractive { model: String },
}

impl Client {
    /// Reads the key and prepares the connections; nothing is sent.
    ///
    /// # Errors
    /// When a value that it needs is missing or bad; the key stands without its place.
    pub fn new(config: &ProviderConfig) -> Result<Self, ConfigError> {
        let wire = match config.kind {
            ProviderKind::OpenAi => Wire::OpenAi(OpenAi::new(config)?),
            ProviderKind::Extractive => Wire::Extractive { model: config.name.clone() },
        };
        Ok(Self { wire })
    }

    /// Asks. The reply has begun when this returns; its tokens come through the stream.
    ///
    /// # Errors
    /// When there is no reply. Short hiccups before its first byte are retried here, at most
    /// twice and within seconds.
    pub async fn complete(
        &self,
        request: CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        match &self.wire {
            Wire::OpenAi(openai) => openai.complete(request).await,
            Wire::Extractive { model } => Ok(extractive::answer(&request, model.clone())),
        }
    }
}
