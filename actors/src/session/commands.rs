//! What a session does with each frame.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, WrapFuture};
use callboard_protocol::{
    Ask, ClientError, ClientFrame, ConversationId, ErrorCode, ServerFrame, SystemKind, Timestamp,
    TurnId,
};

use super::{MAX_SUBMITTING, Session};
use crate::{
    conversation::{Asker, Begun},
    socket::SocketContext,
    turn_log::TurnLog,
};

impl Session {
    /// Does what the frame says; the sender is allowed to.
    pub(super) fn obey(&mut self, frame: ClientFrame, ctx: &mut SocketContext) {
        match frame {
            ClientFrame::Message(ask) => self.submit(ask, ctx),
            ClientFrame::Cancel { turn_id } => self.cancel(turn_id, ctx),
            ClientFrame::Resume { turn_id, after_seq } => self.resume(turn_id, after_seq, ctx),
            ClientFrame::Subscribe { conversation_id } => self.subscribe(conversation_id, ctx),
            ClientFrame::Unsubscribe { conversation_id } => {
                if self.subscriptions.remove(&conversation_id) {
                    self.system.unwatch(conversation_id, self.place.connection);
                }
            }
            ClientFrame::Typing { conversation_id, on } => {
                if self.subscriptions.contains(&conversation_id) {
                    let (connection, session) = (self.place.connection, self.session_id);
                    self.system.typing(conversation_id, connection, session, on);
                }
            }
            ClientFrame::Mode { mode } => self.set_mode(mode, ctx),
            ClientFrame::Auth { token } => self.renew(&token, ctx),
            ClientFrame::Tail { search, after } => self.tail(search, after, ctx),
            ClientFrame::TailPause { on } => self.pause_tail(on, ctx),
            ClientFrame::TailEnd => drop(self.end_tail(ctx)),
            ClientFrame::Ping => self.send(&ServerFrame::Pong { at: Timestamp::now() }, ctx),
        }
    }

    fn submit(&mut self, mut ask: Ask, ctx: &mut SocketContext) {
        let client_message_id = ask.client_message_id.clone();
        if self.submitting >= MAX_SUBMITTING {
            let refused = Err(ErrorCode::Overloaded.into());
            return self.submitted(refused, client_message_id, ctx);
        }
        ask.mode = ask.mode.or_else(|| self.mode.clone());
        self.submitting += 1;
        // Over its limit it asks without watching, and still follows its own turn.
        let may_watch = self.subscriptions.len() < self.system.session_limits().max_subscriptions;
        let watcher = self.watcher().filter(|_| may_watch);
        let asker = Asker::new(&self.who.user, Arc::clone(&self.who.rights), watcher);
        // Asked now: the context does not poll what is spawned in its order.
        let asked = self.system.ask(asker, ask);
        ctx.spawn(asked.into_actor(self).map(move |begun, session, ctx| {
            session.submitting -= 1;
            if let (Ok(begun), true) = (&begun, may_watch) {
                session.subscriptions.insert(begun.conversation_id);
            }
            session.submitted(begun, client_message_id, ctx);
        }));
    }

