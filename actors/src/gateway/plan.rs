//! Which targets are asked for a model, and in which order: `[gateway]` and `[[models]]`.

use std::{cmp::Ordering, collections::HashSet, sync::Arc, time::Duration};

use callboard_protocol::{ClientError, ErrorCode, TaskType, UsageEndpoint};
use callboard_providers::{ProviderKind, TokenUsage, cost_of};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReplyCacheConfig;
use crate::{
    config::BadValue,
    router::{Link, Router},
};

/// Targets of one alias.
const MAX_TARGETS: usize = 16;

/// What a request costs is compared for one of this shape: three tokens in for one out.
const TYPICAL: TokenUsage = TokenUsage {
    input: 3_000,
    output: 1_000,
    cached_input: 0,
    cache_write: 0,
    reasoning: 0,
    estimated: true,
};

/// `[gateway]`: the API for programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// How long a request waits for a target to recover when every one of them is out, in
    /// milliseconds.
    pub patience_ms: u64,
    /// The longest request, in bytes: images travel in it.
    pub max_body_bytes: usize,
    /// Replies that need not be asked for again.
    pub cache: ReplyCacheConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            patience_ms: 15_000,
            max_body_bytes: 16 * 1024 * 1024,
            cache: ReplyCacheConfig::default(),
        }
    }
}

impl GatewayConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        let mut bad = crate::config::out_of_bounds(&[
            ("patience_ms", self.patience_ms, 0..=600_000),
            ("max_body_bytes", self.max_body_bytes as u64, 1_024..=256 << 20),
        ]);
        bad.extend(self.cache.check());
        bad
    }

    /// How long a request waits for a target to recover.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }
}

/// A name for models, and who answers to it: a `[[models]]` table.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The name that requests use, such as `fast`.
    pub name: String,
    /// Who answers, in order.
    pub targets: Vec<TargetConfig>,
    /// How the order is made.
    pub strategy: Strategy,
    /// When the first token is later than this, the next target is asked, too, and the first one to
    /// answer is taken; in milliseconds. Never, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after_ms: Option<u64>,
}

/// One of those who answer to a name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// The name of a provider.
    pub provider: String,
    /// The model to ask for there; the provider's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its share, for the strategy `weighted`.
    pub weight: u32,
    /// Only for prompts of at least so many tokens, by our own estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_prompt_tokens: Option<u64>,
    /// Only for prompts of at most so many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_prompt_tokens: Option<u64>,
    /// Only for these: task types of questions, or the doors of programs (`chat_completions`,
    /// `responses`, `messages`, `embeddings`). All when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            provider: String::new(),
            model: None,
            weight: 1,
            min_prompt_tokens: None,
            max_prompt_tokens: None,
            tasks: Vec::new(),
        }
    }
}

impl TargetConfig {
    fn takes(&self, shape: &Shape) -> bool {
        self.min_prompt_tokens.is_none_or(|least| shape.prompt_tokens >= least)
            && self.max_prompt_tokens.is_none_or(|most| shape.prompt_tokens <= most)
            && (self.tasks.is_empty() || self.tasks.iter().any(|task| task == shape.task))
    }

    /// Whether `task` is one that a target can be for.
    fn is_task(task: &str) -> bool {
        let doors = [
            UsageEndpoint::ChatCompletions,
            UsageEndpoint::Responses,
            UsageEndpoint::Messages,
            UsageEndpoint::Embeddings,
        ];
        TaskType::ALL.iter().any(|known| known.as_str() == task)
            || doors.iter().any(|door| door.as_str() == task)
    }
}

/// What of a question decides who is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// What a model reads for it, by our own estimate.
    pub(crate) prompt_tokens: u64,
    /// What it is for.
    pub(crate) task: &'static str,
}

/// How the order of targets is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// As they stand.
    #[default]
    Fallback,
    /// By chance, by their weights.
    Weighted,
    /// The one with the largest share of free places first.
    LeastBusy,
    /// The one whose first token came soonest lately first; one that was not asked yet before all.
    LowestLatency,
    /// The cheapest first.
    LowestCost,
}

/// The names that are configured.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    models: Vec<ModelConfig>,
}

/// Whom to ask, first to last.
pub(crate) struct Plan<'a> {
    pub(crate) targets: Vec<Target<'a>>,
    pub(crate) hedge_after: Option<Duration>,
}

