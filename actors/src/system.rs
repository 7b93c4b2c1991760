//! The one handle to everything that lives: what the edge and the composition root hold.

mod parts;

use std::{sync::Arc, time::Duration};

use actix::ArbiterHandle;
use callboard_entities::{Store, queries};
use callboard_logs::LogStore;
use callboard_protocol::{
    ActorList, ActorState, Ask, BudgetUnit, ClientError, ClientMessageId, ConversationId,
    ErrorCode, ProviderList, Readiness, SessionId, TurnId, UserId,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    alerts::Alerts,
    background::Background,
    budget::Budgets,
    cache::Cache,
    config::{ChatConfig, SessionConfig},
    conversation::{Asker, BeginTurn, Begun, Typing, Unwatch, Watch, Watcher},
    conversations::Conversations,
    gateway::{GatewayConfig, Similar},
    health::{self, IndexProbe},
    intake::Intake,
    jobs::Jobs,
    keeper::Keeper,
    ledger::{Ledger, LedgerMetrics},
    metrics::Metrics,
    notify::Notifier,
    routing::Routing,
    sockets::{ConnectionId, Sockets},
    sources::Sources,
    storage::store_failed,
    turn,
    turn_log::TurnLog,
    turns::Turns,
    upkeep::KeepDays,
};

pub use self::parts::{Parts, StartError};

/// Searches for turns that run at once: each takes a core for milliseconds, and the machine has
/// few; the others wait, within the limit of their step.
const SEARCHES: usize = 8;

/// Actors in one reply.
const MOST_ACTORS: usize = 1_000;

/// Of the text of a failure.
const MOST_FAILURE_CHARS: usize = 500;

/// After this the turns that still run when the server ends are cancelled, and get this long to
/// store what they have.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What turns work with.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) logs: LogStore,
    pub(crate) cache: Cache,
    pub(crate) routing: Routing,
    pub(crate) turns: Turns,
    pub(crate) metrics: Metrics,
    pub(crate) chat: ChatConfig,
    pub(crate) session: SessionConfig,
    pub(crate) gateway: GatewayConfig,
    pub(crate) similar: Similar,
    pub(crate) ledger: Ledger,
    /// In money.
    pub(crate) budgets: Budgets,
    /// In tokens.
    pub(crate) quotas: Budgets,
    pub(crate) notifier: Notifier,
    pub(crate) searches: Arc<Semaphore>,
    pub(crate) index: IndexProbe,
    /// Cancelled when the calls of programs have had their time at the end of the server.
    pub(crate) cut: CancellationToken,
    /// Everything that shutdown waits for.
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
    #[cfg(test)]
    pub(crate) trap: crate::testing::Trap,
}

struct Inner {
    shared: Arc<Shared>,
    conversations: Conversations,
    sockets: Sockets,
    jobs: Jobs,
    alerts: Alerts,
    sources: Sources,
    intake: Arc<Intake>,
    keeper: Keeper,
    /// Cancelled when sockets are to say goodbye.
    goodbye: CancellationToken,
    /// Cancelled when nothing new is taken.
    draining: CancellationToken,
    started: Instant,
}

/// See the module. A cheap clone.
#[derive(Clone)]
pub struct System {
    inner: Arc<Inner>,
}

