//! One live conversation: it orders turns and tells those who watch.
//!
//! A question is made durable (one transaction, idempotent by the client's id) before it is
//! accepted; then its turn runs, or waits behind the one that runs, at most `max_waiting_turns` of
//! them. Watchers are told with `try_send` on the address they gave once; one whose mailbox is
//! full is marked overrun, which closes its socket, so that a slow reader never costs memory and
//! never misses a turn unnoticed. The mailbox takes [`MAILBOX`]; beyond it askers wait, at most as
//! long as an ask may take. A panic marks the watchers overrun, so that they come back and watch
//! again, and ends the turns that wait; the one that runs goes on. A question that was stored and
//! whose turn had not begun is ended, too: its answer does not stay `streaming`.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message,
    MessageResult, Recipient, Supervised, WrapFuture,
};
use callboard_entities::queries::messages::BegunTurn;
use callboard_protocol::{
    Ask, ClientError, ClientMessageId, ConversationId, MessageId, ServerFrame, SessionId, TurnId,
    User, UserId,
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    budget::Payer,
    conversations::Conversations,
    keeper::Life,
    mailbox::{Mailbox, Posted},
    rights::Rights,
    sockets::ConnectionId,
    system::Shared,
    turn::{self, TurnJob, Unbegun},
    turn_log::{TurnHead, TurnLog},
};

/// Messages in the mailbox: a handful per turn and watcher.
pub(crate) const MAILBOX: usize = 128;

/// How often an idle conversation looks whether it may end.
const IDLE_CHECK: Duration = Duration::from_secs(30);

/// What a watching session is told.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub enum SessionEvent {
    /// A frame for its socket.
    Frame(Box<ServerFrame>),
    /// A turn began: follow it.
    TurnBegan(Arc<TurnLog>),
}

/// A session that watches a conversation.
#[derive(Clone)]
pub struct Watcher {
    /// The socket; two sockets may come back as the same session.
    pub(crate) connection: ConnectionId,
    pub(crate) events: Recipient<SessionEvent>,
    /// Set when an event did not fit; the session closes its socket when it sees it.
    pub(crate) overrun: Arc<AtomicBool>,
}

impl Watcher {
    fn tell(&self, event: SessionEvent) {
        if self.events.try_send(event).is_err() {
            self.overrun.store(true, Ordering::Relaxed);
        }
    }
}

/// Who asks.
#[derive(Clone)]
pub struct Asker {
    /// The account.
    pub user: UserId,
    /// What the account may do, and which logs the answer may be told from.
    pub rights: Arc<Rights>,
    /// Whose budgets the answer counts to.
    pub payer: Arc<Payer>,
    /// The session, when it is one: it watches the conversation from then on.
    pub watcher: Option<Watcher>,
}

impl Asker {
    /// An account, and the session through which it asks, if that wants to watch.
    #[must_use]
    pub fn new(user: &User, rights: Arc<Rights>, watcher: Option<Watcher>) -> Self {
        Self { user: user.id, rights, payer: Arc::new(Payer::new(user, None)), watcher }
    }
}

/// A question that was made durable.
#[derive(Clone)]
pub struct Begun {
    /// The client's id of the question.
    pub client_message_id: ClientMessageId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// The question's message.
    pub message_id: MessageId,
    /// The message that holds, or will hold, the answer.
    pub answer_id: MessageId,
    /// The turn that answers it.
    pub turn_id: TurnId,
    /// Whether it was submitted before.
    pub existing: bool,
    /// The turn's log; none when it was submitted before and ended too long ago.
    pub log: Option<Arc<TurnLog>>,
}

/// Submits a question.
#[derive(Message)]
#[rtype(result = "Result<Begun, ClientError>")]
pub(crate) struct BeginTurn {
    pub(crate) asker: Asker,
    pub(crate) ask: Ask,
    /// Whether the conversation is new, and to be made with the question.
    pub(crate) new: bool,
    /// When the question arrived.
    pub(crate) asked_at: Instant,
}

/// Watches the conversation; answers the turn that runs.
#[derive(Message)]
#[rtype(result = "Option<Arc<TurnLog>>")]
pub(crate) struct Watch(pub(crate) Watcher);

/// Watches no longer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unwatch(pub(crate) ConnectionId);

/// A watcher types.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Typing {
    pub(crate) connection: ConnectionId,
    pub(crate) session: SessionId,
    pub(crate) on: bool,
}

/// Sent by a turn that ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TurnEnded(pub(crate) TurnId);

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct ConversationSeed {
    pub(crate) id: ConversationId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) directory: Conversations,
}

