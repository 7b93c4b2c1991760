//! The fallback chain: which providers are asked for an answer, in which order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Addr, ArbiterHandle, MailboxError};
use callboard_protocol::{CircuitState, ClientError, ErrorCode, ProviderState, UserId};
use callboard_providers::{Client, ConfigError, ProviderConfig};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::{
    gateway::{Aliases, ModelConfig},
    keeper::{Keeper, Placement},
    metrics::Metrics,
    provider::{
        Acquire, Lease, MAILBOX, Observe, Provider, ProviderReadings, ProviderSeed, Refused,
    },
};

/// An observation is answered in microseconds, unless the actor is being restarted.
const OBSERVE_TIMEOUT: Duration = Duration::from_millis(500);

/// One provider of the chain.
pub(crate) struct Link {
    pub(crate) config: Arc<ProviderConfig>,
    /// Stored once: every clone would have a place of its own in the mailbox.
    pub(crate) address: Addr<Provider>,
    pub(crate) load: Arc<Load>,
}

/// Why a provider gave no lease.
pub(crate) enum NoLease {
    Refused(Refused),
    /// Its actor did not answer.
    Silent,
}

/// How busy and how quick a provider is, for strategies to compare.
pub(crate) struct Load {
    in_flight: Arc<AtomicUsize>,
    /// Microseconds to the first token, as a moving average; 0 before the first.
    ttft_us: AtomicU64,
}

impl Load {
    /// Calls that run.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// The time to the first token lately; zero when it was not asked yet.
    pub(crate) fn ttft(&self) -> Duration {
        Duration::from_micros(self.ttft_us.load(Ordering::Acquire))
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

impl Link {
    fn actor_name(&self) -> String {
        format!("provider:{}", self.config.name)
    }

    /// Asks for the right to make one call, and waits for it no longer than its queue may take.
    pub(crate) async fn acquire(&self, user: UserId, deadline: Instant) -> Result<Lease, NoLease> {
        let provider = self.config.name.as_str();
        // A little longer than its queue: an actor that is stuck must not hold the asker.
        let longest = self.config.queue_timeout() + Duration::from_secs(1);
        let asked = timeout(longest, self.address.send(Acquire { user, deadline })).await;
        match asked.unwrap_or(Err(MailboxError::Timeout)) {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(refused)) => {
                let reason = match refused {
                    Refused::Saturated { .. } => "saturated",
                    Refused::CircuitOpen { .. } => "circuit open",
                };
                info!(provider, reason, "provider refused admission");
                Err(NoLease::Refused(refused))
            }
            Err(error) => {
                warn!(provider, %error, "provider's actor did not answer");
                Err(NoLease::Silent)
            }
        }
    }

    async fn observe(&self) -> Option<ProviderReadings> {
        timeout(OBSERVE_TIMEOUT, self.address.send(Observe)).await.ok()?.ok()
    }
}

/// All providers, in the order in which they are asked.
pub(crate) struct Router {
    pub(crate) links: Vec<Link>,
    pub(crate) aliases: Aliases,
}

impl Router {
    /// Starts a kept actor for each provider.
    pub(crate) fn start(
        configs: Vec<ProviderConfig>,
        models: Vec<ModelConfig>,
        keeper: &Keeper,
        metrics: &Metrics,
        arbiters: &[ArbiterHandle],
    ) -> Result<Self, ConfigError> {
        let mut links = Vec::with_capacity(configs.len());
        for (config, arbiter) in configs.into_iter().zip(arbiters.iter().cycle()) {
            let client = Arc::new(Client::new(&config)?);
            let config = Arc::new(config);
            let seed = ProviderSeed::new(Arc::clone(&config), client, metrics.clone());
            let load = Arc::new(Load { in_flight: seed.in_flight(), ttft_us: AtomicU64::new(0) });
            let name = format!("provider:{}", config.name);
            let address =
                keeper.keep(name, Placement::on(arbiter, MAILBOX), move |_| Provider::new(seed));
            links.push(Link { config, address, load });
        }
        Ok(Self { links, aliases: Aliases::new(models) })
    }

    /// The providers to ask, first to last. A named model, or provider, is asked first, then those
    /// that come after it.
    pub(crate) fn candidates(&self, model: Option<&str>) -> &[Link] {
        let first = model.and_then(|model| self.place(model)).unwrap_or(0);
        &self.links[first..]
    }

    fn place(&self, model: &str) -> Option<usize> {
        self.links.iter().position(|link| link.config.model == model || link.config.name == model)
    }

    /// Whether a question may name this model.
    ///
    /// # Errors
    /// `unknown_model`.
    pub(crate) fn check(&self, model: &str) -> Result<(), ClientError> {
        self.place(model).map(|_| ()).ok_or_else(|| ErrorCode::UnknownModel.into())
    }

    /// The chain in words, for cache keys.
    pub(crate) fn chain(&self) -> Vec<String> {
        let names = self.links.iter().map(|link| &link.config);
        names.map(|config| format!("{}/{}", config.name, config.model)).collect()
    }

    /// Every provider as it is; one whose actor does not answer shows an open circuit.
    pub(crate) async fn states(&self, keeper: &Keeper) -> Vec<ProviderState> {
        let observed = futures_util::future::join_all(self.links.iter().map(Link::observe)).await;
        let links = self.links.iter().zip(observed).enumerate();
        links
            .map(|(position, (link, readings))| ProviderState {
                name: link.config.name.clone(),
                kind: link.config.kind.as_str().to_owned(),
                model: link.config.model.clone(),
                position,
                circuit: readings.map_or(CircuitState::Open, |readings| readings.circuit),
                in_flight: readings.map_or(0, |readings| readings.in_flight),
                max_concurrency: link.config.max_concurrency as usize,
                queued: readings.map_or(0, |readings| readings.queued),
                max_queue: link.config.max_queue as usize,
                restarts: keeper.restarts(&link.actor_name()),
            })
            .collect()
    }
}