    fn submitted(
        &mut self,
        begun: Result<Begun, ClientError>,
        asked_as: Option<callboard_protocol::ClientMessageId>,
        ctx: &mut SocketContext,
    ) {
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.system.metrics().ws_errors.with_label_values(&[error.code.as_str()]).inc();
                let frame = ServerFrame::Error {
                    code: error.code,
                    message: error.message,
                    retry_after_ms: error.retry_after_ms,
                    turn_id: None,
                    client_message_id: asked_as,
                };
                return self.send(&frame, ctx);
            }
        };
        let accepted = ServerFrame::Accepted {
            client_message_id: begun.client_message_id,
            conversation_id: begun.conversation_id,
            message_id: begun.message_id,
            turn_id: begun.turn_id,
        };
        self.send(&accepted, ctx);
        match begun.log {
            Some(log) if !self.following.contains_key(&log.turn_id()) => self.follow(&log, 0, ctx),
            Some(_) => {}
            // Submitted before, and ended too long ago to follow: the client reads it over REST.
            None => {
                self.send(&ServerFrame::Resumed { turn_id: begun.turn_id, recovered: false }, ctx)
            }
        }
    }

    fn own_turn(&self, turn: TurnId) -> Option<Arc<TurnLog>> {
        self.system.turn(self.who.user.id, turn)
    }

    fn cancel(&self, turn_id: TurnId, ctx: &mut SocketContext) {
        match self.own_turn(turn_id) {
            Some(log) => log.cancel(),
            None => self.refuse(ErrorCode::TurnNotFound.into(), ctx),
        }
    }

    fn resume(&mut self, turn_id: TurnId, after_seq: u64, ctx: &mut SocketContext) {
        let log = self.own_turn(turn_id);
        self.send(&ServerFrame::Resumed { turn_id, recovered: log.is_some() }, ctx);
        if let Some(log) = log {
            self.follow(&log, after_seq, ctx);
        }
    }

    fn subscribe(&mut self, conversation_id: ConversationId, ctx: &mut SocketContext) {
        let most = self.system.session_limits().max_subscriptions;
        if self.subscriptions.len() >= most && !self.subscriptions.contains(&conversation_id) {
            let message = format!("a socket watches at most {most} conversations");
            return self.refuse(ClientError::new(ErrorCode::Overloaded, message), ctx);
        }
        let Some(watcher) = self.watcher() else { return };
        // Counted from here on, so that many at once cannot pass the limit.
        self.subscriptions.insert(conversation_id);
        let (system, user) = (self.system.clone(), self.who.user.id);
        let watched = async move { system.watch(user, conversation_id, watcher).await };
        ctx.spawn(watched.into_actor(self).map(move |watched, session, ctx| {
            session.subscribed(conversation_id, watched, ctx);
        }));
    }

    fn subscribed(
        &mut self,
        conversation_id: ConversationId,
        watched: Result<Option<Arc<TurnLog>>, ClientError>,
        ctx: &mut SocketContext,
    ) {
        match watched {
            // It was unsubscribed meanwhile.
            Ok(_) if !self.subscriptions.contains(&conversation_id) => {
                self.system.unwatch(conversation_id, self.place.connection);
            }
            Ok(running) => {
                let running_turn = running.as_ref().map(|log| log.turn_id());
                self.send(&ServerFrame::Subscribed { conversation_id, running_turn }, ctx);
                // One that is followed already goes on where it is.
                let new = |log: &Arc<TurnLog>| !self.following.contains_key(&log.turn_id());
                if let Some(log) = running.filter(new) {
                    self.follow(&log, 0, ctx);
                }
            }
            Err(error) => {
                self.subscriptions.remove(&conversation_id);
                self.refuse(error, ctx);
            }
        }
    }

    fn set_mode(&mut self, mode: String, ctx: &mut SocketContext) {
        if !self.system.has_mode(&mode) {
            return self.refuse(ErrorCode::UnknownMode.into(), ctx);
        }
        self.acknowledge(SystemKind::ModeSet, format!("the mode is {mode}"), ctx);
        self.mode = Some(mode);
    }

    fn renew(&mut self, token: &str, ctx: &mut SocketContext) {
        match self.who.tokens.check(token) {
            Ok(expires_at) => {
                self.who.expires_at = expires_at;
                self.told_to_renew = false;
                self.acknowledge(SystemKind::AuthRenewed, "the token is renewed".into(), ctx);
            }
            Err(error) => self.refuse(error, ctx),
        }
    }

    fn acknowledge(&self, kind: SystemKind, message: String, ctx: &mut SocketContext) {
        self.send(&ServerFrame::System { kind, message, reconnect_after_ms: None }, ctx);
    }
}
