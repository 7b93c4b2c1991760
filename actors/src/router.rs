//! The fallback chain: which providers are asked for an answer, in which order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::ArbiterHandle;
use callboard_protocol::{ClientError, ProviderKeyState, ProviderModelState, ProviderState};
use callboard_providers::{Client, ConfigError, ProviderConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    gateway::{Aliases, Books, Shape},
    keeper::{Keeper, Placement},
    metrics::Metrics,
    provider::{Entrance, GateReadings, LaneReadings, MAILBOX, Provider, ProviderSeed},
};

/// One provider of the chain.
pub(crate) struct Link {
    pub(crate) config: Arc<ProviderConfig>,
    pub(crate) entrance: Entrance,
    pub(crate) load: Arc<Load>,
    pub(crate) books: Books,
    /// As they were read when it was started: a file of a key may have changed since.
    keys: Vec<SecretString>,
}

/// What was learned of a provider: how quick it is, for strategies to compare, and what it refuses.
#[derive(Default)]
pub(crate) struct Load {
    /// Microseconds to the first token, as a moving average; 0 before the first.
    ttft_us: AtomicU64,
    /// Set when it has refused a request for its tools.
    refuses_tools: AtomicBool,
}

impl Load {
    /// The time to the first token lately; zero when it was not asked yet.
    pub(crate) fn ttft(&self) -> Duration {
        Duration::from_micros(self.ttft_us.load(Ordering::Acquire))
    }

    /// It takes requests, and none with tools.
    pub(crate) fn refuse_tools(&self) {
        self.refuses_tools.store(true, Ordering::Relaxed);
    }

    /// A first token has come. A fifth of each figure goes into the average, which so looks back
    /// over some ten calls.
    pub(crate) fn first_token(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let known = self.ttft_us.load(Ordering::Acquire);
        let average = if known == 0 { took } else { known - known / 5 + took / 5 };
        // Of two that come at once one is left out, which an average does not mind.
        self.ttft_us.store(average, Ordering::Release);
    }
}

/// A provider that could be started.
pub(crate) struct Prepared {
    config: ProviderConfig,
    client: Client,
    keys: Vec<SecretString>,
}

impl Prepared {
    /// Reads its keys and prepares its connections.
    pub(crate) fn new(config: ProviderConfig) -> Result<Self, ConfigError> {
        Ok(Self { keys: config.keys()?, client: Client::new(&config)?, config })
    }

    /// Starts a kept actor for it.
    pub(crate) fn start(self, keeper: &Keeper, metrics: &Metrics, arbiter: &ArbiterHandle) -> Link {
        let Self { config, client, keys } = self;
        let config = Arc::new(config);
        let seed = ProviderSeed::new(Arc::clone(&config), Arc::new(client), metrics.clone());
        let name = format!("provider:{}", config.name);
        let kept = seed.clone();
        let address = keeper
            .keep(name, Placement::on(arbiter, MAILBOX), move |life| Provider::new(kept, life));
        let entrance = Entrance::new(&seed, address);
        Link { config, entrance, load: Arc::default(), books: Books::default(), keys }
    }
}

impl Link {
    /// Whether a configuration is the one that it was started with, to the last key.
    pub(crate) fn is_of(&self, config: &ProviderConfig) -> bool {
        let same = |(one, other): (&SecretString, &SecretString)| {
            one.expose_secret() == other.expose_secret()
        };
        let keys = config.keys().unwrap_or_default();
        let value = |config: &ProviderConfig| serde_json::to_value(config).ok();
        keys.len() == self.keys.len()
            && keys.iter().zip(&self.keys).all(same)
            && value(config) == value(&self.config)
    }

    /// Whether its models are offered the assistant's tools.
    pub(crate) fn offers_tools(&self) -> bool {
        let refuses = || self.load.refuses_tools.load(Ordering::Relaxed);
        self.config.tools.unwrap_or_else(|| !refuses())
    }

    fn actor_name(&self) -> String {
        format!("provider:{}", self.config.name)
    }
}

/// All providers, in the order in which they are asked.
pub(crate) struct Router {
    pub(crate) links: Vec<Arc<Link>>,
    pub(crate) aliases: Aliases,
}

impl Router {
    /// The place in the chain of a provider, by its name or that of its model.
    pub(crate) fn place(&self, model: &str) -> Option<usize> {
        self.links.iter().position(|link| link.config.model == model || link.config.name == model)
    }

    /// Whether a question may name this model.
    ///
    /// # Errors
    /// `unknown_model`.
    pub(crate) fn check(&self, model: &str) -> Result<(), ClientError> {
        self.plan_turn(Some(model), &Shape::default()).map(|_| ())
    }

    /// The chain in words, for cache keys.
    pub(crate) fn chain(&self) -> Vec<String> {
        let names = self.links.iter().map(|link| &link.config);
        names.map(|config| format!("{}/{}", config.name, config.model)).collect()
    }

    /// Closes a provider's breaker and wakes its keys; false when there is no such provider.
    pub(crate) fn reset(&self, provider: &str) -> bool {
        let link = self.links.iter().find(|link| link.config.name == provider);
        link.inspect(|link| link.entrance.reset()).is_some()
    }

    /// Every provider as it is.
    pub(crate) fn states(&self, keeper: &Keeper) -> Vec<ProviderState> {
        let links = self.links.iter().enumerate();
        links.map(|(position, link)| state(position, link, keeper)).collect()
    }
}

fn state(position: usize, link: &Link, keeper: &Keeper) -> ProviderState {
    let config = &link.config;
    let GateReadings { circuit, in_flight, waiting, lanes, last_error } =
        link.entrance.gate().observe();
    ProviderState {
        name: config.name.clone(),
        kind: config.kind.as_str().to_owned(),
        model: config.model.clone(),
        position,
        circuit,
        in_flight,
        max_concurrency: config.max_concurrency as usize,
        queued: waiting,
        max_queue: config.max_queue as usize,
        restarts: keeper.restarts(&link.actor_name()),
        models: lanes.into_iter().map(model_state).collect(),
        last_error: last_error.map(str::to_owned),
    }
}

fn model_state(lane: LaneReadings) -> ProviderModelState {
    let keys = lane.keys.into_iter().map(|key| ProviderKeyState {
        rests_for_ms: u64::try_from(key.rests_for.as_millis()).unwrap_or(u64::MAX),
        refused: key.refused,
    });
    ProviderModelState { model: lane.model, circuit: lane.circuit, keys: keys.collect() }
}