/// See the module.
pub(crate) struct Conversation {
    seed: ConversationSeed,
    life: Life,
    watchers: HashMap<ConnectionId, Watcher>,
    running: Option<Arc<TurnLog>>,
    waiting: VecDeque<TurnJob>,
    /// The question that is being made durable, until its turn runs or waits.
    beginning: Option<Unbegun>,
    /// Idle checks since something last happened.
    idle_checks: u32,
}

impl Conversation {
    pub(crate) fn new(seed: ConversationSeed, life: Life) -> Self {
        Self {
            seed,
            life,
            watchers: HashMap::new(),
            running: None,
            waiting: VecDeque::new(),
            beginning: None,
            idle_checks: 0,
        }
    }

    fn arm(&self, ctx: &mut Context<Self>) {
        ctx.run_interval(IDLE_CHECK, Self::end_if_idle);
    }

    fn end_if_idle(&mut self, ctx: &mut Context<Self>) {
        self.watchers.retain(|_, watcher| watcher.events.connected());
        if !self.is_unused() {
            self.idle_checks = 0;
            return;
        }
        self.idle_checks += 1;
        let idle_for = IDLE_CHECK * self.idle_checks;
        if idle_for >= Duration::from_secs(self.seed.shared.chat.idle_conversation_s) {
            self.end(ctx);
        }
    }

    /// From here on a look-up starts a new actor; one that already holds this address and sends
    /// too late sees it closed and looks up again.
    fn end(&mut self, ctx: &mut Context<Self>) {
        self.seed.directory.forget(self.seed.id);
        self.life.finish();
        ctx.stop();
    }

    fn is_unused(&self) -> bool {
        self.watchers.is_empty() && self.running.is_none() && self.waiting.is_empty()
    }

    fn tell_all(&mut self, but: Option<ConnectionId>, event: &SessionEvent) {
        self.watchers.retain(|_, watcher| watcher.events.connected());
        for watcher in self.watchers.values().filter(|watcher| Some(watcher.connection) != but) {
            watcher.tell(event.clone());
        }
    }

    fn tell_presence(&mut self) {
        let watching = u32::try_from(self.watchers.len()).unwrap_or(u32::MAX);
        let frame = ServerFrame::Presence { conversation_id: self.seed.id, watching };
        self.tell_all(None, &SessionEvent::Frame(Box::new(frame)));
    }

    fn start_or_queue(&mut self, job: TurnJob, address: Mailbox<Self>) {
        if self.running.is_some() {
            self.waiting.push_back(job);
        } else {
            self.start(job, address);
        }
    }

    fn start(&mut self, job: TurnJob, address: Mailbox<Self>) {
        let log = Arc::clone(&job.log);
        turn::spawn(Arc::clone(&self.seed.shared), job, address);
        self.running = Some(log);
    }

    /// Runs when the question is durable.
    fn begun(&mut self, asked: BeginTurn, stored: BegunTurn, address: Mailbox<Self>) -> Begun {
        let shared = Arc::clone(&self.seed.shared);
        #[cfg(test)]
        shared.trap.spring("stored");
        let asked_as = stored.user_message.client_message_id.clone();
        let asked_as = asked_as.unwrap_or_else(ClientMessageId::random);
        let mut begun = Begun {
            client_message_id: asked_as,
            conversation_id: stored.conversation.id,
            message_id: stored.user_message.id,
            answer_id: stored.answer_message_id,
            turn_id: stored.turn_id,
            existing: stored.existing,
            log: None,
        };
        let from = asked.asker.watcher.as_ref().map(|watcher| watcher.connection);
        if let Some(watcher) = asked.asker.watcher {
            self.watchers.insert(watcher.connection, watcher);
        }
        if stored.existing {
            begun.log = shared.turns.get(stored.turn_id);
            return begun;
        }
        let log = TurnLog::new(TurnHead {
            turn_id: stored.turn_id,
            conversation_id: stored.conversation.id,
            message_id: stored.answer_message_id,
            owner: asked.asker.user,
            max_bytes: shared.chat.max_answer_bytes,
            coalesce: Duration::from_millis(shared.session.coalesce_ms),
        });
        shared.turns.add(Arc::clone(&log));
        #[cfg(test)]
        shared.trap.spring("known");
        let message = ServerFrame::Message { message: Box::new(stored.user_message) };
        self.tell_all(from, &SessionEvent::Frame(Box::new(message)));
        self.tell_all(from, &SessionEvent::TurnBegan(Arc::clone(&log)));
        begun.log = Some(Arc::clone(&log));
        let prepared_in = asked.asked_at.elapsed();
        let Asker { rights, payer, .. } = asked.asker;
        let job = TurnJob { ask: asked.ask, log, rights, payer, prepared_in };
        self.start_or_queue(job, address);
        begun
    }
}