/// One of those to ask.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) link: &'a Link,
    /// Another model than the provider's own.
    pub(crate) model: Option<&'a str>,
    weight: u32,
    /// Whether the model is a name of the configuration, and not one that a caller made up.
    configured: bool,
}

impl Plan<'_> {
    /// Asks this target no more.
    pub(crate) fn without(&mut self, provider: &str, model: &str) {
        self.targets
            .retain(|target| target.link.config.name != provider || target.model_name() != model);
    }

    /// Who might answer, by name; the same in whatever order they are asked.
    pub(super) fn fingerprint(&self) -> Vec<(&str, &str)> {
        let names = self.targets.iter();
        let mut names: Vec<_> =
            names.map(|target| (target.link.config.name.as_str(), target.model_name())).collect();
        names.sort_unstable();
        names
    }
}

impl<'a> Target<'a> {
    /// The model that is asked for.
    pub(crate) fn model_name(&self) -> &'a str {
        self.model.unwrap_or(&self.link.config.model)
    }

    /// Whether it answers from evidence alone, without a model.
    pub(crate) fn is_builtin(&self) -> bool {
        self.link.config.kind == ProviderKind::Extractive
    }

    /// The model as a label of metrics, of which there are as many as are configured.
    pub(super) fn label(&self) -> &'a str {
        if self.configured { self.model_name() } else { "other" }
    }

    fn own(link: &'a Link) -> Self {
        Self { link, model: None, weight: 1, configured: true }
    }
}

