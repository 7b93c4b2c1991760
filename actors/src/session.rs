//! One WebSocket: it reads frames, authorises them, forwards them, and sends what comes back.
//!
//! A session holds no state of any conversation. It reads each turn that it follows from the
//! turn's log with a cursor of its own, one frame at a time and only as fast as its socket drains:
//! while more than 32 KiB are unsent actix does not poll the actor at all, so a client that stops
//! reading costs its place in the log and nothing more. Everything else reaches it through one
//! address with `try_send`; the mailbox takes [`MAILBOX`], and a session that overran it is closed
//! with 4001 and comes back to a consistent state. A panic closes the socket with 1011; the turn
//! runs on, and the client resumes.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, Recipient, SpawnHandle,
    StreamHandler, WrapFuture,
};
use callboard_protocol::{
    ClientError, ClientFrame, CloseCode, ConversationId, ErrorCode, PROTOCOL_VERSION, Permission,
    Role, ServerFrame, SessionId, SystemKind, Timestamp, TurnId, User,
};
use futures_util::{StreamExt, future, stream};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::time::{Instant, sleep};

use crate::{
    conversation::{SessionEvent, Watcher},
    rights::Rights,
    socket::{self, Incoming, SocketContext},
    sockets::Place,
    system::System,
    turn_log::TurnLog,
};
use tail::Tailing;

mod commands;
mod tail;

/// Events in the mailbox: those of `max_subscriptions` conversations in one coalescing interval.
const MAILBOX: usize = 64;

/// Questions of one socket that may be on their way to the database at once.
const MAX_SUBMITTING: usize = 8;

/// How long before the token ends the client is told to renew it.
const RENEW_AHEAD: Duration = Duration::from_secs(60);

/// The longest wait before a drained socket is closed; a jitter spreads them below it.
const DRAIN_SPREAD: Duration = Duration::from_millis(1_500);

/// Checks the access token of a session, on behalf of the edge.
pub trait TokenCheck: Send + Sync {
    /// Reads a new token of the same user; tells when it ends.
    ///
    /// # Errors
    /// `invalid_token`, also for another user's.
    fn check(&self, token: &str) -> Result<Timestamp, ClientError>;

    /// What the account is and may do now; nothing when the session's sign-in was ended, or the account.
    fn standing(&self) -> Option<(Role, Arc<Rights>)>;
}

/// Who opened the socket.
pub struct SessionUser {
    /// The account.
    pub user: User,
    /// What it may do, and which logs it may see.
    pub rights: Arc<Rights>,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The address that the socket comes from.
    pub peer: IpAddr,
    /// For the `auth` frame.
    pub tokens: Arc<dyn TokenCheck>,
}

/// See the module.
pub(crate) struct Session {
    system: System,
    who: SessionUser,
    place: Place,
    session_id: SessionId,
    mode: Option<String>,
    /// The one address that others tell this session by.
    events: Option<Recipient<SessionEvent>>,
    overrun: Arc<AtomicBool>,
    subscriptions: HashSet<ConversationId>,
    following: HashMap<TurnId, SpawnHandle>,
    tailing: Option<Tailing>,
    submitting: usize,
    limiter: DefaultDirectRateLimiter,
    /// Frames over the limit since the last one that kept it.
    refused_frames: u32,
    last_seen: Instant,
    told_to_renew: bool,
}

/// What comes of a followed turn.
enum Followed {
    Frame(ServerFrame),
    /// There is no more.
    Over(TurnId),
}

impl Session {
    pub(crate) fn new(
        system: &System,
        who: SessionUser,
        session_id: Option<SessionId>,
    ) -> Result<Self, ClientError> {
        if system.is_draining() {
            return Err(ErrorCode::Draining.into());
        }
        let limits = system.session_limits();
        let place = system.sockets().take(who.user.id, who.peer, limits)?;
        let one = std::num::NonZeroU32::MIN;
        let per_second = std::num::NonZeroU32::new(limits.frames_per_second).unwrap_or(one);
        let burst = std::num::NonZeroU32::new(limits.frame_burst).unwrap_or(one);
        Ok(Self {
            limiter: DefaultDirectRateLimiter::direct(
                Quota::per_second(per_second).allow_burst(burst),
            ),
            system: system.clone(),
            who,
            place,
            session_id: session_id.unwrap_or_else(SessionId::new),
            mode: None,
            events: None,
            overrun: Arc::default(),
            subscriptions: HashSet::new(),
            following: HashMap::new(),
            tailing: None,
            submitting: 0,
            refused_frames: 0,
            last_seen: Instant::now(),
            told_to_renew: false,
        })
    }

