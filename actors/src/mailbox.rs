//! The way to an actor, and how much lies in front of it.
//!
//! actix bounds a mailbox but tells nobody how full it is. A [`Mailbox`] counts: a message is
//! [`Posted`] when it is sent, and is counted until the actor opens it, or until it is dropped
//! unread. Timers, and messages that an actor sends to itself by its context, do not pass here.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix::{
    Actor, Addr, Context, Handler, Message,
    prelude::{Request, SendError},
};

/// How many messages wait for an actor. A cheap clone of one shared counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Depth(Arc<AtomicUsize>);

impl Depth {
    /// The messages that wait now.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn post<M>(&self, message: M) -> Posted<M> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Posted { message, _waits: Waits(self.clone()) }
    }
}

struct Waits(Depth);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message that waits in a [`Mailbox`].
pub(crate) struct Posted<M> {
    message: M,
    _waits: Waits,
}

impl<M> Posted<M> {
    /// The message, which waits no longer.
    pub(crate) fn open(self) -> M {
        self.message
    }
}

impl<M: Message> Message for Posted<M> {
    type Result = M::Result;
}

/// See the module. Each clone has a place in the actor's mailbox of its own, beyond the bound.
pub(crate) struct Mailbox<A: Actor> {
    address: Addr<A>,
    depth: Depth,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), depth: self.depth.clone() }
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    pub(crate) fn new(address: Addr<A>, depth: Depth) -> Self {
        Self { address, depth }
    }

    /// Whether the actor lives.
    pub(crate) fn connected(&self) -> bool {
        self.address.connected()
    }

    /// Sends a message, and waits for its answer; for room as well, where there is none.
    pub(crate) fn send<M>(&self, message: M) -> Request<A, Posted<M>>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Posted<M>>,
    {
        self.address.send(self.depth.post(message))
    }

    /// Sends a message whose answer nobody waits for.
    ///
    /// # Errors
    /// When there is no room, or the actor is gone.
    pub(crate) fn try_send<M>(&self, message: M) -> Result<(), SendError<Posted<M>>>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Posted<M>>,
    {
        self.address.try_send(self.depth.post(message))
    }
}
