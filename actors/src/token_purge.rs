//! Forgets the refresh tokens that have ended: at the start, and then once an hour.
//!
//! Nothing depends on when they go, since an ended token is no good in any case; they would only
//! fill the database. The mailbox takes [`MAILBOX`]; nobody but the actor itself writes to it. A
//! panic costs nothing: it purges again when it is back.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_entities::{Store, queries::tokens};
use callboard_protocol::Timestamp;
use tracing::debug;

use crate::storage::store_failed;

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// How often ended tokens are forgotten.
pub(crate) const EVERY: Duration = Duration::from_secs(3_600);

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct PurgeSeed {
    pub(crate) store: Store,
    pub(crate) every: Duration,
}

/// See the module.
pub(crate) struct TokenPurge {
    seed: PurgeSeed,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
}

impl TokenPurge {
    pub(crate) fn new(seed: PurgeSeed) -> Self {
        Self { seed, _address: None }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        self.purge(ctx);
        // A purge takes far less than an hour: none runs beside another.
        ctx.run_interval(self.seed.every, |actor, ctx| actor.purge(ctx));
    }

    fn purge(&self, ctx: &mut Context<Self>) {
        let store = self.seed.store.clone();
        let purge = async move {
            match tokens::purge_expired(&store, Timestamp::now()).await {
                Ok(purged) => debug!(purged, "refresh tokens that ended were forgotten"),
                Err(error) => store_failed("purge refresh tokens", &error),
            }
        };
        ctx.spawn(purge.into_actor(self));
    }
}

impl Actor for TokenPurge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for TokenPurge {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        *self = Self::new(self.seed.clone());
        self.arm(ctx);
    }
}

#[cfg(test)]
mod tests;