impl System {
    /// Starts all actors. Answers that a former run left unfinished are marked so first.
    ///
    /// # Errors
    /// When a provider's configuration is bad or the database does not answer.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        parts.clear_up().await?;
        let keeper = Keeper::new(parts.metrics.actor_restarts.clone()).with_policy(parts.restarts);
        let arbiters: Arc<[ArbiterHandle]> = parts.arbiters.into();
        let configured = (parts.providers, parts.models);
        let started = (&keeper, &parts.metrics);
        let routing = Routing::start(configured, &parts.store, started, &arbiters).await?;
        let keep = KeepDays {
            calls: parts.ledger.keep_days,
            alerts: parts.alerts.keep_days,
            audit: parts.audit.keep_days,
        };
        let ledger = Ledger::start(parts.ledger, &parts.usage, ledger_metrics(&parts.metrics))?;
        ledger.commit_to(parts.store.clone(), &keeper, &arbiters[0]);
        let limits = parts.budgets;
        let quotas = Budgets::start(limits.clone(), BudgetUnit::Tokens, &parts.store).await?;
        let budgets = Budgets::start(limits, BudgetUnit::MicroUsd, &parts.store).await?;
        let cache = Cache::start(parts.cache, parts.remote, &keeper, &parts.metrics, &arbiters);
        let shared = Arc::new(Shared {
            turns: Turns::new(parts.chat.turns_kept()),
            store: parts.store,
            logs: parts.logs,
            cache,
            routing,
            metrics: parts.metrics,
            chat: parts.chat,
            session: parts.session,
            gateway: parts.gateway,
            similar: Similar::default(),
            ledger,
            budgets,
            quotas,
            notifier: Notifier::new(&parts.alerts).map_err(StartError::Alerts)?,
            searches: Arc::new(Semaphore::new(SEARCHES)),
            index: IndexProbe::default(),
            cut: CancellationToken::new(),
            tracker: TaskTracker::new(),
            runtime: parts.runtime,
            #[cfg(test)]
            trap: crate::testing::Trap::default(),
        });
        let draining = CancellationToken::new();
        for budgets in [&shared.budgets, &shared.quotas] {
            let keep_loaded = budgets.clone().keep_loaded(shared.store.clone(), draining.clone());
            shared.tracker.spawn_on(keep_loaded, &shared.runtime);
        }
        let jobs = Jobs::start(parts.jobs, Arc::clone(&shared), &keeper, &arbiters);
        jobs.remake_outdated().await;
        let background = Background { shared: &shared, keeper: &keeper, arbiters: &arbiters };
        background.keep(parts.own_log, jobs.stopping(), keep);
        background.watch(&jobs, parts.alerts.every_s);
        let sources = background.sources(parts.mirrors, jobs.stopping()).await?;
        let intake = Arc::new(background.intake(parts.pushed, jobs.stopping()).await);
        background.listen(&intake, &jobs.stopping()).map_err(StartError::Listen)?;
        Ok(Self {
            inner: Arc::new(Inner {
                conversations: Conversations::new(keeper.clone(), arbiters),
                sockets: Sockets::new(shared.metrics.ws_active.clone()),
                alerts: Alerts::new(Arc::clone(&shared)),
                shared,
                jobs,
                sources,
                intake,
                keeper,
                goodbye: CancellationToken::new(),
                draining,
                started: Instant::now(),
            }),
        })
    }

    /// Makes a question durable and starts its turn; the same `client_message_id` gives the same
    /// turn. Questions of one conversation are answered in the order of these calls, not in that in
    /// which the futures are polled.
    ///
    /// # Errors
    /// What is wrong with the question, `conversation_not_found`, `turn_running` when too many
    /// wait, `draining`, or that the database is away.
    pub fn ask(
        &self,
        asker: Asker,
        mut ask: Ask,
    ) -> impl Future<Output = Result<Begun, ClientError>> + use<> {
        let asked_at = Instant::now();
        let shared = &self.inner.shared;
        let may = if self.is_draining() {
            Err(ErrorCode::Draining.into())
        } else {
            turn::check(shared, &ask)
        };
        let asked = may.map(|()| {
            // Named here, so that asking a conversation twice means the same question.
            ask.client_message_id.get_or_insert_with(ClientMessageId::random);
            let new = ask.conversation_id.is_none();
            let id = ask.conversation_id.unwrap_or_else(ConversationId::new);
            let begin = move || BeginTurn { asker: asker.clone(), ask: ask.clone(), new, asked_at };
            self.inner.conversations.ask(id, shared, begin)
        });
        async move {
            let begun = asked?.await??;
            // In the span of the request: it ties the request's id to the turn's.
            info!(turn_id = %begun.turn_id, existing = begun.existing, "turn accepted");
            Ok(begun)
        }
    }

    /// The log of a running or lately ended turn of this user.
    #[must_use]
    pub fn turn(&self, user: UserId, turn: TurnId) -> Option<Arc<TurnLog>> {
        self.inner.shared.turns.get(turn).filter(|log| log.owner() == user)
    }

    /// The turn that a conversation is answering right now.
    #[must_use]
    pub fn running_turn(&self, conversation: ConversationId) -> Option<TurnId> {
        self.inner.shared.turns.running_in(conversation)
    }

    /// Stops the turns of a conversation that was deleted.
    pub fn cancel_turns(&self, conversation: ConversationId) {
        self.inner.shared.turns.cancel_in(conversation);
    }

    /// Watches a conversation of this user; answers the turn that runs.
    pub(crate) async fn watch(
        &self,
        user: UserId,
        conversation: ConversationId,
        watcher: Watcher,
    ) -> Result<Option<Arc<TurnLog>>, ClientError> {
        let shared = &self.inner.shared;
        let owned = queries::conversations::get(&shared.store, user, conversation).await;
        owned.map_err(|error| {
            store_failed("open a conversation", &error);
            error.client()
        })?;
        let watch = || Watch(watcher.clone());
        self.inner.conversations.ask(conversation, shared, watch).await
    }

    pub(crate) fn unwatch(&self, conversation: ConversationId, connection: ConnectionId) {
        self.inner.conversations.tell(conversation, Unwatch(connection));
    }

    pub(crate) fn typing(
        &self,
        conversation: ConversationId,
        connection: ConnectionId,
        session: SessionId,
        on: bool,
    ) {
        self.inner.conversations.tell(conversation, Typing { connection, session, on });
    }

    pub(crate) fn has_mode(&self, mode: &str) -> bool {
        self.inner.shared.chat.modes.contains_key(mode)
    }

    pub(crate) fn session_limits(&self) -> &SessionConfig {
        &self.inner.shared.session
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.inner.sockets
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.shared.store
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.inner.keeper
    }

    /// The sources that programs push to.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.inner.intake
    }

    /// The alert rules.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.inner.alerts
    }

    /// Background jobs.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }

    /// The log sources that somebody configured.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.inner.sources
    }

    /// The answer cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.inner.shared.cache
    }

    /// The registry of metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.shared.metrics
    }

    /// Every provider, in the order of the fallback chain.
    #[must_use]
    pub fn providers(&self) -> ProviderList {
        ProviderList { items: self.inner.shared.routing.now().states(&self.inner.keeper) }
    }

    /// Every kept actor and how it is.
    #[must_use]
    pub fn actors(&self) -> ActorList {
        let kept = self.inner.keeper.observe();
        let items = kept.iter().take(MOST_ACTORS).map(|(name, status)| ActorState {
            name: name.clone(),
            state: status.state.as_str().to_owned(),
            restarts: status.restarts,
            last_failure: status
                .last_failure
                .as_ref()
                .map(|text| text.chars().take(MOST_FAILURE_CHARS).collect()),
            since: status.since,
            busy_ms: u64::try_from(status.busy.as_millis()).unwrap_or(u64::MAX),
            hangs: status.hangs(),
            waiting: status.waiting,
            mailbox: status.mailbox,
        });
        let sessions = self.inner.sockets.total();
        ActorList { items: items.collect(), total: kept.len(), sessions }
    }

    /// Closes the breaker of a provider and wakes its keys: somebody has mended it.
    ///
    /// # Errors
    /// `not_found` when there is no such provider.
    pub fn reset_provider(&self, name: &str) -> Result<(), ClientError> {
        let known = self.inner.shared.routing.now().reset(name);
        if known { Ok(()) } else { Err(ErrorCode::NotFound.into()) }
    }

    /// Whether the server can do its work, with one entry for each thing it depends on.
    pub async fn readiness(&self) -> Readiness {
        health::readiness(self).await
    }

    /// Since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// Whether the server takes nothing new any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    /// Cancelled when sockets are to say goodbye.
    pub(crate) fn goodbye(&self) -> CancellationToken {
        self.inner.goodbye.clone()
    }

    /// Ends everything in order: nothing new is taken, running turns and the calls of programs get
    /// up to `patience`, those that still run are cut and store what they have, sockets say goodbye,
    /// jobs stop at their next checkpoint. [`System::close`] comes last.
    pub async fn drain(&self, patience: Duration) {
        let shared = &self.inner.shared;
        self.inner.draining.cancel();
        let running = shared.turns.running();
        info!(running, sockets = self.inner.sockets.total(), "draining");
        self.inner.jobs.stop();
        shared.tracker.close();
        if timeout(patience, quiet(shared)).await.is_err() {
            let calls = shared.ledger.observe().open;
            let running = shared.turns.running();
            warn!(running, calls, "turns and calls outlived their patience; cancelling");
            shared.turns.cancel_all();
            shared.cut.cancel();
            if timeout(LAST_WORDS, quiet(shared)).await.is_err() {
                warn!("turns are left behind; they will be marked interrupted at the next start");
            }
        }
        self.inner.goodbye.cancel();
        let gone = async {
            while self.inner.sockets.total() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(LAST_WORDS, gone).await.is_err() {
            warn!(sockets = self.inner.sockets.total(), "sockets did not take their goodbye");
        }
    }

    /// Brings what was used into the database, when nobody is left who could use more: the last
    /// calls of programs end with their connections.
    pub async fn close(&self) {
        let shared = &self.inner.shared;
        if timeout(LAST_WORDS, shared.ledger.stop(&shared.store)).await.is_err() {
            warn!("the usage journal is left; the next start brings it into the database");
        }
    }
}

fn ledger_metrics(metrics: &Metrics) -> LedgerMetrics {
    LedgerMetrics {
        pending: metrics.ledger_pending.clone(),
        journal_bytes: metrics.ledger_bytes.clone(),
        lost: metrics.ledger_lost.clone(),
    }
}

/// Waits until no turn runs, none waits behind one, and no model is being asked.
async fn quiet(shared: &Shared) {
    loop {
        shared.tracker.wait().await;
        if shared.turns.running() == 0 && shared.ledger.observe().open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
