//! The router in force. It is replaced as a whole when the configuration changes: whoever asks takes
//! the one in force, and goes on with it to the end, so that no stream is dropped. Providers whose
//! configuration is the same stay as they are, with their breakers and those who wait for them.
//!
//! Names for models come from the configuration and from the API; the API's stand in the database,
//! and before those of the configuration with the same name.

use std::sync::Arc;

use actix::ArbiterHandle;
use callboard_entities::{Store, queries::settings};
use callboard_protocol::{ClientError, ErrorCode, Timestamp};
use callboard_providers::{ConfigError, ProviderConfig};
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::{
    StartError, System,
    gateway::{Aliases, ModelConfig, check_models},
    keeper::Keeper,
    metrics::Metrics,
    router::{Link, Prepared, Router},
    storage::store_failed,
};

/// Where the names of the API are kept.
const SETTING: &str = "models";

/// Names that the API may add.
const MAX_NAMES: usize = 256;

/// See the module.
pub(crate) struct Routing {
    now: RwLock<Arc<Router>>,
    /// One change after the other.
    names: Mutex<Names>,
    keeper: Keeper,
    metrics: Metrics,
    arbiters: Arc<[ArbiterHandle]>,
}

/// The names for models, by where they come from.
#[derive(Default)]
struct Names {
    of_file: Vec<ModelConfig>,
    of_api: Vec<ModelConfig>,
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrigin {
    /// The configuration.
    File,
    /// The API.
    Api,
}

impl Names {
    /// All that are in force, with where they come from.
    fn in_force(&self) -> impl Iterator<Item = (&ModelConfig, NameOrigin)> {
        let is_covered =
            |model: &&ModelConfig| self.of_api.iter().any(|own| own.name == model.name);
        let of_file = self.of_file.iter().filter(move |model| !is_covered(model));
        let of_api = self.of_api.iter().map(|model| (model, NameOrigin::Api));
        of_api.chain(of_file.map(|model| (model, NameOrigin::File)))
    }

    /// Those that lead somewhere; a provider may be gone since the API was told of it.
    fn aliases(&self, providers: &[&str]) -> Aliases {
        let leads_somewhere = |model: &ModelConfig| {
            let leads = check_models(std::slice::from_ref(model), providers).is_empty();
            if !leads {
                warn!(model = model.name, "a name for models leads to no provider any more");
            }
            leads
        };
        let models = self.in_force().map(|(model, _)| model.clone());
        Aliases::new(models.filter(leads_somewhere).collect())
    }
}

impl Routing {
    /// Starts a kept actor for each provider.
    pub(crate) async fn start(
        (providers, models): (Vec<ProviderConfig>, Vec<ModelConfig>),
        store: &Store,
        (keeper, metrics): (&Keeper, &Metrics),
        arbiters: &Arc<[ArbiterHandle]>,
    ) -> Result<Self, StartError> {
        let routing = Self {
            now: RwLock::new(Arc::new(Router { links: Vec::new(), aliases: Aliases::default() })),
            names: Mutex::default(),
            keeper: keeper.clone(),
            metrics: metrics.clone(),
            arbiters: Arc::clone(arbiters),
        };
        routing.replace(providers, models, store).await?;
        Ok(routing)
    }

    /// The one in force.
    pub(crate) fn now(&self) -> Arc<Router> {
        Arc::clone(&self.now.read())
    }

    /// Puts other providers and names in force, with the API's as the database has them; all or, with
    /// an error, nothing. Tells which providers are new or other than before.
    pub(crate) async fn replace(
        &self,
        providers: Vec<ProviderConfig>,
        models: Vec<ModelConfig>,
        store: &Store,
    ) -> Result<Vec<String>, StartError> {
        let of_api = settings::get(store, SETTING).await?.unwrap_or_default();
        let mut names = self.names.lock().await;
        let before = self.now();
        let find = |config: ProviderConfig| {
            let known = before.links.iter().find(|link| link.is_of(&config));
            known.map_or_else(|| Prepared::new(config).map(Err), |link| Ok(Ok(Arc::clone(link))))
        };
        // All could be made before the first of them is.
        let found: Vec<Result<Arc<Link>, Prepared>> =
            providers.into_iter().map(find).collect::<Result<_, ConfigError>>()?;
        let mut changed = Vec::new();
        let mut links = Vec::with_capacity(found.len());
        for (link, arbiter) in found.into_iter().zip(self.arbiters.iter().cycle()) {
            links.push(link.unwrap_or_else(|prepared| {
                let link = prepared.start(&self.keeper, &self.metrics, arbiter);
                changed.push(link.config.name.clone());
                Arc::new(link)
            }));
        }
        *names = Names { of_file: models, of_api };
        self.put_in_force(links, &names);
        Ok(changed)
    }

