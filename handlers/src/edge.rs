//! What the handlers hold.
//!
//! [`Edge`] exists from the first moment, so that the server listens while the stores are opened
//! and migrated; [`AppState`] comes when they are. Until then every handler that needs it answers
//! `not_ready`, because its [`State`] extractor does: no handler can forget the gate.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::StatusCode, web};
use callboard_actors::{Metrics, Rights, System};
use callboard_entities::Store;
use callboard_logs::{LogStore, push::PushError};
use callboard_protocol::{ClientError, ErrorCode, Health, Reloaded};
use futures_util::future::BoxFuture;
use std::future::{Ready, ready};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    ApiError, ConfigError, EdgeConfig, blocking::BlockingPool, error, identity::Identity, openapi,
    routes, web::WebFiles,
};

/// Bodies of pushes that are read at once, and that wait for it …
const PUSHES: usize = 2;
const PUSHES_WAITING: usize = 64;

/// … and for how long.
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// The edge of one server: a cheap clone, the same for all workers.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    config: EdgeConfig,
    metrics: Metrics,
    started: Instant,
    state: OnceLock<AppState>,
    web: WebFiles,
    openapi: String,
    log_reads: BlockingPool,
    push_reads: BlockingPool,
    uploads: Arc<Semaphore>,
    tails: Arc<Semaphore>,
}

impl Edge {
    /// An edge that is not open yet.
    ///
    /// # Errors
    /// When the configuration has a bad value.
    pub fn new(config: EdgeConfig, metrics: Metrics) -> Result<Self, ConfigError> {
        config.check()?;
        let limits = config.limits;
        Ok(Self(Arc::new(Inner {
            metrics,
            started: Instant::now(),
            state: OnceLock::new(),
            web: WebFiles::new(config.web_folder.clone()),
            openapi: openapi::json(),
            log_reads: BlockingPool::new(
                limits.log_reads,
                limits.log_reads_waiting,
                Duration::from_secs(limits.log_read_timeout_s),
            ),
            push_reads: BlockingPool::new(PUSHES, PUSHES_WAITING, PUSH_TIMEOUT),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            tails: Arc::new(Semaphore::new(limits.tails)),
            config,
        })))
    }

    /// Opens it: from now on requests are served. A second call changes nothing.
    pub fn open(&self, state: AppState) {
        let _first = self.0.state.set(state);
    }

    /// Puts the routes, the page and the error shapes into an app.
    pub fn configure(&self, app: &mut web::ServiceConfig) {
        app.app_data(web::Data::new(self.clone()))
            .app_data(error::json_config(self.0.config.limits.json_bytes))
            .app_data(error::path_config())
            .app_data(error::query_config());
        routes::configure(app);
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        &self.0.config
    }

    /// What the handlers hold, once it is there.
    #[must_use]
    pub fn state(&self) -> Option<&AppState> {
        self.0.state.get()
    }

    /// How long the server has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn web(&self) -> &WebFiles {
        &self.0.web
    }

    pub(crate) fn openapi(&self) -> &str {
        &self.0.openapi
    }

    pub(crate) fn uploads(&self) -> &Arc<Semaphore> {
        &self.0.uploads
    }

    pub(crate) fn tails(&self) -> &Arc<Semaphore> {
        &self.0.tails
    }

    /// Runs a read of the log index on its bounded pool, of the sources that the reader may see.
    pub(crate) async fn read_logs<T, E>(
        &self,
        reader: &Rights,
        read: impl FnOnce(&LogStore) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Send + 'static,
        ApiError: From<E>,
    {
        let logs = &self.state().ok_or(ErrorCode::NotReady)?.logs;
        let logs = logs.visible_to(&reader.readable());
        Ok(self.0.log_reads.run(move || read(&logs)).await??)
    }

    /// Reads what was pushed on its bounded pool.
    pub(crate) async fn read_push<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, PushError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let read = self.0.push_reads.run(read).await?;
        read.map_err(|error| ApiError::new(ErrorCode::BadRequest, error.to_string()))
    }

    pub(crate) fn count(&self, route: &str, method: &str, status: StatusCode) {
        self.0.metrics.http_request(route, method, status.as_u16());
    }

    /// The edge of the app that `request` came to.
    pub(crate) fn of(request: &HttpRequest) -> Result<&Self, ApiError> {
        request
            .app_data::<web::Data<Self>>()
            .map(|edge| edge.get_ref())
            .ok_or_else(|| ApiError::internal("the app was not configured with Edge::configure"))
    }
}

/// Everything that handlers work with.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub store: Store,
    /// The log index.
    pub logs: LogStore,
    /// Who is who.
    pub identity: Identity,
    /// The actors.
    pub system: System,
    /// Where uploads are put until their job has read them; it exists.
    pub uploads: PathBuf,
    /// Reads the configuration again.
    pub reload: Arc<dyn Reload>,
}

/// Reads the configuration again, and puts what may change at run time in force.
pub trait Reload: Send + Sync {
    /// All or, with an error, nothing.
    fn reload(&self) -> Reloading<'_>;
}

/// What [`Reload`] answers.
pub type Reloading<'a> = BoxFuture<'a, Result<Reloaded, ClientError>>;

/// The [`AppState`] in a handler; `not_ready` until there is one.
pub(crate) struct State(Edge);

impl State {
    /// The state behind a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let edge = Edge::of(request)?;
        edge.state().ok_or_else(not_ready)?;
        Ok(Self(edge.clone()))
    }

    pub(crate) fn edge(&self) -> &Edge {
        &self.0
    }
}

impl std::ops::Deref for State {
    type Target = AppState;

    #[expect(clippy::expect_used, reason = "a State is made only when the cell is filled for good")]
    fn deref(&self) -> &AppState {
        self.0.state().expect("checked when the State was made")
    }
}

impl FromRequest for State {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// The status of a readiness report.
pub(crate) fn readiness_status(health: Health) -> StatusCode {
    match health {
        Health::Up | Health::Degraded => StatusCode::OK,
        Health::Down => error::status(ErrorCode::NotReady.class()),
    }
}

pub(crate) fn not_ready() -> ApiError {
    ApiError::from(ErrorCode::NotReady).retry_after(Duration::from_secs(1))
}
