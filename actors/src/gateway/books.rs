//! The metrics of calls, by what is told apart: looked up once for each model and task, and then
//! counted without a look-up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use callboard_protocol::CallStatus;
use callboard_providers::TokenUsage;
use parking_lot::RwLock;
use prometheus::{Counter, Histogram, IntCounter};

use crate::metrics::Metrics;

/// The models of one provider, by task and by name.
#[derive(Default)]
pub(crate) struct Books {
    open: RwLock<HashMap<&'static str, OfModels>>,
}

type OfModels = HashMap<Box<str>, Arc<CallBooks>>;

/// One model and task.
pub(crate) struct CallBooks {
    metrics: Metrics,
    model: Box<str>,
    task: &'static str,
    answered: IntCounter,
    latency: Histogram,
    input: IntCounter,
    output: IntCounter,
    cost: Counter,
    gen_ai: GenAi,
}

/// The names of OpenTelemetry's conventions for generative AI.
struct GenAi {
    input: Histogram,
    output: Histogram,
    duration: Histogram,
    first_token: Histogram,
    per_output_token: Histogram,
}

/// How a call went, as far as it is counted.
pub(super) struct Counted<'a> {
    pub(super) status: CallStatus,
    pub(super) error: Option<&'a str>,
    pub(super) usage: TokenUsage,
    pub(super) took: Duration,
    pub(super) first_token: Option<Duration>,
    pub(super) cost_usd: f64,
}

impl Books {
    /// Those of a model, which must be a name of the configuration, and of a task.
    pub(super) fn of(
        &self,
        (provider, model): (&'static str, &str),
        task: &'static str,
        metrics: &Metrics,
    ) -> Arc<CallBooks> {
        let known = |open: &HashMap<&'static str, OfModels>| {
            open.get(task).and_then(|models| models.get(model)).cloned()
        };
        if let Some(books) = known(&self.open.read()) {
            return books;
        }
        let books = Arc::new(CallBooks::new(provider, model, task, metrics));
        let mut open = self.open.write();
        let models = open.entry(task).or_default();
        Arc::clone(models.entry(model.into()).or_insert(books))
    }
}

impl CallBooks {
    fn new(provider: &'static str, model: &str, task: &'static str, metrics: &Metrics) -> Self {
        let operation = if task == "embeddings" { "embeddings" } else { "chat" };
        let labels = [operation, provider, model];
        let tokens = |kind| {
            let labels = [operation, provider, model, kind];
            metrics.gen_ai_tokens.with_label_values(&labels)
        };
        Self {
            answered: metrics.ai_requests.with_label_values(&[model, task, "ok"]),
            latency: metrics.ai_latency.with_label_values(&[model]),
            input: metrics.ai_tokens.with_label_values(&[model, "input"]),
            output: metrics.ai_tokens.with_label_values(&[model, "output"]),
            cost: metrics.ai_cost.with_label_values(&[model]),
            gen_ai: GenAi {
                input: tokens("input"),
                output: tokens("output"),
                duration: metrics.gen_ai_duration.with_label_values(&labels),
                first_token: metrics.gen_ai_first_token.with_label_values(&labels),
                per_output_token: metrics.gen_ai_per_token.with_label_values(&labels),
            },
            metrics: metrics.clone(),
            model: model.into(),
            task,
        }
    }

    /// Counts a call that has ended.
    pub(super) fn count(&self, call: &Counted<'_>) {
        if call.status == CallStatus::Answered {
            self.answered.inc();
        } else {
            let status = call.error.unwrap_or(call.status.as_str());
            self.metrics.ai_requests.with_label_values(&[&*self.model, self.task, status]).inc();
        }
        let took = call.took.as_secs_f64();
        self.latency.observe(took);
        self.input.inc_by(call.usage.input);
        self.output.inc_by(call.usage.output);
        self.cost.inc_by(call.cost_usd);
        // Counts of tokens are exact as a float.
        self.gen_ai.input.observe(call.usage.input as f64);
        self.gen_ai.output.observe(call.usage.output as f64);
        self.gen_ai.duration.observe(took);
        if let Some(first) = call.first_token {
            self.gen_ai.first_token.observe(first.as_secs_f64());
            if call.usage.output > 1 {
                let rest = call.took.saturating_sub(first).as_secs_f64();
                self.gen_ai.per_output_token.observe(rest / (call.usage.output - 1) as f64);
            }
        }
    }
}