    fn put_in_force(&self, links: Vec<Arc<Link>>, names: &Names) {
        let providers: Vec<&str> = links.iter().map(|link| link.config.name.as_str()).collect();
        let aliases = names.aliases(&providers);
        *self.now.write() = Arc::new(Router { links, aliases });
    }

    /// All names in force.
    pub(crate) async fn names(&self) -> Vec<(ModelConfig, NameOrigin)> {
        let names = self.names.lock().await;
        names.in_force().map(|(model, origin)| (model.clone(), origin)).collect()
    }

    /// Adds a name, or changes one, and keeps it.
    pub(crate) async fn name(&self, store: &Store, model: ModelConfig) -> Result<(), ClientError> {
        let router = self.now();
        let providers: Vec<&str> =
            router.links.iter().map(|link| link.config.name.as_str()).collect();
        if let Some((key, problem)) = check_models(std::slice::from_ref(&model), &providers).pop() {
            let key = key.strip_prefix("models[0].").unwrap_or(&key).to_owned();
            let message = format!("`{key}` {problem}");
            return Err(ClientError::new(ErrorCode::ValidationFailed, message));
        }
        let mut names = self.names.lock().await;
        let mut of_api = names.of_api.clone();
        of_api.retain(|known| known.name != model.name);
        if of_api.len() >= MAX_NAMES {
            let message = format!("there are {MAX_NAMES} names already");
            return Err(ClientError::new(ErrorCode::Conflict, message));
        }
        of_api.push(model);
        self.keep(store, &mut names, of_api).await
    }

    /// Takes a name of the API away; one of the configuration that it covered is in force again.
    pub(crate) async fn unname(&self, store: &Store, name: &str) -> Result<(), ClientError> {
        let mut names = self.names.lock().await;
        let mut of_api = names.of_api.clone();
        of_api.retain(|model| model.name != name);
        if of_api.len() == names.of_api.len() {
            return Err(ErrorCode::NotFound.into());
        }
        self.keep(store, &mut names, of_api).await
    }

    /// Durable first, then in force.
    async fn keep(
        &self,
        store: &Store,
        names: &mut Names,
        of_api: Vec<ModelConfig>,
    ) -> Result<(), ClientError> {
        settings::set(store, SETTING, &of_api, Timestamp::now()).await.map_err(|error| {
            store_failed("keep the names for models", &error);
            error.client()
        })?;
        names.of_api = of_api;
        self.put_in_force(self.now().links.clone(), names);
        info!(names = names.of_api.len(), "names for models were changed");
        Ok(())
    }
}

impl System {
    /// Puts other providers and names for models in force, all or nothing; what runs goes on to its
    /// end as it began. Tells which providers are new or other than before.
    ///
    /// # Errors
    /// When a provider cannot be made as configured, or the database does not answer.
    pub async fn reconfigure(
        &self,
        providers: Vec<ProviderConfig>,
        models: Vec<ModelConfig>,
    ) -> Result<Vec<String>, StartError> {
        let shared = self.shared();
        shared.routing.replace(providers, models, &shared.store).await
    }

    /// All names for models that are in force, and where each comes from.
    pub async fn models(&self) -> Vec<(ModelConfig, NameOrigin)> {
        self.shared().routing.names().await
    }

    /// Adds a name for models, or changes one; it outlives the server.
    ///
    /// # Errors
    /// `validation_failed`, `conflict` when there are too many, `storage_unavailable`.
    pub async fn put_model(&self, model: ModelConfig) -> Result<(), ClientError> {
        let shared = self.shared();
        shared.routing.name(&shared.store, model).await
    }

    /// Takes a name away that [`System::put_model`] added.
    ///
    /// # Errors
    /// `not_found`, `storage_unavailable`.
    pub async fn delete_model(&self, name: &str) -> Result<(), ClientError> {
        let shared = self.shared();
        shared.routing.unname(&shared.store, name).await
    }
}