impl Drop for Conversation {
    /// After a panic, and when it is given up: nobody may wait for what will not come.
    fn drop(&mut self) {
        for watcher in self.watchers.values() {
            watcher.overrun.store(true, Ordering::Relaxed);
        }
        for job in self.waiting.drain(..) {
            turn::abandon(Arc::clone(&self.seed.shared), &job.log);
        }
        // It is given up: otherwise `restarting` has taken it.
        if let Some(unbegun) = self.beginning.take() {
            let shared = Arc::clone(&self.seed.shared);
            let (tracker, runtime) = (shared.tracker.clone(), shared.runtime.clone());
            let running = self.running.as_ref().map(|log| log.turn_id());
            tracker.spawn_on(turn::end_orphan(shared, unbegun, running), &runtime);
        }
    }
}

impl Actor for Conversation {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for Conversation {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        // The turn that runs is taken up again, so that the next does not overtake it; dropping the
        // old state sees to the rest.
        let running = self.running.take().filter(|log| !log.has_ended());
        let unbegun = self.beginning.take();
        *self = Self::new(self.seed.clone(), self.life.clone());
        self.running = running;
        self.arm(ctx);
        if let Some(unbegun) = unbegun {
            // Before the next message: whoever asks again must find the turn at its end.
            let running = self.running.as_ref().map(|log| log.turn_id());
            let shared = Arc::clone(&self.seed.shared);
            ctx.wait(turn::end_orphan(shared, unbegun, running).into_actor(self));
        }
    }
}

impl Handler<Posted<BeginTurn>> for Conversation {
    type Result = AtomicResponse<Self, Result<Begun, ClientError>>;

    fn handle(&mut self, posted: Posted<BeginTurn>, _: &mut Self::Context) -> Self::Result {
        let asked = posted.open();
        self.idle_checks = 0;
        let waiting = self.waiting.len();
        let room = self.running.is_none() || waiting < self.seed.shared.chat.max_waiting_turns;
        let shared = Arc::clone(&self.seed.shared);
        let (id, new) = (self.seed.id, asked.new);
        let user = asked.asker.user;
        let client_message_id = asked.ask.client_message_id.clone();
        self.beginning =
            client_message_id.map(|client_message_id| Unbegun { user, client_message_id });
        let submission = turn::Submission { user, id, new, ask: asked.ask.clone(), room };
        let store = async move { turn::submit(&shared, submission).await }.in_current_span();
        AtomicResponse::new(Box::pin(store.into_actor(self).map(move |stored, actor, ctx| {
            let own = actor.life.mailbox(ctx);
            let begun = stored.map(|stored| actor.begun(asked, stored, own));
            actor.beginning = None;
            // An id that is nobody's conversation must not keep an actor.
            if begun.is_err() && actor.is_unused() {
                actor.end(ctx);
            }
            begun
        })))
    }
}

impl Handler<Posted<Watch>> for Conversation {
    type Result = MessageResult<Posted<Watch>>;

    fn handle(&mut self, posted: Posted<Watch>, _: &mut Self::Context) -> Self::Result {
        let Watch(watcher) = posted.open();
        self.idle_checks = 0;
        for job in &self.waiting {
            watcher.tell(SessionEvent::TurnBegan(Arc::clone(&job.log)));
        }
        self.watchers.insert(watcher.connection, watcher);
        self.tell_presence();
        MessageResult(self.running.clone())
    }
}

impl Handler<Posted<Unwatch>> for Conversation {
    type Result = ();

    fn handle(&mut self, posted: Posted<Unwatch>, _: &mut Self::Context) {
        let Unwatch(connection) = posted.open();
        if self.watchers.remove(&connection).is_some() {
            self.tell_presence();
        }
    }
}

impl Handler<Posted<Typing>> for Conversation {
    type Result = ();

    fn handle(&mut self, posted: Posted<Typing>, _: &mut Self::Context) {
        let typing = posted.open();
        let frame = ServerFrame::Typing {
            conversation_id: self.seed.id,
            session_id: typing.session,
            on: typing.on,
        };
        self.tell_all(Some(typing.connection), &SessionEvent::Frame(Box::new(frame)));
    }
}

impl Handler<Posted<TurnEnded>> for Conversation {
    type Result = ();

    fn handle(&mut self, posted: Posted<TurnEnded>, ctx: &mut Self::Context) {
        let TurnEnded(turn) = posted.open();
        if self.running.as_ref().is_some_and(|log| log.turn_id() == turn) {
            self.running = None;
        }
        if self.running.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.start(next, self.life.mailbox(ctx));
        }
    }
}

#[cfg(test)]
mod tests;
