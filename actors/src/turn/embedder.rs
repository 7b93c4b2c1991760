//! Likeness of meaning from a model of the gateway, for the search of a turn: asked for by whoever asked
//! the question, so that it counts to their budget.
//!
//! What is asked leaves the machine: secrets and personal data are taken out of questions and lines
//! before, whoever the provider is. The search runs on a thread that may block, and waits there.

use std::{sync::Arc, time::Duration};

use callboard_logs::{EmbedError, Embedder, Redactor};
use callboard_protocol::UsageEndpoint;
use callboard_providers::EmbedRequest;
use tokio::time::{Instant, timeout_at};

use super::{Running, models};
use crate::{
    gateway::{self, Caller},
    system::Shared,
};

/// The longest wait of a search for vectors, however often it asks. It goes on by words alone after it,
/// and must end itself within its step.
const LONGEST: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct TurnEmbedder {
    shared: Arc<Shared>,
    caller: Caller,
    model: String,
    deadline: Instant,
}

impl TurnEmbedder {
    /// None when no model of the gateway is to embed.
    pub(super) fn of(running: &Running<'_>) -> Option<Self> {
        let model = running.shared.logs.embedding_model()?.to_owned();
        let caller =
            Caller { endpoint: UsageEndpoint::Embeddings, task: None, ..models::caller(running) };
        let deadline = Instant::now() + LONGEST;
        Some(Self { shared: Arc::clone(running.shared), caller, model, deadline })
    }
}

impl Embedder for TurnEmbedder {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut redactor = Redactor::new();
        let input = texts.iter().map(|text| redactor.redact(text).into_owned()).collect();
        let model = Some(self.model.clone());
        let request = EmbedRequest { model, input, ..EmbedRequest::default() };
        let embedded = gateway::embed(&self.shared, &self.caller, &request);
        match self.shared.runtime.block_on(async { timeout_at(self.deadline, embedded).await }) {
            Ok(Ok((embeddings, _))) => Ok(embeddings.vectors),
            Ok(Err(error)) => Err(EmbedError(error.client.to_string())),
            Err(_) => Err(EmbedError("the model did not answer in time".to_owned())),
        }
    }
}
