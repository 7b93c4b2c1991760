//! What one call used and cost, counted on every path: dropped without an end it was cancelled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard_providers::{ProviderError, TokenUsage, cost_of};
use tokio::time::Instant;

use super::plan::Target;
use crate::{metrics::Metrics, router::Link};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Embeddings,
}

impl Endpoint {
    /// As the label `task_type`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "gateway_chat",
            Self::Embeddings => "gateway_embeddings",
        }
    }
}

/// See the module.
pub(crate) struct Meter {
    metrics: Metrics,
    config: Arc<callboard_providers::ProviderConfig>,
    load: Arc<crate::router::Load>,
    model: String,
    endpoint: Endpoint,
    started: Instant,
    /// What the model reads, by our own guess, for a call whose provider never says.
    prompt_tokens: u64,
    first_token: Option<Duration>,
    /// Set when another attempt of the same request has won.
    lost: Arc<AtomicBool>,
    settled: bool,
}

impl Meter {
    pub(crate) fn start(
        metrics: &Metrics,
        target: &Target<'_>,
        endpoint: Endpoint,
        prompt_tokens: u64,
        lost: Arc<AtomicBool>,
    ) -> Self {
        let Link { config, load, .. } = target.link;
        Self {
            metrics: metrics.clone(),
            config: Arc::clone(config),
            load: Arc::clone(load),
            model: target.model_name().to_owned(),
            endpoint,
            started: Instant::now(),
            prompt_tokens,
            first_token: None,
            lost,
            settled: false,
        }
    }

    /// More of the answer has come.
    pub(crate) fn wrote(&mut self) {
        if self.first_token.is_none() {
            let took = self.started.elapsed();
            self.first_token = Some(took);
            self.load.first_token(took);
            self.metrics.ttft.observe(took.as_secs_f64());
        }
    }

    /// The answer is whole.
    pub(crate) fn answered(&mut self, usage: TokenUsage) {
        self.settle("ok", usage);
    }

    /// It failed, before its beginning or after it.
    pub(crate) fn failed(&mut self, error: &ProviderError, usage: TokenUsage) {
        self.settle(error.kind.as_str(), usage);
    }

    /// Its reader has left.
    pub(crate) fn cancelled(&mut self, usage: TokenUsage) {
        self.settle("cancelled", usage);
    }

    fn settle(&mut self, status: &'static str, usage: TokenUsage) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let (metrics, model) = (&self.metrics, self.model.as_str());
        let labels = [model, self.endpoint.as_str(), status];
        metrics.ai_requests.with_label_values(&labels).inc();
        let took = self.started.elapsed().as_secs_f64();
        metrics.ai_latency.with_label_values(&[model]).observe(took);
        metrics.ai_tokens.with_label_values(&[model, "input"]).inc_by(usage.input);
        metrics.ai_tokens.with_label_values(&[model, "output"]).inc_by(usage.output);
        let cost = cost_of(usage, model, &self.config);
        metrics.ai_cost.with_label_values(&[model]).inc_by(cost);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let status = if self.lost.load(Ordering::Acquire) { "hedge_lost" } else { "cancelled" };
        // Nobody has seen a token of it, and its prompt was sent: it is counted as read.
        let input = self.prompt_tokens;
        let usage = TokenUsage { input, estimated: true, ..TokenUsage::default() };
        self.settle(status, usage);
    }
}