    fn send(&self, frame: &ServerFrame, ctx: &mut SocketContext) {
        match serde_json::to_string(frame) {
            Ok(text) => {
                self.system.metrics().ws_messages.with_label_values(&["out"]).inc();
                ctx.text(text);
            }
            Err(error) => tracing::error!(%error, "a frame could not be written"),
        }
    }

    fn refuse(&self, error: ClientError, ctx: &mut SocketContext) {
        self.system.metrics().ws_errors.with_label_values(&[error.code.as_str()]).inc();
        self.send(&error.into(), ctx);
    }

    fn close(&self, code: CloseCode, reason: &'static str, ctx: &mut SocketContext) {
        self.system.metrics().ws_errors.with_label_values(&[reason]).inc();
        socket::close(ctx, code, reason);
    }

    fn watcher(&self) -> Option<Watcher> {
        let events = self.events.clone()?;
        let overrun = Arc::clone(&self.overrun);
        Some(Watcher { connection: self.place.connection, events, overrun })
    }

    /// Sends the turn from after `after_seq` on; a turn that is followed already starts over.
    fn follow(&mut self, log: &Arc<TurnLog>, after_seq: u64, ctx: &mut SocketContext) {
        if let Some(handle) = self.following.remove(&log.turn_id()) {
            ctx.cancel_future(handle);
        }
        if self.following.len() >= self.system.session_limits().max_followed_turns {
            let message = "this socket follows too many turns at once";
            self.refuse(ClientError::new(ErrorCode::Overloaded, message), ctx);
            return;
        }
        let over = stream::once(future::ready(Followed::Over(log.turn_id())));
        let handle = ctx.add_stream(log.follow(after_seq).map(Followed::Frame).chain(over));
        self.following.insert(log.turn_id(), handle);
    }

    fn check_health(&mut self, ctx: &mut SocketContext) {
        let heartbeat = Duration::from_secs(self.system.session_limits().heartbeat_s);
        let now = Timestamp::now();
        if self.overrun.load(Ordering::Relaxed) {
            self.close(CloseCode::Slow, "slow", ctx);
        } else if self.last_seen.elapsed() > heartbeat {
            self.close(CloseCode::Stale, "stale", ctx);
        } else if !self.stands(ctx) || now >= self.who.expires_at {
            self.close(CloseCode::InvalidToken, "token_ended", ctx);
        } else if !self.told_to_renew && now >= self.who.expires_at.minus(RENEW_AHEAD) {
            self.told_to_renew = true;
            let message = "the access token ends soon: renew it and send auth".to_owned();
            let kind = SystemKind::AuthExpiring;
            self.send(&ServerFrame::System { kind, message, reconnect_after_ms: None }, ctx);
        }
    }

    /// Takes over what the account may do now; says whether it may go on.
    fn stands(&mut self, ctx: &mut SocketContext) -> bool {
        let Some((role, rights)) = self.who.tokens.standing() else { return false };
        self.who.user.role = role;
        if *self.who.rights != *rights {
            self.who.rights = rights;
            if self.end_tail(ctx) {
                let message = "what you may see has changed: ask for the tail again";
                self.refuse(ClientError::new(ErrorCode::Forbidden, message), ctx);
            }
        }
        self.who.rights.may(Permission::ChatUse)
    }

    /// Waits for the end of the server, then says goodbye.
    fn await_goodbye(&self, ctx: &mut SocketContext) {
        let goodbye = self.system.goodbye();
        let jitter = |most: Duration| most.mul_f64(rand::random::<f64>());
        let spread = Duration::from_millis(self.system.session_limits().reconnect_spread_ms);
        let (wait, come_back) = (jitter(DRAIN_SPREAD), jitter(spread));
        let drained = async move {
            goodbye.cancelled().await;
            sleep(wait).await;
        };
        ctx.spawn(drained.into_actor(self).map(move |(), session, ctx| {
            let goodbye = ServerFrame::System {
                kind: SystemKind::Draining,
                message: "the server shuts down; connect again".into(),
                reconnect_after_ms: u64::try_from(come_back.as_millis()).ok(),
            };
            session.send(&goodbye, ctx);
            socket::close_with(ctx, 1001, Some("draining"));
        }));
    }