/// Everything that is wrong with `[[models]]`, with the place of each key.
#[must_use]
pub fn check_models(models: &[ModelConfig], providers: &[&str]) -> Vec<BadValue> {
    let mut bad = Vec::new();
    let mut names = HashSet::new();
    for (index, model) in models.iter().enumerate() {
        let mut fail = |key: &str, problem: String| {
            bad.push((format!("models[{index}].{key}"), problem));
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if model.name.is_empty() || model.name.len() > 64 || !model.name.chars().all(known) {
            fail("name", "must be 1 to 64 letters, digits, `.`, `_`, `-`, `:`".into());
        }
        if !names.insert(&model.name) {
            fail("name", format!("`{}` stands twice", model.name));
        }
        if model.targets.is_empty() || model.targets.len() > MAX_TARGETS {
            fail("targets", format!("must be 1 to {MAX_TARGETS}"));
        }
        if model.hedge_after_ms == Some(0) {
            fail("hedge_after_ms", "must be above 0".into());
        }
        for (place, target) in model.targets.iter().enumerate() {
            if !providers.contains(&target.provider.as_str()) {
                let problem = format!("names no provider: there is no `{}`", target.provider);
                fail(&format!("targets[{place}].provider"), problem);
            }
            if target.weight == 0 {
                fail(&format!("targets[{place}].weight"), "must be above 0".into());
            }
            if target.min_prompt_tokens > target.max_prompt_tokens.or(Some(u64::MAX)) {
                let problem = "must not be above `max_prompt_tokens`".into();
                fail(&format!("targets[{place}].min_prompt_tokens"), problem);
            }
            if let Some(task) = target.tasks.iter().find(|task| !TargetConfig::is_task(task)) {
                let problem = format!("names no task type and no door of programs: `{task}`");
                fail(&format!("targets[{place}].tasks"), problem);
            }
        }
    }
    bad
}

impl Aliases {
    pub(crate) fn new(models: Vec<ModelConfig>) -> Self {
        Self { models }
    }
}

impl Router {
    /// Whom to ask for a model: the targets of an alias, a provider's model as
    /// `provider/model`, all providers that have the model, or, when none is named, all.
    ///
    /// # Errors
    /// `unknown_model`.
    pub(crate) fn plan<'a>(
        &'a self,
        model: Option<&'a str>,
        shape: &Shape,
    ) -> Result<Plan<'a>, ClientError> {
        let Some(model) = model else { return self.plan_of(self.models_links(|_| true)) };
        if let Some(alias) = self.aliases.models.iter().find(|alias| alias.name == model) {
            let target = |target: &'a TargetConfig| {
                let link = self.link(&target.provider)?;
                let model = target.model.as_deref();
                Some(Target { link, model, weight: target.weight, configured: true })
            };
            let meant = alias.targets.iter().filter(|target| target.takes(shape));
            let mut targets: Vec<Target<'a>> = meant.filter_map(target).collect();
            if targets.is_empty() {
                // None is for it: any of them rather than no answer.
                targets = alias.targets.iter().filter_map(target).collect();
            }
            order(&mut targets, alias.strategy);
            let hedge_after = alias.hedge_after_ms.map(Duration::from_millis);
            return Ok(Plan { targets, hedge_after });
        }
        if let Some((provider, model)) = model.split_once('/')
            && let Some(link) = self.link(provider)
        {
            let configured = link.config.model == model;
            let target = Target { model: Some(model), configured, ..Target::own(link) };
            return Ok(Plan { targets: vec![target], hedge_after: None });
        }
        self.plan_of(
            self.models_links(|link| link.config.model == model || link.config.name == model),
        )
    }

    /// Whom to ask for an answer in a conversation: as for a program, and those that come after in
    /// the chain, so that there is an answer whatever fails; last the built-in one.
    ///
    /// # Errors
    /// `unknown_model`.
    pub(crate) fn plan_turn<'a>(
        &'a self,
        model: Option<&'a str>,
        shape: &Shape,
    ) -> Result<Plan<'a>, ClientError> {
        let chain = |from: usize| self.links[from..].iter().map(|link| Target::own(link));
        let Some(name) = model else {
            return Ok(Plan { targets: chain(0).collect(), hedge_after: None });
        };
        let is_alias = self.aliases.models.iter().any(|alias| alias.name == name);
        let place = self.place(name).filter(|_| !is_alias);
        if let Some(place) = place {
            return Ok(Plan { targets: chain(place).collect(), hedge_after: None });
        }
        let mut plan = self.plan(model, shape)?;
        plan.targets.extend(chain(0).filter(Target::is_builtin));
        Ok(plan)
    }

    fn plan_of<'a>(&self, targets: Vec<Target<'a>>) -> Result<Plan<'a>, ClientError> {
        if targets.is_empty() {
            return Err(ErrorCode::UnknownModel.into());
        }
        Ok(Plan { targets, hedge_after: None })
    }

    /// Those of the providers that are models; the built-in one answers from evidence alone.
    fn models_links(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Target<'_>> {
        let models = self.links.iter().filter(|link| link.config.kind != ProviderKind::Extractive);
        models.filter(|link| wanted(link)).map(|link| Target::own(link)).collect()
    }

    fn link(&self, provider: &str) -> Option<&Link> {
        let models = self.links.iter().filter(|link| link.config.kind != ProviderKind::Extractive);
        models.map(Arc::as_ref).find(|link| link.config.name == provider)
    }

    /// The names that may be asked for.
    pub(crate) fn models(&self) -> Vec<String> {
        let aliases = self.aliases.models.iter().map(|alias| alias.name.clone());
        let own = self.models_links(|_| true).into_iter();
        let mut seen = HashSet::new();
        let names = aliases.chain(own.map(|target| target.link.config.model.clone()));
        names.filter(|name| seen.insert(name.clone())).collect()
    }
}

fn order(targets: &mut [Target<'_>], strategy: Strategy) {
    match strategy {
        Strategy::Fallback => {}
        Strategy::Weighted => {
            // Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006): sorting
            // by u^(1/w) draws without replacement by weight.
            let mut rng = rand::rng();
            targets.sort_by_cached_key(|target| {
                let drawn: f64 = rng.random_range(f64::EPSILON..1.0);
                Sortable(-drawn.powf(1.0 / f64::from(target.weight)))
            });
        }
        Strategy::LeastBusy => targets.sort_by_key(|target| {
            let places = target.link.config.max_concurrency.max(1) as usize;
            target.link.entrance.gate().in_flight() * 1_000 / places
        }),
        Strategy::LowestLatency => targets.sort_by_key(|target| target.link.load.ttft()),
        Strategy::LowestCost => targets.sort_by_cached_key(|target| {
            Sortable(cost_of(TYPICAL, target.model_name(), &target.link.config))
        }),
    }
}

/// A number that is never NaN.
#[derive(PartialEq)]
struct Sortable(f64);

impl PartialOrd for Sortable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Sortable {}

impl Ord for Sortable {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