    fn receive(&mut self, text: &str, ctx: &mut SocketContext) {
        self.system.metrics().ws_messages.with_label_values(&["in"]).inc();
        if let Err(early) = self.limiter.check() {
            self.refused_frames += 1;
            if self.refused_frames > self.system.session_limits().frame_burst {
                self.close(CloseCode::Limit, "rate_limited", ctx);
                return;
            }
            let clock = governor::clock::DefaultClock::default();
            let wait = early.wait_time_from(governor::clock::Clock::now(&clock));
            let mut error = ClientError::from(ErrorCode::RateLimited);
            error.retry_after_ms = u64::try_from(wait.as_millis()).ok();
            self.refuse(error, ctx);
            return;
        }
        self.refused_frames = 0;
        match parse(text) {
            Ok(frame) if self.who.rights.may(frame.permission()) => self.obey(frame, ctx),
            Ok(_) => self.refuse(ErrorCode::Forbidden.into(), ctx),
            Err(error) => self.refuse(error, ctx),
        }
    }
}

/// Reads a frame, and says what is wrong with one that is none.
fn parse(text: &str) -> Result<ClientFrame, ClientError> {
    serde_json::from_str(text).map_err(|error| {
        let code = if error.to_string().starts_with("unknown variant") {
            ErrorCode::UnknownFrame
        } else {
            ErrorCode::InvalidJson
        };
        // serde's text names the field and the place, and quotes at most the frame's own words.
        let mut message = error.to_string();
        message.truncate(message.floor_char_boundary(300));
        ClientError::new(code, message)
    })
}

impl Actor for Session {
    type Context = SocketContext;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.events = Some(ctx.address().recipient());
        self.last_seen = Instant::now();
        let heartbeat_s = self.system.session_limits().heartbeat_s;
        let hello = ServerFrame::Connected {
            session_id: self.session_id,
            user: self.who.user.clone(),
            heartbeat_s,
            protocol: PROTOCOL_VERSION,
        };
        self.send(&hello, ctx);
        let often = Duration::from_secs(heartbeat_s).div_f64(4.0).min(Duration::from_secs(5));
        ctx.run_interval(often.max(Duration::from_millis(50)), Self::check_health);
        self.await_goodbye(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        for conversation in self.subscriptions.drain() {
            self.system.unwatch(conversation, self.place.connection);
        }
    }
}

impl StreamHandler<Incoming> for Session {
    fn handle(&mut self, incoming: Incoming, ctx: &mut SocketContext) {
        self.last_seen = Instant::now();
        match incoming {
            Incoming::Text(text) => self.receive(&text, ctx),
            Incoming::Ping(payload) => ctx.pong(&payload),
            Incoming::Pong => {}
            Incoming::Binary => {
                self.system.metrics().ws_errors.with_label_values(&["binary"]).inc();
                socket::close_with(ctx, 1003, Some("frames are text"));
            }
            Incoming::Close(code) => socket::close_with(ctx, code.unwrap_or(1005), None),
            Incoming::Violation(code) => {
                self.system.metrics().ws_errors.with_label_values(&["protocol"]).inc();
                socket::close_with(ctx, code, None);
            }
        }
    }

    /// The peer is gone.
    fn finished(&mut self, ctx: &mut SocketContext) {
        ctx.stop();
    }
}

impl StreamHandler<Followed> for Session {
    fn handle(&mut self, followed: Followed, ctx: &mut SocketContext) {
        match followed {
            Followed::Frame(frame) => self.send(&frame, ctx),
            Followed::Over(turn) => {
                self.following.remove(&turn);
            }
        }
    }

    /// A turn ended; the session goes on.
    fn finished(&mut self, _: &mut SocketContext) {}
}

impl Handler<SessionEvent> for Session {
    type Result = ();

    fn handle(&mut self, event: SessionEvent, ctx: &mut SocketContext) {
        match event {
            SessionEvent::Frame(frame) => self.send(&frame, ctx),
            SessionEvent::TurnBegan(log) if self.following.contains_key(&log.turn_id()) => {}
            SessionEvent::TurnBegan(log) => self.follow(&log, 0, ctx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_frame_is_named() {
        let code = |text| parse(text).unwrap_err().code;
        assert_eq!(code(r#"{"type":"launch"}"#), ErrorCode::UnknownFrame);
        assert_eq!(code(r#"{"type":"message"}"#), ErrorCode::InvalidJson);
        assert_eq!(code("not json"), ErrorCode::InvalidJson);
        assert_eq!(
            code(&format!(r#"{{"type":"{}"}}"#, "ü".repeat(1_000))),
            ErrorCode::UnknownFrame
        );
    }
}
